"""Every page and route behind the door: where it is, what it needs, how the navigation calls it.

Pages know nothing of this table. The door reads it for permissions, the layout for navigation, and
``runtime`` hands the pages to NiceGUI.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pkgutil import resolve_name
from typing import Any, NamedTuple

from arcid.server.console import strings as S
from arcid.server.console.auth.roles import Permission


class Page(NamedTuple):
    """A page as the door and the navigation know it."""

    path: str  # as FastAPI's
    permission: Permission
    function: str  # module:name below ``pages``, (context, *path and query parameters)
    group: str = ""  # of the navigation; empty: reached from another page
    label: str = ""
    tab: bool = False  # also in the bar at the bottom of a phone; the rest is in More

    @property
    def icon(self) -> str:
        """By name; a page of the navigation has one."""
        return self.path[1:]


class Route(NamedTuple):
    """Something that is no page: a picture, a file to download."""

    permission: Permission
    function: str  # as a page's, (request, context) to an answer


PAGES = (  # in the order of the navigation; exact paths before patterns
    Page("/live", "live", "live:live", S.NAV_DAY, S.NAV_LIVE, tab=True),
    Page(
        "/attendance", "attendance", "attendance:attendance", S.NAV_DAY, S.NAV_ATTENDANCE, tab=True
    ),
    Page("/doors", "doors", "doors:doors", S.NAV_DAY, S.NAV_DOORS, tab=True),
    Page("/alerts", "alerts", "alerts:alerts", S.NAV_DAY, S.NAV_ALERTS, tab=True),
    Page("/review", "review", "review:review", S.NAV_DAY, S.NAV_REVIEW),
    Page("/unknowns", "unknowns", "unknowns:unknowns", S.NAV_DAY, S.NAV_UNKNOWNS),
    Page("/kiosk", "kiosk", "kiosk:kiosk", S.NAV_DAY, S.NAV_KIOSK),
    Page("/people", "people", "people:people", S.NAV_FACES, S.NAV_PEOPLE, tab=True),
    Page("/duplicates", "duplicates", "duplicates:duplicates", S.NAV_FACES, S.NAV_DUPLICATES),
    Page("/onboarding", "cases", "onboarding:onboarding", S.NAV_FACES, S.NAV_ONBOARDING),
    Page("/watchlists", "lists", "watchlists:watchlists", S.NAV_FACES, S.NAV_WATCHLISTS),
    Page("/collections", "enrol", "collections:collections", S.NAV_FACES, S.NAV_COLLECTIONS),
    Page("/privacy", "privacy", "privacy:privacy", S.NAV_FACES, S.PRIVACY),
    Page("/search", "search", "search:search", S.NAV_FACES, S.NAV_SEARCH, tab=True),
    Page("/compare", "search", "compare:compare", S.NAV_FACES, S.NAV_COMPARE),
    Page("/cameras", "cameras", "cameras:cameras", S.NAV_SERVICE, S.NAV_CAMERAS),
    Page("/models", "models", "models:models", S.NAV_SERVICE, S.NAV_MODELS),
    Page("/audit", "audit", "audit:audit", S.NAV_SERVICE, S.AUDIT),
    Page("/system", "system", "system:system", S.NAV_SERVICE, S.NAV_SYSTEM),
    Page("/accounts", "accounts", "accounts:accounts", S.NAV_SERVICE, S.NAV_ACCOUNTS),
    Page("/keys", "accounts", "keys:keys", S.NAV_SERVICE, S.KEYS),
    Page("/sessions", "home", "sessions:sessions"),
    Page("/webhooks", "system", "webhooks:webhooks"),
    Page("/overview", "attendance", "overview:overview"),
    Page("/people/new", "enrol", "enrolling:new_person"),
    Page("/people/import", "enrol", "importing:bulk_import"),
    Page("/attendance/month", "attendance", "attendance_month:month"),
    Page("/attendance/person/{person_id}", "attendance", "attendance_month:person"),
    Page("/watchlists/{list_id}", "lists", "watchlists:watchlist"),
    Page("/people/{person_id}", "people", "person:person_page"),
)
ROUTES = {  # by the first part of the path
    "audit.csv": Route("audit", "audit:as_csv"),
    "crop": Route("people", "people:crop"),
    "evidence": Route("cases", "onboarding:evidence"),
    "export": Route("export", "downloads:exported"),
    "receipt": Route("privacy", "privacy_files:receipt"),
    "refused.csv": Route("enrol", "importing:refused"),
    "upload": Route("enrol", "importing:upload"),
    "person.zip": Route("privacy", "privacy_files:person"),
    "pairs": Route("duplicates", "duplicates_export:exported"),
}
_PERMISSIONS = [
    (re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", page.path) + "/?"), page.permission)
    for page in PAGES
]


def permission_for(path: str) -> Permission | None:
    """What a path needs; None where nothing of ours answers."""
    for pattern, permission in _PERMISSIONS:
        if pattern.fullmatch(path):
            return permission
    found = route_of(path)
    return found.permission if found else None


def route_of(path: str) -> Route | None:
    """What answers there that is no page."""
    return ROUTES.get(path.split("/")[1])


def load(function: str) -> Callable[..., Awaitable[Any]]:
    """What a page or route is made of; imports it, and with a page NiceGUI."""
    found: Callable[..., Awaitable[Any]] = resolve_name(f"{__package__}.pages.{function}")
    return found

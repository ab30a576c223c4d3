"""Every page and route behind the door, each with the permission it needs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from arcid.apps.attendance import Attendance
from arcid.server.console.auth.roles import Permission
from arcid.server.console.auth.session import Visit

Builder = Callable[..., Any]
Handler = Callable[[Request, Visit], Awaitable[Response]]


class Page(NamedTuple):
    """A page as it was declared."""

    path: str
    permission: Permission
    pattern: re.Pattern[str]
    build: Builder


class Route(NamedTuple):
    """Something that is no page: a picture, a file to download."""

    permission: Permission
    handle: Handler


PAGES: list[Page] = []
ROUTES: dict[str, Route] = {}  # by the first part of the path


def page(path: str, permission: Permission) -> Callable[[Builder], Builder]:
    """Declare a page; the builder gets its ``Visit`` and the parameters of path and query."""

    def declare(build: Builder) -> Builder:
        pattern = re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path) + "/?")
        PAGES.append(Page(path, permission, pattern, build))
        return build

    return declare


def route(first: str, permission: Permission) -> Callable[[Handler], Handler]:
    """Declare what answers under ``/console/{first}/…``."""

    def declare(handle: Handler) -> Handler:
        ROUTES[first] = Route(permission, handle)
        return handle

    return declare


def permission_for(path: str) -> Permission | None:
    """What a path needs; None where nothing of ours answers. Exact pages go before patterns."""
    for declared in sorted(PAGES, key=lambda page: "{" in page.path):
        if declared.pattern.fullmatch(path):
            return declared.permission
    found = ROUTES.get(path.split("/")[1])
    return found.permission if found else None


async def home_of(visit: Visit) -> str:
    """Where somebody starts: their first page, and one that shows something."""
    from arcid.server.console.ui.layout import NAVIGATION

    entries = [entry for _, group in NAVIGATION for entry in group]
    first = next((entry.path for entry in entries if visit.may(entry.permission)), "/nothing")
    if first != "/live" or visit.may("capture"):
        return first
    cameras = [one for one in await visit.run(visit.console.cameras.book.all) if one.enabled]
    if cameras:
        return f"/live?collection={quote(cameras[0].collection)}"
    known = sorted(await visit.run(visit.gallery.collections), key=lambda one: -one.people)
    for one in known:
        if await visit.run(Attendance(visit.gallery, one.name).events, limit=1):
            return f"/attendance?collection={quote(one.name)}"
    return f"/people?collection={quote(known[0].name)}" if known else "/people"


def register() -> None:
    """Hand every page to NiceGUI; once a process."""
    from arcid.server.console.pages import (  # noqa: F401
        accounts,
        attendance,
        cameras,
        collections,
        compare,
        kiosk,
        live,
        models,
        people,
        person,
        review,
        search,
        sessions,
        system,
        unknowns,
    )
    from arcid.server.console.pages._register import hand_over

    for declared in sorted(PAGES, key=lambda page: "{" in page.path):
        hand_over(declared)

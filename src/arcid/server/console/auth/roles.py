"""Who may do what. The door asks for every page, ``Session.allow`` before every action."""

from __future__ import annotations

from typing import Literal, get_args

from arcid.errors import UsageError

Role = Literal["admin", "officer", "operator", "reviewer", "guard", "viewer", "kiosk"]
Permission = Literal[
    "home",
    "live",
    "capture",
    "attendance",
    "correct",
    "export",
    "people",
    "enrol",
    "delete",
    "search",
    "unknowns",
    "review",
    "duplicates",  # say who is enrolled twice
    "cases",  # decide on people who identify themselves
    "alerts",  # see and answer alerts of watchlists
    "lists",  # make watchlists and say who is on them
    "doors",  # see who is at which door
    "open_door",  # once, by hand
    "audit",
    "privacy",  # say what a collection is for and how long what is kept; end consents
    "cameras",
    "models",
    "system",
    "accounts",
    "kiosk",
]
ROLES: tuple[Role, ...] = get_args(Role)

_VIEWER: frozenset[Permission] = frozenset({"home", "live", "attendance", "people", "models"})
_OPERATOR: frozenset[Permission] = _VIEWER | {
    "correct",
    "export",
    "enrol",
    "search",
    "unknowns",
    "review",
    "duplicates",
    "capture",
    "kiosk",
}
MAY: dict[Role, frozenset[Permission]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "guard": frozenset({"home", "live", "alerts", "doors", "open_door"}),
    "reviewer": frozenset({"home", "people", "review", "duplicates", "cases"}),
    "officer": frozenset({"home", "people", "lists", "alerts", "audit", "privacy"}),
    "admin": frozenset(get_args(Permission)),
    "kiosk": frozenset({"kiosk"}),
}


def may(role: Role, permission: Permission) -> bool:
    """Whether the role holds the permission."""
    return permission in MAY[role]


def role_of(value: str) -> Role:
    """A stored or typed role; raises ``UsageError`` with the known ones."""
    for role in ROLES:
        if role == value:
            return role
    raise UsageError(f"role {value!r} is unknown; use {', '.join(ROLES)}")

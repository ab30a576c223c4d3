"""Rooms beside the gallery that keep something about its people in the same database.

A room declares its tables with ``schema.table``; their migrations stand with the gallery's, in one
history. Rooms are named here and loaded before a database is opened, so that whoever merges or
deletes people, through whatever door, does it in every room. A row that refers to a collection or a
person goes with it (``schema.reference``); a room is asked about what it knows by other means.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Protocol, cast

from sqlalchemy.engine import Connection

from arcid.gallery.schema import Row

ROOMS = ("arcid.events.belongings", "arcid.apps.onboarding.belongings")


class Room(Protocol):
    """What happens in a room, inside the gallery's transaction."""

    def hand_over(self, connection: Connection, collection: Row, other: Row, keep: Row) -> None:
        """Before two people are merged: what is ``other``'s becomes ``keep``'s."""

    def erase(self, connection: Connection, collection: Row, person: Row, *, merged: bool) -> None:
        """Before a person is deleted: nothing of them stays. ``merged``: after ``hand_over``."""


@cache
def rooms() -> tuple[Room, ...]:
    """Every room, loaded."""
    return tuple(cast("Room", import_module(name)) for name in ROOMS)

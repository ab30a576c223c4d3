"""Rooms beside the gallery that keep something about its people in the same database.

A room declares its tables with ``schema.table``; their migrations stand with the gallery's, in one
history. Rooms are named here and loaded before a database is opened, so that whoever merges or
deletes people, through whatever door, does it in every room. A row that refers to a collection or a
person goes with it (``schema.reference``); a room is asked about what it knows by other means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from sqlalchemy.engine import Connection

from arcid.gallery.schema import Row

ROOMS = (
    "arcid.protection.belongings",
    "arcid.events.belongings",
    "arcid.apps.onboarding.belongings",
    "arcid.apps.duplicates.belongings",
    "arcid.apps.watchlists.belongings",
    "arcid.apps.access.belongings",
    "arcid.apps.jobs.belongings",
)
Handed = Mapping[str, Any]  # plain values for JSON: what ``take_back`` needs


class Room(Protocol):
    """What happens in a room, inside the gallery's transaction."""

    def hand_over(
        self, connection: Connection, collection: Row, other: Row, keep: Row
    ) -> Handed | None:
        """Before two people are merged: what is ``other``'s becomes ``keep``'s.

        A room that can give it back answers with what it needs for that, and has a ``take_back``.
        """

    def erase(
        self, connection: Connection, collection: Row, person: Row, *, merged: bool
    ) -> dict[str, int]:
        """Before a person is deleted: nothing of them stays. ``merged``: after ``hand_over``.

        What was destroyed, by kind, in words of the room's own.
        """


@cache
def rooms() -> tuple[Room, ...]:
    """Every room, loaded."""
    return tuple(cast("Room", import_module(name)) for name in ROOMS)


@dataclass(slots=True, repr=False)
class Told:
    """All that is held of somebody, for themselves: rows by kind, and pictures by file name."""

    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        counted = {kind: len(rows) for kind, rows in self.records.items()}
        return f"Told({counted}, {len(self.pictures)} pictures)"


def tell(connection: Connection, collection: Row, person: Row) -> Told:
    """What every room holds of a person. Rooms that hold nothing have no ``tell``."""
    told = Told()
    for room in rooms():
        own = getattr(room, "tell", None)
        if own is not None:
            own(connection, collection, person, told)
    return told


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> dict[str, Handed]:
    """In every room; what those handed over that can take it back."""
    handed = {room: room.hand_over(connection, collection, other, keep) for room in rooms()}
    return {_name(room): given for room, given in handed.items() if given is not None}


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Mapping[str, Handed]
) -> None:
    """After a merge was undone: what was handed over and is still ``keep``'s is ``other``'s again.

    Rooms without ``take_back`` leave it with ``keep``.
    """
    for room in rooms():
        back = getattr(room, "take_back", None)
        if back is not None and _name(room) in handed:
            back(connection, collection, other, keep, handed[_name(room)])


def parted(connection: Connection, collection: Row, faces: Sequence[Row], to: Row) -> None:
    """After faces were taken from their people (``person_id`` as it was) and given ``to`` another.
    Not where a person goes with all of theirs. Rooms that keep nothing of single faces have no
    ``parted``."""
    for room in rooms():
        own = getattr(room, "parted", None)
        if own is not None:
            own(connection, collection, faces, to)


def renamed(connection: Connection, collection: Row, person: Row, name: str) -> None:
    """After a person was given another name; ``person``: as they were. Rooms that name nobody have
    no ``renamed``."""
    for room in rooms():
        own = getattr(room, "renamed", None)
        if own is not None:
            own(connection, collection, person, name)


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Erase the rows that destroyed data keys sealed: an older copy was put back.

    Rooms that seal nothing with keys of their own have no ``forget``.
    """
    for room in rooms():
        own = getattr(room, "forget", None)
        if own is not None:
            own(connection, keys)


def erase_elsewhere(connection: Connection, collection: Row) -> dict[str, int]:
    """Before a collection is deleted with all that refers to it: what rooms keep about its people
    in other collections; how much, by kind. Rooms that keep nothing there have none."""
    counted: dict[str, int] = {}
    for room in rooms():
        own = getattr(room, "erase_elsewhere", None)
        if own is not None:
            counted |= own(connection, collection)
    return counted


def seal(connection: Connection) -> int:
    """Seal what every room stored before the gallery was protected; how much that was."""
    own = [getattr(room, "seal", None) for room in rooms()]
    return sum(act(connection) for act in own if act is not None)


def _name(room: Room) -> str:
    return str(cast("Any", room).__name__)

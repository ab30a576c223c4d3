"""Indexes in a database that has no transactions.

Every step can be taken again: vectors are put in the place of those of their key, and the position
in the change log is told last, so that whoever comes after a killed process goes the same way once
more. A fill goes into a table of its own, which takes the place of the old one when it is whole.
Who writes has to keep others out (``Engine.locks``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np

from arcid.errors import IndexUnavailable
from arcid.gallery.index import Keys
from arcid.gallery.outside import GONE, Place
from arcid.types import FloatArray


class TableGone(IndexUnavailable):
    """Another process has put another table in its place."""


class Tables(Protocol):
    """A database of tables of keys and vectors; all of it raises ``IndexUnavailable``."""

    kind: str
    name: str
    exact: bool
    margin: float
    most: int | None

    def notes(self, prefix: str) -> Mapping[str, str]:
        """Tables by name, each with the note it was told last."""

    def create(self, table: str, dim: int, note: str) -> None: ...

    def tell(self, table: str, note: str) -> None:
        """Keep a note with a table, behind all that was put and removed before."""

    def drop(self, table: str) -> None:
        """Remove a table, if it is there."""

    def put(self, table: str, face_keys: Keys, vectors: FloatArray) -> None:
        """In the place of what is held of these keys."""

    def remove(self, table: str, face_keys: Keys) -> None:
        """Keys that are not held are ignored."""

    def nearest(self, table: str, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        """As ``Engine.nearest``. Raises ``TableGone``, too."""

    def count(self, table: str) -> int:
        """Raises ``TableGone``, too."""

    def close(self) -> None: ...


class Note(NamedTuple):
    """What is known of a table."""

    place: Place
    kind: str  # of index, as ``ARCID_INDEX`` names it
    number: int  # the newest of an index that is ready counts
    ready: bool
    faces: int
    position: str | None

    @classmethod
    def parse(cls, text: str) -> Note | None:
        try:
            place, *rest = json.loads(text)
            return cls(Place(*place), *rest)
        except (TypeError, ValueError):
            return None

    def __str__(self) -> str:
        return json.dumps(list(self))


class Stepwise:
    """``Server`` over tables. Thread-safe where they are."""

    def __init__(self, tables: Tables, *, blind: bool = False) -> None:
        self.tables, self.blind = tables, blind
        self.kind, self.name, self.exact = tables.kind, tables.name, tables.exact

    def engine(self, place: Place, dim: int) -> StepIndex:
        return StepIndex(self, place, dim)

    def places(self, gallery: str) -> Sequence[Place]:
        found = map(Note.parse, self.tables.notes(_of_gallery(gallery)).values())
        return sorted({note.place for note in found if note and note.place.gallery == gallery})

    def drop(self, place: Place) -> None:
        for table in self.tables.notes(_of(place)):
            self.tables.drop(table)

    def current(self, place: Place) -> tuple[str, Note] | None:
        """The table that searches go to."""
        found = [
            (name, note)
            for name, text in self.tables.notes(_of(place)).items()
            if (note := Note.parse(text))
            and note.ready
            and note.place == place
            and note.kind == self.kind
        ]
        return max(found, key=lambda one: one[1].number, default=None)

    def close(self) -> None:
        self.tables.close()


class StepIndex:
    """One index."""

    locks = False

    def __init__(self, server: Stepwise, place: Place, dim: int) -> None:
        self._server, self._tables = server, server.tables
        self._place, self._dim = place, dim
        self.margin, self.most = server.tables.margin, server.tables.most
        self._known: tuple[str, Note] | None = None

    def __len__(self) -> int:
        known = self._table()
        return 0 if known is None else known[1].faces

    def count(self) -> int:
        return int(self._asked(self._tables.count, 0))

    def nearest(self, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        found: tuple[Keys, FloatArray] = self._asked(
            lambda table: self._tables.nearest(table, probe, count),
            (np.zeros(0, np.int64), np.zeros(0, np.float32)),
        )
        return found

    @contextmanager
    def writing(self) -> Iterator[StepWriter]:
        self._known = None
        known = self._table()
        writer = StepWriter(self._tables, self._place, self._dim, known)
        yield writer
        self._known = writer.finished()
        for table in self._tables.notes(_of(self._place)):
            if self._known is not None and table != self._known[0]:
                self._tables.drop(
                    table
                )  # the one before, one of another kind, or what a killed process left

    def _table(self) -> tuple[str, Note] | None:
        if self._known is None:
            self._known = self._server.current(self._place)
        return self._known

    def _asked(self, question: Callable[[str], Any], nothing: Any) -> Any:
        known = self._table()
        if known is None:
            return nothing
        try:
            return question(known[0])
        except TableGone:
            self._known = None
        known = self._table()
        if known is None:  # and not: nobody is found
            raise IndexUnavailable(GONE)
        return question(known[0])


class StepWriter:
    """What is done to a table, or to a new one that takes its place."""

    def __init__(
        self, tables: Tables, place: Place, dim: int, known: tuple[str, Note] | None
    ) -> None:
        self._tables, self._place, self._dim = tables, place, dim
        self._name: str | None = known and known[0]
        self._note: Note | None = known and known[1]
        self.position = None if self._note is None else self._note.position

    def empty(self) -> None:
        number = 1 if self._note is None else self._note.number + 1
        self._note = Note(self._place, self._tables.kind, number, False, 0, None)
        self._name = f"{_of(self._place)}{number}"
        self._tables.drop(self._name)
        self._tables.create(self._name, self._dim, str(self._note))

    def remove(self, face_keys: Keys) -> None:
        if self._name is not None and len(face_keys):
            self._tables.remove(self._name, face_keys)

    def add(self, face_keys: Keys, vectors: FloatArray) -> None:
        if self._name is None:
            self.empty()
        if self._name is not None and len(face_keys):
            self._tables.put(self._name, face_keys, np.asarray(vectors, np.float32))

    def finished(self) -> tuple[str, Note] | None:
        """Tells the position; a new table is ready from now on."""
        if self._name is None and self.position is not None:
            self.empty()
        if self._name is None or self._note is None:
            return None
        faces = self._tables.count(self._name)
        note = self._note._replace(ready=True, faces=faces, position=self.position)
        self._tables.tell(self._name, str(note))
        return self._name, note


def _of_gallery(gallery: str) -> str:
    return f"arcid_{_digest(gallery, 8)}_"


def _of(place: Place) -> str:
    """What the names of an index's tables begin with: letters that every database takes."""
    return f"{_of_gallery(place.gallery)}{_digest('/'.join(place), 24)}_"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


__all__ = ["Note", "StepIndex", "StepWriter", "Stepwise", "TableGone", "Tables"]

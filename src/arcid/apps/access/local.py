"""What a process keeps for the time the database is away: who may pass, and what it opened.

``LocalCopy`` holds templates of those who may pass, in memory alone: after a restart without a
database no door opens. ``Journal`` is a file of openings, each claimed in it once, that are told to
the database when it is back.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from arcid import files
from arcid.apps.access.rules import Site
from arcid.errors import GalleryBusy
from arcid.events import Blocks, Events
from arcid.gallery import Gallery
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import vectors
from arcid.types import Embeddings, FloatArray, Match

BUSY_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class LocalCopy:
    """Templates of one collection's people who may pass some door."""

    faces: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict, repr=False)
    rows: FloatArray = field(default_factory=lambda: np.zeros((0, 1), np.float32), repr=False)
    blocks: Blocks = field(default_factory=Blocks, repr=False)

    @classmethod
    def read(
        cls, gallery: Gallery, collection: str, persons: Collection[str], contract_id: str
    ) -> LocalCopy:
        """Those of ``persons`` who are in the collection. Raises ``GalleryError`` kinds."""
        names = {p.id: p.name for p in gallery.everybody(collection) if p.id in persons}
        faces: list[str] = []
        owners: list[str] = []
        rows: list[FloatArray] = []
        with _collections.reading(gallery.database, collection) as (connection, own):
            made_by = vectors.contract(connection, contract_id)
            after = 0
            while made_by is not None:
                after, ids, people, block = vectors.named_block(
                    connection, own["id"], made_by, after
                )
                if not ids:
                    break
                kept = [i for i, person in enumerate(people) if person in names]
                faces += [ids[i] for i in kept]
                owners += [people[i] for i in kept]
                rows.append(block[kept])
        together = np.concatenate(rows) if rows else np.zeros((0, 1), np.float32)
        made = cls(tuple(faces), tuple(owners), names, together)
        return made.refusing(gallery, collection, contract_id)

    def refusing(self, gallery: Gallery, collection: str, contract_id: str) -> LocalCopy:
        """The same, with whom faces were said not to be by now: that changes no template."""
        return replace(self, blocks=Blocks(Events(gallery).blocked(collection, contract_id)))

    def search(self, probe: Embeddings, k: int = 5) -> tuple[list[Match], int]:
        """(people nearest to one row, best first; templates compared)."""
        if not len(self.rows):
            return [], 0
        cosines = np.clip(self.rows @ probe.vectors[0], -1.0, 1.0)
        best: dict[str, int] = {}
        for row in np.argsort(-cosines, kind="stable"):
            best.setdefault(self.owners[row], int(row))
            if len(best) == k:
                break
        counts = {person: self.owners.count(person) for person in best}
        found = [
            Match(person, self.names[person], float(cosines[row]), self.faces[row], counts[person])
            for person, row in best.items()
        ]
        return [m for m in found if not self.blocks.refuse(m, probe)], len(self.rows)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is in a group that may pass a door, whatever the hour, and how many templates of them
    there are."""

    people: frozenset[str] = frozenset()
    templates: int = 0


def admitted(site: Site, copies: Mapping[str, LocalCopy]) -> dict[str, Admitted]:
    """Of every door, by id."""
    counts = {name: Counter(copy.owners) for name, copy in copies.items()}
    found = {}
    for door in site.doors.values():
        own = frozenset(person for key, person in site.passes if key == door.id)
        held = counts.get(door.collection, Counter())
        found[door.id] = Admitted(own, sum(held[one] for one in own))
    return found


class Journal:
    """Openings made while the database was away. Thread-safe; several processes may hold one.

    Raises ``GalleryBusy`` where the disk does not take a claim: then nothing is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()

    def claim(self, decision: str, told: dict[str, Any]) -> bool:
        """Whether this decision was not claimed before; it is on disk when this returns."""
        with self._open() as db:
            made = db.execute(
                "INSERT OR IGNORE INTO openings (decision, told, state) VALUES (?, ?, 'claimed')",
                (decision, json.dumps(told)),
            )
            return made.rowcount == 1

    def settle(self, decision: str, state: str, detail: str) -> None:
        """What became of it."""
        with self._open() as db:
            db.execute(
                "UPDATE openings SET state = ?, detail = ? WHERE decision = ?",
                (state, detail, decision),
            )

    def waiting(self) -> list[tuple[str, dict[str, Any], str, str]]:
        """(decision, what was told, state, detail), oldest first."""
        if not self._path.exists():
            return []
        with self._open() as db:
            rows = db.execute("SELECT decision, told, state, detail FROM openings ORDER BY id")
            return [(d, json.loads(told), state, detail) for d, told, state, detail in rows]

    def told(self, decision: str) -> None:
        """The database knows it now."""
        with self._open() as db:
            db.execute("DELETE FROM openings WHERE decision = ?", (decision,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if not self._path.exists():
                    self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                    files.create(self._path, b"", private=True)
                db = sqlite3.connect(self._path, timeout=BUSY_S)
                try:
                    db.execute("PRAGMA synchronous=FULL")
                    with db:
                        db.execute(
                            "CREATE TABLE IF NOT EXISTS openings (id INTEGER PRIMARY KEY, decision "
                            "TEXT UNIQUE NOT NULL, told TEXT NOT NULL, state TEXT NOT NULL, detail "
                            "TEXT NOT NULL DEFAULT '')"
                        )
                        yield db
                finally:
                    db.close()
            except (sqlite3.Error, OSError) as error:
                raise GalleryBusy(
                    f"the journal of doors takes no writes ({type(error).__name__}): look at the "
                    "disk that ARCID_HOME is on; nothing was opened"
                ) from None


__all__ = ["Admitted", "Journal", "LocalCopy", "admitted"]

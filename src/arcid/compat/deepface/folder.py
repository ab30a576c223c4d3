"""``find``'s folder of pictures, kept in a gallery inside it: one entry a face."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from arcid.compat.deepface import distances
from arcid.compat.deepface.distances import Metric
from arcid.compat.deepface.faces import Area, find_faces, vectors
from arcid.compat.deepface.models import Recogniser
from arcid.compat.deepface.modules.exceptions import EmptyDatasource, PathNotFound
from arcid.gallery import Gallery, NewFace, Person
from arcid.types import Embeddings, FloatArray, Match

_LOG = logging.getLogger(__name__)

FILE = "arcid-faces.db"
SUFFIXES = (".jpg", ".jpeg", ".png")
FIRST = 40  # faces asked for at first; more where all of them are near enough


@dataclass(frozen=True)
class Kept:
    """One face of the folder."""

    identity: str  # path of its picture below the folder
    hash: str  # of the picture's size and times
    area: Area

    @classmethod
    def of(cls, match: Match) -> Self:
        """What the gallery found."""
        told = match.metadata
        return cls(told["identity"], told["hash"], told["area"])

    def path(self, db_path: str) -> str:
        """Of its picture, below a folder as deepface spells it: as the call did."""
        return os.path.join(db_path, self.identity)  # noqa: PTH118


class FolderIndex:
    """The faces of a folder for one model, one detector and one way to align them.

    Opened once a process, however the folder is spelled, so that paths are told below it.
    ``refresh`` looks at what changed. ``PathNotFound`` for no folder.
    """

    _opened: ClassVar[dict[tuple[str, str, str, bool], FolderIndex]] = {}
    _opening = threading.Lock()

    def __init__(self, folder: Path, model: Recogniser, backend: str, *, by_points: bool) -> None:
        self.folder, self.model, self.backend, self.by_points = folder, model, backend, by_points
        self._lock = threading.Lock()
        self._gallery = Gallery.open(folder / FILE)
        self._collection = f"{model.name} {backend} {'points' if by_points else 'box'}"
        self._gallery.ensure_collection(self._collection)
        self._read()

    @classmethod
    def of(cls, db_path: str, model: Recogniser, backend: str, *, by_points: bool) -> FolderIndex:
        """The index of a folder, opened by this process before or now."""
        folder = Path(db_path).resolve()
        if not folder.is_dir():
            raise PathNotFound(f"Passed path {db_path} does not exist!")
        key = (str(folder), model.name, backend, by_points)
        with cls._opening:
            if key not in cls._opened:
                cls._opened[key] = cls(folder, model, backend, by_points=by_points)
            return cls._opened[key]

    def refresh(self) -> None:
        """Look at pictures that are new or changed; forget those that are gone."""
        with self._lock:
            there = dict(self._there())
            changed = [one for one, digest in there.items() if self._hashes.get(one) != digest]
            gone = [one for one in self._hashes if one not in there]
            if changed or gone:
                self._read()  # another process may have been here before
            for identity in gone:
                self._forget(identity)
            for identity in changed:
                if self._hashes.get(identity) != there[identity]:
                    self._forget(identity)
                    self._look(identity, there[identity])

    def check_filled(self, db_path: str) -> None:
        """``EmptyDatasource`` where there is no picture."""
        if not self._hashes:
            raise EmptyDatasource(f"No item found in {db_path}")

    def nearest(
        self, probes: FloatArray, metric: Metric, *, within: float, k: int | None
    ) -> list[list[tuple[Kept, float]]]:
        """For each of (N,D) vectors the faces of the folder with their distances, nearest first:
        all at most ``within`` away, of these the first ``k``."""
        contract = self.model.embedder.contract_id
        count = self._gallery.size(self._collection, contract)
        if not count:
            return [[] for _ in probes]
        if callable(metric):
            return self._by_own(probes, metric, count, within, k)
        asked, most = Embeddings(probes, contract), min(k or FIRST, count)
        while True:
            hits = self._gallery.search(self._collection, asked, k=most)
            rows = [[(match, distances.between(match.cosine, metric)) for match in row]
                    for row in hits]  # fmt: skip
            near = [[(Kept.of(match), value) for match, value in row if value <= within]
                    for row in rows]  # fmt: skip
            if k or most == count or all(len(a) < len(b) for a, b in zip(near, rows, strict=True)):
                return near
            most = min(8 * most, count)

    def _by_own(
        self, probes: FloatArray, metric: Metric, count: int, within: float, k: int | None
    ) -> list[list[tuple[Kept, float]]]:
        """``nearest`` by a function of the caller's, which is asked about every face."""
        contract = self.model.embedder.contract_id
        known = {
            person_id: vector
            for _, people, block in self._gallery.vectors(self._collection, contract)
            for person_id, vector in zip(people, block, strict=True)
        }
        hits = self._gallery.search(self._collection, Embeddings(probes, contract), k=count)
        found = []
        for probe, row in zip(probes, hits, strict=True):
            there = [match for match in row if match.person_id in known]
            told = [(Kept.of(m), distances.distance(probe, known[m.person_id], metric))
                    for m in there]  # fmt: skip
            near = sorted((one for one in told if one[1] <= within), key=lambda one: one[1])
            found.append(near[:k])
        return found

    def _read(self) -> None:
        """Which pictures were looked at, and who stands for their faces."""
        self._hashes: dict[str, str] = {}
        self._people: dict[str, list[str]] = {}
        for person in self._gallery.everybody(self._collection):
            self._keep(person)

    def _keep(self, person: Person) -> None:
        identity = person.metadata["identity"]
        self._hashes[identity] = person.metadata["hash"]
        self._people.setdefault(identity, []).append(person.id)

    def _there(self) -> Iterator[tuple[str, str]]:
        """Every picture and a digest of its size and times."""
        for folder, _, files in os.walk(self.folder):
            for file in files:
                if file.lower().endswith(SUFFIXES):
                    path = Path(folder) / file
                    stat = path.stat()
                    identity = str(path.relative_to(self.folder))
                    yield identity, _sha1(f"{stat.st_size}-{stat.st_ctime}-{stat.st_mtime}")

    def _look(self, identity: str, digest: str) -> None:
        told = {"identity": identity, "hash": digest}
        name = _sha1(identity)  # names are unique whatever their case, paths are not
        try:
            found = find_faces(str(self.folder / identity), self.backend)[0]
        except ValueError as error:  # no picture, or no face in it: not to be looked at again
            _LOG.warning("%s is left out: %s", self.folder / identity, error)
            self._keep(self._gallery.add_person(self._collection, name, metadata=told))
            return
        embedded, _ = vectors(found, self.model, by_points=self.by_points)
        contract = self.model.embedder.contract_id
        for row, area in enumerate(found.areas):
            vector = Embeddings(embedded[row : row + 1], contract)
            face = NewFace(vector, photo_id=f"{digest}{row}")
            person, _ = self._gallery.enrol(
                self._collection, f"{name} {row}", [face], metadata=told | {"area": area}
            )
            self._keep(person)

    def _forget(self, identity: str) -> None:
        self._hashes.pop(identity, None)
        for person_id in self._people.pop(identity, []):
            self._gallery.delete_person(self._collection, person_id)


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(errors="surrogateescape"), usedforsecurity=False).hexdigest()


__all__ = ["FILE", "FolderIndex"]

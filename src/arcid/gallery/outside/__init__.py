"""Vector databases that carry an index for a gallery too large for one machine's memory.

SQL stays the truth: an engine holds integer keys and vectors, is fed from the change log, and can
be dropped at any time. What it finds are candidates; their vectors are read from the gallery and
compared exactly (``index.OutsideIndex``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from arcid.gallery.index import Keys
from arcid.types import FloatArray

GONE = "the vector index was dropped by another process; ask again to have it built"


class Place(NamedTuple):
    """Which index is meant."""

    gallery: str  # its identity
    collection: str  # uid
    contract: str


class Writer(Protocol):
    """One change of an index: all of it is there after the block, or nothing. Nobody else writes
    to the index meanwhile."""

    position: str | None
    """What the index was told last, as it was given; None for one that is empty."""

    def empty(self) -> None:
        """Forget everything."""

    def remove(self, face_keys: Keys) -> None:
        """Forget faces; keys that are not held are ignored."""

    def add(self, face_keys: Keys, vectors: FloatArray) -> None:
        """(N,) keys that are not held and (N,D) unit vectors."""


class Engine(Protocol):
    """One index of one contract. Searches may run in several threads at once."""

    margin: float
    """How far a score may lie from the true cosine."""
    most: int | None
    """As many it hands out at once; None: any number."""
    locks: bool
    """Whether ``writing`` itself keeps every other process out."""

    def writing(self) -> AbstractContextManager[Writer]:
        """Raises ``IndexUnavailable``."""

    def nearest(self, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        """(D,) in; keys and scores of the ``count`` nearest, best first. Raises
        ``IndexUnavailable``."""

    def __len__(self) -> int:
        """Faces it was given. Raises ``IndexUnavailable``."""

    def count(self) -> int:
        """Faces that are there, counted one by one. Raises ``IndexUnavailable``."""


class Server(Protocol):
    """A vector database, and the indexes in it."""

    kind: str  # as ``ARCID_INDEX`` names it
    name: str  # for people; no credentials
    blind: bool  # vectors are turned by a secret rotation before they go there
    exact: bool  # whether every nearer face is among those found

    def engine(self, place: Place, dim: int) -> Engine:
        """An index, made empty where there is none. Raises ``IndexUnavailable``."""

    def places(self, gallery: str) -> Sequence[Place]:
        """The indexes of one gallery. Raises ``IndexUnavailable``."""

    def drop(self, place: Place) -> None:
        """Remove an index, if it is there. Raises ``IndexUnavailable``."""

    def close(self) -> None: ...


__all__ = ["GONE", "Engine", "Place", "Server", "Writer"]

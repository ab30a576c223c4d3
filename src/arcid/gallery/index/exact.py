"""Exact nearest neighbours in memory: an int8 scan proposes, float32 rows from the store decide.

Each row is held as int8 codes together with a bound on what rounding can have changed. Whatever
could still be among the best by that bound is fetched and measured again in full, so the answers
are those of a float32 scan for a quarter of its memory traffic.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from arcid.errors import GalleryError, InvalidArray, UsageError
from arcid.gallery.index import Aggregate, FetchVectors, Keys, PersonHit, int8
from arcid.gallery.index import blocks as block_list
from arcid.gallery.index.blocks import BLOCK_ROWS, Block, Chosen, NewRows, Piece
from arcid.gallery.index.candidates import Candidates, offer
from arcid.gallery.index.people import MeanRivals, by_best_face
from arcid.gallery.index.state import Part, State
from arcid.runtime import default_threads
from arcid.types import FloatArray

ADD_ROWS = 4096  # quantised at a time
FETCH_ROWS = 2048  # most rows asked of the store at once
PROBES = 64  # share one pass over the rows
PIECE_BYTES = 1 << 24  # of codes multiplied together

Found = tuple[Keys, Keys, FloatArray]  # face keys, person keys, cosines
Visit = Callable[[int, Piece], None]  # block number, some of its rows


class ExactIndex:
    """The faces of one collection as seen by one model; every answer is exact.

    ``fetch`` gives the float32 rows that were added, in the order of the keys. It is called in
    the thread that searches, with no lock held. Searches run side by side, and each sees one
    state of the index whatever is written meanwhile. ``threads`` scan together (default: all
    cores this process may use).
    """

    def __init__(
        self,
        dim: int,
        fetch: FetchVectors,
        *,
        threads: int | None = None,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        if dim < 1 or block_rows < 1:
            raise UsageError(f"dim and block_rows must be at least 1, got {dim} and {block_rows}")
        self._dim = dim
        self._fetch = fetch
        self._threads = threads or default_threads()
        self._full = block_rows
        self._blocks: tuple[Block, ...] = ()
        self._newest: int | None = None  # the greatest face key ever added
        self._writing = threading.Lock()
        self._closed = False
        self._helpers: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return sum(block.size - block.removed for block in self._blocks)

    @property
    def kernel(self) -> str:
        """Which kernel scans on this machine."""
        return int8.kernel()[0]

    @property
    def nbytes(self) -> int:
        """Bytes held for rows, keys and bounds, spare room included."""
        return sum(block.nbytes for block in self._blocks)

    def add(self, face_keys: Keys, person_keys: Keys, vectors: FloatArray) -> None:
        """(N,) face keys, (N,) person keys, (N,D) float32 unit norm; a known face is replaced.

        Raises ``InvalidArray`` for other shapes, repeated keys, or vectors not of unit norm.
        """
        faces, people = _pairs(face_keys, person_keys)
        rows = _unit_rows("vectors", vectors, self._dim)
        if len(rows) != len(faces):
            raise InvalidArray(f"{len(faces)} face keys need as many vectors, got {len(rows)}")
        unique = np.unique(faces)
        if len(unique) != len(faces):
            raise InvalidArray("a face key was given twice in one call; give each face once")
        if len(faces) == 0:
            return
        with self._writing:
            blocks = self._written()
            if self._newest is not None and unique[0] <= self._newest:
                blocks = block_list.remove(blocks, unique, self._full)
            for start in range(0, len(faces), ADD_ROWS):
                part = slice(start, start + ADD_ROWS)
                new = NewRows(int8.quantise(rows[part]), faces[part], people[part])
                blocks = block_list.append(blocks, new, self._full)
            newest = int(unique[-1])
            self._newest = newest if self._newest is None else max(self._newest, newest)
            self._blocks = tuple(blocks)

    def state(self) -> State:
        """All it holds now, to be written to a file."""
        with self._writing:
            return State(tuple(self._written()), self._full, self._dim)

    def begin(self, parts: Iterable[Callable[[], Part]]) -> None:
        """Hold what another index's state held; each thread fetches a part. Raises
        what they raise, and ``InvalidArray`` unless this one is empty and the parts are whole
        blocks of its own, but for the last."""
        with ThreadPoolExecutor(self._threads, "arcid-index") as threads:
            blocks = list(threads.map(lambda part: _block_of(part(), self._full), parts))
        if len(self) or any(block.size != self._full for block in blocks[:-1]):
            raise _not_begun()
        with self._writing:
            self._written()
            self._blocks = tuple(blocks)
            self._newest = max((int(block.faces.max()) for block in blocks), default=None)

    def remove(self, face_keys: Keys) -> None:
        """Forget faces; keys that are not held are ignored."""
        keys = np.unique(_keys("face_keys", face_keys))
        with self._writing:
            blocks = self._written()
            if len(keys):
                self._blocks = tuple(block_list.remove(blocks, keys, self._full))

    def set_person(self, face_keys: Keys, person_keys: Keys) -> None:
        """Give faces to other people; keys not held are ignored, a key's last person counts."""
        faces, people = _pairs(face_keys, person_keys)
        keys, last = np.unique(faces[::-1], return_index=True)
        with self._writing:
            blocks = self._written()
            if len(keys):
                self._blocks = tuple(block_list.move(blocks, keys, people[::-1][last]))

    def search_faces(
        self, probes: FloatArray, k: int, exclude_person: int | None = None
    ) -> list[Found]:
        """(Q,D) float32 unit-norm probes in; per probe (face keys, person keys, cosines) out.

        The k nearest faces (all, if there are fewer), best first, equal cosines by face key.
        Raises ``InvalidArray`` for wrong probes, ``UsageError`` for k below 1.
        """
        found = []
        blocks, checked = self._begin(probes, k)
        chosen = Chosen(exclude_person)
        for faces, people, cosines in self._nearest(blocks, checked, k, False, chosen):
            order = np.lexsort((faces, -cosines))[:k]
            found.append((faces[order], people[order], cosines[order]))
        return found

    def search_people(
        self,
        probes: FloatArray,
        k: int,
        *,
        aggregate: Aggregate = "max",
        top_m: int = 3,
        exclude_person: int | None = None,
        only_people: Keys | None = None,
    ) -> list[list[PersonHit]]:
        """(Q,D) float32 unit-norm probes in; per probe the k best people, best first.

        ``only_people``: (N,) sorted keys; nobody else is compared.

        A person's cosine is that of the nearest face ("max"), or the mean over the ``top_m``
        nearest ("mean"; over all faces of a person who has fewer). Equal cosines by person key.
        """
        if aggregate not in ("max", "mean"):
            raise UsageError(f"aggregate {aggregate!r} is unknown; use max or mean")
        if top_m < 1:
            raise UsageError(f"top_m must be at least 1, got {top_m}")
        blocks, checked = self._begin(probes, k)
        chosen = Chosen(exclude_person, only_people)
        if aggregate == "mean":
            return [self._by_mean(blocks, p, k, top_m, chosen) for p in checked]
        nearest = self._nearest(blocks, checked, k, True, chosen)
        return [by_best_face(blocks, *found, k) for found in nearest]

    def held(self, people: Keys) -> int:
        """How many faces these people have: (N,) sorted keys in."""
        return sum(len(block.of_people(people)) for block in self._written())

    def close(self) -> None:
        """Free memory and threads; the index cannot be used again."""
        with self._writing:
            self._closed, self._blocks = True, ()
            helpers, self._helpers = self._helpers, None
        if helpers is not None:
            helpers.shutdown(wait=False)

    def _written(self) -> Sequence[Block]:
        if self._closed:
            raise GalleryError("this search index was closed; open the gallery again")
        return self._blocks

    def _begin(self, probes: FloatArray, k: int) -> tuple[Sequence[Block], FloatArray]:
        if k < 1:
            raise UsageError(f"k must be at least 1, got {k}")
        return self._written(), _unit_rows("probes", probes, self._dim)

    def _nearest(
        self,
        blocks: Sequence[Block],
        probes: FloatArray,
        k: int,
        by_person: bool,
        chosen: Chosen,
    ) -> Iterator[Found]:
        """Per probe a superset of the best k with true cosines, everything of it that matters."""
        for start in range(0, len(probes), PROBES):
            part = probes[start : start + PROBES]
            rounded = int8.Probes.rounded(part)
            sets = [Candidates(k, by_person) for _ in part]
            self._scan(blocks, rounded, chosen, functools.partial(_offer, sets))
            for candidates in sets:
                candidates.settle()
            self._measure_all(sets, part)
            yield from (candidates.result() for candidates in sets)

    def _measure_all(self, sets: Sequence[Candidates], probes: FloatArray) -> None:
        while True:
            batches = [candidates.next_batch() for candidates in sets]
            if not any(len(batch) for batch in batches):
                return
            keys = [c.faces[batch] for c, batch in zip(sets, batches, strict=True)]
            cosines = self._cosines(keys, probes)
            for candidates, batch, own in zip(sets, batches, cosines, strict=True):
                candidates.measured(batch, own)

    def _by_mean(
        self,
        blocks: Sequence[Block],
        probe: FloatArray,
        k: int,
        top_m: int,
        chosen: Chosen,
    ) -> list[PersonHit]:
        """A mean is at most the best cosine: people with no face above k known means are out."""
        rounded = int8.Probes.rounded(probe[None])
        probe_error = float(rounded.error[0])
        likely = Candidates(4 * k, True)
        uppers = [np.empty(block.size, np.float32) for block in blocks]

        def visit(number: int, piece: Piece) -> None:
            (uppers[number][piece.rows],) = piece.upper()
            offer(piece, [likely])

        self._scan(blocks, rounded, chosen, visit)
        likely.settle()
        if len(likely.people) == 0:
            return []
        first = MeanRivals(blocks, uppers, np.unique(likely.people), top_m, probe_error)
        reach = max(first.floor(k) - probe_error, float(np.finfo(np.float32).min))
        able = [
            block.people[np.flatnonzero(upper >= reach)]
            for block, upper in zip(blocks, uppers, strict=True)
        ]
        rivals = MeanRivals(blocks, uppers, np.unique(np.concatenate(able)), top_m, probe_error)
        while len(batch := rivals.next_batch(k)):
            rivals.measured(batch, self._cosines([rivals.keys(batch)], probe[None])[0])
        return rivals.best(k)

    def _cosines(self, keys: Sequence[Keys], probes: FloatArray) -> list[FloatArray]:
        """Per probe the true cosines of its faces: float64 sums of float32 rows, as float32.

        Summed row by row, so equal vectors get equal cosines wherever they stand.
        """
        union = np.unique(np.concatenate(keys))
        places = [np.searchsorted(union, own) for own in keys]
        cosines = [np.empty(len(own), np.float32) for own in keys]
        for start in range(0, len(union), FETCH_ROWS):
            rows = self._rows(union[start : start + FETCH_ROWS])
            for own, place, probe in zip(cosines, places, probes, strict=True):
                here = np.flatnonzero((place >= start) & (place < start + FETCH_ROWS))
                if len(here):
                    own[here] = (rows[place[here] - start] * probe.astype(np.float64)).sum(axis=1)
        return cosines

    def _rows(self, keys: Keys) -> FloatArray:
        rows = np.asarray(self._fetch(keys), np.float32)
        if rows.shape != (len(keys), self._dim):
            raise InvalidArray(
                f"the store gave vectors of shape {rows.shape} for {len(keys)} faces; "
                f"expected ({len(keys)}, {self._dim})"
            )
        return rows

    def _scan(
        self,
        blocks: Sequence[Block],
        probes: int8.Probes,
        chosen: Chosen,
        visit: Visit,
    ) -> None:
        """Show ``visit`` all rows, a piece at a time, in several threads."""
        high = self._rows_at_once(len(probes.codes))
        pieces = [
            (number, start, min(start + high, block.size))
            for number, block in enumerate(blocks)
            for start in range(0, block.size, high)
        ]
        left = iter(pieces)

        def work() -> None:
            for number, start, stop in left:
                visit(number, self._piece(blocks[number], start, stop, probes, chosen))

        helpers = self._helpers_for(min(self._threads, len(pieces)) - 1, work)
        try:
            work()
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()

    def _rows_at_once(self, probes: int) -> int:
        """How many rows of a block make a piece, for so many probes."""
        return max(1, PIECE_BYTES // self._dim)

    def _piece(
        self, block: Block, start: int, stop: int, probes: int8.Probes, chosen: Chosen
    ) -> Piece:
        return Piece(block, start, stop, probes, chosen)

    def _helpers_for(self, count: int, work: Callable[[], None]) -> list[Future[None]]:
        if count < 1:
            return []
        with self._writing:
            self._written()
            if self._helpers is None:
                self._helpers = ThreadPoolExecutor(self._threads - 1, "arcid-search")
            return [self._helpers.submit(work) for _ in range(count)]


def _not_begun() -> InvalidArray:
    return InvalidArray("an index begins empty, with whole blocks of its own size")


def _block_of(part: Part, full: int) -> Block:
    if len(part) > full:
        raise _not_begun()
    columns = (part.codes, part.faces, part.people, part.step, part.error)
    return Block(*columns, size=len(part))


def _offer(sets: Sequence[Candidates], _: int, piece: Piece) -> None:
    offer(piece, sets)


def _keys(name: str, keys: Keys) -> Keys:
    array = np.asarray(keys)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
        raise InvalidArray(f"{name} must be (N,) whole numbers, got {array.shape} of {array.dtype}")
    return array.astype(np.int64)


def _pairs(face_keys: Keys, person_keys: Keys) -> tuple[Keys, Keys]:
    faces, people = _keys("face_keys", face_keys), _keys("person_keys", person_keys)
    if len(faces) != len(people):
        raise InvalidArray(f"{len(faces)} face keys need as many person keys, got {len(people)}")
    return faces, people


def _unit_rows(name: str, rows: FloatArray, dim: int) -> FloatArray:
    array = np.asarray(rows, np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise InvalidArray(f"{name} must have shape (N,{dim}), got {array.shape}")
    norms = np.sqrt(np.einsum("nd,nd->n", array, array))
    if not (np.abs(norms - 1) <= int8.NORM_TOLERANCE).all():
        raise InvalidArray(f"{name} must have unit norm and no NaN; normalise them first")
    return array

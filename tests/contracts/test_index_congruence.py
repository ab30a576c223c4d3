"""Every vector index gives the answers of a plain NumPy scan over float32 rows."""

from __future__ import annotations

import unittest
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arcid.gallery.index import PersonHit, VectorIndex, int8
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.index.reference import ReferenceIndex
from arcid.gallery.outside import Place, Server
from arcid.gallery.outside import chroma as of_chroma
from arcid.gallery.outside import milvus as of_milvus
from arcid.gallery.outside.index import OutsideIndex
from arcid.gallery.outside.pgvector import PgVector

NOISE = 2e-6  # float32 sums in another order may differ by this much


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@dataclass
class Truth:
    """A store of float32 rows, and the answers read off it by brute force in float64."""

    dim: int
    rows: dict[int, tuple[int, np.ndarray]] = field(default_factory=dict)

    def fetch(self, keys: np.ndarray) -> np.ndarray:
        return np.array([self.rows[int(key)][1] for key in keys], np.float32).reshape(-1, self.dim)

    def ranked(self, probe: np.ndarray, excluded: int | None) -> list[tuple[int, int, float]]:
        kept = [(f, p, v) for f, (p, v) in self.rows.items() if p != excluded]
        rows = np.array([v for _, _, v in kept], np.float64).reshape(-1, self.dim)
        cosines = rows @ probe.astype(np.float64)
        found = [(f, p, float(c)) for (f, p, _), c in zip(kept, cosines, strict=True)]
        return sorted(found, key=lambda row: (-row[2], row[0]))

    def people(
        self, probe: np.ndarray, excluded: int | None, top_m: int
    ) -> list[tuple[int, int, float, int]]:
        own: dict[int, list[tuple[int, float]]] = {}
        for face, person, cosine in self.ranked(probe, excluded):
            own.setdefault(person, []).append((face, cosine))
        found = [
            (person, faces[0][0], float(np.mean([c for _, c in faces[:top_m]])), len(faces))
            for person, faces in own.items()
        ]
        return sorted(found, key=lambda hit: (-hit[2], hit[0]))


def check_faces(index: VectorIndex, truth: Truth, probes: np.ndarray, k: int, excluded=None):
    for probe, found in zip(probes, index.search_faces(probes, k, excluded), strict=True):
        ranked = truth.ranked(probe, excluded)
        score = {face: cosine for face, _, cosine in ranked}
        faces, people, cosines = (column.tolist() for column in found)
        assert len(set(faces)) == len(faces) == min(k, len(ranked))
        assert people == [truth.rows[face][0] for face in faces]
        assert cosines == sorted(cosines, reverse=True)
        assert cosines == pytest.approx([score[face] for face in faces], abs=NOISE)
        assert cosines == pytest.approx([c for _, _, c in ranked[:k]], abs=NOISE)


def check_people(
    index: VectorIndex, truth: Truth, probes: np.ndarray, k: int, top_m: int, excluded=None,
    only=None,
):  # fmt: skip
    aggregate = "mean" if top_m > 1 else "max"
    found = index.search_people(
        probes, k, aggregate=aggregate, top_m=top_m, exclude_person=excluded, only_people=only
    )
    for probe, hits in zip(probes, found, strict=True):
        ranked = truth.people(probe, excluded, top_m)
        expected = {person: (cosine, faces) for person, _, cosine, faces in ranked}
        score = {face: cosine for face, _, cosine in truth.ranked(probe, excluded)}
        assert len({hit.person_key for hit in hits}) == len(hits) == min(k, len(ranked))
        for place, hit in enumerate(hits):
            assert isinstance(hit, PersonHit)
            cosine, faces = expected[hit.person_key]
            assert hit.faces == faces
            assert hit.cosine == pytest.approx(cosine, abs=NOISE)
            assert hit.cosine == pytest.approx(ranked[place][2], abs=NOISE)
            best = max(s for f, s in score.items() if truth.rows[f][0] == hit.person_key)
            assert truth.rows[hit.best_face_key][0] == hit.person_key
            assert score[hit.best_face_key] == pytest.approx(best, abs=NOISE)


Make = Callable[[int, Callable[[np.ndarray], np.ndarray]], VectorIndex]
KINDS: dict[str, Make] = {
    "reference": ReferenceIndex,
    "exact": ExactIndex,
    "exact, many small blocks": lambda dim, fetch: ExactIndex(dim, fetch, threads=3, block_rows=48),
}


class Reading:
    """What ``outside.index.Truth`` reads, of a ``Truth``."""

    def __init__(self, fetch: Any) -> None:
        self.truth: Truth = fetch.__self__

    def __call__(self, face_keys: np.ndarray) -> np.ndarray:
        return self.truth.fetch(face_keys)

    def everybody(self) -> np.ndarray:
        return np.array(sorted(self.truth.rows), np.int64)

    def owners(self, face_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = [int(key) for key in face_keys if int(key) in self.truth.rows]
        return np.array(kept, np.int64), np.array([self.truth.rows[k][0] for k in kept], np.int64)

    def faces_of(self, person_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = set(person_keys.tolist())
        return self.owners(np.array([f for f, (p, _) in self.truth.rows.items() if p in wanted]))


def by_server(server: Server) -> Make:
    def make(dim: int, fetch: Any) -> VectorIndex:
        place = Place("gallery", uuid.uuid4().hex, "contract")
        return OutsideIndex(server.engine(place, dim), Reading(fetch))

    return make


@pytest.fixture(scope="module")
def pgvector(postgres: Any) -> Iterator[Server]:
    with postgres.database(migrated=False) as url, closing(PgVector(url, graph=False)) as server:
        yield server


@pytest.fixture(scope="module")
def milvus(milvus_url: str) -> Iterator[Server]:
    with closing(of_milvus.server(milvus_url, "milvus")) as server:
        yield server


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Approximate; at these sizes its graph finds all."""
    pytest.importorskip("chromadb", reason="no Chroma: pip install arcid[chroma]")
    place = str(tmp_path_factory.mktemp("chroma"))
    with closing(of_chroma.server(place)) as server:
        yield server


OUTSIDE = [
    pytest.param("pgvector", marks=pytest.mark.postgres),
    pytest.param("milvus", marks=pytest.mark.engine),
    pytest.param("chroma", marks=pytest.mark.engine),
]


@pytest.fixture(params=[*KINDS, *OUTSIDE])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param in KINDS:
        return KINDS[request.param]
    return by_server(request.getfixturevalue(request.param))


def clustered(rng: np.random.Generator, people: int, each: int, dim: int, spread: float):
    centres = rng.standard_normal((people, dim))
    rows = np.repeat(centres, each, axis=0) + rng.standard_normal((people * each, dim)) * spread
    return unit(rows), np.repeat(np.arange(people), each) + 1000


def filled(make: Make, rows: np.ndarray, people: np.ndarray) -> tuple[VectorIndex, Truth]:
    truth = Truth(rows.shape[1])
    index = make(rows.shape[1], truth.fetch)
    keys = np.arange(len(rows)) * 3 + 7
    truth.rows = {int(f): (int(p), v) for f, p, v in zip(keys, people, rows, strict=True)}
    third = len(rows) // 3
    for part in (slice(0, third), slice(third, None)):
        index.add(keys[part], people[part], rows[part])
    return index, truth


@pytest.mark.parametrize("dim", [128, 512, 37])
@pytest.mark.parametrize("spread", [0.3, 0.8, 1e-3])
def test_faces_and_people_of_clustered_vectors(make: Make, dim: int, spread: float) -> None:
    rng = np.random.default_rng(dim)
    rows, people = clustered(rng, 60, 5, dim, spread)
    index, truth = filled(make, rows, people)
    probes = np.concatenate([rows[:6], unit(rows[20:26] + rng.standard_normal((6, dim)) * 0.05)])
    assert len(index) == 300
    check_faces(index, truth, probes, 10)
    for top_m in (1, 2, 3, 9):
        check_people(index, truth, probes, 5, top_m)
    index.close()


@pytest.mark.parametrize("k", [1, 7, 299, 300, 301, 5000])
def test_any_k(make: Make, k: int) -> None:
    rows, people = clustered(np.random.default_rng(k), 60, 5, 64, 0.5)
    index, truth = filled(make, rows, people)
    check_faces(index, truth, rows[:3], k)
    check_people(index, truth, rows[:3], k, 1)
    check_people(index, truth, rows[:3], k, 3)


def test_more_probes_than_share_a_pass(make: Make) -> None:
    rng = np.random.default_rng(5)
    rows, people = clustered(rng, 40, 4, 64, 0.5)
    index, truth = filled(make, rows, people)
    probes = unit(rng.standard_normal((41, 64)))
    check_faces(index, truth, probes, 3)
    check_people(index, truth, probes, 3, 1)
    assert index.search_faces(np.zeros((0, 64), np.float32), 3) == []


def test_an_empty_index_finds_nobody(make: Make) -> None:
    truth = Truth(16)
    index = make(16, truth.fetch)
    probe = unit(np.ones((1, 16)))
    nothing = np.zeros(0, np.int64)
    index.add(nothing, nothing, np.zeros((0, 16), np.float32))
    check_faces(index, truth, probe, 5)
    check_people(index, truth, probe, 5, 1)
    check_people(index, truth, probe, 5, 3)
    assert len(index) == 0


def test_a_person_can_be_left_out(make: Make) -> None:
    rows, people = clustered(np.random.default_rng(1), 30, 5, 64, 0.3)
    index, truth = filled(make, rows, people)
    for top_m in (1, 3):
        check_people(index, truth, rows[:10:5], 4, top_m, excluded=int(people[0]))
    check_faces(index, truth, rows[:10:5], 8, excluded=int(people[0]))
    check_faces(index, truth, rows[:1], 8, excluded=-1)


def test_only_some_people_are_compared(make: Make) -> None:
    rows, people = clustered(np.random.default_rng(3), 60, 5, 64, 0.5)
    index, truth = filled(make, rows, people)
    gone = np.array(sorted(truth.rows))[::7]
    index.remove(gone)
    for key in gone.tolist():
        del truth.rows[key]
    known = np.unique(people)
    for only in (known[::9], known, known[:1], known[:0], np.array([5, 1003, 9999])):
        left = {f: (p, v) for f, (p, v) in truth.rows.items() if p in only}
        some = Truth(64, left)
        assert index.held(only) == len(left)
        for top_m in (1, 3):
            check_people(index, some, rows[:40:8], 4, top_m, only=only)
            check_people(index, some, rows[:40:8], 4, top_m, int(only[0]) if len(only) else 5, only)


def test_a_removed_face_stays_removed(make: Make) -> None:
    rows, people = clustered(np.random.default_rng(6), 60, 5, 64, 0.3)
    index, truth = filled(make, rows, people)
    gone = np.array(sorted(truth.rows))[::40]
    for key in gone.tolist():
        del truth.rows[key]
    for _ in range(2):
        index.remove(gone)
        index.set_person(gone, np.full(len(gone), 5))
        assert len(index) == len(truth.rows) == 292
        check_faces(index, truth, rows[:41:40], 300)
        check_people(index, truth, rows[:41:40], 60, 1)
        check_people(index, truth, rows[:41:40], 60, 3)


def test_one_person_with_most_of_the_faces(make: Make) -> None:
    rng = np.random.default_rng(2)
    rows, people = clustered(rng, 1, 400, 64, 0.4)
    others, more = clustered(rng, 6, 2, 64, 0.4)
    index, truth = filled(make, np.concatenate([rows, others]), np.concatenate([people, more + 9]))
    for top_m in (1, 3, 500):
        check_people(index, truth, rows[:4], 4, top_m)


def test_one_huge_component_among_small_ones(make: Make) -> None:
    """A spike takes up the int8 range; the rest of such a row is rounded to almost nothing."""
    rng = np.random.default_rng(3)
    rows, people = clustered(rng, 50, 4, 128, 0.2)
    rows[::3, 0] = 6.0
    rows[1::9, 5] = -40.0
    rows = unit(rows)
    index, truth = filled(make, rows, people)
    probes = np.concatenate([rows[:4], unit(rng.standard_normal((4, 128)))])
    check_faces(index, truth, probes, 12)
    check_people(index, truth, probes, 6, 1)
    check_people(index, truth, probes, 6, 2)


def test_the_same_vector_many_times(make: Make) -> None:
    rng = np.random.default_rng(4)
    row = unit(rng.standard_normal((1, 64)))
    rows = np.concatenate([np.repeat(row, 200, axis=0), unit(rng.standard_normal((40, 64)))])
    index, truth = filled(make, rows, np.arange(240) // 3)
    check_faces(index, truth, row, 10)
    check_people(index, truth, row, 10, 1)
    check_people(index, truth, row, 10, 3)


class AnyHistory(RuleBasedStateMachine):
    """Adds, moves and removals in any order; few distinct vectors, so that ties are common."""

    make: Make

    @initialize(seed=st.integers(0, 9))
    def begin(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.truth = Truth(24)
        self.index = type(self).make(24, self.truth.fetch)
        self.kinds = unit(self.rng.standard_normal((12, 24)))
        self.next = 0

    @rule(count=st.integers(1, 70), exact=st.booleans())
    def add(self, count: int, exact: bool) -> None:
        rows = self.kinds[self.rng.integers(0, 12, count)]
        if not exact:
            rows = unit(rows + self.rng.standard_normal(rows.shape) * 0.02)
        keys = np.arange(self.next, self.next + count)
        people = self.rng.integers(0, 15, count)
        self.next += count
        self.index.add(keys, people, rows)
        self.truth.rows |= {int(f): (int(p), v) for f, p, v in zip(keys, people, rows, strict=True)}

    @rule(share=st.sampled_from([0.04, 0.15, 0.5, 1.0]))
    def remove(self, share: float) -> None:
        keys = self.some(share)
        self.index.remove(keys)
        for key in keys.tolist():
            self.truth.rows.pop(key, None)

    @rule(share=st.sampled_from([0.04, 0.15, 0.5, 1.0]), person=st.integers(0, 15))
    def move(self, share: float, person: int) -> None:
        keys = self.some(share)
        self.index.set_person(keys, np.full(len(keys), person))
        for key in keys.tolist():
            if key in self.truth.rows:
                self.truth.rows[key] = (person, self.truth.rows[key][1])

    def some(self, share: float) -> np.ndarray:
        """Face keys ever given, those long removed too, and some never given."""
        return np.flatnonzero(self.rng.random(self.next + 3) < share)

    @rule(k=st.integers(1, 30), excluded=st.none() | st.integers(0, 15))
    def search(self, k: int, excluded: int | None) -> None:
        probes = self.kinds[:2]
        check_faces(self.index, self.truth, probes, k, excluded)
        for top_m in (1, 3):
            check_people(self.index, self.truth, probes, k, top_m, excluded)

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "truth"):
            assert len(self.index) == len(self.truth.rows)

    def teardown(self) -> None:
        if hasattr(self, "index"):
            self.index.close()


def _history(make: Make) -> type[unittest.TestCase]:
    machine: Any = type("History", (AnyHistory,), {"make": staticmethod(make)})
    machine.TestCase.settings = settings(
        max_examples=15,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,
    )
    case: type[unittest.TestCase] = machine.TestCase
    return case


TestReferenceHistory = _history(KINDS["reference"])
TestExactHistory = _history(KINDS["exact"])
TestSmallBlocksHistory = _history(KINDS["exact, many small blocks"])


@pytest.mark.parametrize("kind", OUTSIDE)
def test_any_history_outside(kind: str, request: pytest.FixtureRequest) -> None:
    case: Any = _history(by_server(request.getfixturevalue(kind)))("runTest")
    case.runTest()


def test_more_than_an_engine_hands_out_is_compared_here(chroma: Server) -> None:
    """As of one person with most of the faces: the bound never settles it."""
    rng = np.random.default_rng(2)
    rows, people = clustered(rng, 1, 400, 64, 0.4)
    others, more = clustered(rng, 6, 2, 64, 0.4)
    index, truth = filled(
        by_server(chroma), np.concatenate([rows, others]), np.concatenate([people, more + 9])
    )
    assert isinstance(index, OutsideIndex)
    index.engine.most = 100
    check_people(index, truth, rows[:2], 4, 3)
    check_faces(index, truth, rows[:2], 350)


@pytest.fixture(params=["numpy-float32", "numkong-int8"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "numpy-float32":
        monkeypatch.setattr(int8, "kernel", lambda: (name, int8.numpy_products))
    return name


def test_every_kernel_gives_these_answers(kernel: str) -> None:
    rows, people = clustered(np.random.default_rng(8), 80, 5, 200, 0.4)
    index, truth = filled(KINDS["exact, many small blocks"], rows, people)
    assert isinstance(index, ExactIndex)
    assert index.kernel == kernel
    check_faces(index, truth, rows[:5], 10)
    check_people(index, truth, rows[:5], 10, 3)

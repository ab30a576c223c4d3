"""What the exact index promises beyond right answers: proof, memory, threads, typed errors."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from arcid.bench import search
from arcid.errors import GalleryError, InvalidArray, UsageError
from arcid.gallery.index import int8, packed
from arcid.gallery.index.blocks import Chosen, Piece
from arcid.gallery.index.exact import FETCH_ROWS, ExactIndex
from arcid.gallery.index.state import Part


def unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Store:
    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def fetch(self, keys: np.ndarray) -> np.ndarray:
        self.asked.append(len(keys))
        return self.rows[keys]


class Indexed(ExactIndex):
    """An index with the store its vectors are fetched from."""

    def __init__(self, rows: np.ndarray, **options: int) -> None:
        self.store = Store(rows)
        super().__init__(rows.shape[1], self.store.fetch, **options)


def indexed(rows: np.ndarray, people: np.ndarray | None = None, **options: int) -> Indexed:
    index = Indexed(rows, **options)
    keys = np.arange(len(rows))
    index.add(keys, keys if people is None else people, rows)
    return index


def float32_top(rows: np.ndarray, probe: np.ndarray, k: int) -> list[int]:
    return np.argsort(-(rows @ probe), kind="stable")[:k].tolist()


# --- the bound ---


def hard_rows(dim: int) -> np.ndarray:
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((400, dim))
    rows[:100, 0] = 30
    rows[100:200] *= rng.random((100, dim)) < 0.05
    rows[100:200, 1] += 1e-3
    rows[200:300] = np.sign(rows[200:300])
    return unit(rows)


@pytest.mark.parametrize("dim", [16, 128, 512, 2048])
def test_no_cosine_is_further_from_its_estimate_than_the_bound(dim: int) -> None:
    rows = hard_rows(dim)
    codes, step, error = int8.quantise(rows)
    restored = codes.astype(np.float64) * step[:, None].astype(np.float64)
    residual = rows - restored
    assert np.abs(codes.astype(int)).max() <= 127
    worst = unit(residual[np.linalg.norm(residual, axis=1) > 1e-5])  # attains Cauchy–Schwarz
    for probes in (rows, worst):
        off = np.abs((rows - restored) @ probes.T.astype(np.float64))
        assert (off <= error[:, None]).all()
    attained = np.abs(residual @ worst.T.astype(np.float64)).max(axis=1)
    rough = error > 1e-4
    assert (attained[rough] >= 0.98 * error[rough]).all()


@pytest.mark.parametrize("dim", [16, 128, 512, 2048])
def test_the_scan_itself_stays_within_the_bound(dim: int) -> None:
    rows = hard_rows(dim)
    probes = np.concatenate([rows[::40], unit(rows[::40] + rows[1::40])])
    rounded = int8.Probes.rounded(probes)
    rng = np.random.default_rng(dim)
    index = indexed(rows, block_rows=128)
    truth = probes.astype(np.float64) @ rows.T.astype(np.float64)
    seen = 0
    for block in index._blocks:
        for start in range(0, block.size, 50):
            stop = min(start + 50, block.size)
            piece = Piece(block, start, stop, rounded, Chosen())
            bounds = piece.upper().astype(np.float64)
            upper = bounds + rounded.error[:, None]
            lower = upper - 2 * (block.error[start:stop] + rounded.error[:, None])
            own = truth[:, block.faces[start:stop]]
            assert (own <= upper).all() and (own >= lower).all()
            for floors in rng.choice([-0.5, 0.0, 0.1, 0.6], (5, len(probes))):
                found = piece.reaching(floors)
                for (reached, most), rough, cosines, floor, probe in zip(
                    found, piece.upper(), own, floors, rounded.exact, strict=True
                ):
                    assert set(np.flatnonzero(cosines >= floor) + start) <= set(reached.tolist())
                    assert np.array_equal(most, block.upper(reached, probe))
                    true = cosines[reached - start]
                    assert (true <= most).all() and (true >= most - 2 * block.error[reached]).all()
                    assert (most <= rough[reached - start] + 2 * rounded.error.max()).all()
            seen += stop - start
    assert seen == len(rows)


def carelessly(patch: pytest.MonkeyPatch, *, rows: float = 1, probes: float = 1) -> None:
    """Bounds that are too small by these factors."""
    quantise, rounded = int8.quantise, int8.Probes.rounded
    patch.setattr(
        int8, "quantise", lambda v: quantise(v)._replace(error=quantise(v).error * np.float32(rows))
    )
    patch.setattr(
        int8.Probes, "rounded", lambda v: replace(rounded(v), error=rounded(v).error * probes)
    )


def test_ranks_that_int8_alone_gets_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosines 1e-4 apart, less than what rounding to int8 changes."""
    rng = np.random.default_rng(11)
    probe = unit(rng.standard_normal(512))
    aside = rng.standard_normal((3000, 512))
    aside = unit(aside - np.outer(aside @ probe, probe))
    cosine = rng.permutation(0.2 + 1e-4 * np.arange(3000))[:, None]
    rows = unit(cosine * probe + np.sqrt(1 - cosine**2) * aside)
    expected = float32_top(rows, probe, 10)
    (found,) = indexed(rows).search_faces(probe[None], 10)
    assert found[0].tolist() == expected

    carelessly(monkeypatch, rows=0.01)
    (careless,) = indexed(rows).search_faces(probe[None], 10)
    assert careless[0].tolist() != expected


def test_a_bound_a_tenth_too_small_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row rounded down, a hundred worse ones rounded up, each as far as can be.

    By their bounds the hundred come first, so stopping early misses the one too.
    """
    rng = np.random.default_rng(12)
    whole = np.clip(np.rint(rng.standard_normal(512) * 35), -126, 126)
    whole[1] = 127  # nothing of the probe is rounded
    probe = unit(whole).astype(np.float64)
    codes = np.clip(np.rint(rng.standard_normal(512) * 35), -126, 126)
    codes[0] = 127
    push = probe * (0.49 / np.abs(probe).max())
    push[0] = 0
    gain = 2 * push @ probe
    higher = codes.copy()
    for place in np.argsort(-np.abs(probe)):  # whole steps towards the probe, just below the gain
        step = np.sign(probe[place])
        if abs(higher[place] + step) < 127 and (higher - codes) @ probe + abs(probe[place]) < (
            0.95 * gain
        ):
            higher[place] += step
    rows = unit(np.stack([codes + push, *[higher - push] * 100]))
    probe = probe.astype(np.float32)
    assert float32_top(rows, probe, 1) == [0]
    (found,) = indexed(rows).search_faces(probe[None], 1)
    assert found[0].tolist() == [0]

    carelessly(monkeypatch, rows=0.9)
    (careless,) = indexed(rows).search_faces(probe[None], 1)
    assert careless[0].tolist() == [1]


def test_a_bound_of_the_probe_a_third_too_small_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The nearest row lies along what is rounded off the probe, a block of others against it."""
    half = np.clip(np.rint(np.random.default_rng(14).standard_normal(256) * 35), -126, 126)
    half[0] = 127
    whole = np.concatenate([half, half])
    along = np.repeat([1.0, -1.0], 256)
    along[[0, 256]] = 0
    probe = unit(whole + 0.49 * along)
    left = 0.49 * np.linalg.norm(along) / np.linalg.norm(whole)
    others = unit(1.96 * left * whole / np.linalg.norm(whole) - along / np.linalg.norm(along))
    rows = np.stack([*[others] * 128, unit(along)])
    assert float32_top(rows, probe, 1) == [128]
    (found,) = indexed(rows, block_rows=128, threads=1).search_faces(probe[None], 1)
    assert found[0].tolist() == [128]

    carelessly(monkeypatch, probes=0.7)
    (careless,) = indexed(rows, block_rows=128, threads=1).search_faces(probe[None], 1)
    assert careless[0].tolist() == [0]


# --- order, fetching, memory ---


def test_equal_cosines_come_in_the_order_of_their_keys() -> None:
    row = unit(np.random.default_rng(1).standard_normal((1, 96)))
    rows = np.repeat(row, 500, axis=0)
    index = indexed(rows, np.arange(500)[::-1] // 2, block_rows=100)
    (found,) = index.search_faces(row, 7)
    assert found[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    for aggregate in ("max", "mean"):
        (hits,) = index.search_people(row, 3, aggregate=aggregate)
        assert [hit.person_key for hit in hits] == [0, 1, 2]
        assert [hit.best_face_key for hit in hits] == [498, 496, 494]


def test_few_rows_are_fetched_and_never_many_at_once() -> None:
    rng = np.random.default_rng(2)
    rows = unit(rng.standard_normal((40_000, 128)))
    index = indexed(rows)
    index.search_faces(rows[:1], 10)
    assert sum(index.store.asked) < 400

    same = np.repeat(unit(rng.standard_normal((1, 16))), 9000, axis=0)
    index = indexed(same)
    (found,) = index.search_faces(same[:1], 5)
    assert found[0].tolist() == [0, 1, 2, 3, 4]
    assert sum(index.store.asked) == 9000 and max(index.store.asked) <= FETCH_ROWS


def test_probes_that_want_the_same_face_fetch_it_once() -> None:
    rows = unit(np.random.default_rng(3).standard_normal((200, 64)))
    index = indexed(rows)
    index.search_faces(np.repeat(rows[:1], 12, axis=0), 3)
    alone = indexed(rows)
    alone.search_faces(rows[:1], 3)
    assert index.store.asked == alone.store.asked


def test_columns_and_codes_are_all_there_is() -> None:
    rows = unit(np.random.default_rng(4).standard_normal((4 * 1024, 512)))
    index = indexed(rows, block_rows=1024)
    assert index.nbytes <= 1.1 * len(rows) * (512 + 16)
    index.remove(np.arange(0, 4096, 2))
    assert len(index) == 2048
    assert index.nbytes <= 1.1 * len(index) * (512 + 16) + 1024 * 540
    index.remove(np.arange(4096))
    assert (len(index), index.nbytes) == (0, 0)
    index.add(np.arange(4096), np.arange(4096), rows)
    (found,) = index.search_faces(rows[9:10], 1)
    assert found[0].tolist() == [9]


_GROWTH = """
import gc, numpy as np, psutil
from arcid.gallery.index.exact import BLOCK_ROWS, ExactIndex
rng = np.random.default_rng(0)
def rows(n):
    block = rng.standard_normal((n, 512), np.float32)
    return block / np.linalg.norm(block, axis=1, keepdims=True)
def add(index, start, n):
    keys = np.arange(start, start + n)
    index.add(keys, keys, rows(n))
warm = ExactIndex(512, lambda keys: rows(len(keys)))
add(warm, 0, BLOCK_ROWS)
warm.close()
index = ExactIndex(512, lambda keys: rows(len(keys)))
gc.collect()
before = psutil.Process().memory_info().rss
count = 3 * BLOCK_ROWS
for start in range(0, count, 4096):
    add(index, start, 4096)
gc.collect()
print((psutil.Process().memory_info().rss - before) / (count * (512 + 16)))
"""


@pytest.mark.slow
def test_resident_memory_stays_near_the_int8_vectors_and_ids() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH], capture_output=True, text=True, check=True, timeout=120
    )
    assert 0.5 < float(done.stdout) <= 1.6


# --- threads ---


def test_searches_see_whole_writes_only() -> None:
    """Pairs of faces come, move and go together; no search may see half a pair."""
    rng = np.random.default_rng(5)
    rows = unit(rng.standard_normal((4000, 32)))
    store = Store(rows)
    index = ExactIndex(32, store.fetch, threads=2, block_rows=64)
    done, torn = threading.Event(), []

    def search() -> int:
        count = 0
        while not done.is_set() or count == 0:
            (found,) = index.search_faces(rows[:1], 4000)
            faces, people, cosines = found
            order = np.argsort(faces)
            pairs, owners = faces[order].reshape(-1, 2), people[order].reshape(-1, 2)
            if not ((pairs[:, 0] // 2 == pairs[:, 1] // 2) & (owners[:, 0] == owners[:, 1])).all():
                torn.append(count)
            if not np.allclose(cosines, rows[faces] @ rows[0], atol=2e-6):
                torn.append(count)
            count += 1
        return count

    with ThreadPoolExecutor(2) as pool:
        searches = [pool.submit(search) for _ in range(2)]
        try:
            for start in range(0, 600, 2):
                pair = np.array([start, start + 1])
                index.add(pair, pair // 2, rows[pair])
                if start % 3 == 0:
                    index.set_person(pair, np.array([start + 10_000] * 2))
                if start % 4 == 0:
                    old = pair // 4 * 2
                    index.remove(np.array([old[0], old[0] + 1]))
        finally:
            done.set()
        assert sum(search.result() for search in searches) > 2
    assert torn == []


def test_searches_in_many_threads_agree() -> None:
    rows = unit(np.random.default_rng(6).standard_normal((3000, 64)))
    index = indexed(rows, threads=2, block_rows=256)
    expected = [float32_top(rows, rows[i], 5) for i in range(60)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda i: index.search_faces(rows[i : i + 1], 5)[0][0], range(60)))
    assert [faces.tolist() for faces in found] == expected
    index.close()


def test_an_error_in_the_store_reaches_the_caller() -> None:
    rows = unit(np.random.default_rng(7).standard_normal((300, 16)))

    def broken(keys: np.ndarray) -> np.ndarray:
        raise GalleryError("the disk went away")

    index = ExactIndex(16, broken, block_rows=32)
    index.add(np.arange(300), np.arange(300), rows)
    with pytest.raises(GalleryError, match="disk went away"):
        index.search_faces(rows[:1], 3)
    index = ExactIndex(16, lambda keys: rows[:1], block_rows=32)
    index.add(np.arange(300), np.arange(300), rows)
    with pytest.raises(InvalidArray, match="the store gave"):
        index.search_people(rows[:1], 3)


# --- writing ---


def test_a_face_added_again_is_replaced() -> None:
    rows = unit(np.random.default_rng(8).standard_normal((6, 16)))
    store = Store(rows[:3].copy())
    index = ExactIndex(16, store.fetch)
    index.add(np.arange(3), np.arange(3), rows[:3])
    store.rows[1] = rows[4]
    index.add(np.array([1]), np.array([77]), rows[4:5])
    assert len(index) == 3
    (found,) = index.search_faces(rows[4:5], 1)
    assert found[0].tolist() == [1] and found[1].tolist() == [77]
    index.remove(np.array([1]))
    assert len(index) == 2


@pytest.mark.parametrize("block_rows", [7, 32, 500])
def test_a_state_begins_another_index_that_goes_on_alike(block_rows: int) -> None:
    rows = hard_rows(100)
    index = indexed(rows, np.arange(400) // 3, block_rows=block_rows)
    index.remove(np.arange(10, 150))
    index.set_person(np.array([5, 300]), np.array([900, 901]))
    state = index.state()
    index.remove(np.array([399]))  # of what was there then, nothing changes
    assert len(state) == 260
    parts = list(state.parts())
    assert [len(part) for part in parts[:-1]] == [block_rows] * (260 // block_rows)
    again = ExactIndex(100, index.store.fetch, block_rows=block_rows)
    again.begin(partial(Part.unpacked, bytearray(part.packed()), 100) for part in parts)
    again.remove(np.array([399]))
    for one in (index, again):
        one.add(np.arange(20, 40), np.arange(20, 40), rows[20:40])
        one.remove(np.arange(200, 230))
    assert len(again) == len(index) == 260 - 1 + 20 - 30
    for k in (1, 12):
        for own, other in zip(
            index.search_faces(rows[::40], k), again.search_faces(rows[::40], k), strict=True
        ):
            assert all(np.array_equal(a, b) for a, b in zip(own, other, strict=True))
        assert index.search_people(rows[::40], k) == again.search_people(rows[::40], k)
    with pytest.raises(InvalidArray, match="begins empty"):
        again.begin([partial(copy, part) for part in parts])
    smaller = ExactIndex(100, index.store.fetch, block_rows=5)
    with pytest.raises(InvalidArray, match="whole blocks"):
        smaller.begin([partial(copy, part) for part in parts])
    assert len(smaller) == 0


def test_what_cannot_be_added_is_refused_and_changes_nothing() -> None:
    rows = unit(np.random.default_rng(9).standard_normal((4, 16)))
    index = indexed(rows)
    keys, nan = np.arange(2), rows[:2].copy()
    nan[0, 0] = np.nan
    for faces, people, vectors, message in (
        (keys, keys, rows[:2, :8], r"shape \(N,16\)"),
        (keys, keys, rows[:2] * 1.01, "unit norm"),
        (keys, keys, nan, "unit norm"),
        (keys, keys[:1], rows[:2], "as many person keys"),
        (keys, keys, rows[:3], "as many vectors"),
        (np.array([5, 5]), keys, rows[:2], "twice"),
        (np.array([0.5, 1.5]), keys, rows[:2], "whole numbers"),
    ):
        with pytest.raises(InvalidArray, match=message):
            index.add(faces, people, vectors)
    with pytest.raises(InvalidArray, match="as many person keys"):
        index.set_person(keys, keys[:1])
    assert len(index) == 4


def test_what_cannot_be_searched_is_refused() -> None:
    rows = unit(np.random.default_rng(10).standard_normal((4, 16)))
    index = indexed(rows)
    with pytest.raises(UsageError, match="k must be"):
        index.search_faces(rows, 0)
    with pytest.raises(UsageError, match="use max or mean"):
        index.search_people(rows, 1, aggregate="median")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="top_m"):
        index.search_people(rows, 1, top_m=0)
    with pytest.raises(InvalidArray, match="probes must have unit norm"):
        index.search_faces(rows * 2, 1)
    with pytest.raises(InvalidArray, match="probes must have shape"):
        index.search_faces(rows[0], 1)
    with pytest.raises(UsageError, match="dim and block_rows"):
        ExactIndex(0, Store(rows).fetch)
    index.close()
    with pytest.raises(GalleryError, match="closed"):
        index.search_faces(rows, 1)
    with pytest.raises(GalleryError, match="closed"):
        index.add(np.arange(2), np.arange(2), rows[:2])


# --- kernels ---


@pytest.fixture
def fresh_kernels():
    int8.kernel.cache_clear()
    packed.packing_works.cache_clear()
    yield
    int8.kernel.cache_clear()
    packed.packing_works.cache_clear()


@pytest.mark.usefixtures("fresh_kernels")
def test_a_missing_library_is_said_and_searched_around(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "numkong", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows = unit(np.random.default_rng(13).standard_normal((200, 64)))
    with caplog.at_level(logging.WARNING):
        index = indexed(rows, block_rows=64)
        (found,) = index.search_faces(rows[3:4], 5)
    assert found[0].tolist() == float32_top(rows, rows[3], 5)
    assert index.kernel == "numpy-float32"
    assert not packed.packing_works()
    assert {vars(record)["kernel"] for record in caplog.records} == {
        "numkong-int8",
        "onnxruntime-int8",
    }


@pytest.mark.usefixtures("fresh_kernels")
def test_a_kernel_that_saturates_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    turned, plain = packed.PackedRows.products, int8.numpy_products
    cut = 2**20
    monkeypatch.setattr(packed.PackedRows, "products", lambda *own: np.minimum(turned(*own), cut))
    monkeypatch.setattr(int8, "_numkong_products", lambda *own: np.minimum(plain(*own), cut))
    with caplog.at_level(logging.WARNING):
        assert int8.kernel()[0] == "numpy-float32"
        assert not packed.packing_works()
    assert len(caplog.records) == 2


def test_processors_with_avx2_or_vnni_use_the_fast_kernels() -> None:
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    if "avx2" not in flags:
        pytest.skip("no AVX2 here")
    assert ExactIndex(8, lambda keys: keys).kernel == "numkong-int8"
    assert packed.packing_works() or not flags & {"avx512_vnni", "avx_vnni"}


@pytest.mark.parametrize("dim", [1, 63, 64, 512, 2048])
def test_every_kernel_multiplies_exactly(dim: int) -> None:
    rng = np.random.default_rng(dim)
    rows = rng.integers(-127, 128, (int8.TILE + 37, dim), np.int8)
    rows[0], rows[1] = 127, -127
    for count in (1, 2, 5, 16):
        probes = int8.Probes.rounded(unit(rng.standard_normal((count, dim))))
        expected = probes.codes.astype(np.int64) @ rows.T.astype(np.int64)
        for products in (int8.numpy_products, int8.kernel()[1]):
            found = products(rows, probes)
            assert found.dtype == np.float32
            assert np.array_equal(found, expected.astype(np.float32))


def test_the_benchmark_measures_right_answers_from_a_real_store() -> None:
    rows = search.run([3000], dim=128, pairs=2, checks=12, threads=1, peers=False)
    by_name = {row["engine"]: row for row in rows}
    assert set(by_name) >= {"arcid exact", "arcid people", search.BESIDE_WRITES}
    assert {row["probes"] for row in rows} == {1, *search.BATCHES}
    for name, row in by_name.items():
        assert row["same_ids"] == (None if "people" in name else 1.0)
        assert row["ratio"] > 0 and row["to_reading"] > 0 and row["numpy_p50_ms"] > 0
        assert 10 <= row["rows_fetched"] < 400

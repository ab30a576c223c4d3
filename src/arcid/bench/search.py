"""Exact search against NumPy's float32 product and against merely reading the codes, in one run.

Every size runs in a process of its own: the gallery is written to a real SQLite store and indexed
(this is where memory is read), then the float32 rows are put into memory for NumPy to search, and
all are timed by turns, by the clock and by the processor's time (``cpu_``), which other programs
disturb less; with one thread neither side waits in a loop. Beyond ``NUMPY_FACES`` there is no room
for those: what is exact is then found block by block, and times are compared with reading alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import ArcidError, MissingExtra, UsageError
from arcid.gallery.database import Database
from arcid.gallery.index import Keys
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.seals import pack, vector_place, vector_seal
from arcid.gallery.store import vectors
from arcid.types import FloatArray

SIZES = (100_000, 1_000_000)
BATCHES = (8, 32, 64)  # probes searched together
NUMPY_FACES = 2_000_000
WRITES_HZ = 20
BESIDE_WRITES = "arcid exact beside writes"
ON_AVX2 = ("arcid exact", f"arcid exact, {BATCHES[1]} probes")
PLAIN = ("serial", "haswell")  # what numkong calls its kernels without AVX-512
FACES_EACH = 5
# The norm of the difference between a photo and its person: 0.62 between two photos of one person.
SPREAD = 0.785
BLOCK = 4000
# Each timed call follows calls of the same kind for so long: after a product NumPy's BLAS threads
# wait for the next one in a busy loop for up to 0.1 s, on the cores of whoever is timed next, and a
# core that slept takes milliseconds to come back.
SETTLE_S = 0.15
CONTRACT = "search-benchmark"
COLLECTION = "0" * 32

_log = logging.getLogger(__name__)

Found = Sequence[Sequence[int]]  # per probe face keys, best first
Search = Callable[[FloatArray], Found]  # (Q,D) probes in


def run(
    sizes: Sequence[int] = SIZES,
    *,
    dim: int = 512,
    k: int = 10,
    pairs: int = 15,
    checks: int = 20,
    threads: int = 2,
    seed: int = 0,
    peers: bool = True,
    folder: Path | None = None,
) -> list[dict[str, Any]]:
    """One row per size and engine: p50, p95 in ms, ``ratio`` to NumPy's product of the same probes
    (lower is faster), ``to_reading`` to adding up the bytes of the codes, each with its quartiles.

    ``same_ids`` is the share of ``checks`` probes whose k face keys are NumPy's, in its order.
    ``memory_ratio`` is the growth of resident memory over the int8 vectors plus ids. A million
    512-d faces need 4 GB of memory and 3 GB of disk under ``folder`` (default: the temporary one).
    Rows that end in ``AVX2`` were measured without numkong's kernels of AVX-512; NumPy keeps its
    own.
    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        _check_room(size, dim)
        options = {
            "size": size, "dim": dim, "k": k, "pairs": pairs, "checks": checks,
            "threads": threads, "seed": seed, "peers": peers,
        }  # fmt: skip
        with tempfile.TemporaryDirectory(prefix="arcid-bench-", dir=folder) as place:
            rows += _in_a_process({**options, "place": place}, threads)
    return rows


def _check_room(size: int, dim: int) -> None:
    try:
        import psutil  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise MissingExtra("the search benchmark", "bench") from None
    needed = int(size * dim * (5.5 if size <= NUMPY_FACES else 1.2)) + 500_000_000
    free = psutil.virtual_memory().available
    if size < 1 or dim < 1:
        raise UsageError(f"sizes and dim must be at least 1, got {size} and {dim}")
    if free < needed:
        raise UsageError(
            f"{size} faces need {needed / 1e9:.1f} GB of free memory, {free / 1e9:.1f} GB are "
            "free; ask for a smaller size"
        )


def _in_a_process(options: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    limits = {
        name: str(threads)
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "ARCID_THREADS")
    }
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "arcid.bench.search", json.dumps(options)],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise ArcidError(f"the search benchmark ended with exit code {done.returncode}")
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


# --- inside the process of one size ---


def measure(
    *,
    size: int,
    dim: int,
    k: int,
    pairs: int,
    checks: int,
    threads: int,
    seed: int,
    peers: bool,
    place: str,
) -> list[dict[str, Any]]:
    """All rows of one size; memory is that of the calling process."""
    _pin(threads)
    faces = Faces(size, dim, seed)
    with Store(Path(place) / "gallery.db", dim) as store, ThreadPoolExecutor(threads) as pool:
        index = ExactIndex(dim, store.fetch, threads=threads)
        index_s, growth = _build(faces, store, index)
        codes = [block.codes for block in index.state().blocks]
        probes = faces.probes(checks + pairs * max(BATCHES))
        asked = probes[checks:]
        truth = _truth(faces, probes[:checks], k)
        others: dict[str, Search] = {"reading": lambda _: _read(codes, pool)}
        engines: dict[str, tuple[Search, int]] = {
            "arcid exact": (lambda some: _faces_of(index.search_faces(some, k)), 1),
            "arcid people": (lambda some: _best_of(index.search_people(some, k)), 1),
            "arcid people by mean": (
                lambda some: _best_of(index.search_people(some, k, aggregate="mean")), 1,
            ),
        }  # fmt: skip
        engines |= {f"arcid exact, {n} probes": (engines["arcid exact"][0], n) for n in BATCHES}
        engines[BESIDE_WRITES] = engines["arcid exact"]
        if size <= NUMPY_FACES:
            matrix = np.empty((size, dim), np.float32)
            for start, rows in faces.blocks():
                matrix[start : start + len(rows)] = rows
            others["numpy"] = lambda some: _product(matrix, some)
            if peers:
                engines |= {name: (own, 1) for name, own in _peers(matrix, k, threads).items()}
        engines |= {f"{name}, AVX2": engines[name] for name in list(engines) if name in ON_AVX2}
        common = {"faces": size, "dim": dim, "k": k, "threads": threads, "pairs": pairs}
        results = []
        for name, (engine, together) in engines.items():
            own = name.startswith("arcid")
            with _kernels_of(name), _writing(index, dim, name == BESIDE_WRITES):
                store.fetched = 0
                found = [f for at in range(0, checks, together)
                         for f in engine(probes[at : min(at + together, checks)])]  # fmt: skip
                fetched = store.fetched / checks
                times = _by_turns(engine, others, asked, together, pairs, threads)
            same = [list(a) == b for a, b in zip(found, truth, strict=True)]
            results.append(
                {
                    "engine": name,
                    **common,
                    "probes": together,
                    "index_s": round(index_s, 1),
                    **times,
                    "same_ids": None if "people" in name else float(np.mean(same)),
                    "rows_fetched": round(fetched, 1) if own else None,
                    "memory_ratio": round(growth / (size * (dim + 16)), 3) if own else None,
                    "kernel": index.kernel if own else "",
                    "load": round(os.getloadavg()[0], 1),
                }
            )
            _log.info("measured", extra=results[-1])
    return results


def _build(faces: Faces, store: Store, index: ExactIndex) -> tuple[float, int]:
    """Store and index every face; seconds spent indexing and growth of resident memory in bytes.

    Libraries and their kernels are loaded before: they are there once, not per face.
    """
    import psutil

    warm = ExactIndex(faces.dim, lambda keys: np.zeros((len(keys), faces.dim), np.float32))
    _, rows = next(faces.blocks())
    warm.add(np.arange(len(rows)), np.arange(len(rows)), rows)
    warm.search_faces(rows[:1], 1)
    _log.info("kernel", extra={"kernel": warm.kernel})
    warm.close()
    store.write(faces)
    next(store.blocks())
    del warm, rows
    gc.collect()
    process, spent = psutil.Process(), 0.0
    before = process.memory_info().rss
    for keys, rows in store.blocks():
        began = time.perf_counter()
        index.add(keys, keys // FACES_EACH, rows)
        spent += time.perf_counter() - began
    del rows
    gc.collect()
    return spent, process.memory_info().rss - before


def _by_turns(
    engine: Search,
    others: dict[str, Search],
    probes: FloatArray,
    together: int,
    rounds: int,
    threads: int,
) -> dict[str, float | None]:
    """Medians of rounds in which each is called once; who goes first changes every round."""
    calls = {"own": engine, **others}
    names = list(calls)
    clocks = {"": time.perf_counter, "cpu_": time.process_time}
    times: dict[str, list[float]] = {kind + name: [] for kind in clocks for name in names}
    for turn in range(rounds):
        some = probes[turn * together : (turn + 1) * together]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            settled = time.perf_counter() + (SETTLE_S if threads > 1 else 0)
            calls[name](some[::-1])
            while time.perf_counter() < settled:
                calls[name](some[::-1])
            began = {kind: clock() for kind, clock in clocks.items()}
            calls[name](some)
            for kind, clock in clocks.items():
                times[kind + name].append((clock() - began[kind]) * 1000)
    found: dict[str, float | None] = {
        f"p{at}_ms": round(float(np.percentile(times["own"], at)), 3) for at in (50, 95, 99)
    }
    for kind in clocks:
        own = np.array(times[f"{kind}own"])
        for name, ratio in (("numpy", f"{kind}ratio"), ("reading", f"{kind}to_reading")):
            other = np.array(times.get(kind + name, [np.nan]))
            found[f"{kind}{name}_p50_ms"] = _known(np.median(other))
            found[ratio] = _known(np.median(own) / np.median(other))
            for at in (25, 75):
                found[f"{ratio}_p{at}"] = _known(np.percentile(own / other, at))
    return found


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)


@contextmanager
def _writing(index: ExactIndex, dim: int, on: bool) -> Iterator[None]:
    """While the block runs, if it is ``on``, a person with five faces comes ``WRITES_HZ`` times a
    second, and the one before goes."""
    if not on:
        yield
        return
    done = threading.Event()
    rng = np.random.default_rng(7)
    rows = _unit(rng.standard_normal((FACES_EACH, dim), np.float32))
    keys = (1 << 40) + np.arange(FACES_EACH)

    def work() -> None:
        gone = keys
        while not done.wait(1 / WRITES_HZ):
            index.add(gone + FACES_EACH, np.full(FACES_EACH, 1 << 40), rows)
            index.remove(gone)
            gone = gone + FACES_EACH
        index.remove(gone)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def _read(codes: Sequence[npt.NDArray[np.int8]], pool: ThreadPoolExecutor) -> Found:
    """Adds up the bytes of all codes, eight together."""
    list(pool.map(lambda part: np.add.reduce(part.reshape(-1).view(np.uint64)), codes))
    return []


def _product(matrix: FloatArray, probes: FloatArray) -> Found:
    """float32 cosines of all; of many probes part by part, for they would take gigabytes."""
    if len(probes) == 1:
        matrix @ probes[0]
        return []
    for start in range(0, len(matrix), 65_536):
        matrix[start : start + 65_536] @ probes.T
    return []


def _truth(faces: Faces, probes: FloatArray, k: int) -> list[list[int]]:
    """The k nearest of all float32 rows, by NumPy, a block at a time."""
    best: list[list[tuple[float, int]]] = [[] for _ in probes]
    for start, rows in faces.blocks():
        for own, cosines in zip(best, (rows @ probes.T).T, strict=True):
            top = np.argsort(-cosines)[:k]
            own[:] = sorted([*own, *((-float(cosines[i]), start + int(i)) for i in top)])[:k]
    return [[key for _, key in own] for own in best]


def _faces_of(found: Sequence[Any]) -> Found:
    return [one[0].tolist() for one in found]


def _best_of(found: Sequence[Sequence[Any]]) -> Found:
    return [[hit.best_face_key for hit in own] for own in found]


@contextmanager
def _kernels_of(name: str) -> Iterator[None]:
    """numkong without its kernels of AVX-512, where the name says so."""
    if not name.endswith("AVX2"):
        yield
        return
    import numkong

    off = [cap for cap, here in numkong.get_capabilities().items() if here and cap not in PLAIN]
    for cap in off:
        numkong.disable_capability(cap)
    try:
        yield
    finally:
        for cap in off:
            numkong.enable_capability(cap)


def _pin(threads: int) -> None:
    """Stay on as many cores as there are threads, so that both sides have the same."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Faces:
    """(size,dim) float32 unit rows, ``FACES_EACH`` noisy photos a person, made block by block."""

    def __init__(self, size: int, dim: int, seed: int) -> None:
        self.size, self.dim, self._seed = size, dim, seed

    def blocks(self) -> Iterator[tuple[int, FloatArray]]:
        """(first face key, rows); the same rows each time."""
        for start in range(0, self.size, BLOCK):
            rng = np.random.default_rng((self._seed, start))
            people = np.repeat(self._people(rng), FACES_EACH, axis=0)
            yield start, self._photos(rng, people)[: self.size - start]

    def probes(self, count: int) -> FloatArray:
        """(count,dim): by turns a new photo of somebody enrolled and one of a stranger."""
        rng = np.random.default_rng((self._seed, self.size, 1))
        strangers = self._people(rng)[:count]
        rng_known = np.random.default_rng((self._seed, 0))
        known = self._people(rng_known)[: max(1, min(count, self.size // FACES_EACH))]
        people = np.resize(known, (count, self.dim))
        people[1::2] = strangers[: len(people[1::2])]
        return self._photos(rng, people)

    def _people(self, rng: np.random.Generator) -> FloatArray:
        return _unit(rng.standard_normal((BLOCK // FACES_EACH, self.dim), np.float32))

    def _photos(self, rng: np.random.Generator, people: FloatArray) -> FloatArray:
        noise = rng.standard_normal(people.shape, np.float32)
        return _unit(people + noise * np.float32(SPREAD / self.dim**0.5))


class Store:
    """The gallery's own database, its vectors written in bulk and read as the gallery does."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path, self._dim = path, dim
        self._database = Database(path)
        self.fetched = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.__exit__(None, None, None)
        self._database.close()

    def write(self, faces: Faces) -> None:
        connection = sqlite3.connect(self._path)
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            "INSERT INTO contracts (id, uid, model_name, dim) VALUES (1, ?, '', ?)",
            (CONTRACT, self._dim),
        )
        vault, person_key = self._database.vault, 0
        for start, rows in faces.blocks():
            sealed, owned = [], []
            for key, row in enumerate(rows, start):
                if key % FACES_EACH == 0:
                    person_key = vault.new_key(COLLECTION)
                person = key // FACES_EACH
                data = vault.seal(person_key, pack(row), vector_place(1, person, key, 1))
                sealed.append((1, key, self._dim, data, vector_seal(key, 1, data)))
                owned.append((key, str(key), person))
            connection.executemany(
                "INSERT INTO faces (id, uid, collection_id, person_id, quality, source, "
                "provenance, created_at, seal) VALUES (?, ?, 1, ?, '', '', '', 0, 0)",
                owned,
            )
            connection.executemany(
                "INSERT INTO embeddings (contract_id, face_id, dim, vector, seal) "
                "VALUES (?, ?, ?, ?, ?)",
                sealed,
            )
            connection.commit()
        connection.close()
        self._reading = self._database.read()
        self._connection = self._reading.__enter__()
        self._contract = vectors.contract(self._connection, CONTRACT)

    def blocks(self) -> Iterator[tuple[Keys, FloatArray]]:
        total = self._connection.exec_driver_sql("SELECT count(*) FROM embeddings").scalar_one()
        for start in range(0, total, BLOCK):
            keys = np.arange(start, min(start + BLOCK, total))
            yield keys, self._read(keys)

    def fetch(self, keys: Keys) -> FloatArray:
        self.fetched += len(keys)
        return self._read(keys)

    def _read(self, keys: Keys) -> FloatArray:
        if self._contract is None:
            raise UsageError("the benchmark's store was read before it was written")
        return vectors.fetch(self._connection, self._contract, keys)


def _unit(rows: FloatArray) -> FloatArray:
    result: FloatArray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return result


# --- others, for comparison; none of these gives NumPy's answers for certain ---


def _peers(matrix: FloatArray, k: int, threads: int) -> dict[str, Search]:
    engines: dict[str, Search] = {}
    for make in (_numkong, _faiss):
        try:
            engines |= make(matrix, k, threads)
        except ImportError:
            continue
    return engines


def _numkong(matrix: FloatArray, k: int, threads: int) -> dict[str, Search]:
    """int8 with one step for all rows, not re-scored."""
    import numkong

    step = max(float(np.abs(part).max()) for part in np.array_split(matrix, 64)) / 127
    codes = np.empty(matrix.shape, np.int8)
    for start in range(0, len(matrix), BLOCK):
        part = slice(start, start + BLOCK)
        codes[part] = np.rint(matrix[part] / step)
    pool = ThreadPoolExecutor(threads)
    parts = np.array_split(codes, threads)

    def search(probes: FloatArray) -> Found:
        query = np.rint(probes / np.abs(probes).max() * 127).astype(np.int8)
        scores = np.concatenate(
            list(pool.map(lambda p: np.asarray(numkong.cdist(query, p, "dot"))[0], parts))
        )
        top = np.argpartition(scores, -min(k, len(scores)))[-k:]
        ranked: list[int] = top[np.argsort(-scores[top])].tolist()
        return [ranked]

    return {"numkong int8, no re-rank": search}


def _faiss(matrix: FloatArray, k: int, threads: int) -> dict[str, Search]:
    import faiss  # type: ignore[import-not-found,unused-ignore]

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(matrix.shape[1])
    flat.add(matrix)
    kind = faiss.ScalarQuantizer.QT_8bit
    coarse = faiss.IndexScalarQuantizer(matrix.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    coarse.train(matrix[: 64 * BLOCK])
    coarse.add(matrix)
    return {
        "faiss Flat": lambda probes: flat.search(probes, k)[1].tolist(),
        "faiss SQ8": lambda probes: coarse.search(probes, k)[1].tolist(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("options", type=json.loads)
    sys.stdout.write(json.dumps(measure(**parser.parse_args().options)) + "\n")

"""Exact search against NumPy's float32 product, measured in one run; numbers are ratios.

Every size runs in a process of its own: the gallery is written to a real SQLite store and indexed
(this is where memory is read), then the float32 rows are put into memory for NumPy to search, and
both are timed by turns.
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
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import ArcidError, MissingExtra, UsageError
from arcid.gallery.database import Database
from arcid.gallery.index import Keys
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.seals import pack, vector_place, vector_seal
from arcid.gallery.store import vectors
from arcid.types import FloatArray

SIZES = (100_000, 1_000_000)
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

Search = Callable[[FloatArray], Sequence[int]]  # (D,) probe in, face keys out, best first


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
    """One row per size and engine: p50, p95 in ms, ``ratio`` to NumPy (lower is faster).

    ``same_ids`` is the share of ``checks`` probes whose k face keys are NumPy's, in its order.
    ``memory_ratio`` is the growth of resident memory over the int8 vectors plus ids. A million
    512-d faces need 3 GB of memory and 5 GB of disk under ``folder`` (default: the temporary one).
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
    needed = int(size * dim * 5.5) + 500_000_000
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
    with Store(Path(place) / "gallery.db", dim) as store:
        index = ExactIndex(dim, store.fetch, threads=threads)
        index_s, growth = _build(faces, store, index)
        matrix = np.empty((size, dim), np.float32)
        for start, rows in faces.blocks():
            matrix[start : start + len(rows)] = rows
        probes = faces.probes(checks + pairs)

        def numpy_search(probe: FloatArray) -> Sequence[int]:
            scores = matrix @ probe
            top = np.argpartition(scores, -min(k, size))[-min(k, size) :]
            ranked: list[int] = top[np.lexsort((top, -scores[top]))].tolist()
            return ranked

        def product(probe: FloatArray) -> Sequence[int]:
            matrix @ probe
            return ()

        def exact(probe: FloatArray) -> Sequence[int]:
            found: list[int] = index.search_faces(probe[None], k)[0][0].tolist()
            return found

        def people(probe: FloatArray) -> Sequence[int]:
            return [hit.best_face_key for hit in index.search_people(probe[None], k)[0]]

        engines: dict[str, Search] = {"arcid exact": exact, "arcid people": people}
        if peers:
            engines |= _peers(matrix, k, threads)
        truth = [numpy_search(probe) for probe in probes[:checks]]
        common = {
            "faces": size,
            "dim": dim,
            "k": k,
            "threads": threads,
            "pairs": pairs,
            "index_s": round(index_s, 1),
        }
        results = []
        for name, engine in engines.items():
            own = name.startswith("arcid")
            store.fetched = store.calls = 0
            found = [list(engine(probe)) for probe in probes[:checks]]
            fetched = store.fetched / max(store.calls, 1) if own else None
            same = [a == b for a, b in zip(found, truth, strict=True)]
            results.append(
                {
                    "engine": name,
                    **common,
                    **_by_turns(product, engine, probes[checks:]),
                    "same_ids": None if name == "arcid people" else float(np.mean(same)),
                    "rows_fetched": fetched and round(fetched, 1),
                    "memory_ratio": round(growth / (size * (dim + 16)), 3) if own else None,
                    "kernel": index.kernel if own else "",
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


def _by_turns(base: Search, engine: Search, probes: FloatArray) -> dict[str, float]:
    """Medians over alternating pairs; which goes first alternates too."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn, probe in enumerate(probes):
        for mine in (turn % 2 == 0, turn % 2 == 1):
            search = engine if mine else base
            settled = time.perf_counter() + SETTLE_S
            while time.perf_counter() < settled:
                search(probes[turn - 1])
            began = time.perf_counter()
            search(probe)
            times[mine].append((time.perf_counter() - began) * 1000)
    own, other = np.array(times[True]), np.array(times[False])
    return {
        "p50_ms": round(float(np.median(own)), 3),
        "p95_ms": round(float(np.percentile(own, 95)), 3),
        "numpy_p50_ms": round(float(np.median(other)), 3),
        "numpy_p95_ms": round(float(np.percentile(other, 95)), 3),
        "ratio": round(float(np.median(own) / np.median(other)), 3),
        "ratio_of_pairs": round(float(np.median(own / other)), 3),
    }


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
        self.fetched = self.calls = 0

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
        self.calls += 1
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

    def search(probe: FloatArray) -> Sequence[int]:
        query = np.rint(probe / np.abs(probe).max() * 127).astype(np.int8)[None]
        scores = np.concatenate(
            list(pool.map(lambda p: np.asarray(numkong.cdist(query, p, "dot"))[0], parts))
        )
        top = np.argpartition(scores, -min(k, len(scores)))[-k:]
        ranked: list[int] = top[np.argsort(-scores[top])].tolist()
        return ranked

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
        "faiss Flat": lambda probe: flat.search(probe[None], k)[1][0].tolist(),
        "faiss SQ8": lambda probe: coarse.search(probe[None], k)[1][0].tolist(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("options", type=json.loads)
    sys.stdout.write(json.dumps(measure(**parser.parse_args().options)) + "\n")

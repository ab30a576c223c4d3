"""Everybody against everybody: seconds and memory, beside a blocked NumPy product and faiss.

    python benchmarks/duplicates.py [--sizes 20000 100000] [--dims 128 512] [--threads 2]

Synthetic unit vectors, one a person, every hundredth person enrolled again (cosine about 0.8). Each
size and width runs in a process of its own: arcid from the gallery's SQLite file, block by block,
everything written down; then, on the same vectors in memory, a NumPy product in blocks with the
places above the threshold, and faiss's range search where it is installed. Peers take a share of
the rows, ``--peer-rows``, and are scaled to all; whole rows give every pair twice, so half of that
is what arcid does. Beside the wall clock stands processor time, which other work on the machine
lengthens less. Writes ``benchmarks/results/duplicates-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from arcid.apps.duplicates import Duplicates, work
from arcid.bench.common import hardware_slug, write_csv
from arcid.calibration import Calibration
from arcid.gallery import Gallery
from arcid.gallery.index import packed
from arcid.gallery.schema import faces, people
from arcid.gallery.store import collections, vectors
from arcid.models import weights
from arcid.types import Embeddings, FloatArray

AGAIN = 100  # every so-manieth person has a second name
COSINE = 0.6  # of the threshold: half a million random pairs of 128 numbers reach 0.43
BLOCK = 4096
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--dims", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-rows", type=int, default=20_000)
    parser.add_argument("--inside", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(measure(**asked.inside)))
        return
    rows: list[dict[str, Any]] = []
    for dim in asked.dims:
        for size in asked.sizes:
            options = {"size": size, "dim": dim, "threads": asked.threads,
                       "peer_rows": asked.peer_rows}  # fmt: skip
            for row in _in_a_process(options):
                print(row, flush=True)
                rows.append(row)
    rows += [beyond(row, 1_000_000) for row in _largest(rows)]
    write_csv(Path(__file__).parent / "results" / f"duplicates-{hardware_slug()}.csv", rows)


def measure(size: int, dim: int, threads: int, peer_rows: int) -> list[dict[str, Any]]:
    """A row for arcid and one for each peer."""
    calibration = calibrated()
    common: dict[str, Any] = {"faces": size, "dim": dim, "threads": threads}
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        write(gallery, size, dim, calibration.contract_id)
        before = _peak()
        found = Duplicates(gallery)
        run = found.runs.begin("all", calibration, false_pairs=1, allow_extrapolation=True,
                               actor="benchmark")  # fmt: skip
        _, took, cpu = timed(lambda: work(gallery, "all", run.id, calibration, threads=threads))
        peak = _peak() - before
        pairs = {
            frozenset((pair.a.name, pair.b.name)): pair.cosine
            for pair in found.every("all", ["open"])
        }
    least = run.cosine_threshold
    kernel = packed.NAME if packed.packing_works() else "numpy-float32"
    rows = [
        common | {"engine": f"arcid ({kernel})", "wall_s": took, "cpu_s": cpu, "share": 1.0,
                  "pairs": len(pairs), "peak_mib": peak >> 20, "threshold": least}
    ]  # fmt: skip
    own = np.concatenate([rows for _, rows in blocks(size, dim)])
    share = min(1.0, peer_rows / size)
    some = own[: int(size * share)]
    truth: dict[frozenset[str], float] = {}
    for name, search in peers(own, some, least, threads).items():
        got, took, cpu = timed(search)
        near = {frozenset((str(i), str(j))) for i, j in got if i < j}
        rows.append(
            common | {"engine": name, "wall_s": took / share / 2, "cpu_s": cpu / share / 2,
                      "share": share, "pairs": len(near), "threshold": least}
        )  # fmt: skip
        if name.startswith("NumPy"):
            truth = dict.fromkeys(near, 0.0)
    first = {str(i) for i in range(len(some))}
    mine = {couple for couple in pairs if min(couple, key=int) in first}
    rows[0]["recall"] = len(mine & truth.keys()) / max(len(truth), 1)
    rows[0]["beyond_numpy"] = len(mine - truth.keys())
    numpy = next(row for row in rows if row["engine"].startswith("NumPy"))
    for row in rows:
        row["cpu_ratio"] = row["cpu_s"] / numpy["cpu_s"]
        row["wall_ratio"] = row["wall_s"] / numpy["wall_s"]
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in r.items()} for r in rows]


def peers(
    matrix: FloatArray, some: FloatArray, least: float, threads: int
) -> dict[str, Callable[[], list[tuple[int, int]]]]:
    """``some`` of the rows against all of them: places at ``least`` or more."""

    def numpy() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start in range(0, len(some), 1024):
            for left in range(0, len(matrix), 16_384):
                products = some[start : start + 1024] @ matrix[left : left + 16_384].T
                rows, columns = np.nonzero(products >= least)
                found += zip((rows + start).tolist(), (columns + left).tolist(), strict=True)
        return found

    engines: dict[str, Callable[[], list[tuple[int, int]]]] = {"NumPy blocks, float32": numpy}
    if find_spec("faiss") is None:
        print("faiss is not installed (pip install faiss-cpu); it is left out", file=sys.stderr)
        return engines
    import faiss  # type: ignore[import-not-found,unused-ignore]

    faiss.omp_set_num_threads(threads)
    flat = faiss.IndexFlatIP(matrix.shape[1])
    flat.add(matrix)

    def ranged() -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start in range(0, len(some), 1024):
            ends, _, places = flat.range_search(some[start : start + 1024], least)
            rows = np.repeat(np.arange(len(ends) - 1) + start, np.diff(ends.astype(np.int64)))
            found += zip(rows.tolist(), places.tolist(), strict=True)
        return found

    return engines | {"faiss IndexFlatIP.range_search": ranged}


def blocks(size: int, dim: int) -> Iterator[tuple[int, FloatArray]]:
    """(first row, (n,dim) float32 unit rows), the same each time; every hundredth row is near the
    one before."""
    for start in range(0, size, BLOCK):
        rows = np.random.default_rng(start).standard_normal((BLOCK, dim), np.float32)
        again = np.arange(AGAIN - 1, BLOCK, AGAIN)
        rows[again] = rows[again - 1] + rows[again] * np.float32(0.75)
        yield start, (rows / np.linalg.norm(rows, axis=1, keepdims=True))[: size - start]


def write(gallery: Gallery, size: int, dim: int, contract_id: str) -> None:
    """One person a row, into the gallery's own tables, sealed as it seals them."""
    gallery.create_collection("all")
    with collections.writing(gallery.database, "all") as (log, own):
        made_by = vectors.ensure_contract(log, contract_id, dim, "")
        for start, rows in blocks(size, dim):
            keys = range(start + 1, start + len(rows) + 1)
            when = {"created_at": 0, "seal": 0}
            log.connection.execute(people.insert(), [
                {"id": k, "uid": f"{k:032x}", "collection_id": own["id"], "name": str(k - 1),
                 "name_key": str(k - 1), "metadata": "{}", "updated_at": 0, **when} for k in keys
            ])  # fmt: skip
            log.connection.execute(faces.insert(), [
                {"id": k, "uid": f"{k:032x}", "collection_id": own["id"], "person_id": k,
                 "quality": "{}", "source": "", "provenance": "{}", **when} for k in keys
            ])  # fmt: skip
            whose = [(k, {"id": k, "key_id": None}) for k in keys]
            vectors.store(log, own, made_by, whose, Embeddings(rows, contract_id))


def timed(call: Callable[[], T]) -> tuple[T, float, float]:
    """What it gives; seconds by the wall clock and of processor time, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = call()
    return given, time.perf_counter() - wall, time.process_time() - cpu


def beyond(row: dict[str, Any], size: int) -> dict[str, Any]:
    """What the square of the sizes makes of the largest that was measured."""
    factor = (size / row["faces"]) ** 2
    note = f"extrapolated from {row['faces']:,} faces by the square; not measured"
    return row | {
        "faces": size, "wall_s": round(row["wall_s"] * factor, 1), "notes": note,
        "cpu_s": round(row["cpu_s"] * factor, 1), "pairs": "", "recall": "",
    }  # fmt: skip


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    own = [row for row in rows if row["engine"].startswith("arcid")]
    return [max((r for r in own if r["dim"] == dim), key=lambda r: int(r["faces"]))
            for dim in dict.fromkeys(row["dim"] for row in own)]  # fmt: skip


def calibrated() -> Calibration:
    """The packaged one with a table on which the threshold is ``COSINE``."""
    packaged = weights.packaged_calibration(weights.resolve_default("recognition"))
    table = [
        {"cosine": c, "fmr": f, "fmr_low": f, "fmr_high": f, "extrapolated": False}
        for c, f in ((-1.0, 1.0), (COSINE, 1e-4), (COSINE + 0.001, 1e-13))
    ]
    return Calibration(dict(packaged.data) | {"fmr_table": table, "gallery_table": []})


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _in_a_process(options: dict[str, Any]) -> list[dict[str, Any]]:
    limits = dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "ARCID_THREADS"), str(options["threads"])
    )
    done = subprocess.run(
        [sys.executable, __file__, "--inside", json.dumps(options)],
        env={**os.environ, **limits}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


if __name__ == "__main__":
    main()

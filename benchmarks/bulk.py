"""Bulk jobs by worker processes beside one process: wall clock and processor time.

    python benchmarks/bulk.py [--workers 2] [--rounds 3] [--faces 20000] [--crops 600]
                              [--photos 200]

Three jobs, each by one process and by ``--workers`` in turns, the start of the workers included:
``duplicates`` of synthetic unit vectors of 512 numbers, one a person; ``re-embedding`` of kept
crops by the default recogniser (crops of noise: a network takes as long for them);
``evaluation``, photos of ``ARCID_DATA`` to vectors without a cache. Every round compares what the
two made, to the bit. One process has every core, and workers share them, so that on one machine
little is to be won: what is measured is what sharing costs. Processor time is that of this process
and of its workers. Writes ``benchmarks/results/bulk-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import duplicates as whole  # benchmarks/duplicates.py
import numpy as np

from arcid import paths
from arcid.apps.duplicates import Duplicates, work
from arcid.apps.evaluate_photos import Run
from arcid.apps.photo_options import Options
from arcid.bench.common import hardware_slug, write_csv
from arcid.evaluate.sources import Photo
from arcid.gallery import Gallery, NewFace
from arcid.image import find_photos
from arcid.models import weights
from arcid.pipeline import embed_by
from arcid.sharding import Workers, workers
from arcid.types import Embeddings

DIM = 512
OLD = "ab" * 32
Job = Callable[[Workers | None], str]  # works over them; a digest of what it made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faces", type=int, default=20_000)
    parser.add_argument("--crops", type=int, default=600)
    parser.add_argument("--photos", type=int, default=200)
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            "duplicates": (of_duplicates, asked.faces),
            "re-embedding": (of_reembedding, asked.crops),
            "evaluation": (of_evaluation, asked.photos),
        }
        for name, (begin, size) in jobs.items():
            with begin(Path(folder) / name, size) as job:
                rows.append({"job": name, "items": size} | beside(job, asked.workers, asked.rounds))
                print(rows[-1], flush=True)
    write_csv(Path(__file__).parent / "results" / f"bulk-{hardware_slug()}.csv", rows)


def beside(job: Job, count: int, rounds: int) -> dict[str, Any]:
    """One process and workers in turns, after a round of each that is not counted."""
    load = os.getloadavg()[0]
    took: dict[int, list[tuple[float, float]]] = {1: [], count: []}
    for _ in range(rounds + 1):
        made = set()
        for number, times in took.items():
            wall, cpu = time.perf_counter(), processor_s()
            with workers(number) as over:
                made.add(job(over))
            times.append((time.perf_counter() - wall, processor_s() - cpu))
        if len(made) > 1:
            raise SystemExit("workers made something else than one process")
    one, shared = (np.array(took[number][1:]) for number in (1, count))
    wall, cpu = (shared / one).T
    return {
        "workers": count, "rounds": rounds,
        "one_wall_s": round(float(median(one[:, 0])), 2),
        "one_cpu_s": round(float(median(one[:, 1])), 2),
        **spread("wall_ratio", wall), **spread("cpu_ratio", cpu),
        "equal": True, "load": f"{load:.1f} to {os.getloadavg()[0]:.1f}",
    }  # fmt: skip


def spread(name: str, values: np.ndarray) -> dict[str, float]:
    """Median, least and most of all rounds."""
    low, mid, high = (float(np.quantile(values, q)) for q in (0, 0.5, 1))
    return {name: round(mid, 3), f"{name}_low": round(low, 3), f"{name}_high": round(high, 3)}


def processor_s() -> float:
    """Of this process and of children that have ended."""
    return sum(os.times()[:4])


@contextmanager
def of_duplicates(folder: Path, size: int) -> Iterator[Job]:
    calibration = whole.calibrated()
    with opened(folder) as gallery:
        whole.write(gallery, size, DIM, calibration.contract_id)
        found = Duplicates(gallery)

        def job(over: Workers | None) -> str:
            run = found.runs.begin(
                "all", calibration, false_pairs=1, allow_extrapolation=True, actor="benchmark"
            )
            work(gallery, "all", run.id, calibration, over=over)
            pairs = found.every("all", ["open"])
            return digest(sorted((p.a.name, p.b.name, p.cosine) for p in pairs))

        yield job


@contextmanager
def of_reembedding(folder: Path, size: int) -> Iterator[Job]:
    bundle = weights.resolve_default("recognition")
    contract, random = bundle.manifest.contract_id, np.random.default_rng(0)
    side = (bundle.manifest.input.size or (112, 112))[0]
    with opened(folder) as gallery:
        gallery.create_collection("all", keep_crops=True)
        for i in range(size):
            vector = Embeddings.normalised(random.standard_normal((1, DIM)), OLD)
            crop = random.integers(0, 255, (side, side, 3)).astype(np.uint8)
            gallery.enrol("all", f"P{i}", [NewFace(vector, crop=crop)])

        def job(over: Workers | None) -> str:
            gallery.reembed("all", partial(embed_by, bundle.name), contract, over=over)
            blocks = [rows.tobytes() for _, _, rows in gallery.vectors("all", contract)]
            gallery.drop_contract("all", contract)
            return digest(blocks)

        yield job


@contextmanager
def of_evaluation(folder: Path, size: int) -> Iterator[Job]:
    files = islice(find_photos([paths.required_data_dir() / "data/lfw-dev/images"]), size)
    photos = [Photo(str(file), file) for file in files]

    def job(over: Workers | None) -> str:
        run = Run(Options(select="center", no_cache=True, workers=over.count if over else 1), "")
        return digest(run.embed(photos).vectors.tobytes())

    yield job


@contextmanager
def opened(folder: Path) -> Iterator[Gallery]:
    folder.mkdir()
    with Gallery.open(folder / "gallery.db") as gallery:
        yield gallery


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


if __name__ == "__main__":
    main()

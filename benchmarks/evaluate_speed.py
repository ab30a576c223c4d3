"""How long measuring takes, on synthetic embeddings.

    python benchmarks/evaluate_speed.py                 # the three targets
    python benchmarks/evaluate_speed.py --scale 0.1     # a tenth of the sizes, for a quick look

Targets on 2 cores: 6,000 pairs from cached embeddings under 2 s; all pairs of 100,000 × 512 (5
billion scores) under 240 s in under 4 GiB; IJB-C-sized templates (23 K templates of 469 K photos,
15.6 M pairs) under 180 s. ``--csv`` appends the rows to a file.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from arcid.evaluate import protocols, sources
from arcid.evaluate.cache import EmbeddingCache
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.readers import IjbMeta
from arcid.evaluate.readers._pairs import build
from arcid.evaluate.sources import Photo
from arcid.types import Embeddings

DIM = 512
LIMITS = {"pairs": (2.0, None), "all-pairs": (240.0, 4.0), "ijb": (180.0, None)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("parts", nargs="*", choices=[*LIMITS, []], help="default: all")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        run(options.parts[0], options.scale)
        return 0
    rows = []
    for part in options.parts or LIMITS:
        # a process each, so that the memory of one is not counted for another
        command = [sys.executable, __file__, part, "--alone", "--scale", str(options.scale)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        work, seconds, gib = answer.strip().split("\t")
        seconds_limit, gib_limit = LIMITS[part]
        good = float(seconds) <= seconds_limit and (gib_limit is None or float(gib) <= gib_limit)
        rows.append([part, work, seconds, gib, "within" if good else "MISSED"])
        limit = f"{seconds_limit:.0f} s" + (f", {gib_limit:.0f} GiB" if gib_limit else "")
        print(
            f"{part:10s} {work:60s} {seconds:>7s} s {gib:>5s} GiB  (target {limit}): {rows[-1][4]}"
        )
    if options.csv:
        with options.csv.open("a", newline="") as file:
            csv.writer(file).writerows([[*row, options.scale, hardware()] for row in rows])
    return 0 if all(row[-1] == "within" for row in rows) else 1


def hardware() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} × {model}"


def run(part: str, scale: float) -> None:
    work, seconds = {"pairs": pairs, "all-pairs": all_pairs, "ijb": ijb}[part](scale)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{work}\t{seconds:.2f}\t{gib:.2f}")


def unit(count: int, seed: int) -> Any:
    """(N,512) float32 unit vectors, made in pieces."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((count, DIM), np.float32)
    for start in range(0, count, 65_536):
        part = rng.standard_normal((min(65_536, count - start), DIM), np.float32)
        vectors[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def people(count: int, photos: int, spread: float) -> tuple[Any, Any]:
    labels = np.repeat(np.arange(count), photos)
    vectors = unit(len(labels), 1)
    vectors *= np.float32(spread)
    vectors += unit(count, 2)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, labels


class Never:
    """An embedder that must not be asked: everything is in the cache."""

    contract_id = "c" * 64

    def __call__(self, images: Any) -> list[Embeddings]:
        raise SystemExit("the cache missed")


def pairs(scale: float) -> tuple[str, float]:
    """A second metric over 12,000 photo files that were embedded before."""
    count = int(6000 * scale)
    vectors, labels = people(count // 2, 4, 1.0)
    rng = np.random.default_rng(0)
    a = np.arange(count) * 2 % len(labels)
    same = np.arange(count) % 2 == 0
    b = np.where(same, a // 4 * 4 + (a + 1) % 4, (a + 4 + rng.integers(0, 9, count)) % len(labels))
    used = sorted(set(a.tolist()) | set(b.tolist()))
    with tempfile.TemporaryDirectory() as folder:
        cache = EmbeddingCache(Path(folder) / "cache", Never.contract_id)
        photos = []
        for i in used:
            path = Path(folder) / f"{i}.jpg"
            path.write_bytes(i.to_bytes(8, "big") * 1500)  # 12 kB, as an LFW photo
            photos.append(Photo(str(i), path))
        cache.put({p.digest(): vectors[i] for p, i in zip(photos, used, strict=True)})
        row = {i: r for r, i in enumerate(used)}
        listed = build(
            "lfw",
            photos,
            [
                (row[int(x)], row[int(y)], bool(labels[x] == labels[y]))
                for x, y in zip(a, b, strict=True)
            ],
            (np.arange(count) * 10 // count).tolist(),
            [str(labels[i]) for i in used],
        )
        start = time.perf_counter()
        protocols.verify(listed, sources.embed_photos(photos, Never(), cache=cache)).to_dict()
        return f"{count:,} pairs, {len(used):,} files, all metrics", time.perf_counter() - start


def all_pairs(scale: float) -> tuple[str, float]:
    count = int(100_000 * scale)
    vectors, labels = people(count // 10, 10, 1.0)
    start = time.perf_counter()
    found = protocols.all_pairs(vectors, labels)
    seconds = time.perf_counter() - start
    total = found.genuine.total + found.impostor.total
    if total != count * (count - 1) // 2:
        raise SystemExit(f"counted {total} scores of {count} photos")
    return f"{count:,} × {DIM}, {total / 1e9:.2f} billion scores", seconds


def ijb(scale: float) -> tuple[str, float]:
    """The sizes of IJB-C: 23,124 templates, 469,375 photos, 15,658,489 pairs, 3,531 people."""
    subjects, templates = int(3531 * scale), int(23_124 * scale)
    photos, count = int(469_375 * scale), int(15_658_489 * scale)
    rng = np.random.default_rng(0)
    subject = np.append(np.arange(subjects), rng.integers(0, subjects, templates - subjects))
    template_of = np.append(np.arange(templates), rng.integers(0, templates, photos - templates))
    vectors = unit(photos, 1)
    vectors += 0.6 * unit(subjects, 2)[subject[template_of]]
    first, second = rng.integers(0, subjects, count), rng.integers(subjects, templates, count)
    mates = np.arange(subjects, templates)
    first[: len(mates)], second[: len(mates)] = subject[mates], mates
    meta = IjbMeta(
        "ijbc",
        tuple(Photo(str(i), b"") for i in range(photos)),
        rng.uniform(0.5, 1, photos),
        template_of,
        rng.integers(0, 4, photos),
        first,
        second,
        subject[first] == subject[second],
        {
            "G1": (np.arange(subjects // 2), subject[: subjects // 2]),
            "G2": (np.arange(subjects // 2, subjects), subject[subjects // 2 : subjects]),
        },
        (mates, subject[mates]),
    )
    embedded = EmbeddingSet(tuple(str(i) for i in range(photos)), vectors, "c")
    start = time.perf_counter()
    protocols.evaluate_ijb(meta, embedded).to_dict()
    work = f"{templates:,} templates, {photos:,} photos, {count / 1e6:.1f} M pairs, 1:N × 2"
    return work, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())

"""People enrolled twice among real crops: how many are found, and how many of the list are not one.

    python benchmarks/duplicates_planted.py [--cache FOLDER]

Of every set, a fifth of those who have two photos or more are enrolled under two names, the rest
under one; then everybody is compared with everybody, as ``arcid duplicates run`` does, at so many
false pairs expected. That is drawn five times anew. Each recogniser is measured on people who were
used neither to train nor to calibrate it: ``arcid-face-s`` on lfw-dev's DevTest (which did choose
between models), ``arcid-face-s-1`` on DevTrain and on fiw, one person a family. Thresholds come
from the packaged calibration, and from one of 300 other people of the same set, combined with it
as ``arcid calibrate`` does. Two names of one person in a set's own labels count as a false pair.
Writes ``benchmarks/results/duplicates-planted-<hardware>.csv``.

``false`` is the mean of the draws beside what the run states, ``false_low`` and ``false_high`` the
interval that it states for 95 of 100 runs; ``kept``: it lies within. Precision and recall are
of all draws together, with Wilson's intervals for one draw's number of pairs, since draws share
photos.
"""

from __future__ import annotations

import argparse
import math
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import few_people
import numpy as np
from few_people import BOOTSTRAPS, PROVENANCE, People

from arcid import paths, pipeline
from arcid.align import align
from arcid.apps.duplicates import Duplicates, work
from arcid.bench.common import hardware_slug, write_csv
from arcid.calibration import Calibration
from arcid.evaluate.calibrate import calibrate
from arcid.evaluate.metrics.rates import wilson
from arcid.gallery import Gallery, NewFace
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.models import weights
from arcid.types import Crops, Embeddings, Image

SETS = (
    ("arcid-face-s", "lfw-dev test"),
    ("arcid-face-s-1", "lfw-dev train"),
    ("arcid-face-s-1", "fiw"),
)
EXPECTED = (1.0, 5.0, 50.0)
SHARE, DRAWS = 0.2, 5
OWN = 300  # people a set's own calibration is made of; the others are searched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path("runs/few-people"))
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for model, name in SETS:
        packaged = weights.packaged_calibration(weights.resolve(model))
        everybody = read(name, asked.cache, model)
        order = np.random.default_rng(0).permutation(np.unique(everybody.labels))
        own = calibrate(
            *everybody.of(order[:OWN]), PROVENANCE, packaged=packaged, bootstraps=BOOTSTRAPS
        )
        people = everybody.of(order[OWN:])
        for words, calibration in (("packaged", packaged), (f"{OWN} others of the set", own)):
            runs = [draw(people, seed, calibration) for seed in range(DRAWS)]
            for number, expected in enumerate(EXPECTED):
                line = {"model": model, "set": name, "calibration": words, "asked": expected}
                rows.append(line | told([run[number] for run in runs]))
                print(rows[-1], flush=True)
    write_csv(Path(__file__).parent / "results" / f"duplicates-planted-{hardware_slug()}.csv", rows)


def draw(people: People, seed: int, calibration: Calibration) -> list[dict[str, float]]:
    """One planting, searched at every number of false pairs expected."""
    rng = np.random.default_rng(seed)
    counts = np.bincount(people.labels)
    several = np.flatnonzero(counts > 1)
    planted = set(rng.permutation(several)[: int(len(several) * SHARE)].tolist())
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("all")
        with _collections.writing(gallery.database, "all") as (log, own):
            for label in np.unique(people.labels):
                rows = rng.permutation(np.flatnonzero(people.labels == label))
                parts = np.array_split(rows, 2) if label in planted else [rows]
                for name, part in zip("ab", parts, strict=False):
                    vectors = (people.embeddings.vectors[i][None] for i in part)
                    faces = [NewFace(Embeddings(v, calibration.contract_id)) for v in vectors]
                    person = _people.add(log, own, f"{label} {name}", None)
                    _faces.add(log, own, person, faces)
        return [searched(gallery, calibration, expected, len(planted)) for expected in EXPECTED]


def searched(
    gallery: Gallery, calibration: Calibration, expected: float, planted: int
) -> dict[str, float]:
    found = Duplicates(gallery)
    run = found.runs.begin(
        "all", calibration, false_pairs=expected, allow_extrapolation=True, actor="benchmark"
    )
    work(gallery, "all", run.id, calibration)
    pairs = list(found.every("all", ["open"]))
    right = sum(pair.a.name.split()[0] == pair.b.name.split()[0] for pair in pairs)
    return {
        "comparisons": run.comparisons,
        "stated": run.target_fmr * run.comparisons,
        "extrapolated": float(run.extrapolated),
        "threshold": run.cosine_threshold,
        "low": float(run.false_low or 0),
        "high": float(run.false_high or 0),
        "planted": planted,
        "right": right,
        "false": len(pairs) - right,
    }


def told(runs: list[dict[str, float]]) -> dict[str, Any]:
    """The draws of one set and rate in a line."""
    total = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    listed = round(total["right"] + total["false"])
    right, planted = round(total["right"]), round(total["planted"])
    return {
        "draws": len(runs),
        "comparisons": round(total["comparisons"]),
        "extrapolated": bool(total["extrapolated"]),
        "threshold": round(total["threshold"], 3),
        "stated_false": round(total["stated"], 2),
        "false": round(total["false"], 1),
        "false_low": round(total["low"]),
        "false_high": round(total["high"]),
        "kept": bool(total["low"] <= total["false"] <= total["high"]),
        "precision": round(total["right"] / ((total["right"] + total["false"]) or math.nan), 4),
        "precision_interval": " ".join(f"{end:.3f}" for end in wilson(right, listed)),
        "recall": round(total["right"] / total["planted"], 4),
        "recall_interval": " ".join(f"{end:.3f}" for end in wilson(right, planted)),
        "planted": planted,
    }


def read(name: str, cache: Path, model: str) -> People:
    """A set's crops, embedded once."""
    if name == "fiw":
        return few_people.embedded(name, cache, model)
    bundle = weights.resolve(model)
    contract_id = bundle.manifest.contract_id
    kept = cache / f"{name.replace(' ', '-')}-{contract_id[:12]}.npz"
    if not kept.is_file():
        names, crops = devtest() if name == "lfw-dev test" else devtrain()
        embedder = pipeline.load_embedder(bundle)
        vectors = np.concatenate(
            [embedder.embed(Crops(np.stack(crops[i : i + 64]))).vectors
             for i in range(0, len(crops), 64)]
        )  # fmt: skip
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, vectors=vectors, names=np.array(names))
    with np.load(kept) as found:
        labels = np.unique(found["names"], return_inverse=True)[1].astype(np.int64)
        return People(Embeddings(found["vectors"], contract_id), labels)


def devtest() -> tuple[list[str], list[Image]]:
    """Names and crops of DevTest's photographs, aligned by the packaged detector."""
    detector = pipeline.load_detector("arcid-detect-s")
    names, crops = [], []
    for path in find_photos([paths.required_data_dir() / "data/lfw-dev/images"]):
        image = load_image(path)
        found = align(image, detector.detect([image])[0].select("center"))
        if len(found):
            crops.append(found.pixels[0])
            names.append(path.parent.name)
    return names, crops


def devtrain() -> tuple[list[str], list[Image]]:
    """Names and aligned crops of DevTrain."""
    names, crops = [], []
    path = paths.required_data_dir() / "data/lfw-dev/train-chips.tar"
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            pixels = load_image(file.read())
            rim = (pixels.shape[0] - TEMPLATE_SIZE) // 2
            crops.append(pixels[rim : rim + TEMPLATE_SIZE, rim : rim + TEMPLATE_SIZE])
            names.append(Path(member.name).parent.name)
    return names, crops


if __name__ == "__main__":
    main()

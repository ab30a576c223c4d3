"""Every five-point detector with mobilefacenet_128, one table.

    python benchmarks/detectors.py [--detectors scrfd_2.5g,yunet] [--recogniser NAME]

AUC over the 300 pairs of deepface-pairs (largest face); over all pairs of the 1,549 photos of
lfw-dev (face nearest the centre) TAR at FAR 1e-4 and 1e-5 with a 95 % interval that resamples
identities; photos without a face; milliseconds a photo for detecting alone, as a ratio to the
first detector named. Converted detectors are looked for in ``ARCID_MODELS``. Writes
``benchmarks/results/detectors-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from arcid import load_image, paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.errors import ModelNotFound
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.metrics import auc
from arcid.evaluate.pairs import PairScores
from arcid.pipeline import Pipeline

DETECTORS = "scrfd_2.5g,yunet,retinaface_mnet025,mtcnn"
BATCH = 16


def deepface_auc(pipeline: Pipeline, folder: Path) -> float:
    photos = sorted(folder.glob("*.jpg"))
    faces = (item.get() for item in pipeline.faces_batch(photos, select="largest"))
    vectors = {p.name: f.embeddings for p, f in zip(photos, faces, strict=True) if len(f)}
    with (folder / "master.csv").open(newline="") as stream:
        rows = [(r["file_x"], r["file_y"], r["Decision"] == "Yes") for r in csv.DictReader(stream)]
    scores = [
        vectors[a].cosine(vectors[b])[0, 0] if a in vectors and b in vectors else -1.0
        for a, b, _ in rows
    ]
    same = np.array([s for _, _, s in rows])
    return auc(np.array(scores)[same], np.array(scores)[~same])


def lfw_dev(pipeline: Pipeline, folder: Path) -> dict[str, Any]:
    photos = sorted(folder.glob("*/*.jpg"))
    vectors, people, failed, detecting = [], [], 0, 0.0
    for start in range(0, len(photos), BATCH):
        chunk = photos[start : start + BATCH]
        images = [load_image(p) for p in chunk]
        began = time.perf_counter()
        found = [d.select("center") for d in pipeline.detector.detect(images)]
        detecting += time.perf_counter() - began
        for photo, image, detections in zip(chunk, images, found, strict=True):
            if len(detections) == 0:
                failed += 1
                continue
            embedded = pipeline.embedder.embed(pipeline.align(image, detections))
            vectors.append(embedded.vectors[0])
            people.append(photo.parent.name)
    matrix, labels = np.stack(vectors), np.array(people)
    first, second = np.triu_indices(len(labels), k=1)
    scores = (matrix @ matrix.T)[first, second]
    pairs = PairScores.from_labels(scores, labels[first], labels[second])
    points = operating_points(PairBootstrap(pairs), [1e-4, 1e-5])
    row: dict[str, Any] = {
        "photos": len(photos),
        "failed": failed,
        "impostor_pairs": int((~pairs.same).sum()),
        "ms_per_photo": round(1000 * detecting / len(photos), 1),
    }
    for point in points:
        name = f"tar_at_{point.target_fmr:.0e}"
        row[name] = round(100 * point.tar.value, 2)
        row[f"{name}_interval"] = f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}"
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detectors", default=DETECTORS)
    parser.add_argument("--recogniser", default="mobilefacenet_128")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = paths.required_data_dir() / "data"
    rows: list[dict[str, Any]] = []
    for name in options.detectors.split(","):
        try:
            pipeline = Pipeline.from_models(name, options.recogniser)
        except ModelNotFound as missing:
            print(f"{name}: left out: {missing.message}")
            continue
        row = {"detector": name, "recogniser": options.recogniser}
        row["auc_300_pairs"] = round(deepface_auc(pipeline, data / "deepface-pairs"), 5)
        row |= lfw_dev(pipeline, data / "lfw-dev/images")
        rows.append(row)
        row["ms_ratio"] = round(row["ms_per_photo"] / rows[0]["ms_per_photo"], 2)
        print(row, flush=True)
    if not rows:
        return 4
    path = options.output or Path(__file__).parent / "results" / f"detectors-{hardware_slug()}.csv"
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

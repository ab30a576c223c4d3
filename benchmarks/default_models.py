"""The models that ship beside models of others: accuracy, time and size in one table of one run.

    python benchmarks/default_models.py
        [--recognisers arcid-face-s,arcid-face-s-int8,mobilefacenet_128]
        [--detectors arcid-detect-s,scrfd_2.5g,yunet]

Every detector is paired with every recogniser. Over lfw-dev (1,549 photos, face nearest the centre,
no flip): accuracy on the DevTest pairs at the threshold best on other photos (DevTrain's pairs,
aligned crops), TAR at FAR 1e-4 and 1e-5 over all pairs with 95 % intervals that resample
identities. Over the 300 pairs of deepface-pairs: AUC. With the first detector only, every probe
degraded against clean templates: TAR at FAR 1e-3. Time: milliseconds a face and a photo, as a ratio
to the last model of each list. lfw-dev selects between finished models and calibrates; nothing is
trained on it. Writes ``benchmarks/results/default-models-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from arcid import load_image, paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.detect import model_files
from arcid.embed import Embedder
from arcid.errors import ModelNotFound
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.metrics import auc, best_accuracy
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols import SyntheticMask
from arcid.evaluate.readers import read_lfw
from arcid.geometry import recut
from arcid.models.weights import resolve
from arcid.pipeline import Pipeline
from arcid.types import Crops, Detections, Image

BATCH = 16
Vectors = npt.NDArray[np.float32]
Found = list[Detections]


def blurred(crop: Image, number: int) -> Image:
    """Out of focus: σ = 2.5 pixels of the 112-pixel template."""
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 2.5), np.uint8)


def small(crop: Image, number: int) -> Image:
    """A face 24 pixels wide, enlarged again."""
    side = round(24 / 0.62 * crop.shape[0] / 112)  # the face takes about 62 % of the crop
    tiny = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(tiny, crop.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def dark(crop: Image, number: int) -> Image:
    """An eighth of the light, with shot and read noise."""
    rng = np.random.default_rng(number)
    photons = rng.poisson(crop / 255.0 * 60) / 60 * 255 / 8
    return np.clip(photons + rng.normal(0, 3, crop.shape), 0, 255).astype(np.uint8)


def masked(crop: Image, number: int) -> Image:
    """A drawn mask over nose and mouth."""
    return SyntheticMask()(crop)


DEGRADED: dict[str, Callable[[Image, int], Image]] = {
    "blurred": blurred, "24px": small, "dark": dark, "masked": masked,
}  # fmt: skip


def lfw_crops(pipeline: Pipeline, photos: list[Path]) -> tuple[Image, npt.NDArray[np.bool_], float]:
    """One crop a photo, whether a face was found, and milliseconds a photo of detecting."""
    crops, found, spent = [], [], 0.0
    for start in range(0, len(photos), BATCH):
        images = [load_image(p) for p in photos[start : start + BATCH]]
        began = time.perf_counter()
        chosen: Found = [d.select("center") for d in pipeline.detector.detect(images)]
        spent += time.perf_counter() - began
        for image, detections in zip(images, chosen, strict=True):
            found.append(len(detections) > 0)
            if found[-1]:
                crops.append(pipeline.align(image, detections).pixels[0])
            else:
                crops.append(np.zeros((pipeline.embedder.size,) * 2 + (3,), np.uint8))
    return np.stack(crops), np.array(found), 1000 * spent / len(photos)


def embed(embedder: Embedder, crops: Image) -> tuple[Vectors, float]:
    """Vectors, and milliseconds a face."""
    embedder.embed(Crops(crops[:8]))
    began = time.perf_counter()
    vectors = embedder.embed(Crops(crops)).vectors
    return vectors, 1000 * (time.perf_counter() - began) / len(crops)


def train_threshold(embedder: Embedder, folder: Path) -> float:
    """The cosine that decides pairsDevTrain best, on its aligned crops."""
    listed = [
        line.split("\t") for line in (folder / "pairsDevTrain.txt").read_text().splitlines()[1:]
    ]
    crops: dict[str, Image] = {}
    with tarfile.open(folder / "train-chips.tar") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                pixels = load_image(file.read())
                rim = (pixels.shape[0] - 112) // 2
                crops[Path(member.name).stem] = pixels[rim : rim + 112, rim : rim + 112]
    names = list(crops)
    aligned = recut(Crops(np.stack([crops[n] for n in names])), embedder.size, embedder.template)
    vectors, _ = embed(embedder, aligned.pixels)
    row = {name: i for i, name in enumerate(names)}
    scores, same = [], []
    for fields in listed:
        first, second = (
            (f"{fields[0]}_{int(fields[1]):04d}", f"{fields[0]}_{int(fields[2]):04d}")
            if len(fields) == 3
            else (f"{fields[0]}_{int(fields[1]):04d}", f"{fields[2]}_{int(fields[3]):04d}")
        )
        if first in row and second in row:
            scores.append(float(vectors[row[first]] @ vectors[row[second]]))
            same.append(len(fields) == 3)
    return best_accuracy(np.array(scores), np.array(same))[1]


def all_pairs(left: Vectors, right: Vectors, people: npt.NDArray[Any]) -> PairScores:
    first, second = np.triu_indices(len(people), k=1)
    scores = (left @ right.T)[first, second]
    return PairScores.from_labels(scores, people[first], people[second])


def deepface_auc(pipeline: Pipeline, folder: Path) -> float:
    photos = sorted(folder.glob("*.jpg"))
    faces = (item.get() for item in pipeline.faces_batch(photos, select="largest"))
    vectors = {p.name: f.embeddings for p, f in zip(photos, faces, strict=True) if len(f)}
    with (folder / "master.csv").open(newline="") as stream:
        rows = [(r["file_x"], r["file_y"], r["Decision"] == "Yes") for r in csv.DictReader(stream)]
    scores = np.array(
        [
            float(vectors[a].cosine(vectors[b])[0, 0]) if a in vectors and b in vectors else -1.0
            for a, b, _ in rows
        ]
    )
    same = np.array([s for _, _, s in rows])
    return auc(scores[same], scores[~same])


def measure(detector: str, recogniser: str, data: Path, degrade: bool) -> dict[str, Any]:
    pipeline = Pipeline.from_models(detector, recogniser)
    listed = read_lfw(data / "lfw-dev/pairsDevTest.txt", data / "lfw-dev/images")
    photos = [Path(str(photo.source)) for photo in listed.photos]
    people = np.array([photo.parent.name for photo in photos])
    crops, found, detect_ms = lfw_crops(pipeline, photos)
    vectors, embed_ms = embed(pipeline.embedder, crops)
    vectors = np.where(found[:, None], vectors, 0).astype(np.float32)
    threshold = train_threshold(pipeline.embedder, data / "lfw-dev")
    scores = (vectors[listed.first] * vectors[listed.second]).sum(1)
    right = (scores >= threshold) == np.asarray(listed.same)
    row: dict[str, Any] = {
        "detector": detector,
        "recogniser": recogniser,
        "photos": len(photos),
        "without_face": int((~found).sum()),
        "devtest_accuracy": round(100 * float(right.mean()), 2),
        "deepface_auc": round(deepface_auc(pipeline, data / "deepface-pairs"), 5),
    }
    pairs = all_pairs(vectors, vectors, people)
    row["impostor_pairs"] = int((~pairs.same).sum())
    for point in operating_points(PairBootstrap(pairs), [1e-4, 1e-5]):
        name = f"tar_at_{point.target_fmr:.0e}"
        row[name] = round(100 * point.tar.value, 2)
        row[f"{name}_interval"] = f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}"
    for name, change in DEGRADED.items() if degrade else ():
        worse = np.stack([change(crop, i) for i, crop in enumerate(crops)])
        probes, _ = embed(pipeline.embedder, worse)
        pairs = all_pairs(vectors, probes, people)
        (point,) = operating_points(PairBootstrap(pairs), [1e-3])
        row[f"{name}_tar_at_1e-03"] = round(100 * point.tar.value, 2)
        row[f"{name}_interval"] = f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}"
    row |= {
        "detect_ms": round(detect_ms, 2),
        "embed_ms": round(embed_ms, 2),
        "detector_mb": round(_size(detector) / 1e6, 2),
        "recogniser_mb": round(_recogniser_size(recogniser) / 1e6, 2),
    }
    return row


def _size(detector: str) -> int:
    """Bytes of all its files."""
    bundle = resolve(detector)
    files = model_files(bundle.manifest).values()
    return sum(bundle.file(name, sha256).stat().st_size for name, sha256 in files)


def _recogniser_size(recogniser: str) -> int:
    """Bytes of its file, or of both of an OpenVINO pair."""
    bundle = resolve(recogniser)
    return sum(bundle.path.with_name(name).stat().st_size for name in bundle.manifest.files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognisers", default="arcid-face-s,arcid-face-s-int8,mobilefacenet_128")
    parser.add_argument("--detectors", default="arcid-detect-s,scrfd_2.5g,yunet")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = paths.required_data_dir() / "data"
    detectors, recognisers = options.detectors.split(","), options.recognisers.split(",")
    rows: list[dict[str, Any]] = []
    for detector in detectors:
        for recogniser in recognisers:
            try:
                rows.append(measure(detector, recogniser, data, detector == detectors[0]))
            except ModelNotFound as missing:
                print(f"{detector} + {recogniser}: left out: {missing.message}")
                continue
            print(rows[-1], flush=True)
    if not rows:
        return 4
    for row in rows:
        row["detect_ratio"] = round(row["detect_ms"] / rows[-1]["detect_ms"], 2)
        row["embed_ratio"] = round(row["embed_ms"] / rows[-1]["embed_ms"], 2)
    path = (
        options.output
        or Path(__file__).parent / "results" / f"default-models-{hardware_slug()}.csv"
    )
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

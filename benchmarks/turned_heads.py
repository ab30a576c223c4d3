"""Faces from the front against turned ones: what a recogniser keeps when the head turns away.

    python benchmarks/turned_heads.py [--recognisers arcid-face-s,mobilefacenet_128]

The aligned VGGFace2 crops of the data folder: every photo turned by at most 15° against every one
turned by 45° and more, yaw by the quality gate's measure of the detector's five points. TAR at
FMR 1e-2 and 1e-3 with 95 % intervals that resample the people. ``arcid-face-s`` was trained on
these photos, though not on who they show, so its numbers flatter it; the wrong labels among them
(about 3 %) count against every model alike. Writes ``results/turned-heads-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcid import paths
from arcid.bench.common import hardware_slug, write_csv
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.metrics import eer
from arcid.evaluate.pairs import PairScores
from arcid.models.weights import resolve
from arcid.pipeline import load_detector, load_embedder
from arcid.quality import pose
from arcid.train.config.recipe import SourceConfig
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.train.data.sources import open_source
from arcid.types import Crops, Image

FRONT_DEG, TURNED_DEG = 15.0, 45.0
RIM = 48  # pixels around a crop, so that the face does not fill what the detector sees
BATCH = 64


def read_crops(path: Path) -> tuple[Image, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """(N,112,112,3) crops, whose they are, and (N,) yaw in degrees, NaN where no face is found."""
    detector = load_detector("arcid-detect-s")
    source = open_source(SourceConfig(path=str(path)))
    crops, people, yaw = [], [], []
    for i in range(len(source)):
        crop = fit_crop(decode_crop(source.read(i)), -1, 112)
        rimmed = cv2.copyMakeBorder(crop, RIM, RIM, RIM, RIM, cv2.BORDER_REPLICATE)
        found = detector.detect([np.asarray(rimmed, np.uint8)])[0].select("center")
        yaw.append(pose(found.points)[0, 0] if len(found) and found.points is not None else np.nan)
        crops.append(centre(crop, 112))
        people.append(source.key(i).split("/")[0])
    return np.stack(crops), np.array(people), np.array(yaw)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recognisers", default="arcid-face-s,arcid-face-s-int8,mobilefacenet_128")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    crops, people, yaw = read_crops(paths.required_data_dir() / "data/train/vgg.tar")
    front = np.flatnonzero(np.abs(yaw) <= FRONT_DEG)
    turned = np.flatnonzero(np.abs(yaw) >= TURNED_DEG)
    rows = []
    for name in options.recognisers.split(","):
        embedder = load_embedder(resolve(name))
        vectors = np.concatenate(
            [
                embedder.embed(Crops(crops[start : start + BATCH])).vectors
                for start in range(0, len(crops), BATCH)
            ]
        )
        scores = (vectors[front] @ vectors[turned].T).ravel()
        one = np.repeat(people[front], len(turned))
        other = np.tile(people[turned], len(front))
        pairs = PairScores.from_labels(scores, one, other)
        row: dict[str, Any] = {
            "recogniser": name,
            "people": len(set(people)),
            "front": len(front),
            "turned": len(turned),
            "genuine_pairs": int(pairs.same.sum()),
            "eer": round(100 * eer(scores[pairs.same], scores[~pairs.same])[0], 2),
        }
        for point in operating_points(PairBootstrap(pairs), [1e-2, 1e-3]):
            label = f"tar_at_{point.target_fmr:.0e}"
            row[label] = round(100 * point.tar.value, 2)
            row[f"{label}_interval"] = f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}"
        rows.append(row)
        print(row, flush=True)
    path = (
        options.output or Path(__file__).parent / "results" / f"turned-heads-{hardware_slug()}.csv"
    )
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

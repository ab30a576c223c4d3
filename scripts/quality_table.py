"""Measure the quality gate on real photographs and print the table of docs/concepts/quality.md.

    python scripts/quality_table.py DATA_DIR

DATA_DIR holds data/lfw-dev/images and data/deepface-pairs. The face nearest the centre of each
photo is measured; then copies of every sixth LFW face spoiled in one way each.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from arcid.align import align
from arcid.image import load_image
from arcid.pipeline import load_detector
from arcid.quality import Quality, QualityGate
from arcid.types import Crops, Image

FIELDS = ("inter_eye_px", "sharpness", "brightness", "burnt_out", "contrast", "yaw_deg",
          "pitch_deg", "roll_deg", "detection_score", "truncation")  # fmt: skip
CUTS = (0, 1, 5, 50, 95, 99, 100)


def rescaled(crop: Image, side: int) -> Image:
    """A crop as a face ``side`` / 112 as large would give it."""
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def scaled(crop: Image, factor: float, offset: float = 0) -> Image:
    spoiled: Image = np.clip(crop.astype(np.float32) * factor + offset, 0, 255).astype(np.uint8)
    return spoiled


SPOILED: dict[str, Callable[[Image], Image]] = {
    "untouched": lambda crop: crop,
    "blur, sigma 1.5 px": lambda crop: np.asarray(cv2.GaussianBlur(crop, (0, 0), 1.5)),
    "blur, sigma 2 px": lambda crop: np.asarray(cv2.GaussianBlur(crop, (0, 0), 2)),
    "blur, sigma 3 px": lambda crop: np.asarray(cv2.GaussianBlur(crop, (0, 0), 3)),
    "upscaled from 32 px": lambda crop: rescaled(crop, 32),
    "upscaled from 24 px": lambda crop: rescaled(crop, 24),
    "a quarter of the light": lambda crop: scaled(crop, 0.25),
    "exposed 2.5 times": lambda crop: scaled(crop, 2.5),
    "exposed 3 times": lambda crop: scaled(crop, 3.0),
    "a quarter of the contrast": lambda crop: scaled(crop, 0.25, 96),
}


def measure(folder: Path, gate: QualityGate) -> tuple[list[Quality], Crops]:
    detector = load_detector()
    qualities, crops = [], []
    for path in sorted(folder.rglob("*.jpg")):
        image = load_image(path)
        face = detector.detect([image])[0].select("center")
        if len(face) == 0:
            print(f"no face: {path.name}")
            continue
        crops.append(align(image, face))
        qualities += gate.assess(image, face, crops[-1])
    return qualities, Crops.concatenate(crops)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data_dir", type=Path)
    args = parser.parse_args()
    gate = QualityGate()
    for name, folder in (("lfw-dev", "lfw-dev/images"), ("deepface-pairs", "deepface-pairs")):
        qualities, crops = measure(args.data_dir / "data" / folder, gate)
        passed = sum(quality.ok for quality in qualities)
        print(f"\n{name}: {len(qualities)} photos, {passed / len(qualities):.2%} pass")
        print("| percentile | " + " | ".join(map(str, CUTS)) + " |\n" + "|---" * 8 + "|")
        for field in FIELDS:
            values = [getattr(quality, field) for quality in qualities]
            row = np.percentile(values, CUTS)
            print(f"| {field} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
        print(Counter(reason.code for quality in qualities for reason in quality.reasons))
        if name == "lfw-dev":
            print(
                "\n| copies of every sixth photo | rejected | most given reasons |\n|---|---|---|"
            )
            for spoiling, spoil in SPOILED.items():
                spoiled = Crops(np.stack([spoil(crop) for crop in crops.pixels[::6]]))
                answers = gate.assess_crops(spoiled)
                share = np.mean([not answer.ok for answer in answers])
                codes = Counter(r.code for answer in answers for r in answer.reasons)
                given = ", ".join(f"{c} {n / len(answers):.0%}" for c, n in codes.most_common(2))
                print(f"| {spoiling} | {share:.1%} | {given} |")


if __name__ == "__main__":
    main()

"""lfw-dev as one folder of aligned 112-pixel crops per person, to calibrate on more people.

    python benchmarks/lfw_dev_people.py OUT [--detector scrfd_2.5g] [--train-photos 1]
    arcid calibrate OUT --aligned --model NAME ...

All DevTest photos (963 people), aligned by the detector, and of each of the 2,132 people of
DevTrain the first ``--train-photos`` of its aligned crops. A rate needs thirty independent false
matches (docs/concepts/thresholds.md); these are ten times the pairs of people of DevTest alone.

``--train-only`` leaves DevTest, which chooses between models. No other set joins it: strangers of
two sets resemble one another less than strangers of one, so that thresholds from both would
promise more than they keep.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
from collections import Counter
from pathlib import Path

import cv2

from arcid import paths
from arcid.align import align
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.pipeline import load_detector
from arcid.types import Image


def write(out: Path, person: str, name: str, crop: Image) -> None:
    folder = out / person
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), crop[..., ::-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--detector", default="scrfd_2.5g")
    parser.add_argument("--train-photos", type=int, default=1)
    parser.add_argument("--train-only", action="store_true", help="nobody who chose a model")
    options = parser.parse_args()
    folder = paths.required_data_dir() / "data/lfw-dev"
    detector = load_detector(options.detector)
    for path in [] if options.train_only else find_photos([folder / "images"]):
        image = load_image(path)
        crops = align(image, detector.detect([image])[0].select("center"))
        if len(crops):
            write(options.out, path.parent.name, path.stem, crops.pixels[0])
    taken: Counter[str] = Counter()
    with tarfile.open(folder / "train-chips.tar") as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            file = archive.extractfile(member) if member.isfile() else None
            person = Path(member.name).parent.name
            if file is None or taken[person] == options.train_photos:
                continue
            taken[person] += 1
            pixels = load_image(file.read())
            rim = (pixels.shape[0] - TEMPLATE_SIZE) // 2
            crop = pixels[rim : rim + TEMPLATE_SIZE, rim : rim + TEMPLATE_SIZE]
            write(options.out, person, Path(member.name).stem, crop)
    return 0


if __name__ == "__main__":
    sys.exit(main())

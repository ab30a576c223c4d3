"""lfw-dev as one folder of aligned 112-pixel crops per person, to calibrate on more people.

    python benchmarks/lfw_dev_people.py OUT [--detector scrfd_2.5g] [--train-photos 1]
    arcid calibrate OUT --aligned --model NAME ...

All DevTest photos (963 people), aligned by the detector, and of each of the 2,132 people of
DevTrain the first ``--train-photos`` of its aligned crops. A rate needs thirty independent false
matches (docs/concepts/thresholds.md); these are ten times the pairs of people of DevTest alone.

``--held-out`` leaves DevTest, which chooses between models, and takes the people of
``configs/held_out_calibrate.txt`` instead, who chose nothing: CelebA's, and of fiw one person a
family, for relatives are not the impostors a door meets.
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
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Image

LIST = Path(__file__).resolve().parents[1] / "configs/held_out_calibrate.txt"
SOURCES = ("celeba-a/", "celeba-b/", "fiw/")


def write(out: Path, person: str, name: str, crop: Image) -> None:
    folder = out / person
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{name}.png"), crop[..., ::-1])


def held_out(out: Path) -> None:
    """The people of the list, each in a folder named by source and name."""
    listed = [line.split("/") for line in LIST.read_text().splitlines() if line.startswith(SOURCES)]
    families: set[str] = set()
    wanted = set()
    for source, person in sorted(map(tuple, listed)):
        family = person.partition("_")[0]
        if source == "fiw" and family in families:
            continue
        families.add(family)
        wanted.add((source, person))
    for source in {source for source, _ in wanted}:
        path = paths.required_data_dir() / f"data/train/{source}.tar"
        with tarfile.open(path) as archive:
            for member in archive:
                file = archive.extractfile(member)
                person = Path(member.name).parent.name
                if file is None or (source, person) not in wanted:
                    continue
                crop = centre(fit_crop(decode_crop(file.read()), -1, TEMPLATE_SIZE), TEMPLATE_SIZE)
                write(out, f"{source}-{person}", Path(member.name).stem, crop)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--detector", default="scrfd_2.5g")
    parser.add_argument("--train-photos", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="nobody who chose a model")
    options = parser.parse_args()
    if options.held_out:
        held_out(options.out)
    folder = paths.required_data_dir() / "data/lfw-dev"
    detector = load_detector(options.detector)
    for path in [] if options.held_out else find_photos([folder / "images"]):
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

"""Faces chosen at a glance, on a picture of 320 pixels, beside those chosen on the whole photo.

    python benchmarks/glance.py [--photos 300]

Photographs (data/photos, data/deepface-pairs): how often ``prominent`` and ``one`` choose or refuse
otherwise. The first photos of lfw-dev, enlarged to 640 pixels: cosines of a face's two vectors, and
TAR over all their pairs, whole against whole and whole (enrolled) against glance. lfw-dev had no
say in the limits of ``detect/glance.py``. Writes ``results/glance-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from arcid import paths
from arcid.bench import common
from arcid.detect import choosing
from arcid.errors import ArcidError
from arcid.evaluate.differences import compare_tar
from arcid.evaluate.pairs import PairScores
from arcid.geometry import box_iou
from arcid.image import find_photos, load_image
from arcid.pipeline import Pipeline
from arcid.types import Detections, Selection

SIDE_PX = 640
SAME_IOU = 0.5
FMR = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=int, default=300, help="of lfw-dev")
    options = parser.parse_args()
    pipeline, data = Pipeline.from_models(), paths.required_data_dir() / "data"
    rows = [*agreement(pipeline, [data / "photos", data / "deepface-pairs"])]
    rows += accuracy(pipeline, sorted(find_photos([data / "lfw-dev/images"]))[: options.photos])
    print("\n".join(common.lines(rows)))
    name = f"glance-{common.hardware_slug()}.csv"
    common.write_csv(Path(__file__).parent / "results" / name, rows)


def agreement(pipeline: Pipeline, folders: Sequence[Path]) -> list[common.Row]:
    photos = [
        image for image in map(load_image, find_photos(folders)) if max(image.shape) > SIDE_PX / 2
    ]
    same: dict[Selection, int] = {"prominent": 0, "one": 0}
    for image in photos:
        (whole,) = pipeline.detector.detect([image])
        for which in same:
            (seen,) = choosing(pipeline.detector, which)([image])
            same[which] += _same(_chosen(whole, which), _chosen(seen, which))
    return [
        common.row(f"{which}: same answer", "arcid", count, "photos", samples=len(photos))
        for which, count in same.items()
    ]


def _same(whole: Detections | str, seen: Detections | str) -> bool:
    if isinstance(whole, str) or isinstance(seen, str):
        return whole == seen
    return bool(box_iou(whole.boxes, seen.boxes)[0, 0] > SAME_IOU)


def _chosen(found: Detections, which: Selection) -> Detections | str:
    try:
        return found.select(which)
    except ArcidError as error:
        return error.code


def accuracy(pipeline: Pipeline, files: Sequence[Path]) -> list[common.Row]:
    detector, vectors, people = pipeline.detector, [], []
    for file in files:
        image = load_image(file)
        scale = SIDE_PX / max(image.shape[:2])
        enlarged = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        image = np.asarray(enlarged, np.uint8)
        looks = (detector.detect, choosing(detector, "prominent"))
        found = [_chosen(look([image])[0], "prominent") for look in looks]
        if any(isinstance(one, str) for one in found):
            continue
        crops = [pipeline.align(image, one) for one in found if not isinstance(one, str)]
        vectors.append([pipeline.embedder.embed(crop).vectors[0] for crop in crops])
        people.append(file.parent.name)
    whole, seen = np.moveaxis(np.asarray(vectors), 1, 0)
    names = np.asarray(people)
    first, second = np.triu_indices(len(names), k=1)
    alone, mixed = (
        PairScores.from_labels((whole @ other.T)[first, second], names[first], names[second])
        for other in (whole, seen)
    )
    cosines = (whole * seen).sum(1)
    tar = compare_tar(alone, mixed, FMR)
    low, middle = np.quantile(cosines, (0.01, 0.5))
    return [
        common.row(
            "cosine of both vectors of a face", "arcid", float(middle), "median",
            samples=len(names), notes=f"1 % below {low:.4f}, lowest {cosines.min():.4f}",
        ),
        common.row(
            f"TAR at FMR {FMR:g}, whole", "arcid", tar.a, "share", samples=len(names)
        ),
        common.row(
            f"TAR at FMR {FMR:g}, glance against whole", "arcid", tar.b, "share",
            samples=len(names),
            notes=f"{alone.same.sum()} genuine pairs, difference {tar.difference:+.4f} "
            f"[{tar.low:+.4f}, {tar.high:+.4f}]",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    main()

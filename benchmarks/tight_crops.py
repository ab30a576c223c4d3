"""Pictures that a face fills, without and with the detectors' second try.

    python benchmarks/tight_crops.py
        [--detectors arcid-detect-s,scrfd_2.5g,yunet] [--recogniser arcid-face-s]
        [--reference scrfd_2.5g] [--factors 1.0,1.1,…,1.6] [--sides own,500]
        [--photos N] [--crops 400] [--backgrounds N]

Tight crops are cut out of lfw-dev and of the photos of deepface-pairs: the box that the reference
finds in the whole photo, times the factor, within the photo; as they are and enlarged to 500
pixels, as ID photos are. For every detector: the share found; the points' mean distance in shares
of the eyes' distance from those the same detector finds in the whole photo, and the share of faces
with points more than a third of it away; on lfw-dev accuracy on pairsDevTest at the threshold best
on DevTrain and TAR at FAR 1e-3 over all pairs with a 95 % interval that resamples identities, both
pictures of every pair cropped, photos without a face never alike. Beside it the share found of
aligned 112-pixel crops of ``data/train``, and false alarms on the background pictures of
``scenes.tar``. ``profiles`` are aligned crops of heads turned by 45° and more, of people in
``configs/held_out_calibrate.txt``: TAR at FMR 1e-2 against heads
turned by 15° at most; the detector ``none`` takes every crop as it is.
``tried_again`` counts the pictures that cost a second try, ``once_ms`` and ``twice_ms`` say what a
picture costs with one try and with both. Writes
``results/tight-crops-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from default_models import BATCH, Found, Vectors, all_pairs, embed, train_threshold
from unseen_people import CONFIGS, FRONT_DEG, TURNED_DEG, People, read_people

from arcid import load_image, paths
from arcid.align import align
from arcid.bench.common import hardware_slug, write_csv
from arcid.detect import Detector, once
from arcid.embed import Embedder
from arcid.errors import ModelNotFound
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import operating_points
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.readers import PairList, read_lfw
from arcid.models.weights import resolve
from arcid.pipeline import load_detector, load_embedder
from arcid.types import Detections, FloatArray, Image

FACTORS = "1.0,1.1,1.2,1.3,1.4,1.5,1.6"
CHIPS = ("vgg", "celeba-b", "fiw", "aaf", "utk")
TURNED = ("vgg", "celeba-a", "celeba-b", "fiw")
ASTRAY = 1 / 3  # of the eyes' distance: points further away on average make another crop


Place = tuple[FloatArray, float]  # corner and scale of a ``Tight``
ByRow = dict[int, npt.NDArray[np.float32]]  # vectors of the photos that have one


@dataclass(frozen=True)
class Tight:
    """A cropped photo."""

    image: Image
    corner: FloatArray  # (2,) of the crop, in pixels of the photo
    scale: float  # crop pixels per photo pixel


@dataclass(frozen=True)
class Photos:
    """Whole photos and, in each, where the reference finds the face nearest the middle."""

    name: str
    files: list[Path]
    boxes: FloatArray  # (N,4)

    def tight(self, row: int, *, factor: float, side: int | None) -> Tight:
        image = load_image(self.files[row])
        box = self.boxes[row]
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
        edges = np.array(image.shape[1::-1])
        low = np.clip(np.floor(middle - half), 0, edges - 1).astype(int)
        high = np.clip(np.ceil(middle + half), low + 1, edges).astype(int)
        crop = image[low[1] : high[1], low[0] : high[0]]
        scale = 1.0 if side is None else side / max(crop.shape[:2])
        if scale != 1:
            method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            crop = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=method))
        return Tight(np.asarray(crop, np.uint8), low.astype(np.float32), scale)


def located(name: str, files: list[Path], reference: Detector) -> Photos:
    """Photos in which the reference finds nobody keep the middle of the picture as their box."""
    boxes = []
    for file in files:
        image = load_image(file)
        found = reference.detect([image])[0].select("center")
        height, width = image.shape[:2]
        middle = np.array([width / 4, height / 4, 3 * width / 4, 3 * height / 4], np.float32)
        boxes.append(found.boxes[0] if len(found) else middle)
    return Photos(name, files, np.stack(boxes))


def batches(pictures: Iterable[Image]) -> Iterator[list[Image]]:
    waiting = iter(pictures)
    while chunk := list(islice(waiting, BATCH)):
        yield chunk


@dataclass(frozen=True)
class Tries:
    """What both ways of asking find, and how many pictures were tried again."""

    first: Found
    both: Found
    again: int
    once_s: float  # of all pictures
    twice_s: float  # of those tried again


def tried(detector: Detector, pictures: Iterable[Image]) -> Tries:
    """Pictures whose first answer is sure are not asked twice: their answer is the same."""
    first: Found = []
    both: Found = []
    count, once_s, twice_s, sure = 0, 0.0, 0.0, getattr(detector, "sure", 0.0)
    for chunk in batches(pictures):
        began = time.perf_counter()
        found = once(detector)(chunk)
        once_s += time.perf_counter() - began
        rows = [i for i, one in enumerate(found) if sure is not None and not _is_sure(one, sure)]
        began = time.perf_counter()
        better = dict(zip(rows, detector.detect([chunk[i] for i in rows]), strict=True))
        twice_s += time.perf_counter() - began
        first += found
        both += [better.get(i, one) for i, one in enumerate(found)]
        count += len(rows)
    return Tries(first, both, count, once_s, twice_s)


def _is_sure(found: Detections, sure: float) -> bool:
    return len(found) > 0 and float(found.scores.max()) >= sure


def points_told(found: Found, whole: Found, places: Sequence[Place]) -> dict[str, Any]:
    """Of the faces found in both: how far the points are from those in the whole photo."""
    errors = []
    for crop, photo, (corner, scale) in zip(found, whole, places, strict=True):
        mine, theirs = crop.select("largest"), photo.select("center")
        if not len(mine) or not len(theirs) or mine.points is None or theirs.points is None:
            continue
        wanted = (theirs.points[0] - corner + 0.5) * scale - 0.5
        apart = np.linalg.norm(mine.points[0] - wanted, axis=1).mean()
        errors.append(apart / np.linalg.norm(wanted[0] - wanted[1]))
    if not errors:
        return {}
    return {
        "point_error_percent": round(100 * float(np.mean(errors)), 2),
        "point_error_median_percent": round(100 * float(np.median(errors)), 2),
        "points_astray_percent": round(100 * float((np.array(errors) > ASTRAY).mean()), 2),
    }


def embedded(
    embedder: Embedder, crop: Callable[[int], Tight], found: Found, rows: Sequence[int]
) -> ByRow:
    """Vectors of the largest face, by row; rows without a face are absent."""
    seen = [i for i in rows if len(found[i])]
    if not seen:
        return {}
    crops = [
        align(
            crop(i).image,
            found[i].select("largest"),
            size=embedder.size,
            template=embedder.template,
        ).pixels[0]
        for i in seen
    ]
    return dict(zip(seen, embed(embedder, np.stack(crops))[0], strict=True))


def verified(
    vectors: ByRow, listed: PairList, people: npt.NDArray[Any], threshold: float
) -> dict[str, Any]:
    """Accuracy on the listed pairs and TAR over all; a photo without a vector is like nobody."""
    dim = len(next(iter(vectors.values()))) if vectors else 1
    empty = np.zeros(dim, np.float32)
    matrix: Vectors = np.stack([vectors.get(i, empty) for i in range(len(people))])
    scores = (matrix[listed.first] * matrix[listed.second]).sum(1)
    seen = np.array([i in vectors for i in range(len(people))])
    usable = seen[listed.first] & seen[listed.second]
    right = usable & ((scores >= threshold) == np.asarray(listed.same))
    (point,) = operating_points(PairBootstrap(all_pairs(matrix, matrix, people)), [1e-3])
    return {
        "devtest_accuracy": round(100 * float(right.mean()), 2),
        "tar_at_1e-03": round(100 * point.tar.value, 2),
        "tar_at_1e-03_interval": f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}",
    }


def rows_of(
    about: dict[str, Any], tries: Tries, more: Sequence[dict[str, Any]] = ({}, {})
) -> Iterator[dict[str, Any]]:
    """One row without and one with the second try, with ``more`` of each."""
    for which, found, told in zip(("no", "yes"), (tries.first, tries.both), more, strict=True):
        count = sum(len(one) > 0 for one in found)
        row = about | {
            "second_try": which,
            "count": len(found),
            "found": count,
            "found_percent": round(100 * count / len(found), 2),
        }
        row |= told
        if which == "yes":
            row["tried_again"] = tries.again
            row["twice_ms"] = round(1000 * tries.twice_s / tries.again, 2) if tries.again else ""
        row["once_ms"] = round(1000 * tries.once_s / len(found), 2)
        print(row, flush=True)
        yield row


def tight_rows(
    detector: Detector,
    embedder: Embedder,
    photos: Photos,
    sides: Sequence[int | None],
    factors: Sequence[float],
    verify: Callable[[ByRow], dict[str, Any]] | None,
) -> Iterator[dict[str, Any]]:
    count = range(len(photos.files))
    whole = tried(detector, (load_image(file) for file in photos.files)).both
    for side, factor in product(sides, factors):
        crop = partial(photos.tight, factor=factor, side=side)
        tries = tried(detector, (crop(i).image for i in count))
        places = [(tight.corner, tight.scale) for tight in map(crop, count)]
        more = [points_told(found, whole, places) for found in (tries.first, tries.both)]
        if verify:
            first = embedded(embedder, crop, tries.first, count)
            changed = [i for i in count if tries.both[i] is not tries.first[i]]
            kept = {i: v for i, v in first.items() if i not in changed}
            both = kept | embedded(embedder, crop, tries.both, changed)
            more = [told | verify(v) for told, v in zip(more, (first, both), strict=True)]
        about = {"pictures": photos.name, "side_px": side or "own", "factor": factor}
        yield from rows_of(about, tries, more)


def other_rows(
    detector: Detector, data: Path, sides: Sequence[int | None], crops: int, empty: int | None
) -> Iterator[dict[str, Any]]:
    """Aligned crops, and pictures without a face."""
    for source, side in product(CHIPS if crops else (), sides):
        tries = tried(detector, aligned_crops(data / f"train/{source}.tar", crops, side))
        yield from rows_of({"pictures": f"aligned {source}", "side_px": side or 112}, tries)
    tries = tried(detector, members(data / "scenes.tar", "background/", empty))
    yield from rows_of({"pictures": "background", "side_px": "own"}, tries)


def profile_rows(
    detector: Detector, embedder: Embedder, people: People, sides: Sequence[int | None]
) -> Iterator[dict[str, Any]]:
    """Profiles and fronts of the same people, each an aligned crop and nothing more."""
    turned, front = turned_and_front(people)
    rows, size = np.concatenate([turned, front]), people.crops.shape[1]
    for side in sides:
        scale = 1.0 if side is None else side / size
        tights = [
            Tight(_sized(people.crops[i], side), np.zeros(2, np.float32), scale) for i in rows
        ]
        pictures = [tight.image for tight in tights]
        tries = tried(detector, pictures[: len(turned)])
        fronts = tried(detector, pictures[len(turned) :])
        more = []
        for profiles, others in ((tries.first, fronts.first), (tries.both, fronts.both)):
            vectors = embedded(embedder, tights.__getitem__, profiles + others, range(len(rows)))
            more.append(turned_told(vectors, people.names[rows], len(turned)))
        yield from rows_of({"pictures": "profiles", "side_px": side or size}, tries, more)


def turned_and_front(people: People) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    angle = np.abs(people.yaw)
    return np.flatnonzero(angle >= TURNED_DEG), np.flatnonzero(angle <= FRONT_DEG)


def as_they_are(embedder: Embedder, people: People) -> dict[str, Any]:
    """What the recogniser does with the same crops where nobody has to find a face in them."""
    turned, front = turned_and_front(people)
    rows = np.concatenate([turned, front])
    vectors = dict(enumerate(embed(embedder, people.crops[rows])[0]))
    told = turned_told(vectors, people.names[rows], len(turned))
    row = {"detector": "none", "pictures": "profiles", "count": len(turned)} | told
    print(row, flush=True)
    return row


def turned_told(vectors: ByRow, names: npt.NDArray[Any], turned: int) -> dict[str, Any]:
    """TAR of the first ``turned`` rows against the others; a photo without a vector is like
    nobody."""
    empty = np.zeros(len(next(iter(vectors.values()))) if vectors else 1, np.float32)
    matrix: Vectors = np.stack([vectors.get(i, empty) for i in range(len(names))])
    one, other = np.meshgrid(names[:turned], names[turned:], indexing="ij")
    scores = (matrix[:turned] @ matrix[turned:].T).ravel()
    pairs = PairScores.from_labels(scores, one.ravel(), other.ravel())
    (point,) = operating_points(PairBootstrap(pairs), [1e-2])
    return {
        "tar_at_1e-02": round(100 * point.tar.value, 2),
        "tar_at_1e-02_interval": f"{100 * point.tar.low:.1f}-{100 * point.tar.high:.1f}",
    }


def members(archive: Path, folder: str, count: int | None) -> Iterator[Image]:
    """An even choice of ``count`` pictures of a tar."""
    with tarfile.open(archive) as opened:
        names = sorted(m.name for m in opened if m.isfile() and f"/{folder}" in f"/{m.name}")
        if count is not None and count < len(names):
            names = [names[i] for i in np.linspace(0, len(names) - 1, count).round().astype(int)]
        for name in names:
            file = opened.extractfile(name)
            if file is not None:
                yield load_image(file.read())


def aligned_crops(archive: Path, count: int, side: int | None) -> Iterator[Image]:
    for chip in members(archive, "", count):
        rim = (chip.shape[0] - 112) // 2
        yield _sized(chip[rim : rim + 112, rim : rim + 112], side)


def _sized(crop: Image, side: int | None) -> Image:
    if side is None:
        return np.ascontiguousarray(crop)
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detectors", default="arcid-detect-s,scrfd_2.5g,yunet")
    parser.add_argument("--recogniser", default="arcid-face-s")
    parser.add_argument("--reference", default="scrfd_2.5g")
    parser.add_argument("--factors", default=FACTORS)
    parser.add_argument("--sides", default="own,500")
    parser.add_argument("--photos", type=int, help="of lfw-dev, an even choice without pairs")
    parser.add_argument("--crops", type=int, default=400, help="aligned crops of each source")
    parser.add_argument("--backgrounds", type=int, help="an even choice; default: all")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    data = paths.required_data_dir() / "data"
    factors = [float(f) for f in options.factors.split(",")]
    sides = [None if s == "own" else int(s) for s in options.sides.split(",")]
    reference = load_detector(options.reference)
    embedder = load_embedder(resolve(options.recogniser))
    listed = read_lfw(data / "lfw-dev/pairsDevTest.txt", data / "lfw-dev/images")
    files = [Path(str(photo.source)) for photo in listed.photos]
    people = np.array([file.parent.name for file in files])
    if options.photos:
        files = [files[i] for i in np.linspace(0, len(files) - 1, options.photos).astype(int)]
        verify = None
    else:
        threshold = train_threshold(embedder, data / "lfw-dev")
        verify = partial(verified, listed=listed, people=people, threshold=threshold)

    lfw = located("lfw-dev", files, reference)
    deepface = located("deepface", sorted((data / "deepface-pairs").glob("*.jpg")), reference)
    held = set((CONFIGS / "held_out_calibrate.txt").read_text().splitlines()[1:])
    heads = read_people(data, TURNED, held, yaw=True)
    rows: list[dict[str, Any]] = [as_they_are(embedder, heads)]
    for name in options.detectors.split(","):
        try:
            detector = load_detector(name)
        except ModelNotFound as missing:
            print(f"{name}: left out: {missing.message}")
            continue
        found = chain(
            tight_rows(detector, embedder, lfw, sides, factors, verify),
            tight_rows(detector, embedder, deepface, sides, factors, None),
            profile_rows(detector, embedder, heads, sides),
            other_rows(detector, data, sides, options.crops, options.backgrounds),
        )
        rows += [{"detector": name} | row for row in found]
    if len(rows) == 1:
        return 4
    path = (
        options.output or Path(__file__).parent / "results" / f"tight-crops-{hardware_slug()}.csv"
    )
    write_csv(path, rows)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

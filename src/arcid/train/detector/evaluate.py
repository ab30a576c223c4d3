"""How good a detector is, by labels and by another detector. Any ``detect`` callable is measured.

Labels name faces, and regions where nothing is asked: detections there are neither true nor false
positives, and neither are detections of faces smaller than ``least_px``. FPPI: false positives per
image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.geometry import box_iou
from arcid.landmarks.points import eye_centres
from arcid.train.detector.labels import Detect, PictureLabels
from arcid.types import Detections, FloatArray, Image

HIT_IOU = 0.5
BATCH = 4


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MatchedDetections:
    """What a detector found in one labelled picture."""

    folder: str
    scores: FloatArray  # (N,) of every detection that counts, true or false positive
    hits: npt.NDArray[np.bool_]  # (N,)
    errors: FloatArray  # (N,) mean distance of the points over that of the eyes; NaN without
    faces: int  # that were to be found


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """Recall at a given number of false positives per image (FPPI), and what lies around it."""

    pictures: int
    faces: int
    recall: float  # at ``fppi`` false positives per image
    threshold: float  # score that gives it
    fppi: float
    point_error: float  # mean over the hits, share of the distance of the eyes
    point_error_median: float  # in profile the eyes are so near that few faces make the mean
    empty_fppi: float  # on pictures without faces, at that threshold
    recall_at: Mapping[float, float]  # FPPI → recall
    folders: Mapping[str, float]  # recall at the same threshold, by folder

    def flat(self) -> dict[str, float]:
        """The numbers as one row."""
        return {
            "recall": self.recall,
            "threshold": self.threshold,
            "point_error": self.point_error,
            "empty_fppi": self.empty_fppi,
            **{f"recall_{name}": value for name, value in self.folders.items()},
            "point_error_median": self.point_error_median,
        }


def compare(found: Detections, labels: PictureLabels, least_px: float = 16.0) -> MatchedDetections:
    """Match detections to labelled faces, best score first, each face once, at IoU ≥ 0.5."""
    small = np.sqrt((labels.boxes[:, 2:] - labels.boxes[:, :2]).prod(axis=1)) < least_px
    overlap = box_iou(found.boxes, labels.boxes)
    spared = _covered(found.boxes, labels.ignore)
    own_small = np.sqrt(found.sizes.prod(axis=1)) < least_px
    open_ = np.ones(len(labels.boxes), bool)
    scores, hits, errors = [], [], []
    for i in range(len(found)):
        usable = np.where(open_, overlap[i], 0.0)
        j = int(usable.argmax()) if len(usable) else -1
        hit = j >= 0 and usable[j] >= HIT_IOU
        if hit:
            open_[j] = False
            if small[j]:
                continue
        elif spared[i] or own_small[i]:
            continue
        scores.append(found.scores[i])
        hits.append(hit)
        error = np.nan
        if hit and found.points is not None:
            error = float(point_error(found.points[i : i + 1], labels.points[j : j + 1])[0])
        errors.append(error)
    return MatchedDetections(
        labels.folder,
        np.array(scores, np.float32),
        np.array(hits, bool),
        np.array(errors, np.float32),
        int((~small).sum()),
    )


def _covered(boxes: FloatArray, regions: FloatArray) -> npt.NDArray[np.bool_]:
    """Boxes of which at least half lies in one region, or that are one with it."""
    if not len(regions):
        return np.zeros(len(boxes), bool)
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    within = inside / np.maximum(area[:, None], 1e-6) >= 0.5
    same = box_iou(boxes, regions) >= 0.3
    covered: npt.NDArray[np.bool_] = (within | same).any(axis=1)
    return covered


def point_error(points: FloatArray, wanted: FloatArray) -> FloatArray:
    """(N,5,2) or (N,68,2) twice; (N,) mean distance of the points over that of the wanted eyes."""
    eyes = np.linalg.norm(np.subtract(*eye_centres(wanted)), axis=1)
    apart = np.linalg.norm(points - wanted, axis=2).mean(axis=1)
    error: FloatArray = (apart / np.maximum(eyes, 1e-6)).astype(np.float32)
    return error


def measure(
    find: Detect,
    pictures: Iterable[tuple[Image, PictureLabels]],
    *,
    fppi: float = 0.1,
    least_px: float = 16.0,
) -> DetectionMetrics:
    """Run a detector (its own threshold set low) over labelled pictures and sum up.

    Raises ``InvalidArray`` without a face to find.
    """
    matched, images, labels = [], [], []
    for image, known in pictures:
        images.append(image)
        labels.append(known)
        if len(images) == BATCH:
            matched += _run(find, images, labels, least_px)
            images, labels = [], []
    matched += _run(find, images, labels, least_px)
    return summarise(matched, fppi=fppi)


def _run(
    find: Detect, images: Sequence[Image], labels: Sequence[PictureLabels], least_px: float
) -> list[MatchedDetections]:
    if not images:
        return []
    return [
        compare(found, known, least_px) for found, known in zip(find(images), labels, strict=True)
    ]


def summarise(matched: Sequence[MatchedDetections], *, fppi: float = 0.1) -> DetectionMetrics:
    """The free-response curve of all detections, read at ``fppi`` false positives per image."""
    faces = sum(one.faces for one in matched)
    if not faces:
        raise InvalidArray("there is no face to be found in these pictures; take others")
    levels = sorted({fppi, 0.03, 0.1, 0.3, 1.0})
    scores = np.concatenate([one.scores for one in matched])
    hits = np.concatenate([one.hits for one in matched])
    errors = np.concatenate([one.errors for one in matched])
    curve = {level: _recall_at(scores, hits, level * len(matched), faces) for level in levels}
    recall, threshold = curve[fppi]
    kept = hits & (scores >= threshold) & np.isfinite(errors)
    empty = [one for one in matched if one.faces == 0]
    folders = {}
    for folder in sorted({one.folder for one in matched}):
        mine = [one for one in matched if one.folder == folder]
        wanted = sum(one.faces for one in mine)
        if wanted:
            met = sum(int((one.hits & (one.scores >= threshold)).sum()) for one in mine)
            folders[folder] = met / wanted
    return DetectionMetrics(
        pictures=len(matched),
        faces=faces,
        recall=recall,
        threshold=threshold,
        fppi=fppi,
        point_error=float(errors[kept].mean()) if kept.any() else float("nan"),
        point_error_median=float(np.median(errors[kept])) if kept.any() else float("nan"),
        empty_fppi=(
            sum(int((one.scores >= threshold).sum()) for one in empty) / len(empty)
            if empty
            else float("nan")
        ),
        recall_at={level: value for level, (value, _) in curve.items()},
        folders=folders,
    )


def _recall_at(
    scores: FloatArray, hits: npt.NDArray[np.bool_], budget: float, faces: int
) -> tuple[float, float]:
    """Recall and the lowest threshold at which false positives stay within ``budget`` in all."""
    order = np.argsort(-scores, kind="stable")
    ranked, good = scores[order], hits[order]
    wrong = np.cumsum(~good)
    last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, bool)
    within = np.flatnonzero((wrong <= budget) & last)
    if not len(within):
        return 0.0, 1.0
    end = int(within[-1])
    return float(good[: end + 1].sum() / faces), float(ranked[end])


@dataclass(frozen=True, slots=True)
class MainFaces:
    """How a detector meets the main face another one sees."""

    pictures: int  # in which the reference finds a face
    found: float  # share with a detection of IoU ≥ 0.5 on it
    point_error: float  # mean over those, share of the distance of the eyes
    point_error_95: float  # 95 % are below


def main_faces(find: Detect, reference: Detect, images: Iterable[Image]) -> MainFaces:
    """Compare the face nearest the middle, weighed by size, photo by photo.

    Raises ``InvalidArray`` where the reference finds nothing or no points.
    """
    met, errors = [], []
    for image in images:
        wanted = reference([image])[0].select("center")
        if not len(wanted):
            continue
        if wanted.points is None:
            raise InvalidArray("the reference finds no points; take a detector that does")
        found = find([image])[0]
        overlap = box_iou(wanted.boxes, found.boxes)[0]
        best = int(overlap.argmax()) if len(overlap) else -1
        met.append(best >= 0 and overlap[best] >= HIT_IOU)
        if met[-1] and found.points is not None:
            errors.append(float(point_error(found.points[best : best + 1], wanted.points)[0]))
    if not met:
        raise InvalidArray("the reference finds no face in these photos; take others")
    return MainFaces(
        len(met),
        float(np.mean(met)),
        float(np.mean(errors)) if errors else float("nan"),
        float(np.percentile(errors, 95)) if errors else float("nan"),
    )


__all__ = [
    "DetectionMetrics",
    "MainFaces",
    "MatchedDetections",
    "compare",
    "main_faces",
    "measure",
    "point_error",
    "summarise",
]

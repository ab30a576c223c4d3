"""Faces two detectors agree on, or the first is sure of, as one JSON-lines file.

    {"format": 1, "detectors": ["scrfd_2.5g", "yunet"], "iou": 0.5, ...}
    {"picture": "group/1.webp", "size": [480, 640], "faces": [{"box": [...], "points": [...],
     "scores": [0.83, 0.94]}], "ignore": [{"box": [...], "by": "yunet", "score": 0.61}]}
    {"picture": "group/2.webp", "like": "group/1.webp", ...}

A face both find is a label, and so is one the first finds alone with a score of ``alone`` (its
second score is null); both keep the first detector's box and points. What else one of them finds is
neither a face nor background: it is ignored in training and validation. In folders known to be
without faces every detection is a false positive (under the key ``alarms``) and the place
background. ``like`` names the first picture that looks the same (a copy, mirrored, re-coloured or
with a mask drawn on it): both are trained on or both reserved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.files import replacing
from arcid.geometry import box_iou
from arcid.types import Detections, FloatArray, Image

FORMAT = 1
ALIKE_BITS = 48  # of 256 that two looks of one picture may differ in; strangers differ in 64 and up
_BLOCK = (17, 16)
_UNKNOWN = [[float("nan")] * 2] * 5
Detect = Callable[[Sequence[Image]], Sequence[Detections]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """When two detectors mean the same face, and which of their detections count."""

    iou: float = 0.5  # boxes overlapping at least so much are one face
    sure: float = 0.4  # the first detector's score of a face both find; below it is ignored
    alone: float = (
        0.4  # from here on a detection of the first detector is a face without the second
    )
    second: float = 0.5  # least score of the second detector
    lone: float = 0.3  # least score of a detection by one alone that is ignored
    negatives: tuple[str, ...] = (
        "background",
    )  # folders without faces: every detection there is a false positive


@dataclass(frozen=True, slots=True, eq=False)
class PictureLabels:
    """What is known about one picture; coordinates are its pixels."""

    picture: str
    size: tuple[int, int]  # (height, width)
    boxes: FloatArray = field(repr=False)  # (N,4) xyxy
    # (N,5,2); NaN where the file says null: nobody knows them
    points: FloatArray = field(repr=False)
    ignore: FloatArray = field(repr=False)  # (M,4) xyxy
    like: str = ""  # the first picture of the file that looks the same; empty: none before it
    dense: FloatArray | None = field(default=None, repr=False)  # (N,68,2) where the file has them

    @property
    def folder(self) -> str:
        return self.picture.partition("/")[0]


def reserved(picture: str, share: float) -> bool:
    """Whether a picture is kept for validation: by the sha256 of its name, so on every machine."""
    digest = hashlib.sha256(picture.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def looks(image: Image) -> npt.NDArray[np.bool_]:
    """(2,256) bool: where brightness rises to the right in 16 × 17 blocks, as it is and mirrored.

    The difference hash; exposure, colour and compression hardly move it.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    blocks = [cv2.resize(g, _BLOCK, interpolation=cv2.INTER_AREA) for g in (grey, grey[:, ::-1])]
    return np.stack([(np.diff(b.astype(np.int16), axis=1) > 0).ravel() for b in blocks])


class Lookalikes:
    """Finds, among the pictures shown so far, the first that looks like a new one."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._seen = np.empty((0, 256), bool)

    def first(self, name: str, image: Image) -> str:
        """Its name, or "" where none does; the new picture counts from now on."""
        own = looks(image)
        apart = (self._seen[:, None] != own).sum(axis=2).min(axis=1, initial=256)
        near = int(apart.argmin()) if len(apart) else -1
        found = self._names[near] if near >= 0 and apart[near] <= ALIKE_BITS else ""
        self._names.append(found or name)
        self._seen = np.concatenate([self._seen, own[:1]])
        return found


def agree(
    first: Detections, second: Detections, rule: Agreement
) -> tuple[list[tuple[int, int | None]], list[int], list[int]]:
    """Pairs (i, j) of one face, best score first, then the lone detections of each detector.

    A pair in which the first detector is less sure than ``rule.sure`` counts as a lone detection;
    a lone detection of at least ``rule.alone`` as a face (i, None).
    """
    overlap = box_iou(first.boxes, second.boxes)
    overlap[:, second.scores < rule.second] = 0
    pairs: list[tuple[int, int | None]] = []
    lone, taken = [], np.zeros(len(second), bool)
    for i in np.argsort(-first.scores, kind="stable"):
        open_ = np.where(taken, 0, overlap[i]) if len(second) else np.zeros(0)
        j = int(open_.argmax()) if len(open_) else -1
        if j >= 0 and open_[j] >= rule.iou:
            taken[j] = True
            if first.scores[i] >= rule.sure:
                pairs.append((int(i), j))
                continue
        if first.scores[i] >= rule.alone:
            pairs.append((int(i), None))
        elif first.scores[i] >= rule.lone:
            lone.append(int(i))
    other = np.flatnonzero(~taken & (second.scores >= rule.lone))
    return pairs, lone, [int(j) for j in other]


def label(
    pictures: Iterable[tuple[str, Image]],
    detectors: Mapping[str, Detect],
    rule: Agreement | None = None,
) -> Iterator[dict[str, Any]]:
    """Look at every (name, (H,W,3) uint8 RGB picture) with both detectors; one line each, after a
    first line that says how. The first detector's ``Detections`` need points.

    Raises ``InvalidArray`` where it has none or there are not two detectors.
    """
    rule = rule or Agreement()
    if len(detectors) != 2:
        raise InvalidArray(f"two detectors have to agree, got {len(detectors)}")
    (name_a, find_a), (name_b, find_b) = detectors.items()
    yield {
        "format": FORMAT,
        "detectors": [name_a, name_b],
        "iou": rule.iou,
        "sure": rule.sure,
        "alone": rule.alone,
        "second": rule.second,
        "lone": rule.lone,
        "negatives": list(rule.negatives),
    }
    alike = Lookalikes()
    for name, image in pictures:
        a, b = find_a([image])[0], find_b([image])[0]
        if a.points is None:
            raise InvalidArray(f"{name_a} finds no points; put a detector first that does")
        pairs, lone_a, lone_b = agree(a, b, rule)
        negative = name.partition("/")[0] in rule.negatives
        if negative:  # what both detect there is a mistake of both
            pairs, lone_a = [], [*(i for i, _ in pairs), *lone_a]
        ignore = [_lone(a, i, name_a) for i in lone_a] + [_lone(b, j, name_b) for j in lone_b]
        yield {
            "picture": name,
            "size": list(image.shape[:2]),
            "like": alike.first(name, image),
            "faces": [
                {
                    "box": _rounded(a.boxes[i]),
                    "points": _rounded(a.points[i]),
                    "scores": [_score(a, i), None if j is None else _score(b, j)],
                }
                for i, j in pairs
            ],
            ("alarms" if negative else "ignore"): ignore,
        }


def _lone(found: Detections, row: int, by: str) -> dict[str, Any]:
    return {"box": _rounded(found.boxes[row]), "by": by, "score": _score(found, row)}


def _score(found: Detections, row: int) -> float:
    return round(float(found.scores[row]), 3)


def _rounded(values: FloatArray) -> Any:
    return np.round(values.astype(np.float64), 2).tolist()


def write_labels(path: Path, lines: Iterable[Mapping[str, Any]]) -> int:
    """Store lines as they come, under the final name only once all are there; pictures written.

    Raises what ``files.replacing`` does.
    """
    count = -1
    with replacing(path) as stream:
        for line in lines:
            text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)
            stream.write(text.encode() + b"\n")
            count += 1
    return max(count, 0)


def read_labels(path: Path) -> list[PictureLabels]:
    """Every picture of a label file. Raises ``DatasetInvalid`` naming the line."""
    try:
        with path.open(encoding="utf-8") as file:
            head = _json(next(file, ""), path, 1)
            if head.get("format") != FORMAT:
                raise DatasetInvalid(
                    f"{path.name} line 1: format {head.get('format')!r}, this arcid reads {FORMAT};"
                    " make the file anew: arcid detector label",
                    path=str(path),
                )
            return [_parse(_json(text, path, n), path, n) for n, text in enumerate(file, 2)]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DatasetInvalid(
            f"the labels {path.name} cannot be read: {reason}; make them: arcid detector label",
            path=str(path),
        ) from None


def _json(text: str, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise DatasetInvalid(f"{path.name} line {number} is no JSON object", path=str(path))
    return value


def _parse(line: Mapping[str, Any], path: Path, number: int) -> PictureLabels:
    try:
        faces: list[Any] = line["faces"]
        points = [_UNKNOWN if face["points"] is None else face["points"] for face in faces]
        known = np.array([face["points"] is not None for face in faces], bool)
        height, width = line["size"]
        labels = PictureLabels(
            str(line["picture"]),
            (int(height), int(width)),
            np.array([face["box"] for face in faces], np.float32).reshape(len(faces), 4),
            np.array(points, np.float32).reshape(len(faces), 5, 2),
            np.array([one["box"] for one in line.get("ignore", ())], np.float32).reshape(-1, 4),
            str(line.get("like") or ""),
            _dense(faces),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetInvalid(
            f"{path.name} line {number} lacks picture, size or faces with box and points "
            f"({type(error).__name__}: {error})",
            path=str(path),
        ) from None
    arrays = [labels.boxes, labels.points[known], labels.ignore]
    arrays += [] if labels.dense is None else [labels.dense]
    if not all(np.isfinite(array).all() for array in arrays):
        raise DatasetInvalid(f"{path.name} line {number} holds NaN or infinity", path=str(path))
    return labels


def _dense(faces: Sequence[Mapping[str, Any]]) -> FloatArray | None:
    """(N,68,2) where every face has them."""
    if not faces or not all("dense" in face for face in faces):
        return None
    found: FloatArray = np.array([face["dense"] for face in faces], np.float32)
    return found.reshape(len(faces), 68, 2)


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """How a folder was labelled."""

    folder: str
    pictures: int
    faces: int  # that are labels
    lone: Mapping[str, int]  # detector → detections of it alone
    disputed: int  # pictures with at least one lone detection


def summarise(path: Path) -> list[LabelSummary]:
    """One row a folder, from a label file. Raises ``DatasetInvalid``."""
    read_labels(path)
    with path.open(encoding="utf-8") as file:
        head, *lines = (json.loads(text) for text in file)
    rows = []
    for folder in sorted({line["picture"].partition("/")[0] for line in lines}):
        mine = [line for line in lines if line["picture"].partition("/")[0] == folder]
        lone = [[*line.get("ignore", ()), *line.get("alarms", ())] for line in mine]
        by = [one["by"] for found in lone for one in found]
        rows.append(
            LabelSummary(
                folder,
                len(mine),
                sum(len(line["faces"]) for line in mine),
                {name: by.count(name) for name in head["detectors"]},
                sum(bool(found) for found in lone),
            )
        )
    return rows


__all__ = [
    "Agreement",
    "Detect",
    "LabelSummary",
    "Lookalikes",
    "PictureLabels",
    "agree",
    "label",
    "looks",
    "read_labels",
    "reserved",
    "summarise",
    "write_labels",
]

"""Pictures → faces as deepface describes them: areas, crops, vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.align import align
from arcid.compat.deepface import models, pictures
from arcid.compat.deepface.models import SKIP, Recogniser
from arcid.compat.deepface.modules.exceptions import FaceNotDetected, SpoofDetected
from arcid.liveness import passive
from arcid.types import Crops, Detections, FloatArray, Image

Area = dict[str, Any]
# rows of arcid's five points, of which a person's left eye is the one on the viewer's right
_SPOTS = {"left_eye": 1, "right_eye": 0, "nose": 2, "mouth_left": 4, "mouth_right": 3}


@dataclass(frozen=True, repr=False)
class Found:
    """The faces of one picture. Where the picture itself is taken for one, ``detections`` holds at
    most where that face's points lie."""

    image: Image
    detections: Detections
    whole: bool  # the picture itself is taken for the face

    @property
    def areas(self) -> list[Area]:
        """deepface's ``facial_area`` of each, in pixels."""
        if self.whole:
            height, width = self.image.shape[:2]
            return [{"x": 0, "y": 0, "w": width - 1, "h": height - 1, **dict.fromkeys(_EYES)}]
        return [_area(self.detections, row, 0) for row in range(len(self.detections))]

    @property
    def confidences(self) -> list[float]:
        """Detection scores, to two digits; 0 for a whole picture."""
        if self.whole:
            return [0.0]
        return [round(float(score), 2) for score in self.detections.scores]


_EYES = ("left_eye", "right_eye")


def find_faces(
    source: Any,
    backend: str,
    *,
    enforce: bool = True,
    anti_spoofing: bool = False,
    max_faces: int | None = None,
) -> tuple[Found, list[tuple[bool, float]]]:
    """The faces of a picture, best score first, the largest ``max_faces``; and where it is asked
    whether each is live, with its score. ``FaceNotDetected`` where ``enforce`` wants one."""
    image = pictures.read(source)
    if backend == SKIP:
        found = Found(image, _largest(image), whole=True)
    else:
        detections = models.detector(backend)[1].detect([image])[0]
        if not len(detections) and enforce:
            raise FaceNotDetected(
                f"Face could not be detected in {pictures.named(source)}. Please confirm that the "
                "picture is a face photo or consider to set enforce_detection param to False."
            )
        if max_faces is not None and len(detections) > max_faces:
            detections = detections[_by_size(detections)[:max_faces]]
        found = Found(image, detections, whole=not len(detections))
    if not anti_spoofing:
        return found, []
    if found.whole:
        return found, [(False, 0.0)]
    scores = _liveness().scores(image, detections)
    return found, [(bool(score >= passive.THRESHOLD), float(score)) for score in scores]


def _by_size(detections: Detections) -> npt.NDArray[np.int64]:
    """Rows, the largest face first."""
    return np.argsort(-detections.sizes.prod(axis=1), kind="stable")


def _largest(image: Image) -> Detections:
    """The largest face in a picture of one, where there is any."""
    found = models.default_detector().detect([image])[0]
    return found[_by_size(found)[:1]]


_opened: list[passive.PassiveLiveness] = []


def _liveness() -> passive.PassiveLiveness:
    if not _opened:
        _opened.append(passive.load())
    return _opened[0]


def refuse_spoofs(live: list[tuple[bool, float]], words: str) -> None:
    """``SpoofDetected`` where a face is a picture of one."""
    if not all(real for real, _ in live):
        raise SpoofDetected(words)


def vectors(found: Found, model: Recogniser, *, by_points: bool) -> tuple[FloatArray, Crops]:
    """(N,D) float32 and the crops they were made of. Faces are laid on the model's template by
    their five points, or cut upright around the box. A picture that is a face is laid by its points
    where they are found, else taken as it is."""
    embedder = model.embedder
    if found.whole and not (by_points and len(found.detections)):
        import cv2

        side = embedder.size
        crops = Crops(np.asarray(cv2.resize(found.image, (side, side)), np.uint8)[None])
    else:
        template = embedder.template if by_points else "box"
        crops = align(found.image, found.detections, size=embedder.size, template=template)
    return embedder.embed(crops).vectors, crops


def cut_out(found: Found, *, upright: bool, expand: int) -> list[tuple[Image, Area]]:
    """Each face as a picture of its own with its area; ``upright``: turned until its eyes are
    level. ``expand``: per cent more on every side."""
    if found.whole:
        return [(found.image, found.areas[0])]
    cut = []
    for row in range(len(found.detections)):
        area = _area(found.detections, row, expand)
        image = found.image
        box = (area["x"], area["y"], area["w"], area["h"])
        if upright and area["left_eye"] and area["right_eye"]:
            image, box = _levelled(image, box, area["left_eye"], area["right_eye"])
        x, y, w, h = box
        cut.append((image[max(y, 0) : y + h, max(x, 0) : x + w].copy(), area))
    return cut


def _area(detections: Detections, row: int, expand: int) -> Area:
    height, width = detections.image_size
    x1, y1, x2, y2 = (round(float(value)) for value in detections.boxes[row])
    w, h = x2 - x1, y2 - y1
    if expand:
        wider, higher = w + int(w * expand / 100), h + int(h * expand / 100)
        x1, y1 = max(0, x1 - int((wider - w) / 2)), max(0, y1 - int((higher - h) / 2))
        w, h = min(width - x1, wider), min(height - y1, higher)
    x1, y1 = max(0, x1), max(0, y1)
    area: Area = {"x": x1, "y": y1, "w": min(width - x1 - 1, w), "h": min(height - y1 - 1, h)}
    if detections.points is None:
        return area | dict.fromkeys(_EYES)
    for name, spot in _SPOTS.items():
        x, y = (round(float(value)) for value in detections.points[row, spot])
        area[name] = (x, y) if 0 <= x < width and 0 <= y < height else None
    return area


def _levelled(
    image: Image,
    box: tuple[int, int, int, int],
    left_eye: tuple[int, int],
    right_eye: tuple[int, int],
) -> tuple[Image, tuple[int, int, int, int]]:
    """The picture turned about its middle until the eyes are level, and where the box went."""
    import cv2

    height, width = image.shape[:2]
    angle = math.degrees(math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned: npt.NDArray[Any] = cv2.warpAffine(image, matrix, (width, height))
    x, y, w, h = box
    middle = matrix[:, :2] @ [x + w / 2, y + h / 2] + matrix[:, 2]
    return np.asarray(turned, np.uint8), (
        round(middle[0] - w / 2), round(middle[1] - h / 2), w, h,
    )  # fmt: skip


__all__ = ["Area", "Found", "cut_out", "find_faces", "refuse_spoofs", "vectors"]

"""The portrait of a document: looked for in four turns, the document's edges straightened, cut out.

    seen = Reader(pipeline).read(image)          raises what is wrong with the picture

Whether the picture shows a document at all, and a genuine one, is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from arcid.detect import RotationSearch
from arcid.errors import NoFaceFound, QualityRejected, SeveralFacesFound
from arcid.geometry import rotate_quarter
from arcid.pipeline import Pipeline
from arcid.quality import CANVAS, FACE, QualityGate
from arcid.results import Face, Faces
from arcid.types import Detections, FloatArray, Image

LONGEST_PX = 1600  # a larger picture is made smaller first
SURE = 0.5  # detection score of a portrait
GHOST_FMR = 1e-2  # at which a second, smaller portrait is the same person's
BACKGROUND = 1 / 16  # share of the portrait's area below which another face is let be
MARGIN = 0.45  # of the face's box, kept around the cut-out
GLARE = 0.04  # share of the face under one reflection
GLARE_LUMA, GLARE_CHROMA = 245, 12
#: Printed portraits are small, soft and flat; what is asked of them is what a comparison needs.
GATE = QualityGate(
    min_inter_eye_px=24, min_sharpness=0.3, max_yaw_deg=35, max_pitch_deg=35, min_contrast=0.12
)
CARD_ASPECT = (1.2, 1.75)  # ID-1 is 1.586, a passport's page 1.42


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Portrait:
    """What was found on a document."""

    face: Face
    picture: Image  # (H,W,3) the portrait cut out, upright
    page: Image  # (H,W,3) what the portrait was found in, upright, straightened where ``outline``
    outline: bool  # the document's four edges were found and straightened
    quarter_turns: int  # counter-clockwise, to make it upright
    ghosts: int  # smaller portraits of the same person

    def __repr__(self) -> str:
        return f"Portrait({self.face})"


class Reader:
    """Finds portraits; thread-safe as its pipeline is."""

    def __init__(self, pipeline: Pipeline, *, gate: QualityGate = GATE) -> None:
        self._pipeline, self._gate = pipeline, gate
        self._search = RotationSearch(pipeline.detector)

    def read(self, image: Image) -> Portrait:
        """(H,W,3) uint8 RGB in. Raises ``NoFaceFound``, ``SeveralFacesFound`` where other people's
        faces are in it, ``QualityRejected`` with every reason, ``glare`` among them."""
        image = _smaller(image)
        turns = self._upright(image)
        upright = rotate_quarter(image, turns)
        faces, outline = self._faces(upright), False
        main = _largest(faces)
        page = straightened(upright, faces[main].box)
        if page is not None:
            found = self._faces(page)
            if len(found):
                upright, faces, main, outline = page, found, _largest(found), True
        if not len(faces):
            raise _nobody()
        ghosts = self._ghosts(faces, main)
        face = self._checked(upright, faces, main)
        return Portrait(face, cut_out(upright, face.box), upright, outline, turns, ghosts)

    def _upright(self, image: Image) -> int:
        """Quarter turns counter-clockwise after which the largest sure face stands upright."""
        found = self._search.detect_once([image])[0]
        sure = found[np.flatnonzero(found.scores >= SURE)]
        if not len(sure) or sure.points is None:
            raise _nobody()
        return quarter_turns(sure.points[int(sure.sizes.prod(axis=1).argmax())])

    def _faces(self, image: Image) -> Faces:
        prepared = self._pipeline.prepare(image, keep_photo=False, second_try=False)
        found = prepared.detections
        scores = np.zeros(0) if found is None else found.scores
        return self._pipeline.embed([prepared])[0][np.flatnonzero(scores >= SURE)]

    def _ghosts(self, faces: Faces, main: int) -> int:
        """How many of the others are smaller portraits of the same person."""
        if faces.detections is None:
            return 0
        areas = faces.detections.sizes.prod(axis=1)
        ghosts = 0
        for row in range(len(faces)):
            if row == main:
                continue
            same = self._pipeline.verify_faces(faces[main], faces[row], fmr=GHOST_FMR)
            if same.decision.matched:
                ghosts += 1
            elif areas[row] > areas[main] * BACKGROUND:
                raise SeveralFacesFound(
                    f"{len(faces)} faces are in the picture and they are not one person's: take "
                    "the document alone",
                    faces=len(faces),
                )
        return ghosts

    def _checked(self, image: Image, faces: Faces, main: int) -> Face:
        """The face with what this gate says of it. Raises ``QualityRejected``."""
        own = faces[[main]]
        if own.detections is None:
            raise _nobody()
        (quality,) = self._gate.assess(image, own.detections, own.crops)
        face = replace(own[0], quality=quality)
        messages = [reason.message for reason in quality.reasons]
        codes: list[str] = [reason.code for reason in quality.reasons]
        if (share := glare(face.crop)) > GLARE and "too_bright" not in codes:
            codes.append("glare")
            messages.append(
                f"A reflection covers {share:.0%} of the portrait, at most {GLARE:.0%} may be; "
                "tilt the document and turn the flash off."
            )
        if codes:
            raise QualityRejected(" ".join(messages), reasons=codes)
        return face


def quarter_turns(points: FloatArray) -> int:
    """(5,2) points of a face in; quarter turns counter-clockwise that bring its chin down."""
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    angle = np.degrees(np.arctan2(down[0], down[1]))  # 0: down; 90: to the right
    return int(np.round(-angle / 90)) % 4


def glare(crop: Image) -> float:
    """Share of an aligned face under its largest white, colourless patch, 0–1."""
    import cv2

    small = cv2.resize(np.ascontiguousarray(crop), (CANVAS, CANVAS), interpolation=cv2.INTER_AREA)
    low, high = small.min(axis=2).astype(int), small.max(axis=2).astype(int)
    white = (low >= GLARE_LUMA) & (high - low <= GLARE_CHROMA) & FACE
    count, _, stats, _ = cv2.connectedComponentsWithStats(white.astype(np.uint8))
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if count > 1 else 0
    return largest / int(FACE.sum())


def straightened(image: Image, box: tuple[float, ...] | None) -> Image | None:
    """The document around a face brought into a rectangle; None where no four edges are seen."""
    import cv2

    if box is None:
        return None
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (5, 5), 0)
    edges = cv2.dilate(cv2.Canny(grey, 40, 120), np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(edges, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    least = max((box[2] - box[0]) * (box[3] - box[1]) * 3, 0.1 * image.shape[0] * image.shape[1])
    for outline in sorted(outlines, key=cv2.contourArea, reverse=True)[:5]:
        hull = cv2.convexHull(outline)
        four = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)
        if len(four) != 4 or cv2.contourArea(four) < least:
            continue
        if cv2.pointPolygonTest(four, middle, False) <= 0:
            continue
        corners = _ordered(four.reshape(4, 2).astype(np.float32))
        width = float(np.linalg.norm(corners[[1, 2]] - corners[[0, 3]], axis=1).mean())
        height = float(np.linalg.norm(corners[[3, 2]] - corners[[0, 1]], axis=1).mean())
        if not CARD_ASPECT[0] <= max(width, height) / min(width, height) <= CARD_ASPECT[1]:
            continue
        size = (round(width), round(height))
        target = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], np.float32)
        matrix = cv2.getPerspectiveTransform(corners, target)
        return np.asarray(cv2.warpPerspective(image, matrix, size), np.uint8)
    return None


def cut_out(image: Image, box: tuple[float, ...] | None) -> Image:
    """The box of a face and some of what is around it."""
    if box is None:
        return image
    side = max(box[2] - box[0], box[3] - box[1]) * MARGIN
    height, width = image.shape[:2]
    left, top = max(0, int(box[0] - side)), max(0, int(box[1] - side))
    right, bottom = min(width, int(box[2] + side)), min(height, int(box[3] + side))
    return np.ascontiguousarray(image[top:bottom, left:right])


def _ordered(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(4,2) as top left, top right, bottom right, bottom left."""
    total, difference = corners.sum(axis=1), np.diff(corners, axis=1)[:, 0]
    rows = [total.argmin(), difference.argmin(), total.argmax(), difference.argmax()]
    return np.asarray(corners[rows], np.float32)


def _largest(faces: Faces) -> int:
    found: Detections | None = faces.detections
    if found is None or not len(found):
        raise _nobody()
    return int(found.sizes.prod(axis=1).argmax())


def _smaller(image: Image) -> Image:
    import cv2

    scale = LONGEST_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _nobody() -> NoFaceFound:
    return NoFaceFound(
        "no portrait was found in the picture, in none of four turns; fill the picture with the "
        "document, in even light"
    )


__all__ = ["Portrait", "Reader", "cut_out", "glare", "straightened"]

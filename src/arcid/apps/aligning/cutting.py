"""One photo → its person's face as an encoded crop, or why there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from arcid.align import align
from arcid.apps.aligning.journal import Entry
from arcid.apps.aligning.listing import Photo
from arcid.detect import Detector
from arcid.errors import InputError, LandmarksRequired, SeveralFacesFound, UsageError
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import load_image, photo_id
from arcid.quality import QualityGate
from arcid.types import Crops, Detections, Image

Format = Literal["png", "webp"]
Several = Literal["leave", "take"]
DEFAULT_SIZE, DEFAULT_MARGIN = 128, 8  # what training takes crops of 128 pixels to be
MAX_SIZE = 1024
MAX_SHARDS = 1000


@dataclass(frozen=True, slots=True)
class How:
    """How photos become crops. Raises ``UsageError`` for what has no meaning.

    A crop has ``size`` pixels a side: the ArcFace template in the middle and ``margin`` pixels
    around it. ``several``: a photo in which several faces may be meant is left out, or its most
    prominent face is taken. ``min_eyes_px``: pixels between the eyes of the smallest face that is
    taken; ``quality`` leaves out what enrolling would refuse as well.
    """

    size: int = DEFAULT_SIZE
    margin: int = DEFAULT_MARGIN
    format: Format = "png"  # without loss, both
    several: Several = "leave"
    min_eyes_px: float = 16.0  # a smaller face has less than half the pixels of its crop's sides
    quality: bool = False
    shards: int = 0

    def __post_init__(self) -> None:
        if self.format not in get_args(Format) or self.several not in get_args(Several):
            raise UsageError(
                f"format is png or webp, several is leave or take; got {self.format!r} and "
                f"{self.several!r}"
            )
        if not 0 <= self.shards <= MAX_SHARDS:
            raise UsageError(f"shards are 1 to {MAX_SHARDS:,}, or 0 for none; got {self.shards}")
        if self.size > MAX_SIZE or self.margin < 0 or self.template < TEMPLATE_SIZE:
            raise UsageError(
                f"a crop of {self.size} pixels with a margin of {self.margin} leaves "
                f"{self.template} for the face; training needs {TEMPLATE_SIZE} or more, in crops "
                f"of at most {MAX_SIZE}"
            )
        self.gate()

    @property
    def template(self) -> int:
        """Pixels a side without the margin."""
        return self.size - 2 * self.margin

    @property
    def suffix(self) -> str:
        return f".{self.format}"

    def gate(self) -> QualityGate:
        """What a face is measured by; raises ``UsageError``."""
        if self.quality:
            return QualityGate(min_inter_eye_px=self.min_eyes_px)
        off: dict[str, float | None] = dict.fromkeys(f.name for f in fields(QualityGate))
        return QualityGate(**off | {"min_inter_eye_px": self.min_eyes_px})

    def source(self, out: Path) -> dict[str, Any]:
        """The entry of a recipe's ``data.sources`` that reads the crops."""
        assumed = DEFAULT_MARGIN if self.size == DEFAULT_SIZE else 0
        told = {} if self.margin == assumed else {"margin_px": self.margin}
        return {"path": str(out), **told}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Cutter:
    """Called with a photo from several threads at once."""

    detector: Detector = field(repr=False)
    how: How

    def __post_init__(self) -> None:
        self._gate = self.how.gate()

    def __call__(self, photo: Photo) -> tuple[Entry, bytes]:
        """What was found, and the encoded crop, empty where there is a reason for none.

        Raises ``LandmarksRequired``, ``ModelError`` kinds.
        """
        found: dict[str, Any] = {"photo": photo.name, "stamp": photo.stamp}
        try:
            image = load_image(photo.path)
            faces = self.detector.detect([image])[0]
            found |= {"picture": photo_id(image), "faces": len(faces)}
            row, found["rivals"] = self._choose(faces)
            face = faces[row]
            how = self.how
            crops = align(image, face, size=how.template, margin=how.margin)
            inner = slice(how.margin, how.margin + how.template)
            measured = self._gate.assess(image, face, Crops(crops.pixels[:, inner, inner]))[0]
        except LandmarksRequired:
            raise
        except SeveralFacesFound as error:
            count = error.details["faces"]
            detail = f"{count} faces may be the one meant; crop the photo to one"
            return Entry(**found, reason=error.code, detail=detail, rivals=count), b""
        except InputError as error:
            return Entry(**found, reason=error.code, detail=error.message), b""
        numbers = measured.measured()
        found |= {"eyes_px": numbers.get("inter_eye_px"), "score": numbers.get("detection_score")}
        if measured.reasons:
            told = " ".join(reason.message for reason in measured.reasons)
            return Entry(**found, reason=measured.reasons[0].code, detail=told), b""
        if found["rivals"] > 1:
            found["detail"] = f"the most prominent of {found['rivals']} faces that may be meant"
        return Entry(**found), _encoded(crops.pixels[0], how.suffix)

    def _choose(self, faces: Detections) -> tuple[int, int]:
        """The row of the face that is meant, and how many may be."""
        try:
            return faces.choose("prominent"), 1
        except SeveralFacesFound as error:
            if self.how.several == "leave":
                raise
            return int(faces.prominence.argmax()), error.details["faces"]


def _encoded(crop: Image, suffix: str) -> bytes:
    """(S,S,3) uint8 RGB as PNG or WebP, without loss."""
    import cv2

    lossless = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else []
    coded: bytes = cv2.imencode(suffix, np.ascontiguousarray(crop[..., ::-1]), lossless)[
        1
    ].tobytes()
    return coded


__all__ = ["DEFAULT_MARGIN", "DEFAULT_SIZE", "Cutter", "Format", "How", "Several"]

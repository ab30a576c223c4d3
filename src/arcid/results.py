"""What the pipeline answers: the faces of a photo, and what was decided about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsIndex, overload

from arcid.errors import QualityRejected
from arcid.image import PhotoId
from arcid.quality import Quality
from arcid.types import (
    Crops,
    Decision,
    Detections,
    Embeddings,
    FloatArray,
    Image,
    Match,
    row_number,
)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The faces of one photo up to the embedder."""

    detections: Detections | None
    crops: Crops
    quality: tuple[Quality, ...]
    photo: PhotoId

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo; see ``Pipeline.prepare``."""
        return self.photo.value


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """The faces of one photo, row by row; ``len()`` 0 is ordinary."""

    detections: Detections | None  # None for crops that were handed in aligned
    crops: Crops
    embeddings: Embeddings
    quality: tuple[Quality, ...]  # empty without detections
    photo: PhotoId

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo."""
        return self.photo.value

    def __len__(self) -> int:
        return len(self.crops)

    def __iter__(self) -> Iterator[Face]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: SupportsIndex) -> Face: ...

    @overload
    def __getitem__(self, index: slice) -> Faces: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Face | Faces:
        found = self.detections
        if isinstance(index, slice):
            return Faces(
                None if found is None else found[index],
                self.crops[index],
                self.embeddings[index],
                self.quality[index],
                self.photo,
            )
        row = row_number(index, len(self))
        return Face(
            box=None if found is None else tuple(float(v) for v in found.boxes[row]),
            score=None if found is None else float(found.scores[row]),
            crop=self.crops.pixels[row],
            embedding=self.embeddings[row],
            quality=self.quality[row] if self.quality else None,
            photo=self.photo,
            points=None if found is None or found.points is None else found.points[row],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face, ready to be compared or enrolled."""

    box: tuple[float, ...] | None  # xyxy pixels in its photo
    score: float | None
    crop: Image  # (S,S,3) uint8 RGB aligned
    embedding: Embeddings  # one row
    quality: Quality | None
    photo: PhotoId
    points: FloatArray | None = None  # (5,2) pixels in its photo

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo."""
        return self.photo.value

    def check_quality(self) -> None:
        """Raise ``QualityRejected`` with every reason; crops that came aligned pass."""
        if self.quality and self.quality.reasons:
            raise QualityRejected(
                " ".join(reason.message for reason in self.quality.reasons),
                reasons=[reason.code for reason in self.quality.reasons],
            )


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """The answer to "are these two one person?" with both faces it was given on."""

    decision: Decision
    a: Face
    b: Face


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """One probe face, its candidates best first, and the decision on the first.

    The nearest person of all, where another face of the photo was given them, stands last and says
    so in ``given_to``; alone, where nobody else is left.
    """

    face: Face
    candidates: list[Match]
    decision: Decision

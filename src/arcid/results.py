"""What the pipeline answers: the faces of a photo, and what was decided about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from arcid import notebook
from arcid.errors import QualityRejected
from arcid.image import PhotoId
from arcid.landmarks import Landmarks
from arcid.quality import Quality
from arcid.types import (
    Crops,
    Decision,
    Detections,
    Embeddings,
    FloatArray,
    Image,
    Match,
    Several,
    box_dict,
    counted,
    pixel,
    row_number,
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Prepared:
    """The faces of one photo up to the embedder."""

    detections: Detections | None
    crops: Crops
    quality: tuple[Quality, ...]
    photo: PhotoId
    landmarks: Landmarks | None = None  # where the pipeline finds them

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo; see ``Pipeline.prepare``."""
        return self.photo.value

    def __repr__(self) -> str:
        return f"Prepared({_found(self.detections, self.crops)}, not embedded)"

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        """Plain values for JSON. ``landmarks``: as of ``Faces``."""
        told = photo_dict(self.detections, self.crops, self.quality)
        return _marked(told, self.landmarks) if landmarks else told


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Faces:
    """The faces of one photo; iterates and indexes like a list, and ``len()`` 0 is ordinary.

    ``faces[0]`` is a ``Face``; slices, masks and lists of row numbers give ``Faces``.
    """

    detections: Detections | None  # None for crops that were handed in aligned
    crops: Crops
    embeddings: Embeddings
    quality: tuple[Quality, ...]  # empty without detections
    photo: PhotoId
    landmarks: Landmarks | None = None  # where the pipeline finds them

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo."""
        return self.photo.value

    def __repr__(self) -> str:
        return f"Faces({_found(self.detections, self.crops)})"

    def _repr_html_(self) -> str:
        drawn = [face._drawn() for face in self[: notebook.SHOWN]]
        more = len(self) - len(drawn)
        words = _found(self.detections, self.crops)
        return notebook.block(words, drawn, f"and {more} more" if more else "")

    def __len__(self) -> int:
        return len(self.crops)

    def to_dict(self, *, landmarks: bool = False) -> dict[str, Any]:
        """Plain values for JSON; neither vectors nor pixels of faces. ``landmarks``: 68 points of
        each, too, null where the pipeline finds none."""
        told = photo_dict(self.detections, self.crops, self.quality)
        return _marked(told, self.landmarks) if landmarks else told

    def __iter__(self) -> Iterator[Face]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, face: object) -> bool:
        """Whether it is one of this photo's: by photo, box and vector."""
        return isinstance(face, Face) and any(
            face.photo is self.photo and face.box == own.box and face.embedding in own.embedding
            for own in self
        )

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Face: ...

    @overload
    def __getitem__(self, index: Several) -> Faces: ...

    def __getitem__(self, index: int | np.integer[Any] | Several) -> Face | Faces:
        found = self.detections
        if not isinstance(index, (int, np.integer)):
            rows = np.arange(len(self))[index]
            return Faces(
                None if found is None else found[rows],
                self.crops[rows],
                self.embeddings[rows],
                tuple(self.quality[i] for i in rows) if self.quality else (),
                self.photo,
                None if self.landmarks is None else self.landmarks[rows],
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
            landmarks=None if self.landmarks is None else self.landmarks[row],
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Face:
    """One face, ready to be compared or enrolled."""

    box: tuple[float, ...] | None  # xyxy pixels in its photo
    score: float | None
    crop: Image  # (S,S,3) uint8 RGB aligned
    embedding: Embeddings  # one row
    quality: Quality | None
    photo: PhotoId
    points: FloatArray | None = None  # (5,2) pixels in its photo
    landmarks: Landmarks | None = None  # of this face alone

    @property
    def photo_id(self) -> str:
        """What tells whether two faces come from one photo."""
        return self.photo.value

    def __str__(self) -> str:
        if self.box is None:
            return f"aligned crop {len(self.crop)}×{len(self.crop)}"
        left, top, right, bottom = (round(v) for v in self.box)
        words = f"box {left},{top}–{right},{bottom}"
        if self.score is not None:
            words += f", score {self.score:.2f}"
        return words if self.quality is None else f"{words}, quality {self.quality}"

    def __repr__(self) -> str:
        return f"Face({self})"

    def _repr_html_(self) -> str:
        return notebook.block("", [self._drawn()])

    def _drawn(self) -> str:
        return notebook.picture(self.crop, str(self).split(", ", 2))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; neither vector nor pixels. All null for a crop that came
        aligned."""
        return _face_dict(self.box, self.points, self.score, self.quality)

    def check_quality(self) -> None:
        """Raise ``QualityRejected`` with every reason; crops that came aligned pass."""
        if self.quality and self.quality.reasons:
            raise QualityRejected(
                " ".join(reason.message for reason in self.quality.reasons),
                reasons=[reason.code for reason in self.quality.reasons],
            )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verification:
    """The answer to "are these two one person?" with both faces it was given on."""

    decision: Decision
    a: Face
    b: Face

    def __repr__(self) -> str:
        return f"Verification({self.decision})"

    def _repr_html_(self) -> str:
        drawn = [self.a._drawn(), self.b._drawn()]
        return notebook.block(str(self.decision), drawn, self.decision.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.decision.to_dict(), "a": self.a.to_dict(), "b": self.b.to_dict()}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PersonVerification:
    """The answer to "is this that enrolled person?", with their face nearest to the probe."""

    decision: Decision
    face: Face | None  # None: a vector was compared
    person: Match

    def __repr__(self) -> str:
        return f"PersonVerification({self.person.name}, {self.decision})"

    def _repr_html_(self) -> str:
        drawn = [] if self.face is None else [self.face._drawn()]
        drawn.append(_people([self.person]))
        return notebook.block(str(self.decision), drawn, self.decision.reason)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.decision.to_dict(),
            "face": None if self.face is None else self.face.to_dict(),
            "person": self.person.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identified:
    """Who a vector or an enrolled person may be: candidates best first, the decision on the first.

    The nearest person of all, where another face of the photo was given them, stands last and says
    so in ``given_to``; alone, where nobody else is left.
    """

    candidates: list[Match]
    decision: Decision

    def __repr__(self) -> str:
        name = f"{self.candidates[0].name}, " if self.decision.matched else ""
        return f"{type(self).__name__}({name}{self.decision})"

    def _repr_html_(self) -> str:
        return notebook.block(str(self.decision), self._drawn(), self.decision.reason)

    def _drawn(self) -> list[str]:
        return [_people(self.candidates)] if self.candidates else []

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "candidates": [match.to_dict() for match in self.candidates],
            "decision": self.decision.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identification(Identified):
    """``Identified`` for a face of a photo."""

    face: Face

    def _drawn(self) -> list[str]:
        return [self.face._drawn(), *Identified._drawn(self)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "face": self.face.to_dict(),
            "candidates": [match.to_dict() for match in self.candidates],
            "decision": self.decision.to_dict(),
        }


def _found(detections: Detections | None, crops: Crops) -> str:
    if detections is None:
        return f"{counted(len(crops), 'aligned crop')} {crops.size}×{crops.size}"
    return str(detections)


def _people(candidates: Sequence[Match]) -> str:
    rows = [(match.name, f"{match.cosine:.2f}", str(match.faces)) for match in candidates]
    return notebook.table(("person", "cosine", "faces"), rows)


def photo_dict(
    found: Detections | None, crops: Crops, quality: Sequence[Quality]
) -> dict[str, Any]:
    """The faces of a photo as plain values for JSON."""
    height, width = found.image_size if found is not None else (crops.size,) * 2
    faces = [
        _face_dict(
            None if found is None else found.boxes[i],
            None if found is None or found.points is None else found.points[i],
            None if found is None else found.scores[i],
            quality[i] if quality else None,
        )
        for i in range(len(crops))
    ]
    return {"width": width, "height": height, "faces": faces}


def _marked(told: dict[str, Any], landmarks: Landmarks | None) -> dict[str, Any]:
    marks: Any = [None] * len(told["faces"]) if landmarks is None else landmarks.points
    for face, points in zip(told["faces"], marks, strict=True):
        face["landmarks"] = _pairs(points)
    return told


def _pairs(points: FloatArray | None) -> list[list[float]] | None:
    return None if points is None else [[pixel(x), pixel(y)] for x, y in points]


def _face_dict(
    box: Any, points: FloatArray | None, score: Any, quality: Quality | None
) -> dict[str, Any]:
    return {
        "box": box_dict(box),
        "points": _pairs(points),
        "score": None if score is None else round(float(score), 4),
        "quality": None if quality is None else quality.to_dict(),
    }

"""Frozen batch values that travel between the stages.

Coordinates are pixels with the origin at the top-left corner of the image, x to the right,
y down. Images are RGB uint8 (H,W,3). A batch of zero faces is ordinary.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Self, SupportsIndex, get_args, overload

import numpy as np
import numpy.typing as npt

from arcid.errors import (
    ContractMismatch,
    InvalidArray,
    NoFaceFound,
    SeveralFacesFound,
    UsageError,
)

FloatArray = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Selection = Literal["prominent", "one", "largest", "center", "all"]
CENTRE_WEIGHT = 2.0  # a face in the corner of the photo counts exp(-2) of one in the middle
RIVAL_PROMINENCE = 0.5  # share of the greatest prominence that makes another face a rival
SECOND_AREA = 0.25  # share of the largest face's area that makes another face a second one
#: Where a crop has the face: by points, or by its box.
Template = Literal["arcface", "omz", "dlib", "box"]
Several = slice | Sequence[int] | npt.NDArray[Any]  # rows of a batch
Index = SupportsIndex | Several


def _checked(name: str, value: Any, dtype: Any, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    array = np.asarray(value, dtype=dtype)
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=False)
    ):
        wanted = ",".join("N" if d is None else str(d) for d in shape)
        raise InvalidArray(f"{name} must have shape ({wanted}), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidArray(f"{name} holds NaN or infinite values")
    array = array.view()
    array.flags.writeable = False
    return array


def check_selection(which: str) -> None:
    """Raise ``UsageError`` for what is no selection."""
    if which not in get_args(Selection):
        raise UsageError(
            f"selection {which!r} is unknown; use prominent, one, largest, center or all"
        )


class Rows(ABC):
    """A batch that iterates and indexes like a list; a row of it is a batch of one.

    ``batch[2]`` is one row and raises ``IndexError`` past the end; slices, masks and lists of row
    numbers give batches. ``row in batch`` compares exactly.
    """

    __slots__ = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _take(self, rows: Any) -> Self:
        """These rows; ``rows`` is whatever indexes a NumPy array and keeps its dimensions."""

    def __getitem__(self, index: Index) -> Self:
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            row = row_number(index, len(self))
            return self._take(slice(row, row + 1))
        return self._take(index)

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, row: object) -> bool:
        return (
            isinstance(row, type(self)) and len(row) == 1 and any(_same(row, own) for own in self)
        )


def counted(count: int, what: str) -> str:
    """Of people and of reprs: no face, 1 face, 2 faces."""
    return f"no {what}" if count == 0 else f"{count:,} {what}{'' if count == 1 else 's'}"


def _rate(rate: float | None) -> str:
    """An error rate for people: 0.01, 1e-4."""
    if rate is None or rate >= 1e-3:
        return f"{rate:g}" if rate is not None else "unknown"
    digits, exponent = f"{rate:.2e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def row_number(index: SupportsIndex, count: int) -> int:
    """The row, counted from the end where negative; ``IndexError`` outside of ``count`` rows."""
    row = operator.index(index)
    if not -count <= row < count:
        raise IndexError(f"there is no row {row} in a batch of {count}")
    return row % count


def _same(a: Any, b: Any) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


@dataclass(frozen=True, slots=True, eq=False)
class Detections(Rows):
    """Faces found in one image, best score first."""

    boxes: FloatArray  # (N,4) float32 xyxy pixels; may reach past the image border
    scores: FloatArray  # (N,) float32 0–1
    points: FloatArray | None  # (N,5,2) float32 pixels: eyes (viewer's left first), nose, mouth
    image_size: tuple[int, int]  # (height, width) pixels

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "boxes", _checked("boxes", self.boxes, np.float32, (None, 4)))
        n = len(self.boxes)
        set_(self, "scores", _checked("scores", self.scores, np.float32, (n,)))
        if self.points is not None:
            set_(self, "points", _checked("points", self.points, np.float32, (n, 5, 2)))
        height, width = self.image_size
        if height < 1 or width < 1:
            raise InvalidArray(f"image_size must be (height, width) >= 1, got {self.image_size}")

    @classmethod
    def empty(cls, image_size: tuple[int, int], *, points: bool = True) -> Detections:
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, 5, 2), np.float32) if points else None,
            image_size,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __str__(self) -> str:
        height, width = self.image_size
        found = f"{counted(len(self), 'face')} in {width}×{height}"
        if len(self):
            found += f", best score {self.scores.max():.2f}"
        return found if self.points is not None else f"{found}, boxes only"

    def __repr__(self) -> str:
        return f"Detections({self})"

    def _take(self, rows: Any) -> Detections:
        points = None if self.points is None else self.points[rows]
        return Detections(self.boxes[rows], self.scores[rows], points, self.image_size)

    @property
    def sizes(self) -> FloatArray:
        """(N,2) float32 width and height in pixels."""
        sizes: FloatArray = self.boxes[:, 2:] - self.boxes[:, :2]
        return sizes

    @property
    def prominence(self) -> FloatArray:
        """(N,) how much each face is the one the photo is of; higher is more, scale is pixels².

        The box's area times exp(-2 r²), r the distance of the box centre from the photo's centre
        as a share of half its diagonal.
        """
        height, width = self.image_size
        share = self._off_centre / ((height**2 + width**2) / 4)
        weighed: FloatArray = self.sizes.prod(axis=1) * np.exp(-CENTRE_WEIGHT * share)
        return weighed

    @property
    def _off_centre(self) -> FloatArray:
        """(N,) squared pixels from the box centre to the image centre."""
        height, width = self.image_size
        middle = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        offset = middle - np.array([width / 2, height / 2], np.float32)
        squared: FloatArray = (offset**2).sum(axis=1)
        return squared

    def select(self, which: Selection) -> Detections:
        """Keep the prominent face, the only one, the largest, the one in the middle, or all.

        ``prominent`` is the rule everywhere one face of a photo is meant: the face of the greatest
        ``prominence``. It raises ``NoFaceFound`` on none and ``SeveralFacesFound`` where another
        face has at least half that prominence. ``one`` is stricter, wherever the faces are: it
        refuses a second face of at least a quarter of the largest one's area. ``center`` weighs
        size against distance as InsightFace's examples do: twice the squared distance of the box
        centre to the image centre is taken off the box's area.
        """
        check_selection(which)
        if which == "all" or (len(self) == 0 and which in ("largest", "center")):
            return self
        return self[self.choose(which)]

    def choose(self, which: Selection) -> int:
        """The row that ``select`` keeps; raises as it does, and ``NoFaceFound`` on none."""
        if len(self) == 0:
            raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
        weight = self.prominence if which == "prominent" else self.sizes.prod(axis=1)
        if which == "center":
            weight = weight - 2 * self._off_centre
        if which in ("prominent", "one"):
            least = RIVAL_PROMINENCE if which == "prominent" else SECOND_AREA
            rivals = int((weight >= weight.max() * least).sum())
            if rivals > 1:
                raise SeveralFacesFound.of(rivals)
        return int(weight.argmax())


@dataclass(frozen=True, slots=True, eq=False)
class Crops(Rows):
    """Aligned faces, (N,S,S,3) uint8 RGB, S=112 unless the recogniser wants another size."""

    pixels: Image

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels)
        if pixels.dtype != np.uint8:
            raise InvalidArray(f"crops must be uint8 RGB 0–255, got {pixels.dtype}")
        if pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.shape[1] != pixels.shape[2]:
            raise InvalidArray(f"crops must have shape (N,S,S,3), got {pixels.shape}")
        if pixels.shape[1] < 16:
            raise InvalidArray(f"crops must be at least 16 pixels wide, got {pixels.shape[1]}")
        object.__setattr__(self, "pixels", pixels)

    @classmethod
    def empty(cls, size: int = 112) -> Crops:
        return cls(np.zeros((0, size, size, 3), np.uint8))

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"Crops({len(self)} × {self.size}×{self.size} RGB)"

    def _take(self, rows: Any) -> Crops:
        return Crops(self.pixels[rows])

    @property
    def size(self) -> int:
        return int(self.pixels.shape[1])

    @classmethod
    def concatenate(cls, parts: Sequence[Crops]) -> Crops:
        return cls(np.concatenate([part.pixels for part in parts])) if parts else cls.empty()


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings(Rows):
    """Unit-norm vectors of one model, (N,D) float32."""

    vectors: FloatArray
    contract_id: str

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors)
        if vectors.ndim != 2:
            raise InvalidArray(f"embeddings must have shape (N,D), got {vectors.shape}")
        vectors = _checked("embeddings", vectors, np.float32, (None, vectors.shape[1]))
        norms = np.linalg.norm(vectors, axis=1)
        if (np.abs(norms - 1) > 1e-3).any():
            raise InvalidArray(
                "embeddings must have unit norm; use Embeddings.normalised for raw model output"
            )
        if not self.contract_id:
            raise InvalidArray("embeddings need the contract_id of the model that made them")
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def normalised(cls, raw: npt.ArrayLike, contract_id: str) -> Embeddings:
        """(N,D) raw model output in; unit-norm embeddings out. Zero and NaN rows are refused."""
        vectors = np.asarray(raw, np.float32)
        if vectors.ndim != 2:
            raise InvalidArray(f"embeddings must have shape (N,D), got {vectors.shape}")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or (norms < 1e-12).any():
            raise InvalidArray("the model returned a zero, NaN or infinite embedding")
        return cls(vectors / norms, contract_id)

    @classmethod
    def empty(cls, dim: int, contract_id: str) -> Embeddings:
        return cls(np.zeros((0, dim), np.float32), contract_id)

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} × {self.dim}, contract {self.contract_id[:8]}…)"

    def _take(self, rows: Any) -> Embeddings:
        return Embeddings(self.vectors[rows], self.contract_id)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    def cosine(self, other: Embeddings) -> FloatArray:
        """(N,M) float32 cosines against another batch; ``ContractMismatch`` where another model
        made it."""
        self._check_contract(other)
        scores: FloatArray = np.clip(self.vectors @ other.vectors.T, -1.0, 1.0)
        return scores

    @classmethod
    def concatenate(cls, parts: Sequence[Embeddings]) -> Embeddings:
        """At least one batch, all of one contract; else ``InvalidArray``, ``ContractMismatch``."""
        if not parts:
            raise InvalidArray("no embeddings were handed in; Embeddings.empty makes none")
        for part in parts:
            parts[0]._check_contract(part)
        return cls(np.concatenate([part.vectors for part in parts]), parts[0].contract_id)

    def _check_contract(self, other: Embeddings) -> None:
        if other.contract_id != self.contract_id:
            raise ContractMismatch(
                "embeddings of two models cannot be compared: "
                f"{self.contract_id[:12]} and {other.contract_id[:12]}; embed both with one model"
            )


def box_dict(box: Sequence[float] | None) -> dict[str, float] | None:
    """xyxy pixels as named corners, to hundredths."""
    if box is None:
        return None
    return {name: pixel(v) for name, v in zip(("x1", "y1", "x2", "y2"), box, strict=True)}


def instant(at: datetime) -> str:
    """A time in UTC as JSON carries it, in ISO 8601."""
    return at.isoformat().replace("+00:00", "Z")


def pixel(value: float) -> float:
    """A coordinate as it is told, to hundredths."""
    return round(float(value), 2)


@dataclass(frozen=True, slots=True)
class Match:
    """One gallery person found for a probe; ``cosine`` is the aggregate over their faces."""

    person_id: str
    name: str
    cosine: float
    face_id: str  # the person's face nearest to the probe
    faces: int  # how many faces of the person were compared
    metadata: dict[str, Any] = field(default_factory=dict)
    given_to: int | None = None  # the face of the same photo this person was given to instead
    probability: float | None = None  # what the cosine means, where a calibration is at hand: that
    fmr: float | None = None  # both are one person; the share of strangers that reach it
    external_id: str | None = None  # what another system calls them

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "person_id": self.person_id,
            "name": self.name,
            "external_id": self.external_id,
            "metadata": self.metadata,
            "cosine": round(self.cosine, 6),
            "probability": self.probability,
            "fmr": self.fmr,
            "face_id": self.face_id,
            "faces": self.faces,
            "given_to": self.given_to,
        }

    def __repr__(self) -> str:
        given = "" if self.given_to is None else f", given to face {self.given_to}"
        faces = counted(self.faces, "face")
        return f"Match({self.name}: cosine {self.cosine:.2f} over {faces}{given})"


@dataclass(frozen=True, slots=True, eq=False)
class Hits(Sequence[list[Match]]):
    """What a search found: per probe its people, best first, and among how many templates."""

    matches: list[list[Match]]
    gallery_size: int  # templates that each probe was compared with, of the same snapshot
    # at most this share of people is passed over by the index: 0 where it looks at everybody, None
    # where that was not measured
    index_miss_rate: float | None = 0.0

    @overload
    def __getitem__(self, index: int) -> list[Match]: ...

    @overload
    def __getitem__(self, index: slice) -> list[list[Match]]: ...

    def __getitem__(self, index: int | slice) -> list[Match] | list[list[Match]]:
        return self.matches[index]

    def __len__(self) -> int:
        return len(self.matches)

    def __repr__(self) -> str:
        found = ", ".join(str(len(people)) for people in self.matches)
        among = counted(self.gallery_size, "template")
        return f"Hits({counted(len(self), 'probe')} among {among}: {found} people)"


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """One probe against all templates of one person."""

    nearest: Match
    cosines: FloatArray  # (N,) float32, best first

    def __repr__(self) -> str:
        return f"Templates({counted(len(self.cosines), 'template')}, nearest {self.nearest!r})"


Outcome = Literal["match", "no_match", "review"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one comparison or search, and on what grounds."""

    outcome: Outcome
    cosine: float | None  # None when the gallery was empty
    cosine_threshold: float
    probability: float | None  # calibrated probability of one person at equal priors
    fmr: float | None  # at most this share of strangers reaches the cosine; as far as data supports
    target_fmr: float | None  # the error rate asked for: of one comparison, or else
    target_fpir: float | None  # of one search
    gallery_size: int  # templates compared; 1 for two photos
    calibration_id: str
    extrapolated: bool
    reason: str
    # of a search: the share of enrolled people of one photo that it misses, by the threshold or the
    # index; and the index's part of it. None: not measured, or no search
    fnir: float | None = None
    index_miss_rate: float | None = None

    @property
    def matched(self) -> bool:
        return self.outcome == "match"

    def __str__(self) -> str:
        """match: cosine 0.71 ≥ 0.32 at FMR 1e-4"""
        if self.cosine is None:
            compared = "nobody to compare with"
        else:
            sign = "≥" if self.cosine >= self.cosine_threshold else "<"
            compared = f"cosine {self.cosine:.2f} {sign} {self.cosine_threshold:.2f}"
        if self.target_fpir is None:
            at = f"at FMR {_rate(self.target_fmr)}"
        else:
            at = f"at FPIR {_rate(self.target_fpir)}"
            if self.gallery_size:
                at += f" among {counted(self.gallery_size, 'template')}"
        extrapolated = ", extrapolated" if self.extrapolated else ""
        return f"{self.outcome.replace('_', ' ')}: {compared} {at}{extrapolated}"

    def __repr__(self) -> str:
        return f"Decision({self})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "cosine": None if self.cosine is None else round(self.cosine, 6),
            "cosine_threshold": round(self.cosine_threshold, 6),
            "probability": self.probability,
            "fmr": self.fmr,
            "target_fmr": self.target_fmr,
            "target_fpir": self.target_fpir,
            "gallery_size": self.gallery_size,
            "calibration_id": self.calibration_id,
            "extrapolated": self.extrapolated,
            "fnir": self.fnir,
            "index_miss_rate": self.index_miss_rate,
        }

"""The ``Detector`` protocol and what every family shares: checking arrays and options, fitting
pictures onto the network's canvas, and turning raw candidates into ``Detections``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from arcid.detect.second_try import TriesTwice, check_sure
from arcid.errors import InvalidArray, ManifestInvalid, UsageError
from arcid.geometry import letterbox, nms
from arcid.models.manifest import InputSpec
from arcid.runtime import Session
from arcid.types import Detections, FloatArray, Image

CANVAS_STEP = 32  # the coarsest stride of every network here
MAX_BATCH = 8  # pictures a forward pass; more cost memory and gain nothing on a CPU


class Detector(Protocol):
    """(H,W,3) uint8 RGB pictures in; one ``Detections`` each out.

    Any class that has ``detect`` works in ``Pipeline``; it may be called from several threads at
    once. A ``name``, where there is one, is stored beside what it found; ``has_points`` False says
    that it finds boxes only, which cannot be aligned by points. ``detect_once``, where there is
    one, is what video asks: it spares frames without faces the second try of ``TriesTwice``.
    """

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """(H,W,3) uint8 RGB pictures of any sizes in; one ``Detections`` each out, in order, best
        score first, coordinates in pixels of the picture handed in. Raises ``InvalidArray``."""
        ...


def name_of(detector: Detector) -> str:
    """What stored detections are attributed to: its ``name``, else its class."""
    return str(getattr(detector, "name", type(detector).__name__))


@dataclass(frozen=True, slots=True, repr=False)
class Candidates:
    """Undecided faces of B pictures on the network's canvas."""

    boxes: FloatArray  # (B,A,4) xyxy canvas pixels
    scores: FloatArray  # (B,A) 0–1
    points: FloatArray | None  # (B,A,5,2) canvas pixels


def check_images(images: Sequence[Image]) -> list[Image]:
    """Every picture as (H,W,3) uint8, or ``InvalidArray`` naming the one that is not."""
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise InvalidArray("detect takes a list of images; put the single image into a list")
    checked = []
    for i, image in enumerate(images):
        array = np.asarray(image)
        if array.dtype != np.uint8:
            raise InvalidArray(f"image {i} must be uint8 RGB 0–255, got {array.dtype}")
        if array.ndim != 3 or array.shape[2] != 3 or min(array.shape) < 1:
            raise InvalidArray(
                f"image {i} must have shape (H,W,3), got {array.shape}; "
                "arcid.image.load_image turns grey and alpha pictures into that"
            )
        checked.append(array)
    return checked


def check_input_name(name: str, spec: InputSpec, session: Session) -> None:
    if spec.name is not None and spec.name != session.input_name:
        raise ManifestInvalid(
            f"{name}: the manifest names the input {spec.name!r}, the file {session.input_name!r}"
        )


def check_share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} must lie between 0 and 1, got {value}")
    return float(value)


def check_side(name: str, value: int) -> int:
    if value < CANVAS_STEP or value > 8192:
        raise UsageError(f"{name} must lie between {CANVAS_STEP} and 8192 pixels, got {value}")
    return int(value)


def canvas_size(shape: tuple[int, ...], size_px: int, max_upscale: float) -> tuple[int, int]:
    """(height, width) of the canvas for a picture: longer side at most ``size_px`` and at most
    ``max_upscale`` times the picture's own, both sides multiples of 32."""
    height, width = shape[:2]
    scale = min(size_px / max(height, width), max_upscale)
    return _step_up(height * scale), _step_up(width * scale)


def _step_up(side: float) -> int:
    return max(CANVAS_STEP, int(np.ceil(round(side, 3) / CANVAS_STEP)) * CANVAS_STEP)


def finish(
    boxes: FloatArray,
    scores: FloatArray,
    points: FloatArray | None,
    *,
    image_size: tuple[int, int],
    threshold: float,
    nms_iou: float,
) -> Detections:
    """(A,4), (A,), (A,5,2) in image pixels in; the faces at or above ``threshold`` that survive
    NMS out, best first. Candidates with NaN or without area are dropped."""
    keep = (scores >= threshold) & np.isfinite(boxes).all(axis=1)
    keep &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if points is not None:
        keep &= np.isfinite(points).all(axis=(1, 2))
    index = np.flatnonzero(keep)
    index = index[nms(boxes[index], scores[index], nms_iou)]
    chosen = None if points is None else points[index]
    return Detections(boxes[index], np.clip(scores[index], 0, 1), chosen, image_size)


def merge(parts: Sequence[Detections], nms_iou: float) -> Detections:
    """One NMS over detections of the same picture, found in several ways."""
    points = [part.points for part in parts if part.points is not None]
    return finish(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate(points) if len(points) == len(parts) else None,
        image_size=parts[0].image_size,
        threshold=0.0,
        nms_iou=nms_iou,
    )


def stack_levels(
    outputs: dict[str, npt.NDArray[Any]], channels: Sequence[int], batch: int
) -> dict[int, list[FloatArray]]:
    """Sort a network's outputs by meaning, not by name: by channel count, then finest level first.

    Outputs may be (A,C) or (B,A,C); each comes back as (B,A,C) float32.
    """
    sorted_: dict[int, list[FloatArray]] = {c: [] for c in channels}
    for name, value in outputs.items():
        count = value.shape[-1]
        if count not in sorted_:
            raise ManifestInvalid(
                f"output {name!r} has shape {value.shape}; this detector family expects the last "
                f"axis to be one of {list(channels)}"
            )
        sorted_[count].append(np.asarray(value, np.float32).reshape(batch, -1, count))
    for levels in sorted_.values():
        levels.sort(key=lambda level: -level.shape[1])
    return sorted_


@lru_cache(maxsize=64)
def grid(height: int, width: int, repeat: int) -> FloatArray:
    """(height·width·repeat, 2) float32 column and row of every cell, row by row; not writeable."""
    rows, columns = np.mgrid[0:height, 0:width]
    cells = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32)
    repeated = np.repeat(cells, repeat, axis=0)
    repeated.flags.writeable = False
    return repeated


class SingleShot(TriesTwice):
    """Detectors whose network sees the whole picture once.

    ``threshold``: lowest score kept. ``nms_iou``: two boxes overlapping more are one face.
    ``size``: longer side of the network's input in pixels; files with a fixed input keep theirs.
    ``max_upscale``: how far a small picture may be enlarged towards ``size``. ``sure``: as in
    ``TriesTwice``.
    """

    family: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ("model",)
    has_points: bool = True

    def __init__(
        self,
        session: Session,
        spec: InputSpec,
        *,
        name: str,
        threshold: float,
        nms_iou: float,
        size: int | None,
        max_upscale: float,
        sure: float | None,
    ) -> None:
        check_input_name(name, spec, session)
        if max_upscale < 1:
            raise UsageError(f"max_upscale must be at least 1, got {max_upscale}")
        self.name = name
        self.threshold = check_share("threshold", threshold)
        self.nms_iou = check_share("nms_iou", nms_iou)
        self.max_upscale = float(max_upscale)
        self.sure = check_sure(sure)
        self._session, self._spec = session, spec
        self._fixed = self._fixed_canvas()
        if self._fixed is not None and size is not None and size != max(self._fixed):
            raise UsageError(
                f"{name} takes {self._fixed[1]}×{self._fixed[0]} pixels only; leave size out"
            )
        self.size = max(self._fixed) if self._fixed else check_side("size", size or 640)

    def _fixed_canvas(self) -> tuple[int, int] | None:
        axes = self._session.input_shape
        if len(axes) != 4:
            raise ManifestInvalid(f"{self.name}: its input has {len(axes)} axes, pictures have 4")
        height, width = axes[2:4] if self._spec.layout == "NCHW" else axes[1:3]
        if self._spec.size is not None:
            return self._spec.size
        return (height, width) if height is not None and width is not None else None

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        checked = check_images(images)
        found: dict[int, Detections] = {}
        for canvas, members in self._batches(checked):
            fitted = [letterbox(checked[i], *canvas) for i in members]
            tensor = self._spec.prepare(np.stack([picture for picture, _ in fitted]))
            outputs = self._session.run(tensor)
            try:
                candidates = self.decode(outputs, len(members), canvas)
            except (IndexError, ValueError) as error:
                shapes = {name: value.shape for name, value in outputs.items()}
                raise ManifestInvalid(
                    f"{self.name}: outputs {shapes} are not those of the family {self.family}"
                ) from error
            for row, (i, (_, scale)) in enumerate(zip(members, fitted, strict=True)):
                found[i] = self._finish(candidates, row, scale, checked[i])
        return [found[i] for i in range(len(checked))]

    @abstractmethod
    def decode(
        self, outputs: dict[str, npt.NDArray[Any]], batch: int, canvas: tuple[int, int]
    ) -> Candidates:
        """The network's outputs as candidates on a canvas of (height, width) pixels; those below
        the threshold may be left out."""

    def _batches(self, images: list[Image]) -> Iterator[tuple[tuple[int, int], list[int]]]:
        groups: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            canvas = self._fixed or canvas_size(image.shape, self.size, self.max_upscale)
            groups.setdefault(canvas, []).append(i)
        step = min(self._session.input_shape[0] or MAX_BATCH, self._spec.batch or MAX_BATCH)
        for canvas, members in groups.items():
            for start in range(0, len(members), step):
                yield canvas, members[start : start + step]

    def _finish(self, found: Candidates, row: int, scale: float, image: Image) -> Detections:
        likely = found.scores[row] >= self.threshold
        points = None if found.points is None else found.points[row, likely] / scale
        return finish(
            found.boxes[row, likely] / scale,
            found.scores[row, likely],
            points,
            image_size=(image.shape[0], image.shape[1]),
            threshold=self.threshold,
            nms_iou=self.nms_iou,
        )

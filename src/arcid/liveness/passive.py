"""One picture, no co-operation: a pair of small networks look for print and screen artefacts.

(H,W,3) uint8 RGB and its ``Detections`` in; (N,) float32 scores 0–1 out, higher is live. MiniFASNet
(Silent-Face-Anti-Spoofing) sees the face with its surroundings, so it needs the whole picture: V2
a crop of 2.7 box sizes, V1SE of 4.0. What the scores are worth: docs/concepts/liveness.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import (
    InvalidArray,
    ManifestInvalid,
    ModelNotFound,
    ModelUnsupported,
    UsageError,
)
from arcid.models import weights
from arcid.models.manifest import Manifest
from arcid.runtime import RuntimeName, Session, open_session
from arcid.types import Detections, FloatArray, Image

PAIR = ("minifasnet_v2", "minifasnet_v1se")
THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Net:
    """One network: its session and what it wants to see."""

    session: Session
    manifest: Manifest

    def __post_init__(self) -> None:
        manifest = self.manifest
        if manifest.task != "liveness" or manifest.family != "minifasnet":
            raise ModelUnsupported(
                f"{manifest.name} is a {manifest.task} model ({manifest.family}); passive liveness "
                "takes models of the family minifasnet"
            )
        scale, live = manifest.options.get("crop_scale"), manifest.options.get("live_class")
        if not isinstance(scale, (int, float)) or not scale >= 1 or live not in (0, 1, 2):
            raise ManifestInvalid(
                f"{manifest.name}: options must hold crop_scale (at least 1) and live_class (0–2)"
            )
        if manifest.input.size is None:
            raise ManifestInvalid(f"{manifest.name}: a liveness model needs an input size")

    def live_probability(self, crops: Image) -> FloatArray:
        """(N,h,w,3) uint8 RGB crops in; (N,) float32 softmax of the live class out."""
        tensor = self.manifest.input.prepare(crops)
        step = self.session.input_shape[0] or len(tensor)
        logits = [self._logits(tensor[i : i + step], step) for i in range(0, len(tensor), step)]
        raw = np.concatenate(logits).astype(np.float64)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        live = int(self.manifest.options["live_class"])
        return np.asarray(powers[:, live] / powers.sum(axis=1), np.float32)

    def _logits(self, tensor: FloatArray, batch: int) -> npt.NDArray[Any]:
        count = len(tensor)
        if self.session.input_shape[0] is not None and count < batch:  # a fixed batch is filled up
            tensor = np.concatenate([tensor, np.repeat(tensor[-1:], batch - count, axis=0)])
        (out,) = self.session.run(tensor).values()
        if out.ndim != 2 or out.shape[1] != 3 or not np.isfinite(out).all():
            raise ModelUnsupported(
                f"{self.manifest.name} answers {out.shape}, expected (N,3) finite logits"
            )
        return out[:count]


class PassiveLiveness:
    """The mean of the networks' live probabilities; thread-safe as its sessions are."""

    def __init__(self, nets: Sequence[Net], *, threshold: float = THRESHOLD) -> None:
        if not nets:
            raise UsageError("passive liveness needs at least one network")
        if not 0 < threshold < 1:
            raise UsageError(f"the liveness threshold lies between 0 and 1, got {threshold!r}")
        self.nets = tuple(nets)
        self.threshold = threshold
        self.name = "+".join(net.manifest.name for net in self.nets)

    def scores(self, image: Image, detections: Detections) -> FloatArray:
        """(N,) float32 0–1, one a face. Raises ``InvalidArray`` for another photo's detections."""
        return self.scores_batch([image], [detections])[0]

    def scores_batch(
        self, images: Sequence[Image], detections: Sequence[Detections]
    ) -> list[FloatArray]:
        """As ``scores`` over many pictures, each network called once for all their faces."""
        return [np.asarray(row.mean(axis=0), np.float32) for row in self.each(images, detections)]

    def each(self, images: Sequence[Image], detections: Sequence[Detections]) -> list[FloatArray]:
        """(networks, N) float32 of every picture: the single probabilities behind the mean."""
        if len(images) != len(detections):
            raise InvalidArray(f"{len(images)} pictures came with {len(detections)} detections")
        for image, found in zip(images, detections, strict=True):
            if image.shape[:2] != tuple(found.image_size):
                raise InvalidArray(
                    f"the detections belong to a picture of {tuple(found.image_size)} (height, "
                    f"width), this one has {image.shape[:2]}"
                )
        counts = [len(found) for found in detections]
        bounds = np.cumsum([0, *counts])
        table = np.zeros((len(self.nets), sum(counts)), np.float32)
        for row, net in zip(table, self.nets, strict=True):
            scale, size = float(net.manifest.options["crop_scale"]), net.manifest.input.size
            crops = [
                crop(image, box, scale, size or (0, 0))
                for image, found in zip(images, detections, strict=True)
                for box in found.boxes
            ]
            if crops:
                row[:] = net.live_probability(np.stack(crops))
        return [table[:, int(a) : int(b)] for a, b in pairwise(bounds)]


def crop(image: Image, box: npt.ArrayLike, scale: float, size: tuple[int, int]) -> Image:
    """(H,W,3) and an xyxy box in; (h,w,3) around the box's middle out, ``scale`` times its size.

    As the networks were trained: where the picture is too small the scale shrinks, where the crop
    would pass a border it is moved inward, so that nothing is padded; then it is squeezed to
    ``size`` (height, width) with bilinear sampling.
    """
    import cv2

    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    box_w, box_h = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    scale = min((height - 1) / box_h, (width - 1) / box_w, scale)
    left, right = _span((x1 + x2) / 2, box_w * scale, width)
    top, bottom = _span((y1 + y2) / 2, box_h * scale, height)
    part = image[top : bottom + 1, left : right + 1]
    return np.asarray(cv2.resize(part, (size[1], size[0])), np.uint8)


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    """First and last pixel of a stretch moved to lie within 0 … limit − 1."""
    start = min(max(centre - length / 2, 0.0), limit - 1 - length)
    first = int(max(start, 0.0))
    return first, max(first, min(int(max(start, 0.0) + length), limit - 1))


def load(
    names: Sequence[str] = PAIR,
    *,
    threshold: float = THRESHOLD,
    runtime: RuntimeName | None = None,
    device: str | None = None,
) -> PassiveLiveness:
    """Open the networks by name. Raises ``ModelNotFound`` (saying how to get all that are missing)
    and other ``ModelError`` kinds."""
    bundles, missing = [], []
    for name in names:
        try:
            bundles.append(weights.resolve(name))
        except ModelNotFound as error:
            missing.append(error)
    if missing:
        raise ModelNotFound("; ".join(e.message for e in missing), **missing[0].details)
    return PassiveLiveness(
        [
            Net(
                open_session(
                    bundle.path,
                    runtime=runtime,
                    device=device,
                    input_name=bundle.manifest.input.name,
                    sha256=bundle.manifest.sha256,
                    weights_sha256=bundle.manifest.weights_sha256,
                ),
                bundle.manifest,
            )
            for bundle in bundles
        ],
        threshold=threshold,
    )

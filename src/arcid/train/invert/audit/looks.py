"""Do the pictures look like faces to the product: its detector, and its check for living faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arcid.align import align
from arcid.detect import Detector
from arcid.embed import Embedder
from arcid.evaluate.intervals import clustered_rate
from arcid.evaluate.metrics import Rate
from arcid.types import Detections, FloatArray, Image

GROUND = 2.5  # sides of the plain ground that a picture is held up on
_GREY = 127


class Liveness(Protocol):
    """A check of single pictures; ``scores`` are 0–1, higher is live."""

    name: str
    threshold: float

    def scores(self, image: Image, detections: Detections) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class Looks:
    """Of pictures held up on a plain ground: ``found`` by the detector, mean ``cosine`` to their
    vectors after it and aligning (of those found), ``live`` as judged (of those found; None
    without a check)."""

    found: Rate
    cosine: float | None
    live: Rate | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "found": self.found.to_dict(),
            "cosine": self.cosine,
            "live": None if self.live is None else self.live.to_dict(),
        }


def look(
    pictures: Image,
    vectors: FloatArray,
    detector: Detector,
    embedder: Embedder,
    liveness: Liveness | None,
) -> Looks:
    """(N,S,S,3) uint8 RGB and the (N,D) vectors they stand for."""
    found, live, cosines = [], [], []
    for picture, vector in zip(pictures, vectors, strict=True):
        shown = on_ground(picture)
        faces = detector.detect([shown])[0].select("largest")
        found.append(len(faces) > 0)
        if not len(faces):
            continue
        crop = align(shown, faces, size=embedder.size, template=embedder.template)
        cosines.append(float(embedder.embed(crop).vectors[0] @ vector))
        if liveness is not None:
            live.append(bool(liveness.scores(shown, faces)[0] >= liveness.threshold))
    return Looks(
        clustered_rate(found, np.arange(len(found))),
        float(np.mean(cosines)) if cosines else None,
        clustered_rate(live, np.arange(len(live))) if live else None,
    )


def on_ground(picture: Image) -> Image:
    """(S,S,3) in; the same in the middle of a grey square of ``GROUND`` times its side."""
    size = picture.shape[0]
    side = round(size * GROUND)
    start = (side - size) // 2
    shown = np.full((side, side, 3), _GREY, np.uint8)
    shown[start : start + size, start : start + size] = picture
    return shown


__all__ = ["GROUND", "Liveness", "Looks", "look", "on_ground"]

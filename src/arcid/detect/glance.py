"""A glance first, at a smaller picture, where one large face is all that is asked for.

A detector takes its time by the pixel. Where the face that a selection keeps is large, so is every
face that could change the selection, and a smaller picture shows them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from arcid.detect.arcid_detect import ArcidDetect
from arcid.detect.second_try import Look
from arcid.types import Detections, Image, Selection

SIZE_PX = 320  # longer side of the smaller picture
LEAST_PX = 32  # side of the smallest face in it that is surely found


def choosing(detector: Any, which: Selection) -> Look:
    """``detector.detect``, of whose answer ``select(which)`` will be asked.

    ``ArcidDetect`` glances at pictures larger than ``SIZE_PX`` where that is ``prominent`` or
    ``one``, and looks again at those whose faces are not sure or not large enough. Faces that are
    too small to change the selection may be left out.
    """
    look: Look = detector.detect
    if which not in ("prominent", "one") or not isinstance(detector, ArcidDetect):
        return look
    return partial(_glanced, detector, which) if detector.size > SIZE_PX else look


def _glanced(detector: ArcidDetect, which: Selection, images: Sequence[Image]) -> list[Detections]:
    large = [i for i, image in enumerate(images) if max(np.shape(image)[:2], default=0) > SIZE_PX]
    seen = detector.detect_once([images[i] for i in large], size=SIZE_PX)
    found = {
        i: one for i, one in zip(large, seen, strict=True) if _is_enough(one, which, detector.sure)
    }
    others = [i for i in range(len(images)) if i not in found]
    found.update(zip(others, detector.detect([images[i] for i in others]), strict=True))
    return [found[i] for i in range(len(images))]


def _is_enough(found: Detections, which: Selection, sure: float | None) -> bool:
    if sure is None or not len(found) or found.scores.max() < sure:
        return False
    scale = SIZE_PX / max(found.image_size)
    return found.least_area(which) * scale**2 >= LEAST_PX**2


__all__ = ["choosing"]

"""arcid: self-hosted face identity. Start reading at ``arcid.pipeline``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from arcid.errors import ArcidError
from arcid.types import Crops, Decision, Detections, Embeddings, Match

if TYPE_CHECKING:
    from arcid.calibration import Calibration
    from arcid.gallery import Gallery
    from arcid.image import load_image
    from arcid.pipeline import Pipeline
    from arcid.results import Face

__version__ = "0.1.0"

_LAZY = {
    "Calibration": "arcid.calibration",
    "Face": "arcid.results",
    "Gallery": "arcid.gallery",
    "Pipeline": "arcid.pipeline",
    "load_image": "arcid.image",
}

__all__ = [
    "ArcidError",
    "Calibration",
    "Crops",
    "Decision",
    "Detections",
    "Embeddings",
    "Face",
    "Gallery",
    "Match",
    "Pipeline",
    "__version__",
    "load_image",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'arcid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

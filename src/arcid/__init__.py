"""arcid: self-hosted face identity. Start reading at ``arcid.pipeline``.

All that a caller needs is named here, every error included. The modules behind the names are loaded
when they are first used; ``import arcid`` itself loads the errors only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from arcid import errors
from arcid.errors import *  # noqa: F403

if TYPE_CHECKING:
    from arcid.apps.enrol import enrol_photos
    from arcid.apps.photos import embed_photos
    from arcid.batch import BatchItem
    from arcid.calibration import Calibration
    from arcid.detect import Detector
    from arcid.embed import Embedder
    from arcid.gallery import Gallery, NewFace
    from arcid.image import find_photos, load_image, photo_id
    from arcid.pipeline import Pipeline
    from arcid.quality import Quality, QualityGate
    from arcid.results import (
        Face,
        Faces,
        Identification,
        Identified,
        PersonVerification,
        Verification,
    )
    from arcid.types import Crops, Decision, Detections, Embeddings, Match

__version__ = "0.1.0"

_LAZY = {
    "BatchItem": "arcid.batch",
    "Calibration": "arcid.calibration",
    "Crops": "arcid.types",
    "Decision": "arcid.types",
    "Detections": "arcid.types",
    "Detector": "arcid.detect",
    "Embedder": "arcid.embed",
    "Embeddings": "arcid.types",
    "Face": "arcid.results",
    "Faces": "arcid.results",
    "Gallery": "arcid.gallery",
    "Identification": "arcid.results",
    "Identified": "arcid.results",
    "Match": "arcid.types",
    "NewFace": "arcid.gallery",
    "PersonVerification": "arcid.results",
    "Pipeline": "arcid.pipeline",
    "Quality": "arcid.quality",
    "QualityGate": "arcid.quality",
    "Verification": "arcid.results",
    "embed_photos": "arcid.apps.photos",
    "enrol_photos": "arcid.apps.enrol",
    "find_photos": "arcid.image",
    "load_image": "arcid.image",
    "photo_id": "arcid.image",
}

__all__ = [
    "BatchItem",
    "Calibration",
    "Crops",
    "Decision",
    "Detections",
    "Detector",
    "Embedder",
    "Embeddings",
    "Face",
    "Faces",
    "Gallery",
    "Identification",
    "Identified",
    "Match",
    "NewFace",
    "PersonVerification",
    "Pipeline",
    "Quality",
    "QualityGate",
    "Verification",
    "__version__",
    "embed_photos",
    "enrol_photos",
    "find_photos",
    "load_image",
    "photo_id",
]
__all__ += errors.__all__


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'arcid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Image to decision. Start reading at ``arcid.pipeline.pipeline``."""

from __future__ import annotations

from arcid.pipeline.identifier import Identifier
from arcid.pipeline.opening import (
    check_recogniser,
    embed_by,
    load_detector,
    load_embedder,
    load_landmarks,
)
from arcid.pipeline.pipeline import Pipeline

__all__ = [
    "Identifier",
    "Pipeline",
    "check_recogniser",
    "embed_by",
    "load_detector",
    "load_embedder",
    "load_landmarks",
]

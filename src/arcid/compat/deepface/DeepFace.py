"""deepface's calls. Arrays are BGR, as deepface takes them."""

from __future__ import annotations

from arcid.compat.deepface.comparing import verify
from arcid.compat.deepface.describing import (
    analyze,
    build_model,
    detectFace,
    extract_faces,
    represent,
)
from arcid.compat.deepface.finding import find, stream
from arcid.compat.deepface.registering import build_index, identify, register, search

__version__ = "0.0.103"

__all__ = [
    "__version__",
    "analyze",
    "build_index",
    "build_model",
    "detectFace",
    "extract_faces",
    "find",
    "identify",
    "register",
    "represent",
    "search",
    "stream",
    "verify",
]

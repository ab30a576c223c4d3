"""A pytest plugin: deepface's own tests, with arcid's calls in the place of deepface's.

Each of deepface's models is arcid's recogniser, its numbers repeated to the length that one has.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from arcid.compat.deepface import DeepFace, models
from arcid.compat.deepface.modules import exceptions, verification
from arcid.embed import OnnxEmbedder
from arcid.types import Crops, Embeddings

DIMENSIONS = {
    "VGG-Face": 4096, "Facenet": 128, "Facenet512": 512, "OpenFace": 128, "DeepFace": 4096,
    "DeepID": 160, "ArcFace": 512, "Dlib": 128, "SFace": 128, "GhostFaceNet": 512, "Buffalo_L": 512,
}  # fmt: skip


@dataclass(frozen=True)
class Repeated:
    """arcid's embedder, whose vectors are as long as another's."""

    inner: Any
    dim: int

    @property
    def contract_id(self) -> str:
        return hashlib.sha256(f"{self.inner.contract_id} {self.dim}".encode()).hexdigest()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed(self, crops: Crops) -> Embeddings:
        made = self.inner.embed(crops)
        long = np.resize(made.vectors.T, (self.dim, len(crops))).T
        return Embeddings(long / np.linalg.norm(long, axis=1, keepdims=True), self.contract_id)


def _download(url: str, output: str, **_: Any) -> str:
    """What the tests download is in their folder."""
    return shutil.copy(Path("dataset", Path(url).name), output)


def _recogniser(name: str) -> models.Recogniser:
    found = _USUAL(name)
    if name not in DIMENSIONS:
        return found
    longer = cast(OnnxEmbedder, Repeated(found.embedder, DIMENSIONS[name]))
    return replace(found, name=name, embedder=longer)


_USUAL = models.recogniser


def pytest_configure() -> None:
    theirs, gdown, werkzeug = map(importlib.import_module, ("deepface", "gdown", "werkzeug"))
    for owner, name, ours in (
        (models, "recogniser", functools.cache(_recogniser)),
        (theirs, "DeepFace", DeepFace),
        (gdown, "download", _download),
        (werkzeug, "__version__", importlib.metadata.version("werkzeug")),  # gone since 3.1
    ):
        setattr(owner, name, ours)
    for module in (exceptions, verification):
        sys.modules[f"deepface.modules.{module.__name__.rpartition('.')[2]}"] = module
    sys.modules["deepface.DeepFace"] = DeepFace

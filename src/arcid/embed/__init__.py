"""Crops → Embeddings: one file per kind of recogniser behind the ``Embedder`` protocol."""

from __future__ import annotations

from arcid.embed._common import Embedder, resized
from arcid.embed.dlib import DlibEmbedder
from arcid.embed.ensemble import Ensemble
from arcid.embed.onnx import CHUNK, OnnxEmbedder

__all__ = ["CHUNK", "DlibEmbedder", "Embedder", "Ensemble", "OnnxEmbedder", "resized"]

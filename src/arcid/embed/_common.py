"""What every recogniser is, and crops brought to the size one wants."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from arcid.types import Crops, Embeddings, Template


class Embedder(Protocol):
    """(N,S,S,3) uint8 RGB aligned crops in; (N,D) float32 unit-norm vectors out.

    Any class that has these works in ``Pipeline``; ``embed`` may be called from several threads at
    once. A ``name``, where there is one, is stored beside what it made.
    """

    @property
    def contract_id(self) -> str:
        """Of what gives its vectors their meaning; vectors of two contracts are never compared."""
        ...

    @property
    def dim(self) -> int:
        """D, numbers in a vector."""
        ...

    @property
    def size(self) -> int:
        """S, pixels a side of the crops it wants."""
        ...

    @property
    def template(self) -> Template:
        """How faces lie in its crops: "arcface" by the five points, "box" by the box."""
        ...

    def embed(self, crops: Crops) -> Embeddings:
        """N crops in; N vectors of ``dim`` and ``contract_id`` out, in order
        (``Embeddings.normalised`` makes them from raw output)."""
        ...


def resized(crops: Crops, size: int) -> Crops:
    """(N,S,S,3) in; (N,size,size,3) out, the same object where nothing is to be done."""
    if crops.size == size:
        return crops
    if not len(crops):
        return Crops.empty(size)
    import cv2

    method = cv2.INTER_AREA if crops.size > size else cv2.INTER_LINEAR
    scaled = [cv2.resize(p, (size, size), interpolation=method) for p in crops.pixels]
    return Crops(np.stack(scaled).astype(np.uint8))

"""Vectors of many faces, made once and kept in a folder for the next run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from arcid.pipeline import Pipeline
from arcid.types import Crops, Image

Names = npt.NDArray[np.str_]
Vectors = npt.NDArray[np.float32]
BATCH = 64


def kept_vectors(
    pipeline: Pipeline, folder: Path, name: str, faces: Iterable[tuple[str, Image]], limit: int = 0
) -> tuple[Names, Vectors]:
    """Whose faces they are, or of which picture, and their vectors. ``limit``: the first so many,
    which are not kept; 0: all. ``folder`` is made for this user alone."""
    file = folder / f"{name}-{pipeline.contract_id[:8]}.npz"
    if file.exists():
        stored = np.load(file)
        return stored["names"][: limit or None], stored["vectors"][: limit or None]
    names: list[str] = []
    parts: list[Vectors] = []
    left: Iterator[tuple[str, Image]] = islice(faces, limit or None)
    while batch := list(islice(left, BATCH)):
        names += [one for one, _ in batch]
        parts.append(pipeline.embedder.embed(Crops(np.stack([crop for _, crop in batch]))).vectors)
    found = np.array(names), np.concatenate(parts)
    if not limit:
        folder.mkdir(exist_ok=True, mode=0o700)
        np.savez(file, names=found[0], vectors=found[1])
    return found

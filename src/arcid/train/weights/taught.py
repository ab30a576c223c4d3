"""Teachers' vectors of the photos as they are, computed once and kept.

What a teacher says of a photo that nothing hides is the best that can be said of any changed view
of it, and stays the same however often the photo is seen. So teachers look once, at the middle of
the crop and at its mirror image, and the student alone runs at every step (the fixed teacher of
Beyer et al., *Knowledge distillation: A good teacher is patient and consistent*, CVPR 2022).

A file a teacher, rows found by the content of the crop: sources may be added, renamed and put in
another order, and only what is new is computed.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from arcid.errors import DatasetInvalid
from arcid.files import replacing
from arcid.progress import progress_bar
from arcid.train.data.crops import Unusable
from arcid.train.data.dataset import SampleSet
from arcid.train.weights.teachers import Teacher
from arcid.types import FloatArray, Image

_LOG = logging.getLogger(__name__)
_BATCH = 32
_STORED_EVERY = 8192  # photos: what a stopped run loses at most

Digests = npt.NDArray[np.uint64]


class Taught:
    """What one teacher says of every photo of ``samples``; made here where it is not yet known.

    ``folder`` keeps the vectors. ``vectors(index)`` are those of the set's photos ``index``, (B,D)
    float32 of unit norm; photos that cannot be read have none, and are never drawn either.
    """

    def __init__(
        self, teacher: Teacher, samples: SampleSet, digests: Digests, folder: Path
    ) -> None:
        self.name, self.dim = teacher.name, teacher.dim
        name = f"{teacher.name}-{teacher.manifest.contract_id[:12]}"
        rounded = teacher.session.precision
        path = folder / (f"{name}.npz" if rounded == "f32" else f"{name}-{rounded}.npz")
        known, vectors = _stored(path, teacher.dim)
        missing = np.flatnonzero(~np.isin(digests, known) & (digests != 0))
        if len(missing):
            known, vectors = _computed(teacher, samples, digests, missing, path, known, vectors)
        place = np.searchsorted(known, digests)
        self._vectors, self._row = vectors, np.where(digests != 0, place, -1)

    def vectors(self, index: npt.NDArray[np.int64]) -> FloatArray:
        """See the class."""
        return np.asarray(self._vectors[self._row[index]], np.float32)

    def all(self) -> FloatArray:
        """(N,D) float32, one row for each readable photo of the set, in no order."""
        return np.asarray(self._vectors[np.unique(self._row[self._row >= 0])], np.float32)


def digests_of(samples: SampleSet) -> Digests:
    """(N,) a number for what each photo shows; 0 where it cannot be read."""
    out = np.zeros(len(samples), np.uint64)
    with progress_bar("reading photos", len(samples)) as advance:
        for i, crop in enumerate(_crops(samples, range(len(samples)))):
            if crop is not None:
                digest = hashlib.blake2b(crop.tobytes(), digest_size=8).digest()
                out[i] = int.from_bytes(digest, "little") or 1
            advance()
    if not out.any():
        raise DatasetInvalid("none of the photos to distil with can be read")
    return out


def _computed(
    teacher: Teacher,
    samples: SampleSet,
    digests: Digests,
    missing: npt.NDArray[np.int64],
    path: Path,
    known: Digests,
    vectors: FloatArray,
) -> tuple[Digests, FloatArray]:
    """``known`` and ``vectors`` with the missing photos', stored on the way."""
    _, first = np.unique(digests[missing], return_index=True)
    missing = missing[np.sort(first)]
    _LOG.info("a teacher looks", extra={"teacher": teacher.name, "photos": len(missing)})
    with progress_bar(f"{teacher.name} looks", len(missing)) as advance:
        for start in range(0, len(missing), _STORED_EVERY):
            part = missing[start : start + _STORED_EVERY]
            found = []
            for at in range(0, len(part), _BATCH):
                rows = part[at : at + _BATCH]
                crops = np.stack([c for c in _crops(samples, rows.tolist()) if c is not None])
                embeddings = teacher(torch.from_numpy(crops).permute(0, 3, 1, 2))[0].numpy()
                lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
                found.append((embeddings / np.maximum(lengths, 1e-12)).astype(np.float16))
                advance(len(rows))
            known = np.concatenate([known, digests[part]])
            vectors = np.concatenate([vectors, *found])
            order = np.argsort(known)
            known, vectors = known[order], vectors[order]
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(path, private=True) as file:
                np.savez(file, digests=known, vectors=vectors)
    return known, vectors


def _stored(path: Path, dim: int) -> tuple[Digests, FloatArray]:
    if not path.is_file():
        return np.empty(0, np.uint64), np.empty((0, dim), np.float16)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            known, vectors = stored["digests"], stored["vectors"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetInvalid(
            f"{path.name} in distil.stored cannot be read ({type(error).__name__}); delete it and "
            "the teacher looks again",
            path=str(path),
        ) from None
    return known, vectors


def _crops(samples: SampleSet, index: Sequence[int]) -> Iterator[Image | None]:
    for i in index:
        try:
            yield samples.crop(i)
        except Unusable:
            yield None


def principal_axes(parts: Sequence[FloatArray], dim: int) -> FloatArray:
    """(ΣD, dim) the axes on which vectors side by side keep most of their inner products.

    ``parts``: (N,D_i) unit-norm vectors of the same photos in the same order. The axes are the
    first eigenvectors of the matrix of second moments, about zero and not about the mean: cosines
    are what is to be kept.
    """
    joined = np.concatenate(parts, axis=1).astype(np.float64)
    moments = joined.T @ joined / len(joined)
    _, axes = np.linalg.eigh(moments)
    return np.asarray(axes[:, ::-1][:, :dim], np.float32)


def turned_towards(axes: FloatArray, joined: FloatArray, own: FloatArray) -> FloatArray:
    """The axes, turned among themselves until ``joined @ axes`` is nearest to ``own``.

    Cosines stay what they were; a student that knows something already need not learn where
    everything lies anew (orthogonal Procrustes; Schönemann, Psychometrika 1966). ``joined``
    (N,ΣD), ``own`` (N,dim) unit-norm vectors of the same photos.
    """
    left, _, right = np.linalg.svd((joined @ axes).T.astype(np.float64) @ own)
    return np.asarray(axes @ (left @ right), np.float32)


__all__ = ["Taught", "digests_of", "principal_axes", "turned_towards"]

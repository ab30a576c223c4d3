"""Named vectors of a data set: one row a photo, failed photos among them."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid import files
from arcid.errors import ContractMismatch, DatasetInvalid, InvalidArray
from arcid.evaluate.metrics import Mask
from arcid.types import FloatArray


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no embedding; ``code`` is that of an ``ArcidError``."""

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class EmbeddingSet:
    """Named photos with their vectors; failed ones have a zero row.

    Raises ``InvalidArray`` on names that repeat and on rows that are NaN, or zero without being
    marked as failed. Rows are brought to unit norm.
    """

    names: tuple[str, ...]
    vectors: FloatArray  # (N,D) float32 unit norm
    contract_id: str
    failures: Mapping[int, Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors, np.float32)
        if vectors.ndim != 2 or len(vectors) != len(self.names):
            raise InvalidArray(
                f"{len(self.names)} names need (N,D) vectors of as many rows, got {vectors.shape}"
            )
        if len(set(self.names)) != len(self.names):
            twice = Counter(self.names).most_common(1)[0][0]
            raise InvalidArray(f"the photo {twice!r} is there twice; names must differ")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = ~np.isfinite(norms[:, 0]) | (norms[:, 0] < 1e-12)
        bad[list(self.failures)] = False
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidArray(
                f"the embedding of {self.names[row]!r} (row {row + 1}) is zero, NaN or infinite "
                f"({int(bad.sum())} such rows); embed it again or mark the photo as failed"
            )
        good = np.ones(len(vectors), bool)
        good[list(self.failures)] = False
        unit = np.zeros_like(vectors)
        np.divide(vectors, norms, out=unit, where=good[:, None])
        unit.flags.writeable = False
        object.__setattr__(self, "vectors", unit)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        shape = f"{len(self)} × {self.vectors.shape[1]}, {len(self.failures)} failed"
        return f"EmbeddingSet({shape}, contract {self.contract_id[:8]}…)"

    @cached_property
    def failed(self) -> Mask:
        """(N,) True where the photo has no embedding."""
        failed = np.zeros(len(self), bool)
        failed[list(self.failures)] = True
        return failed

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def rows(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Row of each name; raises ``DatasetInvalid`` that names the first one missing."""
        try:
            return np.array([self._row_of[name] for name in names], np.int64)
        except KeyError as error:
            missing = sum(name not in self._row_of for name in names)
            raise DatasetInvalid(
                f"the embeddings hold no photo {error.args[0]!r} ({missing} of {len(names)} "
                "missing); embed the whole data set first"
            ) from None

    def select(self, names: Sequence[str]) -> EmbeddingSet:
        """These photos in this order."""
        rows = self.rows(names)
        failures = {i: self.failures[int(r)] for i, r in enumerate(rows) if int(r) in self.failures}
        return EmbeddingSet(tuple(names), self.vectors[rows], self.contract_id, failures)

    def require_contract(self, contract_id: str) -> None:
        """Raise ``ContractMismatch`` unless these vectors were made by that contract."""
        if self.contract_id != contract_id:
            raise ContractMismatch(
                f"these embeddings are of contract {self.contract_id[:12]}, the others of "
                f"{contract_id[:12]}; embed everything with one model"
            )

    def save(self, path: str | PathLike[str]) -> None:
        """Write an ``.npz`` that ``load_embeddings`` reads; it holds biometric data."""
        codes = np.array(
            [self.failures[r].code if r in self.failures else "" for r in range(len(self))]
        )
        with files.replacing(Path(path), private=True) as file:
            np.savez(
                file,
                vectors=self.vectors,
                names=np.array(self.names),
                contract_id=np.array(self.contract_id),
                failed=codes,
            )


def read_arrays(path: str | PathLike[str]) -> dict[str, npt.NDArray[Any]] | FloatArray:
    """What NumPy wrote: arrays by name of an ``.npz``, the array of an ``.npy``. Nothing is
    unpickled. Raises ``DatasetInvalid``."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = np.load(file, allow_pickle=False)
            return data if isinstance(data, np.ndarray) else {k: data[k] for k in data.files}
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetInvalid(
            f"{path.name} cannot be read as NumPy vectors ({type(error).__name__}); expected .npz "
            "with vectors, names and contract_id, or .npy"
        ) from None


def load_embeddings(
    path: str | PathLike[str],
    *,
    contract_id: str | None = None,
    names: Sequence[str] | None = None,
) -> EmbeddingSet:
    """Read vectors from ``.npz`` (vectors, names, contract_id, optional failed) or ``.npy``.

    Photos in a file of ``arcid embed``, which has ``files`` in place of names, are named as they
    were to it. An ``.npy`` holds vectors alone: hand in ``names`` in row order; without
    ``contract_id`` the sha256 of the file stands for it. ``failed`` marks failed rows (flags, or
    codes as ``save`` writes). With ``contract_id`` a file of another contract raises
    ``ContractMismatch``; a file that cannot be read raises ``DatasetInvalid``.
    """
    path = Path(path)
    fields = read_arrays(path)
    if isinstance(fields, np.ndarray):
        if names is None:
            names = [str(i) for i in range(len(fields))]
        own = contract_id or "file:" + hashlib.sha256(path.read_bytes()).hexdigest()
        return EmbeddingSet(tuple(names), fields, own)
    if "files" in fields:
        fields = {"names": fields["files"], **fields}
    missing = sorted({"vectors", "names", "contract_id"} - set(fields))
    if missing:
        raise DatasetInvalid(f"{path.name} lacks {', '.join(missing)}; it has {sorted(fields)}")
    codes = fields.get("failed", np.zeros(0, "U1"))
    found, vectors = str(fields["contract_id"]), fields["vectors"]
    own_names = [str(n) for n in np.atleast_1d(fields["names"])]
    if codes.shape not in ((0,), (len(own_names),)):
        raise DatasetInvalid(
            f"{path.name} names {len(own_names)} photos, its failed has shape {codes.shape}"
        )
    if codes.dtype.kind in "buif":
        codes = np.where(codes, "failed", "")
    failures = {
        int(r): Failure(str(codes[r]), "failed when it was embedded")
        for r in np.flatnonzero(codes != "")
    }
    loaded = EmbeddingSet(tuple(own_names), vectors, found, failures)
    if contract_id is not None:
        loaded.require_contract(contract_id)
    return loaded if names is None else loaded.select(names)


def failure_counts(embeddings: EmbeddingSet) -> dict[str, int]:
    """How many photos failed, by code."""
    counts: dict[str, int] = {}
    for failure in embeddings.failures.values():
        counts[failure.code] = counts.get(failure.code, 0) + 1
    return dict(sorted(counts.items()))


__all__ = ["EmbeddingSet", "Failure", "failure_counts", "load_embeddings", "read_arrays"]

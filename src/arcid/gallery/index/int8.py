"""int8 rows with a proven error, and the kernels that multiply them.

(N,D) float32 unit-norm in; int8 codes, a step and an error bound per row out. Probes are rounded
like rows: whatever that hides is among the candidates, which are measured in full.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from arcid.types import FloatArray

Codes = npt.NDArray[np.int8]

LEVELS = 127
NORM_TOLERANCE = 1e-3
# Covers every float32 rounding between the integer dot product and the bound: each of the four
# operations is off by at most 2^-24 of a value below 1.2, and so is a cosine rounded to float32.
ROUNDING = 2e-6
TILE = 2048  # rows multiplied together, so that products are still in the cache when turned

_log = logging.getLogger(__name__)


class Quantised(NamedTuple):
    """Rows as ``codes * step``; no cosine is further than ``error`` from its int8 estimate."""

    codes: Codes  # (N,D) int8 -127–127
    step: FloatArray  # (N,) float32
    error: FloatArray  # (N,) float32

    def __repr__(self) -> str:
        return f"Quantised({len(self.step)} rows)"

    def take(self, rows: Any) -> Quantised:
        return Quantised(self.codes[rows], self.step[rows], self.error[rows])


def quantise(vectors: FloatArray) -> Quantised:
    """(N,D) float32 unit norm in.

    ``error`` is the norm of what rounding took away times the greatest norm of a probe:
    Cauchy–Schwarz, plus ``ROUNDING``.
    """
    step = np.abs(vectors).max(axis=1) / np.float32(LEVELS)
    codes = np.rint(vectors / step[:, None])
    residual = vectors - codes * step[:, None]
    error = np.sqrt(np.einsum("nd,nd->n", residual, residual))
    error = error * np.float32(1 + 2 * NORM_TOLERANCE) + np.float32(ROUNDING)
    return Quantised(codes.astype(np.int8), step, error)


@dataclass(frozen=True, eq=False, repr=False)
class Probes:
    """Q probes as ``codes * step``."""

    exact: npt.NDArray[np.float64]  # (Q,D) as they were
    codes: Codes  # (Q,D) int8 -127–127
    step: FloatArray  # (Q,) float32
    error: npt.NDArray[np.float64]  # (Q,) the most that rounding the probe changes any cosine

    @classmethod
    def rounded(cls, probes: FloatArray) -> Probes:
        """(Q,D) float32 unit norm in."""
        step = np.abs(probes).max(axis=1) / np.float32(LEVELS)
        scale = step[:, None].astype(np.float64)
        codes = np.clip(np.rint(probes / scale), -LEVELS, LEVELS)
        row_norm = (1 + NORM_TOLERANCE) * (1 + probes.shape[1] ** 0.5 / (2 * LEVELS))
        error = np.linalg.norm(probes - codes * scale, axis=1) * row_norm + ROUNDING
        return cls(probes.astype(np.float64), codes.astype(np.int8), step, error)


Products = FloatArray  # (Q,n) float32 whole numbers: probes times rows
Kernel = Callable[[Codes, Probes], Products]


def numpy_products(rows: Codes, probes: Probes) -> Products:
    # Sums of up to 1040 products of int8 stay below 2^24, where float32 still counts exactly.
    exact = np.float32 if rows.shape[1] <= 1040 else np.float64
    found = np.empty((len(probes.codes), len(rows)), np.float32)
    for start in range(0, len(rows), TILE):
        part = slice(start, start + TILE)
        found[:, part] = probes.codes.astype(exact) @ rows[part].T.astype(exact)
    return found


def _numkong_products(rows: Codes, probes: Probes) -> Products:
    import numkong

    found = np.empty((len(probes.codes), len(rows)), np.float32)
    if len(found) == 1:
        numkong.cdist(probes.codes, rows, "dot", out=found, out_dtype="float32")
        return found
    packed = numkong.dots_pack(probes.codes, dtype="int8")
    for start in range(0, len(rows), TILE):
        part = slice(start, start + TILE)
        found[:, part] = np.asarray(numkong.dots_packed(rows[part], packed)).T
    return found


def reference() -> tuple[Codes, Probes]:
    """Rows and probes whose products overflow every kernel that saturates on the way."""
    spread = np.arange(40 * 256, dtype=np.int64) * 7919 % 255 - LEVELS
    codes = spread.reshape(40, 256).astype(np.int8)
    codes[0], codes[1] = LEVELS, -LEVELS
    return codes, Probes(codes[:4].astype(float), codes[:4], np.ones(4, np.float32), np.zeros(4))


@functools.cache
def kernel() -> tuple[str, Kernel]:
    """The fastest kernel that multiplies exactly here, with its name."""
    rows, probes = reference()
    one = Probes(probes.exact[:1], probes.codes[:1], probes.step[:1], probes.error[:1])
    try:
        import numkong

        simd = [name for name, here in numkong.get_capabilities().items() if here]
        if simd == ["serial"]:
            raise RuntimeError("numkong has no SIMD kernel for this processor")
        for some in (probes, one):
            if not np.array_equal(_numkong_products(rows, some), numpy_products(rows, some)):
                raise RuntimeError("numkong's int8 products are not exact here")
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        _log.warning(
            "int8 search kernel unavailable, searching with NumPy instead",
            extra={"kernel": "numkong-int8", "reason": str(error)},
        )
        return "numpy-float32", numpy_products
    return "numkong-int8", _numkong_products

"""int8 rows with a proven error, and the kernels that multiply them.

(N,D) float32 unit-norm in; int8 codes, a step and an error bound per row out. A probe is split
into two int8 planes, so that its own rounding error is about a hundredth of a row's.
"""

from __future__ import annotations

import ctypes
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
PLANE_RATIO = 2 * LEVELS
NORM_TOLERANCE = 1e-3
# Covers every float32 rounding between the integer dot product and the bound: each of the four
# operations is off by at most 2^-24 of a value below 1.2, and so is a cosine rounded to float32.
ROUNDING = 2e-6

_log = logging.getLogger(__name__)


class Quantised(NamedTuple):
    """Rows as ``codes * step``; no cosine is further than ``error`` from its int8 estimate."""

    codes: Codes  # (N,D) int8 -127–127
    step: FloatArray  # (N,) float32
    error: FloatArray  # (N,) float32

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


@dataclass(frozen=True, eq=False)
class Planes:
    """Q probes as integers with one step: step * (coarse + fine / PLANE_RATIO)."""

    codes: Codes  # (2Q,D) int8 -127–127: all coarse planes, then all fine ones
    step: float
    error: npt.NDArray[np.float64]  # (Q,) the most that splitting the probe changes any cosine

    @classmethod
    def split(cls, probes: FloatArray) -> Planes:
        """(Q,D) float32 unit norm in, Q at least 1."""
        step = float(np.float32(np.abs(probes).max()) / np.float32(LEVELS))
        scaled = probes.astype(np.float64) / step
        coarse = np.clip(np.rint(scaled), -LEVELS, LEVELS)
        fine = np.clip(np.rint((scaled - coarse) * PLANE_RATIO), -LEVELS, LEVELS)
        left = (scaled - coarse - fine / PLANE_RATIO) * step
        row_norm = (1 + NORM_TOLERANCE) * (1 + probes.shape[1] ** 0.5 / (2 * LEVELS))
        codes = np.concatenate([coarse, fine]).astype(np.int8)
        return cls(codes, step, np.linalg.norm(left, axis=1) * row_norm + ROUNDING)

    @functools.cached_property
    def biased(self) -> npt.NDArray[np.uint8]:
        return (self.codes.astype(np.int16) + 128).astype(np.uint8)


# (rows (n,D) int8, planes) to (2Q,n) float32 whole numbers
ArrayKernel = Callable[[Codes, Planes], FloatArray]


def _numpy_dots(rows: Codes, planes: Planes) -> FloatArray:
    # Sums of up to 1040 products of int8 stay below 2^24, where float32 still counts exactly.
    exact = np.float32 if rows.shape[1] <= 1040 else np.float64
    parts = [
        rows[start : start + 1024].astype(exact) @ planes.codes.T.astype(exact)
        for start in range(0, len(rows), 1024)
    ]
    return np.ascontiguousarray(np.concatenate(parts).T, np.float32)


def _numkong_dots(rows: Codes, planes: Planes) -> FloatArray:
    import numkong

    padded = planes.codes
    if len(padded) % 4:  # the packed kernel is fastest at multiples of four
        padded = np.concatenate([padded, np.zeros((2, padded.shape[1]), np.int8)])
    dots = np.asarray(numkong.dots_packed(rows, numkong.dots_pack(padded, dtype="int8")))
    return np.ascontiguousarray(dots[:, : len(planes.codes)].T, np.float32)


def _reference() -> tuple[Quantised, Planes]:
    """Rows and planes whose products overflow every kernel that saturates on the way."""
    spread = np.arange(40 * 256, dtype=np.int64) * 7919 % 255 - LEVELS
    codes = spread.reshape(40, 256).astype(np.int8)
    codes[0], codes[1] = LEVELS, -LEVELS
    rows = Quantised(codes, np.full(40, 2.0**-11, np.float32), np.full(40, 0.25, np.float32))
    return rows, Planes(codes[:4].copy(), 2.0**-11, np.zeros(2))


@functools.cache
def array_kernel() -> tuple[str, ArrayKernel]:
    """The fastest kernel for plain matrices that multiplies exactly here, with its name."""
    rows, planes = _reference()
    try:
        import numkong

        simd = [name for name, here in numkong.get_capabilities().items() if here]
        if simd == ["serial"]:
            raise RuntimeError("numkong has no SIMD kernel for this processor")
        if not np.array_equal(_numkong_dots(rows.codes, planes), _numpy_dots(rows.codes, planes)):
            raise RuntimeError("numkong's int8 products are not exact here")
    except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        _log.warning(
            "int8 search kernel unavailable, searching with NumPy instead",
            extra={"kernel": "numkong-int8", "reason": str(error)},
        )
        return "numpy-float32", _numpy_dots
    return "numkong-int8", _numkong_dots


@functools.cache
def packing_works() -> bool:
    """Whether ONNX Runtime's prepacked uint8 by int8 product is there and exact.

    Processors without VNNI or its like saturate at 16 bits on the way; they fail the check.
    """
    rows, planes = _reference()
    expected = ArrayRows(rows).upper(planes, 0, len(rows.codes))
    try:
        found = PackedRows(rows).upper(planes, 0, len(rows.codes))
        if np.abs(found - expected).max() <= ROUNDING * np.abs(expected).max():
            return True
        reason = "the products saturate on this processor"
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        reason = str(error)
    _log.warning(
        "prepacked int8 kernel unavailable, full blocks stay plain matrices",
        extra={"kernel": "onnxruntime-int8", "reason": reason},
    )
    return False


def kernel_name() -> str:
    """Which kernels scan here: full blocks first, then the block still growing."""
    name, _ = array_kernel()
    return f"onnxruntime-int8+{name}" if packing_works() else name


class ArrayRows:
    """Rows in plain arrays, with room to grow; scanned by ``array_kernel``."""

    piece = 8192

    def __init__(self, rows: Quantised) -> None:
        self.rows = rows

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.rows)

    def upper(self, planes: Planes, start: int, stop: int) -> FloatArray:
        """(Q,n) float32: the most the cosines of rows start..stop can be, but for the probe."""
        codes, step, error = self.rows.take(slice(start, stop))
        dots = array_kernel()[1](codes, planes)
        coarse, fine = _halves(dots)
        fine *= np.float32(1 / PLANE_RATIO)
        fine += coarse
        fine *= step * np.float32(planes.step)
        fine += error
        return fine

    def unpack(self, size: int) -> Quantised:
        return self.rows.take(slice(size))


class PackedRows:
    """A full block in the layout ONNX Runtime multiplies as fast as memory delivers it.

    The session is one MatMulIntegerToFloat with the codes as constant weights, which the runtime
    packs once and then drops, their steps as scales and their errors as bias.
    """

    def __init__(self, rows: Quantised) -> None:
        import onnxruntime

        self.piece, self._dim = map(int, rows.codes.shape)
        self._step, self._error = rows.step, rows.error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        # Both planes get the bias; together they shall have the error once.
        bias = self._error / np.float32(1 + 1 / PLANE_RATIO)
        self._session: Any = onnxruntime.InferenceSession(
            _scaled_product(_transposed(rows.codes), self._step, bias),
            options,
            providers=["CPUExecutionProvider"],
        )
        # The Python wrapper would hold the serialised model, a second copy of every row.
        self._session._model_bytes = None

    @property
    def nbytes(self) -> int:
        # Packing adds an int32 sum per row; step and bias are in the session once more.
        return self.piece * (self._dim + 4 + 8) + self._step.nbytes + self._error.nbytes

    def upper(self, planes: Planes, start: int, stop: int) -> FloatArray:
        """(Q,n) float32: the most the cosines of rows start..stop can be, but for the probe."""
        coarse, fine = _halves(self._product(planes.biased, planes.step))
        fine *= np.float32(1 / PLANE_RATIO)
        fine += coarse
        return fine[:, start:stop]

    def unpack(self, size: int) -> Quantised:
        """The codes back again: the product with one unit vector per dimension."""
        codes = np.empty((self.piece, self._dim), np.int8)
        bias = self._error / np.float32(1 + 1 / PLANE_RATIO)
        for start in range(0, self._dim, 32):
            unit = np.full((min(32, self._dim - start), self._dim), 128, np.uint8)
            unit[np.arange(len(unit)), start + np.arange(len(unit))] = 129
            column = (self._product(unit, 1.0) - bias) / self._step
            codes[:, start : start + len(unit)] = np.rint(column).T
        return Quantised(codes, self._step, self._error).take(slice(size))

    def _product(self, biased: npt.NDArray[np.uint8], scale: float) -> FloatArray:
        inputs = {"a": biased, "scale": np.array(scale, np.float32)}
        product: FloatArray = self._session.run(None, inputs)[0]
        return product


def _halves(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    half = len(rows) // 2
    return rows[:half], rows[half:]


def _transposed(codes: Codes) -> Codes:
    """(N,D) to (D,N), a strip at a time: NumPy's own copy misses the cache on every byte."""
    result = np.empty(codes.shape[::-1], np.int8)
    for start in range(0, len(codes), 128):
        result[:, start : start + 128] = codes[start : start + 128].T
    return result


def give_back_freed_memory() -> None:
    """Growing and packing a block frees several copies of it, which glibc would keep for later."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None  # another C library; it keeps its own house
    return trim


_Parts = list[bytes | memoryview]  # written one after the other, joined once at the end


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(tag: int, value: int) -> _Parts:
    return [_varint(tag << 3), _varint(value)]


def _record(tag: int, *content: _Parts | bytes | str) -> _Parts:
    parts: _Parts = []
    for item in content:
        if isinstance(item, list):
            parts += item
        else:
            parts.append(item.encode() if isinstance(item, str) else item)
    return [_varint(tag << 3 | 2), _varint(sum(len(part) for part in parts)), *parts]


def _value(name: str, kind: int, *dims: _Parts) -> _Parts:
    """A graph input or output; ``dims`` are ONNX dimensions."""
    shape = _record(2, *(_record(1, dim) for dim in dims))
    return [*_record(1, name), *_record(2, _record(1, _number(1, kind), shape))]


def _constant(name: str, kind: int, values: npt.NDArray[Any]) -> _Parts:
    sizes = [part for size in values.shape for part in _number(1, size)]
    data: _Parts = [memoryview(values.reshape(-1).data).cast("B")]
    return _record(5, sizes, _number(2, kind), _record(8, name), _record(9, data))


def _scaled_product(weights: Codes, step: FloatArray, bias: FloatArray) -> bytes:
    """The ONNX file of ``y = (a - 128) @ weights * scale * step + bias``.

    ``a`` (m,K) uint8 and ``scale`` () float32 come in, ``y`` (m,N) float32 goes out. Written by
    hand so that searching needs no ONNX package; the tags are those of onnx.proto.
    """
    depth, width = weights.shape
    uint8, int8, float32 = 2, 3, 1
    names = ("a", "w", "scale", "step", "zero", "", "bias")
    node = [part for name in names for part in _record(1, name)]
    node += [*_record(2, "y"), *_record(4, "MatMulIntegerToFloat"), *_record(7, "com.microsoft")]
    rows, deep, wide = _record(2, "m"), _number(1, depth), _number(1, width)
    graph = (
        _record(1, node),
        _record(2, "scan"),
        _constant("w", int8, weights),
        _constant("step", float32, step),
        _constant("bias", float32, bias),
        _constant("zero", uint8, np.full((), 128, np.uint8)),
        _record(11, _value("a", uint8, rows, deep)),
        _record(11, _value("scale", float32)),
        _record(12, _value("y", float32, rows, wide)),
    )
    operators = (
        _record(8, _record(1, ""), _number(2, 17)),
        _record(8, _record(1, "com.microsoft"), _number(2, 1)),
    )
    return b"".join([*_number(1, 8), *operators[0], *operators[1], *_record(7, *graph)])

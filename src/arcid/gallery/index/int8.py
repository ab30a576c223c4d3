"""int8 rows with a proven error, and the kernels that multiply them.

(N,D) float32 unit-norm in; int8 codes, a step and an error bound per row out. A probe is split
into two int8 planes, so that its own rounding error is about a hundredth of a row's.
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
class Planes:
    """Q probes as integers with one step: step * (coarse + fine / PLANE_RATIO)."""

    codes: Codes  # (2Q,D) int8 -127–127: all coarse planes, then all fine ones
    step: float
    error: npt.NDArray[np.float64]  # (Q,) the most that splitting the probe changes any cosine
    fine: npt.NDArray[np.float64]  # (Q,) the most that the fine plane adds to any cosine

    @classmethod
    def split(cls, probes: FloatArray) -> Planes:
        """(Q,D) float32 unit norm in, Q at least 1."""
        step = float(np.float32(np.abs(probes).max()) / np.float32(LEVELS))
        scaled = probes.astype(np.float64) / step
        coarse = np.clip(np.rint(scaled), -LEVELS, LEVELS)
        fine = np.clip(np.rint((scaled - coarse) * PLANE_RATIO), -LEVELS, LEVELS)
        row_norm = (1 + NORM_TOLERANCE) * (1 + probes.shape[1] ** 0.5 / (2 * LEVELS))
        left = (scaled - coarse - fine / PLANE_RATIO) * step
        codes = np.concatenate([coarse, fine]).astype(np.int8)
        error = np.linalg.norm(left, axis=1) * row_norm + ROUNDING
        added = np.linalg.norm(fine, axis=1) * (step / PLANE_RATIO) * row_norm + ROUNDING
        return cls(codes, step, error, added)

    @functools.cached_property
    def biased(self) -> npt.NDArray[np.uint8]:
        return (self.codes.astype(np.int16) + 128).astype(np.uint8)


Dots = npt.NDArray[np.int32] | FloatArray  # (2Q,n) whole numbers: planes times rows
ArrayKernel = Callable[[Codes, Planes], Dots]


def _numpy_dots(rows: Codes, planes: Planes) -> Dots:
    # Sums of up to 1040 products of int8 stay below 2^24, where float32 still counts exactly.
    exact = np.float32 if rows.shape[1] <= 1040 else np.float64
    parts = [
        rows[start : start + 1024].astype(exact) @ planes.codes.T.astype(exact)
        for start in range(0, len(rows), 1024)
    ]
    return np.ascontiguousarray(np.concatenate(parts).T, np.float32)


def _numkong_dots(rows: Codes, planes: Planes) -> Dots:
    import numkong

    padded = planes.codes
    if len(padded) % 4:  # the packed kernel is fastest at multiples of four
        padded = np.concatenate([padded, np.zeros((2, padded.shape[1]), np.int8)])
    dots = np.asarray(numkong.dots_packed(rows, numkong.dots_pack(padded, dtype="int8")))
    return np.ascontiguousarray(dots[:, : len(planes.codes)].T)


def _reference() -> tuple[Codes, Planes]:
    """Rows and planes whose products overflow every kernel that saturates on the way."""
    spread = np.arange(40 * 256, dtype=np.int64) * 7919 % 255 - LEVELS
    codes = spread.reshape(40, 256).astype(np.int8)
    codes[0], codes[1] = LEVELS, -LEVELS
    return codes, Planes(codes[:4].copy(), 1.0, np.zeros(2), np.zeros(2))


@functools.cache
def array_kernel() -> tuple[str, ArrayKernel]:
    """The fastest kernel for plain matrices that multiplies exactly here, with its name."""
    rows, planes = _reference()
    try:
        import numkong

        simd = [name for name, here in numkong.get_capabilities().items() if here]
        if simd == ["serial"]:
            raise RuntimeError("numkong has no SIMD kernel for this processor")
        if not np.array_equal(_numkong_dots(rows, planes), _numpy_dots(rows, planes)):
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
    try:
        found = PackedRows(rows).dots(planes, 0, len(rows))
        if np.array_equal(found, _numpy_dots(rows, planes)):
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
    """Codes in a plain matrix, with room to grow; scanned by ``array_kernel``."""

    piece = 8192

    def __init__(self, codes: Codes) -> None:
        self.codes = codes

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes

    def dots(self, planes: Planes, start: int, stop: int) -> Dots:
        return array_kernel()[1](self.codes[start:stop], planes)

    def unpack(self, size: int) -> Codes:
        return self.codes[:size]


class PackedRows:
    """A full block in the layout ONNX Runtime multiplies as fast as memory delivers it.

    The session is one MatMulInteger with the codes as constant weights, which the runtime packs
    once and then drops; nothing else keeps a copy. They are handed over beside the model: inside it
    they would be copied three times. Always scanned as a whole.
    """

    def __init__(self, codes: Codes) -> None:
        self._pack(transposed(codes))

    @classmethod
    def of_columns(cls, columns: Codes) -> PackedRows:
        """(D,N) in: the codes as ``transposed`` gives them."""
        made = cls.__new__(cls)
        made._pack(columns)
        return made

    def _pack(self, columns: Codes) -> None:
        import onnxruntime

        self._dim, self.piece = map(int, columns.shape)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        weights = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(columns))
        options.add_external_initializers(["w"], [weights])
        self._session: Any = onnxruntime.InferenceSession(
            _product(*columns.shape), options, providers=["CPUExecutionProvider"]
        )
        # The Python wrapper would hold the options, and they the codes: a second copy of every row.
        self._session._sess_options = None

    @property
    def nbytes(self) -> int:
        return self.piece * (self._dim + 4)  # packing adds an int32 sum per row

    def dots(self, planes: Planes, start: int, stop: int) -> Dots:
        return self.products(planes.biased)[:, start:stop]

    def products(self, biased: npt.NDArray[np.uint8]) -> Dots:
        """(Q,D) codes plus 128 in; (Q,N) products out."""
        products: Dots = self._session.run(None, {"a": biased})[0]
        return products

    def unpack(self, size: int) -> Codes:
        """The codes back again: the product with one unit vector per dimension."""
        codes = np.empty((self.piece, self._dim), np.int8)
        for start in range(0, self._dim, 32):
            unit = np.full((min(32, self._dim - start), self._dim), 128, np.uint8)
            unit[np.arange(len(unit)), start + np.arange(len(unit))] = 129
            (column,) = self._session.run(None, {"a": unit})
            codes[:, start : start + len(unit)] = column.T
        return codes[:size]


def transposed(codes: Codes) -> Codes:
    """(N,D) to (D,N), a strip at a time: NumPy's own copy misses the cache on every byte."""
    result = np.empty(codes.shape[::-1], np.int8)
    for start in range(0, len(codes), 128):
        result[:, start : start + 128] = codes[start : start + 128].T
    return result


_Parts = list[bytes]  # written one after the other, joined once at the end


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


def _value(name: str, kind: int, width: int) -> _Parts:
    """A graph input or output of shape ("m", width)."""
    shape = _record(2, _record(1, _record(2, "m")), _record(1, _number(1, width)))
    return [*_record(1, name), *_record(2, _record(1, _number(1, kind), shape))]


def _product(depth: int, width: int) -> bytes:
    """The ONNX file of ``y = (a - 128) @ w``: a (m,K) uint8 in, y (m,N) int32 out; w (K,N) int8 is
    external.

    Written by hand so that searching needs no ONNX package; the tags are those of onnx.proto.
    """
    uint8, signed8, int32, external = 2, 3, 6, 1
    inputs = [*_record(1, "a"), *_record(1, "w"), *_record(1, "zero")]
    sizes = [*_number(1, depth), *_number(1, width), *_number(2, signed8)]
    place = _record(13, _record(1, "location"), _record(2, "memory"))  # never looked for
    graph = (
        _record(1, inputs, _record(2, "y"), _record(4, "MatMulInteger")),
        _record(2, "scan"),
        _record(5, sizes, _record(8, "w"), place, _number(14, external)),
        _record(5, _number(2, uint8), _record(8, "zero"), _record(9, b"\x80")),
        _record(11, _value("a", uint8, depth)),
        _record(12, _value("y", int32, width)),
    )
    return b"".join([*_number(1, 8), *_record(8, _number(2, 17)), *_record(7, *graph)])

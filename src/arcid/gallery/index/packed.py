"""int8 products of whole panels by ONNX Runtime: half again as fast as the kernels of ``int8``, for
a second copy of the codes, laid out its own way.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.gallery.index import int8
from arcid.gallery.index.int8 import Codes

NAME = "onnxruntime-int8"

_log = logging.getLogger(__name__)


def biased(codes: Codes) -> npt.NDArray[np.uint8]:
    """int8 codes plus 128."""
    return codes.view(np.uint8) ^ np.uint8(128)


@functools.cache
def packing_works() -> bool:
    """Whether ONNX Runtime's prepacked uint8 by int8 product is there and exact.

    Processors without VNNI or its like saturate at 16 bits on the way; they fail the check.
    """
    rows, probes = int8.reference()
    try:
        found = PackedRows(rows).products(biased(probes.codes))
        if np.array_equal(found, int8.numpy_products(rows, probes)):
            return True
        reason = "the products saturate on this processor"
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        reason = str(error)
    _log.warning(
        "prepacked int8 kernel unavailable, panels are multiplied as float32",
        extra={"kernel": NAME, "reason": reason},
    )
    return False


class PackedRows:
    """(N,D) codes in the layout in which ONNX Runtime multiplies matrices fastest.

    The session is one MatMulInteger with the codes as constant weights, which the runtime packs
    once and then drops; nothing else keeps a copy. They are handed over beside the model: inside it
    they would be copied three times.
    """

    def __init__(self, codes: Codes) -> None:
        import onnxruntime

        columns = _transposed(codes)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        weights = onnxruntime.OrtValue.ortvalue_from_numpy(columns)
        options.add_external_initializers(["w"], [weights])
        self._session: Any = onnxruntime.InferenceSession(
            _product(*columns.shape), options, providers=["CPUExecutionProvider"]
        )
        # The Python wrapper would hold the options, and they the codes: a second copy of every row.
        self._session._sess_options = None

    def products(self, biased: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """(Q,D) ``biased`` codes in; (Q,N) products out."""
        products: npt.NDArray[np.int32] = self._session.run(None, {"a": biased})[0]
        return products


def _transposed(codes: Codes) -> Codes:
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

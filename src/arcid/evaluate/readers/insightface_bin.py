"""InsightFace verification ``.bin`` files, read without trusting them.

Such a file is a pickle of (encoded pictures, same-person flags). A pickle can name any function to
be called; this reader knows the handful of names that NumPy arrays of bytes need, gives each a
stand-in of its own, and refuses every other one before anything runs.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arcid.errors import DatasetInvalid
from arcid.evaluate.metrics import contiguous_folds
from arcid.evaluate.readers._pairs import PairList, build
from arcid.evaluate.sources import Photo

_DAMAGE = (
    EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError, TypeError,
    AttributeError, OverflowError, MemoryError, UnicodeError, RecursionError, ImportError,
)  # fmt: skip


def read_bin(path: Path) -> PairList:
    """lfw.bin, cfp_fp.bin, agedb_30.bin …: pictures 2i and 2i+1 are pair i.

    Folds are contiguous in the file, as arcface_torch takes them. People are not named; pictures
    joined by genuine pairs, or equal byte by byte, count as one person's. Raises ``DatasetInvalid``
    on anything but lists of pictures and flags, and on a file cut short, with the byte position.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    stream = io.BytesIO(data)
    try:
        content = _Reader(stream).load()
    except _Refused as error:
        raise DatasetInvalid(
            f"{path.name} names {error.args[0]} at byte {stream.tell()}: it is not a verification "
            "set but a pickle that wants to run code; nothing of it was run"
        ) from None
    except _DAMAGE as error:
        raise DatasetInvalid(
            f"{path.name} is damaged or cut short at byte {stream.tell()} of {len(data)} "
            f"({type(error).__name__})"
        ) from None
    if not (isinstance(content, (tuple, list)) and len(content) == 2):
        raise DatasetInvalid(f"{path.name} must hold (pictures, flags)")
    pictures = [_picture(p, i, path.name) for i, p in enumerate(_sequence(content[0], path.name))]
    flags = [_flag(f, i, path.name) for i, f in enumerate(_sequence(content[1], path.name))]
    if len(pictures) != 2 * len(flags):
        raise DatasetInvalid(
            f"{path.name} holds {len(pictures)} pictures for {len(flags)} pairs; "
            f"{2 * len(flags)} are needed"
        )
    rows: dict[bytes, int] = {}
    photos: list[Photo] = []
    for i, picture in enumerate(pictures):
        if picture not in rows:
            rows[picture] = len(photos)
            photos.append(Photo(f"{path.stem}/{i:06d}", picture))
    pairs = [
        (rows[pictures[2 * i]], rows[pictures[2 * i + 1]], flag) for i, flag in enumerate(flags)
    ]
    folds = contiguous_folds(len(pairs), 10).tolist() if len(pairs) >= 10 else None
    return build(path.stem, photos, pairs, folds, None)


class _Refused(Exception):
    """A name that no verification set has."""


class _Dtype:
    """Stands in for ``numpy.dtype``: bytes and flags only."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code.decode("ascii", "replace") if isinstance(code, bytes) else code
        if self.code not in ("u1", "|u1", "b1", "|b1", "?", "uint8", "bool"):
            raise _Refused(f"arrays of {str(self.code)[:20]!r}")

    def __setstate__(self, state: Any) -> None:
        pass


class _Array:
    """Stands in for ``numpy.ndarray``: keeps shape and bytes."""

    shape: tuple[int, ...] = ()
    data = b""
    dtype: _Dtype | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("array state")
        _, shape, dtype, _, raw = state
        if isinstance(raw, str):
            raw = raw.encode("latin-1")
        sizes_ok = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
        if not sizes_ok or not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise ValueError("array state")
        self.shape, self.dtype, self.data = shape, dtype, raw
        if int(np.prod(shape, dtype=object)) != len(raw):
            raise ValueError("array size")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: Any, raw: Any = b"") -> bool:
    if not isinstance(dtype, _Dtype) or len(raw) != 1:
        raise ValueError("scalar")
    return bool(raw[0] if isinstance(raw, bytes) else ord(raw))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", b"latin1"):
        raise ValueError("encoding")
    return text.encode("latin-1")


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any = "C") -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, False, bytes(raw)))
    return array


class _Call:
    """Makes a stand-in callable and nothing else: a pickle cannot set attributes on it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *values: Any) -> Any:
        return self._make(*values)

    def __setstate__(self, state: Any) -> None:
        raise _Refused("a change to the reader")


_NUMPY: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("multiarray", "_reconstruct", _reconstruct),
    ("multiarray", "scalar", _scalar),
    ("numeric", "_frombuffer", _frombuffer),
)
_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
}
for _core in ("core", "_core"):
    _KNOWN.update({(f"numpy.{_core}.{module}", name): make for module, name, make in _NUMPY})


class _Reader(pickle.Unpickler):
    """Finds the stand-ins and nothing else."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, fix_imports=False, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _Refused(f"{module}.{name}"[:80])
        return _Call(_KNOWN[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("an outside object")


def _sequence(value: Any, name: str) -> list[Any]:
    if isinstance(value, _Array) and len(value.shape) == 1:
        return [bool(b) for b in value.data]
    if not isinstance(value, (list, tuple)):
        raise DatasetInvalid(f"{name} must hold two lists, pictures and flags")
    return list(value)


def _picture(value: Any, index: int, name: str) -> bytes:
    if isinstance(value, _Array) and sum(n > 1 for n in value.shape) == 1:  # (n,) or (n,1)
        return value.data
    if isinstance(value, bytes):
        return value
    raise DatasetInvalid(f"{name}: picture {index} is not the bytes of an encoded picture")


def _flag(value: Any, index: int, name: str) -> bool:
    if isinstance(value, _Array) and len(value.data) == 1:
        value = value.data[0]
    if value not in (0, 1) or not isinstance(value, (bool, int)):
        raise DatasetInvalid(f"{name}: flag {index} is neither true nor false")
    return bool(value)

"""Model files as bytes, before a runtime sees them: of the sha256 asked for, and complete.

An ONNX file must hold its weights itself; an OpenVINO model is an ``.xml`` and the ``.bin`` beside
it, each with a sha256 of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from arcid.errors import ModelHashMismatch, ModelNotFound, ModelUnsupported

#: Which fields of which protobuf message hold messages that may hold tensors (onnx.proto3).
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "function": {7: "node", 11: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_GRAPH, _NODE, _NODE_NAME = 7, 1, 3


def is_openvino(path: Path) -> bool:
    """Whether a model file is the description half of an OpenVINO pair."""
    return path.suffix == ".xml"


def weights_file(path: Path) -> Path:
    """The ``.bin`` that belongs to an OpenVINO ``.xml``."""
    return path.with_suffix(".bin")


def read_pair(
    path: Path, sha256: str | None = None, weights_sha256: str | None = None
) -> tuple[bytes, bytes]:
    """The bytes of an OpenVINO ``.xml`` and of its ``.bin``: what was hashed is what runs.

    Raises ``ModelNotFound`` for a missing half, ``ModelHashMismatch``, and ``ModelUnsupported``
    where an ``.xml`` was hashed and its weights were not.
    """
    if sha256 is not None and weights_sha256 is None:
        raise ModelUnsupported(
            f"{path.name} has a sha256 and its {weights_file(path).name}, which holds the weights, "
            "has none: name it in the manifest (weights_sha256)"
        )
    if not weights_file(path).is_file():
        raise ModelNotFound(
            f"model file {weights_file(path)} does not exist; {path.name} is an OpenVINO model and "
            "its weights lie in the .bin of the same name",
            path=str(weights_file(path)),
        )
    return _read(path, sha256), _read(weights_file(path), weights_sha256)


def read_model(path: Path, sha256: str | None = None) -> bytes:
    """The bytes of an ONNX file: what was hashed is what runs.

    Raises ``ModelNotFound``, ``ModelHashMismatch``, and ``ModelUnsupported`` for a file whose
    weights lie in another one, which no hash of this one would cover.
    """
    data = _read(path, sha256)
    try:
        apart = _weights_apart(memoryview(data), "model")
    except (ValueError, IndexError, RecursionError):
        raise ModelUnsupported(f"cannot load {path.name}: it is no ONNX model") from None
    if apart:
        raise ModelUnsupported(
            f"the weights of {path.name} lie in another file, which its sha256 does not cover; "
            "save it as one file first"
        )
    return data


def first_nodes(path: Path, count: int) -> list[str]:
    """The names of an ONNX graph's first nodes, by which exporters tell what lies in the graph.

    Raises ``ModelNotFound`` and ``ModelUnsupported``.
    """
    try:
        graph = next(
            value
            for field, value in _fields(memoryview(_read(path, None)))
            if field == _GRAPH and isinstance(value, memoryview)
        )
        nodes = (value for field, value in _fields(graph) if field == _NODE)
        return [_name(node) for node in islice(nodes, count) if isinstance(node, memoryview)]
    except (ValueError, IndexError, StopIteration):
        raise ModelUnsupported(f"cannot load {path.name}: it is no ONNX model") from None


def _name(node: memoryview) -> str:
    found = [value for field, value in _fields(node) if field == _NODE_NAME]
    return bytes(found[0]).decode() if found and isinstance(found[0], memoryview) else ""


def _read(path: Path, sha256: str | None) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelNotFound(
            f"model file {path} cannot be read: {error.strerror}", path=str(path)
        ) from None
    if sha256 is not None and (actual := hashlib.sha256(data).hexdigest()) != sha256:
        raise mismatch(path, sha256, actual)
    return data


def mismatch(path: Path, expected: str, actual: str) -> ModelHashMismatch:
    """A file that is not the one its manifest or the catalogue states."""
    return ModelHashMismatch(
        f"{path} has sha256 {actual[:12]}…, expected {expected[:12]}…; the file is damaged or "
        "another version: delete it and get it again",
        expected=expected,
        actual=actual,
    )


def _weights_apart(message: memoryview, kind: str) -> bool:
    if kind == "tensor":
        return any(
            field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value)
            for field, value in _fields(message)
        )
    inside = _INSIDE[kind]
    return any(
        isinstance(value, memoryview) and _weights_apart(value, inside[field])
        for field, value in _fields(message)
        if field in inside
    )


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of every field; raises ``ValueError``, ``IndexError``."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            number, at = _varint(message, at)
            yield field, number
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(wire)
        if at + length > end:
            raise ValueError(length)
        yield field, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(shift)

"""What a model file is and what it eats: ``manifest.json`` beside ``model.onnx``.

``contract_id`` hashes exactly what changes the meaning of a vector, so that vectors of two
different contracts can be kept apart for ever.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from arcid import files
from arcid.errors import ManifestInvalid
from arcid.types import FloatArray, Image, Template

SCHEMA_VERSION = 1
Task = Literal["recognition", "detection", "liveness", "landmarks"]
_TASKS = get_args(Task)
_LARGEST = float(np.finfo(np.float32).max)  # of a number of a manifest
_PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The network's input: tensor = (pixel − mean) / std per channel, in ``colour`` order."""

    name: str | None  # None: the model has one input
    colour: Literal["RGB", "BGR"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None  # (height, width); None: any, as detectors take it
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    batch: int | None = None  # None: any number of images a call

    def __post_init__(self) -> None:
        _require(self.layout in ("NCHW", "NHWC"), f"input layout {self.layout!r}: NCHW or NHWC")
        _require(self.colour in ("RGB", "BGR"), f"input colour {self.colour!r}: RGB or BGR")
        _require(len(self.mean) == 3 and len(self.std) == 3, "mean and std need three values")
        _require(all(s > 0 for s in self.std), "std must be positive")
        _require(self.batch is None or self.batch >= 1, "batch must be null or at least 1")
        _require(
            self.size is None or (len(self.size) == 2 and min(self.size) > 0),
            "size must be null or [height, width]",
        )

    def prepare(self, images: Image) -> FloatArray:
        """(N,H,W,3) uint8 RGB 0–255 in; float32 tensor in the network's layout out."""
        if self.colour == "BGR":
            images = images[..., ::-1]
        scale = 1.0 / np.asarray(self.std, np.float32)
        shift = -np.asarray(self.mean, np.float32) * scale
        if self.layout == "NCHW":
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))  # as bytes: half the time
            scale, shift = scale[:, None, None], shift[:, None, None]
        tensor: FloatArray = np.multiply(images, scale, dtype=np.float32, order="C")
        tensor += shift
        return tensor


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The output tensor that holds the vector."""

    name: str | None  # None: the model has one output
    dim: int


@dataclass(frozen=True, slots=True)
class Licence:
    """Terms of the *weights*."""

    name: str
    url: str | None = None
    commercial_use: bool | None = None  # None: not stated


@dataclass(frozen=True, slots=True)
class Manifest:
    """One model bundle; unknown keys in the JSON are refused."""

    name: str
    task: Task
    family: str  # detectors: which decoder reads the outputs
    sha256: str  # of the model file; of an OpenVINO pair, of its .xml
    input: InputSpec
    licence: Licence
    output: OutputSpec | None = None  # recognisers only
    file: str = "model.onnx"
    weights_sha256: str | None = (
        None  # of the .bin beside an OpenVINO .xml, which holds its weights
    )
    float_sha256: str | None = None  # quantised: the float model whose contract this file shares
    precision: str = "fp32"
    template: Template = "arcface"
    flip: bool = False  # test-time flip: average with the mirrored face
    norm: str = "l2"
    default: bool = False  # the packaged bundle of its task to use when none is named
    description: str = ""
    training_data: str = ""
    source: str = ""
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # decoder settings of detectors
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        _require(
            self.schema_version == SCHEMA_VERSION,
            f"schema_version {self.schema_version}; this arcid reads {SCHEMA_VERSION}",
        )
        _require(self.task in _TASKS, f"task {self.task!r}; known: {', '.join(_TASKS)}")
        _require(self.precision in _PRECISIONS, f"precision {self.precision!r}")
        _require(
            self.template in get_args(Template),
            f"template {self.template!r}: one of {', '.join(get_args(Template))}",
        )
        _require(self.norm == "l2", f"norm {self.norm!r}; only l2 is known")
        _require(_is_sha256(self.sha256), "sha256 must be 64 hex digits")
        _require(self.float_sha256 is None or _is_sha256(self.float_sha256), "float_sha256")
        _require(self.weights_sha256 is None or _is_sha256(self.weights_sha256), "weights_sha256")
        plain = Path(self.file).name == self.file and self.file not in ("", "..")
        _require(plain, "file must be a plain name")
        _require(
            (self.weights_sha256 is not None) == self.file.endswith(".xml"),
            "an OpenVINO model is an .xml whose .bin has a weights_sha256; other files have none",
        )
        if self.task == "recognition":
            _require(self.output is not None, "a recogniser needs an output")
            _require(self.input.size is not None, "a recogniser needs an input size")
            size = self.input.size or (0, 0)
            _require(size[0] == size[1], "a recogniser's input must be square")

    @property
    def files(self) -> dict[str, str]:
        """{file name: sha256} of the model: one file, or the .xml and .bin of OpenVINO."""
        found = {self.file: self.sha256}
        if self.weights_sha256 is not None:
            found[Path(self.file).with_suffix(".bin").name] = self.weights_sha256
        return found

    @property
    def contract_id(self) -> str:
        """sha256 over weights, input contract, template, test-time flip, dimension and norm."""
        if self.output is None:
            raise ManifestInvalid(f"{self.name} is a {self.task} model and makes no embeddings")
        contract = {
            "weights": self.float_sha256 or "+".join(self.files.values()),
            "input": {
                "layout": self.input.layout,
                "colour": self.input.colour,
                "mean": [float(v) for v in self.input.mean],
                "std": [float(v) for v in self.input.std],
                "size": list(self.input.size or ()),
            },
            "template": self.template,
            "flip": self.flip,
            "dim": self.output.dim,
            "norm": self.norm,
        }
        return hashlib.sha256(canonical_json(contract)).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def save(self, path: Path) -> None:
        files.write_text(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "manifest") -> Manifest:
        try:
            values = dict(data)
            values["input"] = _build(InputSpec, values.get("input"), "input")
            values["licence"] = _build(Licence, values.get("licence"), "licence")
            if values.get("output") is not None:
                values["output"] = _build(OutputSpec, values["output"], "output")
            built: Manifest = _build(cls, values, "manifest")
            return built
        except ManifestInvalid as error:
            raise ManifestInvalid(f"{where}: {error.message}") from None

    @classmethod
    def load(cls, path: Path) -> Manifest:
        try:
            data = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ManifestInvalid(f"{path.name} cannot be read as JSON: {error}") from None
        if not isinstance(data, dict):
            raise ManifestInvalid(f"{path.name} must hold one JSON object")
        return cls.from_dict(data, where=str(path))


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _build(kind: Any, data: Any, where: str) -> Any:
    if isinstance(data, kind):
        return data
    if not isinstance(data, Mapping):
        raise ManifestInvalid(f"{where} must be an object")
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ManifestInvalid(f"{where} has unknown keys {unknown}; known: {sorted(fields)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    hints = get_type_hints(kind)
    if wrong := [key for key, value in values.items() if not _fits(value, hints[key])]:
        shown = [f"{key} must be {fields[key].type}" for key in sorted(wrong)]
        raise ManifestInvalid(f"{where}: {', '.join(shown)}")
    try:
        return kind(**values)
    except TypeError as error:
        raise ManifestInvalid(f"{where}: {str(error).split(') ')[-1]}") from None


def _fits(value: Any, hint: Any) -> bool:
    """Whether what JSON gave is of an annotation's type; how many and which is for who reads it."""
    kind, inner = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return any(_fits(value, one) for one in inner)
    if kind is Literal:
        return isinstance(value, str)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(one, inner[0]) for one in value)
    if hint in (int, float):
        number = isinstance(value, (int, hint)) and not isinstance(value, bool)
        return bool(number and abs(value) <= _LARGEST)
    return isinstance(value, kind or hint)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ManifestInvalid(message)


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")

"""Importing ONNX recognisers: what is checked by running them, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from arcid.errors import (
    ArcidError,
    ManifestInvalid,
    ModelHashMismatch,
    ModelNotFound,
    ModelUnsupported,
    UsageError,
)
from arcid.models import goldens, install, weights
from arcid.models.importer import Request, import_model
from arcid.pipeline import load_embedder
from arcid.types import Crops


def _recogniser(
    path: Path,
    *,
    dim: int = 32,
    size: int = 112,
    batch: int | str = "N",
    layout: str = "NCHW",
    names: tuple[str, str] = ("data", "fc1"),
    more_outputs: bool = False,
    scale: float = 1.0,
    reshape: int | None = None,
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """Channel means over the upper and over the lower half, times a matrix."""
    rows, columns, channels = (2, 3, 1) if layout == "NCHW" else (1, 2, 3)
    shape: list[int | str] = [batch, 0, 0, 0]
    shape[rows] = shape[columns] = size
    shape[channels] = 3
    i, j = np.mgrid[0:6, 0:dim]
    matrix = (np.sin(1 + 2 * i + 0.7 * j) * scale).astype(np.float32)
    bounds = {"zero": [0], "half": [size // 2], "end": [size], "axis": [rows]}
    constants = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in bounds.items()]
    constants.append(numpy_helper.from_array(matrix, "matrix"))
    node = helper.make_node
    nodes = [
        node("Cast", [names[0]], ["floats"], to=TensorProto.FLOAT),
        node("Slice", ["floats", "zero", "half", "axis"], ["upper"]),
        node("Slice", ["floats", "half", "end", "axis"], ["lower"]),
        node("ReduceMean", ["upper"], ["upper_mean"], axes=[rows, columns], keepdims=0),
        node("ReduceMean", ["lower"], ["lower_mean"], axes=[rows, columns], keepdims=0),
        node("Concat", ["upper_mean", "lower_mean"], ["means"], axis=1),
        node("MatMul", ["means", "matrix"], [names[1] if reshape is None else "vectors"]),
    ]
    if reshape is not None:  # an exporter froze the batch inside, though the input claims any
        constants.append(numpy_helper.from_array(np.array([reshape, dim], np.int64), "frozen"))
        nodes.append(node("Reshape", ["vectors", "frozen"], [names[1]]))
    outputs = [helper.make_tensor_value_info(names[1], TensorProto.FLOAT, [batch, dim])]
    if more_outputs:
        outputs.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, [batch, 6]))
    graph = helper.make_graph(
        nodes, "r", [helper.make_tensor_value_info(names[0], dtype, shape)], outputs, constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save_model(model, str(path))
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def _import(file: Path, root: Path, name: str = "mine", like: str = "arcface", **more: Any) -> Any:
    replace = more.pop("replace", False)
    return import_model(file, Request(name, like, **more), root, load_embedder, replace=replace)


def _nothing_installed(root: Path) -> bool:
    return not root.exists() or [p.name for p in root.rglob("*")] == [install.WORK]


def test_an_imported_model_is_a_bundle_that_resolves(tmp_path: Path, root: Path) -> None:
    file = _recogniser(tmp_path / "m.onnx")
    bundle = _import(file, root, dim=32, licence="MIT", flip=True)
    assert bundle.folder == root / "mine"
    assert sorted(p.name for p in bundle.folder.iterdir()) == [
        "goldens.json", "manifest.json", "model.onnx",
    ]  # fmt: skip
    found = weights.resolve("mine")
    assert (found.origin, found.path.read_bytes()) == ("models", file.read_bytes())
    manifest = found.manifest
    assert (manifest.input.name, manifest.input.batch, manifest.flip) == ("data", None, True)
    assert (manifest.output, manifest.licence.name) == (manifest.output, "MIT")
    assert manifest.output is not None
    assert (manifest.output.name, manifest.output.dim) == ("fc1", 32)
    assert manifest.contract_id == bundle.manifest.contract_id
    assert goldens.check(manifest, load_embedder(found).embed, found.folder) > 0.9999  # type: ignore[operator]
    assert sorted(p.name for p in root.iterdir()) == [install.WORK, "mine"]


def test_the_contract_decides_what_the_model_sees(tmp_path: Path, root: Path) -> None:
    file = _recogniser(tmp_path / "m.onnx", names=("images", "output"), dim=512)
    bundles = {
        "luxonis": _import(file, root, "lux", "luxonis"),
        "arcface": _import(file, root, "arc", "arcface"),
        "own": _import(file, root, "own", "arcface", colour="BGR", mean=(0,) * 3, std=(1,) * 3),
    }
    spec = bundles["luxonis"].manifest.input
    assert (spec.name, spec.colour, spec.mean, spec.std) == ("images", "BGR", (0,) * 3, (1,) * 3)
    crops = goldens.synthetic_crops(112)
    vectors = {k: load_embedder(b).embed(crops).vectors for k, b in bundles.items()}
    np.testing.assert_allclose(vectors["own"], vectors["luxonis"], atol=1e-5)
    assert (vectors["arcface"] * vectors["luxonis"]).sum(axis=1).min() < 0.99
    assert bundles["own"].manifest.contract_id == bundles["luxonis"].manifest.contract_id
    assert bundles["arcface"].manifest.contract_id != bundles["luxonis"].manifest.contract_id


@pytest.mark.parametrize(("batch", "frozen"), [(1, None), (4, None), ("N", 1)])
def test_fixed_batches_are_recorded(
    tmp_path: Path, root: Path, batch: int | str, frozen: int | None
) -> None:
    file = _recogniser(tmp_path / "m.onnx", batch=batch, reshape=frozen)
    bundle = _import(file, root)
    assert bundle.manifest.input.batch == (frozen or batch)
    crops = Crops(np.tile(goldens.synthetic_crops(112).pixels, (2, 1, 1, 1)))
    free = _import(_recogniser(tmp_path / "free.onnx"), root, "free")
    np.testing.assert_allclose(
        load_embedder(bundle).embed(crops).vectors,
        load_embedder(free).embed(crops).vectors,
        atol=1e-5,
    )


def test_nhwc_and_other_sizes(tmp_path: Path, root: Path) -> None:
    file = _recogniser(tmp_path / "m.onnx", layout="NHWC", size=160)
    with pytest.raises(ManifestInvalid, match="--layout NHWC or --size"):
        _import(file, root)
    with pytest.raises(ManifestInvalid, match="any,160,160,3"):
        _import(file, root, layout="NHWC")
    bundle = _import(file, root, like="facenet", layout="NHWC")
    assert (bundle.manifest.input.size, bundle.manifest.template) == ((160, 160), "box")
    assert _import(file, root, "other", layout="NHWC", size=160).manifest.template == "arcface"


@pytest.mark.parametrize(
    ("network", "request_", "error", "message"),
    [
        ({}, {"like": "nonsense"}, UsageError, "known: arcface"),
        ({}, {"name": "../up"}, UsageError, "cannot name a model"),
        ({}, {"name": "calibrations"}, UsageError, "cannot name a model"),
        ({}, {"name": "buffalo_l"}, UsageError, "catalogue's name"),
        ({}, {"dim": 512}, ManifestInvalid, "has 32 dimensions, --dim says 512"),
        ({}, {"input_name": "x"}, ManifestInvalid, "say which with --input"),
        ({}, {"output_name": "x"}, ManifestInvalid, "it has fc1"),
        ({}, {"like": "luxonis"}, ManifestInvalid, "'data', its manifest says 'images'"),
        ({}, {"colour": "GBR"}, ManifestInvalid, "RGB or BGR"),
        ({}, {"std": (0.0, 1.0, 1.0)}, ManifestInvalid, "std must be positive"),
        (
            {},
            {"mean": (0.5,) * 3, "std": (0.5,) * 3},
            UsageError,
            r"from 0 to 255.*say --mean 127.5,127.5,127.5 --std 127.5,127.5,127.5",
        ),
        ({}, {"std": (0.229, 0.224, 0.225)}, UsageError, r"say --std 58.395,57.12,57.375$"),
        ({"more_outputs": True}, {}, ManifestInvalid, "several outputs"),
        ({"dim": 3}, {}, ManifestInvalid, "has 3 values a face"),
        ({"scale": float("nan")}, {}, ModelUnsupported, "NaN or infinite"),
        ({"scale": 0.0}, {}, ArcidError, "zero"),
        ({"dtype": TensorProto.INT32}, {}, ModelUnsupported, "is i32, expected float32"),
    ],
)
def test_what_contradicts_is_refused_and_nothing_is_installed(
    tmp_path: Path,
    root: Path,
    network: dict[str, Any],
    request_: dict[str, Any],
    error: type[ArcidError],
    message: str,
) -> None:
    file = _recogniser(tmp_path / "m.onnx", **network)
    with pytest.raises(error, match=message):
        _import(file, root, **request_)
    assert _nothing_installed(root)


def test_a_network_blind_to_its_input_is_refused(tmp_path: Path, root: Path) -> None:
    model = onnx.load(_recogniser(tmp_path / "m.onnx"))
    bias = np.ones(32, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
    for tensor in model.graph.initializer:
        if tensor.name == "matrix":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros((6, 32), np.float32), "matrix"))
    model.graph.node[-1].output[0] = "nothing"
    model.graph.node.append(helper.make_node("Add", ["nothing", "bias"], ["fc1"]))
    onnx.save_model(model, str(tmp_path / "blind.onnx"))
    with pytest.raises(ModelUnsupported, match="every face the same vector"):
        _import(tmp_path / "blind.onnx", root)
    assert _nothing_installed(root)


def test_damaged_missing_and_split_files(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ModelNotFound, match="does not exist"):
        _import(tmp_path / "gone.onnx", root)
    whole = _recogniser(tmp_path / "m.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnsupported, match="cannot load"):
        _import(tmp_path / "cut.onnx", root)
    model = onnx.load(tmp_path / "m.onnx")
    onnx.save_model(model, str(tmp_path / "split.onnx"), save_as_external_data=True,
                    location="split.onnx.data", size_threshold=0)  # fmt: skip
    with pytest.raises(ModelUnsupported, match=r"lie apart in split\.onnx\.data"):
        _import(tmp_path / "split.onnx", root)
    assert _nothing_installed(root)


def test_names_are_not_taken_twice_unless_said(tmp_path: Path, root: Path) -> None:
    first = _import(_recogniser(tmp_path / "a.onnx"), root)
    other = _recogniser(tmp_path / "b.onnx", dim=64)
    with pytest.raises(UsageError, match="--replace"):
        _import(other, root)
    assert weights.resolve("mine").manifest == first.manifest
    _import(other, root, replace=True)
    found = weights.resolve("mine").manifest.output
    assert found is not None
    assert found.dim == 64


def test_goldens_find_a_model_that_answers_otherwise(tmp_path: Path, root: Path) -> None:
    bundle = _import(_recogniser(tmp_path / "m.onnx"), root)
    embed = load_embedder(bundle).embed
    swapped = lambda crops: embed(Crops(np.ascontiguousarray(crops.pixels[..., ::-1])))  # noqa: E731
    with pytest.raises(ModelUnsupported, match="answers otherwise"):
        goldens.check(bundle.manifest, swapped, bundle.folder)
    path = bundle.folder / goldens.FILE
    edited = dataclasses.replace(bundle.manifest, flip=True)
    with pytest.raises(ManifestInvalid, match="manifest was edited"):
        goldens.check(edited, embed, bundle.folder)
    stored = json.loads(path.read_text("utf-8"))
    ragged, words = [stored["vectors"][0], [0.1]], [["one", "two"]]
    for change in ({"vectors": ragged}, {"vectors": words}, {"minimum_cosine": "high"}):
        path.write_text(json.dumps(stored | change), "utf-8")
        with pytest.raises(ManifestInvalid, match="cannot be read"):
            goldens.check(bundle.manifest, embed, bundle.folder)
    path.write_text(json.dumps({"schema_version": 1}), "utf-8")
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        goldens.check(bundle.manifest, embed, bundle.folder)
    path.unlink()
    assert goldens.check(bundle.manifest, embed, bundle.folder) is None
    bundle.path.write_bytes(bundle.path.read_bytes() + b"\0")
    with pytest.raises(ModelHashMismatch):
        weights.resolve("mine")

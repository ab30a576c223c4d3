"""Models in OpenVINO's own format: a pair of files, both hashed; and Open Model Zoo's template."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from arcid.align import align
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.embed import OnnxEmbedder
from arcid.errors import (
    ManifestInvalid,
    ModelHashMismatch,
    ModelNotFound,
    ModelUnsupported,
    UsageError,
)
from arcid.evaluate.sources import EmbedCrops
from arcid.geometry import ARCFACE_TEMPLATE, apply_affine, recut, similarity_transform
from arcid.geometry import template_points as points_of
from arcid.image import load_image
from arcid.models import catalogue, weights
from arcid.models.manifest import InputSpec, Licence, Manifest, OutputSpec
from arcid.pipeline import load_detector, load_embedder, load_landmarks
from arcid.runtime import open_session
from arcid.types import Crops, Detections

PUBLISHED = "face-reidentification-retail-0095"
DERIVED = "face_reid_retail_0095"
SIZE, DIM = 128, 16


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pair(folder: Path, name: str = "tiny") -> Path:
    """Channel means of a 128-pixel picture times a matrix, as NAME.xml and NAME.bin."""
    matrix = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "matrix"], ["vector"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", DIM])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(folder / f"{name}.onnx"))
    network = openvino.Core().read_model(folder / f"{name}.onnx")
    openvino.save_model(network, folder / f"{name}.xml", compress_to_fp16=False)
    return folder / f"{name}.xml"


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return _pair(tmp_path / "files")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model anywhere but in the returned folder."""
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("arcid.paths.packaged_models_dir", lambda: tmp_path / "packaged")
    for name in ("ARCID_DATA", "ARCID_RECOGNISER", "ARCID_DETECTOR", "ARCID_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "models"


def _manifest(pair: Path) -> Manifest:
    return Manifest(
        name="tiny",
        task="recognition",
        family="omz",
        sha256=_sha(pair),
        file=pair.name,
        weights_sha256=_sha(pair.with_suffix(".bin")),
        input=InputSpec("image", "BGR", (0.0,) * 3, (1.0,) * 3, (SIZE, SIZE)),
        output=OutputSpec("vector", DIM),
        licence=Licence("Apache-2.0", commercial_use=True),
        template="omz",
    )


def _bundle(root: Path, pair: Path) -> Path:
    folder = root / "tiny"
    folder.mkdir(parents=True)
    for path in (pair, pair.with_suffix(".bin")):
        shutil.copy(path, folder)
    _manifest(pair).save(folder / "manifest.json")
    return folder


def test_a_pair_answers_as_the_onnx_file_it_was_made_of(pair: Path) -> None:
    x = np.random.default_rng(1).uniform(0, 255, (3, 3, SIZE, SIZE)).astype(np.float32)
    session = open_session(pair, sha256=_sha(pair), weights_sha256=_sha(pair.with_suffix(".bin")))
    assert (session.runtime, session.input_name) == ("openvino", "image")
    expected = open_session(pair.with_suffix(".onnx"), runtime="onnxruntime").run(x)["vector"]
    np.testing.assert_allclose(session.run(x)["vector"], expected, rtol=1e-4, atol=1e-3)


def test_a_missing_half_is_named(pair: Path) -> None:
    pair.with_suffix(".bin").unlink()
    with pytest.raises(ModelNotFound, match=r"tiny\.bin does not exist; tiny\.xml is an OpenVINO"):
        open_session(pair)
    with pytest.raises(ModelNotFound, match=r"tiny\.xml does not exist"):
        pair.rename(pair.with_name("gone.xml"))
        open_session(pair)


def test_both_halves_are_hashed(pair: Path) -> None:
    model, beside = _sha(pair), _sha(pair.with_suffix(".bin"))
    with pytest.raises(ModelUnsupported, match="which holds the weights, has none"):
        open_session(pair, sha256=model)
    weights_of = bytearray(pair.with_suffix(".bin").read_bytes())
    weights_of[0] ^= 1
    pair.with_suffix(".bin").write_bytes(weights_of)
    with pytest.raises(ModelHashMismatch, match=r"tiny\.bin has sha256"):
        open_session(pair, sha256=model, weights_sha256=beside)


def test_no_other_runtime_takes_it(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in ({"runtime": "onnxruntime"}, {"device": "cuda"}):
        with pytest.raises(ModelUnsupported, match="which ONNX Runtime and CUDA cannot run"):
            open_session(pair, **wanted)
    monkeypatch.setattr("arcid.runtime.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelUnsupported, match="pip install openvino"):
        open_session(pair)
    with pytest.raises(ModelUnsupported, match="pip install openvino"):
        open_session(pair, runtime="openvino")


def test_a_damaged_description_is_refused(pair: Path) -> None:
    pair.write_text("<net>", "utf-8")
    with pytest.raises(ModelUnsupported, match=r"OpenVINO cannot load tiny\.xml"):
        open_session(pair)


def test_a_manifest_names_the_weights_and_so_does_the_contract(pair: Path) -> None:
    manifest = _manifest(pair)
    assert manifest.files == {
        "tiny.xml": manifest.sha256,
        "tiny.bin": manifest.weights_sha256,
    }
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest
    other = dataclasses.replace(manifest, weights_sha256="0" * 64)
    arcface = dataclasses.replace(manifest, template="arcface")
    assert len({m.contract_id for m in (manifest, other, arcface)}) == 3
    for wrong in ({"weights_sha256": None}, {"file": "tiny.onnx"}, {"weights_sha256": "abc"}):
        with pytest.raises(ManifestInvalid, match="weights_sha256"):
            dataclasses.replace(manifest, **wrong)
    with pytest.raises(ManifestInvalid, match="one of arcface, omz, dlib, box"):
        dataclasses.replace(manifest, template="eyes")


def test_contracts_of_onnx_files_are_what_they_were() -> None:
    found = catalogue.entry("mobilefacenet_128").manifest.contract_id
    assert found == "277947407cfc5d8f31d4ac2fb6c13c82a2f2b0c85cfd6817806913c4b26736c2"


def test_a_bundle_of_a_pair_is_resolved_and_runs(home: Path, pair: Path) -> None:
    folder = _bundle(home, pair)
    for name in ("tiny", str(folder), str(folder / "tiny.xml")):
        assert weights.resolve(name).path == folder / "tiny.xml"
    crops = Crops(np.full((3, 112, 112, 3), (200, 30, 10), np.uint8))
    found = load_embedder(weights.resolve("tiny")).embed(crops)
    assert found.vectors.shape == (3, DIM)
    (folder / "tiny.bin").unlink()
    with pytest.raises(ModelNotFound, match=r"its file tiny\.bin is missing"):
        weights.resolve("tiny")
    (folder / "tiny.bin").write_bytes(b"other weights")
    with pytest.raises(ModelHashMismatch, match=r"tiny\.bin"):
        weights.resolve("tiny")


def test_a_landmark_model_may_be_a_pair(home: Path, pair: Path) -> None:
    folder = _bundle(home, pair)
    manifest = dataclasses.replace(_manifest(pair), task="landmarks", output=None)
    manifest.save(folder / "manifest.json")
    with pytest.raises(ManifestInvalid, match="answers points"):  # opened, and then looked at
        load_landmarks("tiny")


def test_a_published_pair_may_lie_in_the_models_folder(
    home: Path, pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = _manifest(pair)
    files = tuple(
        catalogue.SourceFile(name, sha256, None, f"https://example.org/{name}")
        for name, sha256 in manifest.files.items()
    )
    monkeypatch.setitem(catalogue.ENTRIES, "tiny", catalogue.Entry("tiny", manifest, files))
    home.mkdir()
    for path in (pair, pair.with_suffix(".bin")):
        shutil.copy(path, home)
    assert weights.resolve("tiny").trust == "catalogue"
    renamed = pair.rename(pair.with_name("renamed.xml"))
    with pytest.raises(ModelNotFound, match=r"renamed\.bin is missing"):
        weights.resolve(str(renamed))
    pair.with_suffix(".bin").rename(pair.with_name("renamed.bin"))
    assert weights.resolve(str(renamed)).manifest.contract_id == manifest.contract_id
    (home / "tiny.bin").write_bytes(b"damaged")
    with pytest.raises(ModelHashMismatch):
        weights.resolve("tiny")


def test_importing_a_pair(home: Path, pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("models", "import", str(pair), "--name", "mine", "--like", "omz", "--json")
    assert run_command(app, command) == 0
    assert json.loads(capsys.readouterr().out)["dim"] == DIM
    manifest = weights.resolve("mine", judging=True).manifest
    assert (manifest.template, manifest.input.size) == ("omz", (128, 128))
    assert set(manifest.files) == {"model.xml", "model.bin"}
    assert run_command(app, ("models", "verify", "mine")) == 0
    assert "goldens met" in capsys.readouterr().out
    pair.with_suffix(".bin").unlink()
    again = ("models", "import", str(pair), "--name", "second", "--like", "omz", "--json")
    assert run_command(app, again) == 4
    assert "tiny.bin does not exist" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not (home / "second").exists()


def test_the_template_is_the_published_one() -> None:
    """The five points of the model's page, as pixels of its 128-pixel input."""
    eye, other, nose, mouth, corner = points_of(128, "omz")
    assert eye == pytest.approx([0.31556875 * 128, 0.4615741071428571 * 128], abs=1e-4)
    assert other[1] == eye[1]
    assert mouth[1] == corner[1] == pytest.approx(0.8246919642857142 * 128, abs=1e-4)
    assert nose == pytest.approx([0.5002625 * 128, 0.6405053571428571 * 128], abs=1e-4)
    with pytest.raises(UsageError, match="no points"):
        points_of(160, "box")


def test_aligned_crops_are_cut_anew_as_the_photo_would_be() -> None:
    blocks = np.random.default_rng(2).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    photo = np.asarray(cv2.resize(blocks, (400, 400), interpolation=cv2.INTER_LINEAR), np.uint8)
    points = (ARCFACE_TEMPLATE + 100)[None]
    found = Detections(np.array([[100, 100, 212, 212.0]]), np.ones(1), points, (400, 400))
    direct = align(photo, found, size=128, template="omz").pixels[0]
    usual = align(photo, found)
    again = recut(usual, 128, "omz").pixels[0]
    assert np.abs(direct.astype(int) - again.astype(int)).mean() < 4
    assert np.abs(direct.astype(int) - again[:, ::-1].astype(int)).mean() > 10
    moved = apply_affine(similarity_transform(points, points_of(128, "omz"))[0], points[0])
    assert np.abs(moved - points_of(128, "omz")).max() < 4  # stretched points, met on average
    for template in ("arcface", "box"):
        assert recut(usual, 128, template) is usual


class _Seen:
    contract_id, size = "c" * 64, 128

    def __init__(self, template: str) -> None:
        self.template = template
        self.crops: list[Crops] = []

    def embed(self, crops: Crops):
        from arcid.types import Embeddings

        self.crops.append(crops)
        return Embeddings.normalised(np.ones((len(crops), 4), np.float32), self.contract_id)


def test_measuring_aligned_crops_cuts_them_for_the_recogniser() -> None:
    crop = np.random.default_rng(3).integers(0, 255, (112, 112, 3)).astype(np.uint8)
    usual, own = _Seen("arcface"), _Seen("omz")
    for model in (usual, own):
        EmbedCrops(model)([crop])
    np.testing.assert_array_equal(usual.crops[0].pixels[0], crop)
    np.testing.assert_array_equal(own.crops[0].pixels, recut(Crops(crop[None]), 128, "omz").pixels)


@pytest.fixture(scope="module")
def network(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    """The network of the derived file from its own 128-pixel BGR input on, by the contract of the
    published model."""
    model = onnx.load(str(data_dir / "models" / f"{DERIVED}.onnx"))
    graph = model.graph
    inner = next(i for i, node in enumerate(graph.node) if node.output[0] == "x0") + 1
    del graph.node[:inner]
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["b", 3, 128, 128]))
    path = tmp_path_factory.mktemp("inner") / "inner.onnx"
    onnx.save_model(model, str(path))
    published = catalogue.entry(PUBLISHED).manifest
    manifest = dataclasses.replace(
        published,
        file=path.name,
        sha256=_sha(path),
        weights_sha256=None,
        input=dataclasses.replace(published.input, name="x0", batch=None),
        output=OutputSpec("embedding", 256),
    )
    return OnnxEmbedder(open_session(path), manifest)


@pytest.mark.data
def test_the_contract_of_the_published_model_on_photographs(
    data_dir: Path, network: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces cut from photos by its own points give what the usual crops give the derived file."""
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    derived = load_embedder(weights.resolve(DERIVED))
    photos = sorted((data_dir / "data/lfw-dev/images").rglob("*.jpg"))[:200:10]
    images = [load_image(path) for path in photos]
    found = [one.select("center") for one in load_detector("scrfd_2.5g").detect(images)]

    def cut(**how: object) -> Crops:
        crops = [align(i, f, **how) for i, f in zip(images, found, strict=True)]
        return Crops(np.concatenate([c.pixels for c in crops]))

    expected = derived.embed(cut()).vectors
    own = network.embed(cut(size=128, template="omz")).vectors
    assert len(own) == len(photos)
    assert (own * expected).sum(axis=1).min() > 0.98
    wrong = {
        "template": network.embed(cut(size=128)).vectors,
        "colour": network.embed(Crops(cut(size=128, template="omz").pixels[..., ::-1])).vectors,
    }
    for name, vectors in wrong.items():
        assert (vectors * expected).sum(axis=1).mean() < 0.985, name
    assert (own * expected).sum(axis=1).mean() > 0.99


@pytest.mark.parametrize("name", [PUBLISHED, DERIVED])
def test_the_model_decides_out_of_the_box(home: Path, name: str) -> None:
    """The packaged calibration is of its contract and supports the default rates."""
    bundle = weights.Bundle(name, catalogue.entry(name).manifest, home, "models")
    calibration = weights.find_calibration(bundle)
    assert calibration.provisional
    assert calibration.smallest_supported_fmr < 1e-4
    assert calibration.threshold_at_fmr(1e-4).cosine == pytest.approx(0.423, abs=1e-3)


@pytest.mark.data
def test_its_threshold_tells_people_apart(
    data_dir: Path, network: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    folders = sorted((data_dir / "data/lfw-dev/images").iterdir())
    several = [photos for f in folders if len(photos := sorted(f.iterdir())) > 1][:12]
    images = [load_image(path) for photos in several for path in photos[:2]]
    found = [one.select("center") for one in load_detector("scrfd_2.5g").detect(images)]
    crops = [
        align(i, f, size=128, template="omz").pixels for i, f in zip(images, found, strict=True)
    ]
    vectors = network.embed(Crops(np.concatenate(crops))).vectors
    scores = vectors[::2] @ vectors[1::2].T
    bundle = weights.Bundle(PUBLISHED, catalogue.entry(PUBLISHED).manifest, data_dir, "models")
    threshold = weights.find_calibration(bundle).threshold_at_fmr(1e-4).cosine
    assert (np.diag(scores) >= threshold).sum() >= 11
    assert not (scores[~np.eye(12, dtype=bool)] >= threshold).any()

"""Export: bundles compute what the network computes, give the network back, or are refused."""

from __future__ import annotations

import json
import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from arcid.errors import ArcidError, CheckpointMismatch, ExportRefused
from arcid.models.manifest import Manifest
from arcid.models.weights import resolve
from arcid.pipeline import Pipeline, load_embedder
from arcid.train.backbones import Backbone, create_backbone
from arcid.train.backbones.inputs import to_input
from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.config.section import build
from arcid.train.data.crops import centre, decode_crop
from arcid.train.data.tar import TarSource
from arcid.train.export import ExportRequest, ExportResult, bundle, export, tolerance
from arcid.train.export.luxonis import check_archive
from arcid.train.export.onnx import store_half, to_bytes, to_onnx
from arcid.train.export.tolerance import torch_vectors
from arcid.train.weights.checkpoint import CheckpointStore
from arcid.train.weights.initial import Initial, load_initial, onnx_state, open_initial
from arcid.train.weights.restore import backbone_of, restore_backbone
from arcid.train.weights.states import load_state
from arcid.types import Crops

pytestmark = pytest.mark.training

NAME = "mobilefacenet_relu_x0.5"
SMALL: dict[str, dict[str, Any]] = {
    "iresnet18": {"size": 32},
    "resnet34": {"size": 32},
    "resnet50": {"size": 32, "stem": "imagenet"},
    "mobilefacenet_relu_x0.5": {"size": 48},
    "mobilefacenet_prelu_x0.5": {"size": 48},
    "vit_tiny": {"size": 32},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_THREADS", "1")
        yield
    torch.set_num_threads(threads)


def run(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(images)


def small(name: str) -> Backbone:
    torch.manual_seed(0)
    return create_backbone(name, 24, **SMALL[name]).eval()


def moved(model: Backbone) -> Backbone:
    """Statistics and vectors away from their start, alike where they are alike in shape."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.ndim == 1:
                drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(1))
                tensor.copy_(0.5 + drawn if name.endswith(("var", "weight")) else drawn - 0.5)
    return model


@pytest.fixture(scope="module")
def crops(data_dir: Path) -> Crops:
    """160 real faces, 112 pixels."""
    source = TarSource([data_dir / "data/train/celeba-a.tar"])
    pixels = [centre(decode_crop(source.read(i * 17)), 112) for i in range(160)]
    return Crops(np.stack(pixels))


@pytest.fixture(scope="module")
def network(crops: Crops) -> Backbone:
    """A network whose batch norms know real faces; its features are random, but of faces."""
    torch.manual_seed(4)
    model = create_backbone(NAME, 64)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    model.train()
    for start in (0, 64):
        pixels = crops.pixels[start : start + 64].transpose(0, 3, 1, 2)
        run(model, to_input(torch.from_numpy(np.ascontiguousarray(pixels))))
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(tensor.half())  # so that fp16 loses nothing; random nets amplify all
    return model.eval()


def config(data_dir: Path, **data: Any) -> TrainConfig:
    source = {"path": str(data_dir / "data/train/vgg.tar")}
    return build(
        TrainConfig,
        {
            "data": {"sources": [source], **data},
            "model": {"backbone": NAME, "dim": 64},
            "optim": {"ema": 0.9},
        },
    )


@pytest.fixture(scope="module")
def trained(network: Backbone, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder as the trainer leaves it; the averaged weights are the network's."""
    folder = tmp_path_factory.mktemp("runs") / "first-try"
    raw = {k: v * 1.5 if v.is_floating_point() else v for k, v in network.state_dict().items()}
    CheckpointStore(folder / "checkpoints").save(
        step=120,
        position=960,
        config=config(data_dir, holdout_identities=10),
        shared={"backbone": raw, "averaged": network.state_dict()},
        own={},
        extra={"seconds": 90.0},
    )
    (folder / "report.txt").write_text("vgg: 7410 photos, 57 identities\n")
    return folder


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    return export(trained, tmp_path_factory.mktemp("bundles"))


@pytest.mark.parametrize("name", SMALL)
def test_every_backbone_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    model = moved(small(name))
    file = tmp_path / "model.onnx"
    file.write_bytes(to_bytes(to_onnx(model)))
    images = torch.rand(5, 3, model.size, model.size) * 2 - 1
    again = create_backbone(name, 24, **SMALL[name]).eval()
    load_state(again, onnx_state(file), "the file")
    assert torch.equal(run(again, images), run(model, images))
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 5):
        found = session.run(["output"], {"input": images[:rows].numpy()})[0]
        wanted = run(model, images[:rows]).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["iresnet18", "vit_tiny"])
def test_fp16_stores_matrices_in_half_and_computes_in_full(name: str, tmp_path: Path) -> None:
    model = moved(small(name))
    full = to_onnx(model)
    half = store_half(full)
    assert len(to_bytes(half)) < 0.55 * len(to_bytes(full))
    file = tmp_path / "half.onnx"
    file.write_bytes(to_bytes(half))
    rounded = {k: v.half().float() if v.ndim > 1 else v for k, v in model.state_dict().items()}
    again = create_backbone(name, 24, **SMALL[name]).eval()
    load_state(again, onnx_state(file), "the file")
    for entry, tensor in again.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, rounded[entry]), entry
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, model.size, model.size) * 2 - 1
    found = session.run(["output"], {"input": images.numpy()})[0]
    np.testing.assert_allclose(found, run(again, images), rtol=1e-3, atol=1e-3)


def test_weights_that_fp16_cannot_hold_are_refused() -> None:
    model = small("mobilefacenet_relu_x0.5")
    with torch.no_grad():
        model.get_parameter("head.fc.weight")[0, 0] = 1e5
    with pytest.raises(ExportRefused, match=r"head\.fc\.weight holds values above 65504"):
        store_half(to_onnx(model))


@pytest.mark.data
def test_averaged_weights_are_the_ones_restored(trained: Path, network: Backbone) -> None:
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    found = restore_backbone(trained)
    assert (found.step, found.averaged, found.backbone.training) == (120, True, False)
    assert torch.equal(run(found.backbone, images), run(network, images))
    raw = restore_backbone(trained / "checkpoints/step-00000120", averaged=False)
    assert not raw.averaged
    assert torch.equal(
        raw.backbone.get_parameter("gdconv.weight"), 1.5 * network.get_parameter("gdconv.weight")
    )


@pytest.mark.data
def test_a_bundle_runs_in_the_product(
    exported: ExportResult, network: Backbone, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    pipeline = Pipeline.from_models(recogniser=str(exported.path))
    face = pipeline.one_face(data_dir / "data/deepface-pairs/img1.jpg", select="largest")
    wanted = torch_vectors(network, Crops(face.crop[None]))[0]
    assert float(face.embedding.vectors[0] @ wanted) > 0.9999
    swapped = torch_vectors(network, Crops(face.crop[None, :, :, ::-1]))[0]
    assert float(face.embedding.vectors[0] @ swapped) < 0.995
    assert face.embedding.contract_id == exported.contract_id


@pytest.mark.data
def test_what_a_bundle_says_of_itself(exported: ExportResult, trained: Path) -> None:
    assert exported.path.name == trained.name == exported.name
    assert {p.name for p in exported.path.iterdir()} == {
        "manifest.json", "model.onnx", "goldens.json", "MODEL_CARD.md",
    }  # fmt: skip
    manifest = Manifest.load(exported.path / "manifest.json")
    made = manifest.provenance
    assert (made["backbone"], made["step"], made["averaged"]) == (NAME, 120, True)
    assert made["minutes"] == 1.5
    assert manifest.float_sha256 is None
    assert set(made["cosine"]) == {"openvino", "onnxruntime"}
    assert min(a.minimum for a in exported.agreement.values()) > 0.9999
    assert exported.measured is not None
    measured = exported.measured.after
    assert measured.people == 10  # those held out of training
    assert manifest.accuracy["auc"] == round(measured.auc, 6)
    assert measured.auc > 0.5  # even random features know a face again
    card = (exported.path / "MODEL_CARD.md").read_text("utf-8")
    for words in (
        "vgg: 7410 photos, 57 identities",
        "step: 120, after 1.5 minutes of training",
        "Licence of the weights: not stated",
        "identities held out of training",
        f"| AUC | {exported.measured.before.auc:.5f} |",
        "Where it fails",
        manifest.contract_id,
    ):
        assert words in card
    assert "--evaluate 10 identities" not in card  # no command takes them


@pytest.mark.data
def test_training_goes_on_from_a_bundle(
    exported: ExportResult, network: Backbone, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(exported.path.parent))
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    for source in (exported.path, exported.name, exported.path / "model.onnx"):
        fresh = create_backbone(NAME, 64)
        load_initial(fresh, source)
        assert torch.equal(run(fresh.eval(), images), run(network, images))
    with pytest.raises(CheckpointMismatch, match=r"gdconv|of another shape"):
        load_initial(create_backbone(NAME, 64, size=96), exported.path)
    with pytest.raises(CheckpointMismatch, match="does not fit the network: missing") as caught:
        load_initial(create_backbone("mobilefacenet_prelu_x0.5", 64), exported.path)
    fitting = parse_config("", shlex.split(caught.value.message.partition("set ")[2]))
    load_initial(backbone_of(fitting), exported.path)
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    with pytest.raises(CheckpointMismatch, match="does not say which backbone"):
        load_initial(create_backbone(NAME, 64), "mobilefacenet_128")


@pytest.mark.data
def test_a_wider_network_goes_on_from_a_narrower_bundle(
    exported: ExportResult, network: Backbone
) -> None:
    images = torch.rand(4, 3, 112, 112) * 2 - 1
    wide = create_backbone(NAME, 64, expansion=2)
    load_initial(wide, exported.path)
    torch.testing.assert_close(
        run(wide.eval(), images), run(network, images), rtol=1e-4, atol=1e-4
    )  # twice as many float32 sums
    before = wide.state_dict()["blocks.1.project.0.weight"].clone()
    wide.train()(images).square().sum().backward()
    torch.optim.SGD(wide.parameters(), 0.1).step()
    added = (wide.state_dict()["blocks.1.project.0.weight"] - before).chunk(2, dim=1)[1]
    assert added.abs().min() > 0  # what was added learns at once
    with pytest.raises(CheckpointMismatch, match="of another shape"):
        load_initial(create_backbone(NAME, 64, expansion=0.5), exported.path)
    with pytest.raises(CheckpointMismatch, match=r"blocks\.0|of another shape"):
        load_initial(create_backbone("mobilefacenet_relu_x1.0", 64, expansion=2), exported.path)


@pytest.mark.data
def test_fp16_bundles_share_the_contract_and_are_half(
    exported: ExportResult, tmp_path: Path, crops: Crops
) -> None:
    half = export(exported.path, tmp_path, ExportRequest(name="half", precision="fp16"))
    assert half.contract_id == exported.contract_id
    assert half.shares_contract
    size = (half.path / "model.onnx").stat().st_size
    assert size < 0.6 * (exported.path / "model.onnx").stat().st_size
    again = open_initial(half.path).backbone
    vectors = load_embedder(resolve(str(half.path))).embed(crops[:8]).vectors
    assert float((vectors * torch_vectors(again, crops[:8])).sum(1).min()) > 0.99999
    nudged = open_initial(exported.path)
    with torch.no_grad():  # to numbers that fp16 has to round, in a network that amplifies it
        for tensor in nudged.backbone.parameters():
            tensor.mul_(1.0004)
    request = ExportRequest(name="coarse", precision="fp16")
    with pytest.raises(ExportRefused, match=r"every cosine at least 0\.9999"):
        export(nudged, tmp_path, request)
    assert not (tmp_path / "coarse").exists()


@pytest.mark.data
def test_a_file_that_computes_something_else_is_not_written(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(model: Backbone, **options: Any) -> Any:
        graph = to_onnx(model, **options)
        for tensor in graph.graph.initializer:
            if tensor.name == "stem.0.weight":  # red and blue change places
                kernel = np.ascontiguousarray(numpy_helper.to_array(tensor)[:, ::-1])
                tensor.CopyFrom(numpy_helper.from_array(kernel, tensor.name))
        return graph

    monkeypatch.setattr(bundle, "to_onnx", careless)
    with pytest.raises(ExportRefused, match=r"on openvino .* every cosine at least 0\.9999"):
        export(trained, tmp_path, ExportRequest(name="wrong"))
    assert not (tmp_path / "wrong").exists()


@pytest.fixture
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PHOTOS", 24)
    monkeypatch.setattr(bundle, "ASIDE", 12)
    monkeypatch.setattr(bundle, "EVALUATION_PHOTOS", 100)


@pytest.mark.data
@pytest.mark.usefixtures("few_photos")
def test_int8_is_measured_and_shares_the_contract_only_when_close(
    exported: ExportResult, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ExportRequest(
        name="int8",
        precision="int8",
        calibration=str(data_dir / "data/train/celeba-a.tar"),
        evaluate=str(data_dir / "data/train/vgg.tar"),
    )
    quantised = bundle.quantise  # type: ignore[attr-defined]
    made: list[Any] = []

    def once(*given: Any, **options: Any) -> Any:
        if not made:
            made.append(quantised(*given, **options))
        return made[0]

    monkeypatch.setattr(bundle, "quantise", once)
    monkeypatch.setattr(tolerance, "INT8_MINIMUM", 0.5)  # random features are no trained ones
    monkeypatch.setattr(tolerance, "INT8_MEAN", 0.5)
    monkeypatch.setattr("arcid.train.export.measure.TAR_POINTS", 1.0)
    close = export(exported.path, tmp_path, request)
    manifest = Manifest.load(close.path / "manifest.json")
    assert close.contract_id == exported.contract_id == manifest.contract_id
    assert (manifest.precision, manifest.provenance["calibration"]["photos"]) == ("int8", 24)
    kinds = [node.op_type for node in onnx.load(close.path / "model.onnx").graph.node]
    assert kinds.count("QuantizeLinear") > kinds.count("Conv") > 30
    assert kinds.count("BatchNormalization") <= 1  # the last, behind the matrix product
    assert 0.8 < min(a.mean for a in close.agreement.values()) < 0.99999
    assert close.measured is not None
    assert abs(close.measured.before.auc - close.measured.after.auc) < 0.05
    assert "Float (A) against this file (B)" in (close.path / "MODEL_CARD.md").read_text("utf-8")
    with pytest.raises(CheckpointMismatch, match="stored in int8"):
        open_initial(close.path)

    monkeypatch.setattr(tolerance, "INT8_MINIMUM", 0.999999)
    far = ExportRequest(**{**vars_of(request), "name": "far"})
    with pytest.raises(ExportRefused, match="--own-contract"):
        export(exported.path, tmp_path, far)
    assert not (tmp_path / "far").exists()
    own = export(exported.path, tmp_path, ExportRequest(**{**vars_of(far), "own_contract": True}))
    assert own.contract_id != exported.contract_id
    assert not own.shares_contract

    monkeypatch.setattr(tolerance, "INT8_MINIMUM", 0.5)
    monkeypatch.setattr("arcid.train.export.measure.TAR_POINTS", -1.0)
    with pytest.raises(ExportRefused, match=r"TAR@FMR=\S+ is .* % after"):
        export(exported.path, tmp_path, ExportRequest(**{**vars_of(request), "name": "tar"}))


def vars_of(request: ExportRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in ExportRequest.__dataclass_fields__}


@pytest.mark.data
@pytest.mark.usefixtures("few_photos")
def test_photos_that_must_not_be_calibrated_with(
    exported: ExportResult, tmp_path: Path, data_dir: Path
) -> None:
    def refused(match: str, **request: Any) -> None:
        with pytest.raises(ArcidError, match=match):
            export(exported.path, tmp_path, ExportRequest(name="x", **request))
        assert not (tmp_path / "x").exists()

    vgg = str(data_dir / "data/train/vgg.tar")
    source = TarSource([data_dir / "data/train/vgg.tar"])
    for name, rows in (("crops", (*range(30), *range(4000, 4010))), ("alone", range(30))):
        for i in rows:
            file = tmp_path / name / source.key(i)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.read(i))
    lfw = str(data_dir / "data/lfw-dev/images")
    refused("lfw-dev is there to compare finished models", precision="int8", calibration=lfw)
    refused("--calibration", precision="int8")
    refused("for precision int8", calibration=vgg)
    same = {"calibration": str(tmp_path / "crops"), "evaluate": str(tmp_path / "crops")}
    refused("photos of crops are also in crops", precision="int8", **same)
    alone = str(tmp_path / "alone")
    refused("fewer than two people", precision="int8", calibration=vgg, evaluate=alone)


@pytest.mark.data
def test_luxonis_archives_take_what_the_camera_sees(
    exported: ExportResult, network: Backbone, tmp_path: Path, crops: Crops
) -> None:
    request = ExportRequest(name="oak", target="luxonis")
    made = export(exported.path, tmp_path, request)
    assert made.path == tmp_path / "oak.tar.xz"
    described = check_archive(made.path)["model"]
    (entry,), (output,) = described["inputs"], described["outputs"]
    assert (entry["name"], entry["shape"], entry["layout"]) == ("images", [1, 3, 112, 112], "NCHW")
    assert (output["name"], output["shape"]) == ("output", [1, 64])
    assert entry["preprocessing"]["dai_type"] == "BGR888p"
    with tarfile.open(made.path) as archive:
        file = archive.extractfile("model.onnx")
        assert file is not None
        session = onnxruntime.InferenceSession(file.read(), providers=["CPUExecutionProvider"])
    wanted = run(network, to_input(torch.from_numpy(crops.pixels[:3].transpose(0, 3, 1, 2).copy())))
    for row in range(3):
        bgr = cv2.cvtColor(crops.pixels[row], cv2.COLOR_RGB2BGR)
        image = bgr.transpose(2, 0, 1)[None].astype(np.float32)
        found = session.run(["output"], {"images": image})[0]
        np.testing.assert_allclose(found[0], wanted[row], rtol=2e-3, atol=2e-3)
        other = session.run(["output"], {"images": np.ascontiguousarray(image[:, ::-1])})[0]
        assert np.abs(other[0] - wanted[row].numpy()).max() > 0.05
    with tarfile.open(tmp_path / "bad.tar.xz", "w:xz") as archive:
        (tmp_path / "config.json").write_text(json.dumps({"config_version": "1.0"}))
        archive.add(tmp_path / "config.json", "config.json")
    with pytest.raises(ExportRefused, match=r"config\.json is refused"):
        check_archive(tmp_path / "bad.tar.xz")


@pytest.mark.data
def test_the_command(trained: Path, tmp_path: Path, data_dir: Path, cli: Any) -> None:
    out = tmp_path / "bundles"
    ran = cli("export", trained, "--out", out, "--licence", "Apache-2.0", "--json")
    assert ran.code == 0
    assert ran.json["path"] == str(out / "first-try")
    assert ran.json["after"]["people"] == 10
    assert Manifest.load(out / "first-try/manifest.json").licence.name == "Apache-2.0"
    again = cli("export", trained, "--out", out)
    assert again.code == 2
    assert "is there already" in again.err
    over = cli("export", trained, "--out", trained.parent, "--replace")
    assert over.code == 2 and "is no bundle; it stays as it is" in over.err
    assert list((trained / "checkpoints").iterdir())
    shown = cli("export", out / "first-try", "--out", out, "--name", "half", "--precision", "fp16")
    assert shown.code == 0
    assert "shared with the fp32 bundle" in shown.out
    assert "name labelled crops with --evaluate" in shown.out
    gone = cli("export", tmp_path / "no-run", "--out", out)
    assert gone.code == 4
    assert "no-run is not there" in gone.err


def test_a_network_that_diverged_is_refused(tmp_path: Path) -> None:
    model = small("mobilefacenet_relu_x0.5")
    with torch.no_grad():
        model.get_parameter("head.fc.weight")[0, 0] = torch.inf
    broken = Initial(model, NAME, {"size": 48}, "checkpoint", "step-1")
    with pytest.raises(ExportRefused, match="NaN or infinite"):
        export(broken, tmp_path, ExportRequest(name="x"))


@pytest.mark.parametrize("target", ["onnx", "luxonis"])
def test_a_network_that_tells_nobody_apart_is_refused(target: Any, tmp_path: Path) -> None:
    model = small("mobilefacenet_relu_x0.5")
    with torch.no_grad():
        model.get_parameter("head.fc.weight").zero_()
        model.get_parameter("head.features.bias").fill_(1.0)
    collapsed = Initial(model, NAME, {"size": 48}, "checkpoint", "step-1")
    with pytest.raises(ExportRefused, match="every face the same vector: it has hardly been train"):
        export(collapsed, tmp_path, ExportRequest(name="x", target=target))
    assert not list(tmp_path.iterdir())

"""Weights of other projects: what they compute is computed by readings of their own description."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from arcid.errors import CheckpointInvalid, CheckpointMismatch, ConfigError, ModelNotFound
from arcid.train.backbones import create_backbone
from arcid.train.backbones.inputs import to_input
from arcid.train.weights.imports import import_weights
from arcid.train.weights.initial import load_initial

State = dict[str, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_state(name: str, dim: int = 32, **options: Any) -> State:
    """Of a network that ran: every tensor differs, variances are positive."""
    generator = torch.Generator().manual_seed(7)
    state = create_backbone(name, dim, **options).state_dict()
    for entry, tensor in state.items():
        if entry.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            scale = 1.0 if tensor.ndim < 2 else tensor[0].numel() ** -0.5
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)
    return state


def pixels(size: int, rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (rows, 3, size, size), generator=generator, dtype=torch.uint8)


def run(model: torch.nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(to_input(images))


def bn(s: State, name: str, x: Tensor, eps: float) -> Tensor:
    mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, s[f"{name}.weight"], s[f"{name}.bias"], False, 0.0, eps)


def arcface_torch(s: State, x: Tensor, depths: tuple[int, ...]) -> Tensor:
    """The IResNet forward pass, written from its description over the names in its files."""
    x = F.prelu(bn(s, "bn1", F.conv2d(x, s["conv1.weight"], padding=1), 1e-5), s["prelu.weight"])
    for stage, count in enumerate(depths, 1):
        for block in range(count):
            b, stride = f"layer{stage}.{block}", 1 if block else 2
            y = F.conv2d(bn(s, f"{b}.bn1", x, 1e-5), s[f"{b}.conv1.weight"], padding=1)
            y = F.prelu(bn(s, f"{b}.bn2", y, 1e-5), s[f"{b}.prelu.weight"])
            y = F.conv2d(y, s[f"{b}.conv2.weight"], stride=stride, padding=1)
            if f"{b}.downsample.0.weight" in s:
                x = F.conv2d(x, s[f"{b}.downsample.0.weight"], stride=stride)
                x = bn(s, f"{b}.downsample.1", x, 1e-5)
            x = bn(s, f"{b}.bn3", y, 1e-5) + x
    x = torch.flatten(bn(s, "bn2", x, 1e-5), 1)
    return bn(s, "features", F.linear(x, s["fc.weight"], s["fc.bias"]), 1e-5)


@pytest.mark.parametrize("wrapped", ["plain", "training", "parallel", "old"])
def test_arcface_torch_files_compute_what_they_did_there(tmp_path: Path, wrapped: str) -> None:
    state = random_state("iresnet18", size=32)
    content: Any = state
    if wrapped == "training":
        content = {"epoch": 3, "state_dict_backbone": state, "state_dict_softmax_fc": {}}
    elif wrapped == "parallel":
        content = {f"module.{k}": v.half() for k, v in state.items()}
    elif wrapped == "old":
        content = {k: v for k, v in state.items() if "num_batches" not in k}
    torch.save(content, tmp_path / "backbone.pt")
    found = import_weights(tmp_path / "backbone.pt", size=32)
    assert found.name == "iresnet18"
    assert not found.backbone.training
    images = pixels(32)
    if wrapped == "parallel":
        state = {k: v.half().to(v.dtype) for k, v in state.items()}
    expected = arcface_torch(state, (images.float() / 255 - 0.5) / 0.5, (2, 2, 2, 2))
    torch.testing.assert_close(run(found.backbone, images), expected, rtol=2e-4, atol=2e-4)


def test_the_industrial_cards_file(tmp_path: Path) -> None:
    state = random_state("resnet50", size=32)
    stored = {f"backbone.{k}": v for k, v in state.items()} | {"head.weight": torch.ones(5, 32)}
    torch.save({"model_state": stored, "epoch": 100}, tmp_path / "model.pt")
    for name in ("resnet50", None):
        found = import_weights(tmp_path / "model.pt", name, size=32)
        assert found.name == "resnet50"
        assert found.ignored == ("head.weight",)
        for entry, tensor in found.backbone.state_dict().items():
            assert torch.equal(tensor, state[entry]), entry


def test_a_warm_start_takes_such_a_file(tmp_path: Path) -> None:
    state = random_state("mobilefacenet_relu_x0.5", size=112)
    torch.save({"state_dict": state}, tmp_path / "other.pth")
    backbone = create_backbone("mobilefacenet_relu_x0.5", 32)
    load_initial(backbone, tmp_path / "other.pth")
    assert torch.equal(backbone.state_dict()["head.fc.weight"], state["head.fc.weight"])
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    other = create_backbone("mobilefacenet_relu_x0.5", 32, size=96)
    with pytest.raises(CheckpointMismatch, match=r"gdconv.weight is \(512, 1, 7, 7\)"):
        load_initial(other, tmp_path / "other.pth")
    with pytest.raises(CheckpointMismatch, match=r"missing: stem\.2"):
        load_initial(create_backbone("mobilefacenet_prelu_x0.5", 32), tmp_path / "other.pth")
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = random_state("iresnet18", size=32)
    file = tmp_path / "weights.pt"

    def refused(content: State, match: str, name: str | None = "iresnet18") -> CheckpointMismatch:
        torch.save(content, file)
        with pytest.raises(CheckpointMismatch, match=match) as caught:
            import_weights(file, name, size=32)
        return caught.value

    short = {k: v for k, v in state.items() if k != "layer2.0.conv1.weight"}
    assert refused(short, "missing: layer2.0.conv1.weight").details["missing"] == [
        "layer2.0.conv1.weight"
    ]
    refused(short, "nearest, iresnet18.*missing: layer2.0.conv1.weight", None)
    refused(state | {"extra.weight": torch.ones(2)}, "unexpected: extra.weight")
    refused(state | {"prelu.weight": torch.ones(3)}, r"prelu.weight is \(3\), the network has \(64")
    refused(state | {"fc.bias": torch.full((32,), torch.nan)}, "NaN or infinite numbers in fc.bias")
    refused(state, r"does not fit the network: missing: layer1.2.bn1.weight.* more", "iresnet34")
    refused({"conv.weight": torch.ones(2, 2)}, "no features.weight")
    torch.save(state, file)
    with pytest.raises(ConfigError, match="no backbone is called 'r18'"):
        import_weights(file, "r18", size=32)
    with pytest.raises(CheckpointMismatch, match=r"at 112 pixels.*fc.weight is \(32, 2048\)"):
        import_weights(file)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("evil"),))


def test_files_that_are_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.pt"
    for content in (b"", b"not weights at all", pickle.dumps({"a": Evil()})):
        file.write_bytes(content)
        with pytest.raises(CheckpointInvalid, match=r"weights\.pt cannot be read"):
            import_weights(file)
    torch.save({"model": Evil()}, file)
    with pytest.raises(CheckpointInvalid, match="without Python objects"):
        import_weights(file)
    assert not (tmp_path / "evil").exists()
    torch.save([1, 2], file)
    with pytest.raises(CheckpointInvalid, match="holds a list"):
        import_weights(file)
    torch.save({"epoch": 3}, file)
    with pytest.raises(CheckpointInvalid, match="holds no tensors"):
        import_weights(file)
    with pytest.raises(CheckpointInvalid, match=r"there is no file gone\.pt"):
        import_weights(tmp_path / "gone.pt")
    with pytest.raises(ModelNotFound, match=r"gone\.pt is not there"):
        load_initial(create_backbone("iresnet18", 32, size=32), tmp_path / "gone.pt")


# the Keras file, written and read as Keras does it: kernels HWIO, maps NHWC


def keras_file(path: Path, root: str = "") -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    layers: dict[str, dict[str, np.ndarray]] = {}

    def conv(name: str, kernel: int, before: int, after: int) -> None:
        scale = (kernel * kernel * before) ** -0.5
        layers[name] = {"kernel": rng.normal(0, scale, (kernel, kernel, before, after))}

    def norm(name: str, channels: int) -> None:
        layers[name] = {
            "gamma": rng.normal(1, 0.2, channels), "beta": rng.normal(0, 0.2, channels),
            "moving_mean": rng.normal(0, 0.2, channels),
            "moving_variance": rng.uniform(0.5, 1.5, channels),
        }  # fmt: skip

    def slope(name: str, channels: int) -> None:
        layers[name] = {"alpha": rng.uniform(0.1, 0.4, (1, 1, channels))}

    conv("conv1_conv", 3, 3, 64), norm("conv1_bn", 64), slope("conv1_prelu", 64)
    before = 64
    for stage, (count, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 2):
        for block in range(1, count + 1):
            b = f"conv{stage}_block{block}"
            if block == 1:
                conv(f"{b}_0_conv", 1, before, width), norm(f"{b}_0_bn", width)
            norm(f"{b}_1_bn", before), conv(f"{b}_1_conv", 3, before, width)
            norm(f"{b}_2_bn", width), slope(f"{b}_1_prelu", width)
            conv(f"{b}_2_conv", 3, width, width), norm(f"{b}_3_bn", width)
            before = width
    norm("batch_normalization_3", 512)
    layers["dense_1"] = {
        "kernel": rng.normal(0, 0.02, (2 * 2 * 512, 64)),
        "bias": rng.normal(size=64),
    }
    norm("embedding", 64)
    with h5py.File(path, "w") as file:
        group = file.require_group(root) if root else file
        for layer, weights in layers.items():
            for name, values in weights.items():
                group[f"{layer}/{layer}/{name}:0"] = values.astype(np.float32)
    return layers


def keras_forward(w: dict[str, dict[str, np.ndarray]], images: Tensor) -> Tensor:
    """(N,3,S,S) uint8 RGB through the layers in NHWC, with Keras' padding and epsilon."""

    def t(layer: str, name: str) -> Tensor:
        return torch.from_numpy(w[layer][name].astype(np.float32))

    def conv(x: Tensor, layer: str, stride: int = 1, pad: int = 1) -> Tensor:
        x = F.pad(x, (0, 0, pad, pad, pad, pad))
        kernel = t(layer, "kernel").permute(3, 2, 0, 1)
        return F.conv2d(x.permute(0, 3, 1, 2), kernel, stride=stride).permute(0, 2, 3, 1)

    def norm(x: Tensor, layer: str) -> Tensor:
        unit = (x - t(layer, "moving_mean")) / torch.sqrt(t(layer, "moving_variance") + 2e-5)
        return unit * t(layer, "gamma") + t(layer, "beta")

    def prelu(x: Tensor, layer: str) -> Tensor:
        return torch.where(x > 0, x, x * t(layer, "alpha"))

    x = (images.permute(0, 2, 3, 1).float() - 127.5) / 128
    x = prelu(norm(conv(x, "conv1_conv"), "conv1_bn"), "conv1_prelu")
    for stage, count in enumerate((3, 4, 6, 3), 2):
        for block in range(1, count + 1):
            b, stride = f"conv{stage}_block{block}", 2 if block == 1 else 1
            side = norm(conv(x, f"{b}_0_conv", 2, 0), f"{b}_0_bn") if block == 1 else x
            y = norm(conv(norm(x, f"{b}_1_bn"), f"{b}_1_conv"), f"{b}_2_bn")
            y = norm(conv(prelu(y, f"{b}_1_prelu"), f"{b}_2_conv", stride), f"{b}_3_bn")
            x = side + y
    x = norm(x, "batch_normalization_3").flatten(1) @ t("dense_1", "kernel") + t("dense_1", "bias")
    return norm(x, "embedding")


def test_the_keras_resnet34_computes_what_it_did_there(tmp_path: Path) -> None:
    layers = keras_file(tmp_path / "arcface_weights.h5")
    images = pixels(32)
    expected = keras_forward(layers, images)
    found = import_weights(tmp_path / "arcface_weights.h5")
    assert (found.name, found.options["size"]) == ("iresnet34", 32)
    torch.testing.assert_close(run(found.backbone, images), expected, rtol=1e-3, atol=1e-3)
    keras_file(tmp_path / "whole.h5", "model_weights")
    again = import_weights(tmp_path / "whole.h5").backbone
    assert torch.equal(run(again, images), run(found.backbone, images))


def test_keras_files_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "other.h5"
    file.write_bytes(b"no HDF5")
    with pytest.raises(CheckpointInvalid, match="HDF5"):
        import_weights(file)
    with h5py.File(file, "w") as content:
        content["block1_conv1/block1_conv1/kernel:0"] = np.ones((3, 3, 3, 8), np.float32)
    with pytest.raises(CheckpointMismatch, match="it also has block1_conv1; it has 0 dense"):
        import_weights(file)
    keras_file(tmp_path / "short.h5")
    with h5py.File(tmp_path / "short.h5", "a") as content:
        del content["conv3_block2_1_conv"]
    with pytest.raises(CheckpointMismatch, match=r"missing: layer2\.1\.conv1"):
        import_weights(tmp_path / "short.h5")

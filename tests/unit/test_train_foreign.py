"""mbf and transformers of arcface_torch, ResNet-50 of torchvision: their names, their numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.test_train_imports import State, bn, pixels, random_state, run
from torch import Tensor
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.backbones import create_backbone
from arcid.train.backbones.resnet import ResNet
from arcid.train.backbones.vit import ArcFaceViT
from arcid.train.weights.imports import import_weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(name="one_thread")
def only_one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def theirs(name: str) -> str:
    """Our name of an entry of mbf as arcface_torch has it."""
    for ours, other in {
        "stem.": "layers.0.layers.", "depthwise.": "layers.1.layers.",
        "last.": "conv_sep.layers.", "gdconv.": "features.layers.0.layers.0.",
        "head.bn.": "features.layers.0.layers.1.", "head.fc.": "features.layers.2.",
        "head.features.": "features.layers.3.",
    }.items():  # fmt: skip
        if name.startswith(ours):
            return other + name.removeprefix(ours)
    found = re.fullmatch(r"blocks\.(\d+)\.(expand|depthwise|project)\.(.*)", name)
    assert found
    block, part = int(found[1]), ("expand", "depthwise", "project").index(found[2])
    starts = {0: (2, None), 5: (4, None), 12: (6, None)}
    stage, number = starts.get(block, (3 if block < 5 else 5 if block < 12 else 7, block))
    if number is None:
        return f"layers.{stage}.layers.{part}.layers.{found[3]}"
    first = {3: 1, 5: 6, 7: 13}[stage]
    return f"layers.{stage}.layers.{block - first}.layers.{part}.layers.{found[3]}"


def mbf(s: State, x: Tensor) -> Tensor:
    """Its forward pass, from its description over the names in its files."""

    def conv(x: Tensor, name: str, stride: int = 1, act: bool = True) -> Tensor:
        weight = s[f"{name}.layers.0.weight"]
        groups = x.shape[1] // weight.shape[1]
        pad = 1 if weight.shape[-1] == 3 else 0
        x = bn(s, f"{name}.layers.1", F.conv2d(x, weight, None, stride, pad, 1, groups), 1e-5)
        return F.prelu(x, s[f"{name}.layers.2.weight"]) if act else x

    def block(x: Tensor, name: str, stride: int) -> Tensor:
        y = conv(conv(x, f"{name}.layers.0"), f"{name}.layers.1", stride)
        y = conv(y, f"{name}.layers.2", act=False)
        return y if stride == 2 else x + y

    x = conv(conv(x, "layers.0", 2), "layers.1")
    for stage, count in ((2, 4), (4, 6), (6, 2)):
        x = block(x, f"layers.{stage}", 2)
        for number in range(count):
            x = block(x, f"layers.{stage + 1}.layers.{number}", 1)
    x = conv(x, "conv_sep")
    x = F.conv2d(x, s["features.layers.0.layers.0.weight"], groups=512)
    x = torch.flatten(bn(s, "features.layers.0.layers.1", x, 1e-5), 1)
    return bn(s, "features.layers.3", F.linear(x, s["features.layers.2.weight"]), 1e-5)


def test_mbf_computes_what_it_did_there(tmp_path: Path) -> None:
    state = {theirs(k): v for k, v in random_state("mbf").items()}
    assert state["layers.1.layers.0.weight"].shape == (128, 2, 3, 3)
    torch.save(state, tmp_path / "model.pt")
    found = import_weights(tmp_path / "model.pt")
    assert (found.name, dict(found.options)) == ("mbf", {"size": 112})
    expected = mbf(state, (pixels(112).float() / 255 - 0.5) / 0.5)
    torch.testing.assert_close(run(found.backbone, pixels(112)), expected, rtol=1e-3, atol=1e-3)


def transformer(s: State, x: Tensor, depth: int, heads: int) -> Tensor:
    x = F.conv2d(x, s["patch_embed.proj.weight"], s["patch_embed.proj.bias"], stride=9)
    x = x.flatten(2).transpose(1, 2) + s["pos_embed"]
    batch, tokens, width = x.shape

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (width,), s[f"{name}.weight"], s[f"{name}.bias"])

    for i in range(depth):
        b = f"blocks.{i}"
        qkv = F.linear(norm(x, f"{b}.norm1"), s[f"{b}.attn.qkv.weight"])
        qkv = qkv.reshape(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        seen = (qkv[0] @ qkv[1].mT * (width // heads) ** -0.5).softmax(-1) @ qkv[2]
        y = seen.transpose(1, 2).reshape(batch, tokens, width)
        x = x + F.linear(y, s[f"{b}.attn.proj.weight"], s[f"{b}.attn.proj.bias"])
        y = F.linear(norm(x, f"{b}.norm2"), s[f"{b}.mlp.fc1.weight"], s[f"{b}.mlp.fc1.bias"])
        x = x + F.linear(y.clamp(0, 6), s[f"{b}.mlp.fc2.weight"], s[f"{b}.mlp.fc2.bias"])
    x = F.linear(norm(x, "norm").flatten(1), s["feature.0.weight"])
    x = F.linear(bn(s, "feature.1", x, 2e-5), s["feature.2.weight"])
    return bn(s, "feature.3", x, 2e-5)


def test_a_transformer_computes_what_it_did_there(tmp_path: Path) -> None:
    state = random_state("vit_t", size=45)
    torch.save({"state_dict_backbone": state}, tmp_path / "checkpoint.pt")
    found = import_weights(tmp_path / "checkpoint.pt", size=45)
    assert found.name == "vit_t"
    expected = transformer(state, (pixels(45).float() / 255 - 0.5) / 0.5, 12, 8)
    torch.testing.assert_close(run(found.backbone, pixels(45)), expected, rtol=1e-3, atol=1e-3)


def test_left_out_tokens_are_stood_in_for() -> None:
    torch.manual_seed(0)
    network = create_backbone("vit_t", 16, size=45, mask=0.4, drop_path=0.0)
    assert isinstance(network, ArcFaceViT)
    tokens = torch.randn(3, 25, 256)
    found = network._masked(tokens)
    assert found.shape == tokens.shape
    away = (found == network.mask_token).all(dim=2)
    assert away.sum(dim=1).tolist() == [10, 10, 10]
    assert not away[0].equal(away[1])
    x = torch.randn(4, 3, 45, 45)
    assert not network.train()(x).equal(network(x))
    assert network.eval()(x).equal(network(x))
    with pytest.raises(ConfigError, match="mask must lie"):
        create_backbone("vit_t", mask=1.0)


def torchvision(classes: int) -> State:
    state = random_state("resnet50", stem="imagenet", pool="avg", size=64)
    trunk = {k: v for k, v in state.items() if not k.startswith("head.")}
    generator = torch.Generator().manual_seed(8)
    return trunk | {
        "fc.weight": torch.randn(classes, 2048, generator=generator) / 45,
        "fc.bias": torch.randn(classes, generator=generator),
    }


def trunk_of(model: ResNet, x: Tensor) -> Tensor:
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
    return x.mean(dim=(2, 3))


def test_a_resnet50_whose_last_layer_is_the_embedding(tmp_path: Path) -> None:
    state = torchvision(96)
    torch.save({"state_dict": state}, tmp_path / "resnet.pth")
    found = import_weights(tmp_path / "resnet.pth", size=64)
    assert (found.name, found.backbone.dim, found.ignored) == ("resnet50", 96, ())
    assert isinstance(found.backbone, ResNet)
    with torch.no_grad():
        features = trunk_of(found.backbone, (pixels(64).float() - 127.5) / 127.5)
        expected = F.linear(features, state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(run(found.backbone, pixels(64)), expected, rtol=1e-3, atol=1e-3)


def test_a_resnet50_of_imagenet_is_a_trunk_that_sees_its_own_pixels(tmp_path: Path) -> None:
    state = torchvision(1000)
    torch.save(state, tmp_path / "resnet50.pth")
    found = import_weights(tmp_path / "resnet50.pth", size=64)
    assert found.ignored == ("fc.weight", "fc.bias") and found.backbone.dim == 512
    assert isinstance(found.backbone, ResNet)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    seen = (pixels(64).float() / 255 - mean) / std
    expected = bn(state, "bn1", F.conv2d(seen, state["conv1.weight"], stride=2, padding=3), 1e-5)
    with torch.no_grad():
        own = found.backbone.bn1(found.backbone.conv1((pixels(64).float() - 127.5) / 127.5))
    inner = (..., slice(2, 30), slice(2, 30))  # away from the padding
    torch.testing.assert_close(own[inner], expected[inner], rtol=1e-3, atol=1e-3)

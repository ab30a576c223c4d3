"""Backbones: names and sizes of published networks, counts, export, options."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from arcid.errors import ConfigError
from arcid.train.backbones import (
    BACKBONES,
    Backbone,
    backbone_costs,
    count_macs,
    count_parameters,
    create_backbone,
    to_channels_last,
)

# one of each family, small enough for a test
SMALL: dict[str, dict[str, Any]] = {
    "iresnet18": {"size": 32},
    "resnet34": {"size": 32},
    "resnet50": {"size": 32, "stem": "imagenet"},
    "mobilefacenet_relu_x0.5": {"size": 48},
    "mobilefacenet_prelu_x0.5": {"size": 48},
    "mobilefacenet_relu6_x0.5": {"size": 48, "end": "flat"},
    "vit_tiny": {"size": 32},
}
CHEAP = [name for name in SMALL if name != "resnet50"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small work: threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(name: str, **options: Any) -> Backbone:
    torch.manual_seed(0)
    return create_backbone(name, 24, **{**SMALL[name], **options})


def faces(model: Backbone, rows: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(rows, 3, model.size, model.size, generator=generator) * 2 - 1


def settled(model: Backbone) -> Backbone:
    """After two training batches, so that running statistics are not those of a fresh network."""
    model.train()
    for _ in range(2):
        model(faces(model, 8))
    return model.eval()


def norm_entries(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for entry in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{entry}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def arcface_torch_state(blocks: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an IResNet in InsightFace's arcface_torch, 112×112 to 512."""
    state: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 3, 3), "prelu.weight": (64,)}
    state.update(norm_entries("bn1", 64))
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        for number in range(count):
            name = f"layer{stage}.{number}"
            state.update(norm_entries(f"{name}.bn1", before))
            state[f"{name}.conv1.weight"] = (width, before, 3, 3)
            state.update(norm_entries(f"{name}.bn2", width))
            state[f"{name}.prelu.weight"] = (width,)
            state[f"{name}.conv2.weight"] = (width, width, 3, 3)
            state.update(norm_entries(f"{name}.bn3", width))
            if number == 0:
                state[f"{name}.downsample.0.weight"] = (width, before, 1, 1)
                state.update(norm_entries(f"{name}.downsample.1", width))
            before = width
    state.update(norm_entries("bn2", 512))
    state["fc.weight"], state["fc.bias"] = (512, 25088), (512,)
    state.update(norm_entries("features", 512))
    return state


@pytest.mark.parametrize(
    ("name", "blocks", "millions"),
    [
        ("iresnet18", (2, 2, 2, 2), 24.02),
        ("iresnet34", (3, 4, 6, 3), 34.14),
        ("iresnet50", (3, 4, 14, 3), 43.59),
        ("iresnet100", (3, 13, 30, 3), 65.15),
        ("iresnet200", (6, 26, 60, 6), 118.83),
    ],
)
def test_iresnets_have_the_names_and_shapes_of_arcface_torch(
    name: str, blocks: tuple[int, ...], millions: float
) -> None:
    with torch.device("meta"):
        model = create_backbone(name)
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == arcface_torch_state(blocks)
    assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=0.011)


def test_a_published_iresnet_computes_what_its_layers_say() -> None:
    """The forward pass written out once more, with functions and a state dict alone."""
    model = settled(small("iresnet18"))
    state, x = model.state_dict(), faces(model)

    def norm(name: str, x: Tensor) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / torch.sqrt(var + 1e-5)
        shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
        return (x - mean.view(shape)) * scale.view(shape) + state[f"{name}.bias"].view(shape)

    def prelu(name: str, x: Tensor) -> Tensor:
        return x.clamp_min(0) + state[f"{name}.weight"].view(1, -1, 1, 1) * x.clamp_max(0)

    def conv(name: str, x: Tensor, stride: int = 1, pad: int = 1) -> Tensor:
        return nn.functional.conv2d(x, state[f"{name}.weight"], None, stride, pad)

    expected = prelu("prelu", norm("bn1", conv("conv1", x)))
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 else 1
            inner = norm(f"{name}.bn2", conv(f"{name}.conv1", norm(f"{name}.bn1", expected)))
            inner = conv(f"{name}.conv2", prelu(f"{name}.prelu", inner), stride)
            if block == 0:
                shortcut = conv(f"{name}.downsample.0", expected, 2, 0)
                expected = norm(f"{name}.downsample.1", shortcut)
            expected = expected + norm(f"{name}.bn3", inner)
    flat = norm("bn2", expected).flatten(1)
    expected = norm("features", flat @ state["fc.weight"].T + state["fc.bias"])
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)


def test_counts_are_those_of_the_papers() -> None:
    mobile = [n for n in BACKBONES if n.startswith("mobilefacenet_prelu")]
    named = ["iresnet50", "iresnet100", "mobilefacenet_relu_x1.0", *mobile]
    costs = {c.name: c for c in backbone_costs(named)}
    assert costs["iresnet50"].macs / 1e9 == pytest.approx(6.31, abs=0.01)
    assert costs["iresnet100"].macs / 1e9 == pytest.approx(12.1, abs=0.05)
    assert costs["mobilefacenet_relu_x1.0"].macs / 1e6 == pytest.approx(221, abs=1)
    widths = [costs[f"mobilefacenet_prelu_x{w}"].macs for w in (0.5, 0.75, 1.0, 1.5, 2.0)]
    assert widths == sorted(widths)
    # table 1 of the paper at 112×96 has 999,552 weights; our last map is 7×7 rather than 7×6
    with torch.device("meta"):
        paper = create_backbone("mobilefacenet_prelu_x1.0", 128)
    assert count_parameters(paper) == 999_552 + 512 * 7


def test_a_transformers_count_holds_its_attention() -> None:
    tokens, width = 14 * 14, 192
    layer = tokens * width * (3 * width + width + 2 * 4 * width) + 2 * tokens**2 * width
    ends = tokens * (width * 3 * 8 * 8 + width * 64 + 64 * 512)
    (cost,) = backbone_costs(["vit_tiny"])
    assert cost.macs == 12 * layer + ends


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the TorchScript exporter itself
@pytest.mark.parametrize("name", SMALL)
def test_exports_to_onnx_with_a_dynamic_batch(name: str) -> None:
    model = settled(small(name))
    file = io.BytesIO()
    torch.onnx.export(
        model, (faces(model, 2),), file, input_names=["input"], output_names=["embedding"],
        dynamic_axes={"input": {0: "batch"}, "embedding": {0: "batch"}}, opset_version=17,
        dynamo=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for rows in (1, 2, 5):
        images = faces(model, rows)
        found = session.run(None, {"input": images.numpy()})[0]
        with torch.no_grad():
            expected = model(images).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CHEAP)
def test_checkpointing_changes_memory_and_nothing_else(name: str) -> None:
    options = {"drop_path": 0.5} if name.startswith("vit") else {}
    plain = small(name, dropout=0.3, **options)
    saving = small(name, dropout=0.3, gradient_checkpointing=True, **options)
    saving.load_state_dict(plain.state_dict())
    kept = []
    for model in (plain, saving):
        sizes: list[int] = []

        def keep(x: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(x.numel())
            return x

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            out = model(faces(model, 4))
        kept.append(sum(sizes))
        out.square().sum().backward()
    assert kept[1] < kept[0] * 0.6
    for (key, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        if a.requires_grad:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5, msg=key)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(value, saving.state_dict()[key], rtol=0, atol=0, msg=key)


@pytest.mark.parametrize("name", CHEAP)
def test_channels_last_changes_the_layout_and_not_the_features(name: str) -> None:
    model = settled(small(name))
    images = faces(model)
    with torch.no_grad():
        expected = model(images)
        moved = to_channels_last(model)
        found = moved(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    spatial = [p for p in moved.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert spatial
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in spatial)


@pytest.mark.parametrize("name", SMALL)
def test_bfloat16_autocast_gives_float32_features_nearby(name: str) -> None:
    model = settled(small(name))
    with torch.no_grad():
        expected = model(faces(model))
        with torch.autocast("cpu", torch.bfloat16):
            found = model(faces(model))
    assert found.dtype == torch.float32
    assert nn.functional.cosine_similarity(found, expected).min() > 0.99


def test_depthwise_convolutions_with_a_stride_stay_float32_on_a_cpu() -> None:
    """Their way back takes many times as long in bf16 there."""
    model = small("mobilefacenet_relu6_x0.5").train()
    kinds: dict[tuple[bool, int], set[torch.dtype]] = {}

    def note(conv: nn.Module, _: object, out: torch.Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        kinds.setdefault((conv.groups > 1, conv.stride[0]), set()).add(out.dtype)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    with torch.autocast("cpu", torch.bfloat16):
        model(faces(model))
    assert kinds.pop((True, 2)) == {torch.float32}
    assert set.union(*kinds.values()) == {torch.bfloat16}


@pytest.mark.parametrize("name", SMALL)
def test_head_ends_in_a_norm_whose_weight_stays_one(name: str) -> None:
    model = small(name).train()
    last = list(model.modules())[-1]
    assert isinstance(last, nn.BatchNorm1d)
    out = model(faces(model, 16))
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(24), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.std(dim=0, correction=0), torch.ones(24), rtol=0, atol=2e-2)
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    out.square().mul(torch.arange(24)).sum().backward()
    optimizer.step()
    assert (last.weight == 1).all()
    assert not last.weight.requires_grad
    assert last.bias.requires_grad


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns(name: str) -> None:
    model = small(name).train()
    out = model(faces(model, 6))
    (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(5))).sum().backward()
    still = [
        key
        for key, p in model.named_parameters()
        if p.requires_grad and (p.grad is None or p.grad.abs().max() == 0)
    ]
    assert still == []


def test_dropout_is_in_the_head() -> None:
    for name in SMALL:
        found = [m.p for m in small(name, dropout=0.4).modules() if isinstance(m, nn.Dropout)]
        assert found == [0.4], name


def test_default_head_is_512_wide_from_112_pixels() -> None:
    model = create_backbone("mobilefacenet_relu_x0.5").eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 112, 112)).shape == (2, 512)
    assert (model.dim, model.size) == (512, 112)


def test_wrong_names_and_options_list_the_right_ones() -> None:
    with pytest.raises(ConfigError, match="no backbone is called 'iresnet51'; known: iresnet18"):
        create_backbone("iresnet51")
    with pytest.raises(ConfigError, match=r"no option widht; known: .*width"):
        create_backbone("mobilefacenet_relu_x1.0", widht=2)
    with pytest.raises(ConfigError, match="no option depth"):
        create_backbone("iresnet50", depth=18)
    with pytest.raises(ConfigError, match="multiple of 16"):
        create_backbone("iresnet18", size=100)
    with pytest.raises(ConfigError, match="multiple of 8"):
        create_backbone("vit_tiny", size=100)
    with pytest.raises(ConfigError, match="stem"):
        create_backbone("resnet34", stem="big")
    with pytest.raises(ConfigError, match="width"):
        create_backbone("mobilefacenet_relu_x1.0", width=0)


@pytest.mark.parametrize("name", ["mobilefacenet_relu_x0.5", "mobilefacenet_prelu_x0.5"])
def test_frozen_norms_give_the_same_numbers_and_gradients_while_training(name: str) -> None:
    """Folded into their convolutions on the way, they are the network of ``eval()``."""
    model = settled(small(name))
    images = faces(model, 4)

    def result() -> tuple[Tensor, dict[str, Tensor]]:
        model.zero_grad()
        out = model(images)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        return out.detach(), {
            key: value.grad.clone()
            for key, value in model.named_parameters()
            if value.grad is not None
        }

    wanted, slopes = result()  # every part in eval
    model.train()
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
    counts = [int(v) for k, v in model.named_buffers() if k.endswith("num_batches_tracked")]
    found, own = result()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert own.keys() == slopes.keys()
    for key, slope in slopes.items():
        torch.testing.assert_close(own[key], slope, rtol=2e-3, atol=2e-4, msg=key)
    assert counts == [int(v) for k, v in model.named_buffers() if k.endswith("num_batches_tracked")]


def test_width_2_with_half_the_expansion_has_the_shapes_of_mbf() -> None:
    model = create_backbone("mobilefacenet_relu6_x2.0", 512, expansion=0.5)
    shapes = [
        (block.expand[0].weight.shape[0], block.project[0].weight.shape[0])
        for block in model.blocks
    ]
    assert shapes == [
        (128, 128), *[(128, 128)] * 4, (256, 256), *[(256, 256)] * 6, (512, 256), *[(256, 256)] * 2,
    ]  # fmt: skip
    flat = create_backbone("mobilefacenet_relu6_x2.0", 256, expansion=0.5, end="flat")
    assert count_parameters(flat) < 3_000_000  # 6 MB as fp16
    assert count_macs(flat, 112) < 450_000_000
    with pytest.raises(ConfigError, match="end must be gdconv or flat"):
        create_backbone("mobilefacenet_relu6_x2.0", end="round")

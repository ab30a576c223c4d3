"""Keras weights → ONNX, judged by the same networks written a second time with PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest

from arcid.errors import CheckpointMismatch

torch = pytest.importorskip("torch", reason="the second opinion needs torch")
h5py = pytest.importorskip("h5py", reason="reading Keras files: pip install 'arcid[import-keras]'")
F = torch.nn.functional


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    return importlib.import_module("convert_keras")


class Second:
    """Makes a layer's random weights when it is first used, and uses them."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)
        self.layers: dict[str, dict[str, np.ndarray]] = {}

    def weight(self, layer: str, name: str, shape: tuple[int, ...], low: float = -1.0) -> Any:
        fan_in = np.prod(shape[:2] if name == "depthwise_kernel" else shape[:-1])
        spread = np.sqrt(6 / fan_in) if name.endswith("kernel") else 0.1
        drawn = self.rng.uniform(low, 1, shape) * spread + (1.0 if low == 0 else 0.0)
        self.layers.setdefault(layer, {})[name] = drawn.astype(np.float32)
        return torch.from_numpy(self.layers[layer][name])

    def conv(self, x: Any, layer: str, wide: int, side: tuple[int, int] = (1, 1), *,
             stride: int = 1, pad: bool = True, bias: bool = False) -> Any:  # fmt: skip
        kernel = self.weight(layer, "kernel", (*side, x.shape[1], wide)).permute(3, 2, 0, 1)
        shift = self.weight(layer, "bias", (wide,)) if bias else None
        padding = tuple(k // 2 for k in side) if pad else 0
        return F.conv2d(x, kernel, shift, stride, padding)

    def norm(self, x: Any, layer: str, *, gamma: bool = False, eps: float = 1e-3) -> Any:
        wide = (x.shape[1],)
        mean, beta = self.weight(layer, "moving_mean", wide), self.weight(layer, "beta", wide)
        variance = self.weight(layer, "moving_variance", wide, low=0)
        scale = self.weight(layer, "gamma", wide, low=0) if gamma else None
        return F.batch_norm(x, mean, variance, scale, beta, eps=eps)

    def depth(self, x: Any, layer: str, side: int, stride: int = 1, pad: bool = True) -> Any:
        """Padded as TensorFlow does: as much as is needed, the odd pixel behind."""
        kernel = self.weight(layer, "depthwise_kernel", (side, side, x.shape[1], 1))
        if pad:
            rows = x.shape[2]
            whole = max((-(-rows // stride) - 1) * stride + side - rows, 0)
            before = whole // 2
            x = F.pad(x, (before, whole - before) * 2)
        return F.conv2d(x, kernel.permute(2, 3, 0, 1), None, stride, groups=x.shape[1])

    def prelu(self, x: Any, layer: str) -> Any:
        return F.prelu(x, self.weight(layer, "alpha", (1, 1, x.shape[1])).reshape(-1))

    def unit(
        self, x: Any, layer: str, wide: int, side: tuple[int, int] = (1, 1), **how: Any
    ) -> Any:
        return F.relu(self.norm(self.conv(x, layer, wide, side, **how), f"{layer}_BatchNorm"))

    def save(self, path: Path) -> Path:
        with h5py.File(path, "w") as file:
            for layer, weights in self.layers.items():
                for name, values in weights.items():
                    file[f"{layer}/{layer}/{name}:0"] = values
        return path


def residual(s: Second, x: Any, name: str, branch: str, sides: Any, scale: float, act: bool) -> Any:
    ends = [s.unit(x, f"{name}_Branch_0_Conv2d_1x1", 3)]
    for number, parts in enumerate(sides, 1):
        y = x
        for letter, side in zip("abc", parts, strict=False):
            own = branch or f"Branch_{number}"
            y = s.unit(y, f"{name}_{own}_Conv2d_0{letter}_{side[0]}x{side[1]}", 3, side)
        ends.append(y)
    up = s.conv(torch.cat(ends, 1), f"{name}_Conv2d_1x1", x.shape[1], bias=True)
    return F.relu(x + scale * up) if act else x + scale * up


def facenet(s: Second, pixels: Any, dim: int) -> Any:
    three = (3, 3)
    x = s.unit(pixels, "Conv2d_1a_3x3", 4, three, stride=2, pad=False)
    x = s.unit(x, "Conv2d_2a_3x3", 4, three, pad=False)
    x = F.max_pool2d(s.unit(x, "Conv2d_2b_3x3", 5, three), 3, 2)
    x = s.unit(s.unit(x, "Conv2d_3b_1x1", 4), "Conv2d_4a_3x3", 6, three, pad=False)
    x = s.unit(x, "Conv2d_4b_3x3", 8, three, stride=2, pad=False)
    for n in range(1, 6):
        sides = (((1, 1), three), ((1, 1), three, three))
        x = residual(s, x, f"Block35_{n}", "", sides, 0.17, True)
    a = s.unit(x, "Mixed_6a_Branch_0_Conv2d_1a_3x3", 4, three, stride=2, pad=False)
    b = s.unit(x, "Mixed_6a_Branch_1_Conv2d_0a_1x1", 3)
    b = s.unit(b, "Mixed_6a_Branch_1_Conv2d_0b_3x3", 3, three)
    b = s.unit(b, "Mixed_6a_Branch_1_Conv2d_1a_3x3", 4, three, stride=2, pad=False)
    x = torch.cat([a, b, F.max_pool2d(x, 3, 2)], 1)
    for n in range(1, 11):
        x = residual(s, x, f"Block17_{n}", f"Branch_{n}", [((1, 1), (1, 7), (7, 1))], 0.1, True)
    ends = []
    for number in range(3):
        y = s.unit(x, f"Mixed_7a_Branch_{number}_Conv2d_0a_1x1", 3)
        if number == 2:
            y = s.unit(y, "Mixed_7a_Branch_2_Conv2d_0b_3x3", 3, three)
        last = f"Mixed_7a_Branch_{number}_Conv2d_1a_3x3"
        ends.append(s.unit(y, last, 4, three, stride=2, pad=False))
    x = torch.cat([*ends, F.max_pool2d(x, 3, 2)], 1)
    for n in range(1, 7):
        own = f"Branch_{1 if n == 6 else n}"
        scale = 1.0 if n == 6 else 0.2
        x = residual(s, x, f"Block8_{n}", own, [((1, 1), (1, 3), (3, 1))], scale, n < 6)
    x = x.mean((2, 3))
    x = x @ s.weight("Bottleneck", "kernel", (x.shape[1], dim))
    return s.norm(x, "Bottleneck_BatchNorm")


def vggface(s: Second, pixels: Any, dim: int) -> Any:
    x, number = pixels, 0
    for stage, count in enumerate((2, 2, 3, 3, 3)):
        for _ in range(count):
            number += 1
            x = F.relu(s.conv(x, f"conv2d_{number}", 3 + stage, (3, 3), bias=True))
        x = F.max_pool2d(x, 2)
    x = F.relu(s.conv(x, "conv2d_14", 20, (7, 7), pad=False, bias=True))
    x = F.relu(s.conv(x, "conv2d_15", dim, bias=True))
    s.conv(x, "conv2d_16", 9, bias=True)  # the classifier
    return x.flatten(1)


def openface(s: Second, pixels: Any, dim: int) -> Any:
    def unit(x: Any, conv: str, norm: str, wide: int, side: int = 1, stride: int = 1) -> Any:
        x = s.conv(x, conv, wide, (side, side), stride=stride, bias=True)
        return F.relu(s.norm(x, norm, gamma=True, eps=1e-5))

    def lrn(x: Any) -> Any:
        square = F.pad(x**2, (0, 0, 0, 0, 5, 5))
        return x / (1 + 1e-4 * square.unfold(1, 11, 1).sum(-1)) ** 0.75

    def module(x: Any, which: str, pool: str, pads: Any, sides: Any, *, stride: int = 1) -> Any:
        name, ends = f"inception_{which}", []
        for number, side in enumerate(sides):
            own = f"{name}_{side}x{side}"
            y = unit(x, f"{own}_conv1", f"{own}_bn1", 3 + number)
            ends.append(unit(y, f"{own}_conv2", f"{own}_bn2", 4, side, stride))
        y = F.max_pool2d(x, 3, 2) if pool == "max" else F.lp_pool2d(x, 2, 3, 3)
        if stride == 1:
            y = unit(y, f"{name}_pool_conv", f"{name}_pool_bn", 3)
        ends.append(F.pad(y, pads * 2))
        if stride == 1:
            ends.append(unit(x, f"{name}_1x1_conv", f"{name}_1x1_bn", 4))
        return torch.cat(ends, 1)

    x = F.max_pool2d(unit(pixels, "conv1", "bn1", 5, 7, 2), 3, 2, padding=1)
    x = unit(unit(lrn(x), "conv2", "bn2", 5), "conv3", "bn3", 12, 3)
    x = F.max_pool2d(lrn(x), 3, 2, padding=1)
    x = module(x, "3a", "max", (3, 4), (3, 5))
    x = module(x, "3b", "l2", (4, 4), (3, 5))
    x = module(x, "3c", "max", (0, 1), (3, 5), stride=2)
    x = module(x, "4a", "l2", (2, 2), (3, 5))
    x = module(x, "4e", "max", (0, 1), (3, 5), stride=2)
    x = module(x, "5a", "l2", (1, 1), (3,))
    x = F.avg_pool2d(module(x, "5b", "max", (1, 1), (3,)), 3).flatten(1)
    made = x @ s.weight("dense_layer", "kernel", (x.shape[1], dim))
    return F.normalize(made + s.weight("dense_layer", "bias", (dim,)))


#: GhostNet's blocks: side of the depthwise layer, wide, out, weighed, stride.
BLOCKS = (
    (3, 8, 8, 0, 1), (3, 12, 10, 0, 2), (3, 12, 10, 0, 1), (5, 12, 12, 4, 2), (5, 14, 12, 4, 1),
    (3, 16, 14, 0, 2), (3, 16, 14, 0, 1), (3, 12, 14, 0, 1), (3, 12, 14, 0, 1), (3, 16, 16, 5, 1),
    (3, 18, 16, 5, 1), (5, 18, 18, 5, 2), (5, 18, 18, 0, 1), (5, 18, 18, 6, 1), (5, 18, 18, 0, 1),
    (5, 18, 18, 6, 1),
)  # fmt: skip


def ghostfacenet(s: Second, pixels: Any, dim: int) -> Any:
    counts: dict[str, int] = {}

    def named(kind: str) -> str:
        counts[kind] = counts.get(kind, 6) + 1  # Keras counts on where a network was made before
        return f"{kind}_{counts[kind]}"

    def norm(x: Any) -> Any:
        return s.norm(x, named("batch_normalization"), gamma=True)

    def conv(x: Any, wide: int, side: int = 1) -> Any:
        return norm(s.conv(x, named("conv2d"), wide, (side, side)))

    def depth(x: Any, side: int, stride: int = 1) -> Any:
        return norm(s.depth(x, named("depthwise_conv2d"), side, stride))

    def act(x: Any) -> Any:
        return s.prelu(x, named("activation"))

    def ghost(x: Any, out: int, active: bool) -> Any:
        few = conv(x, out // 2)
        few = act(few) if active else few
        more = depth(few, 3)
        return torch.cat([few, act(more) if active else more], 1)

    x = act(conv(pixels, 8, 3))
    for side, wide, out, weighed, stride in BLOCKS:
        start, x = x, ghost(x, wide, True)
        x = depth(x, side, stride) if stride > 1 else x
        if weighed:
            seen = s.conv(x.mean((2, 3), keepdim=True), named("conv2d"), weighed, bias=True)
            share = s.conv(act(seen), named("conv2d"), x.shape[1], bias=True)
            counts["activation"] += 1  # a hard sigmoid, which has no weights
            x = x * torch.clip(0.2 * share + 0.5, 0, 1)
        x = ghost(x, out, False)
        if stride > 1 or start.shape[1] != out:
            start = conv(depth(start, side, stride), out)
        x = start + x
    x = s.depth(act(conv(x, 20)), "GDC_dw", 7, pad=False)
    x = s.conv(s.norm(x, "GDC_batchnorm", gamma=True), "GDC_conv", dim, bias=True)
    return s.norm(x.flatten(1), "pre_embedding", gamma=True)


@pytest.mark.parametrize(
    ("kind", "second", "size", "dim"),
    [
        ("facenet", facenet, 160, 32),
        ("vggface", vggface, 224, 24),
        ("openface", openface, 96, 16),
        ("ghostfacenet", ghostfacenet, 112, 24),
    ],
)
def test_it_computes_what_the_network_does(
    keras: ModuleType, tmp_path: Path, kind: str, second: Callable[..., Any], size: int, dim: int,
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pixels = np.random.default_rng(2).random((2, size, size, 3)).astype(np.float32)
    network = Second()
    expected = second(network, torch.from_numpy(pixels).permute(0, 3, 1, 2), dim).numpy()
    source, target = network.save(tmp_path / "weights.h5"), tmp_path / f"{kind}.onnx"
    assert keras.convert(kind, source, target) == dim
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": pixels})
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    (swapped,) = session.run(None, {"input": pixels[..., ::-1].copy()})
    assert np.abs(swapped - expected).max() > 1e-2 * np.abs(expected).max()

    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    told = ("--name", "mine", "--like", "deepface", "--size", size, "--dim", dim, "--json")
    ran = cli("models", "import", target, *told)
    assert ran.code == 0, ran.out + ran.err
    shown = cli("models", "info", "mine", "--json").json["manifest"]
    assert (shown["input"]["layout"], shown["input"]["colour"]) == ("NHWC", "BGR")
    assert (shown["template"], shown["output"]["dim"]) == ("box", dim)


def test_another_network_is_refused_by_name(keras: ModuleType, tmp_path: Path) -> None:
    network = Second()
    vggface(network, torch.zeros(1, 3, 224, 224), 24)
    source = network.save(tmp_path / "weights.h5")
    with pytest.raises(CheckpointMismatch, match="has no Conv2d_1a_3x3/kernel"):
        keras.convert("facenet", source, tmp_path / "out.onnx")
    network.layers["dense_1"] = {"kernel": np.ones((2, 2), np.float32)}
    with pytest.raises(CheckpointMismatch, match="vggface has not: dense_1"):
        keras.convert("vggface", network.save(tmp_path / "more.h5"), tmp_path / "out.onnx")
    del network.layers["dense_1"], network.layers["conv2d_15"], network.layers["conv2d_16"]
    with pytest.raises(CheckpointMismatch, match="14 convolutions"):
        keras.convert("vggface", network.save(tmp_path / "few.h5"), tmp_path / "out.onnx")
    with pytest.raises(CheckpointMismatch, match="has no conv1/kernel"):
        keras.convert("openface", source, tmp_path / "out.onnx")
    with pytest.raises(CheckpointMismatch, match="fewer layers than GhostFaceNetV1"):
        keras.convert("ghostfacenet", source, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()

"""ONNX networks with random weights for timing: ReLU MobileFaceNet and IResNet-50.

Both are written as an exporter leaves them: a batch norm behind a convolution is folded into it,
one in front of a padded convolution stays. Time depends on the graph, not on what it has learnt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
SIZE = 112


class GraphBuilder:
    """Appends layers to a graph and counts parameters and multiply-accumulates of one image."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self.parameters = 0
        self.macs = 0

    def conv(
        self,
        x: str,
        inputs: int,
        outputs: int,
        size: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        pad: int | None = None,
    ) -> tuple[str, int]:
        """A biased convolution on a (N,inputs,size,size) tensor; its name and new size."""
        pad = kernel // 2 if pad is None else pad
        fan_in = inputs // groups * kernel * kernel
        weight = self._normal((outputs, inputs // groups, kernel, kernel), fan_in)
        bias = self._weight(self._random.normal(0, 0.05, outputs))
        after = (size + 2 * pad - kernel) // stride + 1
        self.macs += outputs * fan_in * after * after
        return self._node(
            "Conv",
            [x, weight, bias],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[pad] * 4,
            group=groups,
        ), after

    def relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def prelu(self, x: str, channels: int) -> str:
        slope = self._weight(np.full((channels, 1, 1), 0.25))
        return self._node("PRelu", [x, slope])

    def add(self, x: str, y: str) -> str:
        return self._node("Add", [x, y])

    def batch_norm(self, x: str, channels: int) -> str:
        normal = self._random.normal
        scale, shift = normal(1, 0.05, channels), normal(0, 0.05, channels)
        mean, variance = normal(0, 0.05, channels), np.abs(normal(1, 0.05, channels))
        names = [self._weight(v) for v in (scale, shift, mean, variance)]
        self.parameters -= 2 * channels  # mean and variance are not learnt
        return self._node("BatchNormalization", [x, *names], epsilon=1e-5)

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Flatten, then a matrix product."""
        flat = self._node("Flatten", [x], axis=1)
        weight = self._normal((outputs, inputs), inputs)
        bias = self._weight(np.zeros(outputs))
        self.macs += inputs * outputs
        return self._node("Gemm", [flat, weight, bias], transB=1)

    def model(self, name: str, output: str, dim: int) -> onnx.ModelProto:
        """The finished model: ``input`` (N,3,112,112) in, ``output`` (N,dim) out."""
        self._nodes.append(helper.make_node("Identity", [output], ["output"]))
        images = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
        vectors = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", dim])
        graph = helper.make_graph(self._nodes, name, [images], [vectors], self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _weight(self, values: Any) -> str:
        name = f"w{len(self._weights)}"
        array = np.ascontiguousarray(values, np.float32)
        self.parameters += array.size
        self._weights.append(numpy_helper.from_array(array, name))
        return name

    def _normal(self, shape: tuple[int, ...], fan_in: int) -> str:
        values = self._random.standard_normal(shape, np.float32)
        return self._weight(values * np.float32((2 / fan_in) ** 0.5))


def mobilefacenet(dim: int = 512, seed: int = 0) -> tuple[onnx.ModelProto, GraphBuilder]:
    """MobileFaceNet at the widths of InsightFace's ``w600k_mbf`` with ReLU: 437 M MACs."""
    g = GraphBuilder(seed)
    x, size = g.conv("input", 3, 128, SIZE, stride=2)
    x, size = g.conv(g.relu(x), 128, 128, size, groups=64)
    x, channels = g.relu(x), 128
    for outputs, wide_first, wide, repeats in (
        (128, 128, 128, 4),
        (256, 256, 256, 6),
        (256, 512, 256, 2),
    ):
        x, size = _bottleneck(g, x, channels, outputs, wide_first, size, 2)
        channels = outputs
        for _ in range(repeats):
            y, _ = _bottleneck(g, x, channels, channels, wide, size, 1)
            x = g.add(x, y)
    x = _global_depthwise(g, x, channels, size)
    return g.model("mobilefacenet", g.linear(x, 512, dim), dim), g


def mobilefacenet_1x(dim: int = 512, seed: int = 0) -> tuple[onnx.ModelProto, GraphBuilder]:
    """MobileFaceNet at its paper's widths (Chen et al. 2018, table 1) with ReLU: 221 M MACs."""
    g = GraphBuilder(seed)
    x, size = g.conv("input", 3, 64, SIZE, stride=2)
    x, size = g.conv(g.relu(x), 64, 64, size, groups=64)
    x, channels = g.relu(x), 64
    for expand, outputs, repeats, stride in (
        (2, 64, 5, 2),
        (4, 128, 1, 2),
        (2, 128, 6, 1),
        (4, 128, 1, 2),
        (2, 128, 2, 1),
    ):
        for index in range(repeats):
            step = stride if index == 0 else 1
            y, size = _bottleneck(g, x, channels, outputs, channels * expand, size, step)
            x = g.add(x, y) if step == 1 and channels == outputs else y
            channels = outputs
    x = _global_depthwise(g, x, channels, size)
    return g.model("mobilefacenet_1x", g.linear(x, 512, dim), dim), g


def _bottleneck(
    g: GraphBuilder, x: str, inputs: int, outputs: int, wide: int, size: int, stride: int
) -> tuple[str, int]:
    x, _ = g.conv(x, inputs, wide, size, kernel=1)
    x, after = g.conv(g.relu(x), wide, wide, size, stride=stride, groups=wide)
    x, _ = g.conv(g.relu(x), wide, outputs, after, kernel=1)
    return x, after


def _global_depthwise(g: GraphBuilder, x: str, channels: int, size: int) -> str:
    x, _ = g.conv(x, channels, 512, size, kernel=1)
    x, _ = g.conv(g.relu(x), 512, 512, size, kernel=size, groups=512, pad=0)
    return x


def iresnet(
    layers: tuple[int, int, int, int], dim: int = 512, seed: int = 0
) -> tuple[onnx.ModelProto, GraphBuilder]:
    """Improved residual network with PReLU (Duta et al. 2020; ArcFace), ``layers`` blocks each."""
    g = GraphBuilder(seed)
    x, size = g.conv("input", 3, 64, SIZE)
    x, channels = g.prelu(x, 64), 64
    for outputs, repeats in zip((64, 128, 256, 512), layers, strict=True):
        for index in range(repeats):
            stride, skip = (2 if index == 0 else 1), x
            x = g.batch_norm(x, channels)
            x, _ = g.conv(x, channels, outputs, size)
            x, after = g.conv(g.prelu(x, outputs), outputs, outputs, size, stride=stride)
            if stride == 2:
                skip, _ = g.conv(skip, channels, outputs, size, kernel=1, stride=stride, pad=0)
            x, channels, size = g.add(x, skip), outputs, after
    x = g.linear(g.batch_norm(x, channels), channels * size * size, dim)
    return g.model("iresnet", g.batch_norm(x, dim), dim), g


def iresnet50(dim: int = 512, seed: int = 0) -> tuple[onnx.ModelProto, GraphBuilder]:
    """IResNet-50: 6.3 G multiply-accumulates and 43.6 M parameters at 512-d."""
    return iresnet((3, 4, 14, 3), dim, seed)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write the model and return its path."""
    onnx.save_model(model, str(path))
    return path


NETWORKS = {
    "mobilefacenet": mobilefacenet,
    "mobilefacenet_1x": mobilefacenet_1x,
    "iresnet50": iresnet50,
}

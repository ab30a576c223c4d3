"""An ONNX graph that grows by the layers of a Keras file, for ``convert_keras``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from arcid.errors import CheckpointMismatch
from arcid.train.weights.keras import Layers

OPSET = 17
EPS = 1e-3
Weights = npt.NDArray[np.float32]


class Graph:
    """An ONNX graph as it grows; values go by name."""

    def __init__(self, layers: Layers, source: str) -> None:
        self.layers, self.source = layers, source
        self.used: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.wide = 0  # channels of the last convolution

    def named(self, pattern: str) -> list[str]:
        """Layers of one kind in the order they were made in, which Keras counts in their names."""
        found = [name for name in self.layers if re.fullmatch(rf"({pattern})(_\d+)?", name)]
        return sorted(found, key=lambda name: int((re.findall(r"_(\d+)$", name) or ["0"])[0]))

    def of(self, layer: str, weight: str) -> Weights:
        """Raises ``CheckpointMismatch`` where the file lacks it."""
        try:
            found = self.layers[layer][weight]
        except KeyError:
            raise CheckpointMismatch(
                f"{self.source} has no {layer}/{weight}; it holds another network"
            ) from None
        self.used.add(layer)
        return found

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def keep(self, values: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        name = f"c{len(self.constants)}"
        made = np.ascontiguousarray(np.asarray(values, kind))
        self.constants.append(numpy_helper.from_array(made, name))
        return name

    def conv(self, x: str, layer: str, *, stride: int = 1, same: bool = False) -> str:
        kernel = self.of(layer, "kernel")  # HWIO
        inputs = [x, self.keep(kernel.transpose(3, 2, 0, 1))]
        if "bias" in self.layers[layer]:
            inputs.append(self.keep(self.of(layer, "bias")))
        sides = [(k - 1) // 2 if same else 0 for k in kernel.shape[:2]]
        self.wide = int(kernel.shape[3])
        return self.add("Conv", inputs, strides=[stride] * 2, pads=sides * 2)

    def depthwise(self, x: str, layer: str, *, stride: int = 1, same: bool = True) -> str:
        """A convolution a channel; padded as TensorFlow does, the odd pixel behind."""
        kernel = self.of(layer, "depthwise_kernel")  # HWC1
        weights, self.wide = self.keep(kernel.transpose(2, 3, 0, 1)), int(kernel.shape[2])
        return self.add("Conv", [x, weights], strides=[stride] * 2, group=kernel.shape[2],
                        auto_pad="SAME_UPPER" if same else "VALID")  # fmt: skip

    def norm(self, x: str, layer: str, *, flat: bool = False, eps: float = EPS) -> str:
        """Batch normalisation, with gamma where the layer has one, as one product and sum."""
        scale = 1 / np.sqrt(self.of(layer, "moving_variance") + eps)
        if "gamma" in self.layers[layer]:
            scale = scale * self.of(layer, "gamma")
        shift = self.of(layer, "beta") - self.of(layer, "moving_mean") * scale
        shape = (-1,) if flat else (1, -1, 1, 1)
        scaled = self.add("Mul", [x, self.keep(scale.reshape(shape))])
        return self.add("Add", [scaled, self.keep(shift.reshape(shape))])

    def relu(self, x: str) -> str:
        return self.add("Relu", [x])

    def prelu(self, x: str, layer: str) -> str:
        return self.add("PRelu", [x, self.keep(self.of(layer, "alpha").reshape(-1, 1, 1))])

    def pool(self, x: str, side: int, stride: int, *, pad: int = 0) -> str:
        return self.add(
            "MaxPool", [x], kernel_shape=[side] * 2, strides=[stride] * 2, pads=[pad] * 4
        )

    def pad(self, x: str, before: int, after: int) -> str:
        """Zeros around rows and columns."""
        sides = np.array([0, 0, before, before, 0, 0, after, after])
        return self.add("Pad", [x, self.keep(sides, np.int64)])

    def model(self, size: int, output: str) -> onnx.ModelProto:
        pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", size, size, 3])
        made = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", None])
        nodes = [*self.nodes, helper.make_node("Identity", [output], ["embedding"])]
        graph = helper.make_graph(nodes, "recogniser", [pixels], [made], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

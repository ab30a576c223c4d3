"""Keras weights of older recognisers → ONNX, without TensorFlow.

    python scripts/convert_keras.py facenet facenet_weights.h5 facenet.onnx
    arcid models import facenet.onnx --name facenet --like deepface --size 160 --dim 128

``vggface`` is the 16-layer VGG-Face (its vector: the second layer of 4096), ``facenet`` the
Inception-ResNet-v1 of FaceNet, of 128 or 512 numbers. The files hold weights alone, so the networks
are built here, by the names and order of the layers; widths are read from the file. What comes out
takes (N,S,S,3) as deepface feeds it and is run once before it is written.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from arcid import files
from arcid.errors import ArcidError, CheckpointMismatch
from arcid.train.weights.keras import Layers, keras_layers

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

    def keep(self, values: npt.ArrayLike) -> str:
        name = f"c{len(self.constants)}"
        made = np.ascontiguousarray(np.asarray(values, np.float32))
        self.constants.append(numpy_helper.from_array(made, name))
        return name

    def conv(self, x: str, layer: str, *, stride: int = 1, same: bool = False) -> str:
        kernel = self.of(layer, "kernel")  # HWIO
        inputs = [x, self.keep(kernel.transpose(3, 2, 0, 1))]
        if "bias" in self.layers[layer]:
            inputs.append(self.keep(self.of(layer, "bias")))
        sides = [(k - 1) // 2 if same else 0 for k in kernel.shape[:2]]
        return self.add("Conv", inputs, strides=[stride] * 2, pads=sides * 2)

    def norm(self, x: str, layer: str, *, flat: bool = False) -> str:
        """Batch normalisation without gamma, as one product and sum."""
        scale = 1 / np.sqrt(self.of(layer, "moving_variance") + EPS)
        shift = self.of(layer, "beta") - self.of(layer, "moving_mean") * scale
        shape = (-1,) if flat else (1, -1, 1, 1)
        scaled = self.add("Mul", [x, self.keep(scale.reshape(shape))])
        return self.add("Add", [scaled, self.keep(shift.reshape(shape))])

    def relu(self, x: str) -> str:
        return self.add("Relu", [x])

    def pool(self, x: str, side: int, stride: int) -> str:
        return self.add("MaxPool", [x], kernel_shape=[side] * 2, strides=[stride] * 2)

    def model(self, size: int, output: str) -> onnx.ModelProto:
        pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", size, size, 3])
        made = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", None])
        nodes = [*self.nodes, helper.make_node("Identity", [output], ["embedding"])]
        graph = helper.make_graph(nodes, "recogniser", [pixels], [made], self.constants)
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


def vggface(g: Graph) -> tuple[int, str]:
    """Thirteen 3 × 3 convolutions in five stages, one of 7 × 7, one of 1 × 1; the classifier, a
    last one, is left out."""
    convs = sorted(
        (name for name in g.layers if re.fullmatch(r"(convolution|conv)2d(_\d+)?", name)),
        key=lambda name: int(name.rpartition("_")[2] if "_" in name else 0),
    )
    if len(convs) not in (15, 16):
        raise CheckpointMismatch(f"{g.source} has {len(convs)} convolutions; VGG-Face has 16")
    x, left = g.add("Transpose", ["input"], perm=[0, 3, 1, 2]), iter(convs)
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            x = g.relu(g.conv(x, next(left), same=True))
        x = g.pool(x, 2, 2)
    for _ in range(2):
        x = g.relu(g.conv(x, next(left)))
    g.used.update(left)
    return 224, g.add("Flatten", [x])


def facenet(g: Graph) -> tuple[int, str]:
    """Inception-ResNet-v1 (Szegedy et al. 2016), as FaceNet's were trained."""

    def unit(x: str, layer: str, *, stride: int = 1, same: bool = True) -> str:
        return g.relu(g.norm(g.conv(x, layer, stride=stride, same=same), f"{layer}_BatchNorm"))

    def chain(x: str, prefix: str, *parts: str) -> str:
        for part in parts:
            reduces = part.startswith("1a")
            x = unit(x, f"{prefix}_Conv2d_{part}", stride=1 + reduces, same=not reduces)
        return x

    def block(x: str, name: str, scale: float, active: bool, *branches: Sequence[str]) -> str:
        ends = [chain(x, f"{name}_Branch_0", "1x1")]
        for number, parts in enumerate(branches, 1):
            own = f"{name}_Branch_{number}"
            if f"{own}_Conv2d_{parts[0]}" not in g.layers:  # some files count the block here
                own = f"{name}_Branch_{name.rpartition('_')[2]}"
            ends.append(chain(x, own, *parts))
        up = g.conv(g.add("Concat", ends, axis=1), f"{name}_Conv2d_1x1")
        x = g.add("Add", [x, g.add("Mul", [up, g.keep(scale)])])
        return g.relu(x) if active else x

    x = g.add("Transpose", ["input"], perm=[0, 3, 1, 2])
    x = unit(x, "Conv2d_1a_3x3", stride=2, same=False)
    x = unit(unit(x, "Conv2d_2a_3x3", same=False), "Conv2d_2b_3x3")
    x = unit(g.pool(x, 3, 2), "Conv2d_3b_1x1")
    x = unit(unit(x, "Conv2d_4a_3x3", same=False), "Conv2d_4b_3x3", stride=2, same=False)
    for n in range(1, 6):
        parts = (("0a_1x1", "0b_3x3"), ("0a_1x1", "0b_3x3", "0c_3x3"))
        x = block(x, f"Block35_{n}", 0.17, True, *parts)
    ends = [chain(x, "Mixed_6a_Branch_0", "1a_3x3"),
            chain(x, "Mixed_6a_Branch_1", "0a_1x1", "0b_3x3", "1a_3x3")]  # fmt: skip
    x = g.add("Concat", [*ends, g.pool(x, 3, 2)], axis=1)
    for n in range(1, 11):
        x = block(x, f"Block17_{n}", 0.1, True, ("0a_1x1", "0b_1x7", "0c_7x1"))
    ends = [chain(x, "Mixed_7a_Branch_0", "0a_1x1", "1a_3x3"),
            chain(x, "Mixed_7a_Branch_1", "0a_1x1", "1a_3x3"),
            chain(x, "Mixed_7a_Branch_2", "0a_1x1", "0b_3x3", "1a_3x3")]  # fmt: skip
    x = g.add("Concat", [*ends, g.pool(x, 3, 2)], axis=1)
    for n in range(1, 7):
        last = n == 6
        x = block(x, f"Block8_{n}", 1.0 if last else 0.2, not last, ("0a_1x1", "0b_1x3", "0c_3x1"))
    x = g.add("Flatten", [g.add("GlobalAveragePool", [x])])
    x = g.add("MatMul", [x, g.keep(g.of("Bottleneck", "kernel"))])
    return 160, g.norm(x, "Bottleneck_BatchNorm", flat=True)


NETWORKS: dict[str, Callable[[Graph], tuple[int, str]]] = {"vggface": vggface, "facenet": facenet}


def convert(kind: str, source: Path, target: Path) -> int:
    """Write the ONNX file; how many numbers a vector has. Raises ``CheckpointInvalid``,
    ``CheckpointMismatch``, ``MissingExtra``."""
    graph = Graph(keras_layers(source), source.name)
    size, output = NETWORKS[kind](graph)
    if left := sorted(set(graph.layers) - graph.used):
        raise CheckpointMismatch(
            f"{source.name} holds layers that {kind} has not: {', '.join(left[:5])}"
        )
    made = graph.model(size, output).SerializeToString()
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    (vector,) = session.run(None, {"input": np.full((1, size, size, 3), 0.5, np.float32)})
    if not np.isfinite(vector).all():
        raise CheckpointMismatch(f"{source.name} makes vectors that are not finite")
    files.write_bytes(target, made)
    return int(np.shape(vector)[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=sorted(NETWORKS))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    try:
        dim = convert(options.kind, options.source, options.target)
    except ArcidError as error:
        print(error.message, file=sys.stderr)
        return 4
    print(f"{options.target}: vectors of {dim} numbers; now arcid models import")
    return 0


if __name__ == "__main__":
    sys.exit(main())

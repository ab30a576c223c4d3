"""Keras weights of older recognisers → ONNX, without TensorFlow.

    python scripts/convert_keras.py facenet facenet_weights.h5 facenet.onnx
    arcid models import facenet.onnx --name facenet --like deepface --size 160 --dim 128

``vggface`` is the 16-layer VGG-Face (its vector: the second layer of 4096), ``facenet`` the
Inception-ResNet-v1 of FaceNet, of 128 or 512 numbers, ``openface`` the nn4.small2 of OpenFace,
``ghostfacenet`` the GhostFaceNetV1 with stride 1 at first. Networks are built here, by the names
and order of the layers; widths are read from the file. What comes out takes (N,S,S,3), as the
network was fed, and is run once before it is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from keras_graph import Graph

from arcid import files
from arcid.errors import ArcidError, CheckpointMismatch
from arcid.train.weights.keras import keras_layers


def vggface(g: Graph) -> tuple[int, str]:
    """Thirteen 3 × 3 convolutions in five stages, one of 7 × 7, one of 1 × 1; the classifier, a
    last one, is left out."""
    convs = g.named("convolution2d|conv2d")
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


def openface(g: Graph) -> tuple[int, str]:
    """nn4.small2 (Amos, Ludwiczuk and Satyanarayanan 2016), as Keras ports of it name its layers.

    Pooling "of power two" is the root of the sum of squares of nine neighbours.
    """

    def unit(x: str, name: str, number: str = "", stride: int = 1, same: bool = True) -> str:
        x = g.conv(x, f"{name}conv{number}", stride=stride, same=same)
        return g.relu(g.norm(x, f"{name}bn{number}", eps=1e-5))

    def evened(x: str) -> str:  # TensorFlow counts 5 neighbours to each side and divides by none
        return g.add("LRN", [x], size=11, alpha=11e-4, beta=0.75, bias=1.0)

    def squared(x: str) -> str:
        mean = g.add("AveragePool", [g.add("Mul", [x, x])], kernel_shape=[3, 3], strides=[3, 3])
        return g.add("Sqrt", [g.add("Mul", [mean, g.keep(9.0)])])

    def tower(x: str, name: str, stride: int = 1) -> str:
        return unit(unit(x, f"{name}_", "1"), f"{name}_", "2", stride)

    def module(x: str, which: str, pooled: str, pads: tuple[int, int], *sides: str) -> str:
        name = f"inception_{which}"
        ends = [tower(x, f"{name}_{side}") for side in sides]
        ends.append(g.pad(unit(pooled, f"{name}_pool_"), *pads))
        return g.add("Concat", [*ends, unit(x, f"{name}_1x1_")], axis=1)

    def halved(x: str, which: str) -> str:
        ends = [tower(x, f"inception_{which}_{side}", 2) for side in ("3x3", "5x5")]
        return g.add("Concat", [*ends, g.pad(g.pool(x, 3, 2), 0, 1)], axis=1)

    x = g.add("Transpose", ["input"], perm=[0, 3, 1, 2])
    x = evened(g.pool(unit(x, "", "1", 2), 3, 2, pad=1))
    x = g.pool(evened(unit(unit(x, "", "2"), "", "3")), 3, 2, pad=1)
    x = module(x, "3a", g.pool(x, 3, 2), (3, 4), "3x3", "5x5")
    x = module(x, "3b", squared(x), (4, 4), "3x3", "5x5")
    x = halved(x, "3c")
    x = module(x, "4a", squared(x), (2, 2), "3x3", "5x5")
    x = halved(x, "4e")
    x = module(x, "5a", squared(x), (1, 1), "3x3")
    x = module(x, "5b", g.pool(x, 3, 2), (1, 1), "3x3")
    x = g.add("Flatten", [g.add("GlobalAveragePool", [x])])
    x = g.add("MatMul", [x, g.keep(g.of("dense_layer", "kernel"))])
    x = g.add("Add", [x, g.keep(g.of("dense_layer", "bias"))])
    return 96, g.add("LpNormalization", [x], axis=1, p=2)


#: The 16 blocks of GhostNet (Han et al., CVPR 2020): where the map is halved, and where channels
#: are weighed against one another.
HALVED, WEIGHED = (1, 3, 5, 11), (3, 4, 9, 10, 11, 13, 15)


def ghostfacenet(g: Graph) -> tuple[int, str]:
    """GhostFaceNetV1 (Alansari et al. 2023): GhostNet with PReLU, whose first layer halves nothing,
    and a depthwise layer as large as the last map."""
    convs, depths = iter(g.named("conv2d")), iter(g.named("depthwise_conv2d"))
    norms, acts = iter(g.named("batch_normalization")), iter(g.named("activation|p_re_lu"))

    def following(layers: Iterator[str]) -> str:
        try:
            return next(layers)
        except StopIteration:
            raise CheckpointMismatch(f"{g.source} has fewer layers than GhostFaceNetV1") from None

    def conv(x: str, *, plain: bool = False) -> str:
        x = g.conv(x, following(convs), same=True)
        return x if plain else g.norm(x, following(norms))

    def depth(x: str, stride: int = 1) -> str:
        return g.norm(g.depthwise(x, following(depths), stride=stride), following(norms))

    def ghost(x: str, active: bool) -> str:
        few = conv(x)
        few = g.prelu(few, following(acts)) if active else few
        more = depth(few)
        more = g.prelu(more, following(acts)) if active else more
        return g.add("Concat", [few, more], axis=1)

    def weighed(x: str) -> str:
        seen = g.prelu(conv(g.add("GlobalAveragePool", [x]), plain=True), following(acts))
        share = g.add("HardSigmoid", [conv(seen, plain=True)], alpha=0.2, beta=0.5)
        return g.add("Mul", [x, share])

    x = g.add("Transpose", ["input"], perm=[0, 3, 1, 2])
    x = g.prelu(conv(x), following(acts))
    wide = g.wide
    for block in range(16):
        start, before, stride = x, wide, 2 if block in HALVED else 1
        x = ghost(x, active=True)
        x = depth(x, stride) if stride == 2 else x
        x = weighed(x) if block in WEIGHED else x
        x = ghost(x, active=False)
        wide = 2 * g.wide
        if stride == 2 or wide != before:
            start = conv(depth(start, stride))
        x = g.add("Add", [start, x])
    x = g.prelu(conv(x), following(acts))
    x = g.norm(g.depthwise(x, "GDC_dw", same=False), "GDC_batchnorm")
    x = g.add("Flatten", [g.conv(x, "GDC_conv")])
    return 112, g.norm(x, "pre_embedding", flat=True)


NETWORKS: dict[str, Callable[[Graph], tuple[int, str]]] = {
    "facenet": facenet, "ghostfacenet": ghostfacenet, "openface": openface, "vggface": vggface,
}  # fmt: skip


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

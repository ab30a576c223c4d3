"""NN Archives of arcid's own detector and recogniser, for OAK cameras.

    python examples/oak/archives.py --out archives
    pip install 'arcid[convert,luxonis]'        what it needs

Each archive holds the ONNX file with the shapes of a camera: one picture a call, BGR 0–255, as the
camera hands it over; channel order, mean and divisor become nodes of the graph. A device runs its
own format: convert the archives for its platform with Luxonis' HubAI or modelconverter first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

from arcid.models import weights
from arcid.models.weights import Bundle
from arcid.train.export.luxonis import FILE, IMAGES, pack

CANVAS = (480, 640)  # height and width of what the detector sees


def for_camera(bundle: Bundle, size: tuple[int, int]) -> Any:
    """(1,3,H,W) float32 BGR 0–255 in, the bundle's answers out, as a ``ModelProto``."""
    model = onnx.load(str(bundle.path))
    spec, graph = bundle.manifest.input, model.graph
    name = graph.input[0].name
    make_input_shape_fixed(graph, name, [1, 3, *size])
    order = np.arange(3) if spec.colour == "BGR" else np.arange(3)[::-1]
    mean = np.float32(spec.mean).reshape(1, 3, 1, 1)
    std = np.float32(spec.std).reshape(1, 3, 1, 1)
    for key, value in (("order", order), ("mean", mean), ("std", std)):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), f"oak_{key}"))
    before = (
        helper.make_node("Gather", [IMAGES, "oak_order"], ["oak_ordered"], axis=1),
        helper.make_node("Sub", ["oak_ordered", "oak_mean"], ["oak_centred"]),
        helper.make_node("Div", ["oak_centred", "oak_std"], ["oak_input"]),
    )
    for node in graph.node:
        for index, wanted in enumerate(node.input):
            if wanted == name:
                node.input[index] = "oak_input"
    for position, node in enumerate(before):
        graph.node.insert(position, node)
    graph.input[0].name = IMAGES
    del graph.value_info[:]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    answers = session.run(None, {IMAGES: np.zeros((1, 3, *size), np.float32)})
    for output, answer in zip(graph.output, answers, strict=True):
        fixed = helper.make_tensor_value_info(output.name, TensorProto.FLOAT, answer.shape)
        output.CopyFrom(fixed)
    onnx.checker.check_model(model)
    return model


def config(bundle: Bundle, model: Any, size: tuple[int, int]) -> dict[str, Any]:
    """``config.json`` of the archive."""
    outputs = [
        {
            "name": output.name,
            "dtype": "float32",
            "shape": [axis.dim_value for axis in output.type.tensor_type.shape.dim],
        }
        for output in model.graph.output
    ]
    return {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": bundle.name, "path": FILE, "precision": "float32"},
            "inputs": [
                {
                    "name": IMAGES,
                    "dtype": "float32",
                    "input_type": "image",
                    "shape": [1, 3, *size],
                    "layout": "NCHW",
                    "preprocessing": {
                        "mean": [0.0] * 3,
                        "scale": [1.0] * 3,
                        "dai_type": "BGR888p",
                    },
                }
            ],
            "outputs": outputs,
            "heads": [],
        },
    }


def write(bundle: Bundle, size: tuple[int, int], folder: Path) -> Path:
    """Pack the archive ``NAME.tar.xz``. Raises ``ExportRefused``, ``MissingExtra``."""
    model = for_camera(bundle, size)
    return pack(model, config(bundle, model, size), folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("archives"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    recogniser = weights.resolve_default("recognition")
    assert recogniser.manifest.input.size  # recognisers have one
    for bundle, size in (
        (weights.resolve_default("detection"), CANVAS),
        (recogniser, recogniser.manifest.input.size),
    ):
        print(write(bundle, size, out))


if __name__ == "__main__":
    main()

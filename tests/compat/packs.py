"""Packs as insightface has them: real networks, and drawn ones where there are none."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FILES = ("scrfd_2.5g_bnkps.onnx", "mobilefacenet_128.onnx")


def pack(models: Path, root: Path, name: str, *, own_norm: bool) -> Path:
    """``root``/models/``name`` with detector, recogniser, landmarks of two kinds and sex and age.

    The last three are one linear layer on a coarse picture, with weights drawn by a fixed seed;
    with ``own_norm`` their graphs begin by normalising the pixels.
    """
    folder = root / "models" / name
    folder.mkdir(parents=True)
    for file in FILES:
        shutil.copyfile(models / file, folder / file)
    for file, size, width in (("1k3d68", 192, 3309), ("2d106det", 192, 212), ("genderage", 96, 3)):
        onnx.save(_linear(size, width, own_norm), folder / f"{file}.onnx")
    return folder


def described(models: Path, root: Path, name: str) -> Path:
    """A pack of the two real networks whose manifest of version 2 says what they are: their names
    would not, and a file that would be taken without one lies beside them."""
    folder = root / "models" / name
    (folder / "onnx").mkdir(parents=True)
    for file, to in zip(FILES, ("onnx/z.onnx", "onnx/a.onnx"), strict=True):
        shutil.copyfile(models / file, folder / to)
    onnx.save(_linear(96, 3, own_norm=False), folder / "genderage.onnx")
    (folder / "MODEL.LICENSE").write_text("for tests", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(manifest(folder)), encoding="utf-8")
    return folder


def manifest(folder: Path) -> dict[str, Any]:
    """What ``described`` says."""
    digest = hashlib.sha256((folder / "onnx/a.onnx").read_bytes()).hexdigest()
    return {
        "manifest_version": 2,
        "model_id": "described",
        "license": "MODEL.LICENSE",
        "tasks": {
            "detection": {"file": "onnx/z.onnx", "preprocessing": {"mean": 120.0, "std": 130.0}},
            "recognition": {
                "file": "onnx/a.onnx",
                "sha256": digest,
                "preprocessing": {"mean": 127.5, "std": 127.5},
                "embedding_dimension": 128,
            },
        },
    }


def _linear(size: int, width: int, own_norm: bool) -> onnx.ModelProto:
    weights = np.random.default_rng(size + width).normal(0, 0.05, (192, width)).astype(np.float32)
    constants = [numpy_helper.from_array(weights, "W")]
    nodes, last = [], "data"
    if own_norm:
        constants.append(numpy_helper.from_array(np.array([127.5], np.float32), "mean"))
        constants.append(numpy_helper.from_array(np.array([1 / 128], np.float32), "scale"))
        nodes.append(helper.make_node("Sub", [last, "mean"], ["moved"], name="Sub_0"))
        nodes.append(helper.make_node("Mul", ["moved", "scale"], ["even"], name="Mul_1"))
        last = "even"
    step = [size // 8, size // 8]
    nodes.append(
        helper.make_node("AveragePool", [last], ["coarse"], kernel_shape=step, strides=step)
    )
    nodes.append(helper.make_node("Flatten", ["coarse"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "W"], ["fc1"]))
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, [None, 3, size, size])
    row = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [None, width])
    graph = helper.make_graph(nodes, "linear", [picture], [row], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model

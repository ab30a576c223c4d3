"""NN Archive for OAK devices: input ``images`` BGR 0–255, output ``output``, one face a call.

The camera hands over what it sees; subtracting the mean is a node of the graph, while divisor and
channel order are folded into the first convolution.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from onnx import checker, helper, numpy_helper

from arcid.errors import ExportRefused, MissingExtra
from arcid.files import write_bytes
from arcid.models.manifest import InputSpec
from arcid.train.backbones import Backbone
from arcid.train.backbones.inputs import MEAN, STD
from arcid.train.export.onnx import INPUT, OUTPUT, to_bytes, to_onnx

IMAGES = "images"
FILE = "model.onnx"


def input_spec(size: int) -> InputSpec:
    """How the archive's network wants its crops."""
    return InputSpec(IMAGES, "BGR", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (size, size), batch=1)


def to_luxonis(backbone: Backbone) -> Any:
    """(1,3,S,S) float32 BGR 0–255 in; (1,dim) float32 out, as a ``ModelProto``."""
    model = to_onnx(backbone, fold=True, batch=1)
    first = [node for node in model.graph.node if INPUT in node.input]
    if len(first) != 1 or first[0].op_type != "Conv":
        raise ExportRefused(
            "the network does not begin with one convolution, into which the channel order is "
            f"folded; it begins with {', '.join(node.op_type for node in first)}"
        )
    conv, centred = first[0], "images_centred"
    for tensor in model.graph.initializer:
        if tensor.name == conv.input[1]:
            kernel = numpy_helper.to_array(tensor)[:, ::-1] / np.float32(STD)
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(kernel), tensor.name))
    conv.input[0] = centred
    mean = numpy_helper.from_array(np.float32(MEAN).reshape(1), "images_mean")
    model.graph.initializer.append(mean)
    model.graph.node.insert(0, helper.make_node("Sub", [IMAGES, mean.name], [centred], "centre"))
    model.graph.input[0].name = IMAGES
    checker.check_model(model)
    return model


def archive_config(name: str, size: int, dim: int) -> dict[str, Any]:
    """``config.json`` of the archive."""
    return {
        "config_version": "1.0",
        "model": {
            "metadata": {"name": name, "path": FILE, "precision": "float32"},
            "inputs": [
                {
                    "name": IMAGES,
                    "dtype": "float32",
                    "input_type": "image",
                    "shape": [1, 3, size, size],
                    "layout": "NCHW",
                    "preprocessing": {
                        "mean": [0.0, 0.0, 0.0],
                        "scale": [1.0, 1.0, 1.0],
                        "dai_type": "BGR888p",
                    },
                }
            ],
            "outputs": [
                {"name": OUTPUT, "dtype": "float32", "shape": [1, dim], "layout": "NC"},
            ],
            "heads": [
                {
                    "name": "embeddings",
                    "parser": "EmbeddingsParser",
                    "metadata": {},
                    "outputs": [OUTPUT],
                }
            ],
        },
    }


def write_archive(model: Any, name: str, size: int, dim: int, folder: Path) -> Path:
    """``pack`` of a recogniser."""
    return pack(model, archive_config(name, size, dim), folder)


def pack(model: Any, config: dict[str, Any], folder: Path) -> Path:
    """Write ``NAME.tar.xz`` into ``folder`` by Luxonis' own package, and read it back with it.

    Raises ``MissingExtra`` without ``luxonis-ml``, ``ExportRefused`` where it refuses.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from luxonis_ml.nn_archive import ArchiveGenerator, is_nn_archive
        except ImportError:
            raise MissingExtra("packing an NN Archive", "luxonis") from None
        with tempfile.TemporaryDirectory() as work:
            file = Path(work) / FILE
            write_bytes(file, to_bytes(model))
            try:
                generator = ArchiveGenerator(
                    archive_name=config["model"]["metadata"]["name"],
                    save_path=work,
                    cfg_dict=config,
                    executables_paths=[file],
                    compression="xz",
                )
                made = Path(generator.make_archive())
            except ValueError as error:  # pydantic's refusals among them
                reason = " ".join(str(error).split())
                raise ExportRefused(f"luxonis-ml refuses the archive: {reason}") from None
            if not is_nn_archive(made):
                raise ExportRefused("luxonis-ml does not recognise the archive it packed")
            check_archive(made)
            target = folder / made.name
            write_bytes(target, made.read_bytes())
    return target


def check_archive(path: Path) -> dict[str, Any]:
    """The archive's config as Luxonis' package reads it; every file it names is there.

    Raises ``ExportRefused``.
    """
    from luxonis_ml.nn_archive.config import Config

    with tarfile.open(path) as archive:
        stream = archive.extractfile("config.json")
        content = json.loads(stream.read()) if stream else {}
        try:
            config: dict[str, Any] = Config(**content).model_dump(mode="json")
        except (TypeError, ValueError) as error:
            raise ExportRefused(f"{path.name}: config.json is refused: {error}") from None
        if config["model"]["metadata"]["path"] not in archive.getnames():
            raise ExportRefused(f"{path.name} lacks {config['model']['metadata']['path']}")
    return config


__all__ = [
    "FILE",
    "IMAGES",
    "archive_config",
    "check_archive",
    "input_spec",
    "pack",
    "to_luxonis",
    "write_archive",
]

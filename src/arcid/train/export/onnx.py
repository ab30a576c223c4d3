"""Backbone → ONNX graph, by tracing; the exporter's warnings stop here.

Runtimes fold batch norms into convolutions when they load a file, so the file itself keeps both
apart and every weight under its name in the state dict: training can go on from it.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arcid.errors import ExportRefused, MissingExtra
from arcid.train.backbones import Backbone

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    raise MissingExtra("exporting", "train") from None

OPSET = 17
INPUT, OUTPUT = "input", "output"
_HALF_MAX = float(np.finfo(np.float16).max)


def to_onnx(backbone: Backbone, *, fold: bool = False, batch: int | None = None) -> Any:
    """The graph ``input`` (N,3,S,S) float32 → ``output`` (N,dim) float32 as a ``ModelProto``.

    ``batch``: None for any number of images. ``fold`` computes constants ahead and folds batch
    norms; without it every float entry of the state dict is an initialiser of the same name.
    """
    twin = copy.deepcopy(backbone).to("cpu", torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    twin.eval()
    if not fold:
        _make_all_different(twin)
    free = {} if batch else {0: "N"}
    example = torch.zeros(batch or 2, 3, twin.size, twin.size)
    model = trace(twin, example, {INPUT: free, OUTPUT: free}, fold=fold)
    if not fold:
        _put_weights(model, backbone)
    model.producer_name, model.producer_version = "arcid", ""
    model.graph.name = "embedder"
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    return model


def store_half(model: Any) -> Any:
    """A copy whose matrices and kernels are stored in fp16 and cast to fp32 before use.

    Vectors (biases, batch norms, slopes) stay in fp32: they are small, and a variance may leave the
    range of fp16. Raises ``ExportRefused`` where a weight does.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts, renamed = [], {}
    for tensor in half.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        values = numpy_helper.to_array(tensor)
        if float(np.abs(values).max(initial=0.0)) > _HALF_MAX:
            raise ExportRefused(
                f"{tensor.name} holds values above {_HALF_MAX:g}, more than fp16 can store; "
                "export with --precision fp32"
            )
        name, wide = tensor.name, f"{tensor.name}.fp32"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [wide], f"{name}.cast", to=TensorProto.FLOAT))
        renamed[name] = wide
    for node in half.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    onnx.checker.check_model(half)
    return half


def to_bytes(model: Any) -> bytes:
    """The same bytes for the same graph and weights."""
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def trace(
    network: nn.Module, example: Tensor, axes: Mapping[str, Mapping[int, str]], *, fold: bool = True
) -> Any:
    """The graph of a network in eval mode as a ``ModelProto``.

    ``axes``: of the input and every output, in order, those that are free. ``fold``: constants
    computed ahead and batch norms folded.
    """
    name, *outputs = axes
    file = io.BytesIO()
    mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                file,  # type: ignore[arg-type]  # the tracing exporter takes streams
                input_names=[name],
                output_names=outputs,
                dynamic_axes={name: free for name, free in axes.items() if free},
                opset_version=OPSET,
                training=mode,
                do_constant_folding=fold,
                dynamo=False,  # the newer exporter renames and folds weights
            )
    finally:
        log.setLevel(level)
    return onnx.load_from_string(file.getvalue())


def _make_all_different(module: nn.Module) -> None:
    """No two tensors alike: the exporter stores equal ones only once, under one of their names."""
    with torch.no_grad():
        for number, tensor in enumerate(module.state_dict().values()):
            if tensor.is_floating_point():
                tensor.fill_(1.0 + number)


def _put_weights(model: Any, backbone: Backbone) -> None:
    state = {k: v for k, v in backbone.state_dict().items() if v.is_floating_point()}
    names = {tensor.name for tensor in model.graph.initializer}
    if names != set(state):
        odd = sorted(names ^ set(state))
        raise ExportRefused(
            f"the ONNX exporter of torch {torch.__version__} did not keep the weights' names "
            f"({', '.join(odd[:5])}); report it with the backbone's name",
            names=odd,
        )
    for tensor in model.graph.initializer:
        values = state[tensor.name].detach().to("cpu", torch.float32).contiguous().numpy()
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


__all__ = ["INPUT", "OPSET", "OUTPUT", "store_half", "to_bytes", "to_onnx", "trace"]

"""Batch norms folded into their convolutions, which keep their names, and back.

That is what lets a bundle start another run: its weights go into the convolutions, its biases into
the norms, which then change nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from arcid.errors import CheckpointMismatch

PREFIX = "network."  # of the names in an exported graph
Net = TypeVar("Net", bound=nn.Module)


def fold(network: Net) -> Net:
    """A copy whose batch norms are part of the convolutions before them, names kept."""
    folded = copy.deepcopy(network).eval()
    for conv, norm, parent, key in _pairs(folded):
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        parent._modules[key] = nn.Identity()
    return folded


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d, nn.Module, str]]:
    """Every convolution directly followed by a batch norm, and where the norm hangs."""
    for parent in list(network.modules()):
        items = list(parent._modules.items())
        for (_, conv), (key, norm) in pairwise(items):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                yield conv, norm, parent, key


def unfold(network: nn.Module, file: Path, source: str) -> None:
    """Start a network, all of whose weights are convolutions', from its exported file.

    Raises ``CheckpointMismatch``.
    """
    import onnx
    from onnx import numpy_helper

    stored = {
        item.name.removeprefix(PREFIX): torch.from_numpy(
            np.array(numpy_helper.to_array(item), np.float32)
        )
        for item in onnx.load(file).graph.initializer
        if item.name.startswith(PREFIX)
    }
    check_fits(dict(fold(network).state_dict()), stored, source)
    named = {module: name for name, module in network.named_modules()}
    normed = {named[conv]: norm for conv, norm, _, _ in _pairs(network)}
    with torch.no_grad():
        for name, module in network.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            module.weight.copy_(stored[f"{name}.weight"])
            if name in normed:
                after = normed[name]
                after.reset_running_stats()
                after.weight.fill_((1 + after.eps) ** 0.5)
                after.bias.copy_(stored[f"{name}.bias"])
            elif module.bias is not None:
                module.bias.copy_(stored[f"{name}.bias"])


def check_fits(
    wanted: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    source: str,
    remedy: str = "use its network section",
) -> None:
    """Raise ``CheckpointMismatch`` where names or shapes differ."""
    wrong = [
        name
        for name in dict.fromkeys([*wanted, *given])
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape
    ]
    if wrong:
        raise CheckpointMismatch(
            f"init_from: {source} holds another network ({len(wrong)} tensors differ, such as "
            f"{wrong[0]}); {remedy}",
            path=source,
        )


__all__ = ["PREFIX", "check_fits", "fold", "unfold"]

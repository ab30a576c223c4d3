"""Batch norms folded into their convolutions, which keep their names, and back.

That is what lets a bundle start another run: its weights go into the convolutions, its biases into
the norms, which then change nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from arcid.train.weights.initial import onnx_state
from arcid.train.weights.states import load_state

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


def unfold(network: nn.Module, file: Path, source: str, own: Sequence[str] = ()) -> None:
    """Start a network, all of whose weights are convolutions', from its exported file. ``own``:
    layers that stay as they are where the file's have another shape.

    Raises ``CheckpointInvalid``, ``CheckpointMismatch``.
    """
    stored = onnx_state(file).items()
    named = {n.removeprefix(PREFIX): tensor for n, tensor in stored if n.startswith(PREFIX)}
    folded = fold(network)
    fresh = folded.state_dict()
    for layer in own:
        entries = {name: t for name, t in fresh.items() if name.startswith(f"{layer}.")}
        if any(name in named and named[name].shape != t.shape for name, t in entries.items()):
            named |= entries
    load_state(folded, named, f"init_from: {source}", "use its network section")
    normed = {conv: norm for conv, norm, _, _ in _pairs(network)}
    for conv, given in zip(network.modules(), folded.modules(), strict=True):
        if not isinstance(conv, nn.Conv2d) or not isinstance(given, nn.Conv2d):
            continue
        biased: nn.Module = conv
        if (norm := normed.get(conv)) is not None:
            norm.reset_running_stats()
            nn.init.constant_(norm.weight, (1 + norm.eps) ** 0.5)
            biased = norm
        conv.load_state_dict({"weight": given.weight}, strict=False)
        if given.bias is not None:
            biased.load_state_dict({"bias": given.bias}, strict=False)


__all__ = ["PREFIX", "fold", "unfold"]

"""What other PyTorch projects call the same weights.

arcface_torch's IResNets and transformers bear our names already; its ``mbf`` does not. A ResNet-50
of torchvision has no embedding: its last layer is one (``fc``), or the 1,000 classes of ImageNet,
which are left out, so that the head is fresh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from arcid.train.backbones import Backbone, create_backbone
from arcid.train.backbones.resnet import ResNet
from arcid.train.weights.states import load_state

IMAGENET_CLASSES = 1000
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MBF = "conv_sep.layers.0.weight"
_MBF_BLOCKS = {2: 0, 3: 1, 4: 5, 5: 6, 6: 12, 7: 13}  # stage → its first block
_MBF_ENDS = {
    "layers.0.layers": "stem",
    "layers.1.layers": "depthwise",
    "conv_sep.layers": "last",
    "features.layers.0.layers.0": "gdconv",
    "features.layers.0.layers.1": "head.bn",
    "features.layers.2": "head.fc",
    "features.layers.3": "head.features",
}
_MBF_PARTS = ("expand", "depthwise", "project")


def named_as_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of arcface_torch's ``mbf`` by our names; others as they are."""
    if _MBF not in state:
        return dict(state)
    return {_mbf_name(name): tensor for name, tensor in state.items()}


def _mbf_name(name: str) -> str:
    for theirs, ours in _MBF_ENDS.items():
        if name.startswith(f"{theirs}."):
            return f"{ours}{name.removeprefix(theirs)}"
    found = re.fullmatch(
        r"layers\.(\d)\.layers\.(?:(\d)\.layers\.)?(\d)\.layers\.(\d)\.(\w+)", name
    )
    if found is None or int(found[1]) not in _MBF_BLOCKS:
        return name
    block = _MBF_BLOCKS[int(found[1])] + int(found[2] or 0)
    return f"blocks.{block}.{_MBF_PARTS[int(found[3])]}.{found[4]}.{found[5]}"


def is_torchvision(state: Mapping[str, Tensor]) -> bool:
    """Whether these are entries of a bottleneck ResNet that ends in one linear layer."""
    return "fc.weight" in state and "layer1.0.conv3.weight" in state


def read_torchvision(
    state: Mapping[str, Tensor], options: Mapping[str, Any], source: str
) -> tuple[Backbone, tuple[str, ...]]:
    """The network and the entries left out.

    Where ``fc`` gives the classes of ImageNet it goes, and ImageNet's means and deviations, which
    such networks expect, go into the first layers (exact but for the outermost pixels, whose zero
    padding then means another colour). Else ``fc`` is the embedding and pixels are taken as
    (pixel − 127.5) / 127.5. Raises ``CheckpointMismatch``.
    """
    trunk = {k: v for k, v in state.items() if not k.startswith("fc.")}
    classes = len(state["fc.weight"])
    imagenet = classes == IMAGENET_CLASSES
    model = create_backbone("resnet50", 512 if imagenet else classes, **options)
    assert isinstance(model, ResNet)
    head = {f"head.{k}": v for k, v in model.head.state_dict().items()}
    if not imagenet:
        head |= {f"head.{k}": v for k, v in state.items() if k.startswith("fc.")}
        for name, norm in (("bn", model.head.bn), ("features", model.head.features)):
            head[f"head.{name}.running_var"].fill_(1 - norm.eps)
    load_state(model, {**trunk, **head}, source)
    if not imagenet:
        return model, ()
    _take_imagenet(model)
    return model, ("fc.weight", "fc.bias")


@torch.no_grad()
def _take_imagenet(model: ResNet) -> None:
    """ImageNet's normalisation in the first convolution's scale and the batch norm behind it."""
    conv, mean = model.conv1.weight, model.bn1.running_mean
    assert mean is not None
    std = torch.tensor(IMAGENET_STD)
    shift = (0.5 - torch.tensor(IMAGENET_MEAN)) / std
    mean -= (conv * shift[None, :, None, None]).sum(dim=(1, 2, 3))
    conv.mul_((0.5 / std)[None, :, None, None])


__all__ = ["is_torchvision", "named_as_ours", "read_torchvision"]

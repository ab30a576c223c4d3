"""YuNet as a teacher: what it answers for every cell, and the maps its parts hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arcid.errors import ConfigError, MissingExtra
from arcid.models.manifest import Manifest
from arcid.train.detector.config import STRIDES
from arcid.train.weights.teachers import find, open_with_tensors, usable
from arcid.types import Image

_KINDS = ("cls", "obj", "bbox", "kps")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the teacher saw in a batch; cells in the network's order, in its units."""

    scores: Tensor  # (B,A) 0–1
    boxes: Tensor  # (B,A,4)
    points: Tensor  # (B,A,10)
    entry: Tensor  # (B,C,H/8,W/8)
    levels: tuple[Tensor, ...]  # (B,C,h,w) of strides 8, 16, 32
    pyramid: tuple[Tensor, ...]


class DetectorTeacher:
    """(B,S,S,3) uint8 RGB in, ``Seen`` out. ``name``: of a YuNet with free input size, or a bundle.

    Raises ``ConfigError``, with the reason, for a teacher that cannot be used; ``MissingExtra``.
    """

    def __init__(self, name: str) -> None:
        with usable(name, "teacher.model"):
            bundle = find(name)
            self.manifest: Manifest = bundle.manifest
            if self.manifest.family != "yunet" or self.manifest.input.size is not None:
                raise ConfigError("it is no YuNet with free input size")
            self._entry, self._levels, self._pyramid = _handed_on(bundle.path)
            names = (self._entry, *self._levels, *self._pyramid)
            self.session = open_with_tensors(bundle.path, self.manifest, names)

    def __call__(self, pixels: Image) -> Seen:
        found = self.session.run(self.manifest.input.prepare(pixels))
        batch = len(pixels)

        def cells(kind: str, numbers: int) -> npt.NDArray[Any]:
            parts = [found[f"{kind}_{s}"].reshape(batch, -1, numbers) for s in STRIDES]
            return np.concatenate(parts, axis=1)

        def a_map(name: str) -> Tensor:
            return torch.from_numpy(found[name]).contiguous(memory_format=torch.channels_last)

        scores = np.sqrt(np.clip(cells("cls", 1) * cells("obj", 1), 0, 1))[..., 0]
        boxes, points = cells("bbox", 4), cells("kps", 10) - 0.5  # from the middle of the cell
        boxes[..., :2] -= 0.5
        return Seen(
            torch.from_numpy(scores),
            torch.from_numpy(boxes),
            torch.from_numpy(points),
            a_map(self._entry),
            tuple(map(a_map, self._levels)),
            tuple(map(a_map, self._pyramid)),
        )


def _handed_on(path: Any) -> tuple[str, list[str], list[str]]:
    """Names of the tensors between the parts: at stride 8, of the three levels, of the pyramid."""
    try:
        import onnx
    except ImportError:
        raise MissingExtra("learning a detector from its teacher's maps", "train") from None
    nodes = onnx.load(path).graph.node
    pools = [node for node in nodes if node.op_type == "MaxPool"]
    fed = {name: node.input[0] for node in nodes if node.op_type == "Conv" for name in node.input}
    try:
        entry = pools[1].output[0]
        last = fed["neck.lateral_convs.2.conv1.weight"]
        levels = [pools[2].input[0], pools[3].input[0], last]
        share = "bbox_head.multi_level_share_convs.{}.0.conv1.weight"
        return entry, levels, [fed[share.format(i)] for i in range(len(STRIDES))]
    except (IndexError, KeyError):
        raise ConfigError("its graph is not laid out as YuNet's") from None


__all__ = ["DetectorTeacher", "Seen"]

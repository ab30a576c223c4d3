"""Which cells learn which face: SimOTA (Ge et al., "YOLOX", 2021), for a whole batch at once.

The cells around a face's middle on every level are its candidates; a face takes as many of them as
its ten best overlaps add up to, cheapest first, the cost being how unsure and how far off the
network is at that cell. A cell wanted by several faces goes to the one it costs least.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from arcid.train.detector.config import STRIDES

REACH = 1  # cells around the one in the middle
_IOU_WEIGHT = 3.0
_OUTSIDE = 1e5  # cost of a cell whose middle is not in the box: last choice only
_BEST = 10


@dataclass(frozen=True, slots=True)
class Assignment:
    """P cells that learn a face."""

    cells: Tensor  # (P,) int64 into B·A
    faces: Tensor  # (P,) int64 into G
    iou: Tensor  # (P,) of the cell's present box with the face


@torch.no_grad()
def assign(
    scores: Tensor,
    boxes: Tensor,
    faces: Tensor,
    faces_of: Tensor,
    canvas: tuple[int, int],
) -> Assignment:
    """(B,A) scores 0–1, (B,A,4) decoded boxes, (G,4) faces and (G,) their canvases in."""
    cells, inside = candidates(faces, faces_of, canvas, scores.shape[1])
    valid = cells >= 0
    safe = cells.clamp(min=0)
    overlap = pair_iou(boxes.reshape(-1, 4)[safe], faces[:, None]) * valid
    score = scores.reshape(-1)[safe].clamp(1e-6, 1.0)
    cost = -score.log() - _IOU_WEIGHT * overlap.clamp(min=1e-6).log()
    cost = cost + _OUTSIDE * ~inside
    cost = cost.masked_fill(~valid, torch.inf)
    usable = overlap * inside
    count = usable.topk(min(_BEST, usable.shape[1]), dim=1).values.sum(1).int().clamp(min=1)
    rank = cost.argsort(dim=1).argsort(dim=1)
    chosen = (rank < count[:, None]) & valid
    face, slot = chosen.nonzero(as_tuple=True)
    cell, price = safe[face, slot], cost[face, slot]
    cheapest = torch.full((scores.numel(),), torch.inf).scatter_reduce(0, cell, price, "amin")
    kept = price <= cheapest[cell]
    return Assignment(cell[kept], face[kept], overlap[face, slot][kept])


def candidates(
    faces: Tensor, faces_of: Tensor, canvas: tuple[int, int], cells_each: int
) -> tuple[Tensor, Tensor]:
    """(G,K) cells around each face's middle as indices into B·A, −1 off the canvas; and whether the
    middle of the cell lies in the box."""
    middle = (faces[:, :2] + faces[:, 2:]) / 2
    step = torch.arange(-REACH, REACH + 1)
    dy, dx = (d.reshape(-1) for d in torch.meshgrid(step, step, indexing="ij"))
    found, inside, start = [], [], 0
    for stride in STRIDES:
        height, width = canvas[0] // stride, canvas[1] // stride
        column = (middle[:, :1] / stride).floor().long() + dx
        row = (middle[:, 1:] / stride).floor().long() + dy
        there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        cell = faces_of[:, None] * cells_each + start + row * width + column
        found.append(torch.where(there, cell, -1))
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        inside.append(
            (x > faces[:, :1]) & (x < faces[:, 2:3]) & (y > faces[:, 1:2]) & (y < faces[:, 3:])
        )
        start += height * width
    return torch.cat(found, dim=1), torch.cat(inside, dim=1)


def ignored_cells(ignore: Tensor, ignore_of: Tensor, centres: Tensor, batch: int) -> Tensor:
    """(B,A) bool: cells whose middle lies in a region where nothing is asked."""
    x, y = centres[:, 0], centres[:, 1]
    within = (x > ignore[:, :1]) & (y > ignore[:, 1:2]) & (x < ignore[:, 2:3]) & (y < ignore[:, 3:])
    hits = torch.zeros(batch, len(centres))
    return hits.index_add_(0, ignore_of, within.float()) > 0


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """(...,4) against (...,4) xyxy, one with one; (...) intersection over union."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return overlap / (area - overlap).clamp(min=1e-6)


__all__ = ["Assignment", "assign", "candidates", "ignored_cells", "pair_iou"]

"""What a batch of guesses costs: score, box and points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from arcid.train.detection.assign import assign, ignored_cells, pair_iou
from arcid.train.detection.config import DetectLossConfig
from arcid.train.detection.network import cell_grid, decode

FOCUS = 2.0  # β of the quality focal loss


@dataclass(frozen=True, slots=True)
class Targets:
    """What a batch of canvases should be answered with, in pixels."""

    boxes: Tensor  # (G,4)
    points: Tensor  # (G,5,2)
    boxes_of: Tensor  # (G,) canvas of each face
    ignore: Tensor  # (M,4)
    ignore_of: Tensor  # (M,)


@dataclass(frozen=True, slots=True)
class DetectLoss:
    """The weighted sum and its parts, unweighted."""

    total: Tensor
    score: Tensor
    box: Tensor
    points: Tensor
    cells: int  # that learned a face


def detection_loss(
    raw: tuple[Tensor, Tensor, Tensor],
    targets: Targets,
    canvas: tuple[int, int],
    config: DetectLossConfig,
) -> DetectLoss:
    """(B,A), (B,A,4), (B,A,10) raw answers of the network in.

    Scores learn the overlap of the cell's own box with its face by quality focal loss (Li et al.,
    "Generalized Focal Loss", NeurIPS 2020, eq. 2); all other cells learn 0, those in ignored
    regions nothing. Every sum is divided by the number of cells that learn a face.
    """
    logits, raw_boxes, raw_points = raw
    batch, count = logits.shape
    centres, strides = cell_grid(*canvas)
    with torch.no_grad():
        present, _ = decode(raw_boxes, raw_points, centres, strides)
        taken = assign(logits.sigmoid(), present, targets.boxes, targets.boxes_of, canvas)
    cell = taken.cells % count
    boxes, points = decode(
        raw_boxes.reshape(-1, 4)[taken.cells],
        raw_points.reshape(-1, 10)[taken.cells],
        centres[cell],
        strides[cell],
    )
    wanted, wanted_points = targets.boxes[taken.faces], targets.points[taken.faces]
    quality = torch.zeros(batch * count)
    quality[taken.cells] = pair_iou(boxes.detach(), wanted).clamp(0, 1)
    asked = ~ignored_cells(targets.ignore, targets.ignore_of, centres, batch).reshape(-1)
    asked[taken.cells] = True
    divisor = max(len(taken.cells), 1)
    score = quality_focal(logits.reshape(-1)[asked], quality[asked]).sum() / divisor
    box = distance_iou_loss(boxes, wanted).sum() / divisor
    side = (wanted[:, 2:] - wanted[:, :2]).clamp(min=1).prod(1).sqrt()[:, None, None]
    off = (points - wanted_points) / side
    five = F.smooth_l1_loss(off, torch.zeros_like(off), beta=config.points_beta, reduction="sum")
    five = five / divisor
    total = config.score * score + config.box * box + config.points * five
    return DetectLoss(total, score.detach(), box.detach(), five.detach(), len(taken.cells))


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """|q − σ|^β · cross entropy(σ, q) per cell."""
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()).abs().pow(FOCUS) * entropy


def distance_iou_loss(boxes: Tensor, wanted: Tensor) -> Tensor:
    """1 − IoU + squared distance of the middles over squared diagonal of the hull, per box (Zheng
    et al., "Distance-IoU Loss", AAAI 2020, eq. 7)."""
    low, high = (
        torch.minimum(boxes[:, :2], wanted[:, :2]),
        torch.maximum(boxes[:, 2:], wanted[:, 2:]),
    )
    diagonal = (high - low).square().sum(1).clamp(min=1e-6)
    apart = ((boxes[:, :2] + boxes[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2).square().sum(1)
    return 1 - pair_iou(boxes, wanted) + apart / diagonal


__all__ = ["DetectLoss", "Targets", "detection_loss", "distance_iou_loss", "quality_focal"]

"""What a batch of guesses costs: score, box and points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from arcid.train.detector.assign import assign, ignored_cells, pair_iou
from arcid.train.detector.config import DetectLossConfig
from arcid.train.detector.network import DetectorNetwork, cell_grid, decode
from arcid.train.detector.teacher import Seen

FOCUS = 2.0  # β of the quality focal loss
LEAST_SURE = 0.05  # of a teacher about a cell whose box and points are learned


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
    maps: Tensor  # mean error of the parts' maps where a teacher feeds them

    @property
    def parts(self) -> dict[str, Tensor]:
        """Everything but the sum."""
        names = ("score", "box", "points", "cells", "maps")
        return {name: torch.as_tensor(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the labels ask of each cell."""

    cells: Tensor  # (B,A) bool: anything
    quality: Tensor  # (B,A) overlap of the cell's own box with the face it learns; 0 without


def detection_loss(
    raw: tuple[Tensor, Tensor, Tensor],
    targets: Targets,
    canvas: tuple[int, int],
    config: DetectLossConfig,
) -> tuple[DetectLoss, Asked]:
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
    five = _off(points, wanted_points, wanted, config).sum() / divisor
    loss = _together(score, box, five, len(taken.cells), config)
    return loss, Asked(asked.reshape(batch, count), quality.reshape(batch, count))


def imitation_loss(
    raw: tuple[Tensor, Tensor, Tensor],
    seen: Seen,
    canvas: tuple[int, int],
    config: DetectLossConfig,
    asked: Asked | None = None,
) -> DetectLoss:
    """The same parts with a teacher's answers in place of labels.

    Cross entropy to its scores, boxes and points of every cell by how sure it is; every sum is
    divided by the sum of its scores. ``asked``: where the labels ask nothing the teacher, who may
    be wrong there, is not asked either; a cell that learns a face is told no less than its quality.
    """
    logits, raw_boxes, raw_points = raw
    centres, strides = cell_grid(*canvas)
    told = wanted_scores = seen.scores
    if asked is not None:
        told = seen.scores * asked.cells
        wanted_scores = torch.maximum(seen.scores, asked.quality)
    divisor = told.sum().clamp(min=1)
    entropy = F.binary_cross_entropy_with_logits(
        logits,
        wanted_scores,
        weight=None if asked is None else asked.cells.to(logits.dtype),
        reduction="sum",
    )
    score = entropy / divisor
    row, cell = (told > LEAST_SURE).nonzero(as_tuple=True)
    sure, where, stride = seen.scores[row, cell], centres[cell], strides[cell]
    boxes, points = decode(raw_boxes[row, cell], raw_points[row, cell], where, stride)
    wanted, wanted_points = decode(seen.boxes[row, cell], seen.points[row, cell], where, stride)
    box = (distance_iou_loss(boxes, wanted) * sure).sum() / divisor
    five = (_off(points, wanted_points, wanted, config) * sure).sum() / divisor
    return _together(score, box, five, len(row), config)


def forced_loss(
    network: DetectorNetwork,
    images: Tensor,
    seen: Seen,
    config: DetectLossConfig,
    maps_weight: float,
) -> DetectLoss:
    """Every part by itself: fed what its teacher's counterpart is fed, it learns what that gives.

    A map's error is its squared distance to the teacher's over the teacher's own square.
    """
    before = (seen.entry, *seen.levels[:2])
    above = (*seen.pyramid[1:], None)
    pairs = [(network.entry(images), seen.entry)]
    for i, level in enumerate(seen.levels):
        pairs.append((network.level(i, before[i]), level))
        pairs.append((network.merged(i, level, above[i]), seen.pyramid[i]))
    errors = torch.stack([(a - b).square().sum() / b.square().sum() for a, b in pairs])
    raw = network.answers(seen.pyramid)
    heads = imitation_loss(raw, seen, (images.shape[2], images.shape[3]), config)
    total = heads.total + maps_weight * errors.sum()
    return replace(heads, total=total, maps=errors.mean().detach())


def _together(
    score: Tensor, box: Tensor, points: Tensor, cells: int, config: DetectLossConfig
) -> DetectLoss:
    total = config.score * score + config.box * box + config.points * points
    parts = score.detach(), box.detach(), points.detach()
    return DetectLoss(total, *parts, cells, maps=score.new_zeros(()))


def _off(points: Tensor, wanted: Tensor, boxes: Tensor, config: DetectLossConfig) -> Tensor:
    """(P,) smooth L1 of five points in units of the face's size."""
    side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).prod(1).sqrt()[:, None, None]
    off = (points - wanted) / side
    return F.smooth_l1_loss(
        off, torch.zeros_like(off), beta=config.points_beta, reduction="none"
    ).sum((1, 2))


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


__all__ = [
    "Asked",
    "DetectLoss",
    "Targets",
    "detection_loss",
    "distance_iou_loss",
    "forced_loss",
    "imitation_loss",
    "quality_focal",
]

"""The rule: an identity's dominant sub-centre, and the photos too far from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.errors import ConfigError, InvalidArray
from arcid.evaluate.metrics import Array, IndexArray, Mask

ANGLE_DEG = 75.0
MIN_PHOTOS = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """Photos beyond ``angle_deg`` of the dominant sub-centre are dropped.

    Identities with fewer than ``min_photos`` are left alone: too few photos to say what dominates.
    """

    angle_deg: float = ANGLE_DEG
    min_photos: int = MIN_PHOTOS

    def __post_init__(self) -> None:
        if not 0 < self.angle_deg < 180:
            raise ConfigError(f"the angle must lie in 0–180 degrees, got {self.angle_deg:g}")
        if self.min_photos < 1:
            raise ConfigError(f"min_photos must be at least 1, got {self.min_photos}")


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the rule makes of N photos of C identities.

    ``judged``    (C,) the identity has enough photos
    ``photos``    (C,) photos of the identity
    ``dominant``  (C,) sub-centre most of its photos are nearest to, -1 where not judged
    ``share``     (C,) of its photos that are nearest to the dominant one, NaN where not judged
    ``nearest``   (N,) sub-centre a photo is nearest to
    ``angle_deg`` (N,) angle to the dominant sub-centre, NaN where not judged
    ``keep``      (N,)
    """

    judged: Mask
    photos: IndexArray
    dominant: IndexArray
    share: Array
    nearest: IndexArray
    angle_deg: Array
    keep: Mask


def judge(
    cosines: npt.ArrayLike, labels: npt.ArrayLike, classes: int, rule: Rule | None = None
) -> Verdict:
    """(N,K) cosines of photos to the sub-centres of their own identity and (N,) labels in.

    The dominant sub-centre is the one most photos are nearest to; of equals the one whose photos
    are nearest by the sum of their cosines. A photo exactly at the angle stays. Raises
    ``InvalidArray`` for other shapes, for cosines that are no numbers and labels out of range.
    """
    rule = rule or Rule()
    c, own = np.asarray(cosines, np.float64), np.asarray(labels)
    if c.ndim != 2 or c.shape[1] < 1 or own.shape != c.shape[:1]:
        raise InvalidArray(f"need (N,K) cosines and (N,) labels, got {c.shape} and {own.shape}")
    if not np.isfinite(c).all() or (np.abs(c) > 1 + 1e-3).any():
        raise InvalidArray("cosines must lie in -1–1; is the network broken?")
    if len(own) and not (own.min() >= 0 and own.max() < classes):
        raise InvalidArray(f"labels must lie in 0..{classes - 1}, got {own.min()}..{own.max()}")
    own = own.astype(np.int64)
    centres = c.shape[1]
    nearest = c.argmax(axis=1).astype(np.int64)
    place = own * centres + nearest
    counts = np.bincount(place, minlength=classes * centres).reshape(classes, centres)
    weight = np.bincount(place, c.max(axis=1), classes * centres).reshape(classes, centres)
    photos = counts.sum(axis=1)
    judged = photos >= rule.min_photos

    most = counts == counts.max(axis=1, keepdims=True)
    dominant = np.where(most, weight, -np.inf).argmax(axis=1)
    share = np.take_along_axis(counts, dominant[:, None], 1)[:, 0] / np.maximum(photos, 1)
    to_dominant = np.clip(c[np.arange(len(c)), dominant[own]], -1, 1)
    angle = np.where(judged[own], np.degrees(np.arccos(to_dominant)), np.nan)
    beyond = judged[own] & (to_dominant < np.cos(np.radians(rule.angle_deg)))
    return Verdict(
        judged=judged,
        photos=photos.astype(np.int64),
        dominant=np.where(judged, dominant, -1).astype(np.int64),
        share=np.where(judged, share, np.nan),
        nearest=nearest,
        angle_deg=angle,
        keep=~beyond,
    )


__all__ = ["ANGLE_DEG", "MIN_PHOTOS", "Rule", "Verdict", "judge"]

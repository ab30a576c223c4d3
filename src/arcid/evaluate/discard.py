"""Are quality reasons worth it? FNMR as photos of low quality are turned away.

Takes numbers, not photos: the caller measures quality. Higher is better for every measure; hand in
−|yaw| for an angle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate.intervals import clustered_rate
from arcid.evaluate.metrics import Array, IndexArray, Mask, error_versus_discard

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3)


def quality_block(
    genuine: Array,
    first: IndexArray,
    second: IndexArray,
    people: IndexArray,
    threshold: float,
    measures: Mapping[str, npt.ArrayLike],
    reasons: Sequence[Sequence[str]] = (),
    *,
    shares: Sequence[float] = SHARES,
    replicates: int = 300,
) -> dict[str, Any]:
    """The ``quality`` block of ``calibration.json``.

    ``genuine`` (G,): cosines of pairs of photos ``first`` and ``second`` of one person; ``people``
    (N,); ``measures``: (N,) values of each measure, NaN where it could not be measured (such pairs
    are left out of that measure); ``reasons``: the codes each photo is rejected for. Each reason is
    stated with the FNMR of the pairs that it would turn away, which should be far above the rest's.
    """
    own = people[first]

    def rate(rows: Mask) -> dict[str, Any]:
        found = clustered_rate(genuine[rows] < threshold, own[rows], replicates=replicates)
        return {"fnmr": found.value, "fnmr_low": found.low, "fnmr_high": found.high}

    everything = np.ones(len(genuine), bool)
    return {
        "cosine": threshold,
        "genuine_pairs": len(genuine),
        **rate(everything),
        "measures": [
            entry
            for name, values in measures.items()
            if (entry := _measure(name, values, genuine, first, second, threshold, shares))
        ],
        "reasons": _reasons(reasons, first, second, len(people), rate),
    }


def _measure(
    name: str,
    values: npt.ArrayLike,
    genuine: Array,
    first: IndexArray,
    second: IndexArray,
    threshold: float,
    shares: Sequence[float],
) -> dict[str, Any] | None:
    quality = np.asarray(values, np.float64)
    if len(quality) <= max(first.max(), second.max()):
        raise InvalidArray(f"{name}: {len(quality)} values for more photos")
    known = np.isfinite(quality[first]) & np.isfinite(quality[second])
    if not known.any():
        return None
    a, b = quality[first[known]], quality[second[known]]
    curve = error_versus_discard(genuine[known], a, b, threshold=threshold, discard=shares)
    return {
        "measure": name,
        "genuine_pairs": int(known.sum()),
        "area": curve.area,
        "curve": [
            {"discarded": float(s), "fnmr": float(f)}
            for s, f in zip(curve.discarded, curve.fnmr, strict=True)
            if np.isfinite(f)
        ],
    }


def _reasons(
    reasons: Sequence[Sequence[str]],
    first: IndexArray,
    second: IndexArray,
    photos: int,
    rate: Any,
) -> list[dict[str, Any]]:
    if not reasons:
        return []
    if len(reasons) != photos:
        raise InvalidArray(f"{photos} photos but reasons for {len(reasons)}")
    rows: list[dict[str, Any]] = []
    codes = sorted({code for each in reasons for code in each})
    for code in ["any", *codes] if codes else []:
        flagged = np.array([bool(each) if code == "any" else code in each for each in reasons])
        hit = flagged[first] | flagged[second]
        row: dict[str, Any] = {
            "reason": code,
            "photos": int(flagged.sum()),
            "genuine_pairs": int(hit.sum()),
        }
        if hit.any():
            row["rejected"] = rate(hit)
        if not hit.all():
            row["kept"] = rate(~hit)
        rows.append(row)
    return rows

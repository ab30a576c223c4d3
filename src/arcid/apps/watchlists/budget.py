"""False alerts a camera-hour → an error rate of one search → two thresholds of the calibration.

A camera that sees F faces an hour searches a list F times an hour. At a false positive
identification rate of ``budget / F`` that makes ``budget`` false alerts an hour. The calibration
turns rate and size of the list into a cosine; no threshold is made here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from arcid.calibration import Calibration, fpir_for_fmr
from arcid.errors import RateUnsupported

#: What a camera is taken to see before it was watched for long: a face a minute, which counts as
#: much as one hour of watching.
PRIOR_FACES_H, PRIOR_HOURS = 60.0, 1.0
LOOSEST_FPIR = 0.1  # however few faces a camera sees: the loosest rate that calibrations measure
Support = Literal["measured", "extrapolated", "out_of_reach"]


@dataclass(frozen=True, slots=True)
class Flow:
    """How many faces a camera sees, and what that is known from."""

    faces: int = 0  # tracks that were looked at
    hours: float = 0.0  # watched, of the last week's worth

    @property
    def faces_per_hour(self) -> float:
        """The mean, the prior counted in."""
        return (PRIOR_FACES_H * PRIOR_HOURS + self.faces) / (PRIOR_HOURS + self.hours)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "faces": self.faces,
            "hours": round(self.hours, 3),
            "faces_per_hour": round(self.faces_per_hour, 2),
            "prior_faces_per_hour": PRIOR_FACES_H,
            "prior_hours": PRIOR_HOURS,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One of the two thresholds, and what it is expected to do."""

    per_hour: float  # false ones a camera-hour, as asked for
    target_fpir: float  # of one face
    cosine_threshold: float
    support: Support
    expected_per_hour: float  # false ones at most: one look at each face, at the threshold's rate
    expected_low: float  # 95 % interval of the calibration
    expected_high: float
    missed: float  # share of genuine comparisons below the threshold

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a list's budget comes to at one camera."""

    templates: int
    flow: Flow
    alert: Line
    review: Line
    calibration_id: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "templates": self.templates,
            "flow": self.flow.to_dict(),
            "alert": self.alert.to_dict(),
            "review": self.review.to_dict(),
            "calibration_id": self.calibration_id,
        }


def budget(
    alerts_per_hour: float,
    reviews_per_hour: float,
    templates: int,
    flow: Flow,
    calibration: Calibration,
) -> Budget:
    """Both thresholds for a list of so many templates at a camera of that flow."""
    size = max(templates, 1)
    return Budget(
        templates,
        flow,
        line(alerts_per_hour, size, flow, calibration),
        line(reviews_per_hour, size, flow, calibration),
        calibration.calibration_id,
    )


def line(per_hour: float, size: int, flow: Flow, calibration: Calibration) -> Line:
    """One threshold. A rate beyond the calibration's table takes the strictest it has."""
    fpir = min(per_hour / flow.faces_per_hour, LOOSEST_FPIR)
    support: Support = "measured"
    try:
        threshold = calibration.threshold_at_fpir(fpir, size, allow_extrapolation=True)
    except RateUnsupported:
        support = "out_of_reach"
        fpir = fpir_for_fmr(calibration.smallest_fmr, size) * (1 + 1e-6)
        threshold = calibration.threshold_at_fpir(fpir, size, allow_extrapolation=True)
    if threshold.extrapolated and support == "measured":
        support = "extrapolated"
    expected, low, high = (
        fpir_for_fmr(min(fmr, 1 - 1e-12), size) * flow.faces_per_hour
        for fmr in (threshold.fmr, *calibration.fmr_interval(threshold.cosine))
    )
    return Line(
        per_hour, fpir, threshold.cosine, support, expected, low, high,
        calibration.fnmr(threshold.cosine),
    )  # fmt: skip

"""Cosine + calibration + gallery size → match / no match / review, each with its reason.

No threshold stands in this file: a target error rate and a calibration make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from arcid.calibration import Calibration, Threshold, fpir_for_fmr
from arcid.errors import RateUnsupported
from arcid.types import Decision, Outcome

DEFAULT_FMR = 1e-4  # 1:1, one stranger in ten thousand
DEFAULT_FPIR = 1e-2  # 1:N, one search in a hundred by somebody not enrolled
Unsupported = Literal["raise", "review", "extrapolate"]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question at a default rate that a calibration does not answer, in words."""

    message: str
    advice: str
    gallery: str | None = None  # None: two photos


def unanswered(calibration: Calibration, galleries: Mapping[str, int]) -> list[Unanswered]:
    """What the calibration does not support at the default rates: comparing two photos, and
    searching each of ``galleries`` (name → templates)."""
    found = []
    if calibration.smallest_supported_fmr > DEFAULT_FMR * (1 + 1e-9):
        found.append(
            Unanswered(
                f"two photos cannot be compared at the default false match rate of "
                f"{DEFAULT_FMR:g}: the calibration supports no less than "
                f"{calibration.smallest_supported_fmr:.2g}",
                f"calibrate on more people, go back with arcid calibrate --undo where this one was "
                f"measured here, or ask for {calibration.smallest_supported_fmr:.2g} or more",
            )
        )
    largest = largest_gallery(calibration)
    for name, size in galleries.items():
        if size > largest:
            found.append(
                Unanswered(
                    f"a search of {name} ({size:,} templates) at the default false positive "
                    f"identification rate of {DEFAULT_FPIR:g} ends in review where it should name "
                    f"somebody: the calibration supports "
                    + (f"up to {largest:,} templates" if largest else "no gallery at that rate"),
                    "calibrate on more people (arcid calibrate FOLDER), ask for a larger rate, or "
                    "allow extrapolation by name",
                    name,
                )
            )
    return found


def largest_gallery(calibration: Calibration, fpir: float = DEFAULT_FPIR) -> int:
    """How many templates can be searched at a rate with what the calibration supports."""

    def supported(size: int) -> bool:
        try:
            calibration.threshold_at_fpir(fpir, size)
        except RateUnsupported:
            return False
        return True

    low, high = 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if supported(middle) else (low, middle - 1)
    return low


def verify(
    cosine: float,
    calibration: Calibration,
    *,
    fmr: float = DEFAULT_FMR,
    review_fmr: float | None = None,
    allow_extrapolation: bool = False,
) -> Decision:
    """Decide whether two faces are one person, at a target false match rate.

    With ``review_fmr`` (a larger rate) cosines between both thresholds are for a human to see.
    Raises ``RateUnsupported`` where the calibration's data cannot support ``fmr``.
    """
    threshold = calibration.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
    lower = calibration.threshold_at_fmr(review_fmr) if review_fmr else threshold
    outcome: Outcome
    if cosine >= threshold.cosine:
        outcome, relation = "match", "at or above"
    elif cosine >= lower.cosine:
        outcome, relation = "review", "below"
    else:
        outcome, relation = "no_match", "below"
    reason = (
        f"cosine {cosine:.3f} is {relation} {threshold.cosine:.3f}, the threshold at a false match "
        f"rate of {fmr:g}{_suffix(threshold)}"
    )
    return _decision(outcome, cosine, threshold, calibration, fmr, "fmr", 1, reason)


def identify(
    cosine: float | None,
    calibration: Calibration,
    gallery_size: int,
    *,
    fpir: float = DEFAULT_FPIR,
    unsupported: Unsupported = "review",
    given_away: bool = False,
) -> Decision:
    """Decide whether the best of ``gallery_size`` searched templates is the person of the probe.

    ``cosine`` is the best one found, None when there is no candidate. The threshold follows the
    gallery's size. Where the calibration cannot support the rate that this size needs:
    ``raise`` raises ``RateUnsupported``; ``review`` rejects what is below the last supported
    threshold and leaves the rest to a human; ``extrapolate`` uses the table beyond its data and
    says so. ``given_away``: another face of the same photo was given that person, so this one is
    never them.
    """
    decision = _identify(cosine, calibration, gallery_size, fpir, unsupported)
    if not given_away:
        return decision
    reason = f"{decision.reason}; another face of this photo was given that person"
    return replace(decision, outcome="no_match", reason=reason)


def _identify(
    cosine: float | None,
    calibration: Calibration,
    gallery_size: int,
    fpir: float,
    unsupported: Unsupported,
) -> Decision:
    if cosine is None or gallery_size == 0:
        last = calibration.threshold_at_fmr(calibration.smallest_supported_fmr)
        reason = (
            "nobody is left to decide on"
            if gallery_size
            else "the gallery holds no faces of this model"
        )
        return _decision("no_match", None, last, calibration, fpir, "fpir", gallery_size, reason)
    try:
        threshold = calibration.threshold_at_fpir(
            fpir, gallery_size, allow_extrapolation=unsupported == "extrapolate"
        )
    except RateUnsupported:
        if unsupported != "review":
            raise
        return _review(cosine, calibration, gallery_size, fpir)
    match = cosine >= threshold.cosine
    reason = (
        f"cosine {cosine:.3f} is {'at or above' if match else 'below'} {threshold.cosine:.3f}, the "
        f"threshold for {gallery_size:,} templates at a false positive identification rate of "
        f"{fpir:g}{_suffix(threshold)}"
    )
    outcome: Outcome = "match" if match else "no_match"
    return _decision(outcome, cosine, threshold, calibration, fpir, "fpir", gallery_size, reason)


def _review(cosine: float, calibration: Calibration, gallery_size: int, fpir: float) -> Decision:
    last = calibration.threshold_at_fmr(calibration.smallest_supported_fmr)
    reached = fpir_for_fmr(last.fmr, gallery_size)
    if cosine < last.cosine:
        outcome: Outcome = "no_match"
        reason = f"cosine {cosine:.3f} is below {last.cosine:.3f}, the last supported threshold"
    else:
        outcome = "review"
        reason = (
            f"{gallery_size:,} templates at a false positive identification rate of {fpir:g} need "
            f"a calibration on more people than this one's (it reaches {reached:.2g}); cosine "
            f"{cosine:.3f} passes its last supported threshold {last.cosine:.3f}: a human decides"
        )
    return _decision(outcome, cosine, last, calibration, fpir, "fpir", gallery_size, reason)


def _suffix(threshold: Threshold) -> str:
    if threshold.extrapolated:
        return " (extrapolated beyond the measured data)"
    if threshold.combined:
        return " (of your people and the packaged calibration combined)"
    return ""


def _decision(
    outcome: Outcome,
    cosine: float | None,
    threshold: Threshold,
    calibration: Calibration,
    target: float,
    kind: Literal["fmr", "fpir"],
    gallery_size: int,
    reason: str,
) -> Decision:
    return Decision(
        outcome=outcome,
        cosine=cosine,
        threshold=threshold.cosine,
        probability=None if cosine is None else calibration.probability(cosine),
        fmr=None if cosine is None else calibration.stated_fmr(cosine),
        target=target,
        target_kind=kind,
        gallery_size=gallery_size,
        calibration_id=calibration.calibration_id,
        extrapolated=threshold.extrapolated,
        reason=reason,
    )

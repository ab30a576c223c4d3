"""Cosine + calibration + gallery size → match / no match / review, each with its reason.

No threshold stands in this file: a target error rate and a calibration make it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, get_args

from arcid.calibration import Calibration, Threshold, check_rate, fpir_for_fmr
from arcid.errors import RateUnsupported, UsageError
from arcid.types import Decision, Outcome, counted

DEFAULT_FMR = 1e-4  # 1:1, one stranger in ten thousand
DEFAULT_FPIR = 1e-2  # 1:N, one search in a hundred by somebody not enrolled
NOT_MEASURED = (
    "how many people the index misses is not measured yet: run arcid gallery index --sample 1000"
)
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
                    f"a search of {name} ({counted(size, 'template')}) at the default false "
                    f"positive identification rate of {DEFAULT_FPIR:g} ends in review where it "
                    "should name somebody: the calibration supports "
                    + (f"up to {largest:,} templates" if largest else "no gallery at that rate"),
                    "calibrate on more people (arcid calibrate FOLDER), ask for a larger rate, or "
                    "allow extrapolation",
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
    allow_extrapolation: bool = False,
) -> Decision:
    """Decide whether two faces are one person, at a target false match rate.

    Raises ``RateUnsupported`` where the calibration's data cannot support ``fmr``.
    """
    threshold = calibration.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
    reason = _verified(f"cosine {cosine:.3f}", cosine, threshold, fmr)
    return _decision(cosine, threshold, calibration, reason, target_fmr=fmr)


def verify_templates(
    cosines: Sequence[float],
    calibration: Calibration,
    *,
    fmr: float = DEFAULT_FMR,
    allow_extrapolation: bool = False,
) -> Decision:
    """Decide whether a face is one person of whom there are several templates.

    ``cosines``: (N,), best first. The best of N comparisons reaches a threshold up to N times as
    often as one does. By Markov's inequality the r-th best of N, however the comparisons depend on
    one another, reaches a cosine with a false match rate of f at most N/r · f of the time; r is the
    least for which the calibration has a threshold at f = ``fmr`` · r/N. Raises as ``verify``.
    """
    count = len(cosines)
    if not count:
        raise UsageError("there is no template to compare with")
    check_rate("fmr", fmr)
    rank, threshold = _rank(count, calibration, fmr, allow_extrapolation)
    cosine = float(cosines[rank - 1])
    which = "best" if rank == 1 else f"number {rank} from the best"
    compared = f"cosine {cosine:.3f}"
    if count > 1:
        compared += f", the {which} of {count} templates,"
    reason = _verified(compared, cosine, threshold, fmr)
    return _decision(cosine, threshold, calibration, reason, target_fmr=fmr, size=count)


def _rank(
    count: int, calibration: Calibration, fmr: float, allow_extrapolation: bool
) -> tuple[int, Threshold]:
    """See ``verify_templates``: r, and the threshold that the r-th best has to reach."""
    for rank in range(1, count):
        with suppress(RateUnsupported):
            share = fmr * rank / count
            return rank, calibration.threshold_at_fmr(
                share, allow_extrapolation=allow_extrapolation
            )
    return count, calibration.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)


def _verified(compared: str, cosine: float, threshold: Threshold, fmr: float) -> str:
    relation = "at or above" if cosine >= threshold.cosine else "below"
    return (
        f"{compared} is {relation} {threshold.cosine:.3f}, the threshold at a false match rate of "
        f"{fmr:g}{_suffix(threshold)}"
    )


def identify(
    cosine: float | None,
    calibration: Calibration,
    gallery_size: int,
    *,
    fpir: float = DEFAULT_FPIR,
    unsupported: Unsupported = "review",
    given_away: bool = False,
    unit: str = "template",
    index_miss_rate: float | None = 0.0,
) -> Decision:
    """Decide whether the best of ``gallery_size`` searched templates is the person of the probe.

    ``cosine`` is the best one found, None when there is no candidate. The threshold follows the
    gallery's size. Where the calibration cannot support the rate that this size needs:
    ``raise`` raises ``RateUnsupported``; ``review`` rejects what is below the last supported
    threshold and leaves the rest to a human; ``extrapolate`` uses the table beyond its data and
    says so. ``given_away``: another face of the same photo was given that person, so this one is
    never them. ``unit``: what ``gallery_size`` counts, in the reason's words.

    ``index_miss_rate``: as ``Hits`` tells it. Somebody is missed below the threshold (FNMR) or by
    the index, so the stated FNIR is at most the sum of both; that of one photo enrolled.
    """
    if unsupported not in get_args(Unsupported):
        raise UsageError(
            f"unsupported {unsupported!r} is unknown; use raise, review or extrapolate"
        )
    decision = _identify(cosine, calibration, gallery_size, fpir, unsupported, unit)
    if given_away:
        reason = f"{decision.reason}; another face of this photo was given that person"
        decision = replace(decision, outcome="no_match", reason=reason)
    return _with_misses(decision, calibration, index_miss_rate) if gallery_size else decision


def _with_misses(decision: Decision, calibration: Calibration, by_index: float | None) -> Decision:
    if by_index is None:
        return replace(decision, reason=f"{decision.reason}; {NOT_MEASURED}")
    reason = f"{decision.reason}; {missed_words(by_index)}" if by_index else decision.reason
    fnir = min(1.0, calibration.fnmr(decision.cosine_threshold) + by_index)
    return replace(decision, reason=reason, fnir=fnir, index_miss_rate=by_index)


def missed_words(rate: float) -> str:
    return f"up to {100 * rate:.2g} % of people may be missed by the index"


def among_pairs(
    calibration: Calibration,
    comparisons: int,
    false_pairs: float,
    *,
    allow_extrapolation: bool = False,
) -> Threshold:
    """The threshold at which ``comparisons`` of two different people's templates are expected to
    give at most ``false_pairs`` false ones.

    The expected number is comparisons · FMR, however the comparisons depend on one another; people
    who are taken for one another have at least one such pair. Never below the threshold at which
    two photos are compared. Raises ``RateUnsupported`` where the data cannot support the FMR.
    """
    if not 0 < false_pairs < math.inf:
        raise UsageError(f"false_pairs must be more than 0, got {false_pairs:g}")
    loosest = max(DEFAULT_FMR, calibration.smallest_supported_fmr)
    fmr = min(false_pairs / max(comparisons, 1), loosest)
    try:
        return calibration.threshold_at_fmr(fmr, allow_extrapolation=allow_extrapolation)
    except RateUnsupported:
        least = calibration.smallest_supported_fmr
        advice = ", allow extrapolation"
        if allow_extrapolation:
            least, advice = float(calibration.data["fmr_table"][-1]["fmr"]), ""
        raise RateUnsupported(
            f"at most {counted_pairs(false_pairs)} expected in {comparisons:,} comparisons of "
            f"different people's templates need an FMR of {fmr:.1e}, and the calibration "
            f"{'ends at' if allow_extrapolation else 'supports no less than'} {least:.1e}: ask for "
            f"{math.ceil(least * comparisons):,} false pairs or more{advice}, or calibrate on more "
            "people",
            comparisons=comparisons,
            fmr=fmr,
            smallest_supported_fmr=calibration.smallest_supported_fmr,
            smallest_false_pairs=math.ceil(least * comparisons),
        ) from None


def false_pairs_between(
    calibration: Calibration, cosine: float, comparisons: int
) -> tuple[int, int]:
    """So many false pairs come of ``comparisons`` at that threshold in 95 of 100 runs: the
    calibration's 95 % interval, and Poisson's around both ends of it."""
    low, high = (rate * comparisons for rate in calibration.fmr_interval(cosine))
    return _poisson(low, 0.025), _poisson(high, 0.975)


def _poisson(mean: float, share: float) -> int:
    """The smallest count that so large a share of Poisson counts do not exceed."""
    if mean > 500:  # close to normal
        return round(mean + math.copysign(1.96, share - 0.5) * math.sqrt(mean))
    count, term = 0, math.exp(-mean)
    total = term
    while total < share:
        count += 1
        term *= mean / count
        total += term
    return count


def counted_pairs(false_pairs: float) -> str:
    """1 false pair, 2.5 false pairs."""
    return f"{false_pairs:,g} false pair{'' if false_pairs == 1 else 's'}"


def _identify(
    cosine: float | None,
    calibration: Calibration,
    gallery_size: int,
    fpir: float,
    unsupported: Unsupported,
    unit: str,
) -> Decision:
    if cosine is None or gallery_size == 0:
        last = calibration.threshold_at_fmr(calibration.smallest_supported_fmr)
        reason = (
            "nobody is left to decide on"
            if gallery_size
            else "the gallery holds no faces of this model"
        )
        return _decision(None, last, calibration, reason, target_fpir=fpir, size=gallery_size)
    try:
        threshold = calibration.threshold_at_fpir(
            fpir, gallery_size, allow_extrapolation=unsupported == "extrapolate"
        )
    except RateUnsupported:
        if unsupported != "review":
            raise
        return _review(cosine, calibration, gallery_size, fpir, unit)
    relation = "at or above" if cosine >= threshold.cosine else "below"
    reason = (
        f"cosine {cosine:.3f} is {relation} {threshold.cosine:.3f}, the threshold for "
        f"{counted(gallery_size, unit)} at a false positive identification rate of "
        f"{fpir:g}{_suffix(threshold)}"
    )
    return _decision(cosine, threshold, calibration, reason, target_fpir=fpir, size=gallery_size)


def _review(
    cosine: float, calibration: Calibration, gallery_size: int, fpir: float, unit: str
) -> Decision:
    last = calibration.threshold_at_fmr(calibration.smallest_supported_fmr)
    reached = fpir_for_fmr(last.fmr, gallery_size)
    if cosine < last.cosine:
        outcome: Outcome = "no_match"
        reason = f"cosine {cosine:.3f} is below {last.cosine:.3f}, the last supported threshold"
    else:
        outcome = "review"
        reason = (
            f"to decide over {counted(gallery_size, unit)} at a false positive identification "
            f"rate of {fpir:g} needs a calibration on more people than this one's (it reaches "
            f"{reached:.2g}); cosine {cosine:.3f} passes its last supported threshold "
            f"{last.cosine:.3f}: a human decides"
        )
    return _decision(
        cosine, last, calibration, reason, outcome=outcome, target_fpir=fpir, size=gallery_size
    )


def _suffix(threshold: Threshold) -> str:
    if threshold.extrapolated:
        return " (extrapolated beyond the measured data)"
    if threshold.combined:
        return " (of your people and the packaged calibration combined)"
    return ""


def _decision(
    cosine: float | None,
    threshold: Threshold,
    calibration: Calibration,
    reason: str,
    *,
    outcome: Outcome | None = None,
    target_fmr: float | None = None,
    target_fpir: float | None = None,
    size: int = 1,
) -> Decision:
    if outcome is None:
        outcome = "match" if cosine is not None and cosine >= threshold.cosine else "no_match"
    return Decision(
        outcome=outcome,
        cosine=cosine,
        cosine_threshold=threshold.cosine,
        probability=None if cosine is None else calibration.probability(cosine),
        fmr=None if cosine is None else calibration.stated_fmr(cosine),
        target_fmr=target_fmr,
        target_fpir=target_fpir,
        gallery_size=size,
        calibration_id=calibration.calibration_id,
        extrapolated=threshold.extrapolated,
        reason=reason,
    )

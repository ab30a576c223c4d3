"""Everything that was seen of an applicant → checks, and one outcome: the worst of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from arcid.apps.onboarding.mrz import Source, Zone, same_name
from arcid.apps.onboarding.records import Check, Effect, Outcome, Rules
from arcid.calibration import Calibration
from arcid.pipeline.identifier import Identifier
from arcid.results import Identified

#: Signs of 256 in which two prints may differ (``prints``; docs/concepts/onboarding.md).
IDENTICAL, ALIKE = 40, 55  # document and selfie: the same picture; perhaps
REPLAYED, REPEATED = 24, 36  # two selfies of different sessions
_READ: dict[Source, str] = {
    "typed": "it was typed",
    "picture": "it was read in the picture",
    "both": "it was typed, and read alike in the picture",
    "contradicted": "it was typed",
}
_WORST: dict[Effect, Outcome] = {"review": "review", "reject": "rejected"}


def outcome(checks: Sequence[Check]) -> Outcome:
    """``rejected`` where one check rejects, else ``review`` where one asks for a human."""
    found = {_WORST.get(check.effect, "accepted") for check in checks}
    return next(one for one in ("rejected", "review", "accepted") if one in found | {"accepted"})


def match(cosine: float, calibration: Calibration | None, rules: Rules) -> Check:
    """Whether document and selfie show one person, by the calibration of one with the other."""
    if calibration is None:
        return Check(
            "match_uncalibrated",
            "review",
            f"cosine {cosine:.3f} of document and selfie: nobody measured what that means for "
            "this recogniser (arcid onboarding calibrate), so a human compares them",
            {"cosine": cosine},
        )
    documents = Identifier(calibration.contract_id, calibration)
    decided = documents.verify_cosine(cosine, fmr=rules.fmr)
    measured = decided.to_dict()
    if decided.matched:
        return Check("match", "pass", decided.reason, measured)
    doubt = documents.verify_cosine(cosine, fmr=rules.review_fmr)
    if doubt.matched:
        return Check("match_unsure", "review", f"{decided.reason}; a human compares them", measured)
    return Check("different_people", "reject", doubt.reason, doubt.to_dict())


def identical(apart: int) -> Check:
    """Whether the selfie is a picture of the portrait. ``apart``: ``prints.distance``."""
    measured = {"signs_apart": apart}
    if apart <= IDENTICAL:
        return Check(
            "too_identical",
            "reject",
            f"document and selfie are the same picture: {apart} of 256 signs apart, two pictures "
            f"of a person are more than {IDENTICAL}",
            measured,
        )
    if apart <= ALIKE:
        message = f"document and selfie are suspiciously alike: {apart} of 256 signs apart"
        return Check("too_alike", "review", message, measured)
    return Check("identical", "pass", f"two pictures: {apart} of 256 signs apart", measured)


def replay(apart: int | None) -> Check:
    """Whether the selfie was used in another session; None: in no session that is kept."""
    if apart is None:
        return Check("replay", "pass", "there is no other session to have taken the picture from")
    measured = {"signs_apart": apart}
    if apart <= REPLAYED:
        message = f"this very picture was used in another session ({apart} of 256 signs apart)"
        return Check("replayed", "reject", message, measured)
    if apart <= REPEATED:
        message = f"a picture much like this was used in another session ({apart} of 256 signs)"
        return Check("repeated", "review", message, measured)
    return Check("replay", "pass", f"no other session had it: {apart} of 256 signs apart", measured)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of the living face."""

    actions: tuple[str, ...] = ()  # of a passed challenge
    score: float | None = None  # of the passive check, 0–1; None: not measured
    threshold: float = 0.5
    by: str = ""  # the passive check's name


def liveness(shown: Shown, rules: Rules) -> list[Check]:
    """Challenge and passive check. Where neither says that it is a living face, a human decides."""
    checks = []
    if shown.actions:
        done = ", ".join(action.replace("_", " ") for action in shown.actions)
        message = f"the head moved as asked: {done}"
        checks.append(Check("challenge", "pass", message, {"actions": list(shown.actions)}))
    elif rules.live:
        message = "no head turned in front of a camera: a picture was handed in"
        checks.append(Check("challenge_missing", "review", message))
    if shown.score is not None and rules.passive != "off":
        measured = {"score": shown.score, "threshold": shown.threshold, "check": shown.by}
        words = f"liveness score {shown.score:.2f}, {shown.threshold:.2f} is needed"
        if shown.score >= shown.threshold:
            checks.append(Check("passive", "pass", words, measured))
        else:
            effect: Effect = "reject" if rules.passive == "require" else "review"
            checks.append(Check("not_live", effect, f"{words}: a picture of a face", measured))
    elif rules.passive != "off":
        message = "the check for pictures of pictures is not installed (minifasnet) or failed"
        lone = not shown.actions and rules.passive == "require"
        checks.append(Check("passive_missing", "review" if lone else "note", message))
    return checks


def duplicate(found: Identified) -> Check:
    """Whether the selfie is somebody of the collection already."""
    decision = found.decision
    if decision.outcome == "no_match":
        return Check("duplicate", "pass", f"nobody enrolled has this face: {decision.reason}")
    measured = decision.to_dict() | {"person_id": found.candidates[0].person_id}
    words = "is enrolled already" if decision.matched else "may be enrolled already"
    return Check("possible_duplicate", "review", f"this face {words}: {decision.reason}", measured)


def papers(zone: Zone | None, name: str, birth_date: date | None, today: date) -> list[Check]:
    """The machine-readable zone against what the applicant said."""
    if zone is None:
        message = "no machine-readable zone was typed, and none was read in the picture"
        return [Check("zone_missing", "note", message)]
    message = f"the check digits of the machine-readable zone are right; {_READ[zone.source]}"
    checks = [Check("zone", "pass", message, {"source": zone.source})]
    if zone.source == "contradicted":
        message = "another machine-readable zone was read in the picture than was typed"
        checks.append(Check("zone_differs", "review", message))
    if zone.expires is not None and zone.expires < today:
        checks.append(Check("document_expired", "reject", "the document has expired"))
    same = same_name(name, zone)
    if same is None:
        message = "the name has letters that cannot be compared with the machine-readable zone"
        checks.append(Check("name_uncertain", "review", message))
    elif not same and zone.source == "picture":
        message = "the name is not the one read in the picture, which no check digit guards"
        checks.append(Check("name_uncertain", "review", message))
    elif not same:
        message = "the name is not that of the machine-readable zone"
        checks.append(Check("name_differs", "review", message))
    else:
        checks.append(Check("name", "pass", "the name is that of the machine-readable zone"))
    if birth_date is None or zone.birth_date is None:
        checks.append(Check("birth_date_missing", "note", "there is no birth date to compare"))
    elif birth_date != zone.birth_date:
        message = "the birth date is not that of the machine-readable zone"
        checks.append(Check("birth_date_differs", "review", message))
    else:
        message = "the birth date is that of the machine-readable zone"
        checks.append(Check("birth_date", "pass", message))
    return checks

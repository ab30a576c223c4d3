"""What somebody in front of a kiosk is shown, frame by frame, and whose face is meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

from arcid.errors import SeveralFacesFound
from arcid.liveness.challenge import Failure as ChallengeFailure
from arcid.liveness.challenge import Status
from arcid.pipeline import Pipeline
from arcid.quality import Reason
from arcid.types import Detections, Embeddings, Match, Selection

SAME_FMR = 1e-3  # at which two looks of one run count as one person
Failure = ChallengeFailure | Literal["changed"]  # changed: another face took the place
FAILURES: tuple[Failure, ...] = (*get_args(ChallengeFailure), "changed")


class State(StrEnum):
    """What somebody in front of the kiosk is shown."""

    WAITING = "waiting"  # for a face
    SEVERAL = "several"  # more than one person may be meant
    UNUSABLE = "unusable"  # ``reason`` says what to do
    LOOKING = "looking"  # being recognised
    CHALLENGED = "challenged"  # ``challenge`` says what is asked for
    CHECKED_IN = "checked_in"  # ``person``
    UNKNOWN = "unknown"  # nobody of the collection
    REVIEW = "review"  # a human decides
    REFUSED = "refused"  # ``failure`` says why


#: Answers: they stay until whoever was told has stepped aside.
ANSWERS = frozenset({State.CHECKED_IN, State.UNKNOWN, State.REVIEW, State.REFUSED})


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame came to."""

    state: State
    box: tuple[float, ...] | None = None  # xyxy pixels of the face; None where an answer stays
    reason: Reason | None = None
    challenge: Status | None = None
    person: Match | None = None
    at: datetime | None = None  # UTC, of the answer
    failure: Failure | None = None


WAITING = Look(State.WAITING)


def meant(found: Detections, which: Selection) -> int | None:
    """The row of the face that is looked at; None where it may be one of several."""
    try:
        return found.choose(which)
    except SeveralFacesFound:
        return None


def alike(pipeline: Pipeline, one: Embeddings, other: Embeddings) -> bool:
    """Whether two looks of one screen are one face."""
    return float(one.cosine(other)[0, 0]) >= same_face(pipeline)


def same_face(pipeline: Pipeline) -> float:
    """The cosine from which two looks are one face."""
    calibration = pipeline.calibration
    rate = max(SAME_FMR, calibration.smallest_supported_fmr)
    return calibration.threshold_at_fmr(rate).cosine

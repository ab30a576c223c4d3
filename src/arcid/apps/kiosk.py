"""A check-in kiosk: one face at a time is recognised, turns its head where asked, and is let in.

    kiosk = Kiosk(pipeline, gallery, gallery.collection("staff"), "Front door")
    for frame, look in kiosk.watch(source):       look.state says what to show
        ...

Who was recognised is checked in at the end of a passed challenge, or at once where none is asked
for. Everything is written as for any other camera. One thread.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, get_args

import numpy as np

from arcid.apps.attendance import Policy
from arcid.apps.attendance.closing import end_stays
from arcid.apps.watching.grounds import decided_on, question
from arcid.errors import ArcidError, SeveralFacesFound
from arcid.events import Blocks, Events, Place, Sightings
from arcid.gallery import Collection, Gallery
from arcid.liveness import Challenge, ChallengeSettings
from arcid.liveness.challenge import Failure as ChallengeFailure
from arcid.liveness.challenge import Status
from arcid.pipeline import Pipeline
from arcid.quality import Reason
from arcid.results import Faces, Identification
from arcid.types import Detections, Embeddings, FloatArray, Match, Selection
from arcid.video import Frame, Source

log = logging.getLogger(__name__)
STRAIGHT_DEG = 12.0
SAME_FMR = 1e-3  # at which two looks of one run count as one person
EMBED_EVERY_S = 0.4
ANSWER_S = 4.0  # an answer stays at least so long
LOOKS = 3  # that agree, before somebody is looked for
STRANGE = 2  # looks at another face that end a challenge
DEPART_EVERY_S = 5.0
#: A busy machine skips frames; who it is is asked again before every action.
CHALLENGE = ChallengeSettings(lost_limit_s=2.0)
Failure = ChallengeFailure | Literal["changed"]  # changed: another face took the place
FAILURES: tuple[Failure, ...] = (*get_args(ChallengeFailure), "changed")
ATTACKS: tuple[Failure, ...] = ("flat", "changed")  # that are recorded as such


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


@dataclass(slots=True)
class _Try:
    """One person's, from the first look to the answer."""

    vectors: list[Embeddings] = field(default_factory=list)
    found: Identification | None = None
    challenge: Challenge | None = None
    embedded_at: float = 0.0  # ticks
    strange: int = 0  # looks at another face, in a row
    checked: int = -1  # the step before which the face was last found to be the same

    def pooled(self) -> Embeddings:
        total = np.sum([v.vectors for v in self.vectors], axis=0)
        return Embeddings.normalised(total, self.vectors[0].contract_id)


class Kiosk:
    """Raises nothing that a frame may cause; what the gallery raises ends ``watch``."""

    def __init__(
        self,
        pipeline: Pipeline,
        gallery: Gallery,
        collection: Collection,
        camera: str,
        *,
        challenged: bool = True,
        draw: Callable[[], Challenge] = lambda: Challenge.draw(CHALLENGE),
    ) -> None:
        """``camera``: its name in every event; ``challenged``: whether head turns are asked for."""
        self._pipeline, self._gallery, self._collection = pipeline, gallery, collection
        self._place = Place(camera, camera)
        self._challenged, self._draw = challenged, draw
        self._cooldown_s = Policy().cooldown_s
        self._answer: Look | None = None
        self._until = 0.0  # ticks until which the answer stays
        self._gone = True  # the face has left since the answer
        self._departed = -np.inf  # when departures were last looked for, seconds since 1970
        self._try = _Try()

    def watch(self, source: Source) -> Iterator[tuple[Frame, Look]]:
        """Frames with what they came to, until the source ends; the stays end with it."""
        try:
            for frame in source.frames():
                self._depart(time.time() if frame is None else frame.at)
                if frame is not None:
                    yield frame, self.look(frame)
        finally:
            end_stays(self._gallery, self._collection.name, self._place)

    def look(self, frame: Frame) -> Look:
        """One frame, in order."""
        prepared = self._pipeline.prepare(frame.image, keep_photo=False, second_try=False)
        found = prepared.detections
        empty = found is None or len(found) == 0
        if self._answer is not None:
            stays = frame.ticks < self._until
            self._gone = self._gone or (stays and empty)
            if stays or not (self._gone or empty):
                return self._answer
            self._answer = None
        if found is None or empty:
            self._gone = True
            if self._try.challenge is not None:
                return self._go_on(frame, None, None)
            self._try = _Try()
            return WAITING
        alone = meant(found, "one")  # stricter than elsewhere: whoever stands there is let in
        if alone is None and self._try.challenge is None:
            self._try = _Try()
            return Look(State.SEVERAL)
        index = found.choose("largest") if alone is None else alone
        box = tuple(map(float, found.boxes[index]))
        points = None if found.points is None else found.points[index]
        self._gone = False
        quality = prepared.quality[index]
        if self._try.challenge is not None:
            # a face turned away says little about who it is
            straight = not quality.reasons and abs(quality.yaw_deg or 0.0) <= STRAIGHT_DEG
            if straight and self._check_due(frame):
                self._check(frame, self._pipeline.embed([prepared])[0].embeddings[index])
            return self._go_on(frame, points, box)
        if quality.reasons:
            return Look(State.UNUSABLE, box, reason=quality.reasons[0])
        faces = self._pipeline.embed([prepared])[0]
        self._collect(faces.embeddings[index])
        if len(self._try.vectors) < LOOKS:
            return Look(State.LOOKING, box)
        self._try.found = self._identify(faces, index)
        if self._try.found.decision.outcome == "review":
            return self._ask(frame, box)
        if self._try.found.decision.outcome != "match":
            return self._end(frame, Look(State.UNKNOWN, box))
        if not self._challenged:
            return self._check_in(frame, box)
        self._try.challenge, self._try.embedded_at = self._draw(), frame.ticks
        return self._go_on(frame, points, box)

    # who it is

    def _collect(self, vector: Embeddings) -> None:
        if self._try.vectors and not alike(self._pipeline, self._try.vectors[0], vector):
            self._try.vectors = []
        self._try.vectors.append(vector)

    def _identify(self, faces: Faces, index: int) -> Identification:
        name, probe = self._collection.name, self._try.pooled()
        blocks = Blocks(Events(self._gallery).blocked(name, probe.contract_id))
        (found,) = self._pipeline.identify_embeddings(
            probe, self._gallery, name, refuse=blocks.refuse
        )
        return Identification(found.candidates, found.decision, faces[index])

    # the challenge

    def _check_due(self, frame: Frame) -> bool:
        """Every so often, and at least once before each of the actions."""
        status = None if self._try.challenge is None else self._try.challenge.status
        new_step = (
            status is not None and status.phase == "centre" and status.step != self._try.checked
        )
        return new_step or frame.ticks - self._try.embedded_at >= EMBED_EVERY_S

    def _check(self, frame: Frame, vector: Embeddings) -> None:
        """Whether it is still the same face."""
        self._try.embedded_at = frame.ticks
        if alike(self._pipeline, self._try.pooled(), vector):
            self._try.vectors.append(vector)
            self._try.strange = 0
            self._try.checked = (
                -1 if self._try.challenge is None else self._try.challenge.status.step
            )
        else:
            self._try.strange += 1

    def _go_on(
        self, frame: Frame, points: FloatArray | None, box: tuple[float, ...] | None
    ) -> Look:
        if self._try.challenge is None:
            return WAITING
        if self._try.strange >= STRANGE:
            return self._refuse(frame, "changed", box)
        status = self._try.challenge.update(points, frame.ticks)
        if status.phase == "passed":
            if self._try.checked < status.steps - 1:
                return self._refuse(frame, "changed", box)
            return self._check_in(frame, box)
        if status.phase == "failed":
            return self._refuse(frame, status.failure or "too_slow", box)
        return Look(State.CHALLENGED, box, challenge=status)

    # answers

    def _check_in(self, frame: Frame, box: tuple[float, ...] | None) -> Look:
        if self._try.found is None:
            return WAITING
        person, at = self._try.found.candidates[0], datetime.fromtimestamp(frame.at, UTC)
        Sightings(self._gallery).person(
            self._collection.name,
            self._place,
            person.person_id,
            at,
            cooldown_s=self._cooldown_s,
            grounds=self._grounds("passed"),
            vector=self._try.pooled(),
        )
        return self._end(frame, Look(State.CHECKED_IN, box, person=person, at=at))

    def _ask(self, frame: Frame, box: tuple[float, ...] | None) -> Look:
        """Left to a human: put in the review queue, once while it is the same face."""
        if self._try.found is None:
            return WAITING
        at = datetime.fromtimestamp(frame.at, UTC)
        Sightings(self._gallery).visitor(
            self._collection.name,
            self._place,
            at,
            at,
            self._key(frame),
            cooldown_s=self._cooldown_s,
            alike=_same_face(self._pipeline),
            grounds=self._grounds("not asked"),
            vector=self._try.pooled(),
            crop=self._try.found.face.crop if self._collection.keep_crops else None,
            question=question(self._try.found.decision, self._try.found.candidates),
        )
        return self._end(frame, Look(State.REVIEW, box, at=at))

    def _refuse(self, frame: Frame, why: Failure, box: tuple[float, ...] | None) -> Look:
        if why in ATTACKS and self._try.found is not None:
            Sightings(self._gallery).spoof(
                self._collection.name,
                self._place,
                datetime.fromtimestamp(frame.at, UTC),
                self._key(frame),
                person_id=self._try.found.candidates[0].person_id,
                cooldown_s=self._cooldown_s,
                grounds=self._grounds(why),
                vector=self._try.pooled(),
            )
        return self._end(frame, Look(State.REFUSED, box, failure=why))

    def _end(self, frame: Frame, answer: Look) -> Look:
        self._try = _Try()
        self._answer = dataclasses.replace(answer, box=None)
        self._until, self._gone = frame.ticks + ANSWER_S, False
        return answer

    # the book

    def _key(self, frame: Frame) -> str:
        return f"{self._place.camera}:{int(frame.at)}"

    def _depart(self, at: float) -> None:
        """Whoever was not seen for the cooldown has left, as for any other camera."""
        if abs(at - self._departed) < DEPART_EVERY_S:
            return
        self._departed = at
        try:
            Sightings(self._gallery).depart(
                self._collection.name,
                self._place.name,
                datetime.fromtimestamp(at, UTC) - timedelta(seconds=self._cooldown_s),
                f"not seen for {self._cooldown_s:g} s",
            )
        except ArcidError as error:
            log.warning("departures were not written", extra={"code": error.code})

    def _grounds(self, challenge: str) -> dict[str, Any]:
        if self._try.found is None:
            raise ArcidError("nothing was decided")
        live = None
        if self._try.challenge is not None:
            live = {
                "check": "challenge",
                "policy": "require",
                "actions": list(self._try.challenge.actions),
                "answer": challenge,
            }
        return {
            **decided_on(
                self._pipeline, self._try.found.decision, self._try.found.candidates,
                source=self._place.camera, liveness=live,
            ),
            "cooldown_s": self._cooldown_s,
            "looks": len(self._try.vectors),
            "decided_at": time.time(),
        }  # fmt: skip


def meant(found: Detections, which: Selection) -> int | None:
    """The row of the face that is looked at; None where it may be one of several."""
    try:
        return found.choose(which)
    except SeveralFacesFound:
        return None


def alike(pipeline: Pipeline, one: Embeddings, other: Embeddings) -> bool:
    """Whether two looks of one screen are one face."""
    return float(one.cosine(other)[0, 0]) >= _same_face(pipeline)


def _same_face(pipeline: Pipeline) -> float:
    calibration = pipeline.calibration
    rate = max(SAME_FMR, calibration.smallest_supported_fmr)
    return calibration.threshold_at_fmr(rate).cosine


__all__ = ["FAILURES", "Failure", "Kiosk", "Look", "State"]

"""One face at a time: recognised, challenged, answered."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from arcid.apps.attendance.closing import end_stays
from arcid.apps.kiosk.book import Book, Try
from arcid.apps.kiosk.looks import WAITING, Failure, Look, State, alike, meant
from arcid.events import Blocks, Events, Place
from arcid.gallery import Collection, Gallery
from arcid.liveness import ChallengeSettings, FaceChallenge
from arcid.liveness.expression import ExpressionSettings
from arcid.pipeline import Pipeline
from arcid.quality import Quality
from arcid.results import Faces, Identification
from arcid.types import Embeddings, FloatArray
from arcid.video import Frame, Source

STRAIGHT_DEG = 12.0
EMBED_EVERY_S = 0.4
ANSWER_S = 4.0  # an answer stays at least so long
LOOKS = 3  # that agree, before somebody is looked for
STRANGE = 2  # looks at another face that end a challenge
#: A busy machine skips frames; who it is is asked again before every action.
CHALLENGE = ChallengeSettings(lost_limit_s=2.0)
#: A frame more than usual, in which the face can be compared once it is at rest again.
EXPRESSIONS = ExpressionSettings(hold_frames=3)
ATTACKS: tuple[Failure, ...] = ("flat", "changed")  # that are recorded as such


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
        draw: Callable[[], FaceChallenge] | None = None,
    ) -> None:
        """``camera``: its name in every event; ``challenged``: whether head turns are asked for,
        and after them closed eyes and an open mouth, where the pipeline's landmarks tell them."""
        self._pipeline, self._gallery, self._collection = pipeline, gallery, collection
        self._place = Place(camera, camera)
        self._book = Book(pipeline, gallery, collection, self._place)
        marks = pipeline.landmarks
        asked = EXPRESSIONS if marks is not None and marks.tells_openness else None
        self._challenged = challenged
        self._draw = draw or (lambda: FaceChallenge.draw(CHALLENGE, asked))
        self._answer: Look | None = None
        self._until = 0.0  # ticks until which the answer stays
        self._gone = True  # the face has left since the answer
        self._try = Try()

    def watch(self, source: Source) -> Iterator[tuple[Frame, Look]]:
        """Frames with what they came to, until the source ends; the stays end with it."""
        try:
            for frame in source.frames():
                self._book.depart(time.time() if frame is None else frame.at)
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
                return self._go_on(frame, None, None, None)
            self._try = Try()
            return WAITING
        alone = meant(found, "one")  # stricter than elsewhere: whoever stands there is let in
        if alone is None and self._try.challenge is None:
            self._try = Try()
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
            return self._go_on(frame, points, quality, box)
        if quality.reasons:
            return Look(State.UNUSABLE, box, reason=quality.reasons[0])
        faces = self._pipeline.embed([prepared])[0]
        self._collect(faces.embeddings[index])
        if len(self._try.vectors) < LOOKS:
            return Look(State.LOOKING, box)
        self._try.found = answer = self._identify(faces, index)
        if answer.decision.outcome == "review":
            self._book.asked(self._try, answer, frame)
            at = datetime.fromtimestamp(frame.at, UTC)
            return self._end(frame, Look(State.REVIEW, box, at=at))
        if answer.decision.outcome != "match":
            return self._end(frame, Look(State.UNKNOWN, box))
        if not self._challenged:
            return self._check_in(frame, box)
        self._try.challenge, self._try.embedded_at = self._draw(), frame.ticks
        return self._go_on(frame, points, quality, box)

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
        self,
        frame: Frame,
        points: FloatArray | None,
        quality: Quality | None,
        box: tuple[float, ...] | None,
    ) -> Look:
        if self._try.challenge is None:
            return WAITING
        if self._try.strange >= STRANGE:
            return self._refuse(frame, "changed", box)
        openness = None if quality is None else quality.openness
        status = self._try.challenge.update(points, openness, frame.ticks)
        if status.phase == "passed":
            if self._try.checked < status.steps - 1:
                return self._refuse(frame, "changed", box)
            return self._check_in(frame, box)
        if status.phase == "failed":
            return self._refuse(frame, status.failure or "too_slow", box)
        return Look(State.CHALLENGED, box, challenge=status)

    # answers

    def _check_in(self, frame: Frame, box: tuple[float, ...] | None) -> Look:
        found, at = self._try.found, datetime.fromtimestamp(frame.at, UTC)
        if found is None:
            return WAITING
        self._book.arrived(self._try, found, at)
        return self._end(frame, Look(State.CHECKED_IN, box, person=found.candidates[0], at=at))

    def _refuse(self, frame: Frame, why: Failure, box: tuple[float, ...] | None) -> Look:
        if why in ATTACKS and self._try.found is not None:
            self._book.attacked(self._try, self._try.found, frame, why)
        return self._end(frame, Look(State.REFUSED, box, failure=why))

    def _end(self, frame: Frame, answer: Look) -> Look:
        self._try = Try()
        self._answer = dataclasses.replace(answer, box=None)
        self._until, self._gone = frame.ticks + ANSWER_S, False
        return answer

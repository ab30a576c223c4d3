"""What is done with a browser's frames: attendance, enrolment by pose, the kiosk's greeting."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from arcid import decide
from arcid.apps.attendance import Policy, Watcher
from arcid.apps.attendance.grounds import decided_on, question
from arcid.errors import ArcidError, SeveralFacesFound
from arcid.events import Events, Place
from arcid.gallery import Collection
from arcid.gallery.blocks import Blocks
from arcid.liveness import Challenge, ChallengeSettings
from arcid.quality import pose
from arcid.results import Face, Faces, Identification
from arcid.server.console import strings as S
from arcid.server.console.cameras import end_visits
from arcid.server.console.feeds import Message, face_message
from arcid.server.deps import Services
from arcid.types import Detections, Embeddings, Match, Selection
from arcid.video import Frame, PushedFrames

log = logging.getLogger(__name__)
Pose = Literal["straight", "left", "right"]
POSES: tuple[Pose, ...] = ("straight", "left", "right")
STRAIGHT_DEG, TURNED_DEG = 12.0, (14.0, 40.0)
HOLD_FRAMES = 3
SAME_FMR = 1e-3  # at which the faces of one run count as one person
EMBED_EVERY_S = 0.4
GREET_S, REFUSE_S = 4.0, 4.0
LOOKS = 3
DEPART_EVERY_S = 5.0
#: A busy machine skips frames; who it is is asked again before every action.
CHALLENGE = ChallengeSettings(lost_limit_s=2.0)


def attend(
    running: Services, collection: Collection, camera: str
) -> Callable[[PushedFrames], Iterator[Message]]:
    """Names over the picture and events in the book, as for any other camera."""

    def work(source: PushedFrames) -> Iterator[Message]:
        policy = Policy(keep="crop" if collection.keep_crops else "vector")
        watcher = Watcher(running.pipeline, running.gallery, collection.name, policy, camera=camera)
        try:
            for view in watcher.watch(source):
                if view.frame is not None:
                    height, width = view.frame.image.shape[:2]
                    faces = [face_message(face) for face in view.faces]
                    yield {"at": view.frame.at, "size": [width, height], "faces": faces}
        finally:
            end_visits(running.gallery, collection.name, Place(camera, camera))

    return work


@dataclass(slots=True)
class Guide:
    """Takes one picture a pose of one person, when the head is where it should be."""

    running: Services
    on_face: Callable[[Pose, Face], None]  # called from the feed's thread
    taken: list[Face] = field(default_factory=list)
    held: int = 0

    def work(self, source: PushedFrames) -> Iterator[Message]:
        for frame in source.frames():
            if frame is not None:
                height, width = frame.image.shape[:2]
                yield {"at": frame.at, "size": [width, height], **self.look(frame)}

    def look(self, frame: Frame) -> Message:
        """One frame: what to draw and say."""
        step = len(self.taken)
        if step == len(POSES):
            return {"faces": [], "prompt": S.POSE_DONE, "tone": "good", "progress": 1.0}
        wanted = POSES[step]
        prepared = self.running.pipeline.prepare(frame.image)
        found = prepared.detections
        if found is None or len(found) == 0:
            return self._say(S.POSE_NOBODY, step, "plain")
        meant = _meant(found, "prominent")
        index = found.choose("largest") if meant is None else meant
        box = [round(float(v), 1) for v in found.boxes[index]]
        shown = [{"track": 0, "box": box, "label": "", "more": None, "tone": "plain"}]
        if meant is None:
            return self._say(S.POSE_SEVERAL, step, "warn", shown)
        quality = prepared.quality[index]
        reasons = [r for r in quality.reasons if r.code not in ("turned_away",)]
        if reasons:
            self.held = 0
            return self._say(reasons[0].message, step, "warn", shown)
        if found.points is None or not _in_pose(wanted, found, index):
            self.held = 0
            return self._say(S.POSES[wanted], step, "plain", shown)
        self.held += 1
        shown[0]["tone"] = "good"
        if self.held < HOLD_FRAMES:
            return self._say(S.POSE_HOLD, step, "plain", shown)
        self.held = 0
        face = self.running.pipeline.embed([prepared])[0][index]
        if self.taken and not _alike(self.running, self.taken[0].embedding, face.embedding):
            return self._say(S.POSE_OTHER, step, "bad", shown)
        self.taken.append(face)
        self.on_face(wanted, face)
        return {**self.look_done(), "faces": shown}

    def look_done(self) -> Message:
        """What to say right after a picture was taken."""
        step = len(self.taken)
        done = step == len(POSES)
        words = S.POSE_DONE if done else S.POSES[POSES[step]]
        return {
            "prompt": words,
            "detail": "",
            "tone": "good",
            "progress": step / len(POSES),
            "event": {"taken": step},
        }

    def _say(
        self, words: str, step: int, tone: str, faces: list[dict[str, Any]] | None = None
    ) -> Message:
        return {
            "faces": faces or [],
            "prompt": words,
            "detail": "",
            "tone": tone,
            "progress": step / len(POSES),
        }


def _meant(found: Detections, which: Selection) -> int | None:
    """The row of the face that is looked at; None where it may be one of several."""
    try:
        return found.choose(which)
    except SeveralFacesFound:
        return None


def _in_pose(wanted: Pose, found: Detections, index: int) -> bool:
    """Yaw is positive to the viewer's right, which is the person's own left."""
    if found.points is None:
        return False
    yaw, pitch, _ = pose(found.points[index][None])[0]
    if abs(pitch) > 25:
        return False
    if wanted == "straight":
        return bool(abs(yaw) <= STRAIGHT_DEG)
    low, high = TURNED_DEG
    return bool(low <= (yaw if wanted == "left" else -yaw) <= high)


def _alike(running: Services, one: Embeddings, other: Embeddings) -> bool:
    return float(one.cosine(other)[0, 0]) >= _same_face(running)


def _same_face(running: Services) -> float:
    """The cosine at which two looks of one screen are one face."""
    calibration = running.pipeline.calibration
    rate = max(SAME_FMR, calibration.smallest_supported_fmr)
    return calibration.threshold_at_fmr(rate).cosine


@dataclass(slots=True)
class Kiosk:
    """One face at a time: recognise it, have it turn its head where that is asked for, greet it."""

    running: Services
    collection: Collection
    camera: str
    challenged: bool = True
    draw: Callable[[], Challenge] = lambda: Challenge.draw(CHALLENGE)
    vectors: list[Embeddings] = field(default_factory=list)
    answer: Identification | None = None
    challenge: Challenge | None = None
    embedded_at: float = 0.0
    strange: int = 0
    checked: int = -1  # the step before which the face was last found to be the same
    until: float = 0.0  # ticks until which the last word stays
    word: Message = field(default_factory=dict)
    gone: bool = True  # the face has left since the last word
    cooldown_s: float = Policy().cooldown_s
    swept: float = -np.inf  # when departures were last looked for, seconds since 1970

    def work(self, source: PushedFrames) -> Iterator[Message]:
        try:
            for frame in source.frames():
                self._depart(time.time() if frame is None else frame.at)
                if frame is not None:
                    height, width = frame.image.shape[:2]
                    yield {"at": frame.at, "size": [width, height], **self.look(frame)}
        finally:
            place = Place(self.camera, self.camera)
            end_visits(self.running.gallery, self.collection.name, place)

    def look(self, frame: Frame) -> Message:
        """One frame: what to draw and say."""
        prepared = self.running.pipeline.prepare(frame.image, keep_photo=False)
        found = prepared.detections
        empty = found is None or len(found) == 0
        if frame.ticks < self.until:
            self.gone = self.gone or empty
            return self.word
        if self.word and not self.gone and not empty:
            return self.word  # until whoever was greeted has stepped aside
        self.word = {}
        if found is None or empty:
            self.gone = True
            if self.challenge is not None:
                return self._challenged(frame, None, [])
            self._forget()
            return _words(S.KIOSK_WELCOME)
        alone = _meant(found, "one")  # stricter than elsewhere: whoever stands there is let in
        if alone is None and self.challenge is None:
            self._forget()
            return _words(S.KIOSK_SEVERAL, tone="warn")
        index = found.choose("largest") if alone is None else alone
        box = [round(float(v), 1) for v in found.boxes[index]]
        shown = [{"track": 1, "box": box, "label": "", "more": None, "tone": "plain"}]
        self.gone = False
        quality = prepared.quality[index]
        if self.challenge is not None:
            if self._check_due(frame) and not quality.reasons:
                yaw = abs(quality.yaw_deg or 0.0)
                if yaw <= STRAIGHT_DEG:  # a face turned away says little about who it is
                    self._still_the_same(frame, self.running.pipeline.embed([prepared])[0], index)
            points = None if found.points is None else found.points[index]
            return self._challenged(frame, points, shown)
        if quality.reasons:
            return _words(quality.reasons[0].message, shown, tone="warn")
        faces = self.running.pipeline.embed([prepared])[0]
        self._collect(faces, index)
        if len(self.vectors) < LOOKS:
            return _words(S.KIOSK_LOOKING, shown)
        self.answer = self._identify(faces, index)
        if self.answer.decision.outcome != "match":
            return self._stranger(frame, shown)
        if not self.challenged:
            return self._welcome(frame, shown)
        self.challenge, self.embedded_at = self.draw(), frame.ticks
        self.strange, self.checked = 0, -1
        return self._challenged(frame, None if found.points is None else found.points[index], shown)

    def _check_due(self, frame: Frame) -> bool:
        """Every so often, and at least once before each of the actions."""
        status = None if self.challenge is None else self.challenge.status
        new_step = status is not None and status.phase == "centre" and status.step != self.checked
        return new_step or frame.ticks - self.embedded_at >= EMBED_EVERY_S

    def _collect(self, faces: Faces, index: int) -> None:
        vector = faces.embeddings[index]
        if self.vectors and not _alike(self.running, self.vectors[0], vector):
            self.vectors = []
        self.vectors.append(vector)

    def _pooled(self) -> Embeddings:
        total = np.sum([v.vectors for v in self.vectors], axis=0)
        return Embeddings.normalised(total, self.vectors[0].contract_id)

    def _identify(self, faces: Faces, index: int) -> Identification:
        one = dataclasses.replace(
            faces,
            detections=None if faces.detections is None else faces.detections[index],
            crops=faces.crops[index],
            embeddings=self._pooled(),
            quality=faces.quality[index : index + 1],
        )
        gallery, name = self.running.gallery, self.collection.name
        found = self.running.pipeline.identify_faces(one, gallery, name)[0]
        kept = self._without_blocked(found.candidates, one.embeddings)
        if len(kept) == len(found.candidates):
            return found
        decision = decide.identify(
            kept[0].cosine if kept else None,
            self.running.pipeline.calibration,
            gallery.size(name, one.embeddings.contract_id),
        )
        return Identification(found.face, kept, decision)

    def _without_blocked(self, candidates: list[Match], probe: Embeddings) -> list[Match]:
        """Those of whom it was not said that this face is somebody else's."""
        events = Events(self.running.gallery)
        blocks = Blocks(events.blocked(self.collection.name, probe.contract_id))
        return [match for match in candidates if not blocks.refuse(match, probe)]

    def _depart(self, at: float) -> None:
        """Whoever was not seen for the cooldown has left, as for any other camera."""
        if abs(at - self.swept) < DEPART_EVERY_S:
            return
        self.swept = at
        try:
            Events(self.running.gallery).depart(
                self.collection.name,
                self.camera,
                datetime.fromtimestamp(at, UTC) - timedelta(seconds=self.cooldown_s),
                f"not seen for {self.cooldown_s:g} s",
            )
        except ArcidError as error:
            log.warning("departures were not written", extra={"code": error.code})

    def _still_the_same(self, frame: Frame, faces: Faces, index: int) -> None:
        self.embedded_at = frame.ticks
        vector = faces.embeddings[index]
        if _alike(self.running, self._pooled(), vector):
            self.vectors.append(vector)
            self.strange = 0
            self.checked = -1 if self.challenge is None else self.challenge.status.step
        else:
            self.strange += 1

    def _challenged(self, frame: Frame, points: Any, shown: list[dict[str, Any]]) -> Message:
        if self.challenge is None:
            return _words(S.KIOSK_WELCOME)
        if self.strange >= 2:
            return self._refuse(frame, "changed", shown)
        status = self.challenge.update(points, frame.ticks)
        if status.phase == "passed":
            if self.checked < status.steps - 1:
                return self._refuse(frame, "changed", shown)
            return self._welcome(frame, shown)
        if status.phase == "failed":
            return self._refuse(frame, status.failure or "too_slow", shown)
        hint = S.KIOSK_HINTS[status.hint]
        prompt = S.KIOSK_ACTIONS[status.action] if status.action else hint
        step = S.KIOSK_STEP.format(n=status.step + 1, total=status.steps)
        return {
            **_words(prompt, shown, hint if status.action and hint else step),
            "progress": (status.step + status.progress) / status.steps,
            "action": status.action,
        }

    def _welcome(self, frame: Frame, shown: list[dict[str, Any]]) -> Message:
        if self.answer is None:
            return _words(S.KIOSK_WELCOME)
        match = self.answer.candidates[0]
        at = datetime.fromtimestamp(frame.at, UTC)
        Events(self.running.gallery).sighting(
            self.collection.name,
            Place(self.camera, self.camera),
            match.person_id,
            at,
            cooldown_s=self.cooldown_s,
            grounds=self._grounds("passed"),
            vector=self._pooled(),
        )
        shown = [{**one, "tone": "good", "label": match.name} for one in shown]
        local = at.astimezone()
        hello = S.KIOSK_HELLO[local.hour // 6].format(name=match.name)
        detail = S.KIOSK_LOGGED.format(time=f"{local:%H:%M}")
        message = _words(hello, shown, detail, tone="good")
        message["event"] = {"greeted": match.name}
        return self._last(frame, message, GREET_S)

    def _stranger(self, frame: Frame, shown: list[dict[str, Any]]) -> Message:
        if self.answer is not None and self.answer.decision.outcome == "review":
            return self._doubtful(frame, shown)
        message = _words(S.KIOSK_STRANGER, shown, S.KIOSK_STRANGER_TEXT, tone="warn")
        return self._last(frame, message, REFUSE_S)

    def _doubtful(self, frame: Frame, shown: list[dict[str, Any]]) -> Message:
        """Left to a human: put in the review queue, once while it is the same face."""
        if self.answer is not None:
            at = datetime.fromtimestamp(frame.at, UTC)
            Events(self.running.gallery).visitor(
                self.collection.name,
                Place(self.camera, self.camera),
                at,
                at,
                f"{self.camera}:{int(frame.at)}",
                cooldown_s=self.cooldown_s,
                alike=_same_face(self.running),
                grounds=self._grounds("not asked"),
                vector=self._pooled(),
                crop=self.answer.face.crop if self.collection.keep_crops else None,
                question=question(self.answer.decision, self.answer.candidates),
            )
        message = _words(S.KIOSK_REVIEW, shown, S.KIOSK_REVIEW_TEXT, tone="warn")
        return self._last(frame, message, REFUSE_S)

    def _refuse(self, frame: Frame, why: str, shown: list[dict[str, Any]]) -> Message:
        if why in ("flat", "changed") and self.answer is not None:
            Events(self.running.gallery).spoof(
                self.collection.name,
                Place(self.camera, self.camera),
                datetime.fromtimestamp(frame.at, UTC),
                f"{self.camera}:{int(frame.at)}",
                person_id=self.answer.candidates[0].person_id,
                cooldown_s=self.cooldown_s,
                grounds=self._grounds(why),
                vector=self._pooled(),
            )
        message = _words(S.KIOSK_FAILED, shown, S.KIOSK_FAILURES[why], tone="bad")
        message["event"] = {"failed": why}
        return self._last(frame, message, REFUSE_S)

    def _last(self, frame: Frame, message: Message, stay_s: float) -> Message:
        self._forget()
        self.word = {**message, "faces": [], "event": None}
        self.until, self.gone = frame.ticks + stay_s, False
        return message

    def _forget(self) -> None:
        self.vectors, self.answer, self.challenge, self.strange = [], None, None, 0

    def _grounds(self, challenge: str) -> dict[str, Any]:
        if self.answer is None:
            raise ArcidError("nothing was decided")
        live = None
        if self.challenge is not None:
            live = {
                "check": "challenge",
                "policy": "require",
                "actions": list(self.challenge.actions),
                "answer": challenge,
            }
        return {
            **decided_on(
                self.running.pipeline, self.answer.decision, self.answer.candidates,
                source=self.camera, cooldown_s=self.cooldown_s, liveness=live,
            ),
            "looks": len(self.vectors),
            "decided_at": time.time(),
        }  # fmt: skip


def _words(
    prompt: str,
    faces: list[dict[str, Any]] | None = None,
    detail: str = "",
    *,
    tone: str = "plain",
) -> Message:
    return {
        "faces": faces or [],
        "prompt": prompt,
        "detail": detail,
        "tone": tone,
        "progress": None,
        "action": None,
    }

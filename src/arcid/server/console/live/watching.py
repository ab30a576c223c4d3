"""What is done with a browser's frames: attendance, and enrolment by pose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from arcid.apps.attendance import Policy, Watcher
from arcid.apps.attendance.closing import end_stays
from arcid.apps.kiosk import STRAIGHT_DEG, alike, meant
from arcid.events import Place
from arcid.gallery import Collection
from arcid.quality import pose
from arcid.results import Face
from arcid.server.console import strings as S
from arcid.server.console.live.feeds import Message, face_message
from arcid.server.deps import Services
from arcid.types import Detections
from arcid.video import Frame, PushedFrames

Pose = Literal["straight", "left", "right"]
POSES: tuple[Pose, ...] = ("straight", "left", "right")
TURNED_DEG = (14.0, 40.0)
HOLD_FRAMES = 3


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
            end_stays(running.gallery, collection.name, Place(camera, camera))

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
            return {"faces": [], **self.look_done()}
        wanted = POSES[step]
        prepared = self.running.pipeline.prepare(frame.image, second_try=False)
        found = prepared.detections
        if found is None or len(found) == 0:
            return self._say(S.POSE_NOBODY, step, "plain")
        alone = meant(found, "prominent")
        index = found.choose("largest") if alone is None else alone
        box = [round(float(v), 1) for v in found.boxes[index]]
        shown = [{"track": 0, "box": box, "label": "", "more": None, "tone": "plain"}]
        if alone is None:
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
        if self.taken and not alike(self.running.pipeline, self.taken[0].embedding, face.embedding):
            return self._say(S.POSE_OTHER, step, "bad", shown)
        self.taken.append(face)
        self.on_face(wanted, face)
        return {**self.look_done(), "faces": shown}

    def look_done(self) -> Message:
        """What to say right after a picture was taken; after the last, the camera is done."""
        step = len(self.taken)
        done = step == len(POSES)
        words = S.POSE_DONE if done else S.POSES[POSES[step]]
        return {
            "prompt": words,
            "detail": "",
            "tone": "good",
            "progress": step / len(POSES),
            "event": {"taken": step},
            "done": done,
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

"""Attendance as an observer of a camera: who comes, who is unknown, who has left.

Every face is decided once and again only when it has been looked at anew; names are given to the
faces of one frame together, so that no two share one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcid.apps.attendance.naming import Naming
from arcid.apps.attendance.outcomes import Outcomes
from arcid.apps.attendance.policy import Policy
from arcid.apps.attendance.reports import Reports
from arcid.apps.attendance.tracked import TrackState
from arcid.apps.watching import Camera, Duty, FaceView, Followed, LivenessRule, Post
from arcid.gallery import Gallery
from arcid.video import Frame


class AttendanceObserver:
    """Raises ``CalibrationMissing``, ``CollectionNotFound``, and ``UsageError`` where the policy
    asks for liveness and nothing checks it."""

    def __init__(self, post: Post, gallery: Gallery, collection: str, policy: Policy) -> None:
        liveness = LivenessRule(post.camera, policy.liveness, post.liveness)
        self._policy = policy
        self._states: dict[int, TrackState] = {}
        name = gallery.collection(collection).name
        self._naming = Naming(post, gallery, name, policy, self._states)
        self._outcomes = Outcomes(policy, liveness)
        self._reports = Reports(post, gallery, name, policy, self._outcomes, liveness)
        self._departed = -np.inf

    def look(self, face: Followed) -> None:
        self._state(face)
        self._naming.looked_at(face.number)

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        if frame.ticks - self._departed >= min(self._policy.touch_s, self._policy.cooldown_s / 4):
            self._departed = frame.ticks
            self._reports.depart(frame.at)
        visible = [self._state(face) for face in faces]
        self._naming.refresh(frame.ticks, visible)
        self._naming.decide([state for state in visible if state.face.looks])
        for state in visible:
            self._reports.seen(state, frame.at, frame.ticks)

    def gone(self, face: Followed) -> None:
        self._naming.gone(face.number)
        state = self._states.pop(face.number, None)
        if state is not None:
            self._reports.gone(state)

    def idle(self, at: float) -> None:
        self._reports.depart(at)

    def moved(self, by_s: float) -> None:
        """Stays are moved along, or everybody would arrive again."""
        self._reports.shift(by_s)

    def ended(self, first_at: float, last_at: float) -> None:
        self._reports.ended(first_at, last_at)

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        return self._outcomes.show(shown, self._states[face.number])

    def close(self) -> None:
        """Stays remain open for whoever watches next."""

    def _state(self, face: Followed) -> TrackState:
        if face.number not in self._states:
            self._states[face.number] = TrackState(face)
        return self._states[face.number]


def duties(gallery: Gallery, camera: Camera) -> list[Duty]:
    """Of a stored camera. Faces behind events are kept as the collection keeps its own."""
    if not camera.attendance:
        return []

    def begin(post: Post) -> AttendanceObserver:
        collection = gallery.collection(camera.collection)
        policy = Policy(
            place=camera.place or None,
            keep="crop" if collection.keep_crops else "vector",
            liveness=camera.liveness,
        )
        return AttendanceObserver(post, gallery, collection.name, policy)

    return [Duty("attendance", begin, camera.liveness != "off", vital=True)]


def duty(gallery: Gallery, collection: str, policy: Policy) -> Duty:
    """Attendance at a camera."""
    return Duty(
        "attendance",
        lambda post: AttendanceObserver(post, gallery, collection, policy),
        policy.liveness != "off",
        vital=True,
    )

"""Frames in; faces with names, and events, out: detect → track → embed → decide → record.

``Watcher.see`` is the loop's body. Every track is decided once and again only when it has been
looked at anew; names are given to the tracks of one frame together, so that no two share one.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Generator
from typing import Literal

import numpy as np

from arcid.apps.attendance import views
from arcid.apps.attendance.lease import CameraLease
from arcid.apps.attendance.liveness import LivenessRule
from arcid.apps.attendance.naming import Naming
from arcid.apps.attendance.outcomes import Outcomes
from arcid.apps.attendance.policy import Liveness, Policy
from arcid.apps.attendance.recorder import passing
from arcid.apps.attendance.redetection import cut_out
from arcid.apps.attendance.reports import Reports
from arcid.apps.attendance.tracked import TrackState
from arcid.apps.attendance.views import Counts, FaceView, View
from arcid.detect import once
from arcid.errors import ArcidError, UsageError
from arcid.events import Event
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.track import FaceTracks, Track, usefulness
from arcid.types import Detections
from arcid.video import Frame, Health, Source


class Watcher:
    """Watches one camera for one thread. ``camera`` is its name in every event.

    Raises ``CalibrationMissing`` and ``CollectionNotFound`` at once, ``MissingExtra`` without the
    tracking package, ``UsageError`` where the policy asks for liveness and none is handed in.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        gallery: Gallery,
        collection: str,
        policy: Policy | None = None,
        *,
        camera: str = "camera",
        liveness: Liveness | None = None,
    ) -> None:
        self.policy = policy or Policy()
        if not camera.strip() or len(camera) > 200 or not camera.isprintable():
            raise UsageError("a camera is named by 1 to 200 printable characters")
        self._liveness = LivenessRule(camera, self.policy.liveness, liveness)
        self.collection = gallery.collection(collection).name
        self.camera = camera
        self.counts = Counts()
        self.unseen: tuple[Event, ...] = ()
        self._pipeline = pipeline
        self._states: dict[int, TrackState] = {}
        self._naming = Naming(
            pipeline, gallery, self.collection, self.policy, self._states, self._store_trouble
        )
        self._outcomes = Outcomes(self.policy, self._liveness, pipeline.detector)
        self._reports = Reports(
            pipeline, gallery, self.collection, camera, self.policy, self._outcomes,
            self._liveness, self.counts, self._note_store,
        )  # fmt: skip
        self._tracks = FaceTracks(self._naming.odds, self.policy.tracking)
        self._health: deque[Health] = deque(maxlen=1000)
        self._departed = -np.inf
        self._first: Frame | None = None
        self._last: Frame | None = None

    def watch(
        self, source: Source, *, idle_s: float = 1.0, lease: CameraLease | None = None
    ) -> Generator[View, None, None]:
        """One ``View`` a frame until the source ends or the caller stops; writes are finished.

        Raises ``CameraWatched`` once the ``lease`` is lost.
        """
        self._reports.source = source.name
        self._reports.open(wait=not source.live)
        try:
            for frame in source.frames(idle_s):
                if lease is not None:
                    lease.check()
                view = self.idle(time.time()) if frame is None else self.see(frame)
                yield dataclasses.replace(view, health=(*source.health(), *view.health))
            if not source.live:
                view = self.finish()
                yield dataclasses.replace(view, health=(*source.health(), *view.health))
        finally:
            source.close()
            self.close()

    def see(self, frame: Frame) -> View:
        """One frame of a live picture or a file."""
        recorder = self._reports.open(wait=False)
        self._check_clock(frame)
        self._first, self._last = self._first or frame, frame
        if frame.ticks - self._departed >= min(self.policy.touch_s, self.policy.cooldown_s / 4):
            self._departed = frame.ticks
            self._reports.depart(frame.at)
        found = once(self._pipeline.detector)([frame.image])[0]
        tracks = self._tracks.update(found, frame.at, frame.ticks, frame.image)
        self.counts.frames += 1
        self.counts.detections += len(found)
        self._look(frame, found, tracks)
        self._naming.refresh(frame.ticks, tracks)
        numbered = [(track, self._state(track)) for track in tracks if track.number]
        self._naming.decide([track for track, _ in numbered if track.pool.looks])
        for track, state in numbered:
            self._reports.seen(track, state, frame.at, frame.ticks)
        for track in self._tracks.ended(frame.ticks):
            self._end(track)
        faces = tuple(self._view(t, found, i) for i, t in enumerate(tracks))
        return View(frame, faces, tuple(recorder.drain()), self._new_health())

    def idle(self, at: float) -> View:
        """Nothing came for a while; ``at``: seconds since 1970."""
        recorder = self._reports.open(wait=False)
        self._reports.depart(at)
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def finish(self) -> View:
        """The source has come to its end: whoever is there was last seen when last seen."""
        recorder = self._reports.open(wait=True)
        for track in self._tracks.end():
            self._end(track)
        if self._first is not None and self._last is not None:
            self._reports.ended(self._first.at, self._last.at)
        recorder.flush()
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def close(self) -> None:
        """Finish the writes; the stays remain open for whoever watches next.

        Events written since the last view are left in ``unseen``.
        """
        self.unseen = (*self.unseen, *self._reports.close())

    def rate(self, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        return self._naming.rate(size)

    def _look(self, frame: Frame, found: Detections, tracks: list[Track]) -> None:
        worth = usefulness(found)
        wanted = [
            i
            for i, track in enumerate(tracks)
            if self._tracks.wants_look(track, float(worth[i]), frame.ticks)
        ]
        if not wanted:
            return
        chosen = found[wanted]
        crops = self._pipeline.align(frame.image, chosen)
        judged = self.policy.gate.assess(frame.image, chosen, crops)
        good = [j for j, quality in enumerate(judged) if quality.ok]
        for j, i in enumerate(wanted):
            if not judged[j].ok:
                self._tracks.missed(tracks[i], frame.ticks)
                self._state(tracks[i]).poor = judged[j]
                self.counts.refused.update(reason.message for reason in judged[j].reasons)
        if not good:
            return
        embeddings = self._pipeline.embedder.embed(crops[good])
        self.counts.embeddings += len(good)
        live = self._liveness.scores(frame.image, chosen[good])
        for row, j in enumerate(good):
            old, value = tracks[wanted[j]], max(float(worth[wanted[j]]), 1e-3)
            track = self._tracks.look(old, embeddings[row], value, frame.at, frame.ticks)
            if track is None:
                continue
            state = self._state(track)
            state.poor = None
            if live is not None and np.isfinite(live[row]):
                state.live.append((float(live[row]), value))
            if value >= track.best:
                state.best = judged[j]
                state.crop = crops.pixels[j] if self.policy.keep == "crop" else None
            if state.match is None and state.faces < self.policy.tracking.first_looks:
                face = cut_out(frame.image, chosen[[j]])
                if face is not None:
                    state.cutouts.append(face)
            self._naming.looked_at(track.number)
            tracks[wanted[j]] = track

    def _state(self, track: Track) -> TrackState:
        if track.number not in self._states:
            self._states[track.number] = TrackState()
            self.counts.tracks += 1
        return self._states[track.number]

    def _end(self, track: Track) -> None:
        self._naming.gone(track.number)
        state = self._states.pop(track.number, None)
        if state is not None:
            self._reports.gone(track, state)

    def _view(self, track: Track, found: Detections, index: int) -> FaceView:
        points = None if found.points is None else found.points[index]
        if not track.number:
            return views.uncertain(track, points)
        state = self._states[track.number]
        outcome = self._outcomes.of(track, state)
        return views.shown(track, state, points, outcome, self._liveness)

    def _check_clock(self, frame: Frame) -> None:
        """A clock set back would make everybody arrive again; their stays are moved along."""
        if self._last is None:
            return
        moved = (frame.at - self._last.at) - (frame.ticks - self._last.ticks)
        if moved < -1.0:
            self._reports.shift(moved)

    def _store_trouble(self, error: ArcidError) -> None:
        if not passing(error):
            raise error
        self._note_store(True, error.message)

    def _note_store(self, failing: bool, why: str) -> None:
        kind: Literal["store_busy", "store_back"] = "store_busy" if failing else "store_back"
        detail = why if failing else "the gallery takes writes again"
        self._health.append(Health(kind, self.camera, time.time(), detail))

    def _new_health(self) -> tuple[Health, ...]:
        found = []
        while self._health:
            found.append(self._health.popleft())
        return tuple(found)

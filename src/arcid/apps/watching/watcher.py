"""Frames in; faces, and events, out: detect → track → embed → whoever observes.

``Watcher.see`` is the loop's body. A face is detected once a frame and embedded once a look, for
however many observers.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial

import numpy as np

from arcid.apps.watching import views
from arcid.apps.watching.followed import Followed
from arcid.apps.watching.lease import CameraLease
from arcid.apps.watching.liveness import Liveness
from arcid.apps.watching.looking import Looking
from arcid.apps.watching.observer import Duty, Post
from arcid.apps.watching.observers import Observers
from arcid.apps.watching.recorder import Recorder, passing
from arcid.apps.watching.redetection import cut_out
from arcid.apps.watching.views import Counts, FaceView, View
from arcid.detect import once
from arcid.errors import ArcidError, UsageError
from arcid.events import Event
from arcid.pipeline import Pipeline
from arcid.track import FaceTracks, Track, usefulness
from arcid.types import Detections, FloatArray
from arcid.video import Frame, Health, HealthKind, Source


class Watcher:
    """Watches one camera for one thread. ``camera`` is its name in every event.

    ``liveness`` loads the check when a duty first asks for scores. Raises what opening an observer
    raises, ``CalibrationMissing``, and ``MissingExtra`` without the tracking package.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        duties: Sequence[Duty] = (),
        looking: Looking | None = None,
        *,
        camera: str = "camera",
        liveness: Callable[[], Liveness] | None = None,
    ) -> None:
        if not camera.strip() or len(camera) > 200 or not camera.isprintable():
            raise UsageError("a camera is named by 1 to 200 printable characters")
        self.camera = camera
        self.counts = Counts()
        self.unseen: tuple[Event, ...] = ()
        self._looking = looking or Looking()
        self._pipeline = pipeline
        self._load_liveness = liveness
        self._post = Post(camera, pipeline, self.counts, self._store_trouble)
        self._observers = Observers(self._post, partial(self._note, "observer_failed"))
        self._tracks = FaceTracks(self._post.odds, self._looking.tracking)
        self._followed: dict[int, Followed] = {}
        self._health: deque[Health] = deque(maxlen=1000)
        self._live = False  # ticks are ``time.monotonic()``
        self._lag = 0.0  # from ticks to it
        self._first: Frame | None = None
        self._last: Frame | None = None
        self.assign(duties)

    def assign(self, duties: Sequence[Duty]) -> None:
        """Who observes from now on. Those who stay go on undisturbed; one who is new is told of
        the faces in view. Raises what opening a vital one raises, and loading the check."""
        asking = [duty for duty in duties if duty.liveness]
        if not asking:
            self._post.liveness = None
        elif self._post.liveness is None and self._load_liveness is not None:
            try:
                self._post.liveness = self._load_liveness()
            except ArcidError as error:
                if any(duty.vital for duty in asking):
                    raise
                self._note("observer_failed", error.message)
        self._observers.assign(duties, self._followed.values())

    def watch(
        self, source: Source, *, idle_s: float = 1.0, lease: CameraLease | None = None
    ) -> Generator[View, None, None]:
        """One ``View`` a frame until the source ends or the caller stops; writes are finished.

        Raises ``CameraWatched`` once the ``lease`` is lost.
        """
        self._post.source, self._live = source.name, source.live
        self._open(wait=not source.live)
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
        """One frame of a live picture or a file. Where nobody observes, nobody is looked at."""
        recorder = self._open(wait=False)
        self._check_clock(frame)
        self._first, self._last = self._first or frame, frame
        self._lag = 0.0 if self._live else time.monotonic() - frame.ticks
        self.counts.frames += 1
        if not self._observers:
            return View(frame, (), tuple(recorder.drain()), self._new_health())
        found = once(self._pipeline.detector)([frame.image])[0]
        tracks = self._tracks.update(found, frame.at, frame.ticks, frame.image)
        self.counts.detections += len(found)
        self._look(frame, found, tracks)
        faces = [self._follow(track) for track in tracks if track.number]
        self._post.untracked = tuple(track.box for track in tracks if not track.number)
        self._observers.see(frame, faces)
        self._end(self._tracks.ended(frame.ticks))
        shown = tuple(self._view(track, found, i) for i, track in enumerate(tracks))
        return View(frame, shown, tuple(recorder.drain()), self._new_health())

    def idle(self, at: float) -> View:
        """Nothing came for a while; ``at``: seconds since 1970."""
        recorder = self._open(wait=False)
        self._observers.idle(at)
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def finish(self) -> View:
        """The source has come to its end: whoever is there was last seen when last seen."""
        recorder = self._open(wait=True)
        self._end(self._tracks.end())
        if self._first is not None and self._last is not None:
            self._observers.ended(self._first.at, self._last.at)
        recorder.flush()
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def close(self) -> None:
        """Close the observers and finish the writes.

        Events written since the last view are left in ``unseen``.
        """
        self._observers.close()
        recorder, self._post.recorder = self._post.recorder, None
        if recorder is not None:
            recorder.close()
            self.unseen = (*self.unseen, *recorder.drain())

    def _look(self, frame: Frame, found: Detections, tracks: list[Track]) -> None:
        worth = usefulness(found)
        wanted = [
            i
            for i, track in enumerate(tracks)
            if self._tracks.wants_look(
                track, float(worth[i]), frame.ticks, eager=self._eager(track.number)
            )
        ]
        if not wanted:
            return
        chosen = found[wanted]
        crops = self._pipeline.align(frame.image, chosen)
        judged = self._looking.gate.assess(frame.image, chosen, crops)
        good = [j for j, quality in enumerate(judged) if quality.ok]
        for j, i in enumerate(wanted):
            if not judged[j].ok:
                self._tracks.missed(tracks[i], frame.ticks)
                self._follow(tracks[i]).poor = judged[j]
                self.counts.refused.update(reason.message for reason in judged[j].reasons)
        if not good:
            return
        embeddings = self._pipeline.embedder.embed(crops[good])
        self.counts.embeddings += len(good)
        check = self._post.liveness
        live = None if check is None else check.scores(frame.image, chosen[good])
        for row, j in enumerate(good):
            old, value = tracks[wanted[j]], max(float(worth[wanted[j]]), 1e-3)
            track = self._tracks.look(old, embeddings[row], value, frame.at, frame.ticks)
            if track is None:
                continue
            face = self._follow(track)
            face.poor = None
            if live is not None and np.isfinite(live[row]):
                face.live.append((float(live[row]), value))
            if value >= track.best:
                face.best, face.crop = judged[j], crops.pixels[j]
            if face.verified < self._looking.tracking.first_looks:
                cutout = cut_out(frame.image, chosen[[j]])
                if cutout is not None:
                    face.cutouts.append(cutout)
            tracks[wanted[j]] = track
            self._observers.look(face)

    def _eager(self, number: int) -> bool:
        face = self._followed.get(number)
        return face is not None and face.eager

    def _follow(self, track: Track) -> Followed:
        if track.number not in self._followed:
            visible = track.first_ticks + self._lag
            self._followed[track.number] = Followed(
                track, visible, self._looking, self._pipeline.detector
            )
            self.counts.tracks += 1
        return self._followed[track.number]

    def _end(self, tracks: Sequence[Track]) -> None:
        for track in tracks:
            face = self._followed.pop(track.number, None)
            if face is not None:
                self._observers.gone(face)

    def _view(self, track: Track, found: Detections, index: int) -> FaceView:
        points: FloatArray | None = None if found.points is None else found.points[index]
        if not track.number:
            return views.uncertain(track, points)
        face = self._followed[track.number]
        return self._observers.show(views.unnamed(face, points), face)

    def _open(self, *, wait: bool) -> Recorder:
        """The recorder; made, writing at once where ``wait``, unless there is one."""
        if self._post.recorder is None:
            self._post.recorder = Recorder(wait=wait, trouble=self._note_store)
        return self._post.recorder

    def _check_clock(self, frame: Frame) -> None:
        """A clock set back would make everybody come again."""
        if self._last is None:
            return
        moved = (frame.at - self._last.at) - (frame.ticks - self._last.ticks)
        if moved < -1.0:
            self._observers.moved(moved)

    def _store_trouble(self, error: ArcidError) -> None:
        if not passing(error):
            raise error
        self._note_store(True, error.message)

    def _note_store(self, failing: bool, why: str) -> None:
        if failing:
            self._note("store_busy", why)
        else:
            self._note("store_back", "the gallery takes writes again")

    def _note(self, kind: HealthKind, detail: str) -> None:
        self._health.append(Health(kind, self.camera, time.time(), detail))

    def _new_health(self) -> tuple[Health, ...]:
        found = []
        while self._health:
            found.append(self._health.popleft())
        return tuple(found)

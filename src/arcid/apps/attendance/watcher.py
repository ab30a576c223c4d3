"""Frames in; faces with names, and events, out: detect → track → embed → decide → record.

``Watcher.see`` is the loop's body. Every track is decided once and again only when it has been
looked at anew; names are given to the tracks of one frame together, so that no two share one.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from arcid import decide
from arcid.apps.attendance.lease import CameraLease
from arcid.apps.attendance.policy import RATES, Liveness, Policy
from arcid.apps.attendance.recorder import Recorder, passing
from arcid.errors import ArcidError, PersonNotFound, RateUnsupported, UsageError
from arcid.gallery import Gallery
from arcid.gallery.events import Event, Place
from arcid.liveness.policy import Judgement, LivenessPolicy
from arcid.pipeline import Pipeline
from arcid.quality import Quality
from arcid.track import FaceTracks, Track, usefulness
from arcid.types import Decision, Detections, Embeddings, FloatArray, Image, Match
from arcid.video import Frame, Health, Source

FaceOutcome = Literal["looking", "recognised", "unknown", "review", "low_quality", "spoof"]
CANDIDATES = 5
REFRESH_S = 2.0  # how often changes of the gallery are noticed
LIVENESS_LOOKS = 5  # newest scores that count
PICTURE = "this may be a picture of a face"
ODDS = 1e6  # calibrated likelihood ratios are not believed beyond
WORDS = {
    "too_small": "too far away",
    "too_dark": "too dark",
    "too_bright": "too bright",
    "turned_away": "turned away",
    "looking_up_down": "turned away",
    "tilted": "head tilted",
    "blurred": "blurred",
    "low_contrast": "flat light",
    "cut_off": "partly outside the picture",
    "low_detection_score": "partly covered",
}


@dataclass(frozen=True, slots=True)
class FaceView:
    """One face of a frame, as a screen shows it."""

    track: int
    box: tuple[float, ...]  # xyxy pixels
    points: FloatArray | None  # (5,2) pixels
    outcome: FaceOutcome
    person_id: str | None
    name: str | None
    cosine: float | None
    probability: float | None
    why: str  # in a few words: "too far away", or the reason of the decision
    liveness: float | None
    flagged: bool = False  # recognised, but the face may be a picture


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one step of watching brought."""

    frame: Frame | None  # None where nothing came for a while
    faces: tuple[FaceView, ...] = ()
    events: tuple[Event, ...] = ()
    health: tuple[Health, ...] = ()


@dataclass(slots=True)
class Counts:
    """Totals since the start."""

    frames: int = 0
    detections: int = 0
    embeddings: int = 0
    tracks: int = 0
    low_quality: int = 0  # tracks that never showed a usable face
    unconfirmed: int = 0  # tracks gone before a decision


@dataclass(slots=True, eq=False)
class _State:
    """What the watcher knows about a track beyond its vectors."""

    match: Match | None = None  # whose name it carries
    decision: Decision | None = None
    candidates: list[Match] = field(default_factory=list)
    contested: bool = False
    poor: Quality | None = None
    best: Quality | None = None
    crop: Image | None = None
    live: deque[tuple[float, float]] = field(  # score, usefulness of the look
        default_factory=lambda: deque(maxlen=LIVENESS_LOOKS)
    )
    touched: float = -np.inf  # ticks
    arrived: str | None = None  # person whose arrival was reported
    unknown: bool = False  # reported as an unknown visitor
    unknown_id: str | None = None
    spoof: bool = False  # reported as an attack


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
        if self.policy.liveness != "off" and liveness is None:
            raise UsageError(
                f"the policy {self.policy.liveness!r} needs a liveness check; hand one in, or "
                "switch it off"
            )
        self.collection = gallery.collection(collection).name
        self.camera = camera
        self.counts = Counts()
        self.unseen: tuple[Event, ...] = ()
        self._pipeline = pipeline
        self._gallery = gallery
        self._place = Place(self.policy.place or camera, camera)
        self._liveness = liveness if self.policy.liveness != "off" else None
        self._rule = LivenessPolicy(self.policy.liveness)
        self._calibration = pipeline.calibration
        self._alike = self._calibration.threshold_at_fmr(
            max(self.policy.visitor_fmr, self._calibration.smallest_supported_fmr)
        ).cosine
        self._tracks = FaceTracks(self._odds, self.policy.tracking)
        self._states: dict[int, _State] = {}
        self._stale: set[int] = set()  # tracks to be decided on again
        self._recorder: Recorder | None = None
        self._health: deque[Health] = deque(maxlen=1000)
        self._blocked: dict[str, list[FloatArray]] = {}
        self._change = -1
        self._rates: dict[int, float] = {}
        self._refreshed = -np.inf
        self._departed = -np.inf
        self._first: Frame | None = None
        self._last: Frame | None = None
        self._source = ""

    # the loop

    def watch(
        self, source: Source, *, idle_s: float = 1.0, lease: CameraLease | None = None
    ) -> Generator[View, None, None]:
        """One ``View`` a frame until the source ends or the caller stops; writes are finished.

        Raises ``CameraWatched`` once the ``lease`` is lost.
        """
        self._source = source.name
        self._recorder = self._recorder or self._make_recorder(wait=not source.live)
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
        recorder = self._recorder = self._recorder or self._make_recorder(wait=False)
        self._check_clock(frame)
        self._first, self._last = self._first or frame, frame
        if frame.ticks - self._departed >= min(self.policy.touch_s, self.policy.cooldown_s / 4):
            self._departed = frame.ticks
            self._depart(frame.at)
        found = self._pipeline.detector.detect([frame.image])[0]
        tracks = self._tracks.update(found, frame.at, frame.ticks, frame.image)
        self.counts.frames += 1
        self.counts.detections += len(found)
        self._look(frame, found, tracks)
        self._refresh(frame.ticks, tracks)
        visible = [self._current(track) for track in tracks]
        self._decide([t for t in visible if t.number and t.pool.looks])
        for track in visible:
            if track.number:
                self._report(track, frame)
        for track in self._tracks.ended(frame.ticks):
            self._end(track)
        faces = tuple(self._view(t, found, i) for i, t in enumerate(visible))
        return View(frame, faces, tuple(recorder.drain()), self._new_health())

    def idle(self, at: float) -> View:
        """Nothing came for a while; ``at``: seconds since 1970."""
        recorder = self._recorder = self._recorder or self._make_recorder(wait=False)
        self._depart(at)
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def finish(self) -> View:
        """The source has come to its end: whoever is there was last seen when last seen."""
        recorder = self._recorder = self._recorder or self._make_recorder(wait=True)
        for track in self._tracks.end():
            self._end(track)
        if self._first is not None and self._last is not None:
            began, ended = _time(self._first.at), _time(self._last.at)
            recorder.put(
                lambda: self._gallery.events.depart(
                    self.collection, self._place.name, ended, "the source ended",
                    since=began, targets=self.policy.targets,
                )
            )  # fmt: skip
        recorder.flush()
        return View(None, (), tuple(recorder.drain()), self._new_health())

    def close(self) -> None:
        """Finish the writes; the visits stay open for whoever watches next.

        Events written since the last view are left in ``unseen``.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()
            self.unseen = (*self.unseen, *recorder.drain())

    # looking

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
        if not good:
            return
        embeddings = self._pipeline.embedder.embed(crops[good])
        self.counts.embeddings += len(good)
        live = None if self._liveness is None else self._liveness.scores(frame.image, chosen[good])
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
            self._stale.add(track.number)
            tracks[wanted[j]] = track

    def _current(self, track: Track) -> Track:
        if track.number and track.number not in self._states:
            self._state(track)
        return track

    def _state(self, track: Track) -> _State:
        if track.number not in self._states:
            self._states[track.number] = _State()
            self.counts.tracks += 1
        return self._states[track.number]

    # deciding

    def _refresh(self, ticks: float, tracks: list[Track]) -> None:
        """Notice people enrolled, deleted or blocked meanwhile, and decide on everybody again."""
        if ticks - self._refreshed < REFRESH_S:
            return
        self._refreshed = ticks
        try:
            change = self._gallery.last_change()
            pairs = self._gallery.events.blocked(
                self.collection, self._pipeline.embedder.contract_id
            )
        except ArcidError as error:
            self._store_trouble(error)
            return
        blocked: dict[str, list[FloatArray]] = {}
        for person, vector in pairs:
            blocked.setdefault(person, []).append(vector)
        if change != self._change or len(pairs) != sum(map(len, self._blocked.values())):
            self._change, self._blocked = change, blocked
            self._stale |= {track.number for track in tracks if track.number}
            self._drop_deleted()

    def _drop_deleted(self) -> None:
        for state in self._states.values():
            if state.match is not None:
                try:
                    self._gallery.person(self.collection, state.match.person_id)
                except PersonNotFound:
                    state.match, state.decision, state.arrived = None, None, None

    def _decide(self, visible: list[Track]) -> None:
        fresh = [t for t in visible if t.number in self._stale]
        probes = [t.pool.embedding for t in fresh]
        known = [(t, e) for t, e in zip(fresh, probes, strict=True) if e is not None]
        if not known:
            return
        batch = Embeddings(
            np.concatenate([e.vectors for _, e in known]), self._pipeline.embedder.contract_id
        )
        try:
            found = self._gallery.search(self.collection, batch, k=CANDIDATES)
            size = self._gallery.size(self.collection, batch.contract_id)
        except ArcidError as error:
            self._store_trouble(error)
            return  # they stay stale, the next frame tries again
        self._stale -= {t.number for t, _ in known}
        for (track, probe), candidates in zip(known, found, strict=True):
            state = self._states[track.number]
            state.candidates = [m for m in candidates if not self._is_blocked(m, probe)]
            own = state.match
            if own is not None:
                again = [m for m in state.candidates if m.person_id == own.person_id]
                state.match = again[0] if again else own  # far down the list, or blocked
                if self._is_blocked(state.match, probe):
                    state.match, state.decision, state.arrived = None, None, None
        order = sorted(known, key=lambda pair: -self._best(pair[0]))
        for track, _ in order:
            self._name(track, visible, size)

    def _best(self, track: Track) -> float:
        candidates = self._states[track.number].candidates
        return candidates[0].cosine if candidates else -1.0

    def _name(self, track: Track, visible: list[Track], size: int) -> None:
        """Give a track the best name that is free; a name held is lost only to far more."""
        state = self._states[track.number]
        state.contested = False
        first: Decision | None = None
        for match in state.candidates:
            decision = self._identify(match.cosine, size)
            first = first or decision
            if decision.outcome != "match":
                break
            held = state.match
            needed = self.policy.switch_ratio
            if (
                held is not None
                and held.person_id != match.person_id
                and self._odds(match.cosine) < needed * self._odds(held.cosine)
            ):
                break
            rival = self._holder(match.person_id, track, visible)
            if rival is not None:
                claim = self._states[rival.number].match
                other = -1.0 if claim is None else claim.cosine
                if self._odds(match.cosine) < needed * self._odds(other):
                    if match.cosine > other:
                        state.contested = True
                        break
                    continue
                loser = self._states[rival.number]
                loser.match, loser.arrived = None, None
                self._stale.add(rival.number)
            state.match, state.decision = match, decision
            return
        if state.match is None or state.decision is None:
            state.decision = first or self._identify(None, size)

    def _holder(self, person_id: str, track: Track, visible: list[Track]) -> Track | None:
        for other in visible:
            match = self._states[other.number].match
            if other is not track and match is not None and match.person_id == person_id:
                return other
        return None

    def _identify(self, cosine: float | None, size: int) -> Decision:
        return decide.identify(
            cosine,
            self._calibration,
            size,
            fpir=self.rate(size),
            unsupported=self.policy.unsupported,
        )

    def rate(self, size: int) -> float:
        """The false positive identification rate decided at in a gallery of so many templates."""
        if self.policy.fpir is not None:
            return self.policy.fpir
        if size not in self._rates:
            for rate in RATES:
                try:
                    self._calibration.threshold_at_fpir(rate, max(size, 1))
                except RateUnsupported:
                    continue
                break
            self._rates[size] = rate
        return self._rates[size]

    def _is_blocked(self, match: Match, probe: Embeddings) -> bool:
        """Whether the face is nearer to one that was said not to be that person."""
        faces = self._blocked.get(match.person_id, ())
        return any(float(face @ probe.vectors[0]) > match.cosine for face in faces)

    def _odds(self, cosine: float) -> float:
        ratio = self._calibration.likelihood_ratio(cosine)
        return min(max(ratio, 1 / ODDS), ODDS)

    def _outcome(self, track: Track) -> FaceOutcome:
        state = self._states[track.number]
        if not track.pool.looks:
            return "low_quality" if state.poor is not None else "looking"
        if track.doubted or track.pool.looks < self.policy.tracking.first_looks:
            return "looking"
        judged = self._judged(state)
        if not judged.accepted:
            return "spoof" if judged.spoof else "looking"
        if state.match is not None:
            return "recognised"
        if state.contested or state.decision is None:
            return "looking"
        if track.last_ticks - track.first_ticks < self.policy.unknown_after_s:
            return "looking"
        return "review" if state.decision.outcome == "review" else "unknown"

    def _judged(self, state: _State) -> Judgement:
        """What the camera's policy makes of the looks so far, weighted as their embeddings are."""
        threshold = 0.0 if self._liveness is None else self._liveness.threshold
        return self._rule.judge(self.camera, _pooled(state), threshold)

    # reporting

    def _report(self, track: Track, frame: Frame) -> None:
        state, outcome = self._states[track.number], self._outcome(track)
        ready = not track.doubted and track.pool.looks >= self.policy.tracking.first_looks
        if ready and not state.spoof and self._judged(state).spoof:
            self._report_spoof(track)
        if outcome == "recognised" and state.match is not None:
            if state.arrived != state.match.person_id:
                state.arrived, state.touched = state.match.person_id, frame.ticks
                self._report_person(track, track.first_at)
                if state.unknown:
                    self._take_back(state)
            if frame.ticks - state.touched >= self.policy.touch_s:
                state.touched = frame.ticks
                self._report_person(track, frame.at)
        elif outcome in ("unknown", "review") and not state.unknown:
            self._report_unknown(track)

    def _end(self, track: Track) -> None:
        """A face is gone: its last word."""
        state = self._states.pop(track.number, None)
        self._stale.discard(track.number)
        if state is None:
            return
        self._states[track.number] = state  # the reports below read it
        nobody = state.match is None and state.decision is not None and not state.contested
        judged = self._judged(state)
        if judged.spoof and not state.spoof and self._seen_enough(track):
            self._report_spoof(track)
        if state.arrived is not None and state.match is not None and judged.accepted:
            self._report_person(track, track.last_at)
        elif state.unknown or (nobody and not state.spoof and self._seen_enough(track)):
            self._report_unknown(track)
        elif not track.pool.looks:
            self.counts.low_quality += 1
        else:
            self.counts.unconfirmed += 1
        del self._states[track.number]

    def _seen_enough(self, track: Track) -> bool:
        looked = track.pool.looks >= self.policy.tracking.first_looks
        return looked or track.frames >= self.policy.min_frames

    def _report_person(self, track: Track, at: float) -> None:
        state = self._states[track.number]
        if state.match is None or self._recorder is None:
            return
        person, grounds = state.match.person_id, self._grounds(track, state)
        vector, crop = self._kept(track, state)
        self._recorder.put(
            lambda: self._gallery.events.sighting(
                self.collection, self._place, person, _time(at),
                cooldown_s=self.policy.cooldown_s, grounds=grounds, vector=vector, crop=crop,
                targets=self.policy.targets,
            ),
            once=None if at == track.first_at else ("touch", person),
        )  # fmt: skip

    def _report_unknown(self, track: Track) -> None:
        state = self._states[track.number]
        if self._recorder is None:
            return
        state.unknown = True
        grounds, (vector, crop) = self._grounds(track, state), self._kept(track, state)
        until = track.last_at

        def written(events: list[Event]) -> None:
            state.unknown_id = events[0].id if events else state.unknown_id

        self._recorder.put(
            lambda: self._gallery.events.visitor(
                self.collection, self._place, _time(track.first_at), _time(until), track.mark,
                cooldown_s=self.policy.cooldown_s, alike=self._alike, grounds=grounds,
                vector=vector, crop=crop, targets=self.policy.targets,
            ),
            written,
        )  # fmt: skip

    def _report_spoof(self, track: Track) -> None:
        state = self._states[track.number]
        if self._recorder is None:
            return
        state.spoof = True
        person = None if state.match is None else state.match.person_id
        grounds, (vector, crop) = self._grounds(track, state), self._kept(track, state)
        self._recorder.put(
            lambda: self._gallery.events.spoof(
                self.collection, self._place, _time(track.first_at), track.mark,
                person_id=person, cooldown_s=self.policy.cooldown_s, grounds=grounds,
                vector=vector, crop=crop, targets=self.policy.targets,
            )
        )  # fmt: skip

    def _take_back(self, state: _State) -> None:
        """Somebody first taken for unknown was recognised after all."""
        if self._recorder is not None:
            self._recorder.put(
                lambda: []
                if state.unknown_id is None
                else self._gallery.events.supersede(
                    self.collection, state.unknown_id, "recognised later in the same track",
                    targets=self.policy.targets,
                )
            )  # fmt: skip

    def _depart(self, at: float) -> None:
        if self._recorder is not None:
            before = _time(at) - timedelta(seconds=self.policy.cooldown_s)
            self._recorder.put(
                lambda: self._gallery.events.depart(
                    self.collection, self._place.name, before,
                    f"not seen for {self.policy.cooldown_s:g} s", targets=self.policy.targets,
                ),
                once="depart",
            )  # fmt: skip

    def _kept(self, track: Track, state: _State) -> tuple[Embeddings | None, Image | None]:
        if self.policy.keep == "nothing":
            return None, None
        return track.pool.embedding, state.crop

    def _grounds(self, track: Track, state: _State) -> dict[str, Any]:
        """Why it was decided so, for whoever asks later."""
        session = self._pipeline.embedder.session
        decided = {} if state.decision is None else dataclasses.asdict(state.decision)
        live = None
        if self._liveness is not None:
            live = {
                "check": self._liveness.name,
                "policy": self.policy.liveness,
                "looks": len(state.live),
                **self._judged(state).to_dict(),
            }
        return {
            **decided,
            "contract_id": self._pipeline.embedder.contract_id,
            "model": self._pipeline.embedder.manifest.name,
            "detector": self._pipeline.detector.name,
            "runtime": session.runtime,
            "precision": session.precision,
            "candidates": [
                {"person_id": m.person_id, "face_id": m.face_id, "cosine": round(m.cosine, 6)}
                for m in state.candidates[:3]
            ],
            "track": {
                "frames": track.frames,
                "looks": track.pool.looks,
                "usefulness": round(track.best, 4),
                "seconds": round(track.last_ticks - track.first_ticks, 3),
                "quality": None if state.best is None else state.best.to_dict(),
            },
            "liveness": live,
            "source": self._source,
            "cooldown_s": self.policy.cooldown_s,
        }

    # what goes wrong

    def _check_clock(self, frame: Frame) -> None:
        """A clock set back would make everybody arrive again; their visits are moved along."""
        if self._last is None or self._recorder is None:
            return
        moved = (frame.at - self._last.at) - (frame.ticks - self._last.ticks)
        if moved < -1.0:
            self._recorder.put(lambda: self._shift(moved))

    def _shift(self, by_s: float) -> list[Event]:
        self._gallery.events.shift(self.collection, self.camera, by_s)
        return []

    def _store_trouble(self, error: ArcidError) -> None:
        if not passing(error):
            raise error
        self._note_store(True, error.message)

    def _note_store(self, failing: bool, why: str) -> None:
        kind: Literal["store_busy", "store_back"] = "store_busy" if failing else "store_back"
        detail = why if failing else "the gallery takes writes again"
        self._health.append(Health(kind, self.camera, time.time(), detail))

    def _make_recorder(self, *, wait: bool) -> Recorder:
        return Recorder(wait=wait, trouble=self._note_store)

    def _new_health(self) -> tuple[Health, ...]:
        found = []
        while self._health:
            found.append(self._health.popleft())
        return tuple(found)

    # showing

    def _view(self, track: Track, found: Detections, index: int) -> FaceView:
        points = None if found.points is None else found.points[index]
        if not track.number:
            return FaceView(
                0, track.box, points, "looking", None, None, None, None, "uncertain", None
            )
        state, outcome = self._states[track.number], self._outcome(track)
        named = state.match if outcome in ("recognised", "spoof") else None
        decision = state.decision if outcome in ("recognised", "unknown", "review") else None
        score = _pooled(state)
        return FaceView(
            track.number,
            track.box,
            points,
            outcome,
            None if named is None or outcome == "spoof" else named.person_id,
            None if named is None or outcome == "spoof" else named.name,
            None if decision is None else decision.cosine,
            None if decision is None else decision.probability,
            self._why(outcome, state),
            score if score is None else round(score, 4),
            outcome == "recognised" and self._judged(state).spoof,
        )

    def _why(self, outcome: FaceOutcome, state: _State) -> str:
        if outcome == "low_quality" and state.poor is not None:
            return poor_words(state.poor)
        if outcome == "spoof" or (outcome == "recognised" and self._judged(state).spoof):
            return PICTURE
        if outcome == "looking":
            return "somebody else here is more like them" if state.contested else "looking"
        return "" if state.decision is None else state.decision.reason


def poor_words(quality: Quality) -> str:
    """What is wrong with a face, in a few words: "too dark, turned away"."""
    words: Sequence[str] = [WORDS.get(reason.code, reason.code) for reason in quality.reasons]
    return ", ".join(dict.fromkeys(words))


def _pooled(state: _State) -> float | None:
    """0–1, higher is live: the looks' liveness scores, each as useful as its look."""
    if not state.live:
        return None
    scores, weights = zip(*state.live, strict=True)
    return float(np.average(scores, weights=weights))


def _time(at: float) -> datetime:
    """Seconds since 1970 to the microsecond, the same for the same float."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(at * 1e6))

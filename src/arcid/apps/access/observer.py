"""A door as an observer of the camera that looks at whoever wants to enter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from arcid.apps.access.doorman import Doorman, running
from arcid.apps.access.doors import Doors
from arcid.apps.access.rules import MOST_LOOKS, Door
from arcid.apps.access.states import Answer, Face, Now, Seen
from arcid.apps.watching import Camera, Duty, FaceView, Followed, Note, Post
from arcid.apps.watching.recorder import passing
from arcid.apps.watching.views import poor_words
from arcid.errors import ArcidError, RateUnsupported
from arcid.events import Blocks, Events
from arcid.gallery import Gallery
from arcid.types import Decision, Embeddings, Match
from arcid.video import Frame

REFRESH_S = 2.0
Told = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class Found:
    """Whose face it is, by all its looks so far."""

    looks: int
    best: Match | None = None  # known
    decision: Decision | None = None  # None: the calibration reaches no rate so low
    agreeing: int = 0  # looks in a row that said so


class DoorObserver:
    """Identifies the faces at one door and asks ``doorman``; ``told`` hears every answer.

    Raises ``CalibrationMissing``, and ``DoorNotFound`` once the door is gone.
    """

    def __init__(
        self,
        post: Post,
        gallery: Gallery,
        doorman: Doorman,
        door: Door,
        told: Told | None = None,
        *,
        rehearse: bool = False,
    ) -> None:
        self._post, self._gallery, self._doorman = post, gallery, doorman
        self._door = door
        self._told, self._rehearse = told, rehearse
        self._found: dict[int, Found] = {}
        self._stale: set[int] = set()
        self._blocks = Blocks()
        self._refreshed = float("-inf")
        self._change: object = None
        self._answer: Answer | None = None

    def look(self, face: Followed) -> None:
        self._stale.add(face.number)

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        door = self._door = self._doorman.door(self._door.id)
        if not door.enabled:
            return
        height = frame.image.shape[0]
        near = [f for f in faces if _share(f.track.box, height) >= door.near]
        self._refresh(frame.ticks, near)
        for face in near:
            if face.number in self._stale and face.embedding is not None:
                self._identify(face, face.embedding)
        shown = [self._face(face, height) for face in near]
        shown += [
            Face(0, share, "looking")
            for box in self._post.untracked
            if (share := _share(box, height)) >= door.near
        ]
        taken = Now(datetime.fromtimestamp(frame.at, UTC), frame.ticks)
        if self._rehearse:
            answer = self._doorman.rehearse(door.id, shown, taken)
        else:
            answer = self._doorman.see(door.id, shown, taken)
        if answer is not None and self._told is not None:
            self._told(answer)
        self._answer = answer or (self._answer if near else None)
        asking = answer is not None and not answer.granted
        for face in near:
            face.eager = asking and face.looks < MOST_LOOKS

    def gone(self, face: Followed) -> None:
        self._found.pop(face.number, None)
        self._stale.discard(face.number)

    def idle(self, at: float) -> None:
        """A door does nothing by itself."""

    def moved(self, by_s: float) -> None:
        """Doors go by the clock that only grows."""

    def ended(self, first_at: float, last_at: float) -> None:
        """A recording opens no door."""

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        answer = self._answer
        if answer is None or answer.track != face.number:
            return shown
        word = "granted" if answer.granted else "refused"
        note = Note(f"{self._door.name}: {word}", "good" if answer.granted else "warn")
        return replace(shown, notes=(*shown.notes, note))

    def close(self) -> None:
        """The door stays locked."""

    def _refresh(self, ticks: float, near: Sequence[Followed]) -> None:
        """People enrolled, deleted or blocked meanwhile: decide on everybody again."""
        if ticks - self._refreshed < REFRESH_S:
            return
        self._refreshed = ticks
        try:
            change = (self._gallery.last_change(), self._doorman.admitted(self._door.id))
            pairs = Events(self._gallery).blocked(
                self._door.collection, self._post.pipeline.contract_id
            )
        except ArcidError as error:
            if not passing(error):
                raise
            return
        if change != self._change or len(pairs) != len(self._blocks):
            self._change, self._blocks = change, Blocks(pairs)
            self._stale |= {face.number for face in near}

    def _identify(self, face: Followed, probe: Embeddings) -> None:
        door, before = self._door, self._found.get(face.number, Found(0))
        try:
            hits = self._gallery.search(door.collection, probe)
            size, missed = hits.gallery_size, hits.index_miss_rate
            candidates = [m for m in hits[0] if not self._blocks.refuse(m, probe)]
        except ArcidError as error:
            if not passing(error):
                raise
            candidates, size = self._doorman.copy_search(door.collection, probe)
            missed = 0.0  # it looks at everybody
        those = self._doorman.admitted(door.id)
        if candidates and candidates[0].person_id in those.people:
            size = those.templates
        try:
            decision = self._post.pipeline.decide(
                candidates, size, fpir=door.fpir, unsupported="extrapolate",
                index_miss_rate=missed,
            )  # fmt: skip
        except RateUnsupported:
            self._found[face.number] = Found(face.looks)
        else:
            best = candidates[0] if decision.matched else None
            agreeing = 0 if best is None else 1
            if best and before.best and before.best.person_id == best.person_id:
                agreeing = before.agreeing + (face.looks > before.looks)
            self._found[face.number] = Found(face.looks, best, decision, agreeing)
        self._stale.discard(face.number)

    def _face(self, face: Followed, height: int) -> Face:
        found = self._found.get(face.number)
        share, live = _share(face.track.box, height), self._live(face)
        if found is None or not face.ready:
            poor = face.poor is not None and face.looks == 0
            why = poor_words(face.poor) if poor and face.poor is not None else ""
            return Face(face.number, share, "unusable" if poor else "looking", why=why)
        best = found.best
        seen: Seen = "unknown" if best is None else "known"
        if found.decision is None:
            seen = "beyond"
        elif best is not None and found.agreeing < self._door.looks:
            seen, best = "looking", None
        return Face(
            face.number, share, seen, None if best is None else best.person_id,
            None if best is None else best.name, live, found.decision,
            unchecked=self._post.liveness is None,
        )  # fmt: skip

    def _live(self, face: Followed) -> bool | None:
        check = self._post.liveness
        score = face.liveness
        return None if check is None or score is None else score >= check.threshold


def duties(gallery: Gallery, camera: Camera) -> list[Duty]:
    """Of a stored camera: the doors it looks at, where this process has a doorman. A door that
    names it keeps its id, and follows it under another name."""
    doorman = running(gallery)
    if doorman is None:
        return []
    found = []
    for door in doorman.site.doors.values():
        named = door.camera == camera.id or door.camera.casefold() == camera.name.casefold()
        if not named and door.camera_id != camera.id:
            continue
        if (door.camera, door.camera_id) != (camera.name, camera.id):
            Doors(gallery).change(door.id, camera=camera.name, camera_id=camera.id)
            doorman.refresh()
        if door.enabled:
            found.append(duty(gallery, doorman, door))
    return found


def duty(
    gallery: Gallery, doorman: Doorman, door: Door, told: Told | None = None, *,
    rehearse: bool = False,
) -> Duty:  # fmt: skip
    """A door at its camera."""
    return Duty(
        f"door {door.id} {door.collection} {door.liveness}",
        lambda post: DoorObserver(post, gallery, doorman, door, told, rehearse=rehearse),
        liveness=door.liveness,
    )


def _share(box: Sequence[float], height: int) -> float:
    return (box[3] - box[1]) / height

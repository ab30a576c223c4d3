"""Watchlists as an observer of a camera: who of a list comes by. Of others nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from arcid.apps.watching import Camera, Duty, FaceView, Followed, Post
from arcid.apps.watching.grounds import decided_on
from arcid.apps.watchlists import flows, watched
from arcid.apps.watchlists.alerts import Alerts
from arcid.apps.watchlists.lists import Watchlists
from arcid.apps.watchlists.raising import Seen
from arcid.apps.watchlists.records import Level
from arcid.apps.watchlists.watched import Watched
from arcid.errors import ArcidError
from arcid.events import Event, Events, Place, Sightings
from arcid.gallery import Gallery
from arcid.types import Decision, Match
from arcid.video import Frame

REFRESH_S = 2.0  # how often changes of lists are noticed
COUNTED_S = 60.0  # how often the faces seen are written down
VISITOR_FMR, COOLDOWN_S = 1e-3, 300.0  # two passers-by count as one, where a list keeps them


@dataclass(slots=True, eq=False)
class Claim:
    """What the looks at one face say of one list so far."""

    person_id: str | None = None
    agreeing: int = 0  # looks in a row
    level: Level = "review"
    decision: Decision | None = None
    candidates: list[Match] = field(default_factory=list)
    raised: Seen | None = None

    def forget(self) -> None:
        self.person_id, self.agreeing = None, 0


class WatchlistObserver:
    """Looks for every list of one camera. Raises ``CalibrationMissing``."""

    def __init__(
        self, post: Post, gallery: Gallery, place: Place, targets: Sequence[str] = ()
    ) -> None:
        self._post, self._gallery, self._place = post, gallery, place
        self._targets = tuple(targets)
        self._alerts = Alerts(gallery)
        self._faces = flows.Faces()
        self._claims: dict[int, dict[str, Claim]] = {}
        self._watched: dict[str, Watched] = {}
        self._refreshed = self._counted = -np.inf
        self._alike = post.pipeline.calibration.threshold_at_fmr(
            max(VISITOR_FMR, post.pipeline.calibration.smallest_supported_fmr)
        ).cosine
        self._read()

    def look(self, face: Followed) -> None:
        probe = face.embedding
        if probe is None:
            return
        if face.number not in self._claims:
            self._claims[face.number] = {}
            self._faces.face(face.track.last_at)
        for one in self._watched.values():
            if not one.watchlist.expired():
                claim = self._claims[face.number].setdefault(one.watchlist.id, Claim())
                self._weigh(face, claim, one)

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        self._faces.frame(frame.at, frame.ticks)
        if frame.ticks - self._refreshed >= REFRESH_S:
            self._refreshed = frame.ticks
            self._read()
        if frame.ticks - self._counted >= COUNTED_S:
            self._counted = frame.ticks
            self._count()

    def gone(self, face: Followed) -> None:
        spoken = False
        for list_id, claim in self._claims.pop(face.number, {}).items():
            one = self._watched.get(list_id)
            if claim.raised is not None:
                self._raise(face, claim.raised.list_id, claim)  # seen until now
                spoken = True
            elif one is not None and claim.agreeing >= _needed(face, one) and face.ready:
                self._raise(face, list_id, claim)
                spoken = True
        if not spoken:
            self._pass_by(face)

    def idle(self, at: float) -> None:
        """Nobody comes, and nothing is due."""

    def moved(self, by_s: float) -> None:
        """Alerts keep the times they were written with."""

    def ended(self, first_at: float, last_at: float) -> None:
        self._count()

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        """Who is on a list is for those who may see it, not for everybody at the live picture."""
        return shown

    def close(self) -> None:
        self._count()

    def _weigh(self, face: Followed, claim: Claim, one: Watched) -> None:
        """One more look: an alert where enough of them agree."""
        probe = face.embedding
        if probe is None:
            return
        found, alert, review = one.decide(self._post.pipeline, probe)
        if not review.matched:
            claim.forget()
            return
        person = found[0].person_id
        claim.agreeing = claim.agreeing + 1 if person == claim.person_id else 1
        claim.person_id, claim.candidates = person, found
        claim.level = "alert" if alert.matched else "review"
        claim.decision = alert if alert.matched else review
        confirmed = claim.agreeing >= _needed(face, one) and face.ready
        told = claim.raised is not None and claim.raised.person_id == person
        if confirmed and claim.level == "alert" and not told:
            self._raise(face, one.watchlist.id, claim)

    def _raise(self, face: Followed, list_id: str, claim: Claim) -> None:
        """Write an alert or silent review, or that somebody alerted to was there until now."""
        vector = face.embedding
        if vector is None or (claim.person_id is None and claim.raised is None):
            return
        old = claim.raised
        best = claim.candidates[0]
        seen = Seen(
            list_id,
            best.person_id if old is None else old.person_id,
            claim.level if old is None else old.level,
            self._place,
            _time(face.track.first_at),
            _time(face.track.last_at),
            face.track.mark,
            {
                **decided_on(
                    self._post.pipeline, claim.decision, claim.candidates, source=self._post.source
                ),
                "track": face.grounds(),
                "details": {"face_id": best.face_id},
            },
            vector,
            face.crop,
            face.visible,
        )
        claim.raised = seen

        def write() -> list[Event]:
            made = self._alerts.raise_(seen, targets=self._targets)
            if made is None:
                return []
            return [Events(self._gallery).get(made.collection, made.event_id)]

        self._post.put(write)

    def _pass_by(self, face: Followed) -> None:
        """Somebody who is on no list: nothing is kept, unless a list says otherwise."""
        kept = [one.watchlist for one in self._watched.values()]
        kept = [own for own in kept if own.terms.strangers != "nothing"]
        vector = face.embedding
        if not kept or vector is None or not face.seen_enough or not face.evident():
            return
        for collection in {own.collection for own in kept}:
            wanted = {own.terms.strangers for own in kept if own.collection == collection}
            crop = face.crop if "crop" in wanted else None
            self._post.put(
                partial(
                    Sightings(self._gallery).visitor,
                    collection, self._place, _time(face.track.first_at), _time(face.track.last_at),
                    face.track.mark, cooldown_s=COOLDOWN_S, alike=self._alike,
                    grounds={"reason": "on no list"}, vector=vector, crop=crop,
                )
            )  # fmt: skip

    def _read(self) -> None:
        try:
            self._watched = watched.read(
                self._gallery, self._post.pipeline, self._post.camera, self._watched
            )
        except ArcidError as error:  # what was read before counts
            self._post.trouble(error)

    def _count(self) -> None:
        counted = self._faces.take()
        if not counted:
            return

        def write() -> list[Event]:
            with self._gallery.database.write() as connection:
                flows.write(connection, self._post.camera, counted)
            return []

        self._post.put(write)


def duty(gallery: Gallery, place: Place, targets: Sequence[str] = ()) -> Duty:
    """Watchlists at a camera."""
    return Duty("watchlists", lambda post: WatchlistObserver(post, gallery, place, targets))


def duties(gallery: Gallery, camera: Camera) -> list[Duty]:
    """Of a stored camera, where a list is looked for there."""
    lists = Watchlists(gallery).find()
    if not any(not own.expired() and own.watches(camera.name) for own in lists):
        return []
    return [duty(gallery, Place(camera.place or camera.name, camera.name))]


def _needed(face: Followed, one: Watched) -> int:
    """Looks that have to agree; photos that show different moments are looked at once each."""
    apart = face.looking.tracking.first_looks == 1
    return 1 if apart else one.watchlist.terms.confirm_looks


def _time(at: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(at * 1e6))

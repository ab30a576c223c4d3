"""What a source reports: people, unknown visitors, attacks, and that somebody has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from arcid.events.records import Cause, Event, Place
from arcid.events.review_records import Question
from arcid.events.store import correcting as _correcting
from arcid.events.store import corrections as _corrections
from arcid.events.store import events as _rows
from arcid.events.store import sightings as _sightings
from arcid.events.store import stays as _stays
from arcid.events.store.events import evidence, happened
from arcid.events.store.log import reading, writing
from arcid.events.store.readings import written
from arcid.gallery import Gallery
from arcid.gallery.store.journal import to_us
from arcid.types import Embeddings, Image


class Sightings:
    """Writes what was seen. Thread-safe; every method is one transaction.

    They answer the events written: where a stay goes on, none. ``targets``: outboxes to tell.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def person(
        self,
        collection: str,
        place: Place,
        person_id: str,
        at: datetime,
        *,
        cooldown_s: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """A person was seen; the arrival event where that begins a stay.

        An older stay of theirs still open at this place ends, when they were last seen: its
        departure comes first. A departure written too early is taken back. A sighting of somebody
        deleted meanwhile is dropped.
        """
        with writing(self._database, collection, targets) as log:
            if _correcting.existing(log, person_id) is None:
                return []
            rows = _sightings.person(
                log, place, person_id, happened(at), _seconds(cooldown_s),
                evidence(grounds, vector, crop),
            )  # fmt: skip
            return written(log, rows)

    def visitor(
        self,
        collection: str,
        place: Place,
        at: datetime,
        until: datetime,
        mark: str,
        *,
        cooldown_s: float,
        alike: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
        question: Question | None = None,
    ) -> list[Event]:
        """Somebody unknown was seen; the event unless a face of cosine ``alike`` was just there.

        With a ``question`` the event is a ``review``: it waits in ``Reviews`` for a human,
        unless the face of one that was just there was asked about.
        """
        with writing(self._database, collection, targets) as log:
            rows = _sightings.visitor(
                log, place, happened(at), happened(until), mark, _seconds(cooldown_s), alike,
                evidence(grounds, vector, crop), question,
            )  # fmt: skip
            return written(log, rows)

    def spoof(
        self,
        collection: str,
        place: Place,
        at: datetime,
        mark: str,
        *,
        person_id: str | None,
        cooldown_s: float,
        grounds: Mapping[str, Any],
        vector: Embeddings | None = None,
        crop: Image | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """A presentation attack is suspected."""
        with writing(self._database, collection, targets) as log:
            rows = _sightings.spoof(
                log, place, happened(at), mark, person_id, _seconds(cooldown_s),
                evidence(grounds, vector, crop),
            )  # fmt: skip
            return written(log, rows)

    def depart(
        self,
        collection: str,
        place: str,
        seen_before: datetime,
        why: str,
        *,
        cause: Cause = "not_seen",
        since: datetime | None = None,
        targets: Sequence[str] = (),
    ) -> list[Event]:
        """End the stays last seen before then: one departure each.

        ``why`` in words and ``cause`` stand in its grounds.
        """
        with reading(self._database, collection) as log:
            if not _stays.any_unseen(log, place, to_us(seen_before)):
                return []
        with writing(self._database, collection, targets) as log:
            begun = None if since is None else to_us(since)
            rows = _stays.depart(log, place, to_us(seen_before), why, cause, begun)
            return written(log, rows)

    def abandon(
        self, collection: str, place: Place, why: str, *, cause: Cause, targets: Sequence[str] = ()
    ) -> list[Event]:
        """A camera watches its place no more: end the stays it began, one departure each."""
        with writing(self._database, collection, targets) as log:
            return written(log, _stays.abandon(log, place, why, cause))

    def shift(self, collection: str, camera: str, by_s: float) -> None:
        """A camera's clock moved back: move the stays it has open along."""
        with writing(self._database, collection) as log:
            _stays.shift(log, camera, _seconds(by_s))

    def supersede(
        self, collection: str, event_id: str, note: str, *, targets: Sequence[str] = ()
    ) -> list[Event]:
        """The system itself takes an event back, once; not one that somebody has corrected."""
        with writing(self._database, collection, targets) as log:
            about = _rows.find(log, event_id)
            if _corrections.standing(log, [event_id]).get(event_id):
                return []
            key = _rows.key("supersede", event_id)
            row = _corrections.correct(log, about, "void", "system", note, event_key=key)
            _correcting.follow(log, about, "system")
            return written(log, [] if row is None else [row])


def _seconds(value: float) -> int:
    return int(value * 1_000_000)

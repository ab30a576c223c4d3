"""Reading events: with corrections applied, or as they were written; and the faces behind them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import islice

from arcid.events.records import Event, Stay, Trace
from arcid.events.store import events as _rows
from arcid.events.store import stays as _stays
from arcid.events.store import traces as _traces
from arcid.events.store.log import Log, reading
from arcid.events.store.readings import EVENTS, corrected, names_of, newest_first, written
from arcid.gallery import Gallery
from arcid.gallery.again import again
from arcid.gallery.imaging import decode_crop
from arcid.gallery.paging import Page, check_limit
from arcid.gallery.schema import Row
from arcid.gallery.store import policies as _policies
from arcid.gallery.store.journal import from_us, to_us
from arcid.types import Embeddings, FloatArray


class EventReading:
    """``find`` and ``get`` answer with corrections applied, ``history`` with every row as it was
    written."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    @again
    def find(
        self,
        collection: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        kinds: Collection[str] | None = None,
        person_id: str | None = None,
        camera: str | None = None,
        where: Callable[[Event], bool] | None = None,
        voided: bool = False,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Event]:
        """Newest first, corrections applied; voided ones are left out unless asked for, and those
        for which ``where`` is false.

        Ordered by the time as corrected, and of the same time by when they were written.
        ``until`` is exclusive; ``after`` is ``next`` of the page before. Raises ``CursorInvalid``.
        """
        most = check_limit(limit)
        low, high = (None if t is None else to_us(t) for t in (since, until))
        with reading(self._database, collection) as log:
            mark = None if after is None else EVENTS.place(log.collection["uid"], after)
            wanted = (
                (place, event)
                for place, event in newest_first(log, low, high, mark, kinds)
                if (kinds is None or event.kind in kinds)
                and (person_id is None or event.person_id == person_id)
                and (camera is None or event.camera == camera)
                and (where is None or where(event))
                and (voided or not event.voided)
            )
            found = EVENTS.page(
                log.collection["uid"], list(islice(wanted, most)), limit, lambda row: row[0]
            )
            return Page([event for _, event in found], found.next)

    @again
    def get(self, collection: str, event_id: str) -> Event:
        """One event with corrections applied. Raises ``EventNotFound``."""
        with reading(self._database, collection) as log:
            return corrected(log, [_rows.find(log, event_id)])[0]

    @again
    def history(self, collection: str, event_id: str) -> list[Event]:
        """The event as written, and the corrections about it, oldest first."""
        with reading(self._database, collection) as log:
            row = _rows.find(log, event_id)
            about = _rows.corrections(log, [event_id]).get(event_id, [])
            level = about
            while level:
                found = _rows.corrections(log, [r["uid"] for r in level])
                level = [r for rows in found.values() for r in rows]
                about = [*about, *level]
            return written(log, [row, *sorted(about, key=_id)])

    def present(self, collection: str) -> list[Stay]:
        """Who is there: people whose stay has not ended, each once at a place."""
        with reading(self._database, collection) as log:
            return _stays_of(log, _stays.present(log))

    def unfinished(self, collection: str) -> list[Stay]:
        """Stays without a departure: of those present, and those a recording is still read of."""
        with reading(self._database, collection) as log:
            return _stays_of(log, _stays.unfinished(log))

    def longer(
        self, collection: str, than: timedelta, since: datetime, until: datetime
    ) -> list[Stay]:
        """Stays of people, ended or not, that are longer than that and touch a span of time."""
        with reading(self._database, collection) as log:
            least = int(than.total_seconds() * 1e6)
            return _stays_of(log, _stays.longer(log, least, to_us(since), to_us(until)))

    @again
    def trace(self, collection: str, event_id: str) -> Trace | None:
        """The face behind an event; None once it is erased."""
        with reading(self._database, collection) as log:
            row = _rows.find(log, event_id)
            found = _traces.read(log, [row]).get(row["id"])
            hidden = _policies.hidden(log.connection, log.collection)
        if found is None:
            return None
        contract, vector, crop = found
        return Trace(
            Embeddings(vector[None], contract),
            None if crop is None or hidden else decode_crop(crop),
        )

    @again
    def unknown(
        self, collection: str, contract_id: str, *, limit: int = 1000
    ) -> list[tuple[Event, FloatArray]]:
        """Unknown visitors of whom a face is kept, newest first, with its (D,) vector."""
        found = self.find(collection, kinds=["unknown"], limit=limit)
        with reading(self._database, collection) as log:
            rows = [_rows.find(log, event.id) for event in found]
            traced = _traces.read(log, rows)
        pairs = zip(found, rows, strict=True)
        return [
            (event, traced[row["id"]][1])
            for event, row in pairs
            if row["id"] in traced and traced[row["id"]][0] == contract_id
        ]

    @again
    def blocked(self, collection: str, contract_id: str) -> list[tuple[str, FloatArray]]:
        """(person id, (D,) vector of a face that is not theirs)."""
        with reading(self._database, collection) as log:
            return _traces.blocked(log, contract_id)


def _stays_of(log: Log, rows: Sequence[Row]) -> list[Stay]:
    names = names_of(log, [row["person_uid"] for row in rows])
    return [
        Stay(
            row["person_uid"], names.get(row["person_uid"]), row["place"], row["camera"],
            from_us(row["arrived_at"]), from_us(row["last_seen_at"]),
        )
        for row in rows
    ]  # fmt: skip


def _id(row: Row) -> int:
    return int(row["id"])

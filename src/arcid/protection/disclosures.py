"""Who was told what about whom: receivers of events, exports, people who asked for their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from arcid.gallery import Gallery, Page
from arcid.gallery.paging import Order, check_limit
from arcid.gallery.schema import Row, disclosures
from arcid.gallery.store import journal
from arcid.gallery.store.journal import from_us, to_us
from arcid.types import instant

KEPT = timedelta(days=3 * 365)
DISCLOSURES = Order("disclosures", (int,))  # key


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One person, told once."""

    at: datetime  # UTC
    kind: str  # told, export, subject
    recipient: str  # the receiver's name, or what kind of file
    actor: str  # behind it, as the audit names them
    collection_id: str | None
    person_id: str | None  # None: nobody known
    what: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "at": instant(self.at),
            "kind": self.kind,
            "recipient": self.recipient,
            "actor": self.actor,
            "collection_id": self.collection_id,
            "person_id": self.person_id,
            "what": self.what,
        }


class Disclosures:
    """Thread-safe."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def find(
        self,
        *,
        person_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Disclosure]:
        """Newest first. ``person_id``: also of somebody who is erased by now. ``until`` is
        exclusive. Raises ``CursorInvalid``."""
        d = disclosures.c
        query = sa.select(disclosures).order_by(d.id.desc()).limit(check_limit(limit))
        if person_id is not None:
            query = query.where(d.person_uid == person_id)
        if since is not None:
            query = query.where(d.at >= to_us(since))
        if until is not None:
            query = query.where(d.at < to_us(until))
        with self._database.read() as connection:
            owner = journal.head(connection).identity
            if after is not None:
                (below,) = DISCLOSURES.place(owner, after)
                query = query.where(d.id < below)
            rows = connection.execute(query).mappings().all()
            found = DISCLOSURES.page(owner, rows, limit, lambda row: (row["id"],))
        return Page([_record(row) for row in found], found.next)

    def forget(self, before: datetime) -> int:
        """Delete rows from before then; how many."""
        with self._database.write() as connection:
            old = disclosures.c.at < to_us(before)
            return connection.execute(disclosures.delete().where(old)).rowcount


def forget(gallery: Gallery) -> int:
    """The service's task: what is older than ``KEPT``."""
    return Disclosures(gallery).forget(datetime.now(UTC) - KEPT)


def _record(row: Row) -> Disclosure:
    names = ("kind", "recipient", "actor", "collection_uid", "person_uid", "what")
    return Disclosure(from_us(row["at"]), *(row[name] for name in names))

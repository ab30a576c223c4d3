"""Looks at people, gathered for the audit: noting one waits for nobody, and all are written soon.

A page shows dozens of faces, and a transaction for each would hold up whoever writes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy.engine import Connection

from arcid.errors import CollectionNotFound, InputError, Overloaded
from arcid.events import audit, searches
from arcid.events.searches import By
from arcid.gallery import Gallery
from arcid.gallery.store import collections
from arcid.results import Identified
from arcid.types import Decision

EVERY_S = 1.0
AGAIN_S = 300.0  # a browser shows what it has for as long, and does not ask
MOST = 10_000  # that wait while the gallery takes no writes


class _Look(NamedTuple):
    actor: str
    verb: str
    subject: str  # empty: the collection
    collection: str  # its name; empty: none
    address: str = ""
    details: str = "{}"  # JSON
    number: int = 0  # tells those apart that count every time


class Looks:
    """Of one service. Thread-safe. ``searches``: whether those and comparisons are noted too."""

    def __init__(self, *, searches: bool = True) -> None:
        self.searches = searches
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # so that nothing is written twice
        self._number = 0
        self._waiting: dict[_Look, None] = {}
        self._written: dict[_Look, float] = {}  # oldest first

    def note(self, verb: str, subject: str, collection: str) -> None:
        """Who acts now looked at something; the same within five minutes is one look.

        Raises ``Overloaded`` where looks cannot be written for long: nobody looks unseen. And
        ``InputError``, at once, for what no row can say: one that is refused later keeps back all.
        """
        look = _Look(audit.actor_now(), verb, subject, collection, audit.address_now())
        with self._lock:
            written = time.monotonic() - self._written.get(look, -AGAIN_S) < AGAIN_S
            if look not in self._waiting and not written:
                self._add(look)

    def searched(
        self, by: By, collection: str, found: Sequence[Identified], fpir: float, subject: str = ""
    ) -> None:
        """Who acts now was told who faces may be; every search counts. Raises ``Overloaded``."""
        if not self.searches:
            return
        self._every(f"search.{by}", subject, collection, searches.details(found, fpir))

    def verified(
        self, by: Literal["photo", "vector"], collection: str, person_id: str, decision: Decision
    ) -> None:
        """Who acts now was told whether a face is an enrolled person's; every time counts.

        Raises ``Overloaded``.
        """
        if self.searches:
            details = searches.compared([decision])
            self._every(f"verify.{by}", f"person:{person_id}", collection, details)

    def compared(self, by: Literal["photos", "vectors"], decisions: Sequence[Decision]) -> None:
        """Who acts now was told whether faces of which nothing is kept are one person's."""
        if self.searches:
            self._every(f"compare.{by}", searches.NOBODY, "", searches.compared(decisions))

    def likened(
        self,
        by: Literal["photos", "vectors"],
        faces: int,
        subject: str = "",
        collection: str = "",
    ) -> None:
        """As ``compared``, where likenesses are told and nothing is decided. ``subject``: the
        enrolled face of ``collection`` that the others were held against."""
        if self.searches:
            self._every(f"compare.{by}", subject or searches.NOBODY, collection, {"faces": faces})

    def _every(self, verb: str, subject: str, collection: str, details: dict[str, Any]) -> None:
        with self._lock:
            self._number += 1
            who, where = audit.actor_now(), audit.address_now()
            told = json.dumps(details)
            self._add(_Look(who, verb, subject, collection, where, told, self._number))

    def _add(self, look: _Look) -> None:
        if len(self._waiting) >= MOST:
            raise Overloaded(
                f"{MOST} looks at people wait for the audit, and the gallery takes no writes: "
                "look at its disk and its database",
                retry_after_s=10,
            )
        audit.checked(_told(look, None))
        self._waiting[look] = None

    def write(self, gallery: Gallery) -> None:
        """What was noted, in one transaction. Raises as ``Database.write``; it is kept then."""
        with self._writing:
            with self._lock:
                looks = list(self._waiting)
            if looks:
                with gallery.database.write() as connection:
                    uids = {look.collection: _uid(connection, look.collection) for look in looks}
                    audit.append_all(
                        connection, [_told(one, uids[one.collection]) for one in looks]
                    )
            now = time.monotonic()
            with self._lock:
                for look in looks:
                    del self._waiting[look]
                    if not look.number:
                        self._written.pop(look, None)
                        self._written[look] = now
                while self._written and now - next(iter(self._written.values())) > AGAIN_S:
                    del self._written[next(iter(self._written))]


def _told(look: _Look, uid: str | None) -> audit.Told:
    subject = look.subject or f"collection:{uid}"
    return audit.Told(
        look.verb, subject, look.actor, look.address, uid, details=json.loads(look.details)
    )


def _uid(connection: Connection, collection: str) -> str | None:
    if not collection:
        return None
    try:
        return str(collections.find(connection, collection)["uid"])
    except (CollectionNotFound, InputError):  # deleted since, or never there
        return None

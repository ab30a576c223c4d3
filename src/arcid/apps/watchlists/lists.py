"""Named lists of people: made, shown, changed, expired, deleted; who is on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.engine import Connection

from arcid.apps.watchlists import alert_store, store
from arcid.apps.watchlists.budget import Budget, budget
from arcid.apps.watchlists.flows import flow
from arcid.apps.watchlists.matching import templates
from arcid.apps.watchlists.records import LONGEST, Member, Terms, Watchlist
from arcid.apps.watchlists.tables import alerts, watchlists
from arcid.calibration import Calibration
from arcid.errors import InputError
from arcid.events.audit import append
from arcid.events.store.correcting import remark, signed
from arcid.gallery import Gallery, Page
from arcid.gallery.again import again
from arcid.gallery.database import Database
from arcid.gallery.paging import pages
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people


class Watchlists:
    """The lists of a gallery. Thread-safe; every change is one transaction and is audited.

    A list goes by its id or its name. Raises ``WatchlistNotFound``, ``CollectionNotFound``,
    ``PersonNotFound``, ``InputError``, ``AlreadyExists``.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def create(self, name: str, collection: str, terms: Terms, *, actor: str) -> Watchlist:
        """A list of people of a collection, nobody on it yet."""
        _check_expiry(terms.expires_at)
        with _doing(self._database, actor) as connection:
            own = _collections.find(connection, collection)
            row = store.add(connection, own, name, terms)
            _note(connection, "list.create", row)
            return store.record(row)

    def find(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        within: Iterable[str] | None = None,
    ) -> Page[Watchlist]:
        """By name, expired ones included; ``after`` is ``next`` of the page before. ``within``: of
        the collections of these ids."""
        with self._database.read() as connection:
            found = store.every(connection, after, limit, within)
        return Page([store.record(row) for row in found], found.next)

    def get(self, list_id: str) -> Watchlist:
        with self._database.read() as connection:
            return store.record(store.find(connection, list_id))

    def update(
        self, list_id: str, *, actor: str, name: str | None = None, **changes: Any
    ) -> Watchlist:
        """Change what is given; ``changes`` are fields of ``Terms``."""
        if unknown := set(changes) - set(Terms.__dataclass_fields__):
            raise InputError(f"a list has no {', '.join(sorted(unknown))}")
        with _doing(self._database, actor) as connection:
            row = store.find(connection, list_id)
            terms = replace(store.record(row).terms, **changes)
            if "expires_at" in changes:
                _check_expiry(terms.expires_at)
            named = [*(["name"] if name is not None else []), *changes]
            _note(connection, "list.change", row, changed=sorted(named))
            return store.record(store.change(connection, row, name, terms))

    def expire(self, list_id: str, *, actor: str) -> Watchlist:
        """From now on it matches nobody; its people and alerts stay until it is deleted."""
        now = datetime.now(UTC)
        with _doing(self._database, actor) as connection:
            row = store.find(connection, list_id)
            known = store.record(row)
            if known.expired(now):
                return known
            row = store.change(connection, row, None, replace(known.terms, expires_at=now))
            _note(connection, "list.expire", row)
            return store.record(row)

    def delete(self, list_id: str, *, actor: str) -> None:
        """Erase a list with its alerts and the faces behind them; its people stay enrolled."""
        with _doing(self._database, actor, erases=True) as connection:
            row = store.find(connection, list_id)
            _note(connection, "list.delete", row)
            own = _collections.by_id(connection, row["collection_id"])
            alert_store.erase(connection, own, alerts.c.list_id == row["id"])
            connection.execute(watchlists.delete().where(watchlists.c.id == row["id"]))

    # people

    def add(self, list_id: str, person_id: str, *, actor: str, reason: str = "") -> bool:
        """Put a person of the list's collection on it; False where they were."""
        who, why = signed(actor), remark("reason", reason)
        with _doing(self._database, who) as connection:
            row = store.find(connection, list_id)
            own = _collections.by_id(connection, row["collection_id"])
            person = _people.find(connection, own, person_id)
            done = store.put(connection, row, person, why, who)
            if done:
                _note(connection, "list.add", row, person=person["uid"])
            return done

    def remove(self, list_id: str, person_id: str, *, actor: str) -> bool:
        """Take a person off; False where they were not on it. Alerts of them stay."""
        with _doing(self._database, actor) as connection:
            row = store.find(connection, list_id)
            own = _collections.by_id(connection, row["collection_id"])
            person = _people.find(connection, own, person_id)
            done = store.take(connection, row, person)
            if done:
                _note(connection, "list.remove", row, person=person["uid"])
            return done

    @again
    def members(self, list_id: str, *, limit: int = 100, after: str | None = None) -> Page[Member]:
        """Who is on a list, by name."""
        with self._database.read() as connection:
            return store.listed(connection, store.find(connection, list_id), after, limit)

    def everybody(self, list_id: str) -> list[Member]:
        """Everybody on a list, by name."""
        return list(pages(lambda after: self.members(list_id, limit=1000, after=after)))

    # what it alerts at

    def budget(self, list_id: str, camera: str | None, calibration: Calibration) -> Budget:
        """Its thresholds now, from its size and from what the camera was seen to see; None: a
        camera of which nothing is known."""
        with self._database.read() as connection:
            row = store.find(connection, list_id)
            size = templates(connection, row, calibration.contract_id)
            seen = flow(connection, camera)
        terms = store.record(row).terms
        return budget(terms.false_alerts_per_hour, terms.reviews_per_hour, size, seen, calibration)


@contextmanager
def _doing(database: Database, actor: str, *, erases: bool = False) -> Iterator[Connection]:
    """A write by somebody who says who they are."""
    remark("actor", actor)
    with database.write(erases=erases) as connection:
        yield connection


def _note(connection: Connection, verb: str, row: Row, **details: Any) -> None:
    append(
        connection, verb=verb, subject=f"list:{row['uid']}", collection=row["collection_uid"],
        details=details,
    )  # fmt: skip


def _check_expiry(expires_at: datetime) -> None:
    now = datetime.now(UTC)
    if not now < expires_at <= now + LONGEST:
        raise InputError(
            "a list expires after now and within two years: expires_at; it can be made longer later"
        )

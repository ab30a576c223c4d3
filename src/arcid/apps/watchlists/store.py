"""Rows of lists and members, inside the caller's transaction."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists.records import Member, Terms, Watchlist
from arcid.apps.watchlists.tables import members, watchlists
from arcid.errors import AlreadyExists, WatchlistNotFound
from arcid.gallery import rules
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, collections, people
from arcid.gallery.seals import check_row, row_seal
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people
from arcid.gallery.store import sealed
from arcid.gallery.store.journal import from_us, now_us, to_us
from arcid.vault import place

WATCHLISTS = Order("watchlists", (str,))  # name_key
MEMBERS = Order("watchlist_members", (str,))  # name_key
_COUNT = (
    sa.select(sa.func.count())
    .where(members.c.list_id == watchlists.c.id)
    .scalar_subquery()
    .label("people")
)
_KNOWN = sa.select(
    watchlists, collections.c.name.label("collection"), collections.c.uid.label("collection_uid"),
    _COUNT,
).join(collections, collections.c.id == watchlists.c.collection_id)  # fmt: skip


def find(connection: Connection, reference: str) -> Row:
    """By id, else by name, whatever its case. Raises ``WatchlistNotFound``."""
    cleaned = rules.clean_name(reference, "a list's name")
    either = sa.or_(watchlists.c.uid == cleaned, watchlists.c.name_key == rules.name_key(cleaned))
    query = _KNOWN.where(either).order_by(watchlists.c.uid != cleaned)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise WatchlistNotFound(
            f"there is no watchlist with the id or name {cleaned!r}; see: arcid watchlist list"
        )
    check_row("watchlists", row)
    return row


def by_key(connection: Connection, key: int) -> Row:
    """A list that is known to exist."""
    return connection.execute(_KNOWN.where(watchlists.c.id == key)).mappings().one()


def every(
    connection: Connection,
    after: str | None,
    limit: int | None,
    within: Iterable[str] | None = None,
) -> Page[Row]:
    """By name; ``within``: of the collections of these ids."""
    query = _KNOWN.order_by(watchlists.c.name_key).limit(check_limit(limit))
    if within is not None:
        query = query.where(collections.c.uid.in_(list(within)))
    if after is not None:
        query = query.where(watchlists.c.name_key > WATCHLISTS.place("", after)[0])
    rows: list[Row] = list(connection.execute(query).mappings())
    for row in rows:
        check_row("watchlists", row)
    return WATCHLISTS.page("", rows, limit, lambda row: (row["name_key"],))


def unexpired(connection: Connection, now: datetime) -> list[Row]:
    """Lists that match somebody, by name."""
    query = _KNOWN.where(watchlists.c.expires_at > to_us(now)).order_by(watchlists.c.name_key)
    rows: list[Row] = list(connection.execute(query).mappings())
    for row in rows:
        check_row("watchlists", row)
    return rows


def record(row: Row) -> Watchlist:
    terms = json.loads(row["terms"])
    return Watchlist(
        row["uid"],
        row["name"],
        row["collection"],
        Terms(**terms, expires_at=from_us(row["expires_at"])),
        row["people"],
        row["version"],
        from_us(row["created_at"]),
    )


def add(connection: Connection, collection: Row, name: str, terms: Terms) -> Row:
    cleaned = _free(connection, name, None)
    values = _values(terms) | {
        "uid": uuid.uuid4().hex,
        "collection_id": collection["id"],
        "name": cleaned,
        "name_key": rules.name_key(cleaned),
        "version": 1,
        "created_at": now_us(),
    }
    values["seal"] = row_seal("watchlists", values)
    connection.execute(watchlists.insert().values(values))
    return find(connection, values["uid"])


def change(connection: Connection, row: Row, name: str | None, terms: Terms) -> Row:
    cleaned = row["name"]
    if name is not None and name != cleaned:
        cleaned = _free(connection, name, row["id"])
    values = _values(terms) | {
        "name": cleaned,
        "name_key": rules.name_key(cleaned),
        "version": row["version"] + 1,
    }
    values["seal"] = row_seal("watchlists", dict(row) | values)
    own = watchlists.c.id == row["id"]
    connection.execute(watchlists.update().where(own).values(values))
    return by_key(connection, row["id"])


def touch(connection: Connection, list_keys: Sequence[int]) -> None:
    """Their members changed."""
    connection.execute(
        watchlists.update()
        .where(watchlists.c.id.in_(list_keys))
        .values(version=watchlists.c.version + 1)
    )


def put(connection: Connection, row: Row, person: Row, reason: str, actor: str) -> bool:
    """False where they are on the list already."""
    own = sa.and_(members.c.list_id == row["id"], members.c.person_id == person["id"])
    if connection.execute(sa.select(members.c.id).where(own)).first() is not None:
        return False
    values = {"list_id": row["id"], "reason": reason, "added_by": actor, "added_at": now_us()}
    place_on(connection, person, values)
    touch(connection, [row["id"]])
    return True


def place_on(connection: Connection, person: Row, values: Row) -> None:
    """A member's row; ``values`` of it but the person, their reason sealed or not."""
    own = _collections.by_id(connection, person["collection_id"])
    key_id = sealed.key_of(connection, own, person)
    reason = sealed.seal_text(connection, key_id, values["reason"], _reason_place(values))
    connection.execute(
        members.insert().values({**values, "person_id": person["id"], "reason": reason})
    )


def seal(connection: Connection) -> int:
    """Seal the reasons written before the gallery was protected; how many."""
    rows = connection.execute(sa.select(members).where(sealed.clear_text(members.c.reason)))
    found = rows.mappings().all()
    for row in found:
        person = _people.by_keys(connection, [row["person_id"]])[row["person_id"]]
        connection.execute(members.delete().where(members.c.id == row["id"]))
        place_on(connection, person, row)
    return len(found)


def take(connection: Connection, row: Row, person: Row) -> bool:
    """False where they are not on the list."""
    own = sa.and_(members.c.list_id == row["id"], members.c.person_id == person["id"])
    gone = connection.execute(members.delete().where(own)).rowcount
    if gone:
        touch(connection, [row["id"]])
    return bool(gone)


def is_member(connection: Connection, row: Row, person: Row) -> bool:
    own = sa.and_(members.c.list_id == row["id"], members.c.person_id == person["id"])
    return connection.execute(sa.select(members.c.id).where(own)).first() is not None


def listed(connection: Connection, row: Row, after: str | None, limit: int) -> Page[Member]:
    """By name."""
    query = (
        sa.select(members, people.c.uid, people.c.name, people.c.name_key)
        .join(people, people.c.id == members.c.person_id)
        .where(members.c.list_id == row["id"])
        .order_by(people.c.name_key)
        .limit(check_limit(limit))
    )
    if after is not None:
        query = query.where(people.c.name_key > MEMBERS.place(row["uid"], after)[0])
    rows: list[Row] = list(connection.execute(query).mappings())
    found = MEMBERS.page(row["uid"], rows, limit, lambda one: (one["name_key"],))
    return Page(
        [
            Member(
                m["uid"],
                m["name"],
                reason_of(connection, m),
                m["added_by"],
                from_us(m["added_at"]),
            )
            for m in found
        ],
        found.next,
    )


def reason_of(connection: Connection, row: Row) -> str:
    """Why somebody is on a list."""
    return sealed.unseal_text(connection, row["reason"], _reason_place(row))


def _reason_place(row: Row) -> bytes:
    """It goes to the kept one of two people who are merged, so that neither is part of it."""
    return place("reason", row["list_id"], row["added_at"])


def _free(connection: Connection, name: str, own_key: int | None) -> str:
    cleaned = rules.path_name(name, "a list's name")
    query = sa.select(watchlists.c.id).where(watchlists.c.name_key == rules.name_key(cleaned))
    taken = connection.execute(query).scalar()
    if taken is not None and taken != own_key:
        raise AlreadyExists(f"there is a watchlist {cleaned!r} already; choose another name")
    return cleaned


def _values(terms: Terms) -> dict[str, Any]:
    told = terms.to_dict()
    del told["expires_at"]
    return {"terms": rules.json_text(told, "terms"), "expires_at": to_us(terms.expires_at)}

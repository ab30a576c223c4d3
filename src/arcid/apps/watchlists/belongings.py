"""What becomes of lists and alerts when people are merged or deleted: a ``Room`` of the gallery."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists import alert_store, store
from arcid.apps.watchlists.tables import alerts, members, watchlists
from arcid.gallery.rooms import Handed, Told
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import from_us
from arcid.gallery.store.keys import chunks
from arcid.gallery.store.telling import plain
from arcid.types import instant


def hand_over(connection: Connection, collection: Row, other: Row, keep: Row) -> Handed:
    """Before two people are merged: places on lists and alerts become the kept one's."""
    kept = set(_places(connection, keep))
    places = _places(connection, other)
    theirs = sa.select(alerts.c.uid).where(alerts.c.person_id == other["id"])
    told = list(connection.execute(theirs).scalars())
    connection.execute(members.delete().where(members.c.person_id == other["id"]))
    for key, one in places.items():
        if key not in kept:
            store.place_on(connection, keep, {"list_id": key, **one})
    store.touch(connection, list(places))
    own = alerts.update().where(alerts.c.person_id == other["id"])
    connection.execute(own.values(person_id=keep["id"]))
    uids = sa.select(watchlists.c.id, watchlists.c.uid).where(watchlists.c.id.in_(list(places)))
    named = dict(connection.execute(uids).all())
    return {
        "places": {named[key]: one for key, one in places.items()},
        "both": [named[key] for key in places if key in kept],
        "alerts": told,
    }


def take_back(
    connection: Connection, collection: Row, other: Row, keep: Row, handed: Handed
) -> None:
    """After a merge was undone: places and alerts that were handed over are ``other``'s again."""
    query = sa.select(watchlists.c.uid, watchlists.c.id)
    keys = dict(connection.execute(query).all())
    now = _places(connection, keep)
    for uid, one in handed["places"].items():
        key = keys.get(uid)
        if key is None or key not in now:
            continue  # the list is gone, or they were taken off it meanwhile
        if uid not in handed["both"]:
            own = sa.and_(members.c.list_id == key, members.c.person_id == keep["id"])
            connection.execute(members.delete().where(own))
        store.place_on(connection, other, {"list_id": key, **one})
        store.touch(connection, [key])
    for part in chunks(handed["alerts"]):
        theirs = sa.and_(alerts.c.uid.in_(part), alerts.c.person_id == keep["id"])
        connection.execute(alerts.update().where(theirs).values(person_id=other["id"]))


def seal(connection: Connection) -> int:
    """Seal what was written before the gallery was protected; how much that was."""
    return store.seal(connection) + alert_store.seal(connection)


def erase(connection: Connection, collection: Row, person: Row, *, merged: bool) -> dict[str, int]:
    """Their places on lists and their alerts go with the row they refer to."""
    places = _places(connection, person)
    store.touch(connection, list(places))
    query = sa.select(sa.func.count()).select_from(alerts)
    raised = connection.execute(query.where(alerts.c.person_id == person["id"])).scalar_one()
    return {"places_on_watchlists": len(places), "alerts": int(raised)}


def tell(connection: Connection, collection: Row, person: Row, told: Told) -> None:
    """The lists they are on, and alerts about them."""
    names = dict(connection.execute(sa.select(watchlists.c.id, watchlists.c.name)).all())
    rows = connection.execute(sa.select(members).where(members.c.person_id == person["id"]))
    told.records["places_on_watchlists"] = [
        {"list": names[row["list_id"]], "reason": store.reason_of(connection, row),
         "added_by": row["added_by"], "added_at": instant(from_us(row["added_at"]))}
        for row in rows.mappings().all()
    ]  # fmt: skip
    told.records["alerts"] = plain(connection, alerts, alerts.c.person_id == person["id"])


def _places(connection: Connection, person: Row) -> dict[int, dict[str, Any]]:
    """What stands of a person on each list, by its key."""
    query = sa.select(members).where(members.c.person_id == person["id"])
    names = ("reason", "added_by", "added_at")
    rows = connection.execute(query).mappings()
    return {row["list_id"]: {name: row[name] for name in names} for row in rows}

"""Pairs of people, read: the most probable first."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import apart
from arcid.apps.duplicates.records import PAIR_STATES, Pair, Side
from arcid.apps.duplicates.runs import row_of as run_of
from arcid.apps.duplicates.tables import pairs, runs
from arcid.errors import CursorInvalid, InputError, NotFound
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, collections, faces, people
from arcid.gallery.store.journal import from_us
from arcid.gallery.store.keys import chunks

PAIRS = Order("duplicate_pairs", (str, int))  # cosine as text that sorts as it does, key


def page(
    connection: Connection,
    collection: Row,
    states: Sequence[str] | None,
    run_id: str | None,
    limit: int | None,
    after: str | None,
) -> Page[Pair]:
    """Most probable first. Raises ``InputError`` for states that are none."""
    if states is not None and not set(states) <= set(PAIR_STATES):
        raise InputError(f"a pair's state is one of {', '.join(PAIR_STATES)}")
    query = sa.select(pairs).where(pairs.c.collection_id == collection["id"])
    if states is not None:
        query = query.where(pairs.c.state.in_(sorted(states)))
    if run_id is not None:
        query = query.where(pairs.c.run_id == run_of(connection, collection, run_id)["id"])
    if after is not None:
        cosine, key = PAIRS.place(collection["uid"], after)
        place = (_cosine(cosine), -int(key))
        query = query.where(sa.tuple_(pairs.c.cosine, -pairs.c.id) < sa.tuple_(*place))
    query = query.order_by(pairs.c.cosine.desc(), pairs.c.id).limit(check_limit(limit))
    rows: list[Row] = list(connection.execute(query).mappings())
    found = PAIRS.page(
        collection["uid"], rows, limit, lambda row: (float(row["cosine"]).hex(), row["id"])
    )
    return Page(records(connection, found), found.next)


def find(connection: Connection, collection: Row, pair_id: str) -> Row:
    """Raises ``NotFound``."""
    query = sa.select(pairs).where(
        pairs.c.collection_id == collection["id"], pairs.c.uid == str(pair_id)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(
            "there is no pair with that id: the two were merged, one was deleted, or a newer run "
            "did not find them any more"
        )
    return row


def count(connection: Connection, collection: Row, state: str) -> int:
    """How many pairs of a collection are in a state."""
    query = sa.select(sa.func.count()).where(
        pairs.c.collection_id == collection["id"], pairs.c.state == state
    )
    return int(connection.execute(query).scalar_one())


def records(connection: Connection, rows: Sequence[Row]) -> list[Pair]:
    """Pairs as they are handed out, in the order of ``rows``."""
    couples = [(row["a_id"], row["b_id"]) for row in rows]
    own = _people(connection, [key for couple in couples for key in couple])
    _, twice = apart.photos(connection, couples)
    said = apart.standing(connection, [row.uid for row in own.values()])
    names: dict[int, str] = {}
    for part in chunks(sorted({row["run_id"] for row in rows})):
        found = connection.execute(sa.select(runs.c.id, runs.c.uid).where(runs.c.id.in_(part)))
        names |= dict(found.all())
    made = []
    for row in rows:
        a, b = own[row["a_id"]], own[row["b_id"]]
        first, second = sorted((a.uid, b.uid))
        answer = said.get((first, second))
        made.append(
            Pair(
                row["uid"], names[row["run_id"]],
                Side(a.uid, a.name, a.collection, row["a_face_uid"], a.faces),
                Side(b.uid, b.name, b.collection, row["b_face_uid"], b.faces),
                row["cosine"], row["probability"], row["fmr"], row["templates"], row["state"],
                (row["a_id"], row["b_id"]) in twice, from_us(row["found_at"]),
                answer["uid"] if answer is not None and row["state"] == answer["verdict"] else None,
            )
        )  # fmt: skip
    return made


def _people(connection: Connection, keys: Sequence[int]) -> dict[int, sa.Row[tuple[object, ...]]]:
    count = (
        sa.select(sa.func.count())
        .select_from(faces)
        .where(faces.c.person_id == people.c.id)
        .scalar_subquery()
        .label("faces")
    )
    found: dict[int, sa.Row[tuple[object, ...]]] = {}
    for part in chunks(sorted(set(keys))):
        query = (
            sa.select(
                people.c.id, people.c.uid, people.c.name, collections.c.name.label("collection"),
                count,
            )
            .join(collections, collections.c.id == people.c.collection_id)
            .where(people.c.id.in_(part))
        )  # fmt: skip
        found |= {row.id: row for row in connection.execute(query)}
    return found


def _cosine(text: str) -> float:
    try:
        return float.fromhex(text)
    except (ValueError, OverflowError):
        raise CursorInvalid(
            "this is no cursor of this list of pairs; hand in `next` of the page before, or leave "
            "it out to start over"
        ) from None

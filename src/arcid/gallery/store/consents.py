"""Consents of people, inside an open transaction: recorded, required, withdrawn.

A consent stands while it is not withdrawn and none of the person's was withdrawn since it was
recorded: of two entries of one person that are merged, the last word counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import ConsentMissing, InputError
from arcid.gallery import rules
from arcid.gallery.records import Consent, NewConsent
from arcid.gallery.schema import Row, consents, people
from arcid.gallery.store import audit, policies
from arcid.gallery.store.journal import from_us, now_us, to_us

MAX_TEXT, MAX_EVIDENCE = 200, 1000  # characters
_later = consents.alias()
_withdrawn = (
    sa.select(sa.func.coalesce(sa.func.max(_later.c.withdrawn_at), -1))
    .where(_later.c.person_id == consents.c.person_id)
    .scalar_subquery()
)
#: Of a row of ``consents``.
STANDS = sa.and_(consents.c.withdrawn_at.is_(None), consents.c.recorded_at > _withdrawn)
#: Of a row of ``people``.
AGREED = sa.exists().where(consents.c.person_id == people.c.id, STANDS)


def require(connection: Connection, collection: Row, person: Row) -> None:
    """Raise ``ConsentMissing`` unless the person agreed, or nobody has to."""
    if not policies.find(connection, collection).consent or standing(connection, person):
        return
    raise ConsentMissing(
        f"collection {collection['name']!r} takes faces of people who agreed, and no consent of "
        "this person stands; nothing was stored. Record it with the enrolment: the version of "
        "the text they agreed to, and where that can be seen",
        collection=collection["name"],
    )


def settle(connection: Connection, collection: Row, person: Row, given: NewConsent | None) -> None:
    """Record what was ``given``, unless one of that text stands; then ``require``."""
    if given is not None and given.text not in {
        row["text"] for row in standing(connection, person)
    }:
        record(connection, collection, person, given)
    require(connection, collection, person)


def record(connection: Connection, collection: Row, person: Row, given: NewConsent) -> Row:
    """The new row, told to the audit. Raises ``InputError``."""
    now = now_us()
    at = now if given.at is None else to_us(given.at)
    if at > now:
        raise InputError("a consent was given before it is recorded: its time lies in the future")
    row = {
        "uid": uuid.uuid4().hex,
        "person_id": person["id"],
        "what": _text("what", given.what, 0, policies.MAX_TEXT)
        or policies.find(connection, collection).purpose,
        "text": _text("the version of the text", given.text, 1, MAX_TEXT),
        "given_by": _text("by", given.by, 1, MAX_TEXT),
        "evidence": _text("evidence", given.evidence, 0, MAX_EVIDENCE),
        "given_at": at,
        "recorded_at": now,
        "recorded_by": audit.actor_now(),
    }
    connection.execute(consents.insert().values(row))
    audit.append(
        connection, verb="consent.record", subject=f"person:{person['uid']}",
        collection=collection["uid"], details={"consent": row["uid"], "text": row["text"]},
    )  # fmt: skip
    return row | {"withdrawn_at": None, "withdrawn_by": None}


def withdraw(connection: Connection, person: Row) -> int:
    """End what stands of a person's; how many that were."""
    mine = sa.and_(consents.c.person_id == person["id"], consents.c.withdrawn_at.is_(None))
    by = {"withdrawn_at": now_us(), "withdrawn_by": audit.actor_now()}
    return connection.execute(consents.update().where(mine).values(by)).rowcount


def standing(connection: Connection, person: Row) -> Sequence[Row]:
    query = sa.select(consents).where(consents.c.person_id == person["id"], STANDS)
    return connection.execute(query).mappings().all()


def of_person(connection: Connection, person: Row) -> list[Consent]:
    """Newest first."""
    query = sa.select(consents).where(consents.c.person_id == person["id"])
    rows = connection.execute(query.order_by(consents.c.id.desc())).mappings()
    return [read(row, person) for row in rows]


def read(row: Row, person: Row) -> Consent:
    return Consent(
        row["uid"],
        person["uid"],
        row["what"],
        row["text"],
        row["given_by"],
        row["evidence"],
        from_us(row["given_at"]),
        from_us(row["recorded_at"]),
        row["recorded_by"],
        None if row["withdrawn_at"] is None else from_us(row["withdrawn_at"]),
        row["withdrawn_by"],
    )


def _text(what: str, value: Any, least: int, most: int) -> str:
    return rules.plain_text(what, value.strip() if isinstance(value, str) else value, least, most)

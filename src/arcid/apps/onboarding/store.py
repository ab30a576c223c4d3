"""Rows of sessions, inside an open transaction."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.onboarding import kept as kept_pictures
from arcid.apps.onboarding.records import (
    ROLES,
    WAITING,
    Answer,
    Check,
    Consent,
    Rules,
    Session,
)
from arcid.apps.onboarding.tables import answers, pictures, sessions
from arcid.errors import OnboardingNotFound
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import Row, collections
from arcid.gallery.store import audit, sealed
from arcid.gallery.store.journal import from_us, now_us
from arcid.gallery.store.keys import chunks
from arcid.vault import place

CASES = Order("onboarding cases", (int,))
#: What is personal in a session's row, and what it is when it is erased.
ERASED = {"name": "", "birth_date": None, "zone": None, "checks": "[]", "consent": None}


def token_hash(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(
    connection: Connection, collection: Row, token: str, reference: str, rules: Rules, now: int
) -> Row:
    values = {
        "uid": uuid.uuid4().hex,
        "collection_id": collection["id"],
        "token_hash": token_hash(token),
        "state": "started",
        "reference": reference,
        "created_at": now,
        "expires_at": now + int(rules.hours * 3_600_000_000),
        "keep_until": now + int(rules.keep_days * 86_400_000_000),
        "tries": 0,
        "rules": json.dumps(rules.to_dict()),
        "name": "",
        "checks": "[]",
    }
    connection.execute(sessions.insert().values(values))
    return find(connection, str(values["uid"]))


def find(connection: Connection, session_id: str) -> Row:
    """Raises ``OnboardingNotFound``."""
    return _one(connection, sessions.c.uid == str(session_id), "id")


def by_token(connection: Connection, token: str) -> Row:
    """Raises ``OnboardingNotFound``."""
    return _one(connection, sessions.c.token_hash == token_hash(token), "link")


def collection_of(connection: Connection, row: Row) -> Row:
    """The collection a session belongs to."""
    query = sa.select(collections).where(collections.c.id == row["collection_id"])
    return connection.execute(query).mappings().one()


def page(
    connection: Connection,
    collection: Row,
    states: Sequence[str],
    limit: int | None,
    after: str | None,
    *,
    oldest_first: bool = False,
) -> Page[Session]:
    """Newest first, else ``after`` is not read. Whoever waited too long reads as expired."""
    query = sa.select(sessions).where(sessions.c.collection_id == collection["id"])
    if states:
        query = query.where(sessions.c.state.in_(_stored(states)))
    if after is not None:
        query = query.where(sessions.c.id < CASES.place(collection["uid"], after)[0])
    order = sessions.c.id if oldest_first else sessions.c.id.desc()
    query = query.order_by(order).limit(check_limit(limit))
    rows: list[Row] = list(connection.execute(query).mappings())
    found = CASES.page(collection["uid"], rows, limit, lambda row: (row["id"],))
    read = records(connection, collection, found)
    return Page([one for one in read if not states or one.state in states], found.next)


def waiting(connection: Connection, collection: Row) -> int:
    """Cases that wait for a human."""
    return int(
        connection.execute(
            sa.select(sa.func.count())
            .select_from(sessions)
            .where(sessions.c.collection_id == collection["id"], sessions.c.state == "review")
        ).scalar_one()
    )


def note(
    connection: Connection, row: Row, verb: str, by: str | None = None, **details: Any
) -> None:
    """A row of the audit. ``by``: who, KIND:ID; None: whoever acts now."""
    audit.append(
        connection,
        verb=f"onboarding.{verb}",
        subject=f"onboarding:{row['uid']}",
        actor=by,
        collection=collection_of(connection, row)["uid"],
        details=details,
    )


def update(connection: Connection, row: Row, **values: Any) -> Row:
    connection.execute(sessions.update().where(sessions.c.id == row["id"]).values(values))
    return find(connection, row["uid"])


def records(connection: Connection, collection: Row, rows: Iterable[Row]) -> list[Session]:
    rows = list(rows)
    keys = [row["id"] for row in rows]
    said: dict[int, list[Answer]] = {}
    query = sa.select(answers).where(answers.c.onboarding_id.in_(keys)).order_by(answers.c.id)
    for answer in connection.execute(query).mappings():
        said.setdefault(answer["onboarding_id"], []).append(
            Answer(
                answer["uid"], answer["outcome"], answer["actor"],
                sealed.unseal_text(connection, answer["note"], _note_place(answer["uid"])),
                from_us(answer["at"]), _time(answer["undone_at"]), answer["undone_by"],
            )
        )  # fmt: skip
    kept: dict[int, set[str]] = {}
    query = sa.select(pictures.c.onboarding_id, pictures.c.role).where(
        pictures.c.onboarding_id.in_(keys), pictures.c.picture.is_not(None)
    )
    for key, role in connection.execute(query):
        kept.setdefault(key, set()).add(role)
    return [
        _record(collection, row, tuple(said.get(row["id"], ())), kept.get(row["id"], set()))
        for row in rows
    ]


def answer(connection: Connection, row: Row, outcome: str, actor: str, note: str, now: int) -> str:
    """A decision more; its id."""
    uid = uuid.uuid4().hex
    key_id = sealed.new_key(connection, collection_of(connection, row)) if note else None
    note = sealed.seal_text(connection, key_id, note, _note_place(uid))
    connection.execute(
        answers.insert().values(
            uid=uid, onboarding_id=row["id"], outcome=outcome, actor=actor, note=note, at=now
        )
    )
    return uid


def standing(connection: Connection, row: Row) -> list[Row]:
    """Decisions that were not undone, oldest first."""
    query = (
        sa.select(answers)
        .where(answers.c.onboarding_id == row["id"], answers.c.undone_at.is_(None))
        .order_by(answers.c.id)
    )
    return list(connection.execute(query).mappings())


def undo(connection: Connection, answer_row: Row, actor: str, now: int) -> None:
    connection.execute(
        answers.update()
        .where(answers.c.id == answer_row["id"])
        .values(undone_at=now, undone_by=actor)
    )


def delete(connection: Connection, condition: Any) -> int:
    """Erase sessions with everything of them; how many."""
    chosen = sa.select(sessions.c.id).where(condition)
    kept_pictures.delete_of(connection, chosen)
    notes = sa.select(answers.c.note).where(answers.c.onboarding_id.in_(chosen))
    sealed.doom(connection, sealed.keys_of(connection.execute(notes).scalars()))
    return connection.execute(sessions.delete().where(condition)).rowcount


def forget(connection: Connection, keys: Sequence[int]) -> None:
    """Erase the sessions whose notes these data keys sealed: such go with their session only."""
    query = sa.select(answers.c.onboarding_id, answers.c.note).where(answers.c.note != "")
    gone = set(keys)
    theirs = {one for one, note in connection.execute(query) if gone & set(sealed.keys_of([note]))}
    for part in chunks(sorted(theirs)):
        delete(connection, sessions.c.id.in_(part))


def seal(connection: Connection) -> int:
    """Seal the notes written before the gallery was protected; how many."""
    query = (
        sa.select(answers.c.id, answers.c.uid, answers.c.note, sessions.c.collection_id)
        .join(sessions, sessions.c.id == answers.c.onboarding_id)
        .where(sealed.clear_text(answers.c.note))
    )
    rows = connection.execute(query).mappings().all()
    for row in rows:
        key_id = sealed.new_key(connection, collection_of(connection, row))
        note = sealed.seal_text(connection, key_id, row["note"], _note_place(row["uid"]))
        connection.execute(answers.update().where(answers.c.id == row["id"]).values(note=note))
    return len(rows)


def _note_place(uid: str) -> bytes:
    return place("onboarding-note", uid)


def _one(connection: Connection, condition: Any, what: str) -> Row:
    row = connection.execute(sa.select(sessions).where(condition)).mappings().first()
    if row is None or row["keep_until"] <= now_us():
        raise OnboardingNotFound(
            f"there is no onboarding session with this {what}; it may have been forgotten, or the "
            f"{what} is incomplete"
        )
    return row


def _stored(states: Sequence[str]) -> set[str]:
    return set(states) | (set(WAITING) if "expired" in states else set())


def _record(collection: Row, row: Row, said: tuple[Answer, ...], kept: set[str]) -> Session:
    late = row["state"] in WAITING and row["expires_at"] <= now_us()
    rules = Rules.of(json.loads(row["rules"]))
    consent = None if row["consent"] is None else json.loads(row["consent"])
    return Session(
        id=row["uid"],
        collection=collection["name"],
        state="expired" if late else row["state"],
        reference=row["reference"],
        created_at=from_us(row["created_at"]),
        expires_at=from_us(row["expires_at"]),
        keep_until=from_us(row["keep_until"]),
        ended_at=_time(row["ended_at"]),
        tries_left=max(0, rules.tries - row["tries"]),
        rules=rules,
        consent=None
        if consent is None
        else Consent(
            consent["version"], consent["text_sha256"], datetime.fromisoformat(consent["at"])
        ),
        name=row["name"],
        birth_date=None if row["birth_date"] is None else date.fromisoformat(row["birth_date"]),
        zone=None if row["zone"] is None else json.loads(row["zone"]),
        checks=tuple(Check(**check) for check in json.loads(row["checks"])),
        answers=said,
        person_id=row["person_uid"],
        pictures=tuple(role for role in ROLES if role in kept),
    )


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else from_us(microseconds)

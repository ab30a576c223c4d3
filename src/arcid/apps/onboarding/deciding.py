"""A decision written down: state, who is enrolled or not any more, what is kept, and the event."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
from sqlalchemy.engine import Connection

from arcid.apps.onboarding import kept, store
from arcid.apps.onboarding.records import MACHINE, Outcome, Rules, Session
from arcid.errors import OnboardingClosed
from arcid.events import Place
from arcid.events.store import decided
from arcid.events.store.log import Log
from arcid.gallery import NewConsent, NewFace
from arcid.gallery.imaging import decode_crop
from arcid.gallery.schema import Row
from arcid.gallery.store import consents
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import Journal
from arcid.types import Embeddings

PLACE = Place("", "Onboarding")


def read(connection: Connection, row: Row) -> Session:
    """A row as it is handed out."""
    return store.records(connection, store.collection_of(connection, row), [row])[0]


def conclude(
    journal: Journal,
    log: Log,
    row: Row,
    outcome: Outcome,
    actor: str,
    note: str,
) -> Row:
    """Write a decision: state, enrolment, what is kept, and the event. Raises as ``settle``."""
    connection, own = journal.connection, log.collection
    rules = Rules.of(json.loads(row["rules"]))
    answer = store.answer(connection, row, outcome, actor, note, journal.now)
    row = settle(journal, own, row, outcome)
    if outcome != "review" and not rules.keep_pictures:
        kept.drop(connection, row)
    row = store.update(connection, row, state=outcome, ended_at=row["ended_at"] or journal.now)
    by = f"service:{MACHINE}" if actor == MACHINE else None
    store.note(connection, row, "decide", by, outcome=outcome)
    tell(log, row, answer, actor)
    return row


def settle(journal: Journal, own: Row, row: Row, outcome: Outcome) -> Row:
    """Who is enrolled once that is how a session stands, as its rules say.

    Raises ``OnboardingClosed`` where somebody is to be enrolled of whom no selfie is kept.
    """
    if outcome != "accepted":
        return _leave(journal, own, row)
    return _enrol(journal, own, row) if Rules.of(json.loads(row["rules"])).enrol else row


def tell(log: Log, row: Row, what: str, actor: str) -> None:
    """The event of a decision, for whom ``log`` tells: ids and codes, no names."""
    checks = json.loads(row["checks"])
    reasons = [check["code"] for check in checks if check["effect"] in ("review", "reject")]
    decided.write(
        log,
        "onboarding",
        (row["uid"], what),
        PLACE,
        datetime.now(UTC),
        grounds={
            "reason": ", ".join(reasons) or row["state"],
            "details": {
                "session": row["uid"],
                "reference": row["reference"],
                "outcome": row["state"],
                "reasons": reasons,
            },
        },
        person_id=row["person_uid"],
        actor=None if actor == MACHINE else actor,
    )


def empty(connection: Connection, row: Row, state: str, now: int) -> Row:
    """Erase what is personal of a session; that it was is left, until its days are over."""
    kept.delete(connection, row)
    return store.update(connection, row, state=state, ended_at=now, **store.ERASED)


def _enrol(journal: Journal, own: Row, row: Row) -> Row:
    """The selfie under the applicant's name, or under one that tells two of that name apart."""
    if row["person_uid"] is not None:
        return row
    found = kept.picture(journal.connection, row, "selfie")
    if found is None or found["vector"] is None:
        raise OnboardingClosed(
            "no selfie of this session is kept, so nobody can be enrolled by it; begin another",
            state=row["state"],
        )
    vector = np.frombuffer(found["vector"], "<f4")[None].astype(np.float32)
    name = row["name"]
    if _people.by_name(journal.connection, own, name) is not None:
        name = f"{name} ({row['uid'][:6]})"
    person = _people.add(journal, own, name, {"onboarding": row["uid"]})
    agreed = json.loads(row["consent"])
    given = NewConsent(
        agreed["version"], f"identity check {row['uid']}", at=datetime.fromisoformat(agreed["at"])
    )
    consents.record(journal.connection, own, person, given)
    face = NewFace(
        Embeddings(vector, found["contract"]),
        photo_id=found["sha256"],
        crop=decode_crop(bytes(found["crop"])) if own["keep_crops"] else None,
        source="onboarding",
    )
    (key,) = _faces.add(journal, own, person, [face])
    (stored,) = _faces.stored(journal.connection, own, [key])
    return store.update(journal.connection, row, person_uid=person["uid"], face_uid=stored.id)


def _leave(journal: Journal, own: Row, row: Row) -> Row:
    """Who was enrolled by this session is not any more; a person who has other faces stays."""
    if row["person_uid"] is None:
        return row
    person = _people.find(journal.connection, own, row["person_uid"])
    mine = [
        face
        for face in _faces.of_person(journal.connection, own, person)
        if face["uid"] == row["face_uid"]
    ]
    row = store.update(journal.connection, row, person_uid=None, face_uid=None)
    _faces.delete(journal, own, mine)
    if not _faces.of_person(journal.connection, own, person):
        _people.delete(journal, own, person)
    return row

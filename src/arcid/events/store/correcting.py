"""A correction with all that hangs on it, inside the caller's transaction.

Whoever corrects or undoes goes through here: the row is written, and the stay, the departure, the
blocked face and the review are made to agree with how the event then reads.
"""

from __future__ import annotations

import sqlalchemy as sa

from arcid.errors import InputError
from arcid.events.records import Action
from arcid.events.store import corrections, reviews, traces
from arcid.events.store import events as _events
from arcid.events.store.log import Log
from arcid.events.store.readings import corrected
from arcid.gallery.schema import Row, people
from arcid.gallery.store.audit import actor_now

MAX_REMARK = 1000  # characters
TYPED = ("key", "local", "os")  # credentials whose holders type the name of who acts


def remark(what: str, value: str) -> str:
    """Who makes a change (``actor``; blank where a credential says so), or why (``note``)."""
    if not isinstance(value, str) or len(value) > MAX_REMARK or "\0" in value or "\1" in value:
        raise InputError(f"{what} must be text of at most {MAX_REMARK} characters")
    if what == "actor" and not value.strip() and not _typed(actor_now()):
        raise InputError("say who makes the change: actor")
    return value


def signed(actor: str, credential: str | None = None) -> str:
    """Who made a change, as a row tells it: a console account by its name; a caller of REST or the
    command line by what let them in, behind what they typed, as ``Ada (key:1f8e22aa)``, which is
    a remark and may be left out.

    ``credential``: by default ``actor_now``.
    """
    by = actor_now() if credential is None else credential
    who = remark("actor", actor) if credential is None else actor
    if not _typed(by):
        return who
    return f"{who} ({by})" if who.strip() else by


def _typed(credential: str) -> bool:
    return credential.partition(":")[0] in TYPED


def correct(
    log: Log,
    about: Row,
    action: Action,
    actor: str,
    note: str,
    *,
    person_uid: str | None = None,
    at: int | None = None,
    block: bool = False,
) -> tuple[Row, bool]:
    """The new row, and whether the face is now kept from somebody; see ``Events.correct``."""
    if about["kind"] == "correction" and action != "void":
        raise InputError("a correction can only be undone: action void")
    blocked = False
    if action == "not_person":
        now = corrected(log, [about])[0]
        whom = person_uid or now.person_id
        if whom is None and now.kind != "review":
            raise InputError("this event names nobody, so there is no match to remove")
        person_uid = whom if about["kind"] == "review" else None
        asked = reviews.asked(log, [about["id"]]).get(about["id"], [])
        whole = [whom] if whom is not None else [row["uid"] for row in asked]
        for uid in whole if block else ():
            person = existing(log, uid)
            if person is not None:
                blocked |= traces.block(log, person, about, actor)
    row = corrections.correct(log, about, action, actor, note, person_uid=person_uid, at=at)
    if row is None:
        raise InputError("this correction was written before")
    follow(log, about, actor)
    return row, blocked


def follow(log: Log, about: Row, actor: str) -> None:
    """What hangs on an event is made to agree with how it reads after a correction."""
    while about["kind"] == "correction":
        about = _events.find(log, about["about_uid"])
    uid = about["uid"]
    left = corrections.standing(log, [uid]).get(uid, [])
    removed = [row for row in left if row["action"] == "not_person"]
    if not removed:
        traces.unblock(log, about)
    elif all(row["person_uid"] is not None for row in removed):
        traces.unblock(log, about, [row["person_uid"] for row in removed])
    reviews.follow(log, about, left)
    if about["kind"] == "arrival" and about["person_uid"] is None:
        return
    if about["kind"] not in ("arrival", "unknown", "review"):
        return
    now = corrected(log, [about])[0]
    whose = None if now.voided or now.kind != "arrival" else now.person_id
    if whose is not None and existing(log, whose) is None:
        whose = None
    given = _events.corrections(log, [uid]).get(uid, [])
    named = [row["person_uid"] for row in given if row["person_uid"] is not None]
    corrections.follow(log, about, whose, named, actor)


def existing(log: Log, person_uid: str) -> Row | None:
    """The row of a person who was not deleted."""
    query = sa.select(people).where(
        people.c.collection_id == log.collection["id"], people.c.uid == person_uid
    )
    return log.execute(query).mappings().first()

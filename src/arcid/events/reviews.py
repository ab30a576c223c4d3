"""The review queue. Doubtful cases wait here for a human.

Every review hangs on an event, by whose id it goes. Answers are corrections of that event, so they
are rows in its history, reach webhooks like any other, and are taken back by a further row. A
correction made elsewhere answers a review as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from arcid.errors import EventNotFound, InputError, ReviewAnswered
from arcid.events.review_records import STATES, VERDICTS, Candidate, Review, Verdict
from arcid.events.store import correcting as _correcting
from arcid.events.store import corrections as _corrections
from arcid.events.store import events as _events
from arcid.events.store import reviews as _reviews
from arcid.events.store import traces as _traces
from arcid.events.store.correcting import remark, signed
from arcid.events.store.log import Log, noted, reading, writing
from arcid.events.store.readings import corrected, names_of
from arcid.events.tables import events
from arcid.gallery import Gallery
from arcid.gallery.again import again
from arcid.gallery.paging import Page
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store.journal import from_us


class Reviews:
    """Reads and answers reviews. Thread-safe; every answer is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    @again
    def find(
        self,
        collection: str,
        *,
        states: Collection[str] | None = ("open",),
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Review]:
        """Newest first; ``states`` None: all. ``after`` is ``next`` of the page before.

        Raises ``CursorInvalid``, ``InputError``.
        """
        if states is not None and not set(states) <= set(STATES):
            raise InputError(f"a review's state is one of {', '.join(STATES)}")
        with reading(self._database, collection) as log:
            wanted = None if states is None else sorted(states)
            found = _reviews.page(log, wanted, limit, after)
            return Page(_records(log, found), found.next)

    @again
    def get(self, collection: str, review_id: str) -> Review:
        """Raises ``EventNotFound``."""
        with reading(self._database, collection) as log:
            return _records(log, [_find(log, review_id)[1]])[0]

    def waiting(self, collection: str | None = None) -> int:
        """How many are open; without a collection, in all of them."""
        with self._database.read() as connection:
            own = None if collection is None else _collections.find(connection, collection)
            return _reviews.count(connection, own, "open")

    def answer(
        self,
        collection: str,
        review_id: str,
        verdict: Verdict,
        *,
        actor: str,
        person_id: str | None = None,
        note: str = "",
        block: bool = True,
        targets: Sequence[str] = (),
    ) -> Review:
        """The review after an answer; the same answer again changes nothing.

        ``yes``: it is ``person_id``, one of the open candidates; the event is their arrival.
        ``not_person``: it is not ``person_id``; it stays open for the other candidates, and without
        any is an unknown visitor. ``no``: it is nobody known, an unknown visitor. With ``block`` a
        face said not to be somebody is not taken for them again, while it is kept.
        Raises ``ReviewAnswered`` where somebody answered otherwise, ``EventNotFound``,
        ``InputError``.
        """
        if verdict not in VERDICTS:
            raise InputError(f"answer {verdict!r} is unknown; use {', '.join(VERDICTS)}")
        if (verdict == "no") != (person_id is None):
            raise InputError("yes and not_person, and nothing else, say of whom: person_id")
        who, why = signed(actor), remark("note", note)
        with writing(self._database, collection, targets, erases=True) as log:
            event, row = _find(log, review_id)
            (now,) = _records(log, [row])
            refused = {one.person_id for one in now.candidates if one.refused}
            again = (
                now.state == verdict and now.person_id == person_id
                if verdict != "not_person"
                else person_id in refused
            )
            if again:
                return now
            if now.state != "open":
                raise _answered(now, f"this review was settled before: {_words(now)}")
            if person_id is not None and person_id in refused:
                raise _answered(now, "it was said that this is not them", person_id)
            if person_id is not None and person_id not in {c.person_id for c in now.candidates}:
                raise InputError(
                    "this review does not ask about that person; its candidates do, and "
                    "`reassign` gives the event to anybody"
                )
            _correcting.correct(
                log, event, "reassign" if verdict == "yes" else "not_person", who, why,
                person_uid=person_id, block=block,
            )  # fmt: skip
            noted(log, f"review.{verdict}", review_id, person=person_id)
            return _records(log, [_find(log, review_id)[1]])[0]

    def undo(
        self,
        collection: str,
        review_id: str,
        *,
        actor: str,
        answer_id: str | None = None,
        note: str = "",
        targets: Sequence[str] = (),
    ) -> Review:
        """Take the newest answer back: the review, the event and what followed are as before it.

        ``answer_id`` says which answer is meant: one that does not stand any more is left as it
        is, and one that was followed by another is refused with ``ReviewAnswered``. Raises
        ``EventNotFound``, and ``InputError`` where nothing was answered.
        """
        who, why = signed(actor), remark("note", note)
        with writing(self._database, collection, targets, erases=True) as log:
            event, row = _find(log, review_id)
            (now,) = _records(log, [row])
            if answer_id is not None and answer_id != now.answer_id:
                given = _corrections.standing(log, [review_id]).get(review_id, [])
                if any(one["uid"] == answer_id for one in given):
                    raise _answered(now, f"another answer came after this one: {_words(now)}")
                known = _events.corrections(log, [review_id]).get(review_id, [])
                if any(one["uid"] == answer_id for one in known):
                    return now
                raise EventNotFound("this review has no answer with that id")
            if now.answer_id is None:
                raise InputError("nothing was answered, so there is nothing to take back")
            about = _events.find(log, now.answer_id)
            _correcting.correct(log, about, "void", who, why)
            noted(log, "review.undo", review_id, answer=now.answer_id)
            return _records(log, [_find(log, event["uid"])[1]])[0]


def _find(log: Log, review_id: str) -> tuple[Row, Row]:
    """The event and the row of a review."""
    event = _events.find(log, review_id)
    row = _reviews.about(log, event)
    if row is None:
        raise EventNotFound("this event does not wait, and never waited, for a human")
    return event, row


def _records(log: Log, rows: Sequence[Row]) -> list[Review]:
    keys = [row["event_id"] for row in rows]
    about = _by_key(log, keys)
    asked = _reviews.asked(log, keys)
    pictures = _traces.pictured(log, keys)
    read = corrected(log, [about[key] for key in keys])
    answers = _by_uid(log, [row["answer_uid"] for row in rows])
    names = names_of(log, [row["person_uid"] for row in rows])
    found = []
    for row, event in zip(rows, read, strict=True):
        by = answers.get(row["answer_uid"])
        people = tuple(
            Candidate(c["uid"], c["name"], c["cosine"], c["face_uid"], bool(c["refused"]))
            for c in asked.get(row["event_id"], ())
        )
        found.append(
            Review(
                row["kind"], row["state"], event, people, 
                row["target"] if row["target_kind"] == "fmr" else None,
                row["target"] if row["target_kind"] == "fpir" else None,
                row["person_uid"], names.get(row["person_uid"]), row["answer_uid"],
                None if by is None else by["actor"],
                None if by is None else from_us(by["recorded_at"]),
                row["event_id"] in pictures,
            )
        )  # fmt: skip
    return found


def _by_key(log: Log, keys: Sequence[int]) -> dict[int, Row]:
    return {row["id"]: row for row in _events.every(log, events.c.id, keys)}


def _by_uid(log: Log, uids: Sequence[str | None]) -> dict[str | None, Row]:
    wanted = [uid for uid in uids if uid is not None]
    return {row["uid"]: row for row in _events.every(log, events.c.uid, wanted)}


def _answered(now: Review, why: str, person_id: str | None = None) -> ReviewAnswered:
    return ReviewAnswered(
        f"{why}; take that answer back first",
        state=now.state,
        person_id=person_id or now.person_id,
        actor=now.actor,
        answer_id=now.answer_id,
    )


def _words(review: Review) -> str:
    answer = {
        "open": "not them",
        "yes": f"yes, {review.name or 'somebody since deleted'}",
        "no": "nobody known",
        "withdrawn": "the event was taken back",
    }[review.state]
    return f"{answer}, by {review.actor or 'the system'}"

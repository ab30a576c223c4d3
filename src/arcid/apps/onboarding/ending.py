"""How a step of a session ends: counted, decided, to be done again. All of it is written here."""

from __future__ import annotations

import json
from collections.abc import Sequence

from arcid.apps.onboarding import judging, kept, store
from arcid.apps.onboarding.deciding import conclude, read
from arcid.apps.onboarding.kept import Taken
from arcid.apps.onboarding.records import MACHINE, WAITING, Attempt, Check, Rules
from arcid.errors import ArcidError, OnboardingClosed
from arcid.events.store.log import Log
from arcid.gallery import Gallery, NewFace
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import Journal, now_us
from arcid.pipeline import Pipeline


class Endings:
    """Of one service. Thread-safe."""

    def __init__(self, gallery: Gallery, pipeline: Pipeline) -> None:
        self._gallery, self._pipeline = gallery, pipeline

    def look(self, token: str, states: Sequence[str]) -> Row:
        """A session's row, in one of these states. Raises ``OnboardingClosed``."""
        with self._gallery.database.read() as connection:
            return still_open(store.by_token(connection, token), states)

    def conclude(self, row: Row, taken: Taken, checks: Sequence[Check]) -> Attempt:
        """Decide by all that was looked at. Raises ``AlreadyExists``, ``PossibleDuplicate`` where
        somebody was enrolled meanwhile."""
        outcome = judging.outcome(checks)
        new = [NewFace(taken.vector, photo_id=taken.sha256)]
        with self._gallery.database.read() as connection:
            name = store.collection_of(connection, row)["name"]
        rules = Rules.of(json.loads(row["rules"]))
        decide = self._pipeline.duplicate if outcome == "accepted" and rules.enrol else None
        with self._gallery.duplicates.enrolling(name, new, decide, erases=True) as (journal, own):
            for doubt in self._gallery.duplicates.find(journal, own, None, new, decide):
                if doubt is not None:
                    raise doubt
            connection = journal.connection
            row = still_open(store.find(connection, row["uid"]), ("documented",))
            kept.keep(connection, row, taken)
            row = store.update(
                connection, row, tries=row["tries"] + 1,
                checks=json.dumps([check.to_dict() for check in checks]),
            )  # fmt: skip
            row = conclude(journal, self._log(journal, own), row, outcome, MACHINE, "")
            return Attempt(read(connection, row))

    def failed(self, row: Row, error: ArcidError) -> Attempt:
        """As ``count``, of a picture that could not be used."""
        codes = error.details.get("reasons") or [error.code]
        return self.count(row, ",".join(codes), error.message)

    def count(self, row: Row, codes: str, message: str) -> Attempt:
        """One try less; the last one ends the session."""
        with self._gallery.database.write() as connection:
            row = still_open(store.find(connection, row["uid"]), ("consented", "documented"))
            row = store.update(connection, row, tries=row["tries"] + 1)
            session = read(connection, row)
        if session.tries_left == 0:
            return self.used_up(row, codes)
        return Attempt(session, tuple(codes.split(",")), message)

    def used_up(self, row: Row, codes: str) -> Attempt:
        """No try is left: rejected, and a human may see it otherwise."""
        message = "no try was left" + (f"; the last one failed: {codes}" if codes else "")
        check = Check("too_many_tries", "reject", message, {"last": codes})
        with self._gallery.database.read() as connection:
            name = store.collection_of(connection, row)["name"]
        with self._gallery.duplicates.enrolling(name, [], None) as (journal, own):
            row = still_open(
                store.find(journal.connection, row["uid"]), ("consented", "documented")
            )
            row = store.update(journal.connection, row, checks=json.dumps([check.to_dict()]))
            row = conclude(journal, self._log(journal, own), row, "rejected", MACHINE, "")
            return Attempt(read(journal.connection, row), (check.code,), message)

    def again(self, row: Row) -> Attempt:
        """The service's recogniser was changed in between: the document has to be read anew."""
        with self._gallery.database.write() as connection:
            row = still_open(store.find(connection, row["uid"]), ("documented",))
            session = read(connection, store.update(connection, row, state="consented"))
        return Attempt(session, ("contract_changed",), "please take the document once more")

    def _log(self, journal: Journal, own: Row) -> Log:
        return Log(journal.connection, own, (), self._gallery.database.outboxes)


def still_open(row: Row, states: Sequence[str]) -> Row:
    """Raise ``OnboardingClosed`` where this is not the time for a step."""
    state = row["state"]
    if state in WAITING and row["expires_at"] <= now_us():
        state = "expired"
    if state not in states:
        why = {
            "started": "consent comes first",
            "consented": "the document comes first",
            "expired": "the session has expired",
            "withdrawn": "consent was withdrawn",
        }.get(state, "the session has ended")
        raise OnboardingClosed(f"this step cannot be taken: {why}", state=state)
    return row

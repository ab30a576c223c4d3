"""Sessions as whoever runs the service sees them: begun, listed, decided, taken back, forgotten.

cases = Cases(gallery)
session, token = cases.start("members")        the token is told once; its hash is kept
cases.answer(session.id, "accepted", actor="Rita")
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from arcid.apps.onboarding import kept, store
from arcid.apps.onboarding.deciding import conclude, empty, read, settle, tell
from arcid.apps.onboarding.evidence import Signer
from arcid.apps.onboarding.records import (
    DECIDED,
    MACHINE,
    NOT_CHECKED,
    ROLES,
    WAITING,
    Outcome,
    Role,
    Rules,
    Session,
)
from arcid.apps.onboarding.tables import sessions
from arcid.errors import FaceNotFound, InputError, OnboardingClosed, ReviewAnswered
from arcid.events.store.correcting import remark, signed
from arcid.events.store.log import Log
from arcid.gallery import Gallery
from arcid.gallery.again import again
from arcid.gallery.paging import Page
from arcid.gallery.schema import Row
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import disclosures, policies
from arcid.gallery.store.journal import Journal, now_us
from arcid.types import instant

TOKEN_BYTES = 32
Verdict = Literal["accepted", "rejected"]


class Cases:
    """Thread-safe; every method that writes is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def start(
        self, collection: str, *, reference: str = "", rules: Rules | None = None
    ) -> tuple[Session, str]:
        """A new session and the token of its link. ``reference``: the caller's own, no name.

        Raises ``CollectionNotFound``, ``InputError``.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._gallery.database.write() as connection:
            own = _collections.find(connection, collection)
            row = store.add(
                connection, own, token, remark("reference", reference), rules or Rules(), now_us()
            )
            store.note(connection, row, "start")
            return store.records(connection, own, [row])[0], token

    @again
    def get(self, session_id: str) -> Session:
        """Raises ``OnboardingNotFound``."""
        with self._gallery.database.read() as connection:
            return read(connection, store.find(connection, session_id))

    def look(self, session_id: str) -> Session:
        """As ``get``, for somebody who looks at it: that is audited."""
        with self._gallery.database.write() as connection:
            row = store.find(connection, session_id)
            store.note(connection, row, "look")
            return read(connection, row)

    @again
    def find(
        self,
        collection: str,
        *,
        states: Sequence[str] = (),
        limit: int | None = 100,
        after: str | None = None,
    ) -> Page[Session]:
        """Newest first; all states unless some are named. Raises ``CollectionNotFound``."""
        with _collections.reading(self._gallery.database, collection) as (connection, own):
            return store.page(connection, own, states, limit, after)

    def queue(self, collection: str, *, limit: int = 100) -> list[Session]:
        """Cases that wait for a human, those first that have waited longest. Raises
        ``CollectionNotFound``."""
        with _collections.reading(self._gallery.database, collection) as (connection, own):
            return list(store.page(connection, own, ("review",), limit, None, oldest_first=True))

    def waiting(self, collection: str) -> int:
        """How many wait for a human. Raises ``CollectionNotFound``."""
        with _collections.reading(self._gallery.database, collection) as (connection, own):
            return store.waiting(connection, own)

    @again
    def picture(self, session_id: str, role: Role) -> bytes:
        """JPEG of the portrait or the selfie; the look is audited.

        Raises ``FaceNotFound`` where none is kept.
        """
        with self._gallery.database.write() as connection:
            row = store.find(connection, session_id)
            found = kept.picture(connection, row, role)
            if policies.hidden(connection, store.collection_of(connection, row)):
                raise FaceNotFound("pictures of this collection are not for your role")
            if found is None or found["picture"] is None:
                raise FaceNotFound(f"no picture of the {role} is kept of this session")
            store.note(connection, row, "look", role=role)
            return bytes(found["picture"])

    # decisions

    def answer(
        self,
        session_id: str,
        verdict: Verdict,
        *,
        actor: str,
        note: str = "",
    ) -> Session:
        """A person's word, also over what arcid decided by itself. The same again changes nothing.

        Where the session's rules say so, whoever is accepted is enrolled, though somebody like
        them is there: that was looked at. Raises ``OnboardingClosed`` before there is anything to
        decide, and where no selfie is kept to enrol; ``ReviewAnswered`` where another person said
        otherwise.
        """
        if verdict not in ("accepted", "rejected"):
            raise InputError(f"a case is accepted or rejected, not {verdict!r}")
        who, why = signed(actor), remark("note", note)
        with self._deciding(session_id) as (journal, log, row):
            said = store.standing(journal.connection, row)
            last = said[-1] if said else None
            if last is not None and last["actor"] != MACHINE:
                if last["outcome"] == verdict:
                    return read(journal.connection, row)
                raise ReviewAnswered(
                    f"{last['actor']} said {last['outcome']}; take that back first",
                    actor=last["actor"],
                    answer=last["outcome"],
                )
            done = conclude(journal, log, row, verdict, who, why)
            return read(journal.connection, done)

    def undo(self, session_id: str, *, actor: str) -> Session:
        """Take the newest word of a person back: who was enrolled by it is not any more, and who
        was enrolled before it is again.

        Raises ``OnboardingClosed`` where nobody said anything, or no selfie is kept to enrol.
        """
        who = signed(actor)
        with self._deciding(session_id, erases=True) as (journal, log, row):
            said = store.standing(journal.connection, row)
            if not said or said[-1]["actor"] == MACHINE:
                raise OnboardingClosed("nobody decided this case, so nothing can be taken back")
            store.undo(journal.connection, said[-1], who, journal.now)
            before: Outcome = said[-2]["outcome"] if len(said) > 1 else "review"
            settled = settle(journal, log.collection, row, before)
            done = store.update(journal.connection, settled, state=before)
            store.note(journal.connection, done, "undo", outcome=before)
            tell(log, done, f"undo {said[-1]['uid']}", who)
            return read(journal.connection, done)

    @contextmanager
    def _deciding(
        self, session_id: str, *, erases: bool = False
    ) -> Iterator[tuple[Journal, Log, Row]]:
        name = self.get(session_id).collection
        with _collections.writing(self._gallery.database, name, erases=erases) as (journal, own):
            row = store.find(journal.connection, session_id)
            if row["state"] not in DECIDED:
                raise OnboardingClosed(
                    "there is nothing to decide yet: the applicant is not done", state=row["state"]
                )
            yield journal, Log(journal.connection, own, (), self._gallery.database.outboxes), row

    # erasing

    def forget(self, session_id: str) -> None:
        """Erase a session with everything of it; who was enrolled stays."""
        with self._gallery.database.write(erases=True) as connection:
            row = store.find(connection, session_id)
            store.note(connection, row, "forget")
            store.delete(connection, sessions.c.id == row["id"])

    def sweep(self) -> int:
        """Erase what has been kept long enough, and what applicants left unfinished; how many
        sessions were touched."""
        now = now_us()
        late = sessions.c.state.in_(WAITING) & (sessions.c.expires_at <= now)
        over = sessions.c.keep_until <= now
        with self._gallery.database.read() as connection:
            if not connection.execute(sessions.select().where(over | late).limit(1)).first():
                return 0
        with self._gallery.database.write(erases=True) as connection:
            count = store.delete(connection, over)
            for row in connection.execute(sessions.select().where(late)).mappings().all():
                empty(connection, row, "expired", now)
                count += 1
        return count

    # evidence

    def evidence(self, session_id: str, signer: Signer) -> bytes:
        """The signed file of a decided case. Raises ``OnboardingClosed``."""
        with self._gallery.database.write() as connection:
            row = store.find(connection, session_id)
            session = read(connection, row)
            if not session.decided:
                raise OnboardingClosed("evidence is of decided cases", state=session.state)
            store.note(connection, row, "evidence")
            own = store.collection_of(connection, row)["uid"]
            disclosures.note(
                connection, "export", "evidence file", [row["person_uid"]], "identity check",
                collection=own,
            )  # fmt: skip
            found = {role: kept.picture(connection, row, role) for role in ROLES}
        shown: dict[str, Any] = {
            role: {
                "sha256": hashlib.sha256(one["picture"]).hexdigest(),
                "crop_sha256": one["sha256"],
                "contract_id": one["contract"],
                "jpeg": base64.b64encode(one["picture"]).decode(),
            }
            for role, one in found.items()
            if one is not None and one["picture"] is not None
        }
        told = session.to_dict()
        return signer.sign(
            {
                "session": {k: v for k, v in told.items() if k not in ("pictures", "not_checked")},
                "pictures": shown,
                "not_checked": list(NOT_CHECKED),
                "written_at": instant(datetime.now(UTC)),
            }
        )


def sweep(gallery: Gallery) -> int:
    """The task of the service: see ``Cases.sweep``."""
    return Cases(gallery).sweep()

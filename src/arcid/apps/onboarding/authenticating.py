"""Is this living face the person it claims to be? For a login: 1:1, strict, and locked when tried.

    answer = Authenticator(gallery, pipeline, check).authenticate("staff", person_id, photo)

Every try is audited. After ``FREE_FAILURES`` failures in a row nobody is let in as that person for
a while, and twice as long after each further one; a success forgives all of them. Failures are kept
in the database, so that no restart does. A lock can be used to keep somebody out: a login needs
another way in, as it does for whoever has no camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.onboarding.captures import capture_of
from arcid.apps.onboarding.tables import attempts
from arcid.apps.watching.liveness import Liveness
from arcid.errors import LockedOut, ModelNotFound, UsageError
from arcid.gallery import Gallery
from arcid.gallery.schema import Row
from arcid.gallery.store import audit as _audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import people as _people
from arcid.gallery.store.journal import now_us
from arcid.image import ImageSource, load_image
from arcid.pipeline import Pipeline
from arcid.types import Decision

MOST_FMR = 1e-4
FREE_FAILURES = 5
FIRST_LOCK, LONGEST_LOCK = timedelta(minutes=1), timedelta(hours=24)
Why = Literal["", "not_live", "another_face"]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Whether somebody is let in, and on what grounds."""

    accepted: bool
    why: Why
    decision: Decision | None  # None: not a living face, so it was not compared
    liveness: float  # score 0–1
    liveness_threshold: float
    tries_left: int  # before the person is locked

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "accepted": self.accepted,
            "why": self.why,
            "decision": None if self.decision is None else self.decision.to_dict(),
            "liveness": round(self.liveness, 4),
            "liveness_threshold": self.liveness_threshold,
            "tries_left": self.tries_left,
        }


class Authenticator:
    """Thread-safe."""

    def __init__(self, gallery: Gallery, pipeline: Pipeline, liveness: Liveness | None) -> None:
        """``liveness``: without one nobody is let in: a face alone may be a picture of one."""
        self._gallery, self._pipeline, self._liveness = gallery, pipeline, liveness

    def authenticate(
        self, collection: str, person_id: str, photo: ImageSource, *, fmr: float = MOST_FMR
    ) -> Authenticated:
        """A photo taken now, with one face.

        A photo without a usable face raises and counts as no try; ``LockedOut`` is raised before
        the photo is looked at, or where other tries locked the person meanwhile; what was compared
        is not told then. Raises ``PersonNotFound``, ``FaceNotFound``, ``UsageError`` for a
        rate above ``MOST_FMR``, ``RateUnsupported``, ``InputError`` kinds, and ``ModelNotFound``
        where there is no liveness check.
        """
        if not 0 < fmr <= MOST_FMR:
            raise UsageError(f"fmr must be above 0 and at most {MOST_FMR:g}, got {fmr:g}")
        self._pipeline.calibration.threshold_at_fmr(fmr)
        with _collections.reading(self._gallery.database, collection) as (connection, own):
            _failures(connection, _people.find(connection, own, person_id))
        image = load_image(photo)
        if self._liveness is None:
            raise ModelNotFound(
                "authenticating needs the check for pictures of faces: arcid models pull "
                "minifasnet_v2 minifasnet_v1se"
            )
        capture = capture_of(self._pipeline, image)
        face = capture.face
        score = float(self._liveness.scores(image, capture.detections)[0])
        decision: Decision | None = None
        why: Why = "not_live"
        if score >= self._liveness.threshold:
            answer = self._pipeline.verify_person_face(
                face, self._gallery, collection, person_id, fmr=fmr
            )
            decision, why = answer.decision, "" if answer.decision.matched else "another_face"
        left = self._count(collection, person_id, why)
        return Authenticated(not why, why, decision, score, self._liveness.threshold, left)

    @staticmethod
    def unlock(gallery: Gallery, collection: str, person_id: str) -> None:
        """Forgive all failures. Raises ``PersonNotFound``."""
        with _collections.writing(gallery.database, collection) as (journal, own):
            person = _people.find(journal.connection, own, person_id)
            journal.connection.execute(
                attempts.delete().where(attempts.c.person_id == person["id"])
            )
            _audit.note(journal, own, "person.unlock", person)

    def _count(self, collection: str, person_id: str, why: Why) -> int:
        """Write the try down; how many are left. Raises ``LockedOut``."""
        with _collections.writing(self._gallery.database, collection) as (journal, own):
            connection = journal.connection
            person = _people.find(connection, own, person_id)
            before = _failures(connection, person)
            failures = 1 + before if why else 0
            connection.execute(attempts.delete().where(attempts.c.person_id == person["id"]))
            if failures:
                connection.execute(
                    attempts.insert().values(
                        person_id=person["id"], failures=failures, last_at=journal.now,
                        locked_until=journal.now + _lock_us(failures),
                    )
                )  # fmt: skip
            _audit.note(journal, own, "person.authenticate", person, why=why or "accepted")
            return max(0, FREE_FAILURES - failures)


def _lock_us(failures: int) -> int:
    """How long the person is locked after so many failures in a row, in microseconds."""
    over = failures - FREE_FAILURES
    if over < 0:
        return 0
    return int(min(FIRST_LOCK * 2 ** min(over, 20), LONGEST_LOCK).total_seconds() * 1e6)


def _failures(connection: Connection, person: Row) -> int:
    """How many in a row. Raises ``LockedOut``."""
    own = sa.select(attempts).where(attempts.c.person_id == person["id"])
    row = connection.execute(own).mappings().first()
    wait_us = 0 if row is None else row["locked_until"] - now_us()
    if wait_us > 0:
        raise LockedOut(
            f"too many failed tries for this person; wait {wait_us / 6e7:.0f} min, or let "
            "somebody in charge unlock them",
            retry_after_s=max(1, round(wait_us / 1e6)),
        )
    return 0 if row is None else int(row["failures"])


__all__ = ["Authenticated", "Authenticator"]

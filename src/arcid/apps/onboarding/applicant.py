"""A session as the applicant goes through it, known by its token alone: consent, document, face.

    applicant = Applicant(gallery, pipeline, liveness=passive.load())
    applicant.consent(token, Agreed("2026-01", text), name="Ada Example")
    attempt = applicant.document(token, photo)     attempt.problem says what to do again
    attempt = applicant.selfie(token, photo)       or a ``Live`` run, handed to ``finish``

Nothing handed in is looked at, or kept, before consent is recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from arcid.apps.onboarding import kept, mrz, store
from arcid.apps.onboarding.captures import Capture, capture_of, taken_of
from arcid.apps.onboarding.deciding import empty, read
from arcid.apps.onboarding.documents import Portrait, Reader, cut_out
from arcid.apps.onboarding.ending import Endings, still_open
from arcid.apps.onboarding.examining import Examiner
from arcid.apps.onboarding.prints import picture_print
from arcid.apps.onboarding.records import (
    WAITING,
    Agreed,
    Attempt,
    Check,
    Consent,
    Session,
)
from arcid.apps.onboarding.zones import Zones, agreed
from arcid.apps.watching.liveness import Liveness
from arcid.calibration import Calibration
from arcid.errors import (
    AlreadyExists,
    InputError,
    MrzInvalid,
    PossibleDuplicate,
)
from arcid.gallery import Gallery
from arcid.gallery.rules import clean_name
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import now_us
from arcid.image import ImageSource, load_image
from arcid.pipeline import Pipeline
from arcid.types import Image


class Applicant:
    """Thread-safe. Every step raises ``OnboardingNotFound`` and ``OnboardingClosed``."""

    def __init__(
        self,
        gallery: Gallery,
        pipeline: Pipeline,
        *,
        liveness: Liveness | None = None,
        zones: Zones | None = None,
        calibration: Calibration | None = None,
        load: Callable[[Any], Image] = load_image,
    ) -> None:
        """``liveness``: the passive check, None where its models are not installed. ``zones``:
        reads the machine-readable zone in pictures, None where it is typed alone.
        ``calibration``: of documents against selfies; None takes the one in force. ``load``:
        what decodes a picture, as ``load_image``."""
        self._gallery, self._pipeline, self._zones = gallery, pipeline, zones
        self._ends = Endings(gallery, pipeline)
        self._reader, self._load = Reader(pipeline), load
        self._examiner = Examiner(gallery, pipeline, liveness, calibration)

    def session(self, token: str) -> Session:
        """Where it stands: the way back into a session that was left."""
        with self._gallery.database.read() as connection:
            return read(connection, store.by_token(connection, token))

    def consent(
        self, token: str, agreed: Agreed, *, name: str, birth_date: date | None = None
    ) -> Session:
        """Record what was agreed to, when, and who says so. Again: what was said is replaced."""
        who = clean_name(name)
        if birth_date is not None and not date(1900, 1, 1) <= birth_date <= date.today():
            raise InputError("the birth date lies before 1900 or in the future")
        digest = hashlib.sha256(agreed.text.encode()).hexdigest()
        consent = Consent(agreed.version, digest, datetime.now(UTC))
        with self._gallery.database.write() as connection:
            row = still_open(store.by_token(connection, token), WAITING)
            state = "consented" if row["state"] == "started" else row["state"]
            row = store.update(
                connection, row, state=state, consent=json.dumps(consent.to_dict()), name=who,
                birth_date=None if birth_date is None else birth_date.isoformat(),
            )  # fmt: skip
            store.note(connection, row, "consent", _by(row), version=agreed.version)
            return read(connection, row)

    def withdraw(self, token: str) -> Session:
        """Consent taken back before a decision: everything of the applicant is erased at once."""
        with self._gallery.database.write(erases=True) as connection:
            row = still_open(store.by_token(connection, token), WAITING)
            store.note(connection, row, "withdraw", _by(row))
            return read(connection, empty(connection, row, "withdrawn", now_us()))

    def document(
        self,
        token: str,
        photo: ImageSource,
        *,
        back: ImageSource | None = None,
        zone: str = "",
    ) -> Attempt:
        """A photo of the document. Its machine-readable zone is read in it, or in one of its
        ``back``; ``zone`` is what the applicant typed of it.

        Again: the one before is replaced.
        """
        row = self._ends.look(token, ("consented", "documented"))
        try:
            typed = mrz.read(zone) if zone.strip() else None
        except MrzInvalid as error:
            return Attempt(self.session(token), (error.code,), error.message)
        try:
            found = self._reader.read(self._load(photo))
            seen = self._seen(found, None if back is None else self._load(back))
        except InputError as error:
            return self._ends.failed(row, error)
        details: dict[str, object] = {
            "quality": {} if found.face.quality is None else found.face.quality.measured(),
            "outline": found.outline,
            "quarter_turns": found.quarter_turns,
            "ghosts": found.ghosts,
        }
        taken = taken_of("document", found.face, found.picture, details)
        read_zone = agreed(typed, seen)
        with self._gallery.database.write(erases=True) as connection:
            row = still_open(store.find(connection, row["uid"]), ("consented", "documented"))
            kept.keep(connection, row, taken)
            row = store.update(
                connection, row, state="documented", tries=row["tries"] + 1,
                zone=None if read_zone is None else json.dumps(read_zone.to_dict()),
            )  # fmt: skip
            session = read(connection, row)
        if session.tries_left == 0:
            return self._ends.used_up(row, "")
        return Attempt(session)

    def _seen(self, found: Portrait, back: Image | None) -> mrz.Zone | None:
        if self._zones is None:
            return None
        return self._zones.document(found) or (None if back is None else self._zones.turned(back))

    def selfie(self, token: str, photo: ImageSource) -> Attempt:
        """A picture of the applicant's face; where the session asks for a camera, a human decides
        in the end."""
        row = self._ends.look(token, ("documented",))
        try:
            return self.finish(token, self.capture(self._load(photo)))
        except InputError as error:
            return self._ends.failed(row, error)

    def capture(self, image: Image, actions: Sequence[str] = ()) -> Capture:
        """As ``capture_of``."""
        return capture_of(self._pipeline, image, actions)

    def failed(self, token: str, code: str, message: str) -> Attempt:
        """A live run that did not succeed; it counts as a try."""
        return self._ends.count(self._ends.look(token, ("documented",)), code, message)

    def finish(self, token: str, capture: Capture) -> Attempt:
        """Everything is there: look at all of it and decide."""
        row = self._ends.look(token, ("documented",))
        with self._gallery.database.read() as connection:
            document = kept.picture(connection, row, "document")
        if document is None or document["contract"] != self._pipeline.contract_id:
            return self._ends.again(row)
        face = capture.face
        made = picture_print(face.crop)
        checks = self._examiner.checks(row, document, capture, made)
        details: dict[str, object] = {
            "quality": {} if face.quality is None else face.quality.measured()
        }
        picture = cut_out(capture.image, face.box)
        taken = taken_of("selfie", face, picture, details)
        try:
            return self._ends.conclude(row, taken, checks)
        except (AlreadyExists, PossibleDuplicate):  # somebody was enrolled meanwhile
            message = "this face was enrolled while it was being decided"
            return self._ends.conclude(
                row, taken, [*checks, Check("possible_duplicate", "review", message)]
            )


def _by(row: Row) -> str:
    return f"applicant:{row['uid']}"


__all__ = ["Agreed", "Applicant", "Capture", "capture_of"]

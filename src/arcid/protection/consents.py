"""Who agreed to be enrolled, to what, and who takes it back.

consents = Consents(gallery)
consents.record("staff", person_id, NewConsent("2026-03", evidence="form 117"))
consents.withdraw("staff", person_id).outcome     erased, or review: as the policy says
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from arcid.errors import PersonNotFound, StorageFull
from arcid.gallery import Consent, Gallery, NewConsent
from arcid.gallery.store import audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import consents as _consents
from arcid.gallery.store import people as _people
from arcid.gallery.store import policies as _policies


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal led to."""

    person_id: str
    ended: int  # consents that stood
    outcome: Literal["erased", "review"]  # gone, or still found until somebody decides
    receipt: str | None = None  # of the erasure

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Consents:
    """Thread-safe; every method is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._database = gallery.database

    def of(self, collection: str, person_id: str) -> list[Consent]:
        """Newest first. Raises ``PersonNotFound``."""
        with _collections.reading(self._database, collection) as (connection, own):
            return _consents.of_person(connection, _people.find(connection, own, person_id))

    def record(self, collection: str, person_id: str, given: NewConsent) -> Consent:
        """Raises ``PersonNotFound``, ``InputError``."""
        with _collections.writing(self._database, collection) as (log, own):
            person = _people.find(log.connection, own, person_id)
            return _consents.read(_consents.record(log.connection, own, person, given), person)

    def settle(self, collection: str, name: str, given: NewConsent) -> bool:
        """Record what the person of that name agreed to, unless they have one of that text, taken
        back or not; whether it was recorded. Raises ``InputError``."""
        with _collections.reading(self._database, collection) as (connection, own):
            person = _people.by_name(connection, own, name)
            if person is None:
                return False
            known = {consent.text for consent in _consents.of_person(connection, person)}
        if given.text.strip() in known:
            return False
        try:
            self.record(collection, person["uid"], given)
        except PersonNotFound:  # deleted meanwhile
            return False
        return True

    def withdraw(self, collection: str, person_id: str, *, reason: str = "") -> Withdrawal:
        """End what stands, and do what the collection's policy says: ``erase`` deletes the person
        in the same transaction; ``review`` leaves them as they are, found as before, for somebody
        to delete them or to record a new consent. Raises ``PersonNotFound``.
        """
        try:
            return self._withdraw(collection, person_id, reason, erase=True)
        except StorageFull:  # face by face, then
            found = self._withdraw(collection, person_id, reason, erase=False)
            if found.outcome == "erased":
                gone = self._gallery.delete_person(collection, person_id)
                return replace(found, receipt=gone)
            return found

    def _withdraw(self, collection: str, person_id: str, reason: str, *, erase: bool) -> Withdrawal:
        with _collections.writing(self._database, collection, erases=True) as (log, own):
            person = _people.find(log.connection, own, person_id)
            erased = _policies.find(log.connection, own).on_withdrawal == "erase"
            ended = _consents.withdraw(log.connection, person)
            outcome: Literal["erased", "review"] = "erased" if erased else "review"
            audit.append(
                log.connection, verb="consent.withdraw", subject=f"person:{person['uid']}",
                collection=own["uid"], reason=reason, details={"ended": ended, "led_to": outcome},
            )  # fmt: skip
            receipt = None
            if erased and erase:
                receipt = _people.delete(log, own, person, reason="consent was taken back")
            return Withdrawal(person["uid"], ended, outcome, receipt)

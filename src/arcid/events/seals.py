"""Seals over the audit: each day, the end of the chain signed with Ed25519.

    seals = Seals(gallery, paths.home_dir())
    seals.seal()                  for the day before, where that is not done
    seals.all()                   newest first

Whoever may write to the database can write the whole chain anew; without the key they cannot seal
it, so ``Audit.verify`` finds that out up to the newest seal. A day is UTC's. A seal covers all rows
up to its own, those of days before that have none included; that a day has none is said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid import paths, signing
from arcid.errors import EvidenceInvalid
from arcid.gallery import Gallery
from arcid.gallery.schema import Row, audit_seals, gallery
from arcid.types import instant

KIND = signing.Kind("arcid-audit-seal", 1, "seal", 1 << 16)
DUE = timedelta(hours=2)  # after midnight a day should be sealed by then


@dataclass(frozen=True, slots=True)
class Seal:
    """The end of the chain, as it was when a day was sealed."""

    day: date
    row: int  # of the audit
    digest: str  # of that row
    file: str  # signed, for keeping elsewhere

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"day": self.day.isoformat(), "row": self.row, "digest": self.digest}


class Seals:
    """Thread-safe. ``home``: where the signing key is, made where there is none."""

    def __init__(self, gallery: Gallery, home: Path) -> None:
        self._database = gallery.database
        self._home = home

    def seal(self, now: datetime | None = None) -> Seal | None:
        """Seal the day before; None where it is sealed, or nothing was ever written."""
        at = datetime.now(UTC) if now is None else now.astimezone(UTC)
        day = at.date() - timedelta(days=1)
        with self._database.read() as connection:
            if _of(connection, day) is not None:
                return None
        signer = signing.Signer(self._home)
        with self._database.write() as connection:
            head = connection.execute(sa.select(gallery)).mappings().one()
            if head["audit_last"] == 0 or _of(connection, day) is not None:
                return None
            said = {
                "gallery": head["identity"],
                "day": day.isoformat(),
                "row": head["audit_last"],
                "digest": head["audit_digest"],
                "at": instant(at),
            }
            file = signer.sign(KIND, said).decode()
            values = {"day": said["day"], "seq": said["row"], "digest": said["digest"]}
            row = {**values, "signed": file}
            connection.execute(audit_seals.insert().values(row))
            return _record(row)

    def all(self) -> list[Seal]:
        """Newest first."""
        with self._database.read() as connection:
            return every(connection)[::-1]


def sweep(gallery: Gallery) -> object:
    """The service's task: seal the day before."""
    return Seals(gallery, paths.home_dir()).seal()


def every(connection: Connection) -> list[Seal]:
    """By day."""
    rows = connection.execute(sa.select(audit_seals).order_by(audit_seals.c.day)).mappings()
    return [_record(row) for row in rows]


def wrong(
    seal: Seal, identity: str, digest: str | None, fingerprints: Collection[str] | None
) -> str | None:
    """What is wrong with a seal, in words. ``digest``: of its row as it is now; None: it is gone.

    ``fingerprints``: of the keys that may have signed it; None: any.
    """
    try:
        said, signed_by = signing.verify(seal.file.encode(), KIND)
    except EvidenceInvalid as error:
        return f"the seal of {seal.day} is not what was signed: {error.message}"
    own = {"gallery": identity, "day": seal.day.isoformat(), "row": seal.row, "digest": seal.digest}
    if {name: said.get(name) for name in own} != own:
        return f"the seal of {seal.day} was signed for something else"
    if fingerprints is not None and signed_by not in fingerprints:
        return f"the seal of {seal.day} was signed by another key: {signed_by[:16]}…"
    if digest != seal.digest:
        return f"row {seal.row} is not the one that was sealed on {seal.day}: it was written anew"
    return None


def missing(seals: Sequence[Seal], now: datetime) -> list[date]:
    """Days without a seal, from the first that has one to the last that should have."""
    if not seals:
        return []
    last = (now.astimezone(UTC) - DUE).date() - timedelta(days=1)
    sealed = {seal.day for seal in seals}
    first = seals[0].day
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day not in sealed]


def own_keys(home: Path) -> set[str] | None:
    """The fingerprint of the signing key there; None where none was made."""
    if not (home / signing.KEY_NAME).exists():
        return None
    return {signing.Signer(home).fingerprint}


def _of(connection: Connection, day: date) -> Row | None:
    query = sa.select(audit_seals).where(audit_seals.c.day == day.isoformat())
    return connection.execute(query).mappings().first()


def _record(row: Row) -> Seal:
    return Seal(date.fromisoformat(row["day"]), row["seq"], row["digest"], row["signed"])

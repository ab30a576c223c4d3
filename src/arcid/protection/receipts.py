"""Receipts of erasures: what was destroyed, by kind and count, signed with Ed25519; no names.

    receipts = Receipts(gallery, paths.home_dir())
    receipts.find()                    newest first
    receipts.file(receipt_id)          the signed file, for whoever asked to be erased
    verify(data, fingerprint=…)        offline, with the published key

A receipt is written in the transaction that erases and signed when it is first asked for, so that
erasing needs no key. Before that only the audit guards it: its row carries the receipt's sha256,
which is compared before anything is signed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid import signing
from arcid.errors import GalleryDamaged, NotFound
from arcid.gallery import Gallery, Page
from arcid.gallery.paging import Order, check_limit
from arcid.gallery.schema import Row, audit, erasures
from arcid.gallery.store import journal
from arcid.gallery.store.audit import digest as row_digest
from arcid.gallery.store.erasures import digest
from arcid.gallery.store.journal import from_us
from arcid.types import instant

KIND = signing.Kind("arcid-erasure-receipt", 1, "receipt", 1 << 20)
RECEIPTS = Order("receipts", (int,))  # key


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased. ``statement`` is what is signed."""

    id: str
    subject: str  # person:ID or collection:ID
    collection_id: str
    at: datetime  # UTC
    statement: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "subject": self.subject,
            "collection_id": self.collection_id,
            "at": instant(self.at),
            "by": self.statement["by"],
            "reason": self.statement["reason"],
            "destroyed": self.statement["destroyed"],
            "data_keys": self.statement["data_keys"],
            "audit_row": self.statement["audit"]["row"],
        }


class Receipts:
    """Thread-safe. ``home``: where the signing key is, made where there is none."""

    def __init__(self, gallery: Gallery, home: Path) -> None:
        self._database = gallery.database
        self._home = home

    def find(
        self, *, subject: str | None = None, limit: int | None = 100, after: str | None = None
    ) -> Page[Receipt]:
        """Newest first. ``subject``: person:ID or collection:ID. Raises ``CursorInvalid``."""
        query = sa.select(erasures).order_by(erasures.c.id.desc()).limit(check_limit(limit))
        if subject is not None:
            query = query.where(erasures.c.subject == subject)
        with self._database.read() as connection:
            owner = journal.head(connection).identity
            if after is not None:
                (below,) = RECEIPTS.place(owner, after)
                query = query.where(erasures.c.id < below)
            rows = connection.execute(query).mappings().all()
            found = RECEIPTS.page(owner, rows, limit, lambda row: (row["id"],))
        return Page([_record(row) for row in found], found.next)

    def get(self, receipt_id: str) -> Receipt:
        """Raises ``NotFound``."""
        with self._database.read() as connection:
            return _record(_find(connection, receipt_id))

    def file(self, receipt_id: str) -> bytes:
        """The signed file. Raises ``NotFound``, and ``GalleryDamaged`` where the receipt is not
        what the audit says was written."""
        with self._database.read() as connection:
            row = _find(connection, receipt_id)
            if row["signed"] is not None:
                return str(row["signed"]).encode()
            _check(connection, row)
        signer = signing.Signer(self._home)
        made = signer.sign(KIND, json.loads(row["statement"]))
        with self._database.write() as connection:
            own = sa.and_(erasures.c.id == row["id"], erasures.c.signed.is_(None))
            connection.execute(erasures.update().where(own).values(signed=made.decode()))
            return str(_find(connection, receipt_id)["signed"]).encode()


def verify(data: bytes, *, fingerprint: str | None = None) -> tuple[dict[str, Any], str]:
    """What a receipt says, and the fingerprint of the key that signed it; offline.

    Raises ``EvidenceInvalid`` unless every byte is as it was signed, by the key asked for.
    """
    return signing.verify(data, KIND, fingerprint)


def _find(connection: Connection, receipt_id: str) -> Row:
    query = sa.select(erasures).where(erasures.c.uid == receipt_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("there is no receipt of this id; arcid receipts list shows all")
    return row


def _check(connection: Connection, row: Row) -> None:
    seq = json.loads(row["statement"])["audit"]["row"]
    query = sa.select(audit).where(audit.c.seq == seq)
    noted = connection.execute(query).mappings().first()
    told = None if noted is None else json.loads(noted["details"]).get("sha256")
    if noted is None or told != digest(row["statement"]) or row_digest(noted) != noted["digest"]:
        raise GalleryDamaged(
            f"receipt {row['uid']} is not what row {seq} of the audit says was written; it is not "
            "signed. Run arcid audit verify"
        )


def _record(row: Row) -> Receipt:
    return Receipt(
        row["uid"], row["subject"], row["collection_uid"], from_us(row["at"]),
        json.loads(row["statement"]),
    )  # fmt: skip

"""Who was told what about whom, inside the transaction that tells or has told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sqlalchemy.engine import Connection

from arcid.gallery.schema import disclosures
from arcid.gallery.store import audit
from arcid.gallery.store.journal import now_us

Kind = Literal["told", "export", "subject"]


def note(
    connection: Connection,
    kind: Kind,
    recipient: str,
    people: Iterable[str | None],
    what: str,
    *,
    collection: str | None = None,
) -> None:
    """A row a person (uid; None: nobody known). ``kind``: ``told``, to a receiver of events, by its
    name; ``export``, a file for ``actor_now``; ``subject``, all of a person, for themselves."""
    common = {
        "at": now_us(), "kind": kind, "recipient": recipient[:200], "what": what[:200],
        "actor": audit.actor_now(), "collection_uid": collection,
    }  # fmt: skip
    rows = [common | {"person_uid": one} for one in dict.fromkeys(people)]
    if rows:
        connection.execute(disclosures.insert(), rows)

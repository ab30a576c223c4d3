"""Receipts of erasures, inside the transaction that erases: what was destroyed, by kind and count.

A receipt holds no name and outlives what it speaks of. Row ``audit.row`` of the audit carries the
sha256 of its text and follows the digest ``audit.previous``, so that neither can be changed
without the other. Signed when it is first asked for (``arcid.protection.receipts``): erasing needs
no key.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.gallery.schema import (
    Row,
    consents,
    crops,
    embeddings,
    erasures,
    faces,
    gallery,
    merges,
    metadata,
    people,
    receipts,
)
from arcid.gallery.store import audit
from arcid.gallery.store.journal import from_us, now_us
from arcid.types import instant


def of_person(connection: Connection, person: Row) -> dict[str, int]:
    """What the gallery itself holds of a person, by kind."""
    own = sa.select(faces.c.id).where(faces.c.person_id == person["id"])
    counted = {
        "faces": (faces, faces.c.person_id == person["id"]),
        "vectors": (embeddings, embeddings.c.face_id.in_(own)),
        "pictures": (crops, crops.c.face_id.in_(own)),
        "consents": (consents, consents.c.person_id == person["id"]),
        "merges": (merges, merges.c.person_id == person["id"]),
        "answers_to_requests": (receipts, receipts.c.person_id == person["id"]),
    }
    return {"names": 1} | {
        kind: _count(connection, table, condition) for kind, (table, condition) in counted.items()
    }


def of_collection(connection: Connection, collection: Row) -> dict[str, int]:
    """What goes with a collection, by table: its rows, and those of its people and faces."""
    key = collection["id"]
    mine = sa.select(people.c.id).where(people.c.collection_id == key)
    own = sa.select(faces.c.id).where(faces.c.collection_id == key)
    counted = {}
    for table in metadata.sorted_tables:
        if "collection_id" in table.c:
            condition = table.c.collection_id == key
        elif "person_id" in table.c:
            condition = table.c.person_id.in_(mine)
        elif "face_id" in table.c:
            condition = table.c.face_id.in_(own)
        else:
            continue
        counted[table.name] = _count(connection, table, condition)
    return counted


def write(
    connection: Connection,
    collection: Row,
    verb: str,
    subject: Row,
    destroyed: Mapping[str, int],
    *,
    reason: str = "",
    data_keys: Sequence[int] = (),
) -> str:
    """The receipt and its row of the audit; the receipt's id.

    ``verb``: person.delete or collection.delete. ``data_keys``: that sealed what was destroyed, and
    are destroyed with it.
    """
    uid, kind = uuid.uuid4().hex, verb.partition(".")[0]
    last = connection.execute(
        sa.select(gallery.c.identity, gallery.c.audit_last, gallery.c.audit_digest)
    ).one()
    now = now_us()
    counts = {kind: n for kind, n in sorted(destroyed.items()) if n}
    statement = {
        "id": uid,
        "gallery": last.identity,
        "collection": collection["uid"],
        "erased": f"{kind}:{subject['uid']}",
        "at": instant(from_us(now)),
        "by": audit.actor_now(),
        "reason": reason,
        "destroyed": counts,
        "data_keys": list(data_keys),
        "audit": {"row": last.audit_last + 1, "previous": last.audit_digest},
    }
    text = canonical(statement)
    connection.execute(
        erasures.insert().values(
            uid=uid, collection_uid=collection["uid"], subject=statement["erased"], at=now,
            statement=text,
        )
    )  # fmt: skip
    told = {"receipt": uid, "sha256": digest(text)}
    counted = {"faces": counts.get("faces", 0)} if kind == "person" else {}
    audit.append(
        connection, verb=verb, subject=f"{kind}:{subject['uid']}", collection=collection["uid"],
        reason=reason, details=counted | told,
    )  # fmt: skip
    return uid


def canonical(statement: Mapping[str, object]) -> str:
    """Sorted keys, no blanks, ASCII."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"))


def digest(statement: str) -> str:
    """sha256 of a receipt's text, hex."""
    return hashlib.sha256(statement.encode()).hexdigest()


def _count(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return int(
        connection.execute(
            sa.select(sa.func.count()).select_from(table).where(condition)
        ).scalar_one()
    )

"""What applications decide, inside the caller's transaction: alerts, doors, sessions, pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from arcid.errors import InputError
from arcid.events.records import APPS, AppKind, Place
from arcid.events.store import events
from arcid.events.store.correcting import remark
from arcid.events.store.events import evidence, happened
from arcid.events.store.log import Log
from arcid.gallery.schema import Row
from arcid.gallery.store import people
from arcid.types import Embeddings, Image


def write(
    log: Log,
    kind: AppKind,
    key: Sequence[object],
    place: Place,
    at: datetime,
    *,
    grounds: Mapping[str, Any],
    person_id: str | None = None,
    vector: Embeddings | None = None,
    crop: Image | None = None,
    actor: str | None = None,
    note: str = "",
) -> Row | None:
    """The new row, put in the outboxes of ``log``; None where ``key`` was written before.

    As ``Events.write``, of whom ``log`` says which collection. Raises ``PersonNotFound``.
    """
    if kind not in APPS:
        raise InputError(f"applications write {', '.join(APPS)}, not {kind!r}")
    if person_id is not None:
        people.find(log.connection, log.collection, person_id)
    return events.add(
        log,
        events.key(kind, log.collection["uid"], *key),
        {"kind": kind, "at": happened(at), "camera": place.camera, "place": place.name,
         "person_uid": person_id, "actor": None if actor is None else remark("actor", actor),
         "note": remark("note", note)},
        evidence(grounds, vector, crop),
    )  # fmt: skip

"""All that is held of one person, for themselves: one zip of JSON and pictures.

    data = exported(gallery, "staff", person_id)

``person.json`` has the person, faces, consents, and what every room holds (events, stays, lists,
identity checks, …), who looked at them by the audit, and whom it was told by the disclosures. Names
of other people are left out. It is itself noted in both.
"""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import UsageError
from arcid.events import Audit
from arcid.gallery import Gallery, rooms
from arcid.gallery.imaging import encode_crop
from arcid.gallery.schema import Row, contracts, embeddings
from arcid.gallery.store import audit
from arcid.gallery.store import collections as _collections
from arcid.gallery.store import consents as _consents
from arcid.gallery.store import disclosures as _disclosures
from arcid.gallery.store import faces as _faces
from arcid.gallery.store import people as _people
from arcid.gallery.store import policies as _policies
from arcid.gallery.store import vectors as _vectors
from arcid.protection.disclosures import Disclosures
from arcid.types import instant

FORMAT, VERSION = "arcid-person", 1


def exported(gallery: Gallery, collection: str, person_id: str, *, vectors: bool = True) -> bytes:
    """The zip. ``vectors``: with the numbers of their faces. Raises ``PersonNotFound``,
    and ``UsageError`` where pictures are not for who is viewing."""
    with _collections.writing(gallery.database, collection) as (log, own):
        connection = log.connection
        if _policies.hidden(connection, own):
            raise UsageError(
                "pictures of this collection are not for your role, so neither is all of a person"
            )
        person = _people.find(connection, own, person_id)
        told = rooms.tell(connection, own, person)
        faces = _faces.of_person(connection, own, person)
        records: dict[str, Any] = {
            "person": _people.record(connection, own, person).to_dict(),
            "policy": _policies.find(connection, own).to_dict(),
            "consents": [one.to_dict() for one in _consents.of_person(connection, person)],
            "faces": [face.to_dict() for face in _faces.records(connection, faces)],
            **told.records,
        }
        if vectors:
            records["vectors"] = _numbers(connection, own, faces)
        else:
            for one in records.get("event_faces", ()):
                del one["vector"]
        what = f"{len(faces)} faces, all that is held"
        _disclosures.note(
            connection, "subject", "the person", [person["uid"]], what, collection=own["uid"]
        )
        audit.append(
            connection, verb="person.export", subject=f"person:{person['uid']}",
            collection=own["uid"], details={"vectors": vectors},
        )  # fmt: skip
    pictures = dict(told.pictures)
    for face in records["faces"]:
        crop = gallery.face_crop(collection, face["id"])
        if crop is not None:
            pictures[f"face-{face['id']}.png"] = encode_crop(crop)
    subject = f"person:{person['uid']}"
    records["looked_at"] = [
        one.to_dict() for one in Audit(gallery).find(subject=subject, limit=None)
    ]
    records["disclosures"] = [
        one.to_dict() for one in Disclosures(gallery).find(person_id=person["uid"], limit=None)
    ]
    return _zipped(records, pictures)


def _numbers(connection: Connection, own: Row, faces: list[Row]) -> list[dict[str, Any]]:
    """The vectors of their faces, by model."""
    uids = {row["id"]: row["uid"] for row in faces}
    made_by = sa.select(contracts).where(
        contracts.c.id.in_(
            sa.select(embeddings.c.contract_id).where(embeddings.c.face_id.in_(list(uids)))
        )
    )
    found = []
    for model in connection.execute(made_by).mappings().all():
        keys, _, values = _vectors.of_faces(connection, own["id"], model, list(uids))
        found += [
            {"face": uids[int(key)], "contract_id": model["uid"], "vector": value.tolist()}
            for key, value in zip(keys, values, strict=True)
        ]
    return found


def _zipped(records: dict[str, Any], pictures: dict[str, bytes]) -> bytes:
    whole = {"format": FORMAT, "version": VERSION, "written_at": instant(datetime.now(UTC))}
    text = json.dumps(whole | records, indent=1, ensure_ascii=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.json", text)
        for name, data in sorted(pictures.items()):
            archive.writestr(f"pictures/{name}", data)
    return buffer.getvalue()

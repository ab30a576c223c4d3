"""Faces of a collection: indexed, listed, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.engine import Connection

from arcid.apps.enrol import new_face
from arcid.errors import AlreadyExists, FaceNotFound
from arcid.gallery import Gallery, NewFace, Page, StoredFace
from arcid.geometry import box_iou
from arcid.server.compat.adapter import owners
from arcid.server.compat.rekognition import bodies
from arcid.server.compat.rekognition.photos import photo_of
from arcid.server.compat.rekognition.refusals import refusal
from arcid.server.compat.rekognition.telling import (
    PLACE,
    UNASSOCIATED,
    by_size,
    details,
    face_told,
    is_user,
    own_id,
    poor,
    public_id,
)
from arcid.server.deps import Services
from arcid.server.errors import HttpError

SAME_FACE_IOU = 0.5
MAX_NAMED = 180  # characters of an ExternalImageId in a person's name


async def index(running: Services, asked: bodies.IndexFaces) -> dict[str, Any]:
    """Each face as a person of its own, until it is associated with a user."""
    photo = await photo_of(asked.Image)
    await run_in_threadpool(running.gallery.collection, asked.CollectionId)
    (seen,) = await running.faces_in([photo], photo_ids=True)
    told, records, refused = details(seen), [], []
    new: list[NewFace] = []
    for row in [] if seen.detections is None else by_size(seen.detections):
        reasons = poor(seen[row]) if asked.QualityFilter != "NONE" else []
        if len(new) == asked.MaxFaces:
            reasons = ["EXCEEDS_MAX_FACES"]
        if reasons:
            refused.append({"Reasons": reasons, "FaceDetail": told[row]})
            continue
        origin = {**running.pipeline.provenance, PLACE: told[row]["BoundingBox"]}
        new.append(new_face(seen[row], asked.ExternalImageId or "", origin))
        records.append({"FaceDetail": told[row]})
    stored = await running.writes.run(_index, running.gallery, asked.CollectionId, new)
    for record, face in zip(records, stored, strict=True):
        record["Face"] = face
    return {
        "FaceRecords": records,
        "UnindexedFaces": refused,
        "FaceModelVersion": running.contract_id,
    }


async def listed(running: Services, asked: bodies.ListFaces) -> dict[str, Any]:
    page = await run_in_threadpool(_page, running.gallery, asked)

    def told() -> list[dict[str, Any]]:
        return [face_told(*each) for each in owners(running.gallery, asked.CollectionId, page)]

    return {
        "Faces": await run_in_threadpool(told),
        "FaceModelVersion": running.contract_id,
        "NextToken": page.next,
    }


async def delete(running: Services, asked: bodies.DeleteFaces) -> dict[str, Any]:
    """A face of a user is not deleted: it has to be disassociated first."""
    deleted, refused = await running.writes.run(
        _delete, running.gallery, asked.CollectionId, asked.FaceIds
    )
    return {"DeletedFaces": deleted, "UnsuccessfulFaceDeletions": refused}


def found(gallery: Gallery, collection: str, face_id: str) -> StoredFace | None:
    """None where there is no such face. Raises ``CollectionNotFound``."""
    try:
        return gallery.face(collection, own_id(face_id))
    except (FaceNotFound, HttpError):
        return None


def face_of(gallery: Gallery, collection: str, face_id: str) -> StoredFace:
    """Raises ``HttpError``."""
    face = found(gallery, collection, face_id)
    if face is None:
        raise refusal("ResourceNotFoundException", "there is no face of that id")
    return face


def own_name(external: str) -> str:
    """Of the person that a face is until it has a user; no other has it."""
    return f"{external[:MAX_NAMED] or 'face'} {uuid.uuid4().hex[:12]}"


def _index(gallery: Gallery, collection: str, new: Sequence[NewFace]) -> list[dict[str, Any]]:
    """The same face of the same photo again, under the same external id or none, is answered with
    what it was indexed as. Another external id says who else it is: that is another face."""
    told = []
    for face in new:
        known = _known(gallery.photo_known(collection, face.photo_id or ""), face)
        known = known or _stored(gallery, collection, face)
        told.append(face_told(known, gallery.person(collection, known.person_id)))
    return told


def _stored(gallery: Gallery, collection: str, face: NewFace) -> StoredFace:
    """As a person of its own, unless another request stored the same face meanwhile."""

    def refuse_known(connection: Connection) -> None:
        every = gallery.photo_known(collection, face.photo_id or "", within=connection)
        if known := _known(every[:-1], face):  # the last one is this one
            raise AlreadyExists("this face of this photo is enrolled", face_id=known.id)

    try:
        _, (stored,) = gallery.enrol(
            collection, own_name(face.source), [face], metadata={UNASSOCIATED: True},
            noted=refuse_known,
        )  # fmt: skip
    except AlreadyExists as error:
        return gallery.face(collection, str(error.details["face_id"]))
    return stored


def _known(photo: Sequence[StoredFace], face: NewFace) -> StoredFace | None:
    for stored in photo:
        if face.source not in ("", stored.source):
            continue
        same = stored.box and face.box and box_iou([stored.box], [face.box])[0, 0]
        if same and same >= SAME_FACE_IOU and face.embedding.contract_id in stored.contract_ids:
            return stored
    return None


def _page(gallery: Gallery, asked: bodies.ListFaces) -> Page[StoredFace]:
    collection, owner = asked.CollectionId, None
    gallery.collection(collection)
    if asked.UserId is not None:
        user = gallery.find_person(collection, asked.UserId)
        if user is None or not is_user(user):
            raise refusal("ResourceNotFoundException", "there is no user of that id")
        owner = user.id
    if asked.FaceIds is not None:
        some = [found(gallery, collection, one) for one in asked.FaceIds]
        kept = [face for face in some if face and owner in (None, face.person_id)]
        return Page(kept)
    return gallery.faces(collection, owner, limit=asked.MaxResults or 1000, after=asked.NextToken)


def _delete(
    gallery: Gallery, collection: str, face_ids: Sequence[str]
) -> tuple[list[str], list[dict[str, Any]]]:
    gallery.collection(collection)
    deleted, refused = [], []
    for face_id in dict.fromkeys(face_ids):
        face = found(gallery, collection, face_id)
        if face is None:
            refused.append({"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]})
            continue
        owner = gallery.person(collection, face.person_id)
        if is_user(owner):
            reasons = ["ASSOCIATED_TO_AN_EXISTING_USER"]
            refused.append({"FaceId": face_id, "UserId": owner.name, "Reasons": reasons})
            continue
        if owner.faces > 1:  # others were given to it by another door
            gallery.delete_face(collection, face.id)
        else:
            gallery.delete_person(collection, owner.id)
        deleted.append(public_id(face.id))
    return deleted, refused

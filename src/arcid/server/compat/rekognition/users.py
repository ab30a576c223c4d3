"""Users are people, by name; a face is theirs once it is associated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.concurrency import run_in_threadpool

from arcid.errors import AlreadyExists, FaceNotFound, SamePhotoConflict
from arcid.gallery import Gallery, Person, StoredFace
from arcid.server.compat.rekognition import bodies
from arcid.server.compat.rekognition.faces import found, own_name
from arcid.server.compat.rekognition.refusals import refusal
from arcid.server.compat.rekognition.telling import (
    UNASSOCIATED,
    is_user,
    percent,
    public_id,
    user_status,
)
from arcid.server.deps import Services

Told = dict[str, Any]


async def create(running: Services, asked: bodies.CreateUser) -> Told:
    gallery = running.gallery
    try:
        await running.writes.run(gallery.add_person, asked.CollectionId, asked.UserId)
    except AlreadyExists:
        raise refusal("ConflictException", "there is a user of that id already") from None
    return {}


async def listed(running: Services, asked: bodies.ListUsers) -> Told:
    """A page may hold fewer than were asked for, and another one follow."""
    page = await run_in_threadpool(
        running.gallery.people, asked.CollectionId, limit=asked.MaxResults, after=asked.NextToken
    )
    users = [{"UserId": one.name, "UserStatus": user_status(one.faces)}
             for one in page if is_user(one)]  # fmt: skip
    return {"Users": users, "NextToken": page.next}


async def delete(running: Services, asked: bodies.InUser) -> Told:
    """The faces stay, as faces of nobody."""
    await running.writes.run(_delete, running.gallery, asked.CollectionId, asked.UserId)
    return {}


async def associate(running: Services, asked: bodies.AssociateFaces) -> Told:
    return await running.writes.run(_associate, running, asked)


async def disassociate(running: Services, asked: bodies.DisassociateFaces) -> Told:
    return await running.writes.run(_disassociate, running.gallery, asked)


def user_of(gallery: Gallery, collection: str, user_id: str) -> Person:
    """Raises ``HttpError``, ``CollectionNotFound``."""
    user = gallery.find_person(collection, user_id)
    if user is None or not is_user(user):
        raise refusal("ResourceNotFoundException", "there is no user of that id")
    return user


def _delete(gallery: Gallery, collection: str, user_id: str) -> None:
    user = user_of(gallery, collection, user_id)
    for face in gallery.faces(collection, user.id):
        _part(gallery, collection, face)
    gallery.delete_person(collection, user.id)


def _associate(running: Services, asked: bodies.AssociateFaces) -> Told:
    gallery, collection = running.gallery, asked.CollectionId
    user = user_of(gallery, collection, asked.UserId)
    done, refused = [], []
    for face_id in dict.fromkeys(asked.FaceIds):
        face = found(gallery, collection, face_id)
        if face is None:
            refused.append({"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]})
            continue
        if face.person_id == user.id:  # theirs already: left out of the answer
            continue
        problem = _joined(running, collection, user, face, asked.UserMatchThreshold)
        if problem is None:
            done.append({"FaceId": public_id(face.id)})
        else:
            refused.append({"FaceId": public_id(face.id), **problem})
    return _answer("Associations", "AssociatedFaces", gallery, collection, user, done, refused)


def _joined(
    running: Services, collection: str, user: Person, face: StoredFace, least: float
) -> Told | None:
    """Give a face to a user; why not. The first one needs no likeness."""
    gallery = running.gallery
    owner = gallery.person(collection, face.person_id)
    if is_user(owner):
        return {"UserId": owner.name, "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]}
    similarity = _similarity(running, collection, user, face)
    if similarity is None or similarity >= least:
        try:
            if owner.faces > 1:
                gallery.move_face(collection, face.id, user.id)
            else:
                gallery.merge_people(collection, user.id, owner.id)
            return None
        except SamePhotoConflict:  # two faces of one photo
            similarity = 0.0
    return {"UserId": user.name, "Confidence": similarity, "Reasons": ["LOW_MATCH_CONFIDENCE"]}


def _similarity(running: Services, collection: str, user: Person, face: StoredFace) -> float | None:
    """To the user's nearest face; None where they have none of this model."""
    probe = running.gallery.embedding(collection, face.id, running.contract_id)
    try:
        known = running.gallery.compare(collection, user.id, probe)
    except FaceNotFound:
        return None
    return percent(running.pipeline.calibration, known.nearest.cosine)


def _disassociate(gallery: Gallery, asked: bodies.DisassociateFaces) -> Told:
    collection = asked.CollectionId
    user = user_of(gallery, collection, asked.UserId)
    done, refused = [], []
    for face_id in dict.fromkeys(asked.FaceIds):
        face = found(gallery, collection, face_id)
        if face is None:
            refused.append({"FaceId": face_id, "Reasons": ["FACE_NOT_FOUND"]})
        elif face.person_id != user.id:
            owner = gallery.person(collection, face.person_id)
            if is_user(owner):  # nobody's is left out of the answer
                reasons = ["ASSOCIATED_TO_A_DIFFERENT_USER"]
                told = {"FaceId": public_id(face.id), "UserId": owner.name, "Reasons": reasons}
                refused.append(told)
        else:
            _part(gallery, collection, face)
            done.append({"FaceId": public_id(face.id)})
    return _answer(
        "Disassociations", "DisassociatedFaces", gallery, collection, user, done, refused
    )


def _part(gallery: Gallery, collection: str, face: StoredFace) -> None:
    """Make a face a person of its own again."""
    name = own_name(face.source)
    metadata = {UNASSOCIATED: True}
    if gallery.person(collection, face.person_id).faces > 1:
        gallery.split_person(collection, face.person_id, [face.id], name, metadata=metadata)
        return
    alone = gallery.add_person(collection, name, metadata=metadata)
    try:
        gallery.move_face(collection, face.id, alone.id)
    except BaseException:
        gallery.delete_person(collection, alone.id)
        raise


def _answer(
    what: str,
    members: str,
    gallery: Gallery,
    collection: str,
    user: Person,
    done: Sequence[Told],
    refused: Sequence[Told],
) -> Told:
    status = user_status(gallery.person(collection, user.id).faces)
    return {members: done, f"UnsuccessfulFace{what}": refused, "UserStatus": status}

"""Who is it? Faces and users of a collection, by photo, by face, by user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi.concurrency import run_in_threadpool

from arcid.decide import DEFAULT_FPIR
from arcid.gallery import Person, StoredFace
from arcid.results import Faces, Identified
from arcid.server.compat.adapter import owned
from arcid.server.compat.rekognition import bodies
from arcid.server.compat.rekognition.faces import face_of
from arcid.server.compat.rekognition.photos import largest, photo_of
from arcid.server.compat.rekognition.refusals import PARAMETER, refusal
from arcid.server.compat.rekognition.telling import (
    by_size,
    details,
    face_told,
    is_user,
    percent,
    poor,
    public_id,
    user_status,
)
from arcid.server.compat.rekognition.users import user_of
from arcid.server.deps import Services

Told = dict[str, Any]


async def faces_by_image(running: Services, asked: bodies.SearchFacesByImage) -> Told:
    photo = await photo_of(asked.Image)
    await run_in_threadpool(running.gallery.collection, asked.CollectionId)
    (seen,) = await running.faces_in([photo])
    own = largest(seen, asked.QualityFilter)
    (answer,) = await _identify(running, own, asked.CollectionId, asked.MaxFaces)
    (detail,) = details(own)
    told = _Matches(running, asked.CollectionId, answer, asked.FaceMatchThreshold)
    return {
        "SearchedFaceBoundingBox": detail["BoundingBox"],
        "SearchedFaceConfidence": detail["Confidence"],
        "FaceMatches": await run_in_threadpool(told.faces),
        "FaceModelVersion": running.contract_id,
    }


async def faces_by_face(running: Services, asked: bodies.SearchFaces) -> Told:
    """By all faces of the same user, who is left out."""

    def search() -> list[Told]:
        gallery, collection = running.gallery, asked.CollectionId
        face = face_of(gallery, collection, asked.FaceId)
        answer = _like(running, collection, face.person_id, asked.MaxFaces)
        return _Matches(running, collection, answer, asked.FaceMatchThreshold).faces()

    return {
        "SearchedFaceId": asked.FaceId,
        "FaceMatches": await run_in_threadpool(search),
        "FaceModelVersion": running.contract_id,
    }


async def users(running: Services, asked: bodies.SearchUsers) -> Told:
    if (asked.UserId is None) == (asked.FaceId is None):
        raise refusal(PARAMETER, "say UserId or FaceId, one of them")
    search = _by_user if asked.UserId is not None else _by_face
    told = await run_in_threadpool(search, running, asked)
    return {**told, "FaceModelVersion": running.contract_id}


async def users_by_image(running: Services, asked: bodies.SearchUsersByImage) -> Told:
    """By the largest face. Where there is none, or it is too poor, nobody is found: unlike
    ``faces_by_image`` this is no error there."""
    photo = await photo_of(asked.Image)
    collection = asked.CollectionId
    everybody = (await run_in_threadpool(running.gallery.collection, collection)).people
    (seen,) = await running.faces_in([photo])
    rows = [] if seen.detections is None else by_size(seen.detections)
    detail = details(seen)
    why = [["FACE_NOT_LARGEST"] for _ in rows]
    if rows:
        why[0] = poor(seen[rows[0]]) if asked.QualityFilter != "NONE" else []
    said: Told = {
        "UserMatches": [],
        "UnsearchedFaces": [
            {"FaceDetails": detail[row], "Reasons": reasons}
            for row, reasons in zip(rows, why, strict=True) if reasons
        ],
        "FaceModelVersion": running.contract_id,
    }  # fmt: skip
    if not rows or why[0]:
        return said
    (answer,) = await _identify(running, seen[[rows[0]]], collection, _enough(everybody))
    told = _Matches(running, collection, answer, asked.UserMatchThreshold)
    users = await run_in_threadpool(told.users, asked.MaxUsers)
    return said | {"UserMatches": users, "SearchedFace": {"FaceDetail": detail[rows[0]]}}


class _Matches:
    """What a search found, from a similarity up."""

    def __init__(
        self, running: Services, collection: str, answer: Identified, least: float
    ) -> None:
        self._running = running
        self._collection = collection
        self._answer = answer
        self._least = least

    def __iter__(self) -> Iterator[tuple[float, StoredFace, Person]]:
        """Each face with whose it is by now: since the search it may have been deleted, or given to
        another person, who is told once."""
        gallery, calibration = self._running.gallery, self._running.pipeline.calibration
        told: set[str] = set()
        for match in self._answer.candidates:
            similarity = percent(calibration, match.cosine, self._answer.decision.gallery_size)
            if similarity < self._least:
                continue
            now = owned(gallery, self._collection, match.face_id)
            if now and now[1].id not in told:
                told.add(now[1].id)
                yield similarity, *now

    def faces(self) -> list[Told]:
        """``FaceMatch``: of each person the nearest face."""
        return [
            {"Similarity": similarity, "Face": face_told(face, person)}
            for similarity, face, person in self
        ]

    def users(self, most: int) -> list[Told]:
        """``UserMatch``."""
        return [
            {"Similarity": similarity,
             "User": {"UserId": person.name, "UserStatus": user_status(person.faces)}}
            for similarity, _, person in self if is_user(person)
        ][:most]  # fmt: skip


def _by_user(running: Services, asked: bodies.SearchUsers) -> Told:
    gallery, collection = running.gallery, asked.CollectionId
    user = user_of(gallery, collection, asked.UserId or "")
    answer = _like(running, collection, user.id, _enough(gallery.collection(collection).people))
    matches = _Matches(running, collection, answer, asked.UserMatchThreshold)
    told = matches.users(asked.MaxUsers)
    return {"UserMatches": told, "SearchedUser": {"UserId": user.name}}


def _by_face(running: Services, asked: bodies.SearchUsers) -> Told:
    gallery, collection = running.gallery, asked.CollectionId
    face = face_of(gallery, collection, asked.FaceId or "")
    (answer,) = running.pipeline.identify_embeddings(
        gallery.embedding(collection, face.id, running.contract_id),
        gallery,
        collection,
        k=_enough(gallery.collection(collection).people),
    )
    running.looks.searched("vector", collection, [answer], DEFAULT_FPIR)
    matches = _Matches(running, collection, answer, asked.UserMatchThreshold)
    told = matches.users(asked.MaxUsers)
    return {"UserMatches": told, "SearchedFace": {"FaceId": public_id(face.id)}}


async def _identify(running: Services, own: Faces, collection: str, most: int) -> list[Identified]:
    return list(await run_in_threadpool(running.identify, own, collection, k=most))


def _like(running: Services, collection: str, person_id: str, most: int) -> Identified:
    answer = running.pipeline.identify_person(person_id, running.gallery, collection, k=most)
    about = f"person:{person_id}"
    running.looks.searched("person", collection, [answer], DEFAULT_FPIR, about)
    return answer


def _enough(people: int) -> int:
    """Candidates among whom the users are looked for: faces without a user are people too."""
    return max(1, min(people, bodies.MANY))

"""Collections are arcid's."""

from __future__ import annotations

from typing import Any

from fastapi.concurrency import run_in_threadpool

from arcid.gallery import Gallery
from arcid.server.compat.rekognition import bodies
from arcid.server.compat.rekognition.telling import is_user
from arcid.server.deps import Services


async def create(running: Services, asked: bodies.CreateCollection) -> dict[str, Any]:
    metadata = {"tags": asked.Tags} if asked.Tags else None
    made = await running.writes.run(
        running.gallery.create_collection, asked.CollectionId, metadata=metadata
    )
    return {
        "StatusCode": 200,
        "CollectionArn": _arn(made.name),
        "FaceModelVersion": running.contract_id,
    }


async def describe(running: Services, asked: bodies.InCollection) -> dict[str, Any]:
    gallery = running.gallery
    found = await run_in_threadpool(gallery.collection, asked.CollectionId)
    return {
        "FaceCount": found.faces,
        "UserCount": await run_in_threadpool(_users, gallery, found.name),
        "FaceModelVersion": running.contract_id,
        "CollectionARN": _arn(found.name),
        "CreationTimestamp": found.created_at.timestamp(),
    }


async def listed(running: Services, asked: bodies.ListCollections) -> dict[str, Any]:
    found = await run_in_threadpool(
        running.gallery.collections, limit=asked.MaxResults or 1000, after=asked.NextToken
    )
    return {
        "CollectionIds": [one.name for one in found],
        "FaceModelVersions": [running.contract_id] * len(found),
        "NextToken": found.next,
    }


async def delete(running: Services, asked: bodies.InCollection) -> dict[str, Any]:
    await running.writes.run(running.gallery.delete_collection, asked.CollectionId)
    return {"StatusCode": 200}


def _arn(name: str) -> str:
    return f"arcid:collection/{name}"


def _users(gallery: Gallery, collection: str) -> int:
    return sum(map(is_user, gallery.everybody(collection)))

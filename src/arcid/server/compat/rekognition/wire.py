"""AWS JSON 1.1: one address, the operation in a header, a JSON body in and out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.responses import Response

from arcid.server.compat.adapter import answer
from arcid.server.compat.rekognition import bodies, collections, faces, photos, searches, users
from arcid.server.compat.rekognition.refusals import MEDIA_TYPE, PARAMETER, refusal
from arcid.server.deps import Running
from arcid.server.middleware import HOLDS_PICTURES
from arcid.server.scopes import ADAPTERS, check, require

PREFIX, SERVICE = "/compat/rekognition", "RekognitionService"
router = APIRouter(prefix=PREFIX, include_in_schema=False)


class Operation(NamedTuple):
    run: Callable[..., Awaitable[dict[str, Any]]]
    body: type[bodies.Body]


OPERATIONS: Mapping[str, Operation] = {
    "CreateCollection": Operation(collections.create, bodies.CreateCollection),
    "DescribeCollection": Operation(collections.describe, bodies.InCollection),
    "ListCollections": Operation(collections.listed, bodies.ListCollections),
    "DeleteCollection": Operation(collections.delete, bodies.InCollection),
    "DetectFaces": Operation(photos.detect, bodies.DetectFaces),
    "CompareFaces": Operation(photos.compare, bodies.CompareFaces),
    "IndexFaces": Operation(faces.index, bodies.IndexFaces),
    "ListFaces": Operation(faces.listed, bodies.ListFaces),
    "DeleteFaces": Operation(faces.delete, bodies.DeleteFaces),
    "CreateUser": Operation(users.create, bodies.CreateUser),
    "ListUsers": Operation(users.listed, bodies.ListUsers),
    "DeleteUser": Operation(users.delete, bodies.InUser),
    "AssociateFaces": Operation(users.associate, bodies.AssociateFaces),
    "DisassociateFaces": Operation(users.disassociate, bodies.DisassociateFaces),
    "SearchFaces": Operation(searches.faces_by_face, bodies.SearchFaces),
    "SearchFacesByImage": Operation(searches.faces_by_image, bodies.SearchFacesByImage),
    "SearchUsers": Operation(searches.users, bodies.SearchUsers),
    "SearchUsersByImage": Operation(searches.users_by_image, bodies.SearchUsersByImage),
}


@router.post("", name="rekognition")
@router.post("/", name="rekognition")
async def call(request: Request, running: Running) -> Response:
    """One operation. What it needs of a key is asked before and after its body is read."""
    service, _, name = request.headers.get("x-amz-target", "").partition(".")
    operation = OPERATIONS.get(name) if service == SERVICE else None
    if operation is None:
        known = ", ".join(OPERATIONS)
        raise refusal("UnknownOperationException", f"X-Amz-Target names one of {known}")
    need = ADAPTERS[f"rekognition_{name}"]
    await check(need if need.reach == "all" else need._replace(reach="none"), request)
    asked = await _asked(request, operation.body)
    if isinstance(asked, bodies.InCollection) and need.reach == "collection":
        credential, collection = request.scope["state"]["credential"], asked.CollectionId
        await run_in_threadpool(require, credential, need, running.gallery, collection)
    told = await operation.run(running, asked)
    more = {"x-amzn-RequestId": str(request.scope["state"]["request_id"])}
    said = {member: value for member, value in told.items() if value is not None}
    return answer(said, 200, more, MEDIA_TYPE)


async def _asked(request: Request, body: type[bodies.Body]) -> bodies.Body:
    fields = body.model_fields.values()
    pictures = any(field.annotation is bodies.Picture for field in fields)
    request.scope["state"][HOLDS_PICTURES] = pictures
    try:
        return await run_in_threadpool(_read, await request.body(), body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise refusal(PARAMETER, f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise refusal("SerializationException", "the body must be a JSON object") from None


def _read(text: bytes, body: type[bodies.Body]) -> bodies.Body:
    return body.model_validate(json.loads(text))

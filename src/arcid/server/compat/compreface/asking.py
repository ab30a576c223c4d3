"""What CompreFace's requests say: options, photos, and whose collection is meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from arcid.gallery import Gallery, Person
from arcid.gallery.store.collections import name_of
from arcid.server.compat.adapter import decoded
from arcid.server.compat.compreface.refusals import refusal
from arcid.server.deps import Running
from arcid.server.middleware import HOLDS_PICTURES
from arcid.server.scopes import Credential, Need, check, lacking

PREFIX = "/api/v1"
COLLECTION = "default"  # of keys that are limited to none
SUFFIXES = frozenset({"tif", "tiff", "jpg", "jpeg", "png", "bmp", "ico", "gif", "webp"})
MAX_SUBJECT = 50
INTEGERS = 2**31  # from here on a number is none of Java's
_FORBIDDEN = frozenset(";/\\")
_YES, _NO = ("true", "1"), ("false", "0")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """The query of a request."""

    limit: int  # faces; 0: all
    least_score: float  # of a detection; 0 where none is asked for: the detector's own
    plugins: frozenset[str]
    status: bool
    prediction_count: int
    detect_faces: bool  # False: the photo is an aligned crop


async def options_of(request: Request) -> Options:
    """Raises ``HttpError``: a value without meaning, or vectors are asked for without the verb."""
    options = Options(
        _asked(request, "limit", _integer, 0),
        _asked(request, "det_prob_threshold", float, 0.0),
        frozenset(map(str.strip, request.query_params.get("face_plugins", "").split(","))),
        _asked(request, "status", _truth, False),
        _asked(request, "prediction_count", _integer, 1),
        _asked(request, "detect_faces", _truth, True),
    )
    if options.limit < 0:
        raise refusal(26, "Limit should be equal or greater than 0; ")
    if options.prediction_count < 1:
        raise refusal(26, "prediction_count should be equal or greater than 1; ")
    if not 0 <= options.least_score <= 1:
        raise refusal(26, "det_prob_threshold should be between 0 and 1; ")
    if "calculator" in options.plugins:
        await check(Need("vectors", "none"), request)
    return options


async def collection_of(request: Request, running: Running) -> str:
    """The one that the key is limited to; ``COLLECTION``, made where it is missing, for keys that
    reach all. Raises ``HttpError`` for a key of several: the protocol cannot say which."""
    credential: Credential = request.scope["state"]["credential"]
    if credential.collections is None:
        await running.writes.run(running.gallery.ensure_collection, COLLECTION)
        return COLLECTION
    if len(credential.collections) > 1:
        raise lacking(
            "this API key is limited to several collections, and a key names one here: make one "
            "that is limited to it",
            Need("read", "collection"),
        )
    (uid,) = credential.collections
    return await run_in_threadpool(_name, running.gallery, uid)


async def photos_of(request: Request, *fields: str) -> list[bytes]:
    """The photos of a form, or base64 of a JSON object, one a field."""
    if request.headers.get("content-type", "").lower().startswith("application/json"):
        request.scope["state"][HOLDS_PICTURES] = True  # the limit of an upload
        body = await json_of(request)
        if not isinstance(body, dict):
            raise refusal(26, "the body must be a JSON object")
        return [await run_in_threadpool(_from_base64, body.get(field), field) for field in fields]
    form = await request.form()
    try:
        return [await _from_part(form.get(field), field) for field in fields]
    finally:
        await form.close()


async def json_of(request: Request) -> Any:
    """The body. Raises ``HttpError``."""
    try:
        return await run_in_threadpool(json.loads, await request.body())
    except (ValueError, RecursionError):
        raise refusal(26, "the body is no JSON") from None


def subject_named(body: Any) -> str:
    """The subject of a JSON body."""
    name = body.get("subject") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise refusal(26, "Subject name cannot be empty")
    return allowed(name)


def allowed(name: str) -> str:
    """A name that CompreFace takes for a subject."""
    if len(name) > MAX_SUBJECT:
        raise refusal(26, f"Subject name has more than {MAX_SUBJECT} characters")
    if _FORBIDDEN & set(name):
        raise refusal(
            36, "The name cannot contain the following special characters: ';', '/', '\\'"
        )
    return name


def person_of(gallery: Gallery, collection: str, subject: str) -> Person:
    """The person of that name. Raises ``HttpError``."""
    found = gallery.find_person(collection, subject) if subject.strip() else None
    if found is None:
        raise refusal(42, f"Subject {subject} not found", 404)
    return found


def _name(gallery: Gallery, uid: str) -> str:
    with gallery.database.read() as connection:
        return name_of(connection, uid)


def _asked(request: Request, name: str, read: Callable[[str], T], default: T) -> T:
    value = request.query_params.get(name)
    if value is None or value == "":
        return default
    try:
        return read(value)
    except ValueError:
        raise refusal(26, f"{name} has no meaning: {value[:20]}") from None


def _integer(value: str) -> int:
    number = int(value)
    if not -INTEGERS <= number < INTEGERS:
        raise ValueError(value)
    return number


def _truth(value: str) -> bool:
    if value.lower() not in (*_YES, *_NO):
        raise ValueError(value)
    return value.lower() in _YES


def _from_base64(value: Any, field: str) -> bytes:
    if value is None:
        raise refusal(34, f"Required part {field} is missing")
    try:
        return decoded(value)
    except ValueError:
        raise refusal(21, "Provided value is not Base64") from None


async def _from_part(part: Any, field: str) -> bytes:
    if not isinstance(part, UploadFile):
        raise refusal(34, f"Required part {field} is missing")
    if PurePath(part.filename or "").suffix[1:].lower() not in SUFFIXES:
        known = ", ".join(sorted(SUFFIXES))
        raise refusal(21, f"File has an unavailable extension; available are {known}")
    return await part.read()


Collection = Annotated[str, Depends(collection_of)]
Asked = Annotated[Options, Depends(options_of)]

"""What the protocols of other systems have in common."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from fastapi import APIRouter
from starlette.responses import Response

from arcid.calibration import Calibration
from arcid.errors import FaceNotFound, InvalidArray, PersonNotFound
from arcid.gallery import Gallery, Person, StoredFace
from arcid.server.dialect import Dialect

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One protocol."""

    dialect: Dialect
    routers: tuple[APIRouter, ...]


def likeness(calibration: Calibration, cosine: float, among: int = 1) -> float:
    """What other systems call similarity, 0–1: the calibrated probability of one person, where
    beforehand each of the ``among`` templates searched was as likely as nobody; of two photos, yes
    as likely as no. Rounded down to six digits, so that nothing is told as certain."""
    return math.floor(calibration.probability(cosine, max(among, 1)) * 1e6) / 1e6


def there(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """A person or a face that was found; None where another request deleted it meanwhile."""
    try:
        return read(*args, **kwargs)
    except (PersonNotFound, FaceNotFound):
        return None


def owned(gallery: Gallery, collection: str, face_id: str) -> tuple[StoredFace, Person] | None:
    """A face that was found, and whose it is by now; None where it was deleted meanwhile."""
    face = there(gallery.face, collection, face_id)
    owner = there(gallery.person, collection, face.person_id) if face else None
    return (face, owner) if face and owner else None


def owners(
    gallery: Gallery, collection: str, faces: Iterable[StoredFace]
) -> Iterator[tuple[StoredFace, Person]]:
    """``owned`` of faces that were listed; people are read once."""
    known: dict[str, Person | None] = {}
    for face in faces:
        if face.person_id not in known:
            known[face.person_id] = there(gallery.person, collection, face.person_id)
        owner = known[face.person_id]
        now = (face, owner) if owner else owned(gallery, collection, face.id)
        if now:
            yield now


def decoded(text: Any) -> bytes:
    """Base64 in, also with line breaks, bytes out. Raises ``ValueError``."""
    if not isinstance(text, str):
        raise ValueError("not text")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64") from None


def numbers(row: Any, dim: int) -> list[float]:
    """A vector of a JSON body. Raises ``InvalidArray``."""
    plain = isinstance(row, list) and all(type(value) in (int, float) for value in row)
    if plain and len(row) == dim:
        with suppress(OverflowError):
            return [float(value) for value in row]
    raise InvalidArray(f"a vector of this model is a list of {dim} numbers", dim=dim)


def answer(
    body: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """JSON in ASCII: a client's lone surrogates must not break the answer that refuses them."""
    return Response(json.dumps(body), status, dict(headers or {}), media_type)

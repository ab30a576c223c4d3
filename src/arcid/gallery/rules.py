"""What may be stored: names, metadata and the fields of a new face, checked before any write."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arcid.errors import InputError, InvalidArray
from arcid.gallery.records import Box, NewFace

MAX_NAME = 200
MAX_JSON_BYTES = 16 * 1024
MAX_SOURCE = 1000
MAX_WHERE = 16  # names of a filter
MAX_ID = 128


def clean_name(name: str, what: str = "a person's name") -> str:
    """Stripped and NFC; 1–200 characters, no control characters or line separators."""
    if not isinstance(name, str):
        raise InputError(f"{what} must be text, got {type(name).__name__}")
    cleaned = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(cleaned) <= MAX_NAME:
        raise InputError(f"{what} must have 1 to {MAX_NAME} characters, got {len(cleaned)}")
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in cleaned):
        raise InputError(f"{what} must not hold control characters or line breaks")
    return cleaned


def path_name(name: str, what: str) -> str:
    """``clean_name`` of what is made anew and then addressed by its name, as a collection is: no
    step of an address holds it otherwise. What was named before goes on."""
    cleaned = clean_name(name, what)
    if "/" in cleaned or "\\" in cleaned or cleaned in (".", ".."):
        raise InputError(
            f"{what} must hold neither / nor \\, and not be . or .., since addresses of the "
            "service name it"
        )
    return cleaned


def name_key(cleaned: str) -> str:
    """What two spellings of one name have in common."""
    return unicodedata.normalize("NFC", cleaned.casefold())


def external_id(value: str) -> str:
    """What another system calls somebody: as a name, and told apart by case."""
    return clean_name(value, "an external id")


def wanted(where: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata that people are to have: names and plain values. Raises ``InputError``."""
    plain = isinstance(where, Mapping) and all(
        isinstance(key, str) and isinstance(value, (str, int, float, bool, type(None)))
        for key, value in where.items()
    )
    if not plain or not 1 <= len(where) <= MAX_WHERE:
        raise InputError(f"a filter holds 1 to {MAX_WHERE} names, each with a plain value")
    json_text(where, "the filter")
    return dict(where)


def where_of(pairs: Sequence[str]) -> dict[str, Any] | None:
    """A filter as people write it: ``site=Berlin`` is text, ``floor:=3`` a JSON value; None where
    there is no pair. Raises ``InputError``."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        plain = not key.endswith(":")
        key = key.removesuffix(":").strip()
        if not sign or not key:
            raise InputError(f"a filter is written KEY=TEXT or KEY:=NUMBER, got {pair!r}")
        try:
            found[key] = value.strip() if plain else json.loads(value)
        except (ValueError, RecursionError):
            raise InputError(f"{key}:= needs a number, true, false or null") from None
    return wanted(found) if found else None


def plain_text(what: str, value: Any, least: int, most: int) -> str:
    """Text of so many characters that both databases store. Raises ``InputError``."""
    try:
        good = least <= len(value) <= most and b"\0" not in value.encode()
    except (AttributeError, TypeError, UnicodeEncodeError):
        good = False
    if not good:
        raise InputError(f"{what} must be text of {least} to {most} characters")
    return str(value)


def json_text(value: Mapping[str, Any] | None, what: str = "metadata") -> str:
    """A JSON object of at most 16 KiB as text."""
    if value is None:
        return "{}"
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{what} must be a mapping with text keys")
    try:
        text = json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
        size = len(json.dumps(dict(value), ensure_ascii=False, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{what} must be JSON: text, finite numbers, true/false/null, lists, objects "
            f"({type(error).__name__})"
        ) from None
    if size > MAX_JSON_BYTES:
        raise InputError(
            f"{what} takes {size} bytes as JSON; at most {MAX_JSON_BYTES} are kept",
            bytes=size,
            max_bytes=MAX_JSON_BYTES,
        )
    return text


def quality_text(quality: Mapping[str, float]) -> str:
    try:
        numbers = {str(key): float(value) for key, value in quality.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError("quality must map names to numbers") from None
    return json_text(numbers, "quality")


def box_text(box: Box | None) -> str | None:
    if box is None:
        return None
    try:
        values = [float(value) for value in box]
    except (TypeError, ValueError):
        raise InputError("box must hold four numbers: x1, y1, x2, y2") from None
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise InputError("box must hold four finite numbers: x1, y1, x2, y2")
    if values[2] <= values[0] or values[3] <= values[1]:
        raise InputError("box must be x1, y1, x2, y2 with x2 > x1 and y2 > y1")
    return json.dumps(values)


def new_face(face: Any) -> NewFace:
    """Raises ``InputError`` where it is none."""
    if not isinstance(face, NewFace):
        raise InputError(f"faces must be NewFace values, got {type(face).__name__}")
    return face


def face_columns(face: NewFace) -> dict[str, Any]:
    """The columns of one new face, checked; raises ``InputError``."""
    new_face(face)
    if len(face.embedding) != 1:
        raise InvalidArray(
            f"a new face has exactly one embedding, got {len(face.embedding)} rows; "
            "index the batch: embeddings[i]"
        )
    if not len(face.embedding.contract_id) <= MAX_ID:
        raise InputError(f"contract_id must have at most {MAX_ID} characters")
    return {
        "photo_id": _photo_id(face.photo_id),
        "box": box_text(face.box),
        "score": _score(face.score),
        "quality": quality_text(face.quality),
        "source": _source(face.source),
        "provenance": json_text(face.provenance, "provenance"),
    }


def check_crop(crop: Any) -> None:
    array = np.asarray(crop)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InvalidArray(f"crop must be (S,S,3) uint8 RGB, got {array.shape} {array.dtype}")
    if array.shape[0] != array.shape[1] or array.shape[0] < 16:
        raise InvalidArray(f"crop must be square and at least 16 pixels wide, got {array.shape}")


def _photo_id(photo_id: str | None) -> str | None:
    if photo_id is None:
        return None
    usable = isinstance(photo_id, str) and 1 <= len(photo_id) <= MAX_ID and photo_id.isprintable()
    if not usable:
        raise InputError(f"photo_id must be printable text of 1 to {MAX_ID} characters")
    return photo_id


def _score(score: float | None) -> float | None:
    if score is None:
        return None
    if not math.isfinite(score):
        raise InputError("score must be a finite number")
    return float(score)


def _source(source: str) -> str:
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        raise InputError(f"source must be text of at most {MAX_SOURCE} characters")
    # File names may hold undecodable bytes; PostgreSQL stores no NUL.
    return source.encode("utf-8", "replace").decode().replace("\0", "")

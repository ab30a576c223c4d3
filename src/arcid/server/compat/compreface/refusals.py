"""Errors in CompreFace's shape, ``{"message", "code"}``, with its numbers where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from arcid.server.compat.adapter import answer
from arcid.server.errors import HttpError

_OWN = "compreface_"
#: arcid's code → status, number, words; None: arcid's own words.
_WORDS: Mapping[str, tuple[int, int, str | None]] = {
    "api_key_missing": (400, 20, "Missing header: x-api-key"),
    "api_key_wrong": (404, 10, "Service with this API Key not found"),
    "api_key_ended": (404, 10, None),
    "scope_missing": (404, 10, None),
    "collection_not_found": (404, 10, None),
    "image_unreadable": (400, 21, None),
    "image_too_small": (400, 28, None),
    "validation_error": (400, 26, None),
    "bad_input": (400, 26, None),
    "invalid_array": (400, 26, None),
    "contract_mismatch": (400, 26, None),
    "no_face_found": (400, 28, "No face is found in the given image"),
    "quality_rejected": (400, 28, None),
    "several_faces_found": (400, 31, "More than one face in the source image"),
    "person_not_found": (404, 42, None),
    "already_exists": (400, 43, None),
    "possible_duplicate": (400, 43, None),
    "face_not_found": (404, 44, None),
    "method_not_allowed": (404, 0, None),
    "unsupported_media_type": (
        415,
        0,
        "send the photo as multipart/form-data, or as base64 in application/json",
    ),
}


def refusal(number: int, message: str, status: int = 400) -> HttpError:
    """What CompreFace itself refuses by that number."""
    return HttpError(status, f"{_OWN}{number}", message)


def tell(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any],
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What CompreFace has no number for keeps arcid's status, under 0."""
    number, words = 0, None
    if code.startswith(_OWN):
        number = int(code.removeprefix(_OWN))
    elif code in _WORDS:
        status, number, words = _WORDS[code]
    return answer({"message": words or message, "code": number}, status, headers)

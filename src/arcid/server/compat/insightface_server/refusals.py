"""Errors of InsightFace Server: arcid's envelope with that system's codes and statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from arcid.server.errors import HttpError, envelope

_CODES: Mapping[str, tuple[int, str]] = {
    "api_key_missing": (401, "unauthorized"),
    "api_key_wrong": (401, "unauthorized"),
    "api_key_ended": (401, "unauthorized"),
    "scope_missing": (403, "unauthorized"),
    "validation_error": (400, "invalid_request"),
    "bad_request": (400, "invalid_request"),
    "bad_input": (400, "invalid_request"),
    "repeated_field": (400, "invalid_request"),
    "unsupported_media_type": (400, "invalid_request"),
    "cursor_invalid": (400, "invalid_cursor"),
    "image_unreadable": (422, "invalid_image"),
    "image_too_small": (422, "invalid_image"),
    "body_too_large": (413, "request_too_large"),
    "no_face_found": (422, "face_not_found"),
    "nothing_enrolled": (422, "registration_failed"),
    "already_exists": (409, "person_exists"),
    "contract_mismatch": (409, "collection_model_mismatch"),
    "gallery_busy": (503, "not_ready"),
    "gallery_unavailable": (503, "not_ready"),
    "gallery_read_only": (503, "not_ready"),
}


def refusal(status: int, code: str, message: str, **details: Any) -> HttpError:
    """What InsightFace Server itself refuses by that code."""
    return HttpError(status, f"insightface_{code}", message, details)


def tell(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any],
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What it has no code for keeps arcid's."""
    if code.startswith("insightface_"):
        code = code.removeprefix("insightface_")
    else:
        status, code = _CODES.get(code, (status, code))
    return envelope(status, code, message, details, request_id, headers)

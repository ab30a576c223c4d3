"""Errors as AWS JSON 1.1 tells them: an exception's name in ``__type``, words in ``Message``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from arcid.server.compat.adapter import answer
from arcid.server.errors import HttpError

MEDIA_TYPE = "application/x-amz-json-1.1"
PARAMETER, THROTTLED, INTERNAL = (
    "InvalidParameterException",
    "ThrottlingException",
    "InternalServerError",
)
_OWN = "rekognition_"
_KINDS: Mapping[str, str] = {
    "api_key_missing": "MissingAuthenticationTokenException",
    "api_key_wrong": "UnrecognizedClientException",
    "api_key_ended": "ExpiredTokenException",
    "scope_missing": "AccessDeniedException",
    "host_refused": "AccessDeniedException",
    "origin_refused": "AccessDeniedException",
    "proxy_refused": "AccessDeniedException",
    "collection_not_found": "ResourceNotFoundException",
    "person_not_found": "ResourceNotFoundException",
    "face_not_found": "ResourceNotFoundException",
    "already_exists": "ResourceAlreadyExistsException",
    "image_unreadable": "InvalidImageFormatException",
    "image_too_large": "ImageTooLargeException",
    "body_too_large": "ImageTooLargeException",
    "cursor_invalid": "InvalidPaginationTokenException",
    "overloaded": THROTTLED,
    "gallery_busy": THROTTLED,
    "too_many_attempts": THROTTLED,
    "rate_limited": "ProvisionedThroughputExceededException",
    "storage_full": "ServiceQuotaExceededException",
    "method_not_allowed": "UnknownOperationException",
    "route_not_found": "UnknownOperationException",
}


def refusal(kind: str, message: str) -> HttpError:
    """What Rekognition itself refuses by that exception."""
    return HttpError(400, _OWN + kind, message)


def tell(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any],
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What it has no exception for is a wrong parameter, or a fault of the service."""
    other = INTERNAL if status >= 500 else PARAMETER
    kind = code.removeprefix(_OWN) if code.startswith(_OWN) else _KINDS.get(code, other)
    status = 500 if kind in (INTERNAL, THROTTLED) else 400
    more = {"x-amzn-ErrorType": kind, "x-amzn-RequestId": request_id}
    return answer({"__type": kind, "Message": message}, status, {**(headers or {}), **more},
                  MEDIA_TYPE)  # fmt: skip

"""Errors as HTTP: one envelope for all, one table of statuses.

{"error": {"code": ..., "message": ..., "details": {...}}, "request_id": ...}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from arcid import errors
from arcid.errors import ArcidError
from arcid.server.framed import framed
from arcid.server.headers import page

BUSY_RETRY_S = 1
AWAY_RETRY_S = 5

#: The nearest class in an error's family decides; docs/concepts/rest.md explains each row.
STATUS: dict[type[ArcidError], int] = {
    errors.ArcidError: 500,
    errors.UsageError: 422,
    errors.ConfigError: 500,
    errors.MissingExtra: 501,
    errors.InputError: 422,
    errors.ImageUnreadable: 400,
    errors.ImageTooLarge: 413,
    errors.UploadTooLarge: 413,
    errors.SamePhotoConflict: 409,
    errors.ConsentMissing: 409,
    errors.ModelError: 503,
    errors.ContractMismatch: 409,
    errors.CalibrationError: 503,
    errors.RateUnsupported: 422,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.ReviewAnswered: 409,
    errors.AlertAnswered: 409,
    errors.SecondPersonNeeded: 409,
    errors.OnboardingClosed: 409,
    errors.LockedOut: 429,
    errors.SchemaTooNew: 503,
    errors.GalleryBusy: 503,
    errors.GalleryUnavailable: 503,
    errors.GalleryReadOnly: 503,
    errors.KeyUnavailable: 503,
    errors.IndexUnavailable: 503,
    errors.StorageFull: 507,
    errors.Overloaded: 429,
}

#: What the HTTP layer itself refuses, where nothing more exact is known.
HTTP_CODES = {
    400: "bad_request",
    401: "api_key_missing",
    403: "forbidden",
    404: "route_not_found",
    405: "method_not_allowed",
    408: "upload_too_slow",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
}


class HttpError(HTTPException):
    """A refusal of the HTTP layer with a stable code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.details = dict(details or {})

    @classmethod
    def of(cls, error: ArcidError) -> HttpError:
        """For places where frameworks let only their own exceptions through."""
        return cls(status_of(error), error.code, error.message, error.details, retry_headers(error))


def status_of(error: ArcidError) -> int:
    """HTTP status of an error by its class or the nearest base in ``STATUS``."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def retry_headers(error: ArcidError) -> dict[str, str] | None:
    """``Retry-After`` where waiting helps."""
    if isinstance(error, (errors.Overloaded, errors.LockedOut)):
        return {"Retry-After": str(max(1, math.ceil(error.details["retry_after_s"])))}
    if isinstance(error, errors.GalleryBusy):
        return {"Retry-After": str(BUSY_RETRY_S)}
    if isinstance(error, errors.GalleryUnavailable):
        return {"Retry-After": str(AWAY_RETRY_S)}
    return None


def envelope(
    status: int,
    code: str,
    message: str,
    details: Mapping[str, Any],
    request_id: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The one shape of every error."""
    finite = json.loads(json.dumps(jsonable_encoder(details)), parse_constant=lambda _: None)
    body = {
        "error": {"code": code, "message": message, "details": finite},
        "request_id": request_id,
    }
    # ASCII only: a client's lone surrogates must not break the answer that refuses them.
    return Response(
        json.dumps(body), status, media_type="application/json", headers=dict(headers or {})
    )


def http_error_response(
    error: StarletteHTTPException, request_id: str, tell: Callable[..., Response] = envelope
) -> Response:
    """An ``HttpError`` or a framework's own exception as ``tell`` says it."""
    code = getattr(error, "code", None) or HTTP_CODES.get(error.status_code, "http_error")
    details = getattr(error, "details", {})
    message = str(error.detail)
    return tell(error.status_code, code, message, details, request_id, error.headers)


def install(app: FastAPI) -> None:
    """Register the handlers; what none of them takes becomes 500 in ``middleware``."""
    app.add_exception_handler(ArcidError, _on_arcid_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(StarletteHTTPException, _on_http_error)


def _request_id(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def _teller(request: Request) -> Callable[..., Response]:
    tell: Callable[..., Response] = request.scope["state"]["dialect"].tell
    return tell


def _note_code(request: Request, code: str) -> None:
    request.scope["state"]["error_code"] = code


async def _on_arcid_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ArcidError):
        raise error
    return await _on_http_error(request, HttpError.of(error))


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, StarletteHTTPException):
        raise error
    code = getattr(error, "code", None) or HTTP_CODES.get(error.status_code, "")
    shown = "missing.html" if error.status_code == 404 else _SHOWN.get(code)
    _note_code(request, code)
    if shown is None or not _for_a_person(request):
        return http_error_response(error, _request_id(request), _teller(request))
    response = page(framed(shown))
    response.status_code = error.status_code
    response.headers.update(error.headers or {})
    return response


#: Pages that people are shown in the place of an error's code.
_SHOWN = {errors.GalleryUnavailable.code: "away.html"}


def _for_a_person(request: Request) -> bool:
    """Whether a browser's address bar asked, and for none of the routes that answer programs."""
    wanted = request.headers.get("accept", "").split(",")[0]
    ours = _teller(request) is envelope and not request.url.path.startswith("/v1/")
    return wanted == "text/html" and ours


async def _on_validation_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # What was sent (names, vectors) is left out.
    problems = [
        {"where": ".".join(map(str, e["loc"])), "problem": e["msg"]} for e in error.errors()
    ]
    first = problems[0] if problems else {"where": "request", "problem": "invalid"}
    _note_code(request, "validation_error")
    message = f"{first['where']}: {first['problem']}"
    refused = HttpError(422, "validation_error", message, {"problems": problems})
    return http_error_response(refused, _request_id(request), _teller(request))

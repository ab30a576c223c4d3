"""What the client raises.

    ArcidError
    ├── Unreachable          no answer: no connection, or it broke, or it took too long
    ├── UnexpectedAnswer     an answer, but none of the service that this client was made for
    └── ServiceError         the service refused; ``status``, ``code``, ``details``, ``request_id``
        ├── Unauthorised     401, 403: no key, a wrong one, or one that may not
        ├── Conflict         409
        ├── Refused          every other 4xx: what was sent cannot be used
        ├── TooMany          429: come back after ``details["retry_after_s"]``
        └── ServiceFailed    5xx

A code that ``arcid.errors`` has a class for is raised as that class as well: ``NoFaceFound`` is
caught in the same words, whether the library or the service says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import httpx

from arcid import errors
from arcid.errors import ArcidError


class Unreachable(ArcidError):
    """No answer of the service: no connection, or it broke, or it took too long."""

    code = "service_unreachable"


class UnexpectedAnswer(ArcidError):
    """An answer that this client cannot read: of another version, or of no arcid at all."""

    code = "unexpected_answer"


class ServiceError(ArcidError):
    """The service refused. ``code`` is stable, ``message`` is for people.

    ``request_id`` stands in the service's log, too.
    """

    status: int
    request_id: str | None

    def __init__(
        self, status: int, message: str, details: Mapping[str, Any], request_id: str | None
    ) -> None:
        Exception.__init__(self, message)
        self.status, self.message, self.request_id = status, message, request_id
        self.details = dict(details)

    def __str__(self) -> str:
        asked = "" if self.request_id is None else f", request {self.request_id}"
        return f"{self.message} ({self.status} {self.code}{asked})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self.status, self.code, self.message, self.details, self.request_id)


class Unauthorised(ServiceError):
    """No API key, a wrong one, or one that may not do this."""


class Conflict(ServiceError):
    """In conflict with what the service holds."""


class Refused(ServiceError):
    """What was sent cannot be used; nothing was changed."""


class TooMany(ServiceError):
    """Too much is asked of it at once; ``details["retry_after_s"]`` says when to come back."""


class ServiceFailed(ServiceError):
    """The service could not do it; its log says why, under ``request_id``."""


def refusal(response: httpx.Response) -> ArcidError:
    """The error that a response of status 400 and more stands for."""
    try:
        body = response.json()
        told, request_id = body["error"], body["request_id"]
        code, message, details = told["code"], told["message"], told["details"]
    except (ValueError, KeyError, TypeError):
        return UnexpectedAnswer(
            f"{response.url.host} answered {response.status_code}, and not as arcid does",
            status=response.status_code,
        )
    return _made(response.status_code, str(code), str(message), details, request_id)


def _made(
    status: int, code: str, message: str, details: Mapping[str, Any], request_id: str | None
) -> ServiceError:
    return _kind(status, code)(status, message, details, request_id)


@cache
def _kind(status: int, code: str) -> type[ServiceError]:
    by_status = {401: Unauthorised, 403: Unauthorised, 409: Conflict, 429: TooMany}
    family = by_status.get(status, ServiceFailed if status >= 500 else Refused)
    known = _library().get(code)
    bases = (family,) if known is None else (family, known)
    name = family.__name__ if known is None else known.__name__
    return cast("type[ServiceError]", type(name, bases, {"code": code, "__module__": __name__}))


@cache
def _library() -> dict[str, type[ArcidError]]:
    """The classes of ``arcid.errors`` by their codes."""
    kinds = (getattr(errors, name) for name in errors.__all__)
    return {kind.code: kind for kind in kinds if kind is not ArcidError}


__all__ = [
    "Conflict",
    "Refused",
    "ServiceError",
    "ServiceFailed",
    "TooMany",
    "Unauthorised",
    "UnexpectedAnswer",
    "Unreachable",
]

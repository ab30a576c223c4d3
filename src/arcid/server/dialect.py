"""How a request is spoken: where its routes lie, how it carries an API key, how it is refused.

arcid's own REST is one dialect; ``compat`` adds those of other systems, over the same routes' work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response

from arcid.server.errors import envelope

#: (status, code, message, details, request_id, headers) of arcid → an answer in the dialect's shape
Tell = Callable[[int, str, str, Mapping[str, Any], str, Mapping[str, str] | None], Response]


def presented_key(headers: Headers) -> str | None:
    """The key of a request, from either header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What stands below ``prefix``; ``open``: the paths among them that need no key."""

    prefix: str
    tell: Tell
    key: Callable[[Headers], str | None] = presented_key
    open: frozenset[str] = frozenset()


OWN = Dialect("", envelope)


def dialect_of(path: str, dialects: Sequence[Dialect]) -> Dialect:
    """Whose path it is; arcid's own where it is nobody's."""
    for dialect in dialects:
        if path == dialect.prefix or path.startswith(dialect.prefix + "/"):
            return dialect
    return OWN


def spoken(request: HTTPConnection) -> Dialect:
    """The dialect of a request, as the middleware found it."""
    found: Dialect = request.scope["state"]["dialect"]
    return found

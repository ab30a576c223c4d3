"""A request → an answer or an error: all that both clients share."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from types import NoneType
from typing import Any, Protocol, Self, TypeVar, cast

import httpx
from pydantic import BaseModel, ValidationError

from arcid.client.errors import UnexpectedAnswer, Unreachable, refusal
from arcid.client.requests import chunks, chunks_apart, request
from arcid.client.retrying import Retries
from arcid.errors import ArcidError, ConfigError

T = TypeVar("T")
DEFAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Erased:
    """What a deletion left behind."""

    complete: bool  # False: deleted, but something still holds its bytes; ``message`` says so
    message: str | None = None
    receipt: str | None = None  # the id of the signed receipt, where one was given


class Page(Protocol):
    """One page of a list."""

    @property
    def next(self) -> str | None:
        """Where the next one begins."""


P = TypeVar("P", bound=Page)


def answered(response: httpx.Response, answer: type[T]) -> T:
    """Raises what the service refused with, or ``UnexpectedAnswer``."""
    if response.status_code >= 400:
        raise refusal(response)
    value: Any
    try:
        if not response.is_success:
            raise ValueError(f"a redirect to {response.headers.get('Location')}")
        if answer is NoneType:
            value = None
        elif answer is bytes:
            value = response.content
        elif answer is str:
            value = response.text
        elif answer is dict:
            value = response.json()
        elif answer is Erased:
            message = response.json()["message"] if response.status_code == 202 else None
            value = Erased(message is None, message, response.headers.get("Arcid-Receipt"))
        else:
            assert issubclass(answer, BaseModel)
            value = answer.model_validate_json(response.content)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        # What was answered is left out: it may hold names and vectors.
        why = _what_is_wrong(error) if isinstance(error, ValidationError) else str(error)
        raise UnexpectedAnswer(
            f"{response.url.host} answered {response.status_code} with {why}; is it arcid, "
            "in the version of this client?",
            status=response.status_code,
        ) from None
    return cast(T, value)


class Settings:
    """What both clients are given."""

    def __init__(self, url: str, key: str | None, timeout: float, retries: Retries | int) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()  # refused below, in words that hold no password
        if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key):
            raise ConfigError("the API key holds characters that no key has")
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            raise ConfigError("the address is http://HOST or https://HOST, and holds no password")
        self.url = str(parsed).rstrip("/")
        self.retries = Retries(retries) if isinstance(retries, int) else retries
        self.http: dict[str, Any] = {
            "base_url": self.url,
            "timeout": timeout,
            "headers": {"User-Agent": "arcid-client"}
            | ({} if key is None else {"Authorization": f"Bearer {key}"}),
        }

    def failed(self, error: httpx.RequestError) -> ArcidError:
        """What the last of the tries ended in."""
        if not isinstance(error, httpx.TransportError):
            return UnexpectedAnswer(f"what {self.url} answered cannot be decoded: {error}")
        what = "answered too late" if isinstance(error, httpx.TimeoutException) else str(error)
        return Unreachable(f"no answer of {self.url}: {what or type(error).__name__}")


class Sender:
    """Sends requests, again where that is safe.

    Args:
        url: Where the service is, as ``https://faces.example`` or ``http://127.0.0.1:8000``.
        key: An API key. It goes to this address alone; redirects are not followed.
        timeout: Seconds without a byte, connecting included.
        retries: How often a request is sent again, or ``Retries`` with its waits.
        verify: An ``ssl.SSLContext`` for a certificate authority of your own.
        transport: httpx's, as ``httpx.HTTPTransport(uds="/run/arcid.sock")`` for a Unix socket.

    Raises ``ConfigError`` for an address that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: Retries | int = 4,
        verify: Any = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._settings = Settings(url, key, timeout, retries)
        self._http = httpx.Client(**self._settings.http, verify=verify, transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, method: str, path: str, answer: type[T], **parts: Any) -> T:
        asked = request(method, path, **parts)
        for tried in count():
            outcome: httpx.Response | httpx.RequestError
            try:
                outcome = self._http.request(asked.method, asked.path, **asked.sent(chunks))
            except httpx.InvalidURL as error:
                raise ConfigError(f"what is asked for makes no address: {error}") from None
            except httpx.RequestError as error:
                outcome = error
            wait = self._settings.retries.wait_s(tried, asked.repeatable, outcome)
            if wait is None:
                break
            time.sleep(wait)
        if isinstance(outcome, httpx.RequestError):
            raise self._settings.failed(outcome) from outcome
        return answered(outcome, answer)

    def _rows(self, page: Callable[[str | None], P], rows: Callable[[P], list[T]]) -> Iterator[T]:
        after: str | None = None
        while True:
            found = page(after)
            yield from rows(found)
            if (after := found.next) is None:
                return


class AsyncSender:
    """As ``Sender``, for asyncio: ``transport`` is one of httpx's asynchronous ones."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        retries: Retries | int = 4,
        verify: Any = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = Settings(url, key, timeout, retries)
        self._http = httpx.AsyncClient(**self._settings.http, verify=verify, transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._settings.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, answer: type[T], **parts: Any) -> T:
        asked = await asyncio.to_thread(request, method, path, **parts)  # reads files
        for tried in count():
            outcome: httpx.Response | httpx.RequestError
            try:
                parts = asked.sent(chunks_apart)
                outcome = await self._http.request(asked.method, asked.path, **parts)
            except httpx.InvalidURL as error:
                raise ConfigError(f"what is asked for makes no address: {error}") from None
            except httpx.RequestError as error:
                outcome = error
            wait = self._settings.retries.wait_s(tried, asked.repeatable, outcome)
            if wait is None:
                break
            await asyncio.sleep(wait)
        if isinstance(outcome, httpx.RequestError):
            raise self._settings.failed(outcome) from outcome
        return answered(outcome, answer)

    async def _rows(
        self, page: Callable[[str | None], Awaitable[P]], rows: Callable[[P], list[T]]
    ) -> AsyncIterator[T]:
        after: str | None = None
        while True:
            found = await page(after)
            for row in rows(found):
                yield row
            if (after := found.next) is None:
                return


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"a body of another form ({'.'.join(map(str, first['loc']))}: {first['type']})"

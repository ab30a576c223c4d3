"""A system whose people are fetched over its REST interface, page by page and photo by photo."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.errors import InputError, UsageError
from arcid.image import DEFAULT_LIMITS

TRIES = 4
TIMEOUT_S = 30.0
MAX_JSON_BYTES = 32 * 2**20
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Remote:
    """Asks with GET, again where an answer does not come. Redirects are refused, so that the key
    goes nowhere else. Raises ``UsageError`` for an address that is none."""

    def __init__(self, address: str, headers: Mapping[str, str], *, wait_s: float = 1.0) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError("an address is http://HOST or https://HOST, and holds no password")
        self.address = address.rstrip("/")
        self._headers, self._wait_s = dict(headers), wait_s
        handlers: list[urllib.request.BaseHandler] = [addresses.NoRedirect()]
        if parts.hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = addresses.opener(*handlers)

    def json(self, *path: str, **query: Any) -> dict[str, Any]:
        """An object. Raises ``InputError``."""
        text = self._get(path, query, MAX_JSON_BYTES)
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise InputError(f"{self.address} does not answer as expected; is the address right?")
        return found

    def photo(self, *path: str) -> bytes:
        """A photo. Raises ``InputError``."""
        return self._get(path, {}, DEFAULT_LIMITS.max_bytes)

    def _get(self, path: tuple[str, ...], query: Mapping[str, Any], most: int) -> bytes:
        steps = "/".join(quote(step, safe="") for step in path)
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self.address}/{steps}" + (f"?{urlencode(given)}" if given else "")
        for tried in range(1, TRIES + 1):
            request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - http(s)
            try:
                with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                    data: bytes = answer.read(most + 1)
            except AddressRefused as error:
                raise InputError(str(error)) from None
            except urllib.error.HTTPError as error:
                error.close()
                if error.code not in (429, 500, 502, 503, 504) or tried == TRIES:
                    raise InputError(_said(self.address, error.code)) from None
            except (OSError, http.client.HTTPException) as error:
                if tried == TRIES:
                    raise InputError(f"{self.address} cannot be reached: {error}") from None
            else:
                if len(data) > most:
                    raise InputError(f"{self.address} answers more than {most / 2**20:.0f} MiB")
                return data
            time.sleep(self._wait_s * 2 ** (tried - 1))
        raise AssertionError("unreachable")


def _said(address: str, status: int) -> str:
    why = {401: "the key is wrong", 403: "the key may not do that", 404: "there is nothing there"}
    return f"{address} refuses ({status}): {why.get(status, 'it does not say why')}"

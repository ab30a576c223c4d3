"""Whose word about clients is taken: of the proxies that settings name, and only their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arcid.errors import ConfigError
from arcid.server.proxies import Proxies
from arcid.server.settings import Settings

KEY = "Vj3-wq8Tn0Zr5yLk2Xc7"


def seen(peer: str, trusted: str, kind: str = "http", **headers: str) -> tuple[str, str, str]:
    """Client, scheme and host that the application is told."""
    found: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope)

    names = Settings.load(trusted_proxies=trusted, api_keys=KEY).trusted_proxies
    sent = [(b"host", b"127.0.0.1:8000")]
    sent += [(n.replace("_", "-").encode(), v.encode("latin-1")) for n, v in headers.items()]
    scheme = "ws" if kind == "websocket" else "http"
    scope = {"type": kind, "client": (peer, 5), "scheme": scheme, "headers": sent}
    asyncio.run(Proxies(application, names)(scope, None, None))  # type: ignore[arg-type]
    host = dict(reversed(found[0]["headers"]))[b"host"].decode()
    return found[0]["client"][0], found[0]["scheme"], host


FORWARDED = {
    "x_forwarded_for": "192.0.2.1, 203.0.113.9",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "evil.example, faces.example",
}


@pytest.mark.parametrize("trusted", ["", "10.0.0.1", "10.0.0.0/8, 2001:db8::/32"])
def test_nobody_else_is_believed(trusted: str) -> None:
    assert seen("127.0.0.1", trusted, **FORWARDED) == ("127.0.0.1", "http", "127.0.0.1:8000")


@pytest.mark.parametrize("trusted", ["127.0.0.1", "127.0.0.0/8, 10.0.0.0/8", "127.0.0.9/8"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_named_proxy_is_believed_its_own_word(trusted: str, peer: str) -> None:
    assert seen(peer, trusted, **FORWARDED) == ("203.0.113.9", "https", "faces.example")
    assert seen(peer, trusted, "websocket", **FORWARDED)[1] == "wss"
    assert seen(peer, trusted) == ("127.0.0.1", "http", "127.0.0.1:8000")


def test_the_client_is_the_right_most_that_is_no_named_proxy() -> None:
    chain = "198.51.100.7, 203.0.113.9, 10.1.2.3, 10.0.0.2"
    assert seen("10.0.0.1", "10.0.0.0/8", x_forwarded_for=chain)[0] == "203.0.113.9"
    assert seen("10.0.0.1", "10.0.0.1", x_forwarded_for=chain)[0] == "10.0.0.2"


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.0/33", "0.0.0.0/0", "::/0"])
def test_what_names_no_proxy_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="ARCID_TRUSTED_PROXIES"):
        Settings.load(trusted_proxies=wrong, api_keys=KEY)


def test_a_proxy_needs_keys() -> None:
    with pytest.raises(ConfigError, match="ARCID_API_KEYS"):
        Settings.load(trusted_proxies="127.0.0.1").check_exposed()
    Settings.load(trusted_proxies="127.0.0.1", api_keys=KEY).check_exposed()

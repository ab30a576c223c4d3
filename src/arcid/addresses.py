"""Which hosts arcid opens connections to for somebody who named an address.

Cameras and receivers of events live on loopback and in private networks, so those are ordinary.
Link-local addresses are not: nobody keeps a camera there on purpose, and in a cloud they answer
with the machine's credentials. They are refused unless ``ARCID_ALLOW_LINK_LOCAL=1``, however they
are written (decimal, IPv4 in IPv6) and wherever they come from (a name's answer, a redirect): what
is checked is the address a connection is made to. ``public`` asks for more: an address of the
internet, whatever the variable says.
"""

from __future__ import annotations

import functools
import http.client
import ipaddress
import os
import re
import socket
import urllib.request
from typing import Any
from urllib.parse import SplitResult, urlsplit

from arcid.errors import ConfigError, UsageError

ALLOW = "ARCID_ALLOW_LINK_LOCAL"
#: Services of clouds that hand out credentials, and are not at a link-local address.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)
_NAMES = ("metadata", "metadata.google.internal", "metadata.goog", "instance-data",
          "instance-data.ec2.internal")  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


class AddressRefused(UsageError):
    """A link-local or metadata address, which has to be allowed by a setting first."""

    code = "address_refused"


def refuse_literal(host: str) -> None:
    """Raise ``AddressRefused`` for a host that needs no resolving to be recognised."""
    if _allowed() or not host:
        return
    name = host.rstrip(".").lower()
    try:
        answers = socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        answers = []
    if name in _NAMES or any(_is_refused(str(answer[4][0])) for answer in answers):
        raise _refused(host)


def check_url(url: str, whose: str) -> None:
    """Raise ``UsageError`` for what no http(s) request can be sent to, ``AddressRefused``.

    ``whose``: as the message names it.
    """
    parts = split_url(url, whose)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{whose} address begins with https:// (or http://) and has a host")
    refuse_literal(parts.hostname)


def split_url(url: str, whose: str) -> SplitResult:
    """Its parts; raises ``UsageError`` for what is no address, or not written as one is sent."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{whose} address has no such host or port") from None
    if not re.fullmatch(r"[!-~]*", url):
        raise UsageError(
            f"{whose} address has a letter that no request can hold: write it as %C3%A4 is "
            "written for ä, and a host as xn--…"
        )
    return parts


def resolve(host: str, port: int, *, public: bool = False) -> list[tuple[Any, ...]]:
    """What ``socket.getaddrinfo`` says, without refused addresses.

    Raises ``AddressRefused`` where none is left, and ``OSError`` where the name has no address.
    """
    if not public:
        refuse_literal(host)
    try:
        answers: list[tuple[Any, ...]] = list(
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except UnicodeError:
        raise OSError(f"{host!r} is no host name") from None
    if not public and _allowed():
        return answers
    kept = [answer for answer in answers if not _is_refused(str(answer[4][0]), public)]
    if not kept:
        raise _not_public(host) if public else _refused(host)
    return kept


def connect(
    address: tuple[str, int], timeout: Any = None, source: Any = None, *, public: bool = False
) -> socket.socket:
    """``socket.create_connection`` to an address that was looked at. Raises as ``resolve`` does."""
    failed: OSError | None = None
    for family, kind, protocol, _, where in resolve(*address, public=public):
        connection = socket.socket(family, kind, protocol)
        try:
            if isinstance(timeout, (int, float)):
                connection.settimeout(timeout)
            if source:
                connection.bind(source)
            connection.connect(where)
            return connection
        except OSError as error:
            connection.close()
            failed = error
    raise failed or OSError("no address")


def public_https(host: str, port: int, timeout_s: float) -> http.client.HTTPSConnection:
    """A connection to an address of the internet, its certificate checked; without a proxy."""
    made = _SecureConnection(host, port, timeout=timeout_s)
    made._create_connection = functools.partial(connect, public=True)
    return made


def opener(*handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """Opens http and https addresses, redirects included, through ``connect``."""
    return urllib.request.build_opener(_Http(), _Https(), *handlers)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that points elsewhere, wherever that is, is an ``HTTPError``: what was sent goes to
    one host alone."""

    def http_error_302(self, *args: Any, **kwargs: Any) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Connection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = connect


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, request)


def _is_refused(address: str, public: bool = False) -> bool:
    whole = ipaddress.ip_address(address.partition("%")[0])
    found: list[Any] = [whole]
    if isinstance(whole, ipaddress.IPv6Address):
        if whole in _NAT64 or whole in _COMPATIBLE:
            found.append(ipaddress.IPv4Address(int(whole) & 0xFFFFFFFF))
        teredo = whole.teredo
        found += [whole.ipv4_mapped, whole.sixtofour, *(teredo or ())]
    return any(
        ip is not None and (ip.is_link_local or ip in _METADATA or (public and not _is_public(ip)))
        for ip in found
    )


def _is_public(ip: Any) -> bool:
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _allowed() -> bool:
    value = os.environ.get(ALLOW, "").strip().lower()
    if value not in ("", "0", "1", "false", "true", "no", "yes"):
        raise ConfigError(f"{ALLOW} is 1 or 0, not {value!r}")
    return value in ("1", "true", "yes")


def _refused(host: str) -> AddressRefused:
    return AddressRefused(
        f"{host} is a link-local or metadata address, and arcid does not connect to those; where "
        f"a camera or receiver really is there, set {ALLOW}=1"
    )


def _not_public(host: str) -> AddressRefused:
    return AddressRefused(f"{host} is no host of the internet, and nothing is fetched from others")


__all__ = [
    "ALLOW",
    "AddressRefused",
    "check_url",
    "connect",
    "opener",
    "public_https",
    "refuse_literal",
    "resolve",
    "split_url",
]

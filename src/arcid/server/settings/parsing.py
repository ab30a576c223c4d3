"""How the text of a variable becomes a value, or why it cannot."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

MIN_KEY_LENGTH = 16
UNIX = "unix"  # whoever comes through a Unix socket, where others have an address
HOW_TO_MAKE_A_KEY = "python -c 'import secrets; print(secrets.token_urlsafe(32))' makes one"
MIN_GUESSES_LOG10 = 10.0
READ_OF_A_KEY = 72  # characters; estimating more takes long and changes nothing
_PLACEHOLDER = re.compile(
    "arcid|change|replace|insert|enter|place|holder|example|sample|default|dummy|demo|test|todo|"
    "secret|password|token|value|api|key|please|your|this|here|now|put|the|my|me|xxx+",
    re.IGNORECASE,
)


def hash_keys(value: str | Sequence[str]) -> tuple[str, ...]:
    """Comma-separated API keys in; their sha256 out, which is all that is kept of them."""
    keys = value.split(",") if isinstance(value, str) else list(value)
    keys = [key.strip() for key in keys if key.strip()]
    for number, key in enumerate(keys, 1):
        if len(key) < MIN_KEY_LENGTH or not key.isascii():
            raise ValueError(
                f"every API key needs at least {MIN_KEY_LENGTH} ASCII characters, and key {number} "
                f"of {len(keys)} has not; {HOW_TO_MAKE_A_KEY}"
            )
        if is_guessable(key):
            raise ValueError(
                f"API key {number} of {len(keys)} is too easy to guess (a repetition, a sequence, "
                f"a common password or a placeholder); {HOW_TO_MAKE_A_KEY}"
            )
    return tuple(hashlib.sha256(key.encode()).hexdigest() for key in keys)


def is_guessable(key: str) -> bool:
    """Whether zxcvbn finds what is left without a placeholder's words in 10¹⁰ guesses."""
    from zxcvbn import zxcvbn

    own = _PLACEHOLDER.sub("", key)[:READ_OF_A_KEY]
    return not own or float(zxcvbn(own)["guesses_log10"]) < MIN_GUESSES_LOG10


def networks(value: str | Sequence[str]) -> tuple[str, ...]:
    """Comma-separated addresses and networks in; the same, in their usual form, out."""
    names = value.split(",") if isinstance(value, str) else list(value)
    found = []
    for name in filter(None, map(str.strip, names)):
        if name == UNIX:
            found.append(name)
            continue
        try:
            network = ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise ValueError(
                "give addresses (192.0.2.7), networks (192.0.2.0/24) or unix, separated by commas"
            ) from None
        if network.prefixlen == 0:
            raise ValueError(f"{network} is everybody: name the proxies only")
        single = network.prefixlen == network.max_prefixlen
        found.append(str(network.network_address if single else network))
    return tuple(found)


def listed(value: str | Sequence[str]) -> tuple[str, ...]:
    """Text separated by commas, or a list; the parts that are not empty out."""
    parts = value.split(",") if isinstance(value, str) else list(value)
    return tuple(filter(None, map(str.strip, parts)))


def hosts(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names of hosts, each with ``:PORT`` where it is not 443; without https:// and path."""
    found = []
    for name in listed(value):
        parts = urlsplit(f"//{name}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if not parts.hostname or parts.netloc != name or "@" in name or port in (0, -1):
            raise ValueError("give hosts as photos.example or photos.example:8443")
        found.append(parts.hostname if port in (None, 443) else f"{parts.hostname}:{port}")
    return tuple(found)


def origin_of(value: str | None) -> str | None:
    """An https address without a path, or an http one of this machine; as browsers write it."""
    if value is None:
        return None
    parts = urlsplit(value.strip().rstrip("/"))
    try:
        port = parts.port
    except ValueError:
        port = -1
    name = parts.hostname or ""
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(name))
    more = parts.path or parts.query or parts.fragment or parts.username or parts.password
    if not safe or not name or more or port == -1 or not value.isascii():
        raise ValueError(
            "give https:// and a host, and a port where it is not 443, without a path; http:// is "
            "for localhost only"
        )
    shown = f"[{name}]" if ":" in name else name
    usual = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{shown}" + ("" if port in (None, usual) else f":{port}")


def origins(value: str | Sequence[str]) -> tuple[str, ...]:
    """Origins separated by commas, each as browsers write it; no pattern and no ``*``."""
    if any("*" in one for one in listed(value)):
        raise ValueError("give exact origins: * would let every page in")
    return tuple(dict.fromkeys(filter(None, map(origin_of, listed(value)))))


def issuer_of(value: str | None) -> str | None:
    """As the provider writes it itself; a path is fine."""
    if value is not None:
        parts = urlsplit(value)
        origin_of(f"{parts.scheme}://{parts.netloc}")
        if parts.query or parts.fragment:
            raise ValueError("an issuer has no ? and no #")
    return value


def pairs(value: str | Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """``a=b,c=d``, or a list of pairs; what stands before the last = may have others in it."""
    if not isinstance(value, str):
        return tuple((str(left), str(right)) for left, right in value)
    found = []
    for part in filter(None, map(str.strip, value.split(","))):
        left, sign, right = part.rpartition("=")
        if not sign or not left.strip() or not right.strip():
            raise ValueError("give group=role, separated by commas")
        found.append((left.strip(), right.strip()))
    return tuple(found)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(listed)]

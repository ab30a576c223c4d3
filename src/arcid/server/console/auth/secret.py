"""The console's key, ``console.key`` in ``ARCID_HOME``: it signs session cookies.

It also seals the addresses of cameras where it was there before them (``arcid.cameras.sealing``).
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from arcid.keys import load_key

NAME = "console.key"


def is_set_up(folder: Path) -> bool:
    """Whether somebody has signed in here once: the key is made then, and not before."""
    return (folder / NAME).exists()


def load_secret(folder: Path) -> bytes:
    """Read the key, making it where there is none. Raises ``ConfigError``."""
    return load_key(
        folder / NAME,
        "everybody then signs in again, and camera addresses have to be entered again",
    )


def sign(secret: bytes, token: str) -> str:
    """``token.signature``, as the cookie carries it."""
    return f"{token}.{_signature(secret, token)}"


def unsign(secret: bytes, value: str) -> str | None:
    """The token of a cookie this service signed; None for any other."""
    token, _, signature = value.rpartition(".")
    if not token or not value.isascii():
        return None
    return token if hmac.compare_digest(signature, _signature(secret, token)) else None


def _signature(secret: bytes, token: str) -> str:
    return hmac.new(secret, b"arcid-session:" + token.encode(), hashlib.sha256).hexdigest()

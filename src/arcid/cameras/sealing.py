"""Addresses of streams as the database holds them: AES-256-GCM, bound to the row they stand in.

The key is derived (HKDF-SHA256) from ``console.key`` in ``ARCID_HOME`` where the console was set up
before the first camera, else from ``cameras.key``, which the first address makes.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from arcid.errors import ArcidError
from arcid.keys import load_key

SEALED = "sealed:1:"
NAMES = ("cameras.key", "console.key")  # the first that is there
IF_DELETED = "addresses of cameras then have to be entered again"


class SealBroken(ArcidError):
    """Sealed with another key, for another row, or changed since."""

    code = "seal_broken"


def find_key(folder: Path) -> bytes | None:
    """None where nothing was sealed yet. Raises ``ConfigError``."""
    path = next((folder / name for name in NAMES if (folder / name).exists()), None)
    return None if path is None else load_key(path, IF_DELETED)


def find_or_make_key(folder: Path) -> bytes:
    """Raises ``ConfigError``."""
    return find_key(folder) or load_key(folder / NAMES[0], IF_DELETED)


def seal(key: bytes, row: str, text: str) -> str:
    """``sealed:1:…``, which ``unseal`` reads with the same key for the same row only."""
    nonce = os.urandom(12)
    sealed = _cipher(key).encrypt(nonce, text.encode(), row.encode())
    return SEALED + base64.b64encode(nonce + sealed).decode()


def unseal(key: bytes, row: str, sealed: str) -> str:
    """Raises ``SealBroken``."""
    from cryptography.exceptions import InvalidTag

    try:
        data = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        text: bytes = _cipher(key).decrypt(data[:12], data[12:], row.encode())
        return text.decode()
    except (InvalidTag, ValueError):
        raise SealBroken("this was sealed with another key") from None


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"arcid-camera-source").derive(key))

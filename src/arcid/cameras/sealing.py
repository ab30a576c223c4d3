"""Addresses of streams as the database holds them: AES-256-GCM, bound to the row they stand in.

The key is derived (HKDF-SHA256) from ``console.key`` in ``ARCID_HOME`` where the console was set up
before the first camera, else from ``cameras.key``, which the first address makes. Where both are
there, either opens what it sealed: one may have been put back after the other was made.
"""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from arcid.errors import ConfigError, SealBroken
from arcid.keys import load_key

SEALED = "sealed:1:"
NAMES = ("cameras.key", "console.key")  # the first that is there seals
PURPOSE = b"arcid-camera-source"  # of the derived key; another seals what is no address
IF_DELETED = "addresses of cameras then have to be entered again"


def find_keys(folder: Path) -> list[bytes]:
    """Those there are that can be read."""
    found = []
    for path in _paths(folder):
        with suppress(ConfigError):
            found.append(load_key(path, IF_DELETED))
    return found


def sealing_key(folder: Path) -> bytes:
    """What addresses are sealed with from now on, made where there is none. Raises
    ``ConfigError``."""
    path = next(iter(_paths(folder)), folder / NAMES[0])
    return load_key(path, IF_DELETED)


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if (folder / name).exists()]


def seal(key: bytes, row: str, text: str, purpose: bytes = PURPOSE) -> str:
    """``sealed:1:…``, which ``unseal`` reads with the same key, row and purpose only."""
    nonce = os.urandom(12)
    sealed = _cipher(key, purpose).encrypt(nonce, text.encode(), row.encode())
    return SEALED + base64.b64encode(nonce + sealed).decode()


def unseal(key: bytes, row: str, sealed: str, purpose: bytes = PURPOSE) -> str:
    """Raises ``SealBroken``."""
    from cryptography.exceptions import InvalidTag

    try:
        data = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        text: bytes = _cipher(key, purpose).decrypt(data[:12], data[12:], row.encode())
        return text.decode()
    except (InvalidTag, ValueError):
        raise SealBroken("this was sealed with another key") from None


def _cipher(key: bytes, purpose: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), 32, salt=None, info=purpose).derive(key))

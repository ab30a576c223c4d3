"""Short texts as a database holds them: AES-256-GCM, bound to the row they stand in.

The key is derived (HKDF-SHA256) from a key file for one purpose; another seals nothing of it.
"""

from __future__ import annotations

import base64
import os
from typing import Any

from arcid.errors import SealBroken

SEALED = "sealed:1:"


def seal(key: bytes, row: str, text: str, purpose: bytes) -> str:
    """``sealed:1:…``, which ``unseal`` reads with the same key, row and purpose only."""
    nonce = os.urandom(12)
    sealed = _cipher(key, purpose).encrypt(nonce, text.encode(), row.encode())
    return SEALED + base64.b64encode(nonce + sealed).decode()


def unseal(key: bytes, row: str, sealed: str, purpose: bytes) -> str:
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

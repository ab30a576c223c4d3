"""The console's key: 32 random bytes in ``ARCID_HOME``, for its owner only.

It signs session cookies and seals what the database may hold only unreadable: AES-256-GCM under a
key derived from it (HKDF-SHA256), bound to the row it stands in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

from arcid.errors import ArcidError, ConfigError

log = logging.getLogger(__name__)
NAME = "console.key"
LENGTH = 32
SEALED = "sealed:1:"
STALE_S = 60.0  # a younger draft may be another process's, at work
_DRAFT = re.compile(re.escape(NAME) + r"\.[0-9a-f]{16}")


class SealBroken(ArcidError):
    """Sealed with another key, for another row, or changed since."""

    code = "seal_broken"


def is_set_up(folder: Path) -> bool:
    """Whether somebody has signed in here once: the key is made then, and not before."""
    return (folder / NAME).exists()


def load_secret(folder: Path) -> bytes:
    """Read the key, making it where there is none. Raises ``ConfigError``."""
    path = folder / NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        _clear_drafts(folder)
        if path.stat().st_mode & 0o077:
            log.warning("console.key was readable by others; its rights were taken back")
            path.chmod(0o600)
        secret = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{NAME} in ARCID_HOME cannot be used ({type(error).__name__}); make the folder "
            "writable, or delete the file: everybody then signs in again, and camera addresses "
            "have to be entered again"
        ) from None
    if len(secret) != LENGTH:
        raise ConfigError(
            f"{NAME} in ARCID_HOME is damaged; put a copy back, or delete it: everybody then signs "
            "in again, and camera addresses have to be entered again"
        )
    return secret


def _make(path: Path) -> None:
    """Written aside and linked into place, so that a second process never reads half a key."""
    draft = path.with_name(f"{NAME}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(LENGTH))
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _clear_drafts(folder: Path) -> None:
    """A process that was killed while it made a key left another one beside it."""
    for draft in folder.glob(f"{NAME}.*"):
        if _DRAFT.fullmatch(draft.name) and draft.stat().st_mtime < time.time() - STALE_S:
            draft.unlink(missing_ok=True)


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


def seal(secret: bytes, row: str, text: str) -> str:
    """``sealed:1:…``, which ``unseal`` reads with the same key for the same row only."""
    nonce = os.urandom(12)
    sealed = _cipher(secret).encrypt(nonce, text.encode(), row.encode())
    return SEALED + base64.b64encode(nonce + sealed).decode()


def unseal(secret: bytes, row: str, sealed: str) -> str:
    """Raises ``SealBroken``."""
    from cryptography.exceptions import InvalidTag

    try:
        data = base64.b64decode(sealed.removeprefix(SEALED), validate=True)
        text: bytes = _cipher(secret).decrypt(data[:12], data[12:], row.encode())
        return text.decode()
    except (InvalidTag, ValueError):
        raise SealBroken("this was sealed with another key") from None


def _cipher(secret: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"arcid-camera-source").derive(secret))

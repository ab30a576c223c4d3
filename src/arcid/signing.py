"""Small JSON files that anybody can verify offline: signed with Ed25519 (RFC 8032).

    {"payload": {…}, "public_key": hex, "signature": hex}

The signature is over the canonical JSON of ``payload``: sorted keys, no blanks, ASCII. A file is
written in that form and read in no other, so that no byte of it can be changed. A whole file signed
anew by another key passes unless the fingerprint of ours is asked for: publish it, and verify with
it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.errors import EvidenceInvalid
from arcid.extras import require
from arcid.keys import load_key

KEY_NAME = "signing.key"  # of receipts and seals
IF_DELETED = "receipts and seals from then on are signed by another key; the old ones stay valid"
LEAST_DIGITS = 16  # of a fingerprint that is asked for


@dataclass(frozen=True, slots=True)
class Kind:
    """What is signed, as its payload says it."""

    format: str
    version: int
    what: str  # for people
    max_bytes: int


class Signer:
    """Signs with a key of an ``ARCID_HOME``, made where there is none. Raises ``ConfigError``."""

    def __init__(self, home: Path, name: str = KEY_NAME, if_deleted: str = IF_DELETED) -> None:
        require("signing", "server", "cryptography")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(load_key(home / name, if_deleted))
        self.public = self._key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """sha256 of the public key, hex: what is published, and asked for when verifying."""
        return fingerprint_of(self.public)

    def sign(self, kind: Kind, payload: dict[str, Any]) -> bytes:
        """The whole file."""
        payload = {"format": kind.format, "version": kind.version, **payload}
        return file_of(payload, self.public, self._key.sign(canonical(payload)))


def verify(data: bytes, kind: Kind, fingerprint: str | None = None) -> tuple[dict[str, Any], str]:
    """The payload, and the fingerprint of the key that signed it.

    ``fingerprint``: of the key that must have, or its first 16 hex digits or more. Raises
    ``EvidenceInvalid`` unless every byte is as it was signed.
    """
    require(f"verifying a {kind.what}", "server", "cryptography")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(data) > kind.max_bytes:
        raise EvidenceInvalid(
            f"the file has {len(data)} bytes; a {kind.what} has at most {kind.max_bytes}"
        )
    try:
        found = json.loads(data)
        payload, key, signature = (found[k] for k in ("payload", "public_key", "signature"))
        public, signed = bytes.fromhex(key), bytes.fromhex(signature)
        exact = isinstance(payload, dict) and data == file_of(payload, public, signed)
        known = (payload["format"], payload["version"]) == (kind.format, kind.version)
        Ed25519PublicKey.from_public_bytes(public).verify(signed, canonical(payload))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EvidenceInvalid(f"this is no {kind.what} of arcid, or it was damaged") from None
    except InvalidSignature:
        raise EvidenceInvalid("the content is not what was signed: it was changed") from None
    if not exact or not known:
        raise EvidenceInvalid("the file is not in the form that was signed: it was changed")
    own = fingerprint_of(public)
    if fingerprint is not None:
        wanted = fingerprint.replace(":", "").replace(" ", "").lower()
        if len(wanted) < LEAST_DIGITS or not own.startswith(wanted):
            raise EvidenceInvalid(
                f"it was signed by another key ({own[:16]}…) than the one asked for; if that was "
                "shorter than 16 hex digits, give more of it"
            )
    return payload, own


def fingerprint_of(public: bytes) -> str:
    """sha256 of a public key, hex."""
    return hashlib.sha256(public).hexdigest()


def file_of(payload: dict[str, Any], public: bytes, signature: bytes) -> bytes:
    whole = {"payload": payload, "public_key": public.hex(), "signature": signature.hex()}
    return canonical(whole) + b"\n"


def canonical(value: Any) -> bytes:
    """Sorted keys, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

"""What was decided, on what grounds, signed: one JSON file that anybody can verify offline.

    {"payload": {…}, "public_key": hex, "signature": hex}

The signature (Ed25519, RFC 8032) is over the canonical JSON of ``payload``: sorted keys, no blanks,
ASCII. A file is written in that form and read in no other, so that no byte of it can be changed. A
whole file signed anew by another key passes unless the fingerprint of ours is asked for: publish
it, and verify with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.errors import EvidenceInvalid
from arcid.extras import require
from arcid.keys import load_key

FORMAT = "arcid-onboarding-evidence"
VERSION = 1
KEY_NAME = "onboarding.key"
IF_DELETED = "evidence from then on is signed by another key; what was written stays valid"
MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, repr=False)
class Evidence:
    """A verified file."""

    payload: dict[str, Any]
    fingerprint: str  # of the key that signed it

    def __repr__(self) -> str:
        return f"Evidence(signed by {self.fingerprint[:16]}…)"

    def picture(self, role: str) -> bytes | None:
        """JPEG of a kept picture."""
        found = self.payload["pictures"].get(role)
        return None if found is None else base64.b64decode(found["jpeg"])


class Signer:
    """Signs with the key of an ``ARCID_HOME``, made where there is none."""

    def __init__(self, home: Path) -> None:
        require("signing evidence", "server", "cryptography")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = load_key(home / KEY_NAME, IF_DELETED)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """sha256 of the public key, hex: what is published, and asked for when verifying."""
        return hashlib.sha256(self._public).hexdigest()

    def sign(self, payload: dict[str, Any]) -> bytes:
        """The whole file."""
        payload = {"format": FORMAT, "version": VERSION, **payload}
        return _file(payload, self._public, self._key.sign(_canonical(payload)))


def verify(data: bytes, *, fingerprint: str | None = None) -> Evidence:
    """Raises ``EvidenceInvalid`` unless every byte is as it was signed.

    ``fingerprint``: of the key that must have signed it, or its first 16 hex digits or more.
    """
    require("verifying evidence", "server", "cryptography")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(data) > MAX_BYTES:
        raise EvidenceInvalid(f"the file has {len(data)} bytes; evidence has at most {MAX_BYTES}")
    try:
        found = json.loads(data)
        payload, key, signature = (found[k] for k in ("payload", "public_key", "signature"))
        public, signed = bytes.fromhex(key), bytes.fromhex(signature)
        exact = isinstance(payload, dict) and data == _file(payload, public, signed)
        known = (payload["format"], payload["version"]) == (FORMAT, VERSION)
        Ed25519PublicKey.from_public_bytes(public).verify(signed, _canonical(payload))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EvidenceInvalid("this is no evidence file of arcid, or it was damaged") from None
    except InvalidSignature:
        raise EvidenceInvalid("the content is not what was signed: it was changed") from None
    if not exact or not known:
        raise EvidenceInvalid("the file is not in the form that was signed: it was changed")
    own = hashlib.sha256(public).hexdigest()
    if fingerprint is not None:
        wanted = fingerprint.replace(":", "").replace(" ", "").lower()
        if len(wanted) < 16 or not own.startswith(wanted):
            raise EvidenceInvalid(
                f"it was signed by another key ({own[:16]}…) than the one asked for; if that was "
                "shorter than 16 hex digits, give more of it"
            )
    return Evidence(payload, own)


def _file(payload: dict[str, Any], public: bytes, signature: bytes) -> bytes:
    whole = {"payload": payload, "public_key": public.hex(), "signature": signature.hex()}
    return _canonical(whole) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


__all__ = ["Evidence", "Signer", "verify"]

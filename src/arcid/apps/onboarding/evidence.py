"""What was decided, on what grounds, signed: one file that anybody can verify (``signing``)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid import signing

KEY_NAME = "onboarding.key"
IF_DELETED = "evidence from then on is signed by another key; what was written stays valid"
KIND = signing.Kind("arcid-onboarding-evidence", 1, "evidence file", 32 * 2**20)


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
        self._signer = signing.Signer(home, KEY_NAME, IF_DELETED)

    @property
    def fingerprint(self) -> str:
        """sha256 of the public key, hex: what is published, and asked for when verifying."""
        return self._signer.fingerprint

    def sign(self, payload: dict[str, Any]) -> bytes:
        """The whole file."""
        return self._signer.sign(KIND, payload)


def verify(data: bytes, *, fingerprint: str | None = None) -> Evidence:
    """Raises ``EvidenceInvalid`` unless every byte is as it was signed.

    ``fingerprint``: of the key that must have signed it, or its first 16 hex digits or more.
    """
    return Evidence(*signing.verify(data, KIND, fingerprint))


__all__ = ["Evidence", "Signer", "verify"]

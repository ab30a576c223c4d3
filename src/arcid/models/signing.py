"""arcid's own signature on a bundle: Ed25519 over its name and the digest of what describes it.

    manifest.sig    {"key": "2026-11", "signature": 128 hex digits}
    signed is the text    arcid bundle 1, NAME, DIGEST: a line each, in hex (``trust.digest``)

So a bundle that was published after this version is known to be arcid's, wherever it came from.
The private keys are the maintainers'; ``scripts/sign_bundles.py`` makes signatures.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = "manifest.sig"
#: Public keys by name, 32 bytes in hex. One that is lost or stolen is taken out of here.
KEYS = {
    # the private halves of these two are lost: they verify what they signed, and sign nothing more
    "2026-11": "c994d11176645f1a951f673cfb2e4a36f95fd5c65716082bfef152f2cdf29f5e",
    "2026-11-29": "238ddaedb9b1caad269582e2dbfff95498708cfd7a647a956d7419d3c0b84e53",
    "2026-11-30": "6fcc6069f1a9082008084a7386bb14ae5d5d2c99b635c303fbda8739ee67d443",
}


def signed(folder: Path, name: str, digest: str) -> bool | None:
    """Whether the signature in a bundle's folder is arcid's over this name and digest; None where
    there is none, or by a key that this version does not know."""
    try:
        said = json.loads((folder / FILE).read_text("utf-8"))
        key, signature = KEYS.get(said["key"]), bytes.fromhex(said["signature"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return None if key is None else _is_good(bytes.fromhex(key), signature, name, digest)


def message(name: str, digest: str) -> bytes:
    """What is signed."""
    return f"arcid bundle 1\n{name}\n{digest}".encode()


def _is_good(key: bytes, signature: bytes, name: str, digest: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message(name, digest))
    except InvalidSignature:
        return False
    return True

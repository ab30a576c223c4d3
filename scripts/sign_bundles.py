"""Sign bundles as arcid's: ``manifest.sig`` in each folder.

    ARCID_SIGNING_KEY=$(cat key) python scripts/sign_bundles.py            those that ship
    ARCID_SIGNING_KEY=$(cat key) python scripts/sign_bundles.py FOLDER…    others
    python scripts/sign_bundles.py --new-key FILE                          make a key

The key is 64 hex digits and the maintainer's: it is in no repository, no image and no workflow's
log. Run ``scripts/pin_models.py`` first, and this last: a bundle that is changed afterwards is
refused.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from arcid import files, paths
from arcid.models import signing, trust

VARIABLE = "ARCID_SIGNING_KEY"


def public_hex(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the signature of a bundle. Raises ``KeyError`` where arcid does not know the key."""
    by_key = {public: name for name, public in signing.KEYS.items()}
    known = by_key[public_hex(key)]
    name = json.loads((folder / "manifest.json").read_text("utf-8"))["name"]
    signature = key.sign(signing.message(name, trust.digest(folder))).hex()
    text = json.dumps({"key": known, "signature": signature}, indent=1)
    files.write_text(folder / signing.FILE, f"{text}\n")


def main(argv: Sequence[str]) -> int:
    if argv[:1] == ["--new-key"]:
        key = Ed25519PrivateKey.generate()
        if not files.create(
            Path(argv[1]), f"{key.private_bytes_raw().hex()}\n".encode(), private=True
        ):
            print(f"{argv[1]} is there already and was not touched", file=sys.stderr)
            return 1
        print(f"add to KEYS in {signing.__file__}: {public_hex(key)}")
        return 0
    try:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(os.environ[VARIABLE].strip()))
    except (KeyError, ValueError):
        print(f"{VARIABLE} is to hold the private key, 64 hex digits", file=sys.stderr)
        return 2
    if public_hex(key) not in signing.KEYS.values():
        print(f"arcid does not know this key: add {public_hex(key)} to KEYS", file=sys.stderr)
        return 2
    shipped = sorted(path.parent for path in paths.packaged_models_dir().glob("*/manifest.json"))
    for folder in map(Path, argv) if argv else shipped:
        sign(folder, key)
        print(f"signed {folder.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

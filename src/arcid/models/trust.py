"""Who vouches for a bundle: arcid, the catalogue, whoever runs this machine, or nobody yet.

A manifest states the sha256 of its model files, but nothing states the manifest's, so whoever
writes one can claim anything. The digests of the bundles that ship are pinned here; others that
arcid made carry its signature (``signing``); those you accepted are kept in
``$ARCID_HOME/accepted-models.json``.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, Literal

from arcid import files, paths
from arcid.errors import ManifestInvalid, StorageFull, UsageError
from arcid.models import catalogue, signing
from arcid.models.manifest import Manifest, canonical_json

log = logging.getLogger(__name__)
Trust = Literal["packaged", "signed", "catalogue", "accepted", "changed", "unverified"]
VOUCHED: tuple[Trust, ...] = ("packaged", "signed", "catalogue", "accepted")
CALIBRATION = "calibration.json"
#: sha256 of the calibrations of models that do not ship.
CALIBRATIONS = {
    "mobilefacenet_128.json": "29ee60bc6584cc5bf4eccf8b3a1c4fa81c07b2349a6066404399c02db3e6a607",
    "omz_0095.json": "e70ec98bc522448c7e47f9d5fccebfe29e9bdda3b099c4ec4f9639a527b5c5d5",
    "omz_0095_onnx.json": "9af88ec71bf740ec078899847691cddec21aa9f64cd60d5d8904287975537c84",
}
DESCRIBING = ("manifest.json", CALIBRATION, "goldens.json")
#: ``digest`` of every bundle that ships; ``scripts/pin_models.py`` writes them.
PACKAGED = {
    "arcid-detect-s": "f6ae723eada40e8926d46c514089cc3467a5c51bed93e7ae6db278e0d0db4c0b",
    "arcid-face-s": "367b9d192c0496e1baa9c1fdab4f2d897fe4623cbc62a1534bbdf2cf2ae7499a",
    "arcid-face-s-1": "dee1c1b12a08faa79906c5c4d22795815d41718004b26efc071544bb3348b569",
    "arcid-face-s-2": "836c49756dadbaa4ed5a330af4d39a7839832c5fd1726851e33c7a09a7e5c063",
    "arcid-face-s-3": "c28b455d1a9fac6db16589373d0c502cebd0b2042068fc7c5dfd0251f2d649ea",
    "arcid-face-s-int8": "547d40b9cec9467250fb1eebc63abd42911b46eda3c2006ff1c097594b0563ff",
    "arcid-landmarks-s": "a7ecc838737029475f3f8d0f15faf7d4edc807b281054fd5f8174a1647411f58",
}


def digest(folder: Path) -> str:
    """sha256 over what describes a bundle; its manifest holds the sha256 of its model files."""
    found = {}
    for name in DESCRIBING:
        if (folder / name).is_file():
            found[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return hashlib.sha256(canonical_json(found)).hexdigest()


def judge(name: str, manifest: Manifest, folder: Path, *, packaged: bool = False) -> Trust:
    """Who vouches for the bundle in ``folder`` as it is now.

    ``changed``: it ships with arcid, was signed or was accepted under this name, but not with this
    content.
    """
    found = digest(folder)
    if packaged:
        return "packaged" if PACKAGED.get(name) == found else "changed"
    if _is_of_catalogue(name, manifest, folder):
        return "catalogue"
    own = signing.signed(folder, manifest.name, found)
    if own:
        return "signed"
    known = accepted()
    if found in known:
        return "accepted"
    if own is False:
        return "changed"
    return "changed" if any(row["name"] == name for row in known.values()) else "unverified"


def signature(manifest: Manifest, folder: Path) -> bool | None:
    """Whether a bundle carries arcid's signature on what it says now; None where it has none."""
    return signing.signed(folder, manifest.name, digest(folder))


def accepted() -> dict[str, dict[str, Any]]:
    """What was accepted on this machine, ``{digest: {name, at}}``. Raises ``ManifestInvalid``."""
    path = _record()
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text("utf-8"))
        return {str(key): {"name": str(row["name"]), "at": str(row["at"])}
                for key, row in rows.items()}  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ManifestInvalid(
            f"{path} cannot be read; delete it and accept your models again: arcid models accept"
        ) from None


def accept(name: str, folder: Path) -> str:
    """Vouch for the bundle as it is now; returns its digest. Raises what ``files`` does."""
    found = digest(folder)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    _store({**accepted(), found: {"name": name, "at": today}})
    return found


def accept_own(name: str, folder: Path) -> None:
    """``accept`` a bundle made on this machine; where that cannot be kept, it is only logged."""
    try:
        accept(name, folder)
    except (UsageError, StorageFull, ManifestInvalid) as error:
        log.warning("%s stays unverified: %s", name, error.message)


def withdraw(name: str) -> int:
    """Vouch for no bundle of that name any more; how many records went."""
    known = accepted()
    kept = {key: row for key, row in known.items() if row["name"] != name}
    if len(kept) < len(known):
        _store(kept)
    return len(known) - len(kept)


def _store(rows: dict[str, dict[str, Any]]) -> None:
    files.write_text(_record(), json.dumps(rows, indent=1) + "\n", private=True)


def _record() -> Path:
    return paths.home_dir() / "accepted-models.json"


def _is_of_catalogue(name: str, manifest: Manifest, folder: Path) -> bool:
    """Whether a bundle says what the catalogue says, beside where it was pulled from."""
    entry = catalogue.ENTRIES.get(name)
    if entry is None or entry.convert or (folder / CALIBRATION).exists():
        return False
    return dataclasses.replace(manifest, provenance={}) == dataclasses.replace(
        entry.manifest, provenance={}
    )


__all__ = [
    "CALIBRATIONS",
    "PACKAGED",
    "VOUCHED",
    "Trust",
    "accept",
    "accept_own",
    "accepted",
    "digest",
    "judge",
    "signature",
    "withdraw",
]

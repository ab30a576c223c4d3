"""Putting a bundle into the user's models folder: whole, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arcid import files
from arcid.errors import ModelError, UsageError
from arcid.models.manifest import Manifest

WORK = ".downloads"  # in the models folder: partial files and bundles being put together
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> None:
    """Refuse a bundle name that is no plain folder name; raises ``UsageError``."""
    if not _NAME.fullmatch(name) or name.endswith((".onnx", ".xml")) or name == "calibrations":
        raise UsageError(
            f"{name!r} cannot name a model: use up to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit and not ending in .onnx or .xml"
        )


def require_place(target: Path, *, replace: bool) -> None:
    """Refuse to write a bundle over one that is not to be replaced, and over anything else: a run
    may bear the name. Raises ``UsageError``."""
    if not target.exists():
        return
    if not (target / "manifest.json").is_file():
        raise UsageError(
            f"{target} is there already and is no bundle; it stays as it is: choose another name, "
            "or another folder"
        )
    if not replace:
        raise UsageError(f"{target} is there already; choose another name, or replace it")


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """A fresh folder on the same file system as the bundles, removed at the end."""
    try:
        (root / WORK).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=root / WORK, prefix="new-"))
    except OSError as error:
        raise ModelError(
            f"the models folder {root} cannot be written: {error.strerror}; "
            "set ARCID_MODELS to a folder of your own"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(staged: Path, manifest: Manifest, root: Path) -> Path:
    """Write the manifest into ``staged`` and give the folder its name; replaces an older one.

    Raises what ``files.publish`` and ``require_place`` do.
    """
    target = root / manifest.name
    require_place(target, replace=True)
    manifest.save(staged / "manifest.json")
    files.publish(staged, target)
    return target

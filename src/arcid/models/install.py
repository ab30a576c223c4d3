"""Putting a bundle into the user's models folder: whole, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from arcid.errors import ModelError, UsageError
from arcid.files import sync
from arcid.models.manifest import Manifest

WORK = ".downloads"  # in the models folder: partial files and bundles being put together
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> None:
    """Refuse a bundle name that is no plain folder name; raises ``UsageError``."""
    if not _NAME.fullmatch(name) or name.endswith(".onnx") or name == "calibrations":
        raise UsageError(
            f"{name!r} cannot name a model: use up to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit and not ending in .onnx"
        )


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

    A reader sees the old bundle, for an instant none, then the new one; never a mixture.
    """
    manifest.save(staged / "manifest.json")
    for file in staged.iterdir():
        sync(file)
    target = root / manifest.name
    old = staged.with_name(staged.name + "-old")
    if target.exists():
        target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        with suppress(OSError):
            old.rename(target)
        raise
    sync(root)
    shutil.rmtree(old, ignore_errors=True)
    return target

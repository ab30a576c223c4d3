"""Addresses of streams as the database holds them: AES-256-GCM, bound to the row they stand in.

The key is derived (HKDF-SHA256) from ``console.key`` in ``ARCID_HOME`` where the console was set up
before the first camera, else from ``cameras.key``, which the first address makes. Where both are
there, either opens what it sealed: one may have been put back after the other was made.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from arcid.errors import ConfigError
from arcid.keys import load_key

NAMES = ("cameras.key", "console.key")  # the first that is there seals
PURPOSE = b"arcid-camera-source"  # of the derived key; another seals what is no address
IF_DELETED = "addresses of cameras then have to be entered again"


def find_keys(folder: Path) -> list[bytes]:
    """Those there are that can be read."""
    found = []
    for path in _paths(folder):
        with suppress(ConfigError):
            found.append(load_key(path, IF_DELETED))
    return found


def sealing_key(folder: Path) -> bytes:
    """What addresses are sealed with from now on, made where there is none. Raises
    ``ConfigError``."""
    path = next(iter(_paths(folder)), folder / NAMES[0])
    return load_key(path, IF_DELETED)


def _paths(folder: Path) -> list[Path]:
    return [folder / name for name in NAMES if (folder / name).exists()]

"""Changing keys. Each step leaves everything readable, and the whole may be begun again.

First every collection gets a new key, which wraps its data keys; then the root key is exchanged.
Once the old root key is gone, older copies of the key store open nothing.
"""

from __future__ import annotations

from pathlib import Path

from arcid import files
from arcid.keys import load_key
from arcid.vault import roots
from arcid.vault.roots import IF_DELETED, Either, Local, Root
from arcid.vault.vault import Vault


def rotate(vault: Vault, to: str | None = None) -> int:
    """New keys for collections and, where it is in a file, a new root key; how many data keys were
    wrapped anew.

    ``to``: another place for the root key, as ``ARCID_ROOT_KEY`` names it; set that afterwards.
    Raises ``KeyUnavailable``, ``ConfigError``.
    """
    done = vault.renew_collections()
    if to is not None:
        vault.change_root(roots.find(True, to))
    elif (path := roots.file_of_root()) is not None:
        _exchange(vault, path)
    return done


def _exchange(vault: Vault, path: Path) -> None:
    upcoming = roots.next_file(path)
    old = Local(load_key(path, IF_DELETED), path.name)
    new: Root = Local(load_key(upcoming, IF_DELETED), path.name)
    vault.use(Either(old, new))
    vault.change_root(new)
    files.write_bytes(path, upcoming.read_bytes(), private=True)
    upcoming.unlink()
    vault.change_root(new)  # what another process wrapped with the old one in between
    vault.use(new)

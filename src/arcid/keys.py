"""Key files: 32 random bytes in a folder of arcid's, for their owner only."""

from __future__ import annotations

import logging
import re
import secrets
import time
from pathlib import Path

from arcid import files
from arcid.errors import ConfigError, StorageFull, UsageError

log = logging.getLogger(__name__)
LENGTH = 32
STALE_S = 60.0  # a younger draft may be another process's, at work


def load_key(path: Path, if_deleted: str) -> bytes:
    """Read a key, making it where there is none. Raises ``ConfigError``.

    ``if_deleted``: what follows from deleting the file, for the message.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        _clear_drafts(path)
        if path.stat().st_mode & 0o077:
            log.warning("%s was readable by others; its rights were taken back", path.name)
            path.chmod(0o600)
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError, UsageError, StorageFull) as error:
        raise ConfigError(
            f"{path.name} in ARCID_HOME cannot be used ({type(error).__name__}); make the folder "
            f"writable, or delete the file: {if_deleted}"
        ) from None
    if len(key) != LENGTH:
        raise ConfigError(
            f"{path.name} in ARCID_HOME is damaged; put a copy back, or delete it: {if_deleted}"
        )
    return key


def _make(path: Path) -> None:
    """A second process never reads half a key; the first one's counts."""
    files.create(path, secrets.token_hex(LENGTH).encode(), private=True)


def _clear_drafts(path: Path) -> None:
    """A process that was killed while it made a key left another one beside it."""
    pattern = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}")
    for draft in path.parent.glob(f"{path.name}.*"):
        if pattern.fullmatch(draft.name) and draft.stat().st_mtime < time.time() - STALE_S:
            draft.unlink(missing_ok=True)

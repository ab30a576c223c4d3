"""A little disk space put by, so that deleting works where there is none left: ``FILE-spare``.

Deleting writes before it frees anything. On a full disk the spare file goes first.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from arcid import files

SIZE = 4 << 20
_PLENTY = 2 * SIZE  # a disk with less than this free keeps what it has


class Spare:
    """The file beside a database. What cannot be done is not done: nothing here raises."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + "-spare")
        self._database = database

    def keep(self) -> None:
        """Put space by, where there is plenty."""
        try:
            if self.path.exists() or self._free() < _PLENTY:
                return
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(b"\0" * SIZE)
            files.share_as(self.path, self._database)
        except OSError:
            self.release()

    def needed(self) -> bool:
        """Whether the disk is so full that deleting may need it."""
        try:
            return self._free() < SIZE
        except OSError:
            return False

    def release(self) -> None:
        """Give the space back."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return

    def _free(self) -> int:
        return shutil.disk_usage(self.path.parent).free

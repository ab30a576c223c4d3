"""Files that only their owner may read: lists that name people, pictures that show them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO


def open_private(path: Path) -> BinaryIO:
    """Open for writing with mode 0600, whatever was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_private_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV that ``data.keep`` and spreadsheets read; file names need not be valid text."""
    with io.TextIOWrapper(
        open_private(path), encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


__all__ = ["open_private", "write_private_csv"]

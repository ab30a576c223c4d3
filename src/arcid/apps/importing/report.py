"""What did not come along and why, as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from arcid import files
from arcid.apps.importing.items import Left
from arcid.errors import UsageError

COLUMNS = ("item", "person", "code", "message")


def require(path: Path) -> None:
    """Raise ``UsageError`` before the work where ``write`` could not write there."""
    if path.suffix.lower() not in (".json", ".csv"):
        raise UsageError(f"a report ends with .json or .csv, not {path.suffix or 'nothing'}")
    files.require_place(path)


def write(path: Path, left: Sequence[Left]) -> None:
    """For its owner alone: it names people."""
    require(path)
    rows = [one.to_dict() for one in left]
    text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    if path.suffix.lower() == ".csv":
        text = files.csv_text(COLUMNS, [tuple(row.values()) for row in rows])
    files.write_text(path, text, private=True)

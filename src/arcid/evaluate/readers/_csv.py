"""The rows of a CSV file that somebody else wrote."""

from __future__ import annotations

import csv
from pathlib import Path

from arcid.errors import DatasetInvalid


def numbered_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Every row that is not blank, with the number of its (last) line. Raises
    ``DatasetInvalid``."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            return [(reader.line_num, row) for row in reader if any(c.strip() for c in row)]
    except OSError as error:
        raise DatasetInvalid(f"{path.name} cannot be opened: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path.name} is not CSV in UTF-8: {error}") from None

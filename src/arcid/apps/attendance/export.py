"""Sheets and events as tables, and tables as CSV, XLSX and JSON.

Names come from people, and spreadsheets run text that looks like a formula; such text is written so
that it stays text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from arcid import files
from arcid.apps.attendance.clocks import local
from arcid.apps.attendance.sheets import Day, Month
from arcid.errors import MissingExtra, UsageError
from arcid.events import Event

Cell = str | int | float | bool | date | datetime | None
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}
_MAX_CELL = 32_000  # characters a spreadsheet takes


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns and rows; times carry their zone."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def events_table(events: Iterable[Event], *, zone: tzinfo | None = None) -> Table:
    """One row an event, with the numbers it was decided on."""
    columns = (
        "at", "kind", "name", "person_id", "camera", "place", "cosine", "cosine_threshold",
        "target_fpir", "gallery_size", "contract_id", "calibration_id", "corrections", "actor",
        "note", "id",
    )  # fmt: skip
    rows = [
        (
            local(event.at, zone), event.kind, event.name, event.person_id, event.camera,
            event.place,
            *(_number(event.grounds.get(key)) for key in columns[6:9]),
            event.grounds.get("gallery_size"), event.grounds.get("contract_id"),
            event.grounds.get("calibration_id"), len(event.corrections), event.actor, event.note,
            event.id,
        )
        for event in events
    ]  # fmt: skip
    return Table("Events", columns, tuple(rows))


def day_table(sheet: Day) -> Table:
    columns = (
        "date", "name", "first_in", "last_out", "hours", "absent", "still_there", "incomplete",
        "person_id",
    )  # fmt: skip
    rows = [
        (
            sheet.day, row.name, row.first_in, row.last_out, row.hours, row.absent,
            row.still_there, row.incomplete, row.person_id,
        )
        for row in sheet.rows
    ]  # fmt: skip
    return Table(f"Day {sheet.day.isoformat()}", columns, tuple(rows))


def month_table(sheet: Month) -> Table:
    """One row a person and day; days to come are left out."""
    columns = ("date", "name", "first_in", "last_out", "hours", "absent", "incomplete", "person_id")
    rows = [
        (day, entry.name, entry.first_in, entry.last_out, entry.hours, entry.absent,
         entry.incomplete, entry.person_id)
        for row in sheet.rows
        for day, entry in zip(sheet.days, row.days, strict=True)
        if entry is not None
    ]  # fmt: skip
    return Table(f"Month {sheet.days[0]:%Y-%m}", columns, tuple(rows))


def kind_of(path: Path) -> str:
    """Which kind of file the name's ending asks for. Raises ``UsageError``."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in MEDIA:
        raise UsageError(f"tables are written as .csv, .xlsx or .json, not as {path.name}")
    return kind


def written(table: Table, kind: str) -> bytes:
    """A table as a file of that kind: csv, xlsx or json. Raises ``UsageError``."""
    if kind == "csv":
        return csv_text(table).encode()
    if kind == "json":
        return json_text(table).encode()
    if kind == "xlsx":
        return xlsx_bytes(table)
    raise UsageError(f"tables are written as csv, xlsx or json, not {kind!r}")


def csv_text(table: Table) -> str:
    """CSV with a header row; times in ISO 8601. Text like a formula is led by an apostrophe."""
    return files.csv_text(table.columns, ([_plain(cell) for cell in row] for row in table.rows))


def json_text(table: Table) -> str:
    """A JSON list of objects, one a row."""
    rows = [dict(zip(table.columns, map(_json, row), strict=True)) for row in table.rows]
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def xlsx_bytes(table: Table) -> bytes:
    """A workbook with one sheet; text is text, times are local times. Raises ``MissingExtra``."""
    try:
        import xlsxwriter
    except ModuleNotFoundError:
        raise MissingExtra("writing XLSX", "attendance") from None
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    book = xlsxwriter.Workbook(buffer, options)
    sheet = book.add_worksheet(table.title[:31])
    bold = book.add_format({"bold": True})
    times = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    days = book.add_format({"num_format": "yyyy-mm-dd"})
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(table.columns):
        sheet.write_string(0, column, name, bold)
        sheet.set_column(column, column, 20 if name in ("name", "at") else 16)
    for line, row in enumerate(table.rows, 1):
        for column, cell in enumerate(row):
            if isinstance(cell, bool):
                sheet.write_boolean(line, column, cell)
            elif isinstance(cell, datetime):
                sheet.write_datetime(line, column, cell.replace(tzinfo=None, microsecond=0), times)
            elif isinstance(cell, date):
                sheet.write_datetime(line, column, datetime(cell.year, cell.month, cell.day), days)
            elif isinstance(cell, (int, float)):
                sheet.write_number(line, column, cell)
            elif cell is not None:
                sheet.write_string(line, column, cell[:_MAX_CELL])
    book.close()
    return buffer.getvalue()


def _plain(cell: Cell) -> Any:
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "" if cell is None else cell


def _json(cell: Cell) -> Any:
    return cell.isoformat() if isinstance(cell, (date, datetime)) else cell


def _number(value: Any) -> float | None:
    return round(float(value), 6) if isinstance(value, (int, float)) else None

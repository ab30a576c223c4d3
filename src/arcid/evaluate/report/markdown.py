"""A report as Markdown, for a model card: numbers only, no pictures, no plots."""

from __future__ import annotations

from collections.abc import Sequence

from arcid.evaluate.report.document import NOTHING, Document, Table


def text(document: Document) -> str:
    """Headings, headline numbers, tables, provenance."""
    parts = [f"# {_plain(document.title)}", _plain(document.lede)]
    parts += [f"> {_plain(w)}" for w in document.warnings]
    if document.cards:
        rows = [(c.label, c.value, c.detail) for c in document.cards]
        parts.append(_table(Table("", ("", "value", ""), rows)))
    for table in document.tables:
        parts += [f"## {_plain(table.title)}", _table(table) if table.rows else NOTHING]
        if table.note:
            parts.append(_plain(table.note))
    if document.facts:
        parts += [
            "## How this was measured",
            _table(Table("", ("", ""), [*document.facts.items()])),
        ]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [_row(table.columns), "|" + "---|" * len(table.columns)]
    return "\n".join([*lines, *(_row(row) for row in table.rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(c) for c in cells) + " |"


def _plain(value: str) -> str:
    """One line that cannot break a table or start markup."""
    line = " ".join(value.split())
    return line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")

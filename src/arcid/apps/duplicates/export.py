"""Pairs as text for other programs and for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from arcid.apps.duplicates.records import Pair
from arcid.files import csv_text as _csv

COLUMNS = (
    "pair", "state", "cosine", "probability", "fmr", "templates", "same_photo", "a_id", "a_name",
    "a_collection", "a_face", "b_id", "b_name", "b_collection", "b_face", "run", "found_at",
)  # fmt: skip


def csv_text(pairs: Iterable[Pair]) -> str:
    """A line a pair, most probable first; no cell runs as a formula."""
    return _csv(COLUMNS, map(_cells, pairs))


def json_text(pairs: Iterable[Pair]) -> str:
    """One JSON list."""
    return json.dumps([pair.to_dict() for pair in pairs], indent=1, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Iterable[Pair]], str]] = {"csv": csv_text, "json": json_text}
MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def _cells(pair: Pair) -> tuple[object, ...]:
    a, b = pair.a, pair.b
    return (
        pair.id, pair.state, round(pair.cosine, 6), round(pair.probability, 6), pair.fmr,
        pair.templates, int(pair.same_photo), a.person_id, a.name, a.collection, a.face_id,
        b.person_id, b.name, b.collection, b.face_id, pair.run_id, pair.found_at.isoformat(),
    )  # fmt: skip

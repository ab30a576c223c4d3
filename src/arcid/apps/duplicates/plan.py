"""Which templates a run compares with which, cut into blocks that are taken one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import UsageError
from arcid.gallery.index import Keys
from arcid.gallery.index.pairs import Panel, panel_rows
from arcid.gallery.schema import Row, changes
from arcid.gallery.store import vectors


@dataclass(frozen=True, slots=True)
class Plan:
    """Panels by the last face key of each, and how much there is to compare."""

    row_ends: list[int]
    column_ends: list[int]
    comparisons: int  # pairs of two different people's templates
    templates: int


def everybody(connection: Connection, collection: Row, made_by: Row) -> Plan:
    """Every template with every other."""
    keys, people = vectors.owners(connection, collection["id"], made_by)
    _, counts = np.unique(people, return_counts=True)
    within = int((counts.astype(np.int64) * (counts - 1) // 2).sum())
    ends = _ends(keys, made_by["dim"])
    return Plan(ends, ends, len(keys) * (len(keys) - 1) // 2 - within, len(keys))


def between(connection: Connection, collection: Row, other: Row, made_by: Row) -> Plan:
    """Every template of one collection with every one of another."""
    keys, _ = vectors.owners(connection, collection["id"], made_by)
    others, _ = vectors.owners(connection, other["id"], made_by)
    dim = made_by["dim"]
    return Plan(
        _ends(keys, dim), _ends(others, dim), len(keys) * len(others), len(keys) + len(others)
    )


def since(connection: Connection, collection: Row, made_by: Row, new: Keys) -> Plan:
    """The ``new`` templates with one another and with all others."""
    keys, people = vectors.owners(connection, collection["id"], made_by)
    mine = np.isin(keys, new)
    of, place = np.unique(people, return_inverse=True)
    theirs = np.bincount(place, minlength=len(of)).astype(np.int64)
    news = np.bincount(place[mine], minlength=len(of)).astype(np.int64)
    total, fresh = len(keys), int(mine.sum())
    ordered = fresh * total - int((news * theirs).sum())  # new with anybody else's, also new
    twice = (fresh * fresh - int((news * news).sum())) // 2
    dim = made_by["dim"]
    return Plan(_ends(keys[mine], dim), _ends(keys, dim), ordered - twice, total)


def changed(
    connection: Connection, collection: Row, contract_id: str, after: int, until: int
) -> Keys:
    """Faces enrolled, embedded or given to somebody else by the changes numbered from ``after``
    (exclusive) to ``until``.

    Raises ``UsageError`` where the change log does not reach back so far.
    """
    numbers = sa.and_(changes.c.seq > after, changes.c.seq <= until)
    count = sa.select(sa.func.count()).select_from(changes).where(numbers)
    if connection.execute(count).scalar_one() != until - after:
        raise UsageError(
            "the change log does not reach back to the last run any more, so it is not known who "
            "came since; compare everybody"
        )
    query = (
        sa.select(changes.c.face_key)
        .distinct()
        .where(
            numbers,
            changes.c.collection_key == collection["id"],
            changes.c.kind.in_(("face_added", "embedding_added", "face_moved")),
            sa.or_(changes.c.contract.is_(None), changes.c.contract == contract_id),
            changes.c.face_key.is_not(None),
        )
    )
    return np.array(sorted(connection.execute(query).scalars()), np.int64)


def block(kind: str, rows: int, number: int) -> tuple[int, int]:
    """Panel of the rows and panel of the columns of a block; columns change last."""
    if kind != "all":
        return number % rows, number // rows
    column = 0
    while number > column:
        number -= column + 1
        column += 1
    return number, column


def blocks(kind: str, plan: Plan) -> int:
    """How many blocks a plan has."""
    rows, columns = len(plan.row_ends), len(plan.column_ends)
    return rows * (rows + 1) // 2 if kind == "all" else rows * columns


def panel(
    connection: Connection,
    collection_key: int,
    made_by: Row,
    ends: list[int],
    number: int,
    chosen: Keys | None = None,
) -> Panel:
    """The vectors of a panel as they are now; ``chosen``: of those faces only."""
    after, until = ends[number - 1] if number else 0, ends[number]
    if chosen is None:
        return Panel(*vectors.between(connection, collection_key, made_by, after, until))
    some = chosen[(chosen > after) & (chosen <= until)]
    faces, people, rows = vectors.of_faces(connection, collection_key, made_by, some.tolist())
    order = np.argsort(faces)
    return Panel(faces[order], people[order], rows[order])


def _ends(keys: Keys, dim: int) -> list[int]:
    if not len(keys):
        return []
    height = panel_rows(len(keys), dim)
    parts = -(-len(keys) // height)
    return [int(part[-1]) for part in np.array_split(keys, parts)]

"""From pairs of templates to pairs of people, and into the table."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.duplicates import apart
from arcid.apps.duplicates.records import UNANSWERED
from arcid.apps.duplicates.tables import pairs, runs
from arcid.calibration import Calibration
from arcid.errors import UsageError
from arcid.gallery.index.pairs import Found, Panel
from arcid.gallery.schema import Row, faces, people
from arcid.gallery.store.journal import now_us
from arcid.gallery.store.keys import chunks

MOST_PAIRS = 1_000_000  # of people, in one run
Couple = tuple[int, int]  # keys of two people, the smaller first


@dataclass(slots=True)
class Near:
    """The nearest two templates of two people, and how many pairs of theirs were found."""

    a_face: int
    b_face: int
    cosine: float
    templates: int


class Best:
    """The pairs of people of one block."""

    def __init__(self) -> None:
        self.found: dict[Couple, Near] = {}

    def add(self, rows: Panel, columns: Panel, found: Found, kept: npt.NDArray[np.bool_]) -> None:
        """Take in pairs of templates; ``kept`` says which of them count."""
        for row, column, cosine in zip(
            found.rows[kept].tolist(),
            found.columns[kept].tolist(),
            found.cosines[kept].tolist(),
            strict=True,
        ):
            a = (int(rows.people[row]), int(rows.faces[row]))
            b = (int(columns.people[column]), int(columns.faces[column]))
            (a_id, a_face), (b_id, b_face) = sorted((a, b))
            known = self.found.get((a_id, b_id))
            if known is None:
                self.found[a_id, b_id] = Near(a_face, b_face, cosine, 1)
                continue
            known.templates += 1
            if (cosine, -a_face, -b_face) > (known.cosine, -known.a_face, -known.b_face):
                known.a_face, known.b_face, known.cosine = a_face, b_face, cosine


def keep(connection: Connection, run: Row, best: Best, calibration: Calibration) -> None:
    """Write a block's pairs; of people deleted meanwhile nothing is written, nor of faces that are
    somebody else's since.

    Raises ``UsageError`` where a run finds more pairs than anybody can look at.
    """
    couples = _of_people_there(connection, best)
    uids = _uids(connection, [f for near in couples.values() for f in (near.a_face, near.b_face)])
    known = rows_of(connection, list(couples))
    fresh: list[dict[str, Any]] = []
    for couple, near in couples.items():
        a, b = zip(couple, (near.a_face, near.b_face), strict=True)
        if a not in uids or b not in uids:
            continue  # deleted or moved since the block was read: a change newer than the run
        row = known.get(couple)
        templates = near.templates
        values: dict[str, Any] = {"run_id": run["id"], "collection_id": run["collection_id"]}
        if row is not None and row["run_id"] == run["id"]:
            templates += row["templates"]
        if row is None or row["run_id"] != run["id"] or near.cosine > row["cosine"]:
            values |= {
                "a_face_uid": uids[a],
                "b_face_uid": uids[b],
                "cosine": near.cosine,
                "probability": calibration.probability(near.cosine),
                "fmr": calibration.stated_fmr(near.cosine),
                "found_at": now_us(),
            }
        values["templates"] = templates
        if row is not None:
            connection.execute(pairs.update().where(pairs.c.id == row["id"]).values(values))
        else:
            a_id, b_id = couple
            fresh.append(
                values | {"uid": uuid.uuid4().hex, "a_id": a_id, "b_id": b_id, "state": "open"}
            )
    if fresh:
        connection.execute(pairs.insert(), fresh)
    apart.settle(connection, list(couples))
    _refuse_too_many(connection, run)


def forget_outdated(connection: Connection, run: Row) -> None:
    """A whole run met everybody: what only earlier ones found, and nobody answered, is over."""
    if run["kind"] == "since":
        return
    same = sa.and_(
        runs.c.collection_id == run["collection_id"],
        runs.c.other_id == run["other_id"]
        if run["other_id"] is not None
        else runs.c.other_id.is_(None),
        runs.c.id < run["id"],
    )
    earlier = sa.select(runs.c.id).where(same)
    connection.execute(
        pairs.delete().where(pairs.c.run_id.in_(earlier), pairs.c.state.in_(UNANSWERED))
    )


def rows_of(connection: Connection, couples: Sequence[Couple]) -> dict[Couple, Row]:
    """The stored pairs of those people."""
    found: dict[Couple, Row] = {}
    wanted = set(couples)
    for part in chunks(sorted({a for a, _ in couples})):
        query = sa.select(pairs).where(pairs.c.a_id.in_(part))
        for row in connection.execute(query).mappings():
            if (couple := (row["a_id"], row["b_id"])) in wanted:
                found[couple] = row
    return found


def _of_people_there(connection: Connection, best: Best) -> dict[Couple, Near]:
    there: set[int] = set()
    for part in chunks(sorted({key for couple in best.found for key in couple})):
        there |= set(
            connection.execute(sa.select(people.c.id).where(people.c.id.in_(part))).scalars()
        )
    return {couple: near for couple, near in best.found.items() if there.issuperset(couple)}


def _uids(connection: Connection, keys: Sequence[int]) -> dict[tuple[int, int], str]:
    """Ids of faces, by the keys of whose each is and of the face."""
    found: dict[tuple[int, int], str] = {}
    for part in chunks(sorted(set(keys))):
        query = sa.select(faces.c.person_id, faces.c.id, faces.c.uid).where(faces.c.id.in_(part))
        found |= {(row.person_id, row.id): row.uid for row in connection.execute(query)}
    return found


def _refuse_too_many(connection: Connection, run: Row) -> None:
    query = sa.select(sa.func.count()).select_from(pairs).where(pairs.c.run_id == run["id"])
    if connection.execute(query).scalar_one() > MOST_PAIRS:
        raise UsageError(
            f"more than {MOST_PAIRS:,} pairs of people reach the threshold: one person is enrolled "
            "under very many names, or the calibration is not for these photos. Ask for fewer "
            "false pairs"
        )

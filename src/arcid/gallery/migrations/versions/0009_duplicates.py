"""Merges that can be undone; searches for people enrolled twice, pairs and answers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text if length is None else sa.String(length), nullable=nullable)


def _big(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{target}.id"], f"fk_{table}_{column}", ondelete="CASCADE"
    )


def _table(name: str, *columns: Any) -> None:
    op.create_table(
        name,
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        *columns,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.UniqueConstraint("uid", name=f"uq_{name}_uid"),
        sqlite_autoincrement=True,
    )


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
    _table(
        "merges",
        _text("uid", 32),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("person_id", _BIG, nullable=False),
        _text("other_uid", 32),
        _text("name"),
        _text("metadata"),
        _big("created_at"),
        _big("merged_at"),
        _text("face_uids"),
        _text("handed"),
        _big("seal"),
        _refers("merges", "collection_id", "collections"),
        _refers("merges", "person_id", "people"),
    )
    _index("merges", "person_id")
    _index("merges", "merged_at")
    _table(
        "duplicate_runs",
        _text("uid", 32),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("other_id", _BIG, nullable=True),
        _text("contract", 128),
        _text("calibration", 32),
        _text("kind", 16),
        _text("state", 16),
        sa.Column("false_pairs", sa.Double, nullable=False),
        _big("comparisons"),
        sa.Column("fmr", sa.Double, nullable=False),
        sa.Column("cosine", sa.Double, nullable=False),
        sa.Column("extrapolated", sa.SmallInteger, nullable=False),
        sa.Column("combined", sa.SmallInteger, nullable=False),
        _big("templates"),
        _text("row_ends"),
        _text("column_ends"),
        sa.Column("blocks", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        _big("from_change", nullable=True),
        _big("to_change"),
        _text("owner", 32, nullable=True),
        _text("holder"),
        _text("actor"),
        _big("started_at"),
        _big("beat_at"),
        _big("ended_at", nullable=True),
        _big("worked_us"),
        _text("problem", nullable=True),
        _refers("duplicate_runs", "collection_id", "collections"),
        _refers("duplicate_runs", "other_id", "collections"),
    )
    _index("duplicate_runs", "collection_id", "id")
    _index("duplicate_runs", "other_id")
    _table(
        "duplicate_pairs",
        _text("uid", 32),
        sa.Column("run_id", _BIG, nullable=False),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("a_id", _BIG, nullable=False),
        sa.Column("b_id", _BIG, nullable=False),
        _text("a_face_uid", 32),
        _text("b_face_uid", 32),
        sa.Column("cosine", sa.Double, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("fmr", sa.Double, nullable=False),
        sa.Column("templates", sa.Integer, nullable=False),
        _text("state", 16),
        _big("found_at"),
        sa.UniqueConstraint("a_id", "b_id", name="uq_duplicate_pairs_a_id_b_id"),
        _refers("duplicate_pairs", "run_id", "duplicate_runs"),
        _refers("duplicate_pairs", "collection_id", "collections"),
        _refers("duplicate_pairs", "a_id", "people"),
        _refers("duplicate_pairs", "b_id", "people"),
    )
    _index("duplicate_pairs", "collection_id", "state", "cosine")
    _index("duplicate_pairs", "b_id")
    _index("duplicate_pairs", "run_id")
    _table(
        "duplicate_answers",
        _text("uid", 32),
        sa.Column("collection_id", _BIG, nullable=False),
        _text("a_uid", 32),
        _text("b_uid", 32),
        _text("verdict", 16),
        _text("actor"),
        _text("note"),
        _big("at"),
        _text("pair"),
        _text("merge_uid", 32, nullable=True),
        _big("undone_at", nullable=True),
        _text("undone_by", nullable=True),
        _refers("duplicate_answers", "collection_id", "collections"),
    )
    _index("duplicate_answers", "collection_id", "id")
    _index("duplicate_answers", "a_uid", "b_uid")
    _index("duplicate_answers", "b_uid")

"""Long work on a collection: imports, deletions and changes of the model, item by item."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def _text(name: str, length: int | None = None, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text if length is None else sa.String(length), nullable=nullable)


def _big(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        _text("uid", 32),
        sa.Column("collection_id", BigInt, nullable=False),
        _text("kind", 16),
        _text("state", 16),
        _text("origin", 16),
        _text("actor"),
        _text("source"),
        _text("options"),
        _text("run_uid", 32, nullable=True),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
        _text("owner", 32, nullable=True),
        _big("until"),
        _text("holder"),
        _big("created_at"),
        _big("beat_at"),
        _big("ended_at", nullable=True),
        _text("problem", nullable=True),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_jobs_collection_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("uid", name="uq_jobs_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_collection_id_id", "jobs", ["collection_id", "id"])
    op.create_index("ix_jobs_state", "jobs", ["state"])
    op.create_table(
        "job_items",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("job_id", BigInt, nullable=False),
        _text("label"),
        _text("person"),
        _text("person_key"),
        _text("code", 64, nullable=True),
        _text("message"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], "fk_job_items_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_job_items"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_items_job_id_id", "job_items", ["job_id", "id"])
    op.create_index("ix_job_items_person_key", "job_items", ["person_key"])

"""Cameras out of the console's tables. A released migration is never edited.

The console's own table is left empty; its migration 0003 removes it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEPT = "uid, name, name_key, source, collection, place, liveness, enabled, created_at"


def upgrade() -> None:
    op.create_table(
        "cameras",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("collection_uid", sa.String(32), nullable=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("liveness", sa.String(16), nullable=False),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cameras"),
        sa.UniqueConstraint("uid", name="uq_cameras_uid"),
        sa.UniqueConstraint("name_key", name="uq_cameras_name_key"),
        sqlite_autoincrement=True,
    )
    found = sa.inspect(op.get_bind())
    if not found.has_table("console_cameras"):
        return
    columns = {column["name"] for column in found.get_columns("console_cameras")}
    uid = "collection_uid"
    if uid not in columns:  # written before a camera followed its collection by id
        uid = "(SELECT c.uid FROM collections c WHERE c.name = console_cameras.collection)"
    op.execute(
        f"INSERT INTO cameras ({_KEPT}, collection_uid)"  # noqa: S608
        f" SELECT {_KEPT}, {uid} FROM console_cameras ORDER BY id"
    )
    op.execute("DELETE FROM console_cameras")

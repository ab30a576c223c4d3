"""What each collection is for, how long its people are kept, and that people agreed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        _of("collection_id", "collections.id"),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("consent", sa.SmallInteger, nullable=False),
        sa.Column("on_withdrawal", sa.String(8), nullable=False),
        sa.Column("unseen_days", sa.Double, nullable=True),
        sa.Column("keep_days", sa.Double, nullable=True),
        sa.Column("strangers_hours", sa.Double, nullable=False),
        sa.Column("event_faces_days", sa.Double, nullable=False),
        sa.Column("refused_days", sa.Double, nullable=True),
        sa.Column("crops_for", sa.Text, nullable=True),
        sa.Column("published", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policies"),
        sa.UniqueConstraint("collection_id", name="uq_policies_collection_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "consents",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        _of("person_id", "people.id"),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("given_by", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("given_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger, nullable=True),
        sa.Column("withdrawn_by", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.UniqueConstraint("uid", name="uq_consents_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_consents_person_id", "consents", ["person_id"])


def _of(name: str, target: str) -> sa.Column[int]:
    key = f"fk_{'policies' if name == 'collection_id' else 'consents'}_{name}"
    return sa.Column(
        name, BigInt, sa.ForeignKey(target, ondelete="CASCADE", name=key), nullable=False
    )

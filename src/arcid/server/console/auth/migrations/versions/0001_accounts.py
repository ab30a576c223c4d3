"""Accounts, sessions, failed sign-ins and cameras. A released migration is never edited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "console_accounts",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("signed_in_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_console_accounts"),
        sa.UniqueConstraint("uid", name="uq_console_accounts_uid"),
        sa.UniqueConstraint("name_key", name="uq_console_accounts_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "console_sessions",
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("account_id", _BIG, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_console_sessions"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["console_accounts.id"],
            "fk_console_sessions_account_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_console_sessions_account_id", "console_sessions", ["account_id"])
    op.create_table(
        "console_cameras",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("liveness", sa.String(16), nullable=False),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_console_cameras"),
        sa.UniqueConstraint("uid", name="uq_console_cameras_uid"),
        sa.UniqueConstraint("name_key", name="uq_console_cameras_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "console_attempts",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_console_attempts"),
    )

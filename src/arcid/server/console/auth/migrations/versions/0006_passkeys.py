"""Passkeys of accounts, and challenges that were answered once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "console_passkeys",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("account_id", _BIG, nullable=False),
        sa.Column("credential", sa.Text, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("synced", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_console_passkeys"),
        sa.UniqueConstraint("credential", name="uq_console_passkeys_credential"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["console_accounts.id"],
            "fk_console_passkeys_account_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_console_passkeys_account_id", "console_passkeys", ["account_id"])
    op.create_table(
        "console_challenges",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_console_challenges"),
    )

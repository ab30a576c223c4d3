"""A second factor: an authenticator app, recovery codes, and sessions that wait for either."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("console_accounts", sa.Column("totp", sa.Text, nullable=True))
    op.add_column("console_accounts", sa.Column("totp_step", sa.BigInteger, nullable=True))
    op.add_column("console_sessions", sa.Column("waits", sa.String(8), nullable=True))
    op.add_column(
        "console_sessions",
        sa.Column("strong", sa.SmallInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "console_recovery",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account_id", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_console_recovery"),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["console_accounts.id"],
            "fk_console_recovery_account_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_console_recovery_account_id", "console_recovery", ["account_id"])

"""Accounts that are kept at a provider."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("console_accounts", sa.Column("issuer", sa.Text, nullable=True))
    op.add_column("console_accounts", sa.Column("subject", sa.Text, nullable=True))
    op.create_index(
        "ix_console_accounts_issuer_subject",
        "console_accounts",
        ["issuer", "subject"],
        unique=True,
    )

"""Deliveries that wait are found without reading those that were made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_WAITING = sa.text("done_at IS NULL AND failed_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "ix_outbox_waiting", "outbox", ["target", "id"], sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )  # fmt: skip

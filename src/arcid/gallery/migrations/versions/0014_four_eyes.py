"""Who answered an alert is known by what let them in; runs say how many false pairs to expect."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alert_steps", sa.Column("credential", sa.Text, nullable=True))
    for name in ("false_low", "false_high"):
        op.add_column("duplicate_runs", sa.Column(name, sa.Integer, nullable=True))

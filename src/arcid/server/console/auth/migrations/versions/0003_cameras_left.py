"""Cameras have tables of their own (``arcid.cameras``), which took theirs over before."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    left = op.get_bind().exec_driver_sql("SELECT 1 FROM console_cameras").first()
    if left is None:
        op.drop_table("console_cameras")

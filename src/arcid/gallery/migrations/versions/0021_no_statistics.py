"""PostgreSQL keeps no samples of names, notes and vectors in its statistics any more: what every
migration ends with (``versions.keep_no_samples``) is done for galleries that were made before."""

from __future__ import annotations

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing of its own."""

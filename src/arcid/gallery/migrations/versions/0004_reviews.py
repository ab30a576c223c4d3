"""Reviews and their candidates, what a visit became part of, and several blocks an event."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("visits", sa.Column("folded_into", _BIG, nullable=True))
    with op.batch_alter_table("blocks", table_kwargs={"sqlite_autoincrement": True}) as blocks:
        blocks.drop_constraint("uq_blocks_event_uid", type_="unique")
        blocks.create_unique_constraint("uq_blocks_event_uid_person_id", ["event_uid", "person_id"])
    op.create_table(
        "reviews",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("event_id", _BIG, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", sa.Double, nullable=False),
        sa.Column("target_kind", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("answer_uid", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("event_id", name="uq_reviews_event_id"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_reviews_collection_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], "fk_reviews_event_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_reviews_collection_id_state_id", "reviews", ["collection_id", "state", "id"]
    )
    op.create_table(
        "candidates",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("review_id", _BIG, nullable=False),
        sa.Column("person_id", _BIG, nullable=False),
        sa.Column("face_uid", sa.String(32), nullable=True),
        sa.Column("cosine", sa.Double, nullable=False),
        sa.Column("refused", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_candidates"),
        sa.UniqueConstraint("review_id", "person_id", name="uq_candidates_review_id_person_id"),
        sa.ForeignKeyConstraint(
            ["review_id"], ["reviews.id"], "fk_candidates_review_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], "fk_candidates_person_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_candidates_person_id", "candidates", ["person_id"])

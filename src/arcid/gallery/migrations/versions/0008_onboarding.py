"""Onboarding: sessions, their pictures and decisions; failed tries to authenticate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "onboardings",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("keep_until", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("consent", sa.Text, nullable=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("birth_date", sa.String(10), nullable=True),
        sa.Column("zone", sa.Text, nullable=True),
        sa.Column("checks", sa.Text, nullable=False),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("face_uid", sa.String(32), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_onboardings"),
        sa.UniqueConstraint("uid", name="uq_onboardings_uid"),
        sa.UniqueConstraint("token_hash", name="uq_onboardings_token_hash"),
        sa.ForeignKeyConstraint(
            ["collection_id"],
            ["collections.id"],
            "fk_onboardings_collection_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_onboardings_collection_id_state_id", "onboardings", ["collection_id", "state", "id"]
    )
    op.create_index("ix_onboardings_keep_until", "onboardings", ["keep_until"])
    op.create_index("ix_onboardings_person_uid", "onboardings", ["person_uid"])
    op.create_table(
        "onboarding_pictures",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("onboarding_id", _BIG, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("print", sa.LargeBinary, nullable=False),
        sa.Column("contract", sa.String(128), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=True),
        sa.Column("crop", sa.LargeBinary, nullable=True),
        sa.Column("picture", sa.LargeBinary, nullable=True),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_onboarding_pictures"),
        sa.UniqueConstraint(
            "onboarding_id", "role", name="uq_onboarding_pictures_onboarding_id_role"
        ),
        sa.ForeignKeyConstraint(
            ["onboarding_id"],
            ["onboardings.id"],
            "fk_onboarding_pictures_onboarding_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_onboarding_pictures_role_sha256", "onboarding_pictures", ["role", "sha256"])
    op.create_table(
        "onboarding_answers",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("onboarding_id", _BIG, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("undone_at", sa.BigInteger, nullable=True),
        sa.Column("undone_by", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_onboarding_answers"),
        sa.UniqueConstraint("uid", name="uq_onboarding_answers_uid"),
        sa.ForeignKeyConstraint(
            ["onboarding_id"],
            ["onboardings.id"],
            "fk_onboarding_answers_onboarding_id",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_onboarding_answers_onboarding_id_id", "onboarding_answers", ["onboarding_id", "id"]
    )
    op.create_table(
        "authentications",
        sa.Column("person_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("locked_until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name="pk_authentications"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], "fk_authentications_person_id", ondelete="CASCADE"
        ),
    )

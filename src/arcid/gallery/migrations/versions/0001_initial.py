"""The first tables. A released migration is never edited; the next change is a new file."""

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
        "gallery",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("identity", sa.String(32), nullable=False),
        sa.Column("last_change", sa.BigInteger, nullable=False),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gallery"),
    )
    op.create_table(
        "collections",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("keep_crops", sa.SmallInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_collections"),
        sa.UniqueConstraint("uid", name="uq_collections_uid"),
        sa.UniqueConstraint("name_key", name="uq_collections_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "people",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("uid", name="uq_people_uid"),
        sa.UniqueConstraint("collection_id", "name_key", name="uq_people_collection_id_name_key"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_people_collection_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "faces",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("person_id", _BIG, nullable=False),
        sa.Column("photo_id", sa.String(128), nullable=True),
        sa.Column("box", sa.Text, nullable=True),
        sa.Column("score", sa.Double, nullable=True),
        sa.Column("quality", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("provenance", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_faces"),
        sa.UniqueConstraint("uid", name="uq_faces_uid"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_faces_collection_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], "fk_faces_person_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_faces_collection_id_id", "faces", ["collection_id", "id"])
    op.create_index("ix_faces_collection_id_photo_id", "faces", ["collection_id", "photo_id"])
    op.create_index("ix_faces_person_id", "faces", ["person_id"])
    op.create_table(
        "contracts",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(128), nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contracts"),
        sa.UniqueConstraint("uid", name="uq_contracts_uid"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "embeddings",
        sa.Column("contract_id", _BIG, nullable=False),
        sa.Column("face_id", _BIG, nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("contract_id", "face_id", name="pk_embeddings"),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], "fk_embeddings_contract_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["face_id"], ["faces.id"], "fk_embeddings_face_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_embeddings_face_id", "embeddings", ["face_id"])
    op.create_table(
        "crops",
        sa.Column("face_id", _BIG, nullable=False, autoincrement=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("face_id", name="pk_crops"),
        sa.ForeignKeyConstraint(["face_id"], ["faces.id"], "fk_crops_face_id", ondelete="CASCADE"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", _BIG, nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("collection_key", sa.BigInteger, nullable=False),
        sa.Column("collection_uid", sa.String(32), nullable=False),
        sa.Column("person_key", sa.BigInteger, nullable=True),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("face_key", sa.BigInteger, nullable=True),
        sa.Column("face_uid", sa.String(32), nullable=True),
        sa.Column("contract", sa.String(128), nullable=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
    )

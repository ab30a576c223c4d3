"""The table of cameras. It lies in the gallery's database and has migrations of its own.

Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from arcid.gallery.database import Database
from arcid.gallery.migrating import upgrade
from arcid.gallery.schema import beside

KNOWN = ("0001", "0002")  # every migration this version can start from; the last is the newest
VERSION_TABLE = "cameras_version"

metadata = sa.MetaData(
    naming_convention={"uq": "uq_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)
beside.append(metadata)
BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

cameras = sa.Table(
    "cameras",
    metadata,
    sa.Column("id", BigInt, primary_key=True, autoincrement=True),
    sa.Column("uid", sa.String(32), nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("source", sa.Text, nullable=False),  # may hold a password: see Camera.shown
    sa.Column("collection", sa.Text, nullable=False),  # its name when it was last seen
    sa.Column("collection_uid", sa.String(32), nullable=True),  # what counts; null: deleted before
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("liveness", sa.String(16), nullable=False),
    sa.Column("enabled", sa.SmallInteger, nullable=False),
    sa.Column("attendance", sa.SmallInteger, nullable=False, server_default="1"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)


def migrate(database: Database) -> None:
    """Bring the table up to date, taking cameras over from where the console kept them once.

    Raises ``SchemaTooNew``.
    """
    folder = Path(__file__).parent / "migrations"
    upgrade(database, folder, VERSION_TABLE, KNOWN, "the cameras' tables")

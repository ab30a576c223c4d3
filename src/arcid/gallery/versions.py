"""The schema a database has, and how it is brought up to date."""

from __future__ import annotations

import secrets
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import NotFound, SchemaTooNew, UsageError
from arcid.gallery import schema


def revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def check(connection: Connection, create: bool) -> str | None:
    """The schema version found, None in an empty database."""
    version = revision(connection)
    tables = sa.inspect(connection).get_table_names()
    if version is None:
        if tables and "gallery" not in tables and tables != ["alembic_version"]:
            raise UsageError("this database belongs to something else; choose another path")
        if not create:
            raise NotFound("there is no gallery in this database")
        return None
    if version not in schema.KNOWN:
        raise SchemaTooNew(
            f"the gallery has schema {version}, this arcid knows up to {schema.HEAD}: "
            "upgrade arcid; nothing was changed",
            found=version,
            known=schema.HEAD,
        )
    return version


def migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.execute(sa.select(schema.gallery.c.id)).first() is None:
        connection.execute(
            schema.gallery.insert().values(
                id=1,
                identity=secrets.token_hex(16),
                last_change=0,
                stamp=secrets.randbits(62),
                protected=1,
            )
        )

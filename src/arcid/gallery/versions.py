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
    keep_no_samples(connection)
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


def keep_no_samples(connection: Connection) -> None:
    """Have PostgreSQL gather no statistics of texts and bytes, and drop what it has.

    It keeps samples of values in a catalogue of its own, which erasing a row does not touch: the
    names of people among them.
    """
    if connection.dialect.name != "postgresql":
        return
    names = [name for tables in (schema.metadata, *schema.beside) for name in tables.tables]
    for table, column, kind in connection.execute(_SAMPLED, {"names": names}).all():
        connection.exec_driver_sql(  # giving a column the type it has drops its statistics
            f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind}, "
            f"ALTER COLUMN {column} SET STATISTICS 0"
        )


_SAMPLED = sa.text("""
    SELECT t.relname, c.attname, c.atttypid::regtype::text
    FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r'
      AND t.relname = ANY(:names) AND c.attnum > 0 AND NOT c.attisdropped
      AND c.atttypid IN ('text'::regtype, 'bytea'::regtype)
      AND coalesce(c.attstattarget, -1) <> 0
    ORDER BY t.relname, c.attnum
""")

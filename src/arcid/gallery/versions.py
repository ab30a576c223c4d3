"""The schema a database has, and how it is brought up to date."""

from __future__ import annotations

import secrets
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import NotFound, SchemaTooNew, UsageError
from arcid.gallery import schema

FOLDER = Path(__file__).parent / "migrations"


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


def require_known(connection: Connection) -> None:
    """Raise ``SchemaTooNew`` where a newer arcid, since this process opened the gallery, brought it
    to a schema that processes of this version must not work on. First thing in a transaction."""
    oldest = connection.execute(_OLDEST).scalar_one()
    if oldest not in schema.KNOWN:
        raise SchemaTooNew(
            f"a newer arcid brought the gallery to schema {oldest}, this process knows up to "
            f"{schema.HEAD}: start it again with the newer arcid; nothing was changed",
            found=oldest,
            known=schema.HEAD,
        )


def migrate(connection: Connection) -> None:
    """To the newest schema. Processes that have the gallery open go on where every migration
    between says ``older_go_on``; else ``require_known`` ends their work."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    before = revision(connection)
    if before is not None:  # whoever writes has ended; on SQLite this one has the lock already
        connection.execute(sa.select(schema.gallery.c.id).with_for_update())
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
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
    scripts = ScriptDirectory.from_config(config)
    for script in scripts.iterate_revisions("head", before or "base"):  # the newest first
        if not getattr(script.module, "older_go_on", False):
            values = {"oldest_schema": script.revision}
            connection.execute(schema.serving.update().values(values))
            break


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


_OLDEST = sa.select(schema.serving.c.oldest_schema)
_SAMPLED = sa.text("""
    SELECT t.relname, c.attname, c.atttypid::regtype::text
    FROM pg_attribute c JOIN pg_class t ON t.oid = c.attrelid
    WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r'
      AND t.relname = ANY(:names) AND c.attnum > 0 AND NOT c.attisdropped
      AND c.atttypid IN ('text'::regtype, 'bytea'::regtype)
      AND coalesce(c.attstattarget, -1) <> 0
    ORDER BY t.relname, c.attnum
""")

"""Tables that another room keeps in the gallery's database, with migrations of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import SchemaTooNew
from arcid.gallery import versions
from arcid.gallery.database import Database


def upgrade(
    database: Database, folder: Path, version_table: str, known: Sequence[str], whose: str
) -> None:
    """Run the migrations in ``folder`` up to the last ``known``. Raises ``SchemaTooNew``."""

    def version(connection: Connection) -> str | None:
        if not sa.inspect(connection).has_table(version_table):
            return None
        query = sa.text(f"SELECT version_num FROM {version_table}")  # noqa: S608
        found = connection.execute(query).scalar()
        if found is not None and found not in known:
            raise SchemaTooNew(
                f"{whose} have schema {found}, this arcid knows up to {known[-1]}: "
                "upgrade arcid; nothing was changed",
                found=found,
                known=known[-1],
            )
        return found

    with database.read() as connection:
        if version(connection) == known[-1]:
            return
    from alembic import command
    from alembic.config import Config

    with database.write() as connection:
        found = version(connection)
        if found == known[-1]:
            return
        if found is not None:
            database.copy_aside(f"{version_table}-{found}")
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        versions.keep_no_samples(connection)

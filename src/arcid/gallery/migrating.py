"""Tables that another room keeps in the gallery's database, with migrations of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import SchemaTooNew
from arcid.gallery.database import Database


def upgrade(
    database: Database, folder: Path, version_table: str, known: Sequence[str], whose: str
) -> None:
    """Run the migrations in ``folder`` up to the last ``known``. Raises ``SchemaTooNew``."""

    def is_current(connection: Connection) -> bool:
        if not sa.inspect(connection).has_table(version_table):
            return False
        query = sa.text(f"SELECT version_num FROM {version_table}")  # noqa: S608
        found = connection.execute(query).scalar()
        if found is not None and found not in known:
            raise SchemaTooNew(
                f"{whose} have schema {found}, this arcid knows up to {known[-1]}: "
                "upgrade arcid; nothing was changed",
                found=found,
                known=known[-1],
            )
        return found == known[-1]

    with database.read() as connection:
        if is_current(connection):
            return
    from alembic import command
    from alembic.config import Config

    with database.write() as connection:
        if is_current(connection):
            return
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

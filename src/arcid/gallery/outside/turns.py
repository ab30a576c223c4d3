"""One process at a time, by the gallery's own database: the turn of a killed one ends with it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from arcid import files
from arcid.gallery.database import Database


@contextmanager
def turn(database: Database, what: str) -> Iterator[None]:
    """Waits for every other process, and thread, that does ``what`` for this gallery. Where files
    have no locks (Windows, SQLite) nobody waits."""
    if database.path is not None:
        place = database.path.with_name(f"{database.path.name}-{what}")
        place.touch(mode=0o600)
        with place.open("rb") as stream:
            files.lock(stream, wait=True)
            yield
        return
    with database.read() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        key = zlib.crc32(f"arcid {what}".encode())
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
        yield


__all__ = ["turn"]

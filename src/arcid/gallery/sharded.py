"""Worker processes beside the one that writes: each opens the gallery for itself, by its own keys.

No key is handed to a worker, and what one answers of a person is sealed where the gallery is.
"""

from __future__ import annotations

import functools

from sqlalchemy.engine import Connection

from arcid.errors import UsageError
from arcid.gallery.database import Database
from arcid.gallery.schema import Row
from arcid.gallery.store import sealed
from arcid.sharding import Workers
from arcid.vault import sealing

_PURPOSE = b"arcid/1/worker"
_PLACE = sealing.place("worker")


def address(database: Database, over: Workers) -> str:
    """What a worker opens the gallery by.

    Raises ``UsageError`` where it holds a password and others could read it on its way.
    """
    url = database.url
    if not over.private and (url.password or "password" in url.query):
        raise UsageError(
            "the gallery's URL has a password, which Ray would pass on in clear; leave it out, and "
            "give it to every node in ~/.pgpass or PGPASSFILE"
        )
    return str(database.path or url.render_as_string(hide_password=False))


@functools.lru_cache(maxsize=1)
def opened(address: str) -> Database:
    """The gallery of a worker, which only reads. Raises what ``Database`` does."""
    return Database(address, create=False)


def seal(connection: Connection, collection: Row, value: bytes) -> tuple[bytes, bool]:
    """A worker's answer about people of a collection, and whether it is sealed."""
    if not sealed.is_on(connection):
        return value, False
    return sealing.wrap(_cipher(connection, collection), value, _PLACE), True


def unseal(connection: Connection, collection: Row, answer: tuple[bytes, bool]) -> bytes:
    """What ``seal`` was handed. Raises ``SealBroken``, ``KeyUnavailable``."""
    value, is_sealed = answer
    if not is_sealed:
        return value
    return sealing.unwrap(_cipher(connection, collection), value, _PLACE)


def _cipher(connection: Connection, collection: Row) -> sealing.Cipher:
    return sealing.cipher(sealed.vault(connection).derived(collection["uid"], _PURPOSE))


__all__ = ["address", "opened", "seal", "unseal"]

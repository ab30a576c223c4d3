"""PostgreSQL with the extension pgvector: vectors as half-precision numbers, one table an index.

The index's position in the change log is a row of ``arcid_indexes`` and changes in the transaction
of the vectors, so that each change of the gallery is in the table once, whoever fails when.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import IndexUnavailable, MissingExtra
from arcid.gallery.engines import parse_url
from arcid.gallery.index import Keys
from arcid.gallery.outside import GONE, Place
from arcid.types import FloatArray

HALF = 2.0**-10  # both vectors are rounded to 11 significant bits, and their products add up to 1
ROWS = 4096  # of a piece that is sent
MOST_LISTS = 1000  # what pgvector allows for hnsw.ef_search

_indexes = sa.Table(
    "arcid_indexes",
    sa.MetaData(),
    sa.Column("gallery", sa.Text, primary_key=True),
    sa.Column("collection", sa.Text, primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("faces", sa.BigInteger, nullable=False),
    sa.Column("position", sa.Text),
)


class PgVector:
    """``graph``: approximate, by an HNSW graph; otherwise every vector is looked at."""

    def __init__(self, url: str, *, graph: bool, blind: bool = False) -> None:
        parsed = parse_url(url)
        self.exact, self.blind = not graph, blind
        self.kind = "pgvector-hnsw" if graph else "pgvector"
        self.name = f"PostgreSQL at {parsed.host or 'a local socket'}"
        try:
            self._engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=8)
        except ModuleNotFoundError:
            raise MissingExtra("an index in PostgreSQL", "postgres") from None
        self._ready = False

    def engine(self, place: Place, dim: int) -> PgIndex:
        with self.transaction() as connection:
            self._prepare(connection)
            where = _at(place)
            name = connection.execute(sa.select(_indexes.c.name).where(where)).scalar()
            if name is None:
                name = f"arcid_index_{hashlib.sha256('/'.join(place).encode()).hexdigest()[:32]}"
                connection.exec_driver_sql(
                    f"CREATE TABLE {name} (face bigint PRIMARY KEY, v halfvec({dim}) NOT NULL)"
                )
                row = {**place._asdict(), "name": name, "faces": 0}
                connection.execute(_indexes.insert().values(row))
        return PgIndex(self, place, str(name), dim)

    def places(self, gallery: str) -> Sequence[Place]:
        with self.transaction() as connection:
            self._prepare(connection)
            own = sa.select(_indexes.c.gallery, _indexes.c.collection, _indexes.c.contract)
            return [
                Place(*row) for row in connection.execute(own.where(_indexes.c.gallery == gallery))
            ]

    def drop(self, place: Place) -> None:
        with self.transaction() as connection:
            gone = _indexes.delete().where(_at(place)).returning(_indexes.c.name)
            for (name,) in connection.execute(gone).all():
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Raises ``IndexUnavailable``."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise IndexUnavailable(
                f"the vector index on {self.name} does not answer ({type(error).__name__}). The "
                "gallery is whole and nothing is lost: start that server, or set ARCID_INDEX=exact "
                "to search without it"
            ) from error

    def _prepare(self, connection: Connection) -> None:
        if self._ready:
            return
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4771002)")
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
        _indexes.create(connection, checkfirst=True)
        self._ready = True


class PgIndex:
    """One table. Thread-safe."""

    margin = HALF
    most: int | None = None
    locks = True

    def __init__(self, server: PgVector, place: Place, table: str, dim: int) -> None:
        self._server, self._place, self._table, self._dim = server, place, table, dim

    def __len__(self) -> int:
        with self._server.transaction() as connection:
            held = sa.select(_indexes.c.faces).where(_at(self._place))
            return int(connection.execute(held).scalar() or 0)

    def count(self) -> int:
        with self._server.transaction() as connection:
            query = f"SELECT count(*) FROM {self._table}"  # noqa: S608
            return int(connection.exec_driver_sql(query).scalar_one())

    @contextmanager
    def writing(self) -> Iterator[PgWriter]:
        with self._server.transaction() as connection:
            own = sa.select(_indexes.c.position, _indexes.c.faces).where(_at(self._place))
            row = connection.execute(own.with_for_update()).first()
            if row is None:
                raise IndexUnavailable(GONE)
            writer = PgWriter(connection, self._table, self._dim, row.position, row.faces)
            yield writer
            values = {"position": writer.position, "faces": writer.faces}
            connection.execute(_indexes.update().where(_at(self._place)).values(values))
            if not self._server.exact:
                connection.exec_driver_sql(
                    f"CREATE INDEX IF NOT EXISTS {self._table}_graph ON {self._table} "
                    "USING hnsw (v halfvec_ip_ops)"
                )

    def nearest(self, probe: FloatArray, count: int) -> tuple[Keys, FloatArray]:
        text = "[" + ",".join(map(str, np.asarray(probe, np.float16).tolist())) + "]"
        with self._server.transaction() as connection:
            if self._server.exact:
                connection.exec_driver_sql("SET LOCAL enable_indexscan = off")
            else:
                lists = min(max(count, 100), MOST_LISTS)
                connection.exec_driver_sql(f"SET LOCAL hnsw.ef_search = {lists}")
                connection.exec_driver_sql("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = connection.execute(
                sa.text(
                    f"SELECT face, -(v <#> CAST(:probe AS halfvec)) FROM {self._table} "  # noqa: S608
                    "ORDER BY v <#> CAST(:probe AS halfvec) LIMIT :count"
                ),
                {"probe": text, "count": count},
            ).all()
        found = np.array([row[0] for row in rows], np.int64)
        return found, np.array([row[1] for row in rows], np.float32)


class PgWriter:
    """What one transaction does to a table, whose row of ``arcid_indexes`` it has locked."""

    def __init__(
        self, connection: Connection, table: str, dim: int, position: str | None, faces: int
    ) -> None:
        self._connection, self._table, self._dim = connection, table, dim
        self.position, self.faces = position, faces

    def empty(self) -> None:
        # The graph is made anew once the table is full, which is faster than following it.
        self._connection.exec_driver_sql(f"DROP INDEX IF EXISTS {self._table}_graph")
        self._connection.exec_driver_sql(f"TRUNCATE {self._table}")
        self.faces = 0

    def remove(self, face_keys: Keys) -> None:
        gone = self._connection.execute(
            sa.text(f"DELETE FROM {self._table} WHERE face = ANY(:keys)"),  # noqa: S608
            {"keys": [int(key) for key in face_keys]},
        )
        self.faces -= gone.rowcount

    def add(self, face_keys: Keys, vectors: FloatArray) -> None:
        cursor: Any = self._connection.connection.cursor()
        with cursor, cursor.copy(f"COPY {self._table} FROM STDIN WITH BINARY") as copy:
            copy.write(_HEADER)
            for start in range(0, len(face_keys), ROWS):
                part = slice(start, start + ROWS)
                copy.write(_packed(face_keys[part], vectors[part], self._dim))
            copy.write(_END)
        self.faces += len(face_keys)


_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"


def _packed(face_keys: Keys, vectors: FloatArray, dim: int) -> bytes:
    """Rows as PostgreSQL's binary COPY takes them: each field behind its length, big-endian."""
    layout = np.dtype(
        [("fields", ">i2"), ("key_bytes", ">i4"), ("key", ">i8"), ("vector_bytes", ">i4"),
         ("dim", ">i2"), ("unused", ">i2"), ("vector", ">f2", (dim,))]
    )  # fmt: skip
    rows = np.zeros(len(face_keys), layout)
    rows["fields"], rows["key_bytes"], rows["key"] = 2, 8, face_keys
    rows["vector_bytes"], rows["dim"], rows["vector"] = 4 + 2 * dim, dim, vectors
    return rows.tobytes()


def _at(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(
        _indexes.c.gallery == place.gallery,
        _indexes.c.collection == place.collection,
        _indexes.c.contract == place.contract,
    )


__all__ = ["PgIndex", "PgVector", "PgWriter"]

"""Who watches which camera. One owner at a time, over all processes.

A lease is a row with an owner and an end. Its owner moves the end along; once it lies in the past
anybody may take the lease over. Times are the database server's on PostgreSQL, this machine's on
SQLite, so that machines with different clocks agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from arcid.errors import CameraWatched
from arcid.events.store.log import Log, clock_us, reading, writing
from arcid.events.tables import leases
from arcid.gallery import Gallery
from arcid.gallery.schema import Row
from arcid.gallery.store.journal import from_us


@dataclass(frozen=True, slots=True)
class Lease:
    """One camera's lease as it is written."""

    camera: str
    owner: str
    holder: str  # for people: which process
    taken_at: datetime  # UTC
    until: datetime  # UTC


class Leases:
    """Takes, renews and gives back leases. Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def take(
        self, collection: str, camera: str, owner: str, holder: str, *, lasts_s: float
    ) -> Lease:
        """Take a camera's lease, or renew one's own, for ``lasts_s`` from now.

        Raises ``CameraWatched`` while somebody else has it, and ``CollectionNotFound``.
        """
        with writing(self._database, collection) as log:
            now, length = clock_us(log.connection), int(lasts_s * 1e6)
            row = _find(log, camera)
            if row is not None and row["owner"] != owner and now < row["until"] <= now + length:
                raise CameraWatched(  # an end further off was written before the clock was set back
                    f"camera {camera!r} is watched by {row['holder']}: stop it there, or wait "
                    "until it is gone",
                    camera=camera,
                    holder=row["holder"],
                    until=from_us(row["until"]).isoformat(),
                )
            values = {"owner": owner, "holder": holder, "until": now + length}
            if row is None:
                key = {"collection_id": log.collection["id"], "camera": camera, "taken_at": now}
                log.execute(leases.insert().values(**key, **values))
            else:
                if row["owner"] != owner:
                    values["taken_at"] = now
                log.execute(leases.update().where(leases.c.id == row["id"]).values(values))
            written = _find(log, camera)
            if written is None:
                raise RuntimeError("a lease just written is not there")
            return _record(written)

    def release(self, collection: str, camera: str, owner: str) -> None:
        """Give a lease back; somebody else's is left alone."""
        with writing(self._database, collection) as log:
            mine = sa.and_(
                leases.c.collection_id == log.collection["id"],
                leases.c.camera == camera,
                leases.c.owner == owner,
            )
            log.execute(leases.delete().where(mine))

    def held(self, collection: str) -> list[Lease]:
        """Leases that have not run out, by camera."""
        with reading(self._database, collection) as log:
            query = sa.select(leases).where(
                leases.c.collection_id == log.collection["id"],
                leases.c.until > clock_us(log.connection),
            )
            rows = log.execute(query.order_by(leases.c.camera)).mappings()
            return [_record(row) for row in rows]


def _find(log: Log, camera: str) -> Row | None:
    query = sa.select(leases).where(
        leases.c.collection_id == log.collection["id"], leases.c.camera == camera
    )
    return log.execute(query).mappings().first()


def _record(row: Row) -> Lease:
    return Lease(
        row["camera"], row["owner"], row["holder"], from_us(row["taken_at"]), from_us(row["until"])
    )

"""How many faces a camera sees: counted by the hour, of nobody in particular."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.watchlists.budget import Flow
from arcid.apps.watchlists.tables import hours

WEEK = 168  # of the hours that a camera watched, the newest count
LONGEST_GAP_S = 5.0  # between two frames: a camera that says nothing for longer is not watching


class Faces:
    """Faces and seconds of one camera since they were last written."""

    def __init__(self) -> None:
        self._faces: Counter[int] = Counter()
        self._seconds: dict[int, float] = {}
        self._last: tuple[float, float] | None = None

    def frame(self, at: float, ticks: float) -> None:
        """Time passed; ``at``: seconds since 1970."""
        if self._last is not None:
            gap = min(max(ticks - self._last[1], 0.0), LONGEST_GAP_S)
            hour = int(at // 3600)
            self._seconds[hour] = self._seconds.get(hour, 0.0) + gap
        self._last = (at, ticks)

    def face(self, at: float) -> None:
        """A new track was looked at."""
        self._faces[int(at // 3600)] += 1

    def take(self) -> dict[int, tuple[float, int]]:
        """Hour → (seconds, faces); counting begins anew."""
        known = {
            hour: (self._seconds.get(hour, 0.0), self._faces[hour])
            for hour in {*self._seconds, *self._faces}
        }
        self._faces, self._seconds = Counter(), {}
        return known


def write(connection: Connection, camera: str, counted: dict[int, tuple[float, int]]) -> None:
    """Add what was counted, and forget what is too old to count."""
    for hour, (seconds, faces) in counted.items():
        own = sa.and_(hours.c.camera == camera, hours.c.hour == hour)
        more = {"seconds": hours.c.seconds + seconds, "faces": hours.c.faces + faces}
        if not connection.execute(hours.update().where(own).values(more)).rowcount:
            values = {"camera": camera, "hour": hour, "seconds": seconds, "faces": faces}
            connection.execute(hours.insert().values(values))
    newest = sa.select(hours.c.hour).where(hours.c.camera == camera)
    kept = newest.order_by(hours.c.hour.desc()).limit(WEEK).scalar_subquery()
    connection.execute(hours.delete().where(hours.c.camera == camera, hours.c.hour.not_in(kept)))


def flow(connection: Connection, camera: str | None) -> Flow:
    """What a camera was seen to see; nothing of one that is not known."""
    query = sa.select(sa.func.sum(hours.c.faces), sa.func.sum(hours.c.seconds)).where(
        hours.c.camera == camera
    )
    faces, seconds = connection.execute(query).one()
    return Flow(int(faces or 0), float(seconds or 0.0) / 3600)

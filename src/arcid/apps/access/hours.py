"""Schedules of collections, and the holidays of all doors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from arcid.apps.access import store
from arcid.apps.access.rules import Schedule
from arcid.apps.access.tables import holidays, schedules
from arcid.errors import NotFound
from arcid.gallery import Gallery
from arcid.gallery import rules as _rules
from arcid.gallery.store.audit import append
from arcid.gallery.store.collections import find as find_collection


@dataclass(frozen=True, slots=True)
class Holiday:
    day: date
    name: str


class Hours:
    """Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    def all(self, collection: str) -> list[Schedule]:
        """By name."""
        with self._database.read() as connection:
            own = find_collection(connection, collection)
            query = sa.select(schedules).where(schedules.c.collection_id == own["id"])
            rows = connection.execute(query.order_by(schedules.c.name_key)).mappings()
            return [Schedule.parse(row["name"], row["hours"], row["zone"]) for row in rows]

    def add(self, collection: str, name: str, hours: str, zone: str) -> Schedule:
        """See ``Schedule``. Raises ``UsageError``, ``AlreadyExists``."""
        schedule = Schedule.parse(_rules.path_name(name, "a schedule's name"), hours, zone)
        with self._database.write() as connection:
            own = find_collection(connection, collection)
            values = {"hours": schedule.text, "zone": zone}
            store.insert(connection, schedules, own, schedule.name, values)
            about = {"schedule": schedule.name, **values}
            append(connection, verb="door_schedule.add", subject=f"collection:{own['uid']}",
                   collection=own["uid"], details=about)  # fmt: skip
        return schedule

    def delete(self, collection: str, name: str) -> None:
        """And the rules by it: nobody passes by them any more. Raises ``NotFound``."""
        with self._database.write() as connection:
            row = store.named(connection, schedules, collection, name, "schedule")
            connection.execute(schedules.delete().where(schedules.c.id == row["id"]))
            own = find_collection(connection, collection)
            append(connection, verb="door_schedule.delete", subject=f"collection:{own['uid']}",
                   collection=own["uid"], details={"schedule": row["name"]})  # fmt: skip

    def holidays(self) -> list[Holiday]:
        """Of all doors, by day."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(holidays).order_by(holidays.c.day)).mappings()
            return [Holiday(date.fromisoformat(row["day"]), row["name"]) for row in rows]

    def add_holiday(self, day: date, name: str = "") -> None:
        """Again with another name renames it."""
        cleaned = _rules.clean_name(name, "a holiday's name") if name.strip() else ""
        with self._database.write() as connection:
            connection.execute(holidays.delete().where(holidays.c.day == day.isoformat()))
            connection.execute(holidays.insert().values(day=day.isoformat(), name=cleaned))
            append(connection, verb="door_holiday.add", subject=f"day:{day.isoformat()}")

    def delete_holiday(self, day: date) -> None:
        """Raises ``NotFound``."""
        with self._database.write() as connection:
            gone = holidays.delete().where(holidays.c.day == day.isoformat())
            if connection.execute(gone).rowcount == 0:
                raise NotFound(f"{day.isoformat()} is no holiday here")
            append(connection, verb="door_holiday.delete", subject=f"day:{day.isoformat()}")

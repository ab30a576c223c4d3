"""Doors as they are set up: doors, groups, schedules, holidays, who may pass where.

doors = Doors(gallery)
door = doors.add("Front door", "staff", camera="Door", output="https://relay.example/open")
doors.add_group("staff", "Staff"); doors.add_member("staff", "Staff", ada.id)
doors.add_schedule("staff", "Office hours", "mon-fri 07:00-19:00", "Europe/Berlin")
doors.allow("Front door", "Staff", "Office hours")
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.apps.access import store
from arcid.apps.access.machine import DoorState, Position
from arcid.apps.access.outputs import check_output
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.tables import doors, groups, rules, schedules
from arcid.errors import AlreadyExists, NotFound, UsageError
from arcid.gallery import Gallery
from arcid.gallery import rules as _rules
from arcid.gallery.schema import Row
from arcid.gallery.store.audit import append
from arcid.gallery.store.collections import find as find_collection
from arcid.gallery.store.journal import from_us, now_us


@dataclass(frozen=True, slots=True)
class Rule:
    """A group may pass a door, in the hours of a schedule; None: at any time."""

    door: str
    group: str
    schedule: str | None


class Doors:
    """Thread-safe; every change is one transaction."""

    def __init__(self, gallery: Gallery) -> None:
        self._database = gallery.database

    # doors

    def all(self) -> list[Door]:
        """By name."""
        with self._database.read() as connection:
            return store.every(connection)

    def get(self, reference: str) -> Door:
        """By id or name. Raises ``DoorNotFound``."""
        with self._database.read() as connection:
            return store.record(store.find(connection, reference))

    def add(self, name: str, collection: str, **settings: Any) -> Door:
        """``settings``: of ``rules.Door``; doors of ``interlock`` by id or name. Raises
        ``UsageError``, ``AlreadyExists``, ``CollectionNotFound``, ``DoorNotFound``."""
        _refuse_none(settings)
        uid = uuid.uuid4().hex
        with self._database.write() as connection:
            own = find_collection(connection, collection)
            door = self._checked(connection, Door(uid, name.strip(), own["name"]), settings)
            values = {
                "uid": uid, "collection_id": own["id"], "name": door.name,
                "name_key": self._free(connection, door), "settings": store.packed(door),
                "created_at": now_us(),
            }  # fmt: skip
            connection.execute(doors.insert().values(values))
            _audit(connection, "door.add", values, own["uid"], dict(settings))
            return door

    def change(self, reference: str, **settings: Any) -> Door:
        """What is left out stays. Raises as ``add``."""
        _refuse_none(settings)
        if "camera" in settings:
            settings.setdefault("camera_id", "")
        with self._database.write() as connection:
            row = store.find(connection, reference)
            name = str(settings.pop("name", row["name"])).strip()
            door = self._checked(connection, replace(store.record(row), name=name), settings)
            values = {"name": door.name, "name_key": self._free(connection, door),
                      "settings": store.packed(door)}  # fmt: skip
            connection.execute(doors.update().where(doors.c.id == row["id"]).values(values))
            _audit(connection, "door.change", row, row["collection_uid"], dict(settings))
            return door

    def delete(self, reference: str) -> None:
        """With its openings; its passages stay until they are forgotten. Raises
        ``DoorNotFound``, ``UsageError`` where another door waits for it to be shut."""
        with self._database.write() as connection:
            row = store.find(connection, reference)
            waiting = [d.name for d in store.every(connection) if row["uid"] in d.interlock]
            if waiting:
                raise UsageError(
                    f"{', '.join(waiting)} waits for {row['name']} to be shut; change that first"
                )
            connection.execute(doors.delete().where(doors.c.id == row["id"]))
            _audit(connection, "door.delete", row, row["collection_uid"])

    def lock_down(self, reference: str | None, why: str | None) -> list[Door]:
        """Lock a door down, or all (None); ``why`` None lifts it. No door opens until then, by
        hand neither. Raises ``DoorNotFound``."""
        with self._database.write() as connection:
            rows: list[Row] = (
                list(connection.execute(store.KNOWN).mappings())
                if reference is None
                else [store.find(connection, reference)]
            )
            reason = None if why is None else " ".join(why.split())[:200]
            for row in rows:
                own = doors.update().where(doors.c.id == row["id"])
                connection.execute(own.values(lockdown=reason))
                verb = "door.lift" if reason is None else "door.lock_down"
                append(connection, verb=verb, subject=f"door:{row['uid']}",
                       collection=row["collection_uid"], reason=reason or "")  # fmt: skip
            return [store.record(row) for row in rows]

    def acknowledged(self, reference: str) -> None:
        """An alarm of a door was seen, for the audit. Raises ``DoorNotFound``."""
        with self._database.write() as connection:
            row = store.find(connection, reference)
            append(connection, verb="door.acknowledge", subject=f"door:{row['uid']}",
                   collection=row["collection_uid"])  # fmt: skip

    def site(self) -> tuple[Site, dict[str, DoorState], dict[str, Position]]:
        """All that is set up, how the doors stand and where people are, of one moment."""
        with self._database.read() as connection:
            return store.site(connection), store.standing(connection), store.where(connection)

    # who may pass

    def rules(self, door: str | None = None) -> list[Rule]:
        """Of one door (by id or name) or of all. Raises ``DoorNotFound``."""
        query = (
            sa.select(doors.c.name, groups.c.name, schedules.c.name)
            .select_from(rules)
            .join(doors, doors.c.id == rules.c.door_id)
            .join(groups, groups.c.id == rules.c.group_id)
            .outerjoin(schedules, schedules.c.id == rules.c.schedule_id)
            .order_by(doors.c.name_key, rules.c.id)
        )
        with self._database.read() as connection:
            if door is not None:
                query = query.where(doors.c.id == store.find(connection, door)["id"])
            return [Rule(*row) for row in connection.execute(query)]

    def allow(self, door: str, group: str, schedule: str | None = None) -> None:
        """A group may pass a door, in the hours of a schedule; once is enough. Raises
        ``DoorNotFound``, ``NotFound``."""
        with self._database.write() as connection:
            values = self._rule(connection, door, group, schedule)
            same = [rules.c[name].is_(v) if v is None else rules.c[name] == v
                    for name, v in values.items()]  # fmt: skip
            if connection.execute(sa.select(rules.c.id).where(*same)).first() is None:
                connection.execute(rules.insert().values(values))
                about = {"group": group, "schedule": schedule}
                row = store.find(connection, door)
                _audit(connection, "door.allow", row, row["collection_uid"], about)

    def disallow(self, door: str, group: str, schedule: str | None = None) -> None:
        """Take a rule back. Raises ``DoorNotFound``, ``NotFound``."""
        with self._database.write() as connection:
            values = self._rule(connection, door, group, schedule)
            same = [rules.c[name].is_(v) if v is None else rules.c[name] == v
                    for name, v in values.items()]  # fmt: skip
            if connection.execute(rules.delete().where(*same)).rowcount == 0:
                raise NotFound("there is no such rule; see: arcid access rule list")
            row = store.find(connection, door)
            about = {"group": group, "schedule": schedule}
            _audit(connection, "door.disallow", row, row["collection_uid"], about)

    def forgive(self, person_id: str) -> None:
        """Forget where somebody is: anti-passback lets them through once."""
        with self._database.write() as connection:
            store.leave(connection, person_id)
            append(connection, verb="door.forgive", subject=f"person:{person_id}")

    def opened_at(self, reference: str) -> datetime | None:
        """When a door was last released. Raises ``DoorNotFound``."""
        with self._database.read() as connection:
            at = store.find(connection, reference)["opened_at"]
        return None if at is None else from_us(at)

    def _rule(
        self, connection: Connection, door: str, group: str, schedule: str | None
    ) -> dict[str, int | None]:
        row = store.find(connection, door)
        of = store.named(connection, groups, row["collection"], group, "group")
        hours = None
        if schedule is not None:
            hours = store.named(connection, schedules, row["collection"], schedule, "schedule")
        return {"door_id": row["id"], "group_id": of["id"],
                "schedule_id": None if hours is None else hours["id"]}  # fmt: skip

    def _checked(self, connection: Connection, door: Door, settings: dict[str, Any]) -> Door:
        unknown = set(settings) - set(store.SETTINGS)
        if unknown:
            raise UsageError(
                f"a door has no {', '.join(sorted(unknown))}; it has {', '.join(store.SETTINGS)}"
            )
        if "interlock" in settings:
            found = [store.find(connection, other)["uid"] for other in settings["interlock"]]
            settings = settings | {"interlock": tuple(dict.fromkeys(found))}
        made = replace(door, **settings)
        check_output(made.output)
        return made

    def _free(self, connection: Connection, door: Door) -> str:
        own = _rules.name_key(_rules.clean_name(door.name, "a door's name"))
        query = sa.select(doors.c.uid).where(doors.c.name_key == own)
        if connection.execute(query).scalar() not in (None, door.id):
            raise AlreadyExists(f"there is a door {door.name!r} already")
        return own


def _refuse_none(settings: Mapping[str, Any]) -> None:
    empty = sorted(name for name, value in settings.items() if value is None)
    if empty:
        raise UsageError(f"{', '.join(empty)} cannot be None; leave out what is to stay as it is")


def _audit(
    connection: Connection,
    verb: str,
    row: Mapping[Any, Any],
    collection: str,
    details: dict[str, Any] | None = None,
) -> None:
    append(
        connection, verb=verb, subject=f"door:{row['uid']}", collection=collection, details=details
    )

"""Cameras as they are set up: the rules, and the table they stand in."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.addresses import refuse_literal
from arcid.apps.watching import LivenessMode
from arcid.cameras.schema import cameras, migrate
from arcid.cameras.sealing import PURPOSE, find_keys, sealing_key
from arcid.errors import AlreadyExists, CameraNotFound, SealBroken, UsageError
from arcid.events import Place
from arcid.gallery import rules
from arcid.gallery.database import Database
from arcid.gallery.paging import Order, Page, check_limit
from arcid.gallery.schema import collections
from arcid.gallery.store.collections import find as find_collection
from arcid.gallery.store.journal import now_us
from arcid.sealing import SEALED, seal, unseal
from arcid.video.captures import SCHEMES, shown

MODES: tuple[LivenessMode, ...] = get_args(LivenessMode)
MAX_NAME, MAX_SOURCE = 80, 1000
SEALED_ELSEWHERE = (
    "This camera's address was sealed with another key, so it cannot be watched. Put the file "
    "cameras.key or console.key back into ARCID_HOME and restart, or enter the address again. The "
    "camera is kept."
)
CAMERAS = Order("cameras", (str,))  # name_key
_KNOWN = sa.select(cameras, collections.c.name.label("collection_now")).outerjoin(
    collections, collections.c.uid == cameras.c.collection_uid
)


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera as it was set up."""

    id: str
    name: str
    source: str = field(repr=False)  # may hold a password; empty where it cannot be unsealed
    collection: str
    place: str  # cameras of one place see the same comings and goings; empty: its own
    liveness: LivenessMode
    enabled: bool
    sealed: bool = False  # with a key that is not there: nobody can watch it
    collection_id: str | None = None  # None: its collection was deleted before it had one
    attendance: bool = True  # whether who comes is written in the book

    @property
    def at(self) -> Place:
        """Where what it sees happens."""
        return Place(self.place or self.name, self.name)

    @property
    def shown(self) -> str:
        """The source without what may be secret in it."""
        return shown(self.source) if "://" in self.source else self.source


class CameraBook:
    """The cameras in the gallery's database. Blocks; call it from a thread."""

    def __init__(self, database: Database, folder: Path) -> None:
        """``folder``: where the key lies that addresses of streams are sealed with."""
        self._database = database
        self._folder = folder
        self._keys: list[bytes] = []  # as they were found
        migrate(database)

    def seal(self) -> None:
        """Seal addresses that an earlier version wrote as they are."""
        plain = sa.select(cameras.c.uid, cameras.c.source).where(
            cameras.c.source.contains("://"), ~cameras.c.source.startswith(SEALED)
        )
        with self._database.read() as connection:
            if connection.execute(plain).first() is None:
                return
        with self._database.write(erases=True) as connection:
            for uid, source in connection.execute(plain).all():
                own = cameras.update().where(cameras.c.uid == uid)
                connection.execute(own.values(source=self._sealed(uid, source)))

    def all(self) -> list[Camera]:
        """By name."""
        return list(self.page(None, None))

    def page(
        self, limit: int | None, after: str | None, within: Iterable[str] | None = None
    ) -> Page[Camera]:
        """By name; ``within``: of the collections of these ids. Raises ``CursorInvalid``."""
        query = _KNOWN.order_by(cameras.c.name_key).limit(check_limit(limit))
        if within is not None:
            query = query.where(cameras.c.collection_uid.in_(list(within)))
        if after is not None:
            query = query.where(cameras.c.name_key > CAMERAS.place("", after)[0])
        with self._database.read() as connection:
            rows = list(connection.execute(query).mappings())
        page = CAMERAS.page("", rows, limit, lambda row: (row["name_key"],))
        return Page([self._record(row) for row in page], page.next)

    def get(self, camera_id: str) -> Camera:
        """Raises ``CameraNotFound``."""
        with self._database.read() as connection:
            return self._find(connection, camera_id)

    def add(
        self,
        *,
        name: str,
        source: str,
        collection: str,
        place: str = "",
        liveness: str = "off",
        enabled: bool = True,
        attendance: bool = True,
    ) -> Camera:
        """Raises ``UsageError`` saying what is wrong, ``AlreadyExists`` (the name),
        ``CollectionNotFound``, ``AddressRefused``."""
        uid = uuid.uuid4().hex
        values = _checked(name, place, liveness, enabled, attendance)
        values |= {"uid": uid, "created_at": now_us()}
        values["source"] = self._sealed(uid, checked_source(source))
        with self._database.write(erases=True) as connection:
            self._complete(connection, values, collection, uid)
            connection.execute(cameras.insert().values(**values))
            return self._find(connection, uid)

    def change(
        self,
        camera_id: str,
        *,
        name: str | None = None,
        source: str | None = None,
        collection: str | None = None,
        place: str | None = None,
        liveness: str | None = None,
        enabled: bool | None = None,
        attendance: bool | None = None,
    ) -> Camera:
        """What is None stays. Raises as ``add``, and ``CameraNotFound``."""
        values = _checked(name, place, liveness, enabled, attendance)
        if source is not None:
            values["source"] = self._sealed(camera_id, checked_source(source))
        with self._database.write(erases=True) as connection:
            self._find(connection, camera_id)
            self._complete(connection, values, collection, camera_id)
            if values:
                own = cameras.update().where(cameras.c.uid == camera_id)
                connection.execute(own.values(**values))
            return self._find(connection, camera_id)

    def delete(self, camera_id: str) -> None:
        """What it has seen stays in the attendance book. Raises ``CameraNotFound``."""
        with self._database.write(erases=True) as connection:
            found = connection.execute(cameras.delete().where(cameras.c.uid == camera_id))
            if found.rowcount == 0:
                raise CameraNotFound("this camera does not exist any more")

    def _complete(
        self, connection: Connection, values: dict[str, Any], collection: str | None, uid: str
    ) -> None:
        """Its collection, and that no other camera has its name."""
        if "name_key" in values:
            query = sa.select(cameras.c.uid).where(cameras.c.name_key == values["name_key"])
            if connection.execute(query).scalar() not in (None, uid):
                raise AlreadyExists("there is a camera of that name already")
        if collection is not None:
            row = find_collection(connection, collection)
            values |= {"collection": row["name"], "collection_uid": row["uid"]}

    def _find(self, connection: Connection, camera_id: str) -> Camera:
        row = connection.execute(_KNOWN.where(cameras.c.uid == camera_id)).mappings().first()
        if row is None:
            raise CameraNotFound("this camera does not exist any more")
        return self._record(row)

    def _sealed(self, uid: str, source: str) -> str:
        if "://" not in source:
            return source
        key = sealing_key(self._folder)
        if key not in self._keys:
            self._keys = find_keys(self._folder)
        return seal(key, uid, source, PURPOSE)

    def _unsealed(self, uid: str, sealed: str) -> str:
        """Empty where no key that is there opens it."""
        self._keys = self._keys or find_keys(self._folder)
        for key in self._keys:
            with suppress(SealBroken):
                return unseal(key, uid, sealed, PURPOSE)
        return ""

    def _record(self, row: Any) -> Camera:
        source = row["source"]
        locked = source.startswith(SEALED)
        if locked:
            source = self._unsealed(row["uid"], source)
            locked = not source
        return Camera(
            row["uid"],
            row["name"],
            source,
            row["collection_now"] or row["collection"],
            row["place"],
            row["liveness"],
            bool(row["enabled"]),
            locked,
            row["collection_uid"],
            bool(row["attendance"]),
        )


def checked_source(source: str) -> str:
    """Stripped. Raises ``UsageError``, and ``AddressRefused`` for a link-local address."""
    source = source.strip()
    wrong = UsageError("the source is a stream's address, a webcam's number or a file's path")
    if not 1 <= len(source) <= MAX_SOURCE or not source.isprintable():
        raise wrong
    if "://" in source:
        try:
            parts = urlsplit(source)
            host = parts.hostname or ""
        except ValueError:
            raise wrong from None
        if parts.scheme not in SCHEMES:
            raise wrong
        refuse_literal(host)
    return source


def _checked(
    name: str | None,
    place: str | None,
    liveness: str | None,
    enabled: bool | None,
    attendance: bool | None,
) -> dict[str, Any]:
    """The columns of what is given."""
    values: dict[str, Any] = {}
    if name is not None:
        name = " ".join(name.split())
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise UsageError(f"a camera's name has 1 to {MAX_NAME} printable characters")
        values |= {"name": name, "name_key": rules.name_key(name)}
    if place is not None:
        values["place"] = " ".join(place.split())[:MAX_NAME]
    if liveness is not None:
        if liveness not in MODES:
            raise UsageError(f"liveness {liveness!r} is unknown; use {', '.join(MODES)}")
        values["liveness"] = liveness
    if enabled is not None:
        values["enabled"] = int(enabled)
    if attendance is not None:
        values["attendance"] = int(attendance)
    return values


__all__ = ["MODES", "Camera", "CameraBook", "checked_source"]

"""Cameras the service watches by itself: how they are set up, and a thread for each.

A camera is opened when the service starts, tried again when it fails, and stopped when it is
switched off; pages that show it get the newest picture and never hold it up.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.addresses import refuse_literal
from arcid.apps.attendance import CameraLease, Liveness, Policy, View, Watcher
from arcid.apps.attendance.policy import LivenessMode
from arcid.errors import ArcidError, CameraWatched, CollectionNotFound, ConfigError, UsageError
from arcid.events import Cause, Events, Place
from arcid.gallery import Gallery
from arcid.gallery.database import Database
from arcid.gallery.schema import collections
from arcid.gallery.store.journal import now_us
from arcid.pipeline import Pipeline
from arcid.server.console import strings as S
from arcid.server.console.auth.accounts import name_key
from arcid.server.console.auth.secret import SEALED, SealBroken, seal, unseal
from arcid.server.console.schema import cameras
from arcid.types import Image
from arcid.video import Health, Source, open_source
from arcid.video.captures import shown

log = logging.getLogger(__name__)
MODES: tuple[LivenessMode, ...] = ("off", "flag", "require")
MAX_NAME, MAX_SOURCE = 80, 1000
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
WATCHED_PAUSE_S = 3.0  # until a camera that another process watches is asked for again
NOT_REACHED = ("lost", "stalled")  # what a source reports while it connects again by itself
FRESH_S = 5.0  # a picture younger than this is live
State = Literal["off", "starting", "live", "trouble", "ended"]
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

    @property
    def at(self) -> Place:
        """Where what it sees happens."""
        return Place(self.place or self.name, self.name)

    @property
    def shown(self) -> str:
        """The source without what may be secret in it."""
        return shown(self.source) if "://" in self.source else self.source


class CameraBook:
    """The cameras in the database. Blocks; call it from a thread."""

    def __init__(self, database: Database, key: Callable[[], bytes | None]) -> None:
        """``key``: what addresses of streams are sealed with, None before the console is set up."""
        self._database = database
        self._key = key

    def seal(self) -> None:
        """Seal addresses that an earlier version wrote as they are."""
        plain = sa.select(cameras.c.uid, cameras.c.source).where(
            cameras.c.source.contains("://"), ~cameras.c.source.startswith(SEALED)
        )
        with self._database.read() as connection:
            if self._key() is None or connection.execute(plain).first() is None:
                return
        with self._database.write(erases=True) as connection:
            for uid, source in connection.execute(plain).all():
                own = cameras.update().where(cameras.c.uid == uid)
                connection.execute(own.values(source=self._sealed(uid, source)))

    def all(self) -> list[Camera]:
        """By name."""
        with self._database.read() as connection:
            rows = connection.execute(_KNOWN.order_by(cameras.c.name_key))
            return [self._record(row) for row in rows.mappings()]

    def get(self, camera_id: str) -> Camera | None:
        with self._database.read() as connection:
            query = _KNOWN.where(cameras.c.uid == camera_id)
            row = connection.execute(query).mappings().first()
            return None if row is None else self._record(row)

    def save(
        self,
        camera_id: str | None,
        *,
        name: str,
        source: str | None,
        collection: str,
        place: str = "",
        liveness: str = "off",
        enabled: bool = True,
    ) -> Camera:
        """Add a camera, or change one, whose ``source`` stays where None is given.

        Raises ``UsageError`` saying what is wrong.
        """
        values = _checked(name, collection, place, liveness)
        uid = camera_id or uuid.uuid4().hex
        if source is not None:
            values["source"] = self._sealed(uid, _checked_source(source))
        elif camera_id is None:
            raise UsageError(S.CAMERA_SOURCE_WRONG)
        values["enabled"] = int(enabled)
        with self._database.write(erases=True) as connection:
            _refuse_same_name(connection, values["name_key"], camera_id)
            values["collection_uid"] = connection.execute(
                sa.select(collections.c.uid).where(collections.c.name == collection)
            ).scalar()
            if camera_id is None:
                row = values | {"uid": uid, "created_at": now_us()}
                connection.execute(cameras.insert().values(**row))
            else:
                table = cameras.update().where(cameras.c.uid == camera_id)
                connection.execute(table.values(**values))
            query = _KNOWN.where(cameras.c.uid == uid)
            found = connection.execute(query).mappings().first()
            if found is None:
                raise UsageError(S.CAMERA_GONE)
            return self._record(found)

    def delete(self, camera_id: str) -> None:
        """What it has seen stays in the attendance book."""
        with self._database.write(erases=True) as connection:
            connection.execute(cameras.delete().where(cameras.c.uid == camera_id))

    def _sealed(self, uid: str, source: str) -> str:
        key = self._key()
        return source if key is None or "://" not in source else seal(key, uid, source)

    def _record(self, row: Any) -> Camera:
        source = row["source"]
        locked = source.startswith(SEALED)
        if locked:
            key = self._key()
            try:
                source = "" if key is None else unseal(key, row["uid"], source)
            except SealBroken:
                source = ""
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
        )


class Viewer:
    """Somebody looking: the newest view, handed over to the event loop that waits for it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._view: View | None = None

    def offer(self, view: View) -> None:
        """From the camera's thread."""
        self._view = view
        self._loop.call_soon_threadsafe(self._ready.set)

    async def next(self, wait_s: float) -> View | None:
        """The newest view not seen yet; None when there was none for that long."""
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    await self._ready.wait()
                    self._ready.clear()
                    view, self._view = self._view, None
                    if view is not None:  # else it was taken before its offer was heard of
                        return view
        except TimeoutError:
            return None


class Runner:
    """One camera's thread."""

    def __init__(
        self,
        camera: Camera,
        pipeline: Pipeline,
        gallery: Gallery,
        liveness: Callable[[], Liveness],
        renew: Callable[[str], Camera | None] = lambda camera_id: None,
    ) -> None:
        self.camera = camera
        self._renew = renew  # how it is set up now: its collection may have a new name
        self.state: State = "starting"
        self.problem = ""
        self.health: deque[Health] = deque(maxlen=20)
        self.frames_per_s = 0.0
        self.size: tuple[int, int] | None = None
        self._pipeline, self._gallery, self._liveness = pipeline, gallery, liveness
        self._viewers: set[Viewer] = set()
        self._latest: View | None = None
        self._source: Source | None = None
        self._stop = threading.Event()
        self._last = 0.0
        self._thread = threading.Thread(target=self._run, name="arcid-camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._source is not None:
            self._source.close()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def watch(self, viewer: Viewer) -> Callable[[], None]:
        """Begin to hand views over, the last one at once; the answer ends it."""
        self._viewers = self._viewers | {viewer}
        if self._latest is not None:
            viewer.offer(self._latest)

        def leave() -> None:
            self._viewers = self._viewers - {viewer}

        return leave

    @property
    def now(self) -> State:
        """The state, where a picture that stopped coming counts as trouble."""
        if self.state == "live" and time.monotonic() - self._last > FRESH_S:
            return "trouble"
        return self.state

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._watch()
            except CameraWatched as error:
                self._trouble(error.message, error.code)
                self._stop.wait(WATCHED_PAUSE_S)
                continue
            except CollectionNotFound as error:
                self._trouble(error.message, error.code)
                self.camera = self._renew(self.camera.id) or self.camera
            except ArcidError as error:
                self._trouble(error.message, error.code)
            except Exception as error:
                log.exception("a camera's thread failed", extra={"camera": self.camera.id})
                self._trouble(S.FAILED, type(error).__name__)
            else:
                self.state = "ended"
                return
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _watch(self) -> None:
        camera = self.camera
        if camera.sealed:
            raise ConfigError(S.CAMERA_SEALED)
        collection = self._gallery.collection(camera.collection)
        policy = policy_of(camera, keep_crops=collection.keep_crops)
        watcher = Watcher(
            self._pipeline,
            self._gallery,
            camera.collection,
            policy,
            camera=camera.name,
            liveness=None if camera.liveness == "off" else self._liveness(),
        )
        source = open_source(camera.source)
        with ExitStack() as stack:
            lease = None
            if source.live:
                lease = CameraLease(self._gallery, watcher.collection, camera.name)
                stack.enter_context(lease)
            self._source = source
            if self._stop.is_set():
                source.close()
            for view in watcher.watch(source, lease=lease):
                self._seen(view)

    def _seen(self, view: View) -> None:
        self.health.extend(view.health)
        if view.frame is None:
            for entry in view.health:
                if entry.kind in NOT_REACHED:
                    self._trouble(entry.detail, entry.kind)
            return
        now = time.monotonic()
        if self._last and now > self._last:
            self.frames_per_s += 0.1 * (1 / (now - self._last) - self.frames_per_s)
        self._last = now
        self.state, self.problem = "live", ""
        self.size = (view.frame.image.shape[1], view.frame.image.shape[0])
        self._latest = view
        for viewer in self._viewers:
            viewer.offer(view)

    def _trouble(self, message: str, code: str) -> None:
        again = (self.state, self.problem) == ("trouble", message)
        self.state, self.problem = "trouble", message
        if again:
            return
        log.warning("camera in trouble", extra={"camera": self.camera.id, "code": code})


class Cameras:
    """All runners; every change of a camera starts its thread anew."""

    def __init__(
        self, book: CameraBook, pipeline: Pipeline, gallery: Gallery, liveness: Callable[[], Any]
    ) -> None:
        self.book = book
        self._parts = (pipeline, gallery, liveness)
        self._runners: dict[str, Runner] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Every enabled camera."""
        self.book.seal()
        for camera in self.book.all():
            self.restart(camera)

    def restart(self, camera: Camera) -> None:
        """As it is set up now."""
        with self._lock:
            before = self._end(camera.id)
            if before is not None:
                self._left(before, "camera_closed")
            if camera.enabled:
                self._runners[camera.id] = Runner(camera, *self._parts, self.book.get)

    def delete(self, camera_id: str) -> None:
        """Stop it for good; whoever it saw last has left, unless others watch the same place."""
        camera = self.book.get(camera_id)
        self.book.delete(camera_id)
        with self._lock:
            self._end(camera_id)
            if camera is not None:
                self._left(camera, "camera_deleted")

    def runner(self, camera_id: str) -> Runner | None:
        return self._runners.get(camera_id)

    def close(self) -> None:
        with self._lock:
            runners = list(self._runners.values())
            self._runners = {}
        for runner in runners:
            runner.stop()
        for runner in runners:
            runner.join(5)

    def _end(self, camera_id: str) -> Camera | None:
        """The camera as it was watched."""
        runner = self._runners.pop(camera_id, None)
        if runner is None:
            return None
        runner.stop()
        runner.join(5)
        return runner.camera

    def _left(self, camera: Camera, cause: Cause) -> None:
        """End what it began, unless its place is watched still."""
        where = (camera.collection, camera.at.name)
        if not any(c.enabled and (c.collection, c.at.name) == where for c in self.book.all()):
            end_visits(self._parts[1], camera.collection, camera.at, cause)


def end_visits(
    gallery: Gallery, collection: str, place: Place, cause: Cause = "camera_closed"
) -> None:
    """A camera is gone: nobody would see the visits end that it began."""
    why = S.LEFT_CAMERA_DELETED if cause == "camera_deleted" else S.LEFT_CAMERA_CLOSED
    try:
        Events(gallery).abandon(collection, place, why, cause=cause)
    except ArcidError as error:
        log.warning("departures were not written", extra={"code": error.code})


def policy_of(camera: Camera, *, keep_crops: bool) -> Policy:
    """Faces behind events are kept as the collection keeps its own."""
    return Policy(
        place=camera.place or None,
        keep="crop" if keep_crops else "vector",
        liveness=camera.liveness,
    )


def jpeg(image: Image, widest: int = 960) -> bytes:
    """(H,W,3) uint8 RGB as the browser takes it, made smaller where it is wider."""
    import cv2

    height, width = image.shape[:2]
    if width > widest:
        size = (widest, round(height * widest / width))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 78])
    return data.tobytes()


def _checked(name: str, collection: str, place: str, liveness: str) -> dict[str, Any]:
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise UsageError(S.CAMERA_NAME_WRONG.format(high=MAX_NAME))
    if liveness not in MODES:
        raise UsageError(f"liveness {liveness!r} is unknown; use {', '.join(MODES)}")
    return {
        "name": name,
        "name_key": name_key(name),
        "collection": collection,
        "place": " ".join(place.split())[:MAX_NAME],
        "liveness": liveness,
    }


def _checked_source(source: str) -> str:
    source = source.strip()
    if not 1 <= len(source) <= MAX_SOURCE or not source.isprintable():
        raise UsageError(S.CAMERA_SOURCE_WRONG)
    if (
        not source.isdecimal()
        and "://" in source
        and not source.startswith(("rtsp://", "rtsps://", "rtmp://", "http://", "https://"))
    ):
        raise UsageError(S.CAMERA_SOURCE_WRONG)
    if "://" in source:
        refuse_literal(urlsplit(source).hostname or "")
    return source


def _refuse_same_name(connection: Connection, key: str, camera_id: str | None) -> None:
    query = sa.select(cameras.c.uid).where(cameras.c.name_key == key)
    found = connection.execute(query).scalar()
    if found is not None and found != camera_id:
        raise UsageError(S.CAMERA_NAME_TAKEN)

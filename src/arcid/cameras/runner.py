"""A thread for each camera; who looks at it gets the newest picture and never holds it up."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from arcid.apps.watching import CameraLease, Duty, Liveness, View, Watcher
from arcid.cameras import observers
from arcid.cameras.book import SEALED_ELSEWHERE, Camera
from arcid.cameras.uptime import FRESH_S, Uptime
from arcid.errors import ArcidError, CameraWatched, CollectionNotFound, ConfigError
from arcid.events import acting
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.video import Health, Source, open_source

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
WATCHED_PAUSE_S = 3.0  # until a camera that another process watches is asked for again
NOT_REACHED = ("lost", "stalled")  # what a source reports while it connects again by itself
SILENT = "No picture has come for some seconds."
FAILED = "The camera's thread failed; the service's log says more."
State = Literal["off", "starting", "live", "trouble", "ended"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a camera is doing. ``ended``: a file was read to its end."""

    state: State = "off"
    since: datetime | None = None  # UTC; when the state began
    problem: str = ""  # for people; empty where there is none
    frames_per_s: float = 0.0
    size: tuple[int, int] | None = None  # width, height in pixels
    lately: tuple[Health, ...] = ()  # oldest first


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
    """One camera's thread: opened, tried again when it fails, until ``stop``."""

    def __init__(
        self,
        camera: Camera,
        pipeline: Pipeline,
        gallery: Gallery,
        liveness: Callable[[], Liveness],
        renew: Callable[[str], Camera] | None = None,
    ) -> None:
        self.camera = camera
        self._renew = renew  # how it is set up now: its collection may have a new name
        self._state: tuple[State, datetime] = ("starting", datetime.now(UTC))
        self.uptime = Uptime(datetime.now(UTC))
        self._problem = ""
        self._health: deque[Health] = deque(maxlen=20)
        self._frames_per_s = 0.0
        self._size: tuple[int, int] | None = None
        self._pipeline, self._gallery, self._liveness = pipeline, gallery, liveness
        self._duties: Sequence[Duty] = ()
        self._viewers: set[Viewer] = set()
        self._latest: View | None = None
        self._source: Source | None = None
        self._stop = threading.Event()
        self._last = 0.0
        self._last_at: datetime | None = None
        self._thread = threading.Thread(target=self._run, name="arcid-camera", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._source is not None:
            self._source.close()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def assign(self, duties: Sequence[Duty]) -> None:
        """Who observes from the next frame on; the camera goes on meanwhile. From any thread."""
        self._duties = duties

    def watch(self, viewer: Viewer) -> Callable[[], None]:
        """Begin to hand views over, the last one at once; the answer ends it."""
        self._viewers = self._viewers | {viewer}
        if self._latest is not None:
            viewer.offer(self._latest)

        def leave() -> None:
            self._viewers = self._viewers - {viewer}

        return leave

    @property
    def status(self) -> Status:
        """Now; a picture that stopped coming counts as trouble."""
        (state, since), problem = self._state, self._problem
        if state == "live" and time.monotonic() - self._last > FRESH_S:
            state, since, problem = "trouble", self._last_at or since, SILENT
        rate = self._frames_per_s if state == "live" else 0.0
        return Status(state, since, problem, rate, self._size, tuple(self._health))

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                with acting(f"camera:{self.camera.id}"):
                    self._watch()
            except CameraWatched as error:
                self._trouble(error.message, error.code)
                self._stop.wait(WATCHED_PAUSE_S)
                continue
            except CollectionNotFound as error:
                self._trouble(error.message, error.code)
                self._follow()
            except ArcidError as error:
                self._trouble(error.message, error.code)
            except Exception as error:
                log.exception("a camera's thread failed", extra={"camera": self.camera.id})
                self._trouble(FAILED, type(error).__name__)
            else:
                self._enter("ended", "")
                return
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _follow(self) -> None:
        """To the collection's new name."""
        try:
            self.camera = self._renew(self.camera.id) if self._renew else self.camera
        except ArcidError as error:
            log.info("a camera was not read again", extra={"code": error.code})

    def _watch(self) -> None:
        camera = self.camera
        if camera.sealed:
            raise ConfigError(SEALED_ELSEWHERE)
        collection = self._gallery.collection(camera.collection)
        assigned = self._duties = observers.duties(self._gallery, camera)
        watcher = Watcher(self._pipeline, assigned, camera=camera.name, liveness=self._liveness)
        source = open_source(camera.source)
        with ExitStack() as stack:
            lease = None
            if source.live:
                lease = CameraLease(self._gallery, collection.name, camera.name)
                stack.enter_context(lease)
            self._source = source
            if self._stop.is_set():
                source.close()
            for view in watcher.watch(source, lease=lease):
                self._seen(view)
                if self._duties is not assigned:
                    assigned = self._duties
                    watcher.assign(assigned)

    def _seen(self, view: View) -> None:
        self._health.extend(view.health)
        if view.frame is None:
            for entry in view.health:
                if entry.kind in NOT_REACHED:
                    self._trouble(entry.detail, entry.kind)
            return
        now = time.monotonic()
        if self._last and now > self._last:
            self._frames_per_s += 0.1 * (1 / (now - self._last) - self._frames_per_s)
        self._last, self._last_at = now, datetime.now(UTC)
        self.uptime.picture(self._last_at)
        self._enter("live", "")
        self._size = (view.frame.image.shape[1], view.frame.image.shape[0])
        self._latest = view
        for viewer in self._viewers:
            viewer.offer(view)

    def _enter(self, state: State, problem: str) -> None:
        if self._state[0] != state:
            self._state = (state, datetime.now(UTC))
        self._problem = problem

    def _trouble(self, message: str, code: str) -> None:
        again = (self._state[0], self._problem) == ("trouble", message)
        self._enter("trouble", message)
        if again:
            return
        log.warning("camera in trouble", extra={"camera": self.camera.id, "code": code})

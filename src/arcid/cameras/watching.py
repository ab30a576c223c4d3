"""All cameras of a service: every one that is switched on has a thread.

What is stored counts: every few seconds it is read again, so that a camera which another process
added, changed or removed is followed here too.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from arcid.apps.attendance.closing import end_stays
from arcid.apps.watching import Liveness
from arcid.cameras import observers
from arcid.cameras.book import SEALED_ELSEWHERE, Camera, CameraBook
from arcid.cameras.probing import Probe, probe
from arcid.cameras.runner import Runner, Status
from arcid.cameras.uptime import Uptime
from arcid.errors import ArcidError
from arcid.events import Cause
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline

log = logging.getLogger(__name__)
REFRESH_S = 5.0
JOIN_S = 5.0


def passive_liveness() -> Liveness:
    """Raises ``ModelNotFound``."""
    from arcid.liveness import passive

    return passive.load()


class Cameras:
    """Thread-safe. ``start`` and ``close`` belong to the service; both are quick."""

    def __init__(
        self,
        pipeline: Pipeline,
        gallery: Gallery,
        folder: Path,
        liveness: Callable[[], Liveness] = passive_liveness,
    ) -> None:
        """``folder``: see ``CameraBook``; ``liveness`` is called when a camera first needs it."""
        self._pipeline, self._gallery = pipeline, gallery
        self._folder = folder
        self._load_liveness = liveness
        self._liveness: Liveness | None = None
        self._loading = threading.Lock()
        self._runners: dict[str, Runner] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: CameraBook | None = None

    @property
    def book(self) -> CameraBook:
        """Raises ``GalleryError`` kinds the first time."""
        if self._opened is None:
            with self._loading:
                if self._opened is None:
                    book = CameraBook(self._gallery.database, self._folder)
                    book.seal()
                    self._opened = book
        return self._opened

    def start(self) -> None:
        """Every camera that is switched on, now and from now on."""
        self._look()
        self._thread = threading.Thread(target=self._follow, name="arcid-cameras", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends all threads; stays remain open for whoever watches next."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
        with self._lock:
            _end(list(self._runners.values()))
            self._runners = {}

    def add(self, **values: Any) -> Camera:
        """As ``CameraBook.add``."""
        camera = self.book.add(**values)
        self.refresh()
        return camera

    def change(self, camera_id: str, **values: Any) -> Camera:
        """As ``CameraBook.change``; the camera is opened anew even where nothing changed."""
        camera = self.book.change(camera_id, **values)
        self.refresh(anew=camera_id)
        return camera

    def delete(self, camera_id: str) -> None:
        """Stop it for good; whoever it saw last has left, unless others watch the same place."""
        camera = self.book.get(camera_id)
        self.book.delete(camera_id)
        self.refresh()
        self._left(camera, "camera_deleted")  # whom it saw before it was switched off, too

    def test(self, camera_id: str) -> Probe:
        """As ``probe``, for the camera as it is stored; one that is live is not opened again."""
        camera, status = self.book.get(camera_id), self.status(camera_id)
        if status.state == "live":
            return Probe(True, "", status.size, 0.0)
        if camera.sealed:
            return Probe(False, SEALED_ELSEWHERE, None, 0.0)
        return probe(camera.source)

    def runner(self, camera_id: str) -> Runner | None:
        return self._runners.get(camera_id)

    def status(self, camera_id: str) -> Status:
        """``off`` where nobody watches it here."""
        runner = self._runners.get(camera_id)
        return Status() if runner is None else runner.status

    def uptime(self, camera_id: str) -> Uptime | None:
        """How much of the time it was live; None where nobody watches it here."""
        runner = self._runners.get(camera_id)
        return None if runner is None else runner.uptime

    def refresh(self, anew: str | None = None) -> None:
        """Threads for what is stored now; ``anew``: a camera to open again in any case."""
        with self._lock:
            if self._stop.is_set():
                return
            stored = {camera.id: camera for camera in self.book.all()}
            wanted = {key: camera for key, camera in stored.items() if camera.enabled}
            old = [
                runner
                for key, runner in self._runners.items()
                if key == anew or not _same(runner.camera, wanted.get(key))
            ]
            _end(old)
            for runner in old:
                del self._runners[runner.camera.id]
            for runner in old:
                gone = runner.camera.id not in stored
                self._left(runner.camera, "camera_deleted" if gone else "camera_closed")
            for key, camera in wanted.items():
                if key not in self._runners:
                    self._runners[key] = Runner(
                        camera, self._pipeline, self._gallery, self._passive, self.book.get
                    )
                else:
                    self._assign(self._runners[key], camera)

    def _follow(self) -> None:
        while not self._stop.wait(REFRESH_S):
            self._look()

    def _look(self) -> None:
        try:
            self.refresh()
        except ArcidError as error:
            log.warning("the cameras could not be read", extra={"code": error.code})
        except Exception:  # whatever it was, they are read again
            log.exception("reading the cameras failed")

    def _assign(self, runner: Runner, camera: Camera) -> None:
        try:
            runner.assign(observers.duties(self._gallery, camera))
        except ArcidError as error:  # who observes stays
            log.warning(
                "a camera's observers were not read",
                extra={"camera": camera.id, "code": error.code},
            )

    def _passive(self) -> Liveness:
        with self._loading:  # cameras ask from their threads
            if self._liveness is None:
                self._liveness = self._load_liveness()
            return self._liveness

    def _left(self, camera: Camera, cause: Cause) -> None:
        """End what it began, unless its place is watched still."""
        where = (camera.collection_id, camera.at.name)
        on = [other for other in self.book.all() if other.enabled and other.attendance]
        if not any((other.collection_id, other.at.name) == where for other in on):
            end_stays(self._gallery, camera.collection, camera.at, cause)


def _same(running: Camera, stored: Camera | None) -> bool:
    """A collection's new name is followed by the camera's own thread."""
    return stored is not None and replace(running, collection=stored.collection) == stored


def _end(runners: list[Runner]) -> None:
    for runner in runners:
        runner.stop()
    for runner in runners:
        runner.join(JOIN_S)

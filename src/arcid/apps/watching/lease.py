"""One process a camera: a lease in the gallery, kept alive by a thread while the camera is watched.

with CameraLease(gallery, "staff", "door") as lease:      raises CameraWatched
    for view in watcher.watch(open_source("0"), lease=lease):
        ...                                               raises it too where the lease was lost
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from arcid.errors import ArcidError, CameraWatched
from arcid.events import Lease, Leases
from arcid.gallery import Gallery

log = logging.getLogger(__name__)
LASTS_S = 15.0
RENEWALS = 3  # within the time a lease lasts
POLL_S = 0.5


class CameraLease:
    """Taken by ``take`` or ``with``, given back by ``release``.

    A process that dies keeps others out for ``lasts_s`` at most. One that was held up for longer
    than that and finds the camera taken over loses it: ``check`` raises. While the gallery takes no
    writes nobody can take over, so the holder goes on.
    """

    def __init__(
        self, gallery: Gallery, collection: str, camera: str, *, lasts_s: float = LASTS_S
    ) -> None:
        self.camera = camera
        self.holder = f"process {os.getpid()} on {socket.gethostname()}"[:200]
        self._leases, self._collection, self._lasts_s = Leases(gallery), collection, lasts_s
        self._owner = uuid.uuid4().hex
        self._lost: CameraWatched | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, waiting: Callable[[CameraWatched], None] | None = None) -> Self:
        """Raises ``CameraWatched`` at once where somebody else watches.

        With ``waiting``, which is told so, only once it is certain that they are alive: a lease
        that nobody renews is waited for and taken over.
        """
        self._stop, self._lost = threading.Event(), None
        try:
            self._renew()
        except CameraWatched as error:
            if waiting is None:
                raise
            waiting(error)
            self._outwait(error)
        self._thread = threading.Thread(target=self._keep, name="arcid-lease", daemon=True)
        self._thread.start()
        return self

    def check(self) -> None:
        """Raises ``CameraWatched`` once somebody else has the camera."""
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Stop renewing and let others in."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None
            try:
                self._leases.release(self._collection, self.camera, self._owner)
            except ArcidError as error:  # it runs out by itself
                log.warning("a lease was not given back", extra={"code": error.code})

    def __enter__(self) -> Self:
        return self if self._thread is not None else self.take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _renew(self) -> Lease:
        return self._leases.take(
            self._collection, self.camera, self._owner, self.holder, lasts_s=self._lasts_s
        )

    def _outwait(self, first: CameraWatched) -> None:
        deadline = time.monotonic() + 2 * self._lasts_s
        while True:
            time.sleep(min(POLL_S, self._lasts_s / 10))
            try:
                self._renew()
            except CameraWatched as error:
                alive = error.details["until"] != first.details["until"]
                if alive or time.monotonic() > deadline:
                    raise
            else:
                return

    def _keep(self) -> None:
        stop = self._stop  # of this taking
        while not stop.wait(self._lasts_s / RENEWALS):
            try:
                self._renew()
            except CameraWatched as error:
                self._lost = error
                log.warning("another process took the camera over")
                return
            except ArcidError as error:
                log.warning("a lease was not renewed", extra={"code": error.code})

"""Works in the background on whatever run waits, one after the other: the service's own thread."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress

from arcid.apps.duplicates.runs import Runs
from arcid.apps.duplicates.searching import NotWaiting, work
from arcid.calibration import Calibration
from arcid.errors import ArcidError, NotFound
from arcid.gallery import Gallery

log = logging.getLogger(__name__)
LOOK_S = 5.0
BEHIND = 10  # how much nicer than whoever waits for an answer; Linux counts it by thread


class Worker:
    """From ``start`` to ``close``. A run under way is left waiting, and goes on with the next
    service; so does one that was cut off with the last."""

    def __init__(self, gallery: Gallery, calibration: Callable[[], Calibration]) -> None:
        self._gallery, self._calibration = gallery, calibration
        self._runs = Runs(gallery)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="arcid-duplicates", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """A run waits: look at once."""
        self._wake.set()

    def close(self) -> None:
        """The block under way is given up."""
        self._stop.set()
        self._wake.set()
        self._thread.join(30.0)

    def _watch(self) -> None:
        with suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BEHIND)
        while not self._stop.is_set():
            try:
                self._runs.take_up()
                for collection, run_id in self._runs.waiting():
                    if not self._stop.is_set():
                        self._work(collection, run_id)
            except ArcidError as error:
                log.warning("duplicates could not be searched", extra={"code": error.code})
            except Exception:  # whatever it was, it is tried again
                log.exception("searching duplicates failed")
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def _work(self, collection: str, run_id: str) -> None:
        try:
            work(
                self._gallery, collection, run_id, self._calibration(), holder="service",
                stopped=self._stop.is_set, left="waiting",
            )  # fmt: skip
        except (NotFound, NotWaiting):
            return  # deleted or stopped meanwhile; it may wait again by now
        except ArcidError as error:
            log.warning("a search for duplicates failed", extra={"code": error.code})
            self._runs.fail(collection, run_id, error.message)

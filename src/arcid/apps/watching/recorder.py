"""Writes what a watcher sees, in order, and tries again until the gallery takes it.

A file can wait, so for files every write is made at once; replaying one writes the same rows in
the same order. A camera cannot: its writes go through a thread, and while the gallery is busy they
are kept, repeated "last seen" notes once only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextvars import copy_context
from dataclasses import dataclass

from arcid.errors import (
    CollectionNotFound,
    GalleryBusy,
    GalleryError,
    GalleryUnavailable,
    StorageFull,
)
from arcid.events import Event

log = logging.getLogger(__name__)

Write = Callable[[], list[Event]]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
LONGEST_QUEUE = 10_000


@dataclass(slots=True)
class _Job:
    write: Write
    done: Callable[[list[Event]], None] | None
    once: Hashable | None  # a later job with the same mark replaces it


def passing(error: BaseException) -> bool:
    """Whether trying again later may help."""
    away = isinstance(error, (GalleryBusy, GalleryUnavailable, StorageFull))
    return away or type(error) is GalleryError


class Recorder:
    """``put`` writes; ``drain`` hands out the events written since the last call."""

    def __init__(self, *, wait: bool, trouble: Callable[[bool, str], None]) -> None:
        """``wait``: write at once. ``trouble(True, why)`` when writing fails, and
        ``trouble(False, "")`` when it works again; may be called from the writing thread."""
        self._wait = wait
        self._trouble = trouble
        self._events: deque[Event] = deque()
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._failing = False
        self._stopping = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> int:
        return len(self._jobs)

    def put(
        self,
        write: Write,
        done: Callable[[list[Event]], None] | None = None,
        *,
        once: Hashable | None = None,
    ) -> None:
        job = _Job(write, done, once)
        if self._wait:
            self._run(job)
            return
        with self._changed:
            if once is not None:
                for waiting in self._jobs:
                    if waiting.once == once:
                        waiting.write, waiting.done = write, done
                        return
            if len(self._jobs) >= LONGEST_QUEUE:
                raise StorageFull(
                    f"{LONGEST_QUEUE} writes wait for the gallery; nothing more is taken in"
                )
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=copy_context().run,
                    args=(self._work,),
                    name="arcid-recorder",
                    daemon=True,
                )
                self._thread.start()
            self._changed.notify_all()

    def drain(self) -> list[Event]:
        """Raises what made writing impossible, such as a deleted collection."""
        if self._error is not None:
            raise self._error
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything is written; False where that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs or bool(self._error), timeout_s)

    def close(self, timeout_s: float = 30.0) -> None:
        """Write what waits, then stop."""
        if not self.flush(timeout_s):
            log.error("events were not written", extra={"waiting": self.pending})
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._jobs) or self._stopping)
                if self._stopping:
                    return
                job = self._jobs[0]
                job.once = None  # from here on a newer note comes after it
            try:
                self._run(job)
            except BaseException as error:
                self._error = error
            with self._changed:
                self._jobs.popleft()
                self._changed.notify_all()
            if self._error is not None:
                return

    def _run(self, job: _Job) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                events = job.write()
                break
            except (GalleryError, CollectionNotFound) as error:
                if not passing(error) or self._stopping:
                    raise
                if not self._failing:
                    self._failing = True
                    self._trouble(True, error.message)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        if self._failing:
            self._failing = False
            self._trouble(False, "")
        self._events.extend(events)
        if job.done is not None:
            job.done(events)

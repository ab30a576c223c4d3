"""What the service does every so often by itself: retention, and writing down what waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pkgutil import resolve_name

from arcid.errors import ArcidError, GalleryBusy
from arcid.events import Duty, acting
from arcid.gallery import Gallery

log = logging.getLogger(__name__)
FIRST_S = 10.0  # after the start; sooner where it is due sooner
SPARE_S = 30.0  # that a lease outlasts the wait for the next time
JOIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Task:
    """``call``: is handed the gallery, or module:function that is. It can be repeated without harm.

    ``shared``: of all services on a database, one does it. ``at_end``: once more before this one
    stops.
    """

    name: str
    every_s: float
    call: Callable[[Gallery], object] | str
    shared: bool = True
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """How a task is doing here."""

    task: Task
    last: datetime | None = None  # UTC; when it last began
    took_s: float = 0.0
    problem: str | None = None  # in words; of the last time
    elsewhere: bool = False  # another process has it


#: Those of applications: one line each.
TASKS: tuple[Task, ...] = (
    Task("onboarding", 300.0, "arcid.apps.onboarding.cases:sweep"),
    Task("doors", 3600.0, "arcid.apps.access.passages:forget_old"),
    Task("duplicates", 3600.0, "arcid.apps.duplicates.duplicates:tidy"),
    Task("alerts", 3600.0, "arcid.apps.watchlists.keeping:forget"),
    Task("retention", 600.0, "arcid.protection.retention:sweep"),
    Task("seals", 3600.0, "arcid.events.seals:sweep"),
    Task("disclosures", 86_400.0, "arcid.protection.disclosures:forget"),
    Task("outbox", 3600.0, "arcid.events.outbox:forget"),
)


class Housekeeping:
    """Each task in a thread of its own, from ``start`` to ``close``. What goes wrong is logged, and
    tried again when it is due again."""

    def __init__(
        self,
        gallery: Gallery,
        tasks: Sequence[Task],
        tell: Callable[[str, str | None], None] = lambda task, problem: None,
    ) -> None:
        """``tell``: is told of a shared task that failed why, and None where it works again."""
        self._gallery = gallery
        self._tell = tell
        self._states = {task.name: State(task) for task in tasks}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def states(self) -> list[State]:
        """By when they were named."""
        return list(self._states.values())

    def start(self) -> None:
        for state in self.states:
            name = f"arcid-{state.task.name}"
            thread = threading.Thread(target=self._run, args=(state.task,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """What is being done is waited for."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def _run(self, task: Task) -> None:
        lasts_s = 1.5 * task.every_s + SPARE_S
        duty = Duty(self._gallery, f"task:{task.name}", lasts_s=lasts_s) if task.shared else None
        wait_s = min(task.every_s, FIRST_S)
        with acting(f"task:{task.name}"):
            while not self._stop.wait(wait_s):
                self._do(task, duty)
                wait_s = task.every_s
            if task.at_end:
                self._do(task, duty)
        if duty is not None:
            duty.release()

    def _do(self, task: Task, duty: Duty | None) -> None:
        began, started = datetime.now(UTC), time.monotonic()
        problem, busy = None, False
        try:
            if duty is not None and not duty.mine():
                self._states[task.name] = State(task, elsewhere=True)
                return
            call = resolve_name(task.call) if isinstance(task.call, str) else task.call
            call(self._gallery)
        except ArcidError as error:
            problem, busy = error.message, isinstance(error, GalleryBusy)
            log.warning("a task failed", extra={"task": task.name, "code": error.code})
        except Exception as error:  # whatever it was, it is tried again
            problem = f"it failed ({type(error).__name__}); the service's log says more"
            log.exception("a task failed", extra={"task": task.name})
        took_s = time.monotonic() - started
        was = self._states[task.name].problem
        if task.shared and not busy and (problem is None) != (was is None):
            self._tell(task.name, problem)
        self._states[task.name] = replace(
            self._states[task.name], last=began, took_s=took_s, problem=problem, elsewhere=False
        )

"""One door's thread and output: what is to be done there is done in order, one thing at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable

from arcid.apps.access.machine import Answer
from arcid.apps.access.outputs import Opener
from arcid.apps.access.rules import Door
from arcid.errors import ArcidError

log = logging.getLogger(__name__)
AGAIN_S = 10.0  # the same refusal of the same person is logged anew after so long
LATELY = 20
MakeOpener = Callable[[str, str, str], Opener]


class Post:
    """One door's thread and output."""

    def __init__(
        self, door: Door, make: MakeOpener, command: Callable[[str, str, str], None]
    ) -> None:
        self.output, self.name, self._door, self._make = door.output, door.name, door, make
        self._command = command
        self.opener: Opener | None = None
        self.problem = ""
        self.lately: deque[Answer] = deque(maxlen=LATELY)
        self._work: queue.Queue[Callable[[], object] | None] = queue.Queue(maxsize=20)
        self._open_output()
        self._thread = threading.Thread(target=self._run, name="arcid-door", daemon=True)
        self._thread.start()

    @property
    def words(self) -> str:
        return self.lately[-1].words if self.lately else ""

    def retry(self) -> None:
        """An output that could not be opened is tried again."""
        if self.opener is None:
            self._open_output()

    def put(self, work: Callable[[], object]) -> None:
        """To the thread; where that is far behind, nothing: the door stays locked."""
        try:
            self._work.put_nowait(work)
        except queue.Full:
            log.warning("a door is busy", extra={"door": self._door.id})

    def remember(self, answer: Answer) -> bool:
        """Whether it says something new."""
        for i, old in enumerate(self.lately):
            if old.id == answer.id:
                self.lately[i] = answer
                return True
        said = (answer.granted, answer.person_id, [r.code for r in answer.reasons])
        for old in reversed(self.lately):
            if answer.actor or answer.now.ticks - old.now.ticks > AGAIN_S:
                break
            if (old.granted, old.person_id, [r.code for r in old.reasons]) == said:
                return False
        self.lately.append(answer)
        return True

    def close(self) -> None:
        self._work.put(None)
        self._thread.join(5)
        if self.opener is not None:
            self.opener.close()

    def _open_output(self) -> None:
        try:
            self.opener = self._make(self._door.output, self._door.id, self._door.name)
            self.problem = ""
        except ArcidError as error:
            self.problem = error.message
            return
        if hasattr(self.opener, "on_command"):
            self.opener.on_command = lambda what, key: self._command(self._door.id, what, key)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except ArcidError as error:
                log.warning("a door", extra={"door": self._door.id, "code": error.code})
            except Exception:  # this door stays locked; the next face is another matter
                log.exception("a door's thread failed", extra={"door": self._door.id})

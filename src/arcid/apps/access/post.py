"""One door's thread and output: what is to be done there is done in order, one thing at a time."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from arcid.apps.access.outputs import Hear, Opener
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.states import Answer
from arcid.errors import ArcidError

log = logging.getLogger(__name__)
AGAIN_S = 10.0  # the same refusal of the same person is logged anew after so long
LATELY = 20
MakeOpener = Callable[[str, str, str, Hear], Opener]
Heard = Callable[[str, str, Any], None]  # door, what, value


class Post:
    """One door's thread and output."""

    def __init__(self, door: Door, make: MakeOpener, heard: Heard) -> None:
        self.output, self.name, self._door, self._make = door.output, door.name, door, make
        self._heard = heard
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
        """An output that could not be opened is tried again; what one that does not answer said of
        the door's contact holds no more."""
        if self.opener is None:
            self._open_output()
        elif not self.opener.ready:
            self._heard(self._door.id, "contact", None)

    def put(self, work: Callable[[], object]) -> bool:
        """To the thread; False where that is far behind: the door stays locked."""
        try:
            self._work.put_nowait(work)
        except queue.Full:
            log.warning("a door is busy", extra={"door": self._door.id})
            return False
        return True

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
            door = self._door
            self.opener = self._make(door.output, door.id, door.name, partial(self._heard, door.id))
            self.problem = ""
        except ArcidError as error:
            self.problem = error.message

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except ArcidError as error:
                log.warning("a door", extra={"door": self._door.id, "code": error.code})
            except Exception:  # this door stays locked; the next face is another matter
                log.exception("a door's thread failed", extra={"door": self._door.id})


class Posts(dict[str, Post]):
    """Of the doors that ``drives`` gives to this process, by id. Set up by one thread at a time."""

    def __init__(self, drives: Callable[[Door], bool], make: MakeOpener, heard: Heard) -> None:
        super().__init__()
        self._drives, self._make, self._heard = drives, make, heard
        self._manning = threading.Lock()
        self._closed = False

    def man(self, site: Site) -> None:
        """A thread and an output for every door that is driven here, as it is set up now."""
        wanted = {d.id: d for d in site.doors.values() if d.enabled and self._drives(d)}
        with self._manning:
            for key, post in list(self.items()):
                door = wanted.get(key)
                if door is None or (post.output, post.name) != (door.output, door.name):
                    self.pop(key).close()
            for key, door in wanted.items():
                if key in self:
                    self[key].retry()
                elif not self._closed:
                    self[key] = Post(door, self._make, self._heard)

    def close(self) -> None:
        """For good."""
        self._closed = True
        self.man(Site())

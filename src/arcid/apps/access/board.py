"""What a process knows of its doors: how they are set up, how they stand, who may pass them."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from arcid.apps.access import machine
from arcid.apps.access.doors import Doors
from arcid.apps.access.local import Admitted, LocalCopy, admitted
from arcid.apps.access.openings import merged
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.states import Answer, Now, State
from arcid.errors import ArcidError, DoorNotFound
from arcid.gallery import Gallery
from arcid.types import Embeddings, Match

log = logging.getLogger(__name__)
Clock = Callable[[], Now]
T = TypeVar("T")


def clock() -> Now:
    """This machine's."""
    return Now(datetime.now(UTC), monotonic())


class Board:
    """Thread-safe: one step of the machine at a time."""

    def __init__(self, gallery: Gallery, contract_id: str, now: Clock) -> None:
        self._gallery, self._contract_id, self.now = gallery, contract_id, now
        self._doors = Doors(gallery)
        self._lock = threading.RLock()
        self._writing = threading.Lock()  # lock-downs, in the order in which they are written
        self.site = Site()
        self.state = State(uuid.uuid4().hex)
        self.away = True
        self._read = float("-inf")  # ticks of the last time the database answered
        self._copies: dict[str, LocalCopy] = {}
        self._copied_of: object = None
        self._admitted: dict[str, Admitted] = {}

    @property
    def offline_s(self) -> float | None:
        """How old the local copy is while the database is away."""
        return self.age_s if self.away else None

    @property
    def age_s(self) -> float:
        """Since the database last answered; infinite: it never did."""
        return self.now().ticks - self._read

    def door(self, reference: str) -> Door:
        """By id or name, as last read. Raises ``DoorNotFound``."""
        folded = reference.strip().casefold()
        for door in self.site.doors.values():
            if door.id == reference or door.name.casefold() == folded:
                return door
        raise DoorNotFound(f"no door has the id or name {reference!r}")

    def admitted(self, door_id: str) -> Admitted:
        """Who may pass a door, as last read."""
        return self._admitted.get(door_id, Admitted())

    def copy_search(self, collection: str, probe: Embeddings) -> tuple[list[Match], int]:
        """As ``LocalCopy.search``; nobody where there is no copy."""
        copy = self._copies.get(collection)
        return ([], 0) if copy is None else copy.search(probe)

    def step(self, what: Callable[[Site, State], tuple[State, T]]) -> T:
        """One step of the machine, and its answer."""
        with self._lock:
            self.state, answer = what(self.site, self.state)
        return answer

    def set(self, what: Callable[[State], State]) -> None:
        """A step without an answer."""
        with self._lock:
            self.state = what(self.state)

    def claim(self, claim: Callable[[Site, State, Answer, Now], tuple[State, Answer]],
              answer: Answer) -> Answer:  # fmt: skip
        """A claim of the machine; where it is refused nothing is changed."""
        with self._lock:
            after, final = claim(self.site, self.state, answer, self.now())
            if final.granted:
                self.state = after
        return final

    def lock_down(self, reference: str | None, why: str | None) -> list[Door]:
        """Here at once, and then for every process; ``why`` None lifts it, once that is written.
        While the database is away doors that are locked down stay so, those locked down now too,
        and its error is raised."""
        doors = list(self.site.doors.values()) if reference is None else [self.door(reference)]
        if why is not None:
            for door in doors:
                self.set(partial(machine.lock_down, door=door.id, why=why))
        with self._writing:
            done = self._doors.lock_down(reference, why)
            for door in done:
                self.set(partial(machine.lock_down, door=door.id, why=why))
                self._stand(door.id, held=None)  # the database knows
        return done

    def tell_lock_downs(self) -> None:
        """What was locked down while the database was away."""
        with self._writing:
            for door in self.site.doors.values():
                held = self.state.door(door.id).held
                if held is not None:
                    self._doors.lock_down(door.id, held)
                    self._stand(door.id, held=None, lockdown=held)

    def _stand(self, door_id: str, **values: Any) -> None:
        self.set(lambda state: state.with_door(door_id, **values))

    def read(self) -> bool:
        """All that is set up, from the database; False while that is away."""
        try:
            site, standing, where = self._doors.site()
            names = {door.collection for door in site.doors.values()}
            persons = {person for _, person in site.passes}
            change = (self._gallery.last_change(), names, persons)
            copies = {
                name: self._copies[name].refusing(self._gallery, name, self._contract_id)
                if change == self._copied_of
                else LocalCopy.read(self._gallery, name, persons, self._contract_id)
                for name in names
            }
            those = admitted(site, copies)
        except ArcidError as error:
            if not self.away:
                log.warning("the doors' database is away", extra={"code": error.code})
            self.away = True
            return False
        with self._lock:
            self.site, self._copies, self._copied_of = site, copies, change
            self._admitted = those
            self.state = merged(self.state, standing, where)
            self._read, self.away = self.now().ticks, False
        return True


__all__ = ["Board", "Clock", "clock"]

"""The doors of one process: faces, orders, contacts in; answers out, each granted one opened once.

    doorman = Doorman(gallery, pipeline.contract_id, home)
    doorman.start()
    doorman.see(door_id, faces, taken)      an Answer at once; the door's thread opens
    doorman.open_by_hand(door_id, "Gus", "courier")
    doorman.lock_down(None, "alarm")
    doorman.contact(door_id, True)          forced or held open: an alarm
    doorman.close()

A door whose thread or output fails stays locked, and other doors go on.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

from arcid.apps.access import contacts, machine
from arcid.apps.access.board import Board, Clock, clock
from arcid.apps.access.carrying import Carrier
from arcid.apps.access.doors import Doors
from arcid.apps.access.openings import WAIT_S, Opening, Openings
from arcid.apps.access.outputs import opener_for
from arcid.apps.access.passages import Passages
from arcid.apps.access.post import MakeOpener, Posts
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.states import Answer, Face, Now, Order, Sight
from arcid.apps.watching.recorder import passing
from arcid.errors import ArcidError
from arcid.events.store.correcting import signed
from arcid.gallery import Gallery

log = logging.getLogger(__name__)
POLL_S = 0.25  # how often orders and lock-downs of others are read
REFRESH_S = 2.0  # how often everything is
SETTLE_S = 10.0


_running: WeakKeyDictionary[Gallery, Doorman] = WeakKeyDictionary()


def running(gallery: Gallery) -> Doorman | None:
    """The doorman of this process for a gallery; None where none was started."""
    return _running.get(gallery)


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """How a door is doing in this process."""

    here: bool  # whether its output is driven here
    problem: str  # why its output cannot be used; empty: it can
    lockdown: str | None
    offline_s: float | None  # how old the local copy is; None: the database answers
    lately: tuple[Answer, ...]  # newest first
    contact_open: bool | None = None  # None: no contact says
    alarm: Answer | None = None  # until it is acknowledged


class Doorman:
    """Thread-safe. ``drives`` says which doors' outputs this process has."""

    def __init__(
        self,
        gallery: Gallery,
        contract_id: str,
        home: Path,
        *,
        drives: Callable[[Door], bool] = lambda door: True,
        now: Clock = clock,
        make_opener: MakeOpener = opener_for,
    ) -> None:
        self._gallery = gallery
        self._doors, self._openings = Doors(gallery), Openings(gallery)
        self._passages = Passages(gallery)
        self._board = Board(gallery, contract_id, now)
        self._posts = Posts(drives, make_opener, self._heard)
        self._carrier = Carrier(gallery, self._board, home, self._posts)
        self._stop = threading.Event()
        self._poke = threading.Event()
        self._thread: threading.Thread | None = None
        self.door, self.lock_down = self._board.door, self._board.lock_down
        self.admitted, self.copy_search = self._board.admitted, self._board.copy_search

    def start(self) -> None:
        """Read what is set up and begin to hear orders. A database that is away is waited for."""
        _running[self._gallery] = self
        self._guarded(self.refresh)
        self._thread = threading.Thread(target=self._run, name="arcid-doors", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nothing is opened any more."""
        if running(self._gallery) is self:
            del _running[self._gallery]
        self._stop.set()
        self._poke.set()
        if self._thread is not None:
            self._thread.join(5)
        self._posts.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Read what is set up now."""
        if self._board.read():
            self._guarded(self._board.tell_lock_downs)
            self._posts.man(self.site)

    @property
    def site(self) -> Site:
        return self._board.site

    @property
    def offline_s(self) -> float | None:
        """How old the local copy is while the database is away."""
        return self._board.offline_s

    def see(self, door_id: str, faces: Sequence[Face], taken: Now) -> Answer | None:
        """Whether somebody may pass; a granted answer is opened in the door's thread."""
        answer = self.rehearse(door_id, faces, taken)
        if answer is None:
            return None
        post = self._posts.get(door_id)
        if post is None:
            return answer
        new = post.remember(answer)
        if answer.granted:
            post.put(lambda: self._carrier.open(answer))
        elif new and not answer.passing:
            post.put(lambda: self._note(answer))
        return answer

    def rehearse(self, door_id: str, faces: Sequence[Face], taken: Now) -> Answer | None:
        """``see`` that opens and writes nothing."""
        now = self._board.now()
        sight = Sight(uuid.uuid4().hex, door_id, taken, tuple(faces), self.offline_s)
        return self._board.step(lambda site, state: machine.judge(site, state, sight, now))

    def open_by_hand(
        self, reference: str, actor: str, why: str, *, once: str | None = None
    ) -> Opening:
        """Ask for one opening and wait for what becomes of it. ``once``: an id of the asker's; with
        the same one nothing is opened again. Raises ``DoorNotFound``, ``UsageError`` where that id
        was another door's."""
        door = self.door(reference)
        who = signed(actor)
        order = Order(once or uuid.uuid4().hex, door.id, who, why, self._board.now().at)
        try:
            self._carrier.tell()
            if self._carrier.in_hands(order):
                return Opening(order.id, "claimed", None, order.at, who)
            opening = self._openings.ask(order)
            self._board.set(lambda state: machine.spend(state, order.id, self._board.now()))
        except ArcidError as error:
            post = self._posts.get(door.id)
            if not passing(error) or post is None:
                raise
            return self._carrier.by_hand_offline(post, order)
        self._poke.set()
        found, post = self._openings.wait(opening, WAIT_S), self._posts.get(door.id)
        if found.state == "asked" and post is not None and post.problem:
            return replace(found, detail=post.problem)
        return found

    def contact(self, reference: str, is_open: bool | None) -> None:
        """What a door's contact says. Raises ``DoorNotFound``."""
        own, now = self.door(reference).id, self._board.now()
        alarm = self._board.step(
            lambda site, state: contacts.contact(site, state, own, is_open, uuid.uuid4().hex, now)
        )
        if alarm is not None:
            self._raise(alarm)

    def request_exit(self, reference: str) -> None:
        """Somebody inside is about to open a door; nothing is opened. Raises ``DoorNotFound``."""
        own, now = self.door(reference).id, self._board.now()
        self._board.set(lambda state: contacts.request_exit(state, own, now))

    def acknowledge(self, reference: str) -> None:
        """A door's alarm was seen; audited. Raises ``DoorNotFound``."""
        door = self.door(reference)
        self._doors.acknowledged(door.id)
        self._board.set(lambda state: state.with_door(door.id, alarm=None))

    def call_for_help(self, reference: str) -> None:
        """A duress code or button beside a door. Raises ``DoorNotFound``."""
        own, now = self.door(reference).id, self._board.now()
        self._board.set(lambda state: machine.call_for_help(state, own, now))

    def status(self, reference: str) -> DoorStatus:
        """Raises ``DoorNotFound``."""
        door = self.door(reference)
        post, state = self._posts.get(door.id), self._board.state.door(door.id)
        return DoorStatus(
            post is not None,
            "" if post is None else post.problem,
            state.lockdown if state.held is None else state.held,
            self.offline_s,
            () if post is None else tuple(reversed(post.lately)),
            state.contact_open,
            state.alarm,
        )

    def _raise(self, alarm: Answer) -> None:
        """To the door's page and its log."""
        post = self._posts.get(alarm.door)
        if post is not None:
            post.remember(alarm)
            post.put(lambda: self._note(alarm))

    def _note(self, answer: Answer) -> None:
        door = self.site.doors.get(answer.door)
        if door is not None:
            self._passages.note(door, answer)

    def _run(self) -> None:
        refreshed = settled = time.monotonic()
        while not self._stop.is_set():
            self._poke.wait(POLL_S)
            self._poke.clear()
            if self._stop.is_set():
                return
            if time.monotonic() - refreshed >= REFRESH_S or self._board.away:
                refreshed = time.monotonic()
                self._guarded(self.refresh)
            if self.site.doors:
                self._guarded(self._carrier.take_orders)
                self._guarded(self._watch_open)
            if time.monotonic() - settled >= SETTLE_S:
                settled = time.monotonic()
                self._guarded(self._carrier.settle)

    def _watch_open(self) -> None:
        now = self._board.now()
        for alarm in self._board.step(
            lambda site, state: contacts.held(site, state, uuid.uuid4().hex, now)
        ):
            self._raise(alarm)

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ArcidError as error:
            log.warning("doors", extra={"code": error.code})
        except Exception:  # whatever it was, the doors stay locked and are looked at again
            log.exception("looking after the doors failed")

    def _heard(self, door_id: str, what: str, value: Any) -> None:
        """An output has an input: a contact, a request to exit, a command of Home Assistant's."""
        if what == "contact":
            self._guarded(lambda: self.contact(door_id, value))
        elif what == "exit":
            self._guarded(lambda: self.request_exit(door_id))
        elif what == "lock":
            self._guarded(lambda: self.lock_down(door_id, "Home Assistant"))
        else:
            actor = "Home Assistant"
            order = Order(str(value), door_id, actor, actor, self._board.now().at)
            self._guarded(lambda: self._openings.ask(order))
            self._poke.set()


__all__ = ["DoorStatus", "Doorman", "clock", "running"]

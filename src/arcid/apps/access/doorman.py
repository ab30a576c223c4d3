"""The doors of one process: faces and orders in, answers out, each granted one opened once.

    doorman = Doorman(gallery, pipeline.contract_id, home)
    doorman.start()
    doorman.see(door_id, faces, taken)      an Answer at once; the door's thread opens
    doorman.open_by_hand(door_id, "Gus", "courier")
    doorman.lock_down(None, "alarm")
    doorman.close()

Before an output is triggered the opening is claimed in the database, and then asked about once more
in memory; while the database is away it is claimed in a journal on this machine's disk. A door
whose thread or output fails stays locked, and other doors go on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

from arcid.apps.access import machine
from arcid.apps.access.doors import Doors
from arcid.apps.access.journaling import answer_from, told
from arcid.apps.access.local import Admitted, Journal, LocalCopy, admitted
from arcid.apps.access.machine import Answer, Face, Now, Order, Sight, State
from arcid.apps.access.openings import WAIT_S, Opening, Openings, OpeningState, merged
from arcid.apps.access.outputs import OutputFailed, Pulse, opener_for
from arcid.apps.access.passages import Passages
from arcid.apps.access.post import MakeOpener, Post
from arcid.apps.access.reasons import reason
from arcid.apps.access.rules import Door, Site
from arcid.apps.watching.recorder import passing
from arcid.errors import ArcidError, DoorNotFound
from arcid.gallery import Gallery
from arcid.types import Embeddings, Match

log = logging.getLogger(__name__)
POLL_S = 0.25  # how often orders and lock-downs of others are read
REFRESH_S = 2.0  # how often everything is
SETTLE_S = 10.0
Clock = Callable[[], Now]


_running: WeakKeyDictionary[Gallery, Doorman] = WeakKeyDictionary()


def running(gallery: Gallery) -> Doorman | None:
    """The doorman of this process for a gallery; None where none was started."""
    return _running.get(gallery)


def clock() -> Now:
    """This machine's."""
    return Now(datetime.now(UTC), time.monotonic())


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """How a door is doing in this process."""

    here: bool  # whether its output is driven here
    problem: str  # why its output cannot be used; empty: it can
    lockdown: str | None
    offline_s: float | None  # how old the local copy is; None: the database answers
    lately: tuple[Answer, ...]  # newest first


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
        self._gallery, self._contract_id = gallery, contract_id
        self._doors, self._openings = Doors(gallery), Openings(gallery)
        self._passages = Passages(gallery)
        self._journal = Journal(home / "doors-journal.db")
        self._drives, self._now, self._make = drives, now, make_opener
        self._lock = threading.RLock()
        self._site = Site()
        self._state = State(uuid.uuid4().hex)
        self._copies: dict[str, LocalCopy] = {}
        self._copied_of: object = None
        self._admitted: dict[str, Admitted] = {}
        self._read = float("-inf")  # ticks of the last time the database answered
        self._away = True
        self._posts: dict[str, Post] = {}
        self._stop = threading.Event()
        self._poke = threading.Event()
        self._thread: threading.Thread | None = None
        self._given: set[str] = set()  # orders in the threads' hands

    def start(self) -> None:
        """Read what is set up and begin to hear orders. A database that is away is waited for."""
        _running[self._gallery] = self
        self._guarded(self._look)
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
        with self._lock:
            posts, self._posts = list(self._posts.values()), {}
        for post in posts:
            post.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Read what is set up now."""
        self._look()

    @property
    def site(self) -> Site:
        return self._site

    @property
    def offline_s(self) -> float | None:
        """How old the local copy is while the database is away."""
        return self._now().ticks - self._read if self._away else None

    def door(self, reference: str) -> Door:
        """By id or name, as last read. Raises ``DoorNotFound``."""
        folded = reference.strip().casefold()
        for door in self._site.doors.values():
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
            post.put(lambda: self._open(answer))
        elif new and not answer.passing:
            post.put(lambda: self._note(answer))
        return answer

    def rehearse(self, door_id: str, faces: Sequence[Face], taken: Now) -> Answer | None:
        """``see`` that opens and writes nothing."""
        now = self._now()
        with self._lock:
            copy_s = self.offline_s
            sight = Sight(uuid.uuid4().hex, door_id, taken, tuple(faces), copy_s)
            self._state, answer = machine.judge(self._site, self._state, sight, now)
        return answer

    def open_by_hand(
        self, reference: str, actor: str, why: str, *, once: str | None = None
    ) -> Opening:
        """Ask for one opening and wait for what becomes of it. ``once``: an id of the asker's; with
        the same one nothing is opened again. Raises ``DoorNotFound``."""
        door = self.door(reference)
        order = Order(once or uuid.uuid4().hex, door.id, actor, why, self._now().at)
        try:
            opening = self._openings.ask(order)
        except ArcidError as error:
            post = self._posts.get(door.id)
            if not passing(error) or post is None:
                raise
            return self._by_hand_offline(post, order)
        self._poke.set()
        found, post = self._openings.wait(opening, WAIT_S), self._posts.get(door.id)
        if found.state == "asked" and post is not None and post.problem:
            return replace(found, detail=post.problem)
        return found

    def lock_down(self, reference: str | None, why: str | None) -> list[Door]:
        """Here at once, and then for every process; ``why`` None lifts it. While the database is
        away the lock-down holds here, and its error is raised."""
        with self._lock:
            doors = list(self._site.doors.values()) if reference is None else [self.door(reference)]
            for door in doors:
                self._state = machine.lock_down(self._state, door.id, why)
        done = self._doors.lock_down(reference, why)
        with self._lock:
            for door in done:
                self._state = self._state.with_door(door.id, held=None, lockdown=why)
        return done

    def contact(self, reference: str, is_open: bool | None) -> None:
        """What a door's contact says. Raises ``DoorNotFound``."""
        door = self.door(reference)
        with self._lock:
            self._state = machine.contact(self._state, door.id, is_open)

    def call_for_help(self, reference: str) -> None:
        """A duress code or button beside a door. Raises ``DoorNotFound``."""
        door = self.door(reference)
        with self._lock:
            self._state = machine.call_for_help(self._state, door.id, self._now())

    def status(self, reference: str) -> DoorStatus:
        """Raises ``DoorNotFound``."""
        door = self.door(reference)
        post, state = self._posts.get(door.id), self._state.door(door.id)
        return DoorStatus(
            post is not None,
            "" if post is None else post.problem,
            state.lockdown if state.held is None else state.held,
            self.offline_s,
            () if post is None else tuple(reversed(post.lately)),
        )

    # opening

    def _open(self, answer: Answer) -> OpeningState | None:
        """In the door's thread. What became of it; None where it was refused meanwhile."""
        with self._lock:
            state = self._state
        try:
            claimed = self._openings.claim(state, answer, self._now())
        except ArcidError as error:
            if not passing(error):
                raise
            return self._open_offline(answer)
        if claimed.opening is None:
            self._refused(claimed.answer)
            return None
        became, detail = self._trigger(claimed.answer, claimed.opening)
        self._openings.settle(claimed.opening, became, detail, self._now().at)
        return became

    def _open_offline(self, answer: Answer) -> OpeningState | None:
        door = self._site.doors[answer.door]
        age = self._now().ticks - self._read
        if not 0 < age <= door.offline_s:
            why = reason("no_copy") if age == float("inf") else reason(
                "offline", age=age, limit=door.offline_s
            )  # fmt: skip
            self._refused(replace(answer, granted=False, reasons=(why,)))
            return None
        if answer.copy_s is None:
            said = (*answer.reasons, reason("from_copy", age=age))
            answer = replace(answer, copy_s=age, reasons=said)
        with self._lock:
            _, final = machine.claim(self._site, self._state, answer, self._now())
        if not final.granted:
            self._refused(final)
            return None
        if not self._journal.claim(answer.id, told(answer)):
            return None
        became, detail = self._trigger(answer, answer.id)
        self._journal.settle(answer.id, became, detail)
        return became

    def _trigger(self, answer: Answer, opening: str) -> tuple[OpeningState, str]:
        """Once more asked, then the impulse: what became of it, and why not."""
        now = self._now()
        with self._lock:
            after, final = machine.claim(self._site, self._state, answer, now)
            if final.granted:
                self._state = after
        self._remember(final)
        post = self._posts.get(answer.door)
        if not final.granted:
            return "failed", final.words
        if post is None or post.opener is None:
            return "failed", "no output" if post is None else post.problem
        door = self._site.doors[answer.door]
        try:
            post.opener.open(Pulse(opening, door.id, door.name, door.release_s, now.at))
        except OutputFailed as error:
            log.warning("a door's output failed", extra={"door": door.id, "why": str(error)})
            return ("failed" if error.certain else "unknown"), str(error)
        return "opened", ""

    def _refused(self, answer: Answer) -> None:
        """After all; whoever it was may ask again."""
        with self._lock:
            self._state = machine.not_opened(self._state, answer)
        self._remember(answer)

    def _note(self, answer: Answer) -> None:
        door = self._site.doors.get(answer.door)
        if door is not None:
            self._passages.note(door, answer)

    def _remember(self, answer: Answer) -> None:
        post = self._posts.get(answer.door)
        if post is not None:
            post.remember(answer)

    # orders by hand

    def _orders(self) -> None:
        here = list(self._posts)
        for opening, order in self._openings.asked(here, self._now().at):
            post = self._posts.get(order.door)
            if post is None or post.opener is None or opening in self._given:
                continue  # another process may have its output
            self._given.add(opening)
            post.put(partial(self._carry_out, order))

    def _carry_out(self, order: Order) -> None:
        try:
            with self._lock:
                _, answer = machine.by_hand(self._site, self._state, order, self._now())
            if answer.granted:
                self._open(answer)
            else:
                self._remember(answer)
                self._openings.refuse(answer, self._now())
        finally:
            self._given.discard(order.id)

    def _by_hand_offline(self, post: Post, order: Order) -> Opening:
        with self._lock:
            _, answer = machine.by_hand(self._site, self._state, order, self._now())
        post.remember(answer)
        if not answer.granted:
            return Opening(order.id, "refused", answer.words, order.at, order.actor)
        done: queue.Queue[OpeningState | None] = queue.Queue()
        post.put(lambda: done.put(self._open_offline(answer)))
        try:
            became = done.get(timeout=WAIT_S)
        except queue.Empty:
            became = "unknown"
        return Opening(order.id, became or "refused", post.words, order.at, order.actor)

    # what is set up

    def _run(self) -> None:
        refreshed = settled = time.monotonic()
        while not self._stop.is_set():
            self._poke.wait(POLL_S)
            self._poke.clear()
            if self._stop.is_set():
                return
            if time.monotonic() - refreshed >= REFRESH_S or self._away:
                refreshed = time.monotonic()
                self._guarded(self._look)
            if self._site.doors:
                self._guarded(self._orders)
            if time.monotonic() - settled >= SETTLE_S:
                settled = time.monotonic()
                self._guarded(self._settle)

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ArcidError as error:
            log.warning("doors", extra={"code": error.code})
        except Exception:  # whatever it was, the doors stay locked and are looked at again
            log.exception("looking after the doors failed")

    def _look(self) -> None:
        try:
            site, standing, where = self._doors.site()
            names = {door.collection for door in site.doors.values()}
            persons = {person for _, person in site.passes}
            change, copies = (self._gallery.last_change(), names, persons), self._copies
            if change != self._copied_of:
                copies = {
                    name: LocalCopy.read(self._gallery, name, persons, self._contract_id)
                    for name in names
                }
            those = admitted(site, copies)
        except ArcidError as error:
            if not self._away:
                log.warning("the doors' database is away", extra={"code": error.code})
            self._away = True
            return
        with self._lock:
            self._site, self._copies, self._copied_of = site, copies, change
            self._admitted = those
            self._state = merged(self._state, standing, where)
            self._read, self._away = self._now().ticks, False
        self._guarded(self._tell_lock_downs)
        self._man(site)

    def _tell_lock_downs(self) -> None:
        """What was locked down while the database was away."""
        for door in self._site.doors.values():
            held = self._state.door(door.id).held
            if held is not None:
                self._doors.lock_down(door.id, held)
                with self._lock:
                    self._state = self._state.with_door(door.id, held=None, lockdown=held)

    def _man(self, site: Site) -> None:
        """A thread and an output for every door that is driven here, as it is set up now."""
        wanted = {d.id: d for d in site.doors.values() if d.enabled and self._drives(d)}
        with self._lock:
            gone = [
                key for key, post in self._posts.items()
                if key not in wanted or (post.output, post.name) != (
                    wanted[key].output, wanted[key].name)
            ]  # fmt: skip
            old = [self._posts.pop(key) for key in gone]
        for post in old:
            post.close()
        for key, door in wanted.items():
            if key not in self._posts:
                post = Post(door, self._make, self._commanded)
                with self._lock:
                    self._posts[key] = post
            else:
                self._posts[key].retry()

    def _commanded(self, door_id: str, what: str, key: str) -> None:
        """Home Assistant wants something of a door."""
        if what == "lock":
            self._guarded(lambda: self.lock_down(door_id, "Home Assistant"))
            return
        order = Order(key, door_id, "Home Assistant", "Home Assistant", self._now().at)
        self._guarded(lambda: self._openings.ask(order))
        self._poke.set()

    def _settle(self) -> None:
        self._openings.abandon(self._now().at)
        if self._away:
            return
        for decision, what, state, detail in self._journal.waiting():
            answer = answer_from(what)
            if state == "claimed" and answer.boot == self._state.boot:
                continue  # in its door's hands still
            self._openings.add(answer, state, detail)
            self._journal.told(decision)


__all__ = ["DoorStatus", "Doorman", "clock", "running"]

"""Granted answers become openings: claimed, asked about once more, triggered once, settled.

Before an output is triggered the opening is claimed in the database, and then asked about once more
in memory; while the database is away it is claimed in a journal on this machine's disk.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from arcid.apps.access import late, machine
from arcid.apps.access.board import Board
from arcid.apps.access.journaling import answer_from, door_from, told
from arcid.apps.access.local import Journal
from arcid.apps.access.openings import OTHER_DOOR, WAIT_S, Opening, Openings, OpeningState
from arcid.apps.access.outputs import OutputFailed, Pulse
from arcid.apps.access.post import Post
from arcid.apps.access.reasons import reason
from arcid.apps.access.states import Answer, Order
from arcid.apps.watching.recorder import passing
from arcid.errors import ArcidError, GalleryBusy, NotFound, UsageError
from arcid.gallery import Gallery

log = logging.getLogger(__name__)


class Carrier:
    """Carries openings out at the doors of ``posts``, in their threads."""

    def __init__(
        self, gallery: Gallery, board: Board, home: Path, posts: Mapping[str, Post]
    ) -> None:
        self._board, self._posts = board, posts
        self._database, self._openings = gallery.database, Openings(gallery)
        self._journal = Journal(home / "doors-journal.db")
        self._given: dict[str, str] = {}  # orders in the threads' hands, and of which door

    def open(self, answer: Answer) -> OpeningState | None:
        """In the door's thread. What became of it; None where it was refused meanwhile."""
        board = self._board
        try:
            claimed = self._openings.claim(board.state, answer, board.now())
        except ArcidError as error:
            if not passing(error):
                raise
            return self._open_offline(answer)
        if claimed.opening is None:
            self._refused(claimed.answer)
            return None
        became, detail = self._trigger(claimed.answer, claimed.opening)
        back = claimed.before if became == "failed" else {}
        self._openings.settle(claimed.opening, became, detail, board.now().at, back=back)
        return became

    def take_orders(self) -> None:
        """Openings by hand that wait at these doors go to their threads."""
        for opening, order in self._openings.asked(list(self._posts), self._board.now().at):
            post = self._posts.get(order.door)
            if post is None or post.opener is None or opening in self._given:
                continue  # another process may have its output
            self._given[opening] = order.door
            if not post.put(partial(self._by_hand, order)):
                self._given.pop(opening, None)

    def by_hand_offline(self, post: Post, order: Order) -> Opening:
        """An opening by hand while the database is away; waits for what becomes of it."""
        board = self._board
        answer = board.step(lambda site, state: machine.by_hand(site, state, order, board.now()))
        post.remember(answer)
        if not answer.granted:
            return Opening(order.id, "refused", answer.words, order.at, order.actor)
        done: queue.Queue[OpeningState | None] = queue.Queue()

        def carry_out() -> None:
            try:
                done.put(self._open_offline(answer))
            finally:
                self._given.pop(order.id, None)

        self._given[order.id] = order.door
        if not post.put(carry_out):
            self._given.pop(order.id, None)
            return Opening(order.id, "refused", "the door is busy", order.at, order.actor)
        try:
            became = done.get(timeout=WAIT_S)
        except queue.Empty:
            became = "unknown"
        return Opening(order.id, became or "refused", post.words, order.at, order.actor)

    def settle(self) -> None:
        """What crashes left behind is given up, and the database told what the journal holds."""
        self._openings.abandon(self._board.now().at)
        if not self._board.away:
            self.tell()

    def tell(self) -> None:
        """The database is told what the journal holds."""
        for decision, what, state, detail in self._held():
            answer = answer_from(what)
            if state == "claimed" and answer.boot == self._board.state.boot:
                continue  # in its door's hands still
            try:
                late.add(self._database, answer, state, detail, door_from(what))
            except ArcidError as error:
                if passing(error):
                    raise
                about = {"door": answer.door, "code": error.code}
                log.warning("an opening cannot be told to the database", extra=about)
                if not isinstance(error, NotFound):
                    continue
            with suppress(GalleryBusy):  # it is told again, which changes nothing
                self._journal.told(decision)

    def in_hands(self, order: Order) -> bool:
        """Whether its opening was begun while the database was away, which does not know of it yet.
        Raises ``UsageError`` for an id of another door."""
        given = dict(self._given)
        held = {decision: str(what["door"]) for decision, what, _, _ in self._held()}
        door = (held | given).get(order.id)
        if door not in (None, order.door):
            raise UsageError(OTHER_DOOR)
        return door is not None

    def _held(self) -> list[tuple[str, dict[str, Any], str, str]]:
        """In the journal; one that cannot be read keeps no door from being opened."""
        try:
            return self._journal.waiting()
        except GalleryBusy as error:
            log.warning("the journal of doors", extra={"code": error.code})
            return []

    def _open_offline(self, answer: Answer) -> OpeningState | None:
        door, age = self._board.site.doors[answer.door], self._board.age_s
        if not 0 < age <= door.offline_s:
            why = reason("no_copy") if age == float("inf") else reason(
                "offline", age=age, limit=door.offline_s
            )  # fmt: skip
            self._refused(replace(answer, granted=False, reasons=(why,)))
            return None
        if answer.copy_s is None:
            said = (*answer.reasons, reason("from_copy", age=age))
            answer = replace(answer, copy_s=age, reasons=said)
        board = self._board
        final = machine.claim(board.site, board.state, answer, board.now())[1]
        if not final.granted:
            self._refused(final)
            return None
        if not self._journal.claim(answer.id, told(answer, door)):
            return None
        became, detail = self._trigger(answer, answer.id)
        self._journal.settle(answer.id, became, detail)
        return became

    def _trigger(self, answer: Answer, opening: str) -> tuple[OpeningState, str]:
        """What became of it, and why not."""
        before = self._board.state.positions
        became, detail = self._pulse(answer, opening)
        if became == "failed":
            self._board.set(lambda state: machine.stayed(state, answer, before))
        return became, detail

    def _pulse(self, answer: Answer, opening: str) -> tuple[OpeningState, str]:
        """Once more asked, then the impulse."""
        final = self._board.claim(machine.claim, answer)
        self._remember(final)
        post = self._posts.get(answer.door)
        if not final.granted:
            return "failed", final.words
        if post is None or post.opener is None:
            return "failed", "no output" if post is None else post.problem
        door = self._board.site.doors[answer.door]
        at = self._board.now().at
        try:
            post.opener.open(Pulse(opening, door.id, door.name, door.release_s, at))
        except OutputFailed as error:
            log.warning("a door's output failed", extra={"door": door.id, "why": str(error)})
            return ("failed" if error.certain else "unknown"), str(error)
        except Exception as error:  # a fault: the impulse may have arrived
            log.exception("a door's output failed", extra={"door": door.id})
            return "unknown", f"the output failed ({type(error).__name__})"
        return "opened", ""

    def _by_hand(self, order: Order) -> None:
        board = self._board
        try:
            answer = board.step(
                lambda site, state: machine.by_hand(site, state, order, board.now())
            )
            if answer.granted:
                self.open(answer)
            else:
                self._remember(answer)
                self._openings.refuse(answer, board.now())
        finally:
            self._given.pop(order.id, None)

    def _refused(self, answer: Answer) -> None:
        """After all; whoever it was may ask again."""
        self._board.set(lambda state: machine.not_opened(state, answer))
        self._remember(answer)

    def _remember(self, answer: Answer) -> None:
        post = self._posts.get(answer.door)
        if post is not None:
            post.remember(answer)


__all__ = ["Carrier"]

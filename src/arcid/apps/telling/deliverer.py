"""Emptying outboxes: what waits for each target, oldest first, by one process at a time."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed, Standing, Target, payload
from arcid.errors import ArcidError, UsageError
from arcid.events import Duty, Event, Outbox
from arcid.gallery import Gallery

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)
GIVE_UP = timedelta(days=3)
UNTRIED_PAUSE = timedelta(minutes=1)  # of a target that nothing can be sent to yet
POLL_S = 0.25
STOP_S = 15.0


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    next_at: datetime
    attempts: int = 0


class Deliverer:
    """Empties the outboxes of ``targets``; ``start`` does so in threads, one a target.

    Delivery is at least once and in order. A target that fails, whatever it raises, is tried again
    after 2 s, 4 s, … up to an hour. What is three days old is given up once the target was tried
    for three days without a success; time in which nobody tried does not count. Of several
    processes that deliver to a target one does; the others take over when it stops, or within
    ``Duty.LASTS_S`` where it dies.
    """

    def __init__(self, gallery: Gallery, targets: Sequence[Target]) -> None:
        if len({target.name for target in targets}) != len(targets):
            raise UsageError("two targets have the same name")
        self._gallery = gallery
        self._outbox = Outbox(gallery)
        self._duties = {target: Duty(gallery, f"telling:{target.name}") for target in targets}
        self._notices: dict[Target, deque[_Waiting]] = {target: deque() for target in targets}
        self._tried: dict[Target, timedelta] = {}  # for how long, without a success
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def notify(self, notice: Notice, targets: Collection[str] | None = None) -> None:
        """Tell these targets, by name, or all; from memory, as long as this process runs."""
        for target, waiting in self._notices.items():
            if targets is None or target.name in targets:
                waiting.append(_Waiting(notice, notice.at))

    def run_once(self, now: datetime | None = None) -> int:
        """Deliver what is due, where no other process does; returns how many went out."""
        try:
            return sum(self._turn(target, threading.Event(), now) for target in self._duties)
        finally:
            self._release()

    def start(self) -> None:
        if self._threads:
            return
        self._threads = [
            threading.Thread(target=self._run, args=(target,), name="arcid-telling", daemon=True)
            for target in self._duties
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the deliveries in progress, and let other processes go on."""
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_S)
        self._threads = []
        self._release()

    def _release(self) -> None:
        for target, duty in self._duties.items():
            if isinstance(target, Standing):
                target.stand(None)
            duty.release()

    def _run(self, target: Target) -> None:
        while not self._stop.is_set():
            if not self._turn(target, self._stop):
                self._stop.wait(POLL_S)

    def _turn(self, target: Target, stop: threading.Event, now: datetime | None = None) -> int:
        """A busy gallery is left for later."""
        try:
            said = self._say(target, now or datetime.now(UTC))
            mine = self._duties[target].mine()
            if isinstance(target, Standing):
                target.stand(self._gallery if mine else None)
            if not mine:
                self._tried.pop(target, None)
            return said + (self._deliver(target, stop, now) if mine else 0)
        except ArcidError as error:
            log.warning("outbox", extra={"target": target.name, "code": error.code})
        except Exception:  # whatever it was, it is tried again
            log.exception("delivering failed", extra={"target": target.name})
        return 0

    def _say(self, target: Target, now: datetime) -> int:
        waiting = self._notices[target]
        if not waiting or waiting[0].next_at > now:
            return 0
        first = waiting[0]
        if _failure(target, first.notice, now, first.attempts) is not None:
            first.next_at = now + _pause(first.attempts)
            first.attempts += 1
            if now - first.notice.at > GIVE_UP:
                waiting.popleft()
            return 0
        waiting.popleft()
        return 1

    def _deliver(self, target: Target, stop: threading.Event, now: datetime | None) -> int:
        delivered = 0
        for delivery, attempts, event in self._outbox.due(target.name, now or datetime.now(UTC)):
            if stop.is_set() or not self._duties[target].mine():
                break
            moment = now or datetime.now(UTC)
            failed = _failure(target, event, moment, attempts)
            if failed is not None:
                if failed.waits:
                    self._outbox.put_off(delivery, str(failed), moment + UNTRIED_PAUSE)
                else:
                    least = min(self._tried_for(target, attempts), moment - event.recorded_at)
                    again = None if least > GIVE_UP else moment + _pause(attempts)
                    self._outbox.not_delivered(delivery, str(failed), again)
                break
            self._tried.pop(target, None)
            self._outbox.delivered(delivery)
            delivered += 1
        return delivered

    def _tried_for(self, target: Target, attempts: int) -> timedelta:
        """How long without a success, by this process or those before it."""
        before = self._tried.setdefault(target, sum(map(_pause, range(attempts)), timedelta()))
        self._tried[target] = before + _pause(attempts)
        return before


def _failure(
    target: Target, said: Event | Notice, now: datetime, attempts: int
) -> DeliveryFailed | None:
    """Send it; None: it was taken."""
    try:
        target.send(payload(said), said, now)
    except DeliveryFailed as error:
        failed = error
    except ArcidError as error:
        failed = DeliveryFailed(error.message)
    except Exception as error:  # a fault, and others go on
        log.exception("delivering failed", extra={"target": target.name})
        failed = DeliveryFailed(f"it cannot be sent ({type(error).__name__})")
    else:
        return None
    why = {"target": target.name, "attempt": attempts + 1, "why": str(failed)}
    log.warning("delivery failed", extra=why)
    return failed


def _pause(attempts: int) -> timedelta:
    return min(FIRST_PAUSE * float(2 ** min(attempts, 20)), LONGEST_PAUSE)

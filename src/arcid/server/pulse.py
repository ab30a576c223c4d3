"""How the gallery is, asked again and again by a thread, so that nobody waits for the answer."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from arcid.apps.watchlists import Latency, latency
from arcid.errors import ArcidError, GalleryBusy
from arcid.gallery import Gallery

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
COUNT_SHARE = 20.0  # counting all faces may take one part in so many of the time
ALERTS_EVERY_S = 15.0  # how long alerts take is asked
PATIENCE_S = 15.0  # a look that takes longer is no answer


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the gallery holds."""

    collections: int = 0
    people: int = 0
    faces: int = 0


class Pulse:
    """What the gallery answered last, and when. Started and stopped once."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._seen = time.monotonic()
        self._problem: ArcidError | None = None
        self._sizes, self._count_after, self._change = Sizes(), 0.0, -1
        self._alerts: Latency | None = None
        self._alerts_after = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="arcid-pulse", daemon=True)

    def start(self) -> None:
        """Look once, and go on looking."""
        self._look()
        self._thread.start()

    def stop(self) -> None:
        """End; a look in progress is not waited for long."""
        self._stop.set()
        self._thread.join(2.0)

    @property
    def seen_s(self) -> float:
        """How long ago the gallery answered."""
        return time.monotonic() - self._seen

    @property
    def sizes(self) -> Sizes:
        """As they were when last counted, seconds ago where people are being enrolled."""
        return self._sizes

    @property
    def alerts(self) -> Latency | None:
        """How long alerts took, as last asked; None before that."""
        return self._alerts

    def check(self) -> float:
        """``seen_s``. Raises what the gallery raised last, or ``GalleryBusy`` where it hangs."""
        if self._problem is not None:
            raise type(self._problem)(self._problem.message)
        if self.seen_s > PATIENCE_S:
            raise GalleryBusy(f"the gallery has not answered for {self.seen_s:.0f} s")
        return self.seen_s

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        try:
            change = self._gallery.last_change()
            if change != self._change and time.monotonic() >= self._count_after:
                began = time.monotonic()
                found = self._gallery.collections()
                people, faces = sum(c.people for c in found), sum(c.faces for c in found)
                self._sizes = Sizes(len(found), people, faces)
                self._change, took_s = change, time.monotonic() - began
                self._count_after = time.monotonic() + COUNT_SHARE * took_s
            if time.monotonic() >= self._alerts_after:
                self._alerts = latency(self._gallery)
                self._alerts_after = time.monotonic() + ALERTS_EVERY_S
            self._problem, self._seen = None, time.monotonic()
        except ArcidError as error:
            if self._problem is None:
                log.warning("the gallery does not answer", extra={"code": error.code})
            self._problem = error
        except Exception:
            log.exception("looking at the gallery failed")
            self._problem = GalleryBusy("the gallery cannot be read; the log says why")

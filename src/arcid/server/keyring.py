"""The stored API keys as one service knows them: read every half a second by a thread, so that no
request waits for the database, and what was revoked elsewhere is refused within a second."""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass, field

from arcid.errors import GalleryBusy
from arcid.gallery import Gallery
from arcid.gallery.store.journal import now_us
from arcid.protection import Keys
from arcid.protection.keys import verbs_of
from arcid.server.scopes import Credential

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.5
PATIENCE_S = 10.0  # what was not read for longer lets nobody in
NOTE_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Known:
    """One secret of a key."""

    id: str
    credential: Credential
    until: float  # microseconds since 1970
    per_minute: int | None = None

    @property
    def good(self) -> bool:
        return now_us() < self.until


@dataclass(slots=True)
class _Bucket:
    """Requests that a key may still make; they come back evenly over a minute."""

    left: float
    at: float = field(default_factory=time.monotonic)


class KeyRing:
    """Empty until ``start``. ``find`` and ``wait_s`` are for the event loop."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}  # by digest; replaced whole
        self._seen = 0.0
        self._gallery: Gallery | None = None
        self._used: dict[str, int] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="arcid-keys", daemon=True)

    def start(self, gallery: Gallery) -> None:
        """Read once, and go on reading. Raises what the gallery raises."""
        self._gallery = gallery
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def refresh(self) -> None:
        """Read now, for whoever has just changed a key here."""
        if self._gallery is None:
            return
        known: dict[str, Known] = {}
        for row in Keys(self._gallery).rows():
            limited = row["collections"]
            credential = Credential(
                f"key:{row['uid']}",
                frozenset(verbs_of(row["verbs"].split())),
                None if limited is None else frozenset(json.loads(limited)),
            )
            until = float("inf") if row["expires_at"] is None else row["expires_at"]
            if row["revoked_at"] is not None:
                until = 0.0
            if row["old_digest"] is not None:
                old = min(until, row["old_until"])
                known[row["old_digest"]] = Known(row["uid"], credential, old, row["per_minute"])
            known[row["digest"]] = Known(row["uid"], credential, until, row["per_minute"])
        self._known, self._seen = known, time.monotonic()

    def __len__(self) -> int:
        """Secrets, those included that are not good any more."""
        return len(self._known)

    @property
    def valid(self) -> int:
        """Keys that open something now."""
        return len({known.id for known in self._known.values() if known.good})

    def find(self, digest: str) -> Known | None:
        """Whose secret it is, good or not. Raises ``GalleryBusy`` where that is not known now."""
        found = self._known.get(digest)
        if found is not None and time.monotonic() - self._seen > PATIENCE_S:
            raise GalleryBusy("the gallery does not answer, so no stored API key can be checked")
        return found

    def used(self, known: Known) -> float:
        """Note that a key was shown; seconds that it has to wait, 0 where its rate allows it."""
        self._used[known.id] = now_us()
        if known.per_minute is None:
            return 0.0
        now = time.monotonic()
        bucket = self._buckets.setdefault(known.id, _Bucket(known.per_minute, now))
        back = (now - bucket.at) * known.per_minute / 60.0
        bucket.left, bucket.at = min(known.per_minute, bucket.left + back), now
        if bucket.left < 1.0:
            return (1.0 - bucket.left) * 60.0 / known.per_minute
        bucket.left -= 1.0
        return 0.0

    def write(self, gallery: Gallery) -> None:
        """When keys were shown last. Raises as ``Database.write``."""
        used, self._used = self._used, {}
        if used:
            Keys(gallery).note_used(used)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            try:
                self.refresh()
            except Exception:  # it is tried again; after a while nobody is let in
                if time.monotonic() - self._seen > PATIENCE_S:
                    log.exception("the API keys cannot be read")

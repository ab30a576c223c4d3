"""The observers of one camera as one: where one of them fails, the others go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from arcid.apps.watching.followed import Followed
from arcid.apps.watching.observer import Duty, Observer, Post
from arcid.apps.watching.views import FaceView
from arcid.errors import ArcidError
from arcid.video import Frame

log = logging.getLogger(__name__)


class Observers:
    """An ``Observer`` itself. One that fails is closed, and opened anew when duties are assigned
    next; ``failed`` hears why. A vital one raises."""

    def __init__(self, post: Post, failed: Callable[[str], None]) -> None:
        self._post = post
        self._failed = failed
        self._on: dict[str, Observer] = {}
        self._vital: set[str] = set()

    def __len__(self) -> int:
        return len(self._on)

    def assign(self, duties: Sequence[Duty], followed: Iterable[Followed]) -> None:
        """Those who stay go on undisturbed; one who is new is told of the faces ``followed``."""
        wanted = {duty.key: duty for duty in duties}
        for key in self._on.keys() - wanted.keys():
            self._dismiss(key)
        self._vital = {duty.key for duty in duties if duty.vital}
        for key in [key for key in wanted if key not in self._on]:
            with self._guarded(key):
                observer = self._on[key] = wanted[key].open(self._post)
                for face in followed:
                    if face.looks:
                        observer.look(face)
        self._on = {key: self._on[key] for key in wanted if key in self._on}

    def look(self, face: Followed) -> None:
        self._tell(lambda observer: observer.look(face))

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        self._tell(lambda observer: observer.see(frame, faces))

    def gone(self, face: Followed) -> None:
        self._tell(lambda observer: observer.gone(face))

    def idle(self, at: float) -> None:
        self._tell(lambda observer: observer.idle(at))

    def moved(self, by_s: float) -> None:
        self._tell(lambda observer: observer.moved(by_s))

    def ended(self, first_at: float, last_at: float) -> None:
        self._tell(lambda observer: observer.ended(first_at, last_at))

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        for key, observer in tuple(self._on.items()):
            with self._guarded(key):
                shown = observer.show(shown, face)
        return shown

    def close(self) -> None:
        self.assign((), ())

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for key, observer in tuple(self._on.items()):
            with self._guarded(key):
                call(observer)

    @contextmanager
    def _guarded(self, key: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if key in self._vital:
                raise
            log.exception("an observer failed", extra={"observer": key})
            why = error.message if isinstance(error, ArcidError) else type(error).__name__
            self._failed(f"{key}: {why}")
            self._dismiss(key)

    def _dismiss(self, key: str) -> None:
        observer = self._on.pop(key, None)
        if observer is not None:
            with self._guarded(key):
                observer.close()

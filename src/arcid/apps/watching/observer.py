"""Who is told of a camera's faces, where it stands, and what it may do there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from arcid.apps.watching.followed import Followed
from arcid.apps.watching.liveness import Liveness, LivenessMode
from arcid.apps.watching.recorder import Recorder, Write
from arcid.apps.watching.views import Counts, FaceView
from arcid.errors import ArcidError
from arcid.events import Event
from arcid.pipeline import Pipeline
from arcid.video import Frame

ODDS = 1e6  # calibrated likelihood ratios are not believed beyond


@dataclass(slots=True, eq=False)
class Post:
    """What a watcher lends its observers."""

    camera: str
    pipeline: Pipeline = field(repr=False)
    counts: Counts
    trouble: Callable[[ArcidError], None]  # what the gallery refuses; raises what no retry mends
    source: str = ""  # named in the grounds
    liveness: Liveness | None = None  # what scores its faces; None where no observer asked for it
    untracked: tuple[tuple[float, ...], ...] = ()  # boxes of this frame that may be faces too, xyxy
    recorder: Recorder | None = None

    def put(
        self,
        write: Write,
        done: Callable[[list[Event]], None] | None = None,
        *,
        once: Hashable | None = None,
    ) -> None:
        """Write behind the frames, in order and again until the gallery takes it.

        ``done`` hears of the events from the writing thread. A later write with the same ``once``
        replaces one that waits still: begin it with a name of the observer's own.
        """
        if self.recorder is not None:
            self.recorder.put(write, done, once=once)

    def odds(self, cosine: float) -> float:
        """How many times likelier one person than two, within what is believed."""
        ratio = self.pipeline.calibration.likelihood_ratio(cosine)
        return min(max(ratio, 1 / ODDS), ODDS)


class Observer(Protocol):
    """Told of one camera's faces, by its thread, which it must not hold up.

    Within a frame: ``look`` for every face that was embedded, ``see`` once, ``gone`` for every face
    that was not seen for a while, ``show`` for every face in view.
    """

    def look(self, face: Followed) -> None:
        """It was embedded anew: its pooled embedding has changed."""

    def see(self, frame: Frame, faces: Sequence[Followed]) -> None:
        """A frame with the faces in view, looked at or not."""

    def gone(self, face: Followed) -> None:
        """It will not be seen again under this number."""

    def idle(self, at: float) -> None:
        """No frame came for a while; ``at``: seconds since 1970."""

    def moved(self, by_s: float) -> None:
        """The camera's clock was set back by so many seconds (below 0)."""

    def ended(self, first_at: float, last_at: float) -> None:
        """A recording has come to its end, after ``gone`` for every face."""

    def show(self, shown: FaceView, face: Followed) -> FaceView:
        """The face for the live view, with what this observer has to say of it."""

    def close(self) -> None:
        """It observes no more; what it ``put`` is written still."""


@dataclass(frozen=True, slots=True)
class Duty:
    """An observer that a camera is to have. Another ``key`` is another observer."""

    key: str
    open: Callable[[Post], Observer] = field(compare=False, repr=False)
    liveness: bool = False  # whether it needs the faces' scores
    vital: bool = False  # whether what it raises ends the watching; else it alone is closed


class Camera(Protocol):
    """What a stored camera says of itself to whoever may observe it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def collection(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def liveness(self) -> LivenessMode: ...
    @property
    def attendance(self) -> bool: ...

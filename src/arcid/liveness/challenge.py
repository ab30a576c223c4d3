"""An active check that needs no weights: turn left, turn right, come closer, in random order.

Five points a frame in, one ``Status`` a frame out. A turning head moves its nose against the plane
of eyes and mouth; a flat picture cannot, however it is held, moved or tilted: from anywhere, the
nose of a plane lies where the homography of its eyes and mouth puts it ("plane plus parallax",
Hartley and Zisserman, Multiple View Geometry, 2004). A bent picture moves it a little, but
foreshortens more than a head does while it moves that far.

Not detected: a replayed video of the person doing the right things, and a mask in three dimensions.
Measured rates and limits: docs/concepts/liveness.md.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray, UsageError
from arcid.liveness.expression import Expression

Action = Literal["turn_left", "turn_right", "come_closer"]
Phase = Literal["centre", "act", "passed", "failed"]
Failure = Literal["too_slow", "wrong_way", "face_lost", "jumped", "flat"]
Hint = Literal[
    "look_straight", "no_face", "too_small", "turn_less", "slower", "open_eyes", "close_mouth",
    "go_on", "done",
]  # fmt: skip
Points = npt.NDArray[np.float64]

JUMP, JUMP_PER_S = 0.4, 8.0  # parallax that changes by more, and faster: another face took over
ACTIONS: tuple[Action, ...] = ("turn_left", "turn_right", "come_closer")
#: The person's own left is the viewer's right in a picture that is not mirrored.
_SIGN: dict[Action, int] = {"turn_left": 1, "turn_right": -1, "come_closer": 0}
_PLANE = [0, 1, 3, 4]  # eyes and mouth corners
_NOSE = 2


@dataclass(frozen=True, slots=True)
class ChallengeSettings:
    """Lengths are in eye distances of the reference frames, times in seconds."""

    steps: int = 3
    step_limit_s: float = 8.0  # from the prompt to the finished action, and for looking straight
    lost_limit_s: float = 1.0  # without a face
    min_inter_eye_px: float = 30.0
    turn: float = 0.3  # parallax of the nose; a head turned by about 32°
    min_relief: float = 0.33  # parallax per tangent of the plane's tilt; heads 0.35–0.8
    min_aspect: float = 0.6  # turned further, the points are no longer trusted
    closer: float = 1.3  # growth of the face
    hold_frames: int = 3  # frames in a row that must show the finished action
    path_frames: int = 2  # frames before that must show it half done: no change of pictures
    centre_frames: int = 4  # frames in a row that make the reference
    flat_frames: int = 5  # tilted by 41° or more, hardly any relief: a picture

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise UsageError(f"{f.name} must be a number above 0, got {value!r}")
        if not 1 <= self.steps <= 12:
            raise UsageError(f"steps must lie between 1 and 12, got {self.steps}")
        if self.closer <= 1:
            raise UsageError(f"closer must be above 1, got {self.closer}")


@dataclass(frozen=True, slots=True)
class Motion:
    """How five points moved since the reference."""

    parallax_x: float  # of the nose along the line of the eyes, + to the viewer's right
    parallax_y: float  # + down
    aspect: float  # smaller over larger stretch of the plane of eyes and mouth, 0–1
    scale: float  # growth of that plane, area^½

    @property
    def relief(self) -> float:
        """Height of the nose over the plane that would explain both, in eye distances."""
        tangent = math.sqrt(max(1 / max(self.aspect, 1e-6) ** 2 - 1, 1e-6))
        return math.hypot(self.parallax_x, self.parallax_y) / tangent


@dataclass(frozen=True, slots=True)
class Status:
    """What to show after a frame. ``action`` is None before and between the actions."""

    phase: Phase
    action: Action | Expression | None
    hint: Hint
    step: int  # actions finished
    steps: int
    left_s: float  # until the present phase times out
    progress: float = 0.0  # of the present action, 0–1
    failure: Failure | None = None

    @property
    def finished(self) -> bool:
        return self.phase in ("passed", "failed")

    @property
    def suspected_attack(self) -> bool:
        """The failure itself points to a picture; the others happen to live people."""
        return self.failure == "flat"


def motion(reference: npt.ArrayLike, points: npt.ArrayLike) -> Motion | None:
    """(5,2) pixels of a frontal face and of the same face later; None where points coincide."""
    start, now = _five(reference), _five(points)
    eye = start[1] - start[0]
    length = float(np.hypot(*eye))
    if length < 1e-6:
        return None
    along = eye / length
    axes = np.stack([along, [-along[1], along[0]]])
    plane = (start - start[:2].mean(axis=0)) @ axes.T / length
    try:
        back = _homography(now[_PLANE], plane[_PLANE])
    except np.linalg.LinAlgError:
        return None
    x, y, w = back @ np.append(now[_NOSE], 1.0)
    columns = np.column_stack([plane[_PLANE], np.ones(4)])
    affine = np.linalg.lstsq(columns, now[_PLANE], rcond=None)[0][:2]
    large, small = np.linalg.svd(affine, compute_uv=False)
    if abs(w) < 1e-9 or large < 1e-9:
        return None
    dx, dy = np.array([x, y]) / w - plane[_NOSE]
    return Motion(float(dx), float(dy), float(small / large), float(math.sqrt(large * small))
                  / length)  # fmt: skip


def frontal(points: npt.ArrayLike) -> bool:
    """Whether a face looks about straight ahead and has the proportions of one.

    The nose of a frontal face lies where the diagonals from eyes to mouth corners cross.
    """
    five = _five(points)
    eyes, mouth = five[:2].mean(axis=0), five[3:].mean(axis=0)
    eye = five[1] - five[0]
    length = float(np.hypot(*eye))
    if length < 1e-6:
        return False
    along = eye / length
    down = np.array([-along[1], along[0]])
    height = float((mouth - eyes) @ down) / length
    width = float((five[4] - five[3]) @ along) / length
    try:
        crossing = np.linalg.solve(
            np.column_stack([five[4] - five[0], five[1] - five[3]]), five[1] - five[0]
        )
    except np.linalg.LinAlgError:
        return False
    offset = (five[2] - five[0] - crossing[0] * (five[4] - five[0])) / length
    return (
        abs(float(offset @ along)) < 0.1
        and abs(float(offset @ down)) < 0.25
        and 0.75 < height < 1.5
        and 0.5 < width < 1.25
        and abs(math.degrees(math.atan2(eye[1], eye[0]))) < 30
    )


class Challenge:
    """One run for one face; feed it every frame in order and stop when ``finished``.

    Points come from the picture as the camera took it, not mirrored. Times come from a clock the
    person in front of the camera cannot set. Whoever uses the result must embed the face *during*
    the run and compare it with the one it is to stand for: the run shows a head, not whose.
    """

    def __init__(
        self, actions: Sequence[Action], settings: ChallengeSettings | None = None
    ) -> None:
        if unknown := sorted(set(actions) - set(ACTIONS)):
            raise UsageError(f"actions {unknown} are unknown; known: {', '.join(ACTIONS)}")
        if not any(_SIGN[action] for action in actions):
            raise UsageError("a challenge needs a turn: coming closer alone proves no depth")
        self.actions = tuple(actions)
        self.settings = settings or ChallengeSettings()
        self._phase: Phase = "centre"
        self._failure: Failure | None = None
        self._step = 0
        self._now = self._since = self._seen = -math.inf
        self._recent: deque[Points] = deque(maxlen=self.settings.centre_frames)
        self._reference: Points | None = None
        self._path = self._held = self._wrong = self._flat = 0
        self._hint: Hint = "look_straight"
        self._progress = 0.0
        self._last = (-math.inf, 0.0)  # time and parallax of the last frame acted in

    @classmethod
    def draw(
        cls, settings: ChallengeSettings | None = None, rng: random.Random | None = None
    ) -> Challenge:
        """Actions in random order: each once before any comes again, never one twice in a row.

        One action is a turn; two or more hold both turns, since a bent picture may pass to one side
        but hardly to both. ``rng`` is for tests; without it the system's randomness is used.
        """
        settings = settings or ChallengeSettings()
        source = rng or random.SystemRandom()
        actions: list[Action] = []
        sides = min(settings.steps, 2)
        while len(actions) < settings.steps or len({_SIGN[a] for a in actions} - {0}) < sides:
            if len(actions) >= settings.steps:
                actions = []
            round_ = list(ACTIONS)
            source.shuffle(round_)
            if actions and round_[0] == actions[-1]:
                round_.append(round_.pop(0))
            actions = (actions + round_)[: settings.steps]
        return cls(actions, settings)

    @property
    def status(self) -> Status:
        limit = self.settings.step_limit_s
        left = limit if self._since == -math.inf else limit - (self._now - self._since)
        return Status(
            self._phase,
            self.actions[self._step] if self._phase == "act" else None,
            self._hint,
            self._step,
            len(self.actions),
            max(left, 0.0),
            self._progress,
            self._failure,
        )

    def update(self, points: npt.ArrayLike | None, time_s: float) -> Status:
        """One frame: (5,2) pixels of the tracked face, None where it was not found.

        Frames that are not newer than the last are ignored. Raises ``InvalidArray``.
        """
        five = None if points is None else _five(points)
        if self._phase in ("passed", "failed") or not time_s > self._now:
            return self.status
        if self._since == -math.inf:
            self._since = self._seen = time_s
        gap, self._now = time_s - self._seen, time_s
        if time_s - self._since > self.settings.step_limit_s:
            return self._fail("too_slow")
        if gap > self.settings.lost_limit_s:
            return self._fail("face_lost")
        if five is None:
            self._hint = "no_face"
            self._recent.clear()
            self._path = self._held = self._wrong = self._flat = 0
            return self.status
        self._seen = time_s
        if float(np.hypot(*(five[1] - five[0]))) < self.settings.min_inter_eye_px * (
            self.settings.min_aspect if self._phase == "act" else 1.0
        ):
            self._hint = "too_small"
            self._recent.clear()
            return self.status
        return self._centre(five) if self._phase == "centre" else self._act(five)

    def _centre(self, five: Points) -> Status:
        """Wait for a straight look; its median becomes the reference of the next action."""
        self._hint = "look_straight"
        if not frontal(five):
            self._recent.clear()
            return self.status
        self._recent.append(five)
        if len(self._recent) == self._recent.maxlen:
            self._reference = np.median(np.stack(self._recent), axis=0)
            self._recent.clear()
            self._phase, self._since, self._hint = "act", self._now, "go_on"
            self._path = self._held = self._wrong = self._flat = 0
            self._progress, self._last = 0.0, (self._now, 0.0)
        return self.status

    def _act(self, five: Points) -> Status:
        moved = None if self._reference is None else motion(self._reference, five)
        if moved is None:
            self._held = 0
            return self.status
        settings, sign = self.settings, _SIGN[self.actions[self._step]]
        side = moved.parallax_x
        (then, before), self._last = self._last, (self._now, side)
        if abs(side - before) > max(JUMP, JUMP_PER_S * (self._now - then)):
            return self._fail("jumped")
        plane = moved.aspect < 0.75 and moved.relief < 0.16
        self._flat = self._flat + 1 if plane else 0
        if self._flat >= settings.flat_frames:
            return self._fail("flat")
        aside = abs(side) >= settings.turn and moved.aspect >= settings.min_aspect
        self._wrong = self._wrong + 1 if aside and (not sign or side * sign < 0) else 0
        if self._wrong >= settings.hold_frames:
            return self._fail("wrong_way")
        if sign:
            share = side * sign / settings.turn
            solid = moved.relief >= settings.min_relief
        else:
            share = (moved.scale - 1) / (settings.closer - 1)
            solid = abs(side) < settings.turn / 2
        self._progress = min(max(share, 0.0), 1.0)
        self._hint = "go_on"
        if sign and moved.aspect < settings.min_aspect:
            self._hint, self._held = "turn_less", 0
        elif share >= 1 and self._path < settings.path_frames:
            self._hint, self._held = "slower", 0
        elif share >= 1 and solid:
            self._held += 1
        else:
            self._held = 0
            if share < 0.1:
                self._path = 0
            elif 0.15 <= share < 1:
                self._path += 1
        if self._held >= settings.hold_frames:
            self._step += 1
            self._since, self._hint, self._progress = self._now, "look_straight", 0.0
            self._phase = "centre"
            if self._step == len(self.actions):
                self._phase, self._hint = "passed", "done"
        return self.status

    def _fail(self, failure: Failure) -> Status:
        self._phase, self._failure, self._hint = "failed", failure, "done"
        return self.status


def _five(points: npt.ArrayLike) -> Points:
    array = np.asarray(points, np.float64)
    if array.shape != (5, 2) or not np.isfinite(array).all():
        raise InvalidArray(
            f"a frame of the challenge is five finite points (5,2), got {array.shape}"
        )
    return array


def _homography(source: Points, target: Points) -> npt.NDArray[Any]:
    """(4,2) onto (4,2) exactly; (3,3)."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    solved = np.linalg.solve(np.array(rows), target.reshape(-1))
    return np.append(solved, 1.0).reshape(3, 3)

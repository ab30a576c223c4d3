"""Heads and cards before a simulated camera, doing what the challenge asks.

    python tests/unit/liveness_simulator.py --runs 400
    python tests/unit/liveness_simulator.py --runs 10 --turns-only --kind bent_card --photos FOLDER

Prints how often each kind passes the whole challenge and a single turn, as Markdown. A pinhole
camera sees five points in three dimensions; what it sees is disturbed as SCRFD 2.5G disturbs points
on the test videos (white noise of 0.006–0.03 eye distances, and as much again that drifts). With
``--photos`` cards are photographs, drawn into every frame, and the points are the detector's own.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from arcid.image import load_image
from arcid.liveness.challenge import Challenge, ChallengeSettings, Status
from arcid.pipeline import load_detector
from arcid.types import Image

Points = npt.NDArray[np.float64]
HEAD = np.array(
    [[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.62, 0.45], [-0.41, 1.16, 0.0], [0.41, 1.16, 0.0]]
)
SPREAD = np.array([[0.02, 0.02, 0.03], [0.02, 0.02, 0.03], [0.03, 0.05, 0.07],
                   [0.03, 0.04, 0.04], [0.03, 0.04, 0.04]])  # fmt: skip
NECK = np.array([0.0, 0.8, -1.5])
FOCAL_PX = 600.0


def rotation(yaw: float, pitch: float, roll: float = 0.0) -> Points:
    """Degrees; x right, y down, z to the camera; yaw to the viewer's right, pitch up."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass
class Pose:
    """Where the actor is just now; ``bend`` 0–1 is how far a card is bent on cue."""

    yaw: float = 0.0
    pitch: float = 0.0
    near: float = 1.0  # growth of the face
    bend: float = 0.0


class Actor:
    """Follows prompts after a moment: moves smoothly to a goal, holds it, comes back.

    Told to turn less or to go slower, it does; a ``restless`` one tries another movement every two
    seconds until the prompt changes.
    """

    def __init__(
        self, rng: np.random.Generator, goal: Callable[[str], Pose], restless: bool
    ) -> None:
        self.rng, self.goal, self.restless = rng, goal, restless
        self.start, self.target = Pose(), Pose()
        self.begin, self.lasts = 0.0, 1.0
        self.prompt: tuple[Any, int] = (None, 0)
        self.plan: list[tuple[float, float, Pose]] = []  # when, for how long, where

    def react(self, status: Status, time_s: float, dt: float) -> Pose:
        prompt = (status.action, status.step)
        if prompt != self.prompt:
            self.prompt = prompt
            self.plan = [self._move(time_s, self._next(status))]
        elif not self.plan and status.action and time_s > self.begin + self.lasts + 0.7:
            at = self.target
            if status.hint == "turn_less":
                less = Pose(at.yaw * 0.8, at.pitch, at.near, at.bend * 0.8)
                self.plan = [self._move(time_s, less)]
            elif status.hint == "slower":
                back, again = self._move(time_s, Pose()), self._move(time_s + 1.2, at)
                self.plan = [(back[0], 0.8, back[2]), (again[0], 1.8, again[2])]
            elif self.restless:
                self.plan = [self._move(time_s, self._next(status))]
        if self.plan and time_s >= self.plan[0][0]:
            self.start, self.begin = self._at(time_s), time_s
            _, self.lasts, self.target = self.plan.pop(0)
        return self._at(time_s)

    def _next(self, status: Status) -> Pose:
        return self.goal(status.action) if status.action else Pose()

    def _move(self, time_s: float, where: Pose) -> tuple[float, float, Pose]:
        return time_s + self.rng.uniform(0.2, 0.8), self.rng.uniform(0.5, 1.6), where

    def _at(self, time_s: float) -> Pose:
        share = min(max((time_s - self.begin) / self.lasts, 0.0), 1.0)
        share = share * share * (3 - 2 * share)
        return Pose(*(
            getattr(self.start, f.name)
            + share * (getattr(self.target, f.name) - getattr(self.start, f.name))
            for f in fields(Pose)
        ))  # fmt: skip


Shape = Callable[[Pose, Points], Points]  # (N,3) before turning, of any points of the thing
Kind = tuple[Points, Shape, Callable[[str], Pose], Points]  # five points, shape, goal, pivot


def solid(pose: Pose, points: Points) -> Points:
    return points


def side(action: str) -> int:
    return {"turn_left": 1, "turn_right": -1}.get(action, 0)


def person(rng: np.random.Generator) -> Kind:
    """A co-operative head: turns by 30–50°, comes close enough."""
    shape = HEAD + rng.normal(size=(5, 3)) * SPREAD

    def goal(action: str) -> Pose:
        if side(action):
            return Pose(yaw=side(action) * rng.uniform(32, 50), pitch=rng.normal(0, 5))
        return Pose(near=rng.uniform(1.4, 1.7), pitch=rng.normal(0, 3))

    return shape, solid, goal, NECK


def lazy_person(rng: np.random.Generator) -> Kind:
    """A head that turns by 20–35° only."""
    head, shape, goal, pivot = person(rng)

    def less(action: str) -> Pose:
        pose = goal(action)
        return Pose(yaw=side(action) * rng.uniform(20, 35), pitch=pose.pitch, near=pose.near)

    return head, shape, less, pivot


def _print(rng: np.random.Generator) -> Points:
    """The five points of a frontal photograph of somebody, in its plane."""
    head = HEAD + rng.normal(size=(5, 3)) * SPREAD
    seen = head @ rotation(rng.uniform(-5, 5), rng.uniform(-8, 8)).T
    return np.column_stack([seen[:, :2], np.zeros(5)])


def _card(
    rng: np.random.Generator, tilt: tuple[float, float], bend: Callable[[Points, float], Points]
) -> Kind:
    flat = _print(rng)

    def goal(action: str) -> Pose:
        bent = rng.uniform(0.5, 1.0) * (side(action) or rng.choice([-1, 1]))
        if side(action):
            return Pose(side(action) * rng.choice([-1, 1]) * rng.uniform(*tilt),
                        rng.uniform(-1, 1) * tilt[1] * 0.6, bend=bent)  # fmt: skip
        return Pose(near=rng.uniform(1.4, 1.7), bend=0.0)

    return flat, lambda pose, points: bend(points, pose.bend), goal, np.array([0.0, 0.6, 0.0])


def still_card(rng: np.random.Generator) -> Kind:
    """A photograph held still, brought closer when asked."""
    return _card(rng, (0, 6), lambda flat, share: flat)


def tilted_card(rng: np.random.Generator) -> Kind:
    """A photograph tilted by 20–70° about any axis when asked to turn."""
    return _card(rng, (20, 70), lambda flat, share: flat)


def rolled(flat: Points, radius: float, axis_deg: float, middle: float, one_side: bool) -> Points:
    """The card laid on a cylinder; the axis lies in it at ``axis_deg`` from the vertical."""
    a = math.radians(axis_deg)
    across = np.array([math.cos(a), math.sin(a)])
    centre = np.array([0.0, 0.6])
    s = (flat[:, :2] - centre) @ across - middle
    arc = np.maximum(s, 0) if one_side else s
    moved = radius * np.sin(arc / radius) + (s - arc)
    bent = flat.copy()
    bent[:, :2] += np.outer(moved - s, across)
    bent[:, 2] -= radius * (1 - np.cos(arc / radius))
    return bent


def bent_card(rng: np.random.Generator) -> Kind:
    """Bent for good on an upright cylinder of 0.8–3 eye distances, tilted when asked."""
    radius = rng.uniform(0.8, 3.0)
    return _card(rng, (20, 70), lambda flat, share: rolled(flat, radius, 0.0, 0.0, False))


def curled_card(rng: np.random.Generator) -> Kind:
    """Curled on cue over part of its width, about a slanted axis, tilted a little as well."""
    tightest, slant, middle = rng.uniform(0.6, 1.5), rng.normal(0, 15), rng.uniform(-0.4, 0.2)

    def bend(flat: Points, share: float) -> Points:
        if abs(share) < 0.02:
            return flat
        mirror = np.array([np.sign(share), 1, 1])
        radius = tightest / abs(share)
        return rolled(flat * mirror, radius, slant, middle, True) * mirror

    return _card(rng, (0, 30), bend)


def _folded(flat: Points, angle_deg: float, at: float) -> Points:
    """Everything to the right of x = ``at`` swung back by the angle."""
    beyond = np.maximum(flat[:, 0] - at, 0)
    a = math.radians(angle_deg)
    bent = flat.copy()
    bent[:, 0] += beyond * (math.cos(a) - 1)
    bent[:, 2] -= beyond * math.sin(a)
    return bent


def folded_card(rng: np.random.Generator) -> Kind:
    """Folded on cue along an upright line by 30–75°, tilted a little as well."""
    angle, at = rng.uniform(30, 75), rng.uniform(-0.2, 0.2)

    def bend(flat: Points, share: float) -> Points:
        mirror = np.array([np.sign(share) or 1.0, 1, 1])
        return _folded(flat * mirror, angle * abs(share), at) * mirror

    return _card(rng, (0, 20), bend)


def folded_and_pitched(rng: np.random.Generator) -> Kind:
    """As ``folded_card``, tilted up or down so that the foreshortenings even out."""
    flat, shape, goal, pivot = folded_card(rng)

    def both(action: str) -> Pose:
        pose = goal(action)
        if side(action):
            pose.pitch = rng.choice([-1, 1]) * rng.uniform(20, 50)
            pose.yaw *= 0.3
        return pose

    return flat, shape, both, pivot


def ridged_card(rng: np.random.Generator) -> Kind:
    """Folded to a ridge through the nose, 30–45° each side, and turned like a head: a solid."""
    angle = rng.uniform(30, 45)
    mirror = np.array([-1, 1, 1])

    def bend(flat: Points, share: float) -> Points:
        half = _folded(flat, angle, 0.0)
        return _folded(half * mirror, angle, 0.0) * mirror

    flat, shape, goal, pivot = _card(rng, (25, 50), bend)

    def turned(action: str) -> Pose:
        pose = goal(action)
        return Pose(side(action) * abs(pose.yaw), rng.normal(0, 5), pose.near)

    return flat, shape, turned, pivot


KINDS: dict[str, Callable[[np.random.Generator], Kind]] = {
    "person": person,
    "lazy_person": lazy_person,
    "still_card": still_card,
    "tilted_card": tilted_card,
    "bent_card": bent_card,
    "curled_card": curled_card,
    "folded_card": folded_card,
    "folded_and_pitched": folded_and_pitched,
    "ridged_card": ridged_card,
}


def draw(photo: Image, corners: Points) -> Image:
    """A frame of 640×480 that shows the photo bent and turned; ``corners`` (R,C,3) is where a grid
    laid over it is seen from the camera: pixels and depth."""
    height, width = photo.shape[:2]
    rows, columns = corners.shape[0] - 1, corners.shape[1] - 1
    frame = np.full((480, 640, 3), 110, np.uint8)
    depth = corners[..., 2]
    cells = [
        (depth[i : i + 2, j : j + 2].mean(), i, j) for i in range(rows) for j in range(columns)
    ]
    for _, i, j in sorted(cells, reverse=True):
        quad = corners[[i, i, i + 1, i + 1], [j, j + 1, j + 1, j], :2].astype(np.float32)
        low = np.maximum(np.floor(quad.min(axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(quad.max(axis=0)) + 1, [640, 480]).astype(int)
        if (high - low < 1).any():
            continue
        x, y = (
            np.array([j, j + 1]) * (width - 1) / columns,
            np.array([i, i + 1]) * (height - 1) / rows,
        )
        cell = np.array([[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]], np.float32)
        local = (quad - low).astype(np.float32)
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        patch = cv2.warpPerspective(photo, cv2.getPerspectiveTransform(cell, local), size,
                                    borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        mask = np.zeros(size[::-1], np.uint8)
        cv2.fillConvexPoly(mask, np.round(local).astype(np.int32), 1)
        view = frame[low[1] : high[1], low[0] : high[0]]
        view[mask > 0] = patch[mask > 0]
    return frame


@dataclass(frozen=True)
class Photo:
    """A photograph to hold before the camera, the points of its face and the eyes that look."""

    pixels: Image
    points: Points  # (5,2)
    find: Callable[[Image], Points | None]

    def grid(self) -> Points:
        """(10,13,3) over the whole photo, in eye distances about the middle of the eyes."""
        height, width = self.pixels.shape[:2]
        x, y = np.meshgrid(np.linspace(0, width - 1, 13), np.linspace(0, height - 1, 10))
        middle, eye = self.points[:2].mean(axis=0), np.hypot(*(self.points[1] - self.points[0]))
        return np.stack([(x - middle[0]) / eye, (y - middle[1]) / eye, 0 * x], axis=-1)


def play(
    kind: str,
    seed: int,
    settings: ChallengeSettings | None = None,
    photo: Photo | None = None,
    fps: float | None = None,
) -> Challenge:
    """One whole run of one actor; the challenge as it ended."""
    rng = np.random.default_rng(seed)
    challenge = Challenge.draw(settings, random.Random(seed))
    points, shape, goal, pivot = KINDS[kind](rng)
    actor = Actor(rng, goal, restless=not kind.endswith("person"))
    rate, distance = fps or rng.uniform(10, 30), rng.uniform(7, 12)
    white, drift = rng.uniform(0.006, 0.03), rng.uniform(0.006, 0.03)
    lean = rng.normal(0, 5, 2)  # camera a little above or below, head a little askew
    sway = rng.uniform(0, 2 * math.pi, 3)
    wander = np.zeros((5, 2))
    status, time_s, dt = challenge.status, 0.0, 1 / rate
    while not status.finished and time_s < 120:
        pose = actor.react(status, time_s, dt)
        turn = rotation(
            pose.yaw + 1.5 * math.sin(0.9 * time_s + sway[0]),
            pose.pitch + lean[0] + 1.5 * math.sin(0.7 * time_s + sway[1]),
            0.6 * lean[1],
        )
        shift = np.array([0.2 * math.sin(0.5 * time_s + sway[2]), -0.6, 0.0])

        def camera(
            thing: Points, pose: Pose = pose, turn: Points = turn, shift: Points = shift
        ) -> Points:
            placed = (shape(pose, thing.reshape(-1, 3)) - pivot) @ turn.T + pivot + shift
            deep = distance / pose.near - placed[:, 2:]
            seen = np.hstack([np.array([320, 240]) + FOCAL_PX * placed[:, :2] / deep, deep])
            return seen.reshape(thing.shape)

        if photo is not None:
            found = photo.find(draw(photo.pixels, camera(photo.grid())))
        else:
            wander += -wander * min(dt / 0.4, 1) + rng.normal(size=(5, 2)) * math.sqrt(2 * dt / 0.4)
            noise = white * rng.normal(size=(5, 2)) + drift * wander
            found = camera(points)[:, :2] + FOCAL_PX * pose.near / distance * noise
            found = None if rng.uniform() < 0.02 else found
        status = challenge.update(found, time_s)
        time_s += dt
    return challenge


def photo_of(path: Path, detector: Any) -> Photo:
    """Cut the largest face of a picture out with its surroundings, as a print would show it."""
    image = load_image(path)
    face = detector.detect([image])[0].select("largest")
    x1, y1, x2, y2 = face.boxes[0]
    reach = 0.9 * max(x2 - x1, y2 - y1)
    left, top = (max(int(v - reach), 0) for v in ((x1 + x2) / 2, (y1 + y2) / 2))
    image = image[top : int((y1 + y2) / 2 + reach), left : int((x1 + x2) / 2 + reach)]
    shrink = min(1.0, 400 / max(image.shape[:2]))
    pixels = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    points = (face.points[0] - [left, top]).astype(np.float64) * shrink

    def find(frame: Image) -> Points | None:
        seen = detector.detect([frame])[0]
        return seen.select("largest").points[0].astype(np.float64) if len(seen) else None

    return Photo(np.asarray(pixels, np.uint8), points, find)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    parser.add_argument("--photos", type=Path, help="folder of portraits to hold up")
    parser.add_argument("--turns-only", action="store_true", help="single turns only")
    args = parser.parse_args()
    photos: list[Photo | None] = [None]
    if args.photos:
        detector = load_detector()
        paths = sorted(args.photos.glob("*.jpg"))[: args.runs]
        photos = [photo_of(path, detector) for path in paths]
    fps = 12.0 if args.photos else None
    print("| kind | passed | of | a single turn passed | of | how the others ended |")
    print("|---|---|---|---|---|---|", flush=True)
    for kind in args.kind or KINDS:
        shown = [photos[seed % len(photos)] for seed in range(args.runs)]
        whole: Counter[str] = Counter()
        if not args.turns_only:
            whole.update(_end(play(kind, i, None, photo, fps)) for i, photo in enumerate(shown))
        turns = [
            _end(play(kind, 10_000 + i, ChallengeSettings(steps=1), photo, fps))
            for i, photo in enumerate(shown)
        ]
        runs, passed = whole.total(), whole.pop("passed", 0)
        others = ", ".join(f"{name} {count}" for name, count in whole.most_common())
        print(f"| {kind} | {passed} | {runs} | {turns.count('passed')} | {len(turns)} "
              f"| {others} |", flush=True)  # fmt: skip


def _end(challenge: Challenge) -> str:
    return challenge.status.failure or challenge.status.phase


if __name__ == "__main__":
    main()

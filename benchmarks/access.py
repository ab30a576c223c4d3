"""Doors: from a face being visible to the decision.

    python benchmarks/access.py [--appearances 60] [--peers 200]

A fake camera (``PushedFrames``) shows an empty wall and then a photograph at 25 frames a second;
counted is the time from the capture of the first frame with the face to the answer, with watcher,
tracker, two looks, liveness where its models are there, search and state machine. Beside it, in the
same run, detecting and embedding the same frames and nothing else. Where other work cannot be
stopped, ``nice -n -20`` shows what the machine does without it; load and niceness are written down.
Writes ``results/access-latency-*.csv``.
"""

from __future__ import annotations

import argparse
import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from arcid.apps.access import Answer, Door, Doorman, Doors, Groups
from arcid.apps.access.observer import duty
from arcid.apps.watching import WATCH_GATE, Watcher
from arcid.bench import common
from arcid.detect import once
from arcid.errors import ModelNotFound
from arcid.gallery import Gallery, NewFace
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.liveness import passive
from arcid.paths import required_data_dir
from arcid.pipeline import Pipeline
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Crops, Image
from arcid.video import PushedFrames

GOAL_MS = 300.0
FPS, WALL_FRAMES = 25.0, 40  # a track lives for a second; the wall is longer
WIDTH, HEIGHT = 640, 360
GALLERY = "ukmp"  # its people are few celebrities: whoever else is there is somebody else
BATCH = 64
CLOCK = datetime(2026, 3, 4, 12, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appearances", type=int, default=60)
    parser.add_argument("--peers", type=int, default=200)
    asked = parser.parse_args()
    latency(Pipeline.from_models(), asked.appearances, asked.peers)


def _write(rows: list[common.Row]) -> None:
    path = Path(__file__).parent / "results" / f"access-latency-{common.hardware_slug()}.csv"
    common.write_csv(path, rows)
    print(path.name)


def latency(pipeline: Pipeline, appearances: int, peers: int) -> None:
    photos = list(find_photos([required_data_dir() / "data/deepface-pairs"]))
    shown = [scene for photo in photos if (scene := _scene(pipeline, photo)) is not None]
    try:
        live = passive.load()
    except ModelNotFound:
        live = None
    rows = []
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("staff")
        _enrol_peers(pipeline, gallery, peers)
        doors, groups = Doors(gallery), Groups(gallery)
        groups.add("staff", "Staff")
        for i, scene in enumerate(shown):
            faces = pipeline.faces(scene)
            found = NewFace(faces.embeddings[0], photo_id=f"shown {i}")
            person, _ = gallery.enrol("staff", f"shown {i}", [found])
            groups.add_member("staff", "Staff", person.id)
        bare = _bare(pipeline, shown)
        for required in (False, True) if live is not None else (False,):
            door = doors.add(f"Door {required}", "staff", liveness=required)
            doors.allow(door.name, "Staff")
            found_ms = _watch(pipeline, gallery, Path(folder), door, shown, appearances, live)
            name = "liveness required" if required else "liveness off"
            p50, p95 = (float(np.percentile(found_ms, q)) for q in (50, 95))
            load = os.getloadavg()[0]
            print(
                f"{name:18s} p50 {p50:5.0f} ms, p95 {p95:5.0f} ms over {len(found_ms)} of "
                f"{appearances} appearances; {p95 / bare:.1f}x bare detect+embed ({bare:.0f} ms); "
                f"load {load:.1f}; goal {GOAL_MS:.0f} ms"
            )
            rows.append(
                common.row(
                    "visible to decision", name, p95, "ms p95", samples=len(found_ms),
                    peer="detect+embed of one frame", ratio=p95 / bare, best=min(found_ms),
                    notes=f"p50 {p50:.0f} ms; {peers} people; load {load:.1f}, nice {os.nice(0)}",
                )
            )  # fmt: skip
    _write(rows)


def _watch(
    pipeline: Pipeline,
    gallery: Gallery,
    home: Path,
    door: Door,
    shown: list[Image],
    appearances: int,
    live: passive.PassiveLiveness | None,
) -> list[float]:
    """Milliseconds from the first frame's capture to each first final answer."""
    source = PushedFrames("fake camera")
    first: list[float] = [0.0]
    answered = threading.Event()
    found: list[float] = []

    def told(answer: Answer) -> None:
        if not answer.passing and first[0] and not answered.is_set():
            found.append((time.monotonic() - first[0]) * 1e3)
            answered.set()

    wall = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    with Doorman(gallery, pipeline.contract_id, home) as doorman:
        job = duty(gallery, doorman, door, told)
        check = None if live is None else lambda: live
        watcher = Watcher(pipeline, [job], camera=door.name, liveness=check)
        views = watcher.watch(source)
        thread = threading.Thread(target=lambda: [None for _ in views], daemon=True)
        thread.start()
        for i in range(appearances):
            for _ in range(WALL_FRAMES):
                source.push(wall)
                time.sleep(1 / FPS)
            first[0] = 0.0
            answered.clear()
            picture = shown[i % len(shown)]
            for n in range(75):
                moment = time.monotonic()
                source.push(np.roll(picture, n % 3, axis=1))
                first[0] = first[0] or moment
                if answered.wait(1 / FPS):
                    break
            first[0] = 0.0
        source.close()
        thread.join(10)
    return found


def _bare(pipeline: Pipeline, shown: list[Image]) -> float:
    """Milliseconds to detect and embed one frame, the median."""
    times = []
    for i in range(60):
        began = time.perf_counter()
        picture = shown[i % len(shown)]
        found = once(pipeline.detector)([picture])[0]
        pipeline.embedder.embed(pipeline.align(picture, found[:1]))
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def _scene(pipeline: Pipeline, photo: Path) -> Image | None:
    """The photograph in the middle of the camera's picture; None where its face is not usable."""
    picture = load_image(photo)
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    scene = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    y, x = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    scene[y : y + small.shape[0], x : x + small.shape[1]] = small
    found = once(pipeline.detector)([scene])[0]
    if len(found) != 1 or found.sizes[0, 1] / HEIGHT < 0.13:
        return None
    judged = WATCH_GATE.assess(scene, found, pipeline.align(scene, found))[0]
    return scene if judged.ok else None


def _enrol_peers(pipeline: Pipeline, gallery: Gallery, peers: int) -> None:
    for name, crops in _people(peers):
        made = pipeline.embedder.embed(Crops(np.stack(crops)))
        new = [NewFace(made[i], photo_id=f"{name} {i}") for i in range(len(crops))]
        gallery.enrol("staff", name, new)


def _people(count: int) -> Iterator[tuple[str, list[Image]]]:
    """Names and aligned crops of the gallery's people."""
    people: dict[str, list[Image]] = {}
    with tarfile.open(required_data_dir() / f"data/train/{GALLERY}.tar") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            name = Path(member.name).parent.name
            if name not in people and len(people) == count:
                continue
            people.setdefault(name, []).append(_chip(file.read()))
    yield from people.items()


def _chip(data: bytes) -> Image:
    """(112,112,3) uint8 RGB: the aligned crop in the middle of a stored one."""
    return centre(fit_crop(decode_crop(data), -1, TEMPLATE_SIZE), TEMPLATE_SIZE)


if __name__ == "__main__":
    main()

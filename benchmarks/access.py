"""Doors: from a face being visible to the decision, and openings to strangers.

    python benchmarks/access.py latency [--appearances 60] [--peers 200]
    python benchmarks/access.py strangers [--people 250] [--limit N]

``latency``: a fake camera (``PushedFrames``) shows an empty wall and then a photograph at 25 frames
a second; counted is the time from the capture of the first frame with the face to the answer, with
watcher, tracker, two looks, liveness where its models are there, search and state machine. Beside
it, in the same run, detecting and embedding the same frames and nothing else.

``strangers``: every face of ``ARCID_DATA`` outside the gallery's people asks at a door: pictures,
scenes and every frame of the films through detector and gate, aligned crops as they are. One look
decides and liveness is off: what keeps them out is the recogniser and the state machine alone.
Writes ``results/access-*.csv``.
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

from arcid.apps.access import Answer, Door, Doorman, Doors, Face, Groups, Now, Sight, State, machine
from arcid.apps.access.observer import duty
from arcid.apps.access.rules import DOOR_FPIR, Pass, Site
from arcid.apps.watching import WATCH_GATE, Watcher
from arcid.bench import common
from arcid.detect import once
from arcid.errors import ModelNotFound
from arcid.evaluate.metrics.rates import wilson
from arcid.gallery import Gallery, NewFace
from arcid.geometry import TEMPLATE_SIZE
from arcid.image import find_photos, load_image
from arcid.liveness import passive
from arcid.paths import required_data_dir
from arcid.pipeline import Pipeline
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.types import Crops, Embeddings, Image
from arcid.video import PushedFrames

GOAL_MS = 300.0
FPS, WALL_FRAMES = 25.0, 40  # a track lives for a second; the wall is longer
WIDTH, HEIGHT = 640, 360
GALLERY = "ukmp"  # its people are few celebrities: whoever else is there is somebody else
BATCH = 64
CLOCK = datetime(2026, 3, 4, 12, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("latency", "strangers"))
    parser.add_argument("--appearances", type=int, default=60)
    parser.add_argument("--peers", type=int, default=200)
    parser.add_argument("--people", type=int, default=250)
    parser.add_argument("--limit", type=int, default=0, help="faces of each source; 0: all")
    asked = parser.parse_args()
    pipeline = Pipeline.from_models()
    if asked.what == "latency":
        latency(pipeline, asked.appearances, asked.peers)
    else:
        strangers(pipeline, asked.people, asked.limit)


def _write(what: str, rows: list[common.Row]) -> None:
    path = Path(__file__).parent / "results" / f"access-{what}-{common.hardware_slug()}.csv"
    common.write_csv(path, rows)
    print(path.name)


# latency


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
                    notes=f"p50 {p50:.0f} ms; {peers} people; load {load:.1f}",
                )
            )  # fmt: skip
    _write("latency", rows)


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


# strangers


def strangers(pipeline: Pipeline, people: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("staff")
        _enrol_peers(pipeline, gallery, people)
        size = gallery.size("staff", pipeline.contract_id)
        rate = DOOR_FPIR
        ids = [person.id for person in gallery.everybody("staff")]
        door = Door("door", "Door", "staff", liveness=False, near=0.01)
        site = Site({"door": door}, {("door", person): (Pass("Staff"),) for person in ids})
        print(f"{people} people, {size} templates, everybody may pass; FPIR {rate:g}", flush=True)
        rows, total, opened = [], 0, 0
        for source, faces in _sources(pipeline, limit):
            asked, granted, nearest = 0, 0, []
            for batch in _batches(faces):
                answers, cosines = _ask(pipeline, gallery, site, batch, rate)
                asked, granted = asked + len(batch), granted + answers
                nearest += cosines
            total, opened = total + asked, opened + granted
            if not asked:
                continue
            low, high = wilson(granted, asked)
            print(
                f"{source:16s} {asked:6d} faces, {granted} openings, at most {high:.2e} "
                f"(95 %); nearest cosine {max(nearest):.3f}", flush=True,
            )  # fmt: skip
            rows.append(_row(source, granted, asked, high, rate, size))
        low, high = wilson(opened, total)
        print(f"all: {total} faces, {opened} openings, [{low:.1e}, {high:.1e}]")
        rows.append(_row("all", opened, total, high, rate, size))
        _write("strangers", rows)


def _row(source: str, granted: int, asked: int, high: float, rate: float, size: int) -> common.Row:
    notes = f"at most {high:.2e} of faces (95 %); FPIR {rate:g}, {size} templates"
    return common.row(
        "openings to strangers", source, granted, "openings", samples=asked, notes=notes
    )


def _ask(
    pipeline: Pipeline, gallery: Gallery, site: Site, faces: list[Embeddings], rate: float
) -> tuple[int, list[float]]:
    """How many of the faces, one after another, open the door; and their best cosines."""
    probes = Embeddings(np.concatenate([f.vectors for f in faces]), pipeline.contract_id)
    opened, cosines = 0, []
    for i, found in enumerate(
        pipeline.identify_embeddings(
            probes, gallery, "staff", fpir=rate, k=1, unsupported="extrapolate"
        )
    ):
        decision, now = found.decision, Now(CLOCK, float(i + 1))
        cosines.append(decision.cosine or -1.0)
        known = decision.matched
        face = Face(
            1, 0.4, "known" if known else "unknown",
            found.candidates[0].person_id if known else None,
            found.candidates[0].name if known else None, None, decision,
        )  # fmt: skip
        state, answer = machine.judge(site, State("boot"), Sight(str(i), "door", now, (face,)), now)
        if answer is not None and answer.granted:
            opened += machine.claim(site, state, answer, now)[1].granted
    return opened, cosines


def _sources(pipeline: Pipeline, limit: int) -> Iterator[tuple[str, Iterator[Embeddings]]]:
    data = required_data_dir() / "data"
    for name in ("photos", "deepface-pairs", "spoof", "lfw-dev/images"):
        paths = list(find_photos([data / name]))
        yield name, _photographs(pipeline, (load_image(p) for p in paths[: limit or None]))
    for film in sorted((data / "video").glob("*.mp4")):
        yield film.stem[:16], _photographs(pipeline, _film(film, limit))
    for archive in [data / "lfw-dev/train-chips.tar", *sorted((data / "train").glob("*.tar"))]:
        if archive.stem != GALLERY:
            yield archive.stem, _chips(pipeline, _members(archive, limit))
    yield (
        "scenes",
        _photographs(pipeline, (load_image(one) for one in _members(data / "scenes.tar", limit))),
    )


def _photographs(pipeline: Pipeline, pictures: Iterator[Image]) -> Iterator[Embeddings]:
    """Every face of every picture that the gate lets through."""
    for picture in pictures:
        found = once(pipeline.detector)([picture])[0]
        if not len(found):
            continue
        crops = pipeline.align(picture, found)
        good = [i for i, q in enumerate(WATCH_GATE.assess(picture, found, crops)) if q.ok]
        if good:
            made = pipeline.embedder.embed(crops[good])
            yield from (made[i] for i in range(len(made)))


def _chips(pipeline: Pipeline, stored: Iterator[bytes]) -> Iterator[Embeddings]:
    waiting: list[Image] = []
    for data in stored:
        waiting.append(_chip(data))
        if len(waiting) == BATCH:
            made = pipeline.embedder.embed(Crops(np.stack(waiting)))
            yield from (made[i] for i in range(len(made)))
            waiting = []
    if waiting:
        made = pipeline.embedder.embed(Crops(np.stack(waiting)))
        yield from (made[i] for i in range(len(made)))


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


def _members(path: Path, limit: int) -> Iterator[bytes]:
    with tarfile.open(path) as archive:
        count = 0
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and member.name.endswith((".webp", ".jpg", ".png")):
                yield file.read()
                count += 1
            if limit and count >= limit:
                return


def _film(path: Path, limit: int) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(path))
    count = 0
    while not limit or count < limit:
        ok, bgr = capture.read()
        if not ok:
            break
        count += 1
        yield np.ascontiguousarray(bgr[:, :, ::-1])
    capture.release()


def _batches(faces: Iterator[Embeddings]) -> Iterator[list[Embeddings]]:
    batch: list[Embeddings] = []
    for face in faces:
        batch.append(face)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


if __name__ == "__main__":
    main()

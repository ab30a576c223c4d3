"""Frames a second of ``arcid attend``, beside the same pipeline embedding every face it sees.

    python benchmarks/video.py [--clip FILE] [--faces 6] [--frames 150] [--rounds 3]
                               [--soak MINUTES]

Two films, a row each: a clip, and six people in view at once (``--faces 0``: the clip alone), made
in memory of photographs of lfw-dev that drift and change in size. Six people are enrolled from one
photo each: every second of those in view, by another photo of theirs, and others who are in neither
film. A name is false where it stands at anybody else's face.

Both forms take turns over the same decoded frames: ``tracked`` is ``Watcher.see`` (detect, track,
embed where it helps, decide, record), ``every frame`` is detect, align, judge, embed and search for
every face. The ratio is that of their times; processor time is given as well, since it depends less
on what else runs. Decoding is timed apart. ``--soak`` then watches the clip in a loop and reports
the memory of the process and the numbers of events that its rounds gave: one number, where none
was dropped. Writes
``benchmarks/results/video-<detector>-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, sin
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcid import paths
from arcid.apps.attendance import FaceView, Policy, View, Watcher
from arcid.apps.enrol import enrol_photos, new_face
from arcid.apps.watching import Counts
from arcid.bench import common
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.video import Frame, VideoFile

PEOPLE = 6
GOAL_FPS = 25.0
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
SIZE, FPS = (640, 360), 25.0  # of the film that is made here

Seconds = tuple[float, float]  # on the clock, of the processor
Who = Callable[[FaceView], str | None]  # whose face it is, where they are enrolled


@dataclass(frozen=True)
class Film:
    name: str
    frames: list[Frame]
    who: Who
    decode_ms: float | None = None


def clip_film(path: Path, count: int) -> Film:
    """The first frames of a clip, in which nobody is enrolled."""
    frames: list[Frame] = []
    started = time.perf_counter()
    for frame in VideoFile(path, start=START).frames():
        if frame is None or len(frames) == count:
            break
        frames.append(frame)
    decoding = time.perf_counter() - started
    return Film(path.name, frames, lambda face: None, round(1e3 * decoding / len(frames), 2))


def crowd_film(people: Sequence[Path], count: int) -> Film:
    """Photographs in two rows, each drifting and changing in size on a path of its own."""
    photos = [load_image(photo) for photo in people]
    columns = ceil(len(photos) / 2)
    cell = np.array([SIZE[0] / columns, SIZE[1] / 2])
    frames = []
    for index in range(count):
        picture = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
        for place, photo in enumerate(photos):
            phase = 1.3 * place + index / FPS
            scale = cell.min() / photo.shape[0] * (0.95 + 0.15 * sin(0.7 * phase))
            middle = cell * (place % columns + 0.5, place // columns + 0.5)
            middle += cell * (0.08 * sin(1.9 * phase), 0.04 * sin(2.3 * phase))
            left, top = middle - scale * np.array([photo.shape[1], photo.shape[0]]) / 2
            move = np.array([[scale, 0, left], [0, scale, top]])
            cv2.warpAffine(photo, move, SIZE, picture, borderMode=cv2.BORDER_TRANSPARENT)
        frames.append(Frame(picture, START.timestamp() + index / FPS, index / FPS, index))

    def who(face: FaceView) -> str | None:
        column, row = np.divide([face.box[0] + face.box[2], face.box[1] + face.box[3]], 2) // cell
        return people[int(row) * columns + int(column)].parent.name

    return Film(f"{len(photos)} people", frames, who)


def tracked(
    pipeline: Pipeline, gallery: Gallery, frames: list[Frame]
) -> tuple[Seconds, Counts, list[View]]:
    """Seconds for all frames, and what was seen in them."""
    watcher = Watcher(pipeline, gallery, "bench", Policy(cooldown_s=30), camera="bench")
    started, worked = time.perf_counter(), time.process_time()
    views = [watcher.see(frame) for frame in frames]
    watcher.finish()
    seconds = time.perf_counter() - started, time.process_time() - worked
    watcher.close()
    return seconds, watcher.counts, views


def every_frame(pipeline: Pipeline, gallery: Gallery, frames: list[Frame]) -> Seconds:
    started, worked = time.perf_counter(), time.process_time()
    for frame in frames:
        pipeline.identify(frame.image, gallery, "bench")
    return time.perf_counter() - started, time.process_time() - worked


def measure(pipeline: Pipeline, gallery: Gallery, film: Film, rounds: int) -> common.Row:
    """Both forms in turns; the row of a film."""
    frames = film.frames
    tracked(pipeline, gallery, frames[:10])
    every_frame(pipeline, gallery, frames[:10])
    pairs = []
    for _ in range(rounds):
        seconds, counts, views = tracked(pipeline, gallery, frames)
        pairs.append((seconds, every_frame(pipeline, gallery, frames)))
    (fast, fast_cpu), (slow, slow_cpu) = (
        tuple(map(statistics.median, zip(*form, strict=True))) for form in zip(*pairs, strict=True)
    )
    named = [face for view in views for face in view.faces if face.name is not None]
    fps = round(len(frames) / fast, 1)
    return {
        "clip": film.name,
        "frames": len(frames),
        "faces_a_frame": round(counts.detections / len(frames), 2),
        "decode_ms": film.decode_ms,
        "tracked_fps": fps,
        "goal_fps": GOAL_FPS,
        "met": fps >= GOAL_FPS,
        "every_frame_fps": round(len(frames) / slow, 1),
        "speed_ratio": round(statistics.median(b[0] / a[0] for a, b in pairs), 2),
        "tracked_cpu_ms": round(1e3 * fast_cpu / len(frames), 1),
        "every_frame_cpu_ms": round(1e3 * slow_cpu / len(frames), 1),
        "tracks": counts.tracks,
        "embeddings_per_detection": round(counts.embeddings / counts.detections, 4),
        "names": len({(face.track, face.name) for face in named}),
        "false_names": len(
            {(face.track, face.name) for face in named if face.name != film.who(face)}
        ),
        "detector": pipeline.provenance["detector"],
        "recogniser": pipeline.provenance["model"],
    }


def soak(
    pipeline: Pipeline, gallery: Gallery, film: Film, clip: Path, minutes: float
) -> dict[str, Any]:
    """Memory after the first rounds and at the end, and how many events each round brought.

    Whoever has the largest face of the film is enrolled, to arrive and to leave in every round.
    """
    import psutil

    found = [pipeline.faces(frame.image) for frame in film.frames[::10]]
    faces = [faces[i] for faces in found for i in range(len(faces))]
    largest = max(faces, key=lambda face: 0 if face.box is None else face.box[2] - face.box[0])
    gallery.enrol("bench", "largest face", [new_face(largest, "clip", pipeline.provenance)])
    process = psutil.Process()
    source = VideoFile(clip, start=START, loops=1_000_000)
    length = source.frame_count / source.fps
    watcher = Watcher(
        pipeline, gallery, "bench", Policy(cooldown_s=1.0, touch_s=0.2), camera="soak"
    )
    rounds: Counter[int] = Counter()
    memory: list[float] = []
    deadline = time.monotonic() + minutes * 60
    for view in watcher.watch(source):
        for event in view.events:
            rounds[int((event.at.timestamp() - source.start) / length)] += 1
        if view.frame is not None and view.frame.index % source.frame_count == 0:
            memory.append(process.memory_info().rss / 2**20)
            if time.monotonic() > deadline:
                break
    whole = [rounds[n] for n in range(2, len(memory) - 2)]
    return {
        "soak_minutes": minutes,
        "rounds": len(memory),
        "memory_start_mib": round(memory[min(2, len(memory) - 1)], 1),
        "memory_end_mib": round(memory[-1], 1),
        "events_a_round": sorted(set(whole)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = paths.required_data_dir() / "data"
    parser.add_argument("--clip", type=Path, default=data / "video/short_hamilton_clip.mp4")
    parser.add_argument("--faces", type=int, default=PEOPLE)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0)
    options = parser.parse_args()
    pipeline = Pipeline.from_models()
    photos = [sorted(folder.iterdir()) for folder in sorted((data / "lfw-dev/images").iterdir())]
    pairs = [own[:2] for own in photos if len(own) > 1]  # of one person each
    shown, others = pairs[: options.faces], pairs[options.faces :]
    enrolled = [enrol for _, enrol in [*shown[::2], *others][:PEOPLE]]
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("bench")
        items = [(photo.parent.name, photo, photo.name) for photo in enrolled]
        enrol_photos(pipeline, gallery, "bench", items, select="largest", require_quality=False)
        films = [clip_film(options.clip, options.frames)]
        if shown:
            films.append(crowd_film([photo for photo, _ in shown], options.frames))
        rows = [measure(pipeline, gallery, film, options.rounds) for film in films]
        if options.soak:
            rows[0] |= soak(pipeline, gallery, films[0], options.clip, options.soak)
    print("\n".join(common.lines(rows)))
    name = f"video-{pipeline.provenance['detector']}-{common.hardware_slug()}.csv"
    common.write_csv(Path(__file__).parent / "results" / name, rows)


if __name__ == "__main__":
    main()

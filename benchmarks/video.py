"""Frames a second of ``arcid attend``, beside the same pipeline embedding every face it sees.

    python benchmarks/video.py [--clip FILE] [--frames 150] [--rounds 3] [--soak MINUTES]

Both forms take turns over the same decoded frames, with six people enrolled from the photos of
deepface-pairs: ``tracked`` is ``Watcher.see`` (detect, track, embed where it helps, decide,
record), ``every frame`` is detect, align, judge, embed and search for every face. The ratio is that
of their times; processor time is given as well, since it depends less on what else runs. Decoding
is timed apart. ``--soak`` then watches the clip in a loop and reports the memory of the process and
whether every round gave the same events. Writes
``benchmarks/results/video-<detector>-<hardware>.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arcid import paths
from arcid.apps.attendance import Policy, Watcher
from arcid.apps.enrol import enrol_photos
from arcid.bench import common
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.video import Frame, VideoFile

PEOPLE = 6
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


Seconds = tuple[float, float]  # on the clock, of the processor


def tracked(pipeline: Pipeline, gallery: Gallery, frames: list[Frame]) -> tuple[Seconds, Watcher]:
    """Seconds for all frames, and the watcher with its counts."""
    watcher = Watcher(pipeline, gallery, "bench", Policy(cooldown_s=30), camera="bench")
    started, worked = time.perf_counter(), time.process_time()
    for frame in frames:
        watcher.see(frame)
    watcher.finish()
    seconds = time.perf_counter() - started, time.process_time() - worked
    watcher.close()
    return seconds, watcher


def every_frame(pipeline: Pipeline, gallery: Gallery, frames: list[Frame]) -> Seconds:
    started, worked = time.perf_counter(), time.process_time()
    for frame in frames:
        pipeline.identify(frame.image, gallery, "bench")
    return time.perf_counter() - started, time.process_time() - worked


def soak(pipeline: Pipeline, gallery: Gallery, clip: Path, minutes: float) -> dict[str, Any]:
    """Memory after the first round and at the end, and whether any round lost an event."""
    import psutil

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
        "rounds": len(memory),
        "memory_start_mib": round(memory[min(2, len(memory) - 1)], 1),
        "memory_end_mib": round(memory[-1], 1),
        "events_a_round": sorted(set(whole)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = paths.data_dir() / "data"
    parser.add_argument("--clip", type=Path, default=data / "video/short_hamilton_clip.mp4")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0)
    options = parser.parse_args()
    pipeline = Pipeline.from_models()
    with tempfile.TemporaryDirectory() as folder, Gallery.open(Path(folder) / "g.db") as gallery:
        gallery.create_collection("bench")
        photos = sorted((data / "deepface-pairs").glob("img*.jpg"))[:PEOPLE]
        items = [(photo.stem, photo, photo.name) for photo in photos]
        enrol_photos(pipeline, gallery, "bench", items, select="largest", require_quality=False)

        source = VideoFile(options.clip, start=START)
        frames: list[Frame] = []
        started = time.perf_counter()
        for frame in source.frames():
            if frame is None or len(frames) == options.frames:
                break
            frames.append(frame)
        decoding = time.perf_counter() - started
        tracked(pipeline, gallery, frames[:10])
        every_frame(pipeline, gallery, frames[:10])
        pairs = []
        for _ in range(options.rounds):
            seconds, watcher = tracked(pipeline, gallery, frames)
            pairs.append((seconds, every_frame(pipeline, gallery, frames)))
        counts = watcher.counts
        (fast, fast_cpu), (slow, slow_cpu) = (
            tuple(map(statistics.median, zip(*form, strict=True)))
            for form in zip(*pairs, strict=True)
        )
        rows: list[common.Row] = [
            {
                "clip": options.clip.name,
                "frames": len(frames),
                "faces_a_frame": round(counts.detections / len(frames), 2),
                "decode_ms": round(1e3 * decoding / len(frames), 2),
                "tracked_fps": round(len(frames) / fast, 1),
                "every_frame_fps": round(len(frames) / slow, 1),
                "speed_ratio": round(statistics.median(b[0] / a[0] for a, b in pairs), 2),
                "tracked_cpu_ms": round(1e3 * fast_cpu / len(frames), 1),
                "every_frame_cpu_ms": round(1e3 * slow_cpu / len(frames), 1),
                "embeddings_per_detection": round(counts.embeddings / counts.detections, 4),
                "detector": pipeline.detector.name,
                "recogniser": pipeline.embedder.manifest.name,
            }
        ]
        if options.soak:
            rows[0] |= soak(pipeline, gallery, options.clip, options.soak)
    print("\n".join(common.lines(rows)))
    name = f"video-{pipeline.detector.name}-{common.hardware_slug()}.csv"
    common.write_csv(Path(__file__).parent / "results" / name, rows)


if __name__ == "__main__":
    main()

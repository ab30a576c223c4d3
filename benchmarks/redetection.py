"""How well faces of photographs, and visitors of clips, are detected again in other views.

    python benchmarks/redetection.py [--photos 300] [--clips]

Photographs (data/photos, data/deepface-pairs, and as many of lfw-dev, at full and at half size):
the mean distance of the five points in the worst of the views, as a share of the face's side, of
every face that passes the gate of ``arcid attend``. The limit ``SAME_POINTS`` was chosen on these.
``--clips``: events and groups of unknown visitors on the clips of data/video, which had no say in
it, with redetection and without.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from arcid import paths
from arcid.apps.attendance import Attendance, Policy, Watcher
from arcid.apps.watching import WATCH_GATE, redetection
from arcid.gallery import Gallery
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.video import VideoFile

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
LONGEST = 1600  # pixels


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--photos", type=int, default=300, help="of lfw-dev")
    arguments.add_argument("--clips", action="store_true")
    options = arguments.parse_args()
    pipeline, data = Pipeline.from_models(), paths.required_data_dir() / "data"
    lfw = sorted((data / "lfw-dev").rglob("*.jpg"))
    chosen = random.Random(1).sample(lfw, min(options.photos, len(lfw)))
    for name, photos, scale in (
        ("photos", sorted((data / "photos").rglob("*.jpg")), 1.0),
        ("deepface-pairs", sorted((data / "deepface-pairs").glob("*.jpg")), 1.0),
        ("lfw-dev", chosen, 1.0),
        ("lfw-dev, half size", chosen, 0.5),
    ):
        found = np.array(_distances(pipeline, photos, scale))
        shares = ", ".join(f"{q:.0%} {v:.3f}" for q, v in zip(
            (0.5, 0.95, 0.99), np.quantile(found, (0.5, 0.95, 0.99)), strict=True))  # fmt: skip
        above = int((found > redetection.SAME_POINTS).sum())
        print(f"{name}: {len(found)} faces; {shares}; not found again: {above}")
    if options.clips:
        for clip in sorted((data / "video").glob("*.mp4")):
            print(f"{clip.name}: {_visitors(pipeline, clip, float('inf'))} without, "
                  f"{_visitors(pipeline, clip, redetection.SAME_POINTS)} with it")  # fmt: skip


def _distances(pipeline: Pipeline, photos: Sequence[Path], scale: float) -> list[float]:
    distances = []
    for path in photos:
        image = load_image(path)
        factor = min(scale, LONGEST / max(image.shape))
        if factor < 1:
            image = np.asarray(
                cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            )
        found = pipeline.detector.detect([image])[0]
        judged = WATCH_GATE.assess(image, found, pipeline.align(image, found))
        for i, quality in enumerate(judged):
            face = redetection.cut_out(image, found[[i]]) if quality.ok else None
            if face is not None:
                distances.append(redetection.distance(pipeline.detector, face))
    return distances


def _visitors(pipeline: Pipeline, clip: Path, limit: float) -> str:
    with tempfile.TemporaryDirectory() as folder, Gallery.open(f"{folder}/g.db") as gallery:
        gallery.create_collection("clip")
        watcher = Watcher(pipeline, gallery, "clip", Policy(same_points=limit))
        for _ in watcher.watch(VideoFile(clip, start=START)):
            pass
        book = Attendance(gallery, "clip")
        events = len(book.events(kinds=["unknown"], limit=None))
        return f"{events} events of {len(book.unknowns(pipeline.calibration))} visitors"


if __name__ == "__main__":
    main()

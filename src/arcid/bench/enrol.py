"""Photos a second into a gallery from a folder, against a loop that does one after the other."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from arcid import paths
from arcid.bench.common import Row, row
from arcid.errors import ArcidError, InputError
from arcid.pipeline import Pipeline

if TYPE_CHECKING:
    from arcid.gallery import Gallery

COLLECTION = "bench"
PHOTOS = 1000
NAIVE_PHOTOS = 200


def run(
    *, data: Path | None = None, photos: int = PHOTOS, naive_photos: int = NAIVE_PHOTOS
) -> list[Row]:
    """Enrol photographs of lfw-dev twice: as ``arcid enrol`` does, and one by one.

    The loop takes fewer photos, a part before and a part after, so that a machine that slows down
    meanwhile does not favour either.
    """
    folder = (data or paths.required_data_dir()) / "data" / "lfw-dev" / "images"
    files = sorted(folder.glob("*.jpg")) or sorted(folder.glob("*/*.jpg"))
    files = files[:photos]
    if not files:
        raise InputError(f"{folder} has no photos; ARCID_DATA is the folder that holds data/")
    pipeline = Pipeline.from_models(many=True)
    half = files[: max(1, naive_photos // 2)]
    _naive(pipeline, half[:10])  # warm
    loops = [_measured(lambda: _naive(pipeline, half))]
    wall_s, busy_s, enrolled = _measured(lambda: _product(pipeline, files))
    loops.append(_measured(lambda: _naive(pipeline, half)))
    wall_ms, busy_ms = 1e3 * wall_s / len(files), 1e3 * busy_s / len(files)
    naive_wall_ms, naive_busy_ms = (
        1e3 * sum(one[i] for one in loops) / (2 * len(half)) for i in (0, 1)
    )
    busy = "enrol a folder, processor time"
    used = f"{busy_s / wall_s:.2f} of {os.cpu_count()} cores busy"
    loop = 2 * len(half)
    return [
        row(
            "enrol a folder",
            "arcid enrol",
            1e3 / wall_ms,
            "photos/s",
            peer="one by one",
            ratio=wall_ms / naive_wall_ms,
            samples=len(files),
            notes=f"{used}, {enrolled} enrolled; ratio is time a photo",
        ),
        row("enrol a folder", "one by one", 1e3 / naive_wall_ms, "photos/s", samples=loop),
        row(
            busy,
            "arcid enrol",
            busy_ms,
            "ms a photo",
            peer="one by one",
            ratio=busy_ms / naive_busy_ms,
            samples=len(files),
            notes=f"computed, not measured: {2e3 / busy_ms:.0f} photos/s on 2 quiet cores",
        ),
        row(
            "enrol a folder, processor time",
            "one by one",
            naive_busy_ms,
            "ms a photo",
            samples=loop,
        ),
    ]


def _measured(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds, seconds of processor time of this process, and what the work returned."""
    began, busy = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - began, time.process_time() - busy, result


def _product(pipeline: Pipeline, files: Sequence[Path]) -> int:
    from arcid.apps.enrol import enrol_photos

    with _gallery() as gallery:
        items = ((_person(file), file, file.name) for file in files)
        return enrol_photos(pipeline, gallery, COLLECTION, items, select="largest").enrolled


def _naive(pipeline: Pipeline, files: Sequence[Path]) -> int:
    """Load, detect, embed and store one photo, then the next."""
    from arcid.apps.enrol import new_face

    origin, enrolled = pipeline.provenance, 0
    with _gallery() as gallery:
        for file in files:
            try:
                face = pipeline.one_face(file, select="largest")
                gallery.enrol(COLLECTION, _person(file), [new_face(face, file.name, origin)])
                enrolled += 1
            except ArcidError:
                continue
    return enrolled


@contextmanager
def _gallery() -> Iterator[Gallery]:
    from arcid.gallery import Gallery

    with (
        tempfile.TemporaryDirectory(prefix="arcid-bench-") as folder,
        Gallery.open(f"{folder}/gallery.db") as gallery,
    ):
        gallery.create_collection(COLLECTION)
        yield gallery


def _person(file: Path) -> str:
    return file.stem.rsplit("_", 1)[0]

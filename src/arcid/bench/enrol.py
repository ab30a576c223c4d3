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
from arcid.errors import ArcidError, InputError, MissingExtra
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
    enrol = _measured(lambda: _product(pipeline, files))
    loops.append(_measured(lambda: _naive(pipeline, half)))
    naive_s = sum(seconds for seconds, _, _ in loops) / (2 * len(half))
    naive_cores = sum(cores for _, cores, _ in loops) / 2
    seconds, cores, enrolled = enrol
    used = f"{cores:.2f} of {os.cpu_count()} cores busy"
    return [
        row(
            "enrol a folder",
            "arcid enrol",
            len(files) / seconds,
            "photos/s",
            peer="one by one",
            ratio=seconds / len(files) / naive_s,
            samples=len(files),
            notes=f"{used}, {enrolled} enrolled; ratio is time a photo",
        ),
        row(
            "enrol a folder",
            "one by one",
            1 / naive_s,
            "photos/s",
            samples=2 * len(half),
            notes=f"{naive_cores:.2f} of {os.cpu_count()} cores busy",
        ),
    ]


def _measured(work: Callable[[], int]) -> tuple[float, float, int]:
    """Seconds, cores kept busy on average by this process, and what the work returned."""
    try:
        import psutil
    except ImportError:
        raise MissingExtra("measuring processor use", "bench") from None
    process = psutil.Process()
    before, started = process.cpu_times(), time.perf_counter()
    result = work()
    seconds, after = time.perf_counter() - started, process.cpu_times()
    busy = (after.user - before.user) + (after.system - before.system)
    return seconds, busy / seconds, result


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

"""Work that tests hand to worker processes; light to import, since each new process does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from arcid.errors import NoFaceFound
from arcid.sharding import Workers, workers
from arcid.types import Crops, Embeddings


def square(number: int) -> int:
    return number * number


def slower_first(number: int) -> int:
    time.sleep(0.1 if number == 0 else 0)
    return number


def where(_: int) -> tuple[int, str | None, str | None]:
    """Which process, and its limits on threads."""
    return os.getpid(), os.environ.get("ARCID_THREADS"), os.environ.get("OMP_NUM_THREADS")


def fails(number: int) -> int:
    if number == 2:
        raise NoFaceFound("no face in the photo", photo="b.jpg")
    return number


def killed(number: int) -> int:
    """As if the kernel took it for want of memory."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def loaded(_: int) -> list[str]:
    """What is imported once the work of every bulk job is."""
    import sys

    import arcid.apps.duplicates
    import arcid.apps.evaluate_photos
    import arcid.gallery.reembedding  # noqa: F401

    return sorted(sys.modules)


CONTRACT = "cd" * 32


def embed_pixels(crops: Crops) -> Embeddings:
    """A recogniser of sorts: 64 means over each crop's pixels."""
    rows = crops.pixels.reshape(len(crops), 64, -1).mean(axis=2)
    return Embeddings.normalised(rows - rows.mean() + 1e-3, CONTRACT)


def dies_once(mark: Path, number: int) -> int:
    """Killed the first time anybody works on number 3."""
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@contextmanager
def ray_of_two() -> Iterator[Workers]:
    """A Ray of two cores of this machine's."""
    import pytest

    pytest.importorskip("ray", reason="sharing work over Ray needs arcid[ray]")
    patient = {"ARCID_THREADS": "2", "RAY_raylet_start_wait_time_s": "300"}
    with patch.dict(os.environ, patient), workers(ray="local") as over:
        assert over is not None and over.count == 2
        yield over

"""Models and gallery, opened; models also run, so that no request waits for that and none is
answered by a model that computes something else than when its bundle was made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from arcid import paths
from arcid.errors import CalibrationError, ContractMismatch, GalleryDamaged
from arcid.gallery import Gallery
from arcid.gallery.engines import parse_url
from arcid.models import weights
from arcid.pipeline import Pipeline
from arcid.server.console.auth.secret import NAME, is_set_up
from arcid.server.settings import Settings
from arcid.types import Crops

PHOTO_SIZE = (480, 640)
GREY = 127


def open_pipeline(settings: Settings) -> Pipeline:
    """The settings' models, warm and checked, and the calibration in force now. The packaged
    recogniser runs in eight bits where that is faster: ``weights.fast_form``.

    Raises ``ModelError`` kinds.
    """
    pipeline = warm(
        Pipeline.from_models(
            settings.detector,
            settings.recogniser or weights.fast_form(),
            landmarks=settings.landmarks or False,
            many=True,
        )
    )
    with suppress(CalibrationError, ContractMismatch):  # told by whoever asks for a decision
        _ = pipeline.calibration
    return pipeline


def warm(pipeline: Pipeline) -> Pipeline:
    """Run both models; a session compiles its kernels in its first inference.

    Raises ``ModelUnsupported`` where one does not meet the goldens of its bundle.
    """
    pipeline.detector.detect([np.full((*PHOTO_SIZE, 3), GREY, np.uint8)])
    size = pipeline.embedder.size
    pipeline.embedder.embed(Crops(np.full((1, size, size, 3), GREY, np.uint8)))
    pipeline.check_goldens()
    return pipeline


def open_gallery(settings: Settings) -> Gallery:
    """The settings' gallery, made where it is not there yet.

    Raises ``GalleryError`` kinds; ``GalleryDamaged`` where a console was set up beside a database
    that is gone, instead of beginning anew without its accounts and people.
    """
    database = settings.database or paths.database_url()
    url = parse_url(database)
    home = paths.home_dir()
    if url.get_backend_name() == "sqlite" and url.database and is_set_up(home):
        file = Path(url.database).expanduser().absolute()
        lost = not file.exists() or file.stat().st_size == 0
        if lost and file.parent.resolve() == home.resolve():
            raise GalleryDamaged(
                f"{file.name} is gone or empty, but {NAME} beside it says that a console was set "
                "up here. Put the file back together with its -wal file, or restore a backup. To "
                f"begin anew, delete {NAME}, and {file.name}-mark where it is"
            )
    return Gallery.open(database)

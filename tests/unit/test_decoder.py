"""Pictures decoded in processes of their own: the same pixels, the same errors, and nothing else is
harmed where one of them ends."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from arcid.errors import ImageError, ImageTooLarge, ImageUnreadable
from arcid.image import ImageLimits, load_image

if sys.platform != "linux":
    pytest.skip("needs Linux", allow_module_level=True)
from arcid.server import decoder
from arcid.server.batching import Batcher
from arcid.server.decoder import Decoder
from arcid.server.metrics import Metrics
from arcid.server.settings import Settings

LIMITS = ImageLimits(max_bytes=4 << 20, max_pixels=12_000_000)


def encoded(height: int, width: int, kind: str = "PNG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def apart() -> Iterator[Decoder]:
    made = Decoder(2, LIMITS)
    yield made
    made.close()


def kill(one: Decoder) -> None:
    for process in one._all:
        if process._running is not None:
            process._running.send_signal(signal.SIGKILL)
            process._running.wait()


def test_pixels_are_the_same(apart: Decoder) -> None:
    pictures = [encoded(80 + n, 200 - n, kind, n) for n, kind in
                enumerate(("PNG", "JPEG", "WEBP", "BMP", "TIFF"))]  # fmt: skip
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(apart.load, pictures))
    for picture, image in zip(pictures, found, strict=True):
        assert np.array_equal(image, load_image(picture, limits=LIMITS))
        assert image.flags.writeable and image.flags.c_contiguous


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no picture", encoded(8, 8), encoded(60, 60)[:900], b"\0" * (5 << 20),
        encoded(60, 60, "JPEG")[:600],
    ],
    ids=["empty", "other", "small", "cut", "large", "cut jpeg"],
)  # fmt: skip
def test_errors_are_the_same(apart: Decoder, data: bytes) -> None:
    with pytest.raises(ImageError) as here:
        load_image(data, limits=LIMITS)
    with pytest.raises(ImageError) as there:
        apart.load(data)
    assert (type(there.value), there.value.message) == (type(here.value), here.value.message)


def test_one_that_dies_takes_its_picture_alone(apart: Decoder) -> None:
    picture = encoded(40, 40)
    for _ in range(2):
        apart.load(picture)
    kill(apart)
    for _ in range(2):  # each of the two notices with its next picture
        with pytest.raises(ImageUnreadable, match="crashed"):
            apart.load(picture)
    assert apart.load(picture).shape == (40, 40, 3)


def test_more_memory_than_allowed_is_an_error_and_a_new_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    little = 4 * LIMITS.max_pixels + LIMITS.max_bytes - (2 << 20)
    monkeypatch.setattr(decoder, "SPARE_BYTES", -little)
    one = Decoder(1, LIMITS)
    try:
        with pytest.raises((ImageTooLarge, ImageUnreadable)):
            one.load(encoded(2000, 3000, "JPEG"))
        assert one.load(encoded(40, 40)).shape == (40, 40, 3)
    finally:
        one.close()


def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Decoder(1, LIMITS)
    try:
        one.load(encoded(40, 40))
        (process,) = one._all
        assert process._running is not None
        os.kill(process._running.pid, signal.SIGSTOP)
        monkeypatch.setattr(decoder, "PATIENCE_S", 0.5)
        with pytest.raises(ImageUnreadable, match="too long"):
            one.load(encoded(40, 40))
        monkeypatch.undo()
        assert one.load(encoded(40, 40)).shape == (40, 40, 3)
    finally:
        one.close()


def test_closing_ends_them() -> None:
    one = Decoder(1, LIMITS)
    one.load(encoded(40, 40))
    (process,) = one._all
    assert process._running is not None
    pid = process._running.pid
    one.close()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.data
def test_the_service_answers_the_same(data_dir: Path) -> None:
    from arcid.pipeline import Pipeline

    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    pipeline = Pipeline.from_models()
    answers = []
    for apart in (False, True):
        batcher = Batcher(pipeline, Settings.load(decode_apart=apart, workers=1), Metrics())
        (answer,) = batcher.submit([photo])
        answers.append(answer.result()[0])
        batcher.close()
    assert np.array_equal(answers[0].embedding.vectors, answers[1].embedding.vectors)

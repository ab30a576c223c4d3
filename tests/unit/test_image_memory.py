"""What reading a picture takes, and that it gives the same pixels as reading it the simple way."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pil
from PIL import ImageOps

from arcid.errors import ImageTooLarge
from arcid.image import BYTES_PER_PIXEL, FORMATS, ImageLimits, decoding_bytes, load_image

Pixels = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 1201, 907  # several strips, none of a round size
SLACK = 12 * 2**20  # what decoders and strips take whatever the size


def scene(width: int, height: int) -> Pil.Image:
    """Ramps, noise and edges in every channel."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(7).integers(0, 60, (height, width))
    pixels = np.stack([x * 195 // width + noise, y * 255 // height, (x ^ y) % 251], axis=2)
    return Pil.fromarray(pixels.astype(np.uint8))


def written(picture: Pil.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def pictures(width: int, height: int, turns: Sequence[int] = range(2, 9)) -> dict[str, bytes]:
    """One of every format and mode that is read, by name."""
    rgb = scene(width, height)
    grey, palette = rgb.convert("L"), rgb.quantize(64)
    layered = rgb.copy()
    layered.putalpha(grey)
    wide = Pil.fromarray(np.asarray(grey).astype(np.uint16) * 251)
    frames: dict[str, Any] = {"save_all": True, "append_images": [rgb.rotate(9)]}
    lossless: dict[str, Any] = {"lossless": True, "quality": 0, "method": 0, "exact": True}
    found = {
        "jpeg": written(rgb, "JPEG"),
        "jpeg-444": written(rgb, "JPEG", subsampling=0),
        "jpeg-grey": written(grey, "JPEG"),
        "jpeg-cmyk": written(rgb.convert("CMYK"), "JPEG"),
        "jpeg-progressive": written(rgb, "JPEG", progressive=True),
        "jpeg-progressive-444": written(rgb, "JPEG", progressive=True, subsampling=0),
        "mpo": written(rgb, "MPO", **frames),
        "png": written(rgb, "PNG", compress_level=1),
        "png-transparent-colour": written(rgb, "PNG", transparency=(9, 9, 9), compress_level=1),
        "png-alpha": written(layered, "PNG", compress_level=1),
        "png-grey": written(grey, "PNG", compress_level=1),
        "png-grey-alpha": written(layered.convert("LA"), "PNG", compress_level=1),
        "png-16": written(wide, "PNG", compress_level=1),
        "png-palette": written(palette, "PNG", transparency=bytes(range(64)), compress_level=1),
        "png-1": written(grey.convert("1"), "PNG"),
        "png-animated": written(rgb, "PNG", **frames, compress_level=1),
        "gif": written(palette, "GIF"),
        "gif-animated": written(palette, "GIF", transparency=5, disposal=2, **frames),
        "webp": written(rgb, "WEBP", method=0),
        "webp-alpha": written(layered, "WEBP", method=0),
        "webp-lossless": written(rgb, "WEBP", **lossless),
        "webp-lossless-alpha": written(layered, "WEBP", **lossless),
        "webp-animated": written(rgb, "WEBP", method=0, **frames),
        "bmp": written(rgb, "BMP"),
        "bmp-palette": written(palette, "BMP"),
        "tiff": written(rgb, "TIFF"),
        "tiff-lzw": written(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-alpha": written(layered, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-cmyk": written(rgb.convert("CMYK"), "TIFF", compression="packbits"),
        "tiff-lab": written(rgb.convert("LAB"), "TIFF"),
        "tiff-16": written(wide, "TIFF"),
        "tiff-one-strip": written(rgb, "TIFF", compression="tiff_lzw", strip_size=2**30),
    }
    for turn in turns:
        exif = Pil.Exif()
        exif[0x0112] = turn
        found[f"jpeg-turned-{turn}"] = written(rgb, "JPEG", exif=exif)
        found[f"webp-turned-{turn}"] = written(rgb, "WEBP", method=0, exif=exif)
        found[f"tiff-turned-{turn}"] = written(grey, "TIFF", compression="packbits", exif=exif)
        found[f"png-turned-{turn}"] = written(layered, "PNG", exif=exif, compress_level=1)
    return found


def simple(data: bytes) -> Pixels:
    """The whole picture by Pillow alone, in as many copies as that takes."""
    with Pil.open(io.BytesIO(data), formats=FORMATS) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I;16"):
            grey = (np.asarray(upright) >> 8).astype(np.uint8)
            return np.stack([grey] * 3, axis=2)
        if upright.has_transparency_data:
            layered = upright.convert("RGBA")
            upright = Pil.alpha_composite(Pil.new("RGBA", layered.size, "white"), layered)
        return np.asarray(upright.convert("RGB"))


@pytest.fixture(scope="module")
def some() -> dict[str, bytes]:
    return pictures(WIDTH, HEIGHT)


def test_every_kind_reads_exactly_as_pillow_alone_reads_it(some: dict[str, bytes]) -> None:
    for kind, data in some.items():
        image, expected = load_image(data), simple(data)
        assert image.shape == expected.shape, kind
        assert np.array_equal(image, expected), kind
        assert image.flags.c_contiguous and image.flags.writeable, kind


def test_a_picture_may_take_four_bytes_for_every_pixel_allowed(some: dict[str, bytes]) -> None:
    """A kind whose decoder needs more is read up to fewer pixels, and the error says how many."""
    pixels, more = WIDTH * HEIGHT, 0
    for kind, data in some.items():
        needed = decoding_bytes(data)
        assert needed >= 3 * pixels, kind
        fits = ImageLimits(max_pixels=max(pixels, -(-needed // BYTES_PER_PIXEL)))
        assert load_image(data, limits=fits).size == 3 * pixels, kind
        if needed <= BYTES_PER_PIXEL * pixels:
            continue
        more += 1
        with pytest.raises(ImageTooLarge, match=r"pixels of this kind") as caught:
            load_image(data, limits=ImageLimits(max_pixels=pixels))
        assert caught.value.details["decoding_bytes"] == needed, kind
    assert 8 <= more <= len(some) / 2
    assert decoding_bytes(b"no picture") == 0


MEASURE = """
import json, re, sys
import cv2
from arcid.image import decoding_bytes, load_image
from arcid.memory import give_back_freed_memory
sys.path.insert(0, sys.argv[1])
from test_image_memory import pictures
def bytes_of(what):
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
found = {}
kinds = pictures(2800, 2100, turns=(3, 6))
for data in pictures(64, 48).values():  # what decoders load once
    load_image(data)
for kind, data in kinds.items():
    open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
    before = bytes_of("VmRSS")
    image = load_image(data)
    peak = bytes_of("VmHWM") - before
    del image
    give_back_freed_memory()
    found[kind] = peak, bytes_of("VmRSS") - before, decoding_bytes(data)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc")
def test_reading_takes_what_is_said_and_gives_it_back() -> None:
    """6 megapixels of every kind, the peak of resident memory while each is read."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(run.stdout)
    assert len(measured) > 35
    for kind, (peak, left, said) in measured.items():
        assert peak <= said + SLACK, f"{kind}: {peak / 2**20:.0f} MiB, {said / 2**20:.0f} said"
        assert left <= SLACK, f"{kind}: {left / 2**20:.0f} MiB are left"

"""Damaged pictures of every format end as a proper array or a typed error, nothing else.

Valid files of each kind are bent by bit flips, cuts, splices and edited length fields; PNG
checksums are repaired in half of the cases so that the damage reaches the layers below. The cases
are the same on every run; ``ARCID_FUZZ=5000`` tries more of them per kind.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import warnings
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

from arcid.errors import ImageError
from arcid.image import ImageLimits, load_image

LIMITS = ImageLimits(max_pixels=1_000_000, max_side_px=5_000)
EXAMPLES = int(os.environ.get("ARCID_FUZZ", "250"))
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF, 50_000)


def corpus() -> dict[str, bytes]:
    y, x = np.mgrid[:24, :32]
    pixels = np.stack([x * 8, y * 10, (x * y) % 251], axis=2).astype(np.uint8)
    picture = Pil.fromarray(pixels)
    turned = picture.rotate(30)
    grey, palette = picture.convert("L"), picture.quantize(32)
    layered = picture.convert("RGBA")
    layered.putalpha(grey)
    exif = Pil.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    wide = Pil.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    frames: dict[str, Any] = {"save_all": True, "append_images": [turned]}

    def encoded(kind: str, source: Pil.Image = picture, **options: Any) -> bytes:
        out = io.BytesIO()
        source.copy().save(out, kind, **options)  # Pillow leaves settings of the format behind
        return out.getvalue()

    return {
        "jpeg": encoded("JPEG", exif=exif, icc_profile=bytes(200)),
        "jpeg-progressive": encoded("JPEG", progressive=True, quality=60),
        "jpeg-cmyk": encoded("JPEG", picture.convert("CMYK")),
        "jpeg-grey": encoded("JPEG", grey),
        "mpo": encoded("MPO", **frames),
        "png": encoded("PNG", exif=exif),
        "png-alpha": encoded("PNG", layered),
        "png-16": encoded("PNG", wide),
        "png-palette": encoded("PNG", palette, transparency=bytes(range(0, 256, 8))),
        "png-1": encoded("PNG", picture.convert("1")),
        "apng": encoded("PNG", **frames),
        "gif": encoded("GIF", palette, transparency=3, comment=b"made for a test"),
        "gif-animated": encoded("GIF", **frames),
        "webp": encoded("WEBP", exif=exif),
        "webp-lossless": encoded("WEBP", layered, lossless=True),
        "webp-animated": encoded("WEBP", **frames),
        "bmp": encoded("BMP"),
        "bmp-palette": encoded("BMP", palette),
        "tiff": encoded("TIFF", exif=exif),
        "tiff-lzw": encoded("TIFF", compression="tiff_lzw"),
        "tiff-deflate": encoded("TIFF", layered, compression="tiff_adobe_deflate"),
        "tiff-packbits": encoded("TIFF", palette, compression="packbits"),
        "tiff-16": encoded("TIFF", wide),
        "tiff-pages": encoded("TIFF", save_all=True, append_images=[turned.copy()]),
    }


CORPUS = corpus()
TAILS = sorted(CORPUS)


def with_png_checksums(data: bytes) -> bytes:
    """``data`` with the checksum of every chunk made right again."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


@st.composite
def damage(draw: st.DrawFn, kind: str) -> bytes:
    data = bytearray(CORPUS[kind])
    for _ in range(draw(st.integers(1, 4))):
        # Heads hold the fields that steer a parser: half of the blows land there.
        reach = draw(st.sampled_from([40, 300, len(data), len(data)]))
        at = draw(st.integers(0, max(0, min(reach, len(data)) - 1)))
        match draw(st.sampled_from(["flip", "byte", "number", "number", "cut", "lose", "splice"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "byte" if data:
                data[at] = draw(st.integers(0, 255))
            case "number":
                size, order = draw(
                    st.sampled_from([(2, "big"), (2, "little"), (4, "big"), (4, "little")])
                )
                value = draw(st.sampled_from(NUMBERS)) & (256**size - 1)
                data[at : at + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
            case "cut":
                del data[draw(st.integers(at, len(data))) :]
            case "lose":
                del data[at : at + draw(st.integers(1, 40))]
            case "splice":
                other = CORPUS[draw(st.sampled_from([kind, *TAILS]))]
                start = draw(st.integers(0, len(other)))
                data[at : at + draw(st.integers(0, 80))] = other[
                    start : start + draw(st.integers(0, 200))
                ]
    if kind in ("png", "apng") or kind.startswith("png-"):
        return with_png_checksums(bytes(data)) if draw(st.booleans()) else bytes(data)
    return bytes(data)


def outcome(data: bytes) -> str:
    """'read' or the code of the typed error; anything else fails the test."""
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        try:
            image = load_image(data, limits=LIMITS)
        except ImageError as error:
            assert len(error.message) > 15
            assert error.message.isprintable()
            return error.code
        finally:
            assert leaked == []
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous
    assert image.flags.writeable
    height, width = image.shape[:2]
    assert LIMITS.min_side_px <= min(height, width)
    assert max(height, width) <= LIMITS.max_side_px
    assert height * width <= LIMITS.max_pixels
    return "read"


@pytest.mark.parametrize("kind", CORPUS)
def test_damaged_pictures_end_in_an_array_or_a_typed_error(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert outcome(CORPUS[kind]) == "read"
    outcomes: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(max_examples=EXAMPLES, deadline=2000, derandomize=True, database=None)
    @given(data=damage(kind))
    def run(data: bytes) -> None:
        outcomes[outcome(data)] += 1

    run()
    assert sum(outcomes.values()) >= EXAMPLES * 0.9
    assert outcomes["read"] >= 1  # the blows are soft enough to get past the head
    assert outcomes["image_unreadable"] >= EXAMPLES * 0.2  # and hard enough to hurt
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64, f"peak memory grew by {grown:.0f} MiB on pictures of 1 megapixel at most"
    if not kind.startswith("tiff"):  # libtiff reports damage there, see arcid.image
        assert capfd.readouterr().err == ""


@settings(max_examples=EXAMPLES * 2, deadline=2000, derandomize=True, database=None)
@given(
    head=st.sampled_from([b"", *(data[:n] for data in CORPUS.values() for n in (4, 12, 40))]),
    body=st.binary(max_size=600),
)
def test_random_bytes_behind_a_real_head(head: bytes, body: bytes) -> None:
    outcome(head + body)


@settings(max_examples=EXAMPLES, deadline=2000, derandomize=True, database=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_no_picture(data: bytes) -> None:
    assert outcome(data) == "image_unreadable"

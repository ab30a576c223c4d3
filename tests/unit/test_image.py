"""Every kind of picture ends as (H,W,3) uint8 RGB or as a typed error that says what to do."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import time
import types
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pil
from PIL import ImageFile

from arcid.errors import ImageError, ImageTooLarge, ImageTooSmall, ImageUnreadable, InvalidArray
from arcid.errors import UsageError as Usage
from arcid.image import (
    FORMATS,
    ImageLimits,
    PhotoId,
    find_photos,
    load_image,
    load_images,
    loading,
    photo_id,
)

Pixels = npt.NDArray[np.uint8]


def drawn(height: int = 40, width: int = 56) -> Pixels:
    """A picture without any symmetry: ramps in red and green, a blue corner, a white spot."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, np.zeros_like(x)], axis=2)
    pixels[: height // 3, : width // 4, 2] = 200
    pixels[height // 2 : height // 2 + 4, width // 5 : width // 5 + 6] = 255
    return pixels.astype(np.uint8)


def encoded(picture: Pil.Image | Pixels, kind: str, **options: Any) -> bytes:
    if isinstance(picture, np.ndarray):
        picture = Pil.fromarray(picture)
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def assert_contract(image: Pixels) -> None:
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.flags.c_contiguous


# kinds that are read


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("TIFF", {"compression": "packbits"}, 0),
        ("JPEG", {"quality": 98, "subsampling": 0}, 6),
        ("JPEG", {"quality": 98, "subsampling": 0, "progressive": True}, 6),
        ("MPO", {"quality": 98, "subsampling": 0}, 6),
    ],
)
def test_every_format_gives_the_pixels_that_went_in(
    kind: str, options: dict[str, Any], tolerance: int
) -> None:
    pixels = drawn()
    image = load_image(encoded(pixels, kind, **options))
    assert_contract(image)
    difference = np.abs(image.astype(int) - pixels)
    assert difference.max() <= tolerance * 8
    assert difference.mean() <= tolerance


def test_formats_names_what_pillow_can_open() -> None:
    Pil.init()
    assert set(FORMATS) <= set(Pil.OPEN)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_suffix_is_ignored(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "portrait.bmp"
    path.write_bytes(encoded(drawn(), kind))
    assert load_image(path).shape == (40, 56, 3)
    assert (load_image(str(path)) == load_image(path)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_to_the_pixel(kind: str, orientation: int) -> None:
    upright = drawn()
    # What a camera stores for each orientation (Exif 2.3: row 0 and column 0 as seen).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Pil.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    image = load_image(encoded(np.ascontiguousarray(stored), kind, exif=exif, **options))
    assert_contract(image)
    assert np.array_equal(image, upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_orientation(orientation: int) -> None:
    pixels = drawn()
    exif = Pil.Exif()
    exif[0x0112] = orientation
    turned = load_image(encoded(pixels, "JPEG", exif=exif, quality=95))
    plain = load_image(encoded(pixels, "JPEG", quality=95))
    expected = {
        1: plain,
        2: plain[:, ::-1],
        3: plain[::-1, ::-1],
        4: plain[::-1],
        5: plain.transpose(1, 0, 2),
        6: np.rot90(plain, -1),
        7: np.rot90(plain, 2).transpose(1, 0, 2),
        8: np.rot90(plain),
    }[orientation]
    assert np.array_equal(turned, expected)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_without_meaning_turns_nothing(orientation: int) -> None:
    exif = Pil.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(load_image(encoded(drawn(), "PNG", exif=exif)), drawn())


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk"])
def test_damaged_exif_spoils_no_picture(block: bytes) -> None:
    with_block = encoded(drawn(), "JPEG", exif=block)
    assert np.array_equal(load_image(with_block), load_image(encoded(drawn(), "JPEG")))


def test_cmyk_jpeg_keeps_its_colours() -> None:
    flat = np.zeros((32, 48, 3), np.uint8)
    flat[:, :24] = (220, 40, 30)
    flat[:, 24:] = (20, 60, 200)
    image = load_image(encoded(Pil.fromarray(flat).convert("CMYK"), "JPEG", quality=98))
    assert np.abs(image[:, 4:20].astype(int) - (220, 40, 30)).max() < 12
    assert np.abs(image[:, 28:44].astype(int) - (20, 60, 200)).max() < 12


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = load_image(encoded(Pil.fromarray(ramp), "PNG"))
    assert_contract(image)
    assert np.array_equal(image[..., 0], ramp >> 8)
    assert np.array_equal(image[..., 0], image[..., 2])
    dark = load_image(encoded(Pil.fromarray((ramp // 512).astype(np.uint16)), "PNG"))
    assert dark.max() == 0  # the file states 16 bits, so 127 of 65,535 is black


def test_sixteen_bit_colour() -> None:
    wide = drawn().astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    data = png(56, 40, rows, depth=16)
    assert np.array_equal(load_image(data), drawn())


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_pixels_become_white(kind: str) -> None:
    layered = np.dstack([drawn(), np.full((40, 56), 255, np.uint8)])
    layered[:10, :, 3] = 0
    layered[10:20, :, 3] = 128
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    image = load_image(encoded(layered, kind, **options))
    assert (image[:10] == 255).all()
    half = (drawn()[10:20].astype(float) * 128 + 255 * 127) / 255
    assert np.abs(image[10:20] - half).max() <= 1
    assert np.array_equal(image[20:], drawn()[20:])


def test_grey_with_alpha() -> None:
    grey = drawn()[..., 0]
    alpha = np.where(np.arange(40)[:, None] < 15, 0, 255) * np.ones((1, 56))
    picture = Pil.merge("LA", [Pil.fromarray(grey), Pil.fromarray(alpha.astype(np.uint8))])
    image = load_image(encoded(picture, "PNG"))
    assert (image[:15] == 255).all()
    assert np.array_equal(image[15:, :, 1], grey[15:])


def test_palette_with_a_transparent_entry() -> None:
    picture = Pil.fromarray(drawn()).quantize(32)
    entry = picture.getpixel((50, 30))
    plain = np.asarray(picture.convert("RGB"))
    mask = np.asarray(picture) == entry
    for kind in ("PNG", "GIF"):
        image = load_image(encoded(picture, kind, transparency=entry))
        assert (image[mask] == 255).all()
        assert np.array_equal(image[~mask], plain[~mask])


def test_palette_with_an_alpha_table() -> None:
    picture = Pil.fromarray(drawn()).quantize(8)
    table = bytes([0] * 4 + [255] * 4)
    image = load_image(encoded(picture, "PNG", transparency=table))
    index = np.asarray(picture)
    assert (image[index < 4] == 255).all()
    assert np.array_equal(image[index >= 4], np.asarray(picture.convert("RGB"))[index >= 4])


def test_one_bit_and_grey() -> None:
    grey = Pil.fromarray(drawn()[..., 0])
    black_white = load_image(encoded(grey.convert("1"), "PNG"))
    assert set(np.unique(black_white)) == {0, 255}
    image = load_image(encoded(grey, "JPEG", quality=98))
    assert_contract(image)
    assert np.abs(image[..., 1].astype(int) - np.asarray(grey)).mean() < 3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("GIF", {}),
        ("WEBP", {"lossless": True}),
        ("PNG", {}),
        ("TIFF", {}),
        ("MPO", {"quality": 98}),
    ],
)
def test_of_several_frames_the_first_is_read(kind: str, options: dict[str, Any]) -> None:
    first = Pil.fromarray(drawn())
    others = [Pil.new("RGB", first.size, colour) for colour in ("black", "white")]
    image = load_image(encoded(first, kind, save_all=True, append_images=others, **options))
    assert np.abs(image.astype(int) - drawn()).mean() < 4


@pytest.mark.data
def test_real_photos_of_every_suffix_are_read(data_dir: Path) -> None:
    """Photographs whose suffix lies, PNG screenshots and JPEGs of several cameras."""
    photos = [p for p in (data_dir / "data/photos").rglob("*.*") if "group" not in p.parts]
    assert len(photos) > 15
    assert any(p.suffix == ".jpg" and p.read_bytes()[:3] != b"\xff\xd8\xff" for p in photos)
    for photo in photos:
        image = load_image(photo)
        assert_contract(image)
        assert image.std() > 5


# damaged


KINDS: dict[str, Callable[[Pixels], bytes]] = {
    "jpeg": lambda p: encoded(p, "JPEG", quality=90),
    "progressive": lambda p: encoded(p, "JPEG", quality=90, progressive=True),
    "png": lambda p: encoded(p, "PNG"),
    "webp": lambda p: encoded(p, "WEBP", quality=90),
    "bmp": lambda p: encoded(p, "BMP"),
    "gif": lambda p: encoded(p, "GIF"),
    "tiff": lambda p: encoded(p, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.data
@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_cut_short_is_refused_or_whole(data_dir: Path, kind: str) -> None:
    photo = load_image(data_dir / "data/deepface-pairs/img25.jpg")
    data = KINDS[kind](photo)
    whole = load_image(data)
    cuts = {*np.linspace(1, len(data) - 1, 40).astype(int), *range(len(data) - 12, len(data))}
    refused = 0
    for cut in cuts:
        try:
            image = load_image(data[:cut])
        except ImageUnreadable as error:
            refused += 1
            assert "cut short" in error.message or "not a picture" in error.message
        else:
            assert np.array_equal(image, whole), f"{len(data) - cut} bytes short: other pixels"
    assert refused >= len(cuts) - 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"RIFF\0\0\0\0WEBP",
        b"II*\0",
        b"BM",
        b"not a picture",
    ],
)
def test_stubs_are_unreadable(data: bytes) -> None:
    with pytest.raises(ImageUnreadable):
        load_image(data)


def test_other_kinds_of_file_are_refused_by_name() -> None:
    for data in (
        encoded(drawn(), "PPM"),
        encoded(drawn(), "ICO"),
        b"%PDF-1.7 " * 99,
        b"PK\3\4" * 9,
    ):
        with pytest.raises(ImageUnreadable, match=r"JPEG, PNG.*TIFF"):
            load_image(data)


@pytest.mark.parametrize("lenient", [False, True])  # as programs around us may have said
def test_cut_pictures_are_refused_and_pillow_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, lenient: bool
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    load_image(encoded(drawn(), "PNG"))
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        cut = encoded(drawn(400, 400), kind)[:-1000]
        sources: tuple[Any, ...] = (cut, Pil.open(io.BytesIO(cut)))
        for source in sources:
            with pytest.raises(ImageUnreadable, match="cut short"):
                load_image(source)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_channels_are_refused(mode: str) -> None:
    with pytest.raises(ImageUnreadable, match="32 bits"):
        load_image(encoded(Pil.fromarray(drawn()[..., 0]).convert(mode), "TIFF"))


@pytest.mark.parametrize("packing", ["jpeg", "group4", "lzma", "zstd"])
def test_unusual_tiff_packings_are_refused_by_name(packing: str) -> None:
    picture = Pil.fromarray(drawn()).convert("1" if packing == "group4" else "RGB")
    with pytest.raises(ImageUnreadable, match=f"TIFF packed as {packing}"):
        load_image(encoded(picture, "TIFF", compression=packing))


def test_damage_names_no_content_and_keeps_its_cause() -> None:
    data = encoded(drawn(), "PNG")
    with pytest.raises(ImageUnreadable, match="damaged or cut short") as caught:
        load_image(data[: len(data) // 2])
    assert caught.value.__cause__ is not None
    assert caught.value.code == "image_unreadable"


# size


def test_one_pixel_is_too_small() -> None:
    with pytest.raises(ImageTooSmall, match="1×1"):
        load_image(encoded(drawn()[:1, :1], "PNG"))
    with pytest.raises(ImageTooSmall) as caught:
        load_image(encoded(drawn(15, 200), "JPEG"))
    assert caught.value.details == {"height_px": 15, "width_px": 200}
    assert load_image(encoded(drawn(16, 16), "PNG")).shape == (16, 16, 3)


def test_30000_pixels_wide_is_too_large() -> None:
    data = encoded(Pil.new("L", (30_000, 40), 90), "PNG")
    with pytest.raises(ImageTooLarge, match="30000×40") as caught:
        load_image(data)
    assert caught.value.details["width_px"] == 30_000


def test_limits_are_those_asked_for() -> None:
    data = encoded(drawn(), "PNG")
    with pytest.raises(ImageTooLarge):
        load_image(data, limits=ImageLimits(max_side_px=55))
    with pytest.raises(ImageTooLarge):
        load_image(data, limits=ImageLimits(max_pixels=40 * 56 - 1))
    with pytest.raises(ImageTooLarge, match="MiB") as caught:
        load_image(data, limits=ImageLimits(max_bytes=len(data) - 1))
    assert caught.value.details["bytes"] == len(data)
    exact = ImageLimits(max_bytes=len(data), max_pixels=40 * 56, max_side_px=56)
    assert load_image(data, limits=exact).shape == (40, 56, 3)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))  # fmt: skip


def text_chunk(body: bytes, kind: bytes = b"zTXt") -> bytes:
    packed = b"Comment\0\0" + zlib.compress(body, 9)
    crc = struct.pack(">I", zlib.crc32(kind + packed))
    return struct.pack(">I", len(packed)) + kind + packed + crc


def gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    screen = struct.pack("<6sHHBBB", b"GIF89a", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + struct.pack("<BHHHHB", 0x2C, 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00\x3b"


def tiled_tiff(tile: int) -> bytes:
    """64×64 pixels in one tile of ``tile`` × ``tile``."""
    data = zlib.compress(bytes(64 * 64 * 3))
    tags = [(256, 64), (257, 64), (258, 8), (259, 8), (262, 2), (277, 3), (322, tile), (323, tile),
            (324, 8), (325, len(data))]  # fmt: skip
    body = struct.pack("<H", len(tags))
    body += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + body + b"\0" * 4


def scan_bomb() -> bytes:
    """A progressive JPEG whose last scan is repeated: each copy walks over every pixel again."""
    data = encoded(Pil.new("RGB", (2000, 2000), (120, 110, 100)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 20_000 + data[-2:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "png 50,000 × 50,000": lambda: png(50_000, 50_000, bytes(1000)),
    "png 2^31 wide": lambda: png(2**31 - 1, 2**31 - 1, bytes(1000)),
    "gif 50,000 × 50,000": lambda: gif(50_000, 50_000, (50_000, 50_000)),
    "gif frame past its screen": lambda: gif(64, 64, (65_535, 65_535)),
    "bmp 50,000 × 50,000": lambda: (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 50_000, 50_000, 1, 24, *[0] * 6)
    ),
    "png with a zlib bomb for rows": lambda: png(64, 64, bytes(100 << 20)),
    "png with a text bomb": lambda: png(
        40, 40, bytes(40 * 121), extra=text_chunk(bytes(100 << 20))
    ),
    "tiff with a tile far larger than itself": lambda: tiled_tiff(20_000),
    "jpeg of 20,000 scans": scan_bomb,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_fail_fast_and_take_little_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 2 << 20
    # Its own process: the peak of memory is a property of a process.
    script = (
        "import resource, sys, time\n"
        "from arcid.errors import ImageError\n"
        "from arcid.image import load_image\n"
        "import PIL.Image; PIL.Image.init()\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, start = peak(), time.process_time()\n"
        "try:\n"
        "    load_image(sys.argv[1]); outcome = 'read'\n"
        "except ImageError as error:\n"
        "    outcome = type(error).__name__\n"
        "print(outcome, time.process_time() - start, (peak() - before) / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    outcome, seconds, mebibytes = done.stdout.split()
    # Rows past the last one are left packed, so that picture is fine.
    expected = ("read",) if "for rows" in name else ("ImageTooLarge", "ImageUnreadable")
    assert outcome in expected
    assert float(seconds) < 0.5
    assert float(mebibytes) < 40


def test_a_progressive_photo_is_far_from_the_scan_limit() -> None:
    data = encoded(drawn(400, 400), "JPEG", progressive=True)
    video_behind = data + os.urandom(200_000) * 10  # phones append a film to a still
    assert np.array_equal(load_image(video_behind), load_image(data))


# sources


def test_sources_agree(tmp_path: Path) -> None:
    data = encoded(drawn(), "PNG")
    path = tmp_path / "Ünï 写真.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (
            data,
            bytearray(data),
            memoryview(data),
            path,
            str(path),
            io.BytesIO(data),
            file,
        ):
            assert np.array_equal(load_image(source), drawn())


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="is a folder; name the photos in it"):
        load_image(tmp_path)
    with pytest.raises(ImageUnreadable, match=r"gone\.jpg cannot be opened: No such file"):
        load_image(tmp_path / "gone.jpg")
    with pytest.raises(ImageUnreadable, match="cannot be opened"):
        load_image("a\0b.jpg")
    with pytest.raises(ImageUnreadable, match="cannot be opened"):
        load_image("x" * 5000)
    with pytest.raises(ImageUnreadable, match="not a file"):
        load_image("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageUnreadable, match="not a file"):
        load_image(tmp_path / "pipe")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(ImageUnreadable, match=r"empty\.jpg is empty"):
        load_image(empty)


def test_file_names_cannot_break_messages(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\n\x1b[31m.jpg"
    with pytest.raises(ImageUnreadable) as caught:
        load_image(os.fsdecode(path))
    assert caught.value.message.isprintable()
    caught.value.message.encode("utf-8")


def test_files_that_are_not_binary_or_not_open(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match="'rb'"):
        load_image(io.StringIO("text"))  # type: ignore[arg-type]
    path = tmp_path / "a.png"
    path.write_bytes(encoded(drawn(), "PNG"))
    with path.open("rb") as file:
        pass
    with pytest.raises(ImageUnreadable, match="closed"):
        load_image(file)
    with path.open("ab") as written, pytest.raises(ImageUnreadable):
        load_image(written)


@pytest.mark.parametrize("source", [None, 7, 1.5, ["a.jpg"], object()])
def test_what_is_no_source_at_all(source: Any) -> None:
    with pytest.raises(ImageUnreadable, match="an open file, an array or a PIL image"):
        load_image(source)


def test_a_long_stream_is_read_no_further_than_the_limit() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size > 0
            self.taken += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(ImageTooLarge):
        load_image(stream, limits=ImageLimits(max_bytes=1000))  # type: ignore[arg-type]
    assert stream.taken == 1001


# arrays


def test_arrays() -> None:
    pixels = drawn()
    assert np.array_equal(load_image(pixels), pixels)
    assert np.array_equal(load_image(pixels[..., ::-1], color="bgr"), pixels)
    grey = load_image(pixels[..., 0])
    assert_contract(grey)
    assert np.array_equal(grey[..., 2], pixels[..., 0])
    assert np.array_equal(load_image(pixels[..., :1]), grey)
    four = np.dstack([pixels, np.zeros((40, 56), np.uint8)])
    assert np.array_equal(load_image(four), pixels)
    assert np.array_equal(load_image(four[..., [2, 1, 0, 3]], color="bgr"), pixels)
    for view in (pixels[::-1], pixels[:, ::2], np.asfortranarray(pixels)):
        image = load_image(view)
        assert_contract(image)
        assert np.array_equal(image, view)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int8, np.int64, np.bool_])
def test_arrays_of_other_types_are_refused(dtype: Any) -> None:
    with pytest.raises(InvalidArray, match="uint8"):
        load_image(drawn().astype(dtype))


@pytest.mark.parametrize("shape", [(40,), (40, 40, 2), (40, 40, 5), (1, 40, 40, 3), (3, 40, 40)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArray, match=r"\(H,W\)"):
        load_image(np.zeros(shape, np.uint8))


def test_array_sizes_are_judged_too() -> None:
    for shape in ((0, 0, 3), (15, 40, 3), (40, 1)):
        with pytest.raises(ImageTooSmall):
            load_image(np.zeros(shape, np.uint8))
    with pytest.raises(ImageTooLarge):
        load_image(np.zeros((20, 20_001), np.uint8))


def test_an_unknown_channel_order_is_refused() -> None:
    with pytest.raises(Usage, match="rgb or bgr"):
        load_image(drawn(), color="RGB")  # type: ignore[arg-type]


# PIL images


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pil_images_are_turned_as_their_files_are(kind: str, orientation: int) -> None:
    exif = Pil.Exif()
    exif[0x0112] = orientation
    data = encoded(drawn(), kind, exif=exif, quality=95)
    for loaded in (False, True):
        picture = Pil.open(io.BytesIO(data))
        if loaded:
            picture.load()
        image = load_image(picture)
        assert_contract(image)
        assert np.array_equal(image, load_image(data))
        assert np.array_equal(load_image(picture), image), "reading it changed it"


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_pil_images_of_every_mode(mode: str) -> None:
    picture = Pil.fromarray(drawn()).convert(mode)
    before = picture.tobytes()
    image = load_image(picture)
    assert_contract(image)
    assert image.shape == (40, 56, 3)
    assert picture.tobytes() == before and picture.mode == mode
    expected = np.asarray(picture.convert("RGB"))
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_transparent_pil_images_become_white() -> None:
    layered = Pil.new("RGBA", (40, 40), (9, 9, 9, 0))
    assert (load_image(layered) == 255).all()
    sixteen = Pil.fromarray((np.arange(1600, dtype=np.uint16) * 40).reshape(40, 40))
    assert np.array_equal(load_image(sixteen), load_image(encoded(sixteen, "PNG")))


def test_pil_images_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ImageTooSmall, match="8×40"):
        load_image(Pil.new("RGB", (8, 40)))
    with pytest.raises(ImageTooLarge, match="20001×20"):
        load_image(Pil.new("1", (20_001, 20)))
    with pytest.raises(ImageUnreadable, match="32 bits a channel"):
        load_image(Pil.new("F", (40, 40)))
    (tmp_path / "a.jpg").write_bytes(encoded(drawn(), "JPEG")[:-300])
    with (
        Pil.open(tmp_path / "a.jpg") as cut,
        pytest.raises(ImageUnreadable, match=r"a\.jpg is dam"),
    ):
        load_image(cut)
    with pytest.raises(ImageUnreadable, match="damaged, closed or cut short"):
        load_image(cut)
    with pytest.raises(ImageUnreadable, match="or a PIL image, not list"):
        load_image([1, 2])  # type: ignore[arg-type]


# folders


def test_folders_give_their_photos(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "in/c.webp", ".hidden/d.jpg", ".e.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    folder, missing = tmp_path / "photos", tmp_path / "gone.jpg"
    found = list(find_photos([missing, folder, str(folder / "notes.txt")]))
    inside = [folder / name for name in ("a.png", "b.JPG", "in/c.webp")]
    assert found == [missing, *inside, folder / "notes.txt"]
    (tmp_path / "none").mkdir()
    with pytest.raises(ImageUnreadable, match="none holds no photos"):
        list(find_photos([tmp_path / "none"]))
    with pytest.raises(Usage, match="into a list"):
        list(find_photos("people"))  # which are no photos called p, e, o, p, l and e


# photo_id


def test_photo_ids_are_computed_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        "arcid.image.identity.photo_id", lambda image: calls.append(1) or photo_id(image)
    )
    later = PhotoId(drawn())
    assert not calls and "not computed" in repr(later)
    assert later.value == later.value == photo_id(drawn())
    assert len(calls) == 1 and later._image is None, "the picture is kept though its id is known"
    assert PhotoId(known="p1").value == "p1"
    with pytest.raises(Usage, match="let go before its photo_id was asked for"):
        _ = PhotoId().value


def test_photo_id_is_that_of_the_pixels() -> None:
    pixels = drawn()
    as_png, as_bmp = load_image(encoded(pixels, "PNG")), load_image(encoded(pixels, "BMP"))
    assert photo_id(as_png) == photo_id(as_bmp) == photo_id(np.asfortranarray(pixels))
    assert len(photo_id(pixels)) == 64
    changed = pixels.copy()
    changed[7, 9, 1] ^= 1
    others = [changed, pixels[..., ::-1], pixels.reshape(56, 40, 3), pixels[:-1]]
    assert len({photo_id(np.ascontiguousarray(p)) for p in [pixels, *others]}) == 5


# process-wide state


def test_no_warning_leaks_and_filters_come_back() -> None:
    # A palette with bytes for transparency and a picture past Pillow's own warning size both warn.
    warned = [
        encoded(Pil.fromarray(drawn()).quantize(8), "PNG", transparency=bytes(8)),
        encoded(
            drawn(),
            "JPEG",
            exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0",
        ),
    ]
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for data in warned:
            load_image(data)
    assert caught == []
    assert warnings.filters == before


def test_threads_do_not_lose_the_warning_filters() -> None:
    data = encoded(drawn(200, 200), "JPEG")
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for cut in range(300):
                try:
                    load_image(data[: len(data) - cut % 7])
                except ImageError:
                    time.sleep(0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warnings.filters == before


def test_a_picture_library_that_another_thread_imports_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded(drawn(), "PNG")
    half_way = types.ModuleType("PIL.Image")
    monkeypatch.setitem(sys.modules, "PIL.Image", half_way)
    assert not loading._is_pil(data)


def test_many_are_read_in_groups_of_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "TOGETHER_BYTES", 3 * 50 * 50 * 3)
    sides = (50, 50, 50, 50, 200, 50)
    pictures: list[Any] = [np.full((s, s, 3), i, np.uint8) for i, s in enumerate(sides)]
    pictures.insert(1, b"no picture")
    groups = list(load_images(pictures))
    assert [len(group) for group in groups] == [4, 1, 1, 1]
    flat = [one for group in groups for one in group]
    assert isinstance(flat[1], ImageUnreadable)
    for one, given in zip(flat, pictures, strict=True):
        if not isinstance(one, ImageUnreadable):
            np.testing.assert_array_equal(one, given)
    assert list(load_images([])) == []

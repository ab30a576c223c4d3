"""What reading pictures of 50 megapixels takes; writes results/pictures-<hardware>.csv.

python benchmarks/pictures.py

One process a picture. ``value`` is the peak of resident memory above what the process held before;
the time and what is still held once the picture was dropped stand in ``notes``. Linux only.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image as Pil

from arcid.bench import common

SIZE = (8660, 5773)
MIB = 2**20
TARGET_MIB = 4 * SIZE[0] * SIZE[1] / MIB + 8
MEASURE = """
import io, json, re, sys, time
import cv2
from PIL import Image
from arcid.errors import ImageTooLarge
from arcid.image import ImageLimits, load_image
small = io.BytesIO()
Image.new("RGB", (64, 64)).save(small, "JPEG")
load_image(small.getvalue())
def mib(what):
    return int(re.search(what + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
data = sys.stdin.buffer.read()
before = mib("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
began, read = time.perf_counter(), True
try:
    image = load_image(data, limits=ImageLimits(max_pixels=50_000_000))
    del image
except ImageTooLarge:
    read = False
seconds = time.perf_counter() - began
print(json.dumps([mib("VmHWM") - before, mib("VmRSS") - before, seconds, read]))
"""


def pictures() -> dict[str, bytes]:
    """One of every kind, of one colour: few bytes, as an attacker sends them."""
    exif = Pil.Exif()
    exif[0x0112] = 6
    plain: dict[str, Any] = {"lossless": True, "quality": 0, "method": 0}
    kinds: list[tuple[str, str, str, dict[str, Any]]] = [
        ("JPEG", "RGB", "JPEG", {"quality": 30}),
        ("JPEG turned by its EXIF", "RGB", "JPEG", {"quality": 30, "exif": exif}),
        ("JPEG CMYK", "CMYK", "JPEG", {"quality": 30}),
        ("JPEG progressive", "RGB", "JPEG", {"quality": 30, "progressive": True}),
        ("PNG", "RGB", "PNG", {}),
        ("PNG with alpha", "RGBA", "PNG", {}),
        ("PNG grey with alpha", "LA", "PNG", {}),
        ("PNG 16 bits", "I;16", "PNG", {}),
        ("PNG palette with a transparent entry", "P", "PNG", {"transparency": 3}),
        ("GIF with a transparent entry", "P", "GIF", {"transparency": 3, "disposal": 2}),
        ("WebP", "RGB", "WEBP", {"quality": 10, "method": 0}),
        ("WebP without loss, with alpha", "RGBA", "WEBP", plain),
        ("TIFF LZW", "RGB", "TIFF", {"compression": "tiff_lzw"}),
    ]
    found = {}
    for name, mode, kind, options in kinds:
        colour = 3 if mode in ("P", "I;16") else tuple(90 for _ in mode)
        out = io.BytesIO()
        Pil.new(mode, SIZE, colour).save(out, kind, **options)
        found[name] = out.getvalue()
    return found


def run() -> list[common.Row]:
    """One row a kind."""
    rows = []
    for name, data in pictures().items():
        done = subprocess.run(
            [sys.executable, "-c", MEASURE], input=data, capture_output=True, check=True
        )
        peak, left, seconds, read = json.loads(done.stdout)
        notes = f"{len(data)} bytes, {seconds:.1f} s, {left:.0f} MiB left"
        notes += "" if read else ", refused"
        rows.append(
            common.row("picture", name, peak, "MiB", samples=1, target=TARGET_MIB, notes=notes)
        )
        print(common.lines(rows[-1:])[0], flush=True)
    return rows


if __name__ == "__main__":
    common.write_csv(
        Path(__file__).parent / "results" / f"pictures-{common.hardware_slug()}.csv", run()
    )

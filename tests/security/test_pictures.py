"""Pictures of few bytes and many pixels: what they take of the service's memory."""

from __future__ import annotations

import io
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image as Pil

MIB = 2**20
LARGEST = (8660, 5773)  # 50 megapixels, the most that is read

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(sys.platform != "linux", reason="measured by /proc"),
]


def bombs() -> dict[str, bytes]:
    """The largest picture allowed, in at most 260 KB."""
    found = {}
    for name, mode, kind, options in [
        ("png with alpha", "RGBA", "PNG", {}),
        ("png grey with alpha", "LA", "PNG", {}),
        ("gif", "P", "GIF", {"transparency": 3, "disposal": 2}),
        ("webp without loss, with alpha", "RGBA", "WEBP", {"lossless": True, "method": 0}),
    ]:
        out = io.BytesIO()
        Pil.new(mode, LARGEST, 3 if mode == "P" else (90,) * len(mode)).save(out, kind, **options)
        assert len(out.getvalue()) < 260_000
        found[name] = out.getvalue()
    return found


def service_of(url: str) -> psutil.Process:
    port = int(url.rpartition(":")[2])
    for process in psutil.Process().children(recursive=True):
        if any(c.laddr.port == port for c in process.net_connections()):
            return process
    raise AssertionError("no child listens there")


def peak(process: psutil.Process) -> int:
    """Most bytes that were resident at once since the process was started."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_eight_of_the_largest_pictures_stay_under_a_gibibyte(url: str) -> None:
    process = service_of(url)
    pictures = bombs()

    def post(data: bytes) -> httpx.Response:
        return httpx.post(f"{url}/v1/detect", files={"image": data}, timeout=60)

    small = io.BytesIO()
    Pil.new("RGB", (640, 480)).save(small, "PNG")
    assert post(small.getvalue()).status_code == 200
    before, peak_before = process.memory_info().rss, peak(process)
    for name, data in pictures.items():
        answer = post(data)
        wanted = 413 if "webp" in name else 200  # its decoder takes more than is allowed
        assert answer.status_code == wanted, name
    one = peak(process) - peak_before
    assert one < 4 * LARGEST[0] * LARGEST[1] + 32 * MIB

    readable = [data for name, data in pictures.items() if "webp" not in name]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, (readable * 3)[:8]))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 429} and statuses[200] >= 1
    assert all(int(a.headers["Retry-After"]) >= 1 for a in answers if a.status_code == 429)
    assert peak(process) < 1024 * MIB
    assert process.memory_info().rss - before < 64 * MIB  # the rest went back to the system
    assert post(readable[0]).status_code == 200
    print(
        f"\n    {before / MIB:.0f} MiB before, one {one / MIB:.0f} more, eight at once "
        f"{peak(process) / MIB:.0f} in all, {process.memory_info().rss / MIB:.0f} after"
    )

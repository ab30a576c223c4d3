"""Pictures decoded in processes of their own, each under a memory limit.

What a stranger uploads meets parsers written in C. Where one of them crashes, or takes more memory
than a picture may, that process ends, its picture is refused, and the next one is given to a new
process; nothing else is touched. Pixels come back through shared memory.

Needs Linux: a memory limit for a process, and memory without a file (``memfd_create``).
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from arcid import errors
from arcid.errors import ImageTooLarge, ImageUnreadable
from arcid.image import BYTES_PER_PIXEL, ImageLimits, load_image
from arcid.types import Image

HEAD = struct.Struct("<I")  # before what is sent either way: how many bytes follow
PATIENCE_S = 60.0  # one picture may take no longer
SPARE_BYTES = 128 << 20  # that a process may take beside the pixels
KEPT_BYTES = 24 << 20  # of shared memory, from one picture to the next
_CHANNELS = 3


class Decoder:
    """``load_image`` of bytes in one of several processes. Thread-safe; close it once."""

    def __init__(self, processes: int, limits: ImageLimits) -> None:
        self._limits = limits
        self._free: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all: list[_Process] = []
        for _ in range(processes):
            process = _Process(limits)
            self._all.append(process)
            self._free.put(process)

    def load(self, data: bytes) -> Image:
        """(H,W,3) uint8 RGB. Raises what ``load_image`` does; ``ImageUnreadable`` also where the
        process crashed or took too long, ``ImageTooLarge`` where its memory did not do."""
        process = self._free.get()
        try:
            return process.load(data)
        finally:
            self._free.put(process)

    def close(self) -> None:
        for process in self._all:
            process.end()


class _Process:
    """One at a time; started ahead of its first picture, and anew after it ended."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._handle = os.memfd_create("arcid-pixels", os.MFD_CLOEXEC)
        os.ftruncate(self._handle, limits.max_pixels * _CHANNELS)
        self._running: subprocess.Popen[bytes] | None = None
        self._start()

    def load(self, data: bytes) -> Image:
        if not data or len(data) > self._limits.max_bytes:
            return load_image(data, limits=self._limits)  # refused unread
        process = self._running or self._start()
        try:
            with _no_longer(process):
                _send(process.stdin, data)
                said = json.loads(_receive(process.stdout))
        except (OSError, EOFError):
            self._stop()
            raise ImageUnreadable(
                "the image could not be read: its decoder crashed or took too long, which a "
                "damaged image, or one made to do that, can bring about"
            ) from None
        if "error" in said:
            if said["error"] == "MemoryError":
                self._stop()
                raise ImageTooLarge("decoding the image takes more memory than it may")
            raise getattr(errors, said["error"])(said["message"], **said["details"])
        return self._copied(*said["shape"])

    def _copied(self, height: int, width: int) -> Image:
        size = height * width * _CHANNELS
        with mmap.mmap(self._handle, size) as pixels:  # for so long: memory may be locked
            shared = np.frombuffer(pixels, np.uint8)
            image = shared.reshape(height, width, _CHANNELS).copy()
            del shared
            if size > KEPT_BYTES:
                pixels.madvise(mmap.MADV_REMOVE)
        return image

    def _start(self) -> subprocess.Popen[bytes]:
        settings = json.dumps(
            {"handle": self._handle, "limits": asdict(self._limits), "spare": SPARE_BYTES}
        )
        self._running = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", __name__, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._handle,),
            env=_environment(),
        )
        return self._running

    def _stop(self) -> None:
        process, self._running = self._running, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
            process.wait()

    def end(self) -> None:
        self._stop()
        os.close(self._handle)


def _environment() -> dict[str, str]:
    """Without the service's settings, among which are secrets."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("ARCID_")}
    return own | {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


@contextmanager
def _no_longer(process: subprocess.Popen[bytes]) -> Iterator[None]:
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _send(stream: Any, data: bytes) -> None:
    stream.write(HEAD.pack(len(data)))
    stream.write(data)
    stream.flush()


def _receive(stream: Any) -> bytes:
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    data = stream.read(HEAD.unpack(head)[0])
    if len(data) < HEAD.unpack(head)[0]:
        raise EOFError
    return bytes(data)


# in the process


def main(settings: str) -> None:
    """Decode until the other side closes."""
    import resource

    given = json.loads(settings)
    limits = ImageLimits(**given["limits"])
    pixels = mmap.mmap(given["handle"], limits.max_pixels * _CHANNELS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service ends it
    _warm()
    most = _taken() + BYTES_PER_PIXEL * limits.max_pixels + limits.max_bytes + given["spare"]
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the picture
    while True:
        try:
            data = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(sys.stdout.buffer, json.dumps(_answer(data, limits, pixels)).encode())


def _answer(data: bytes, limits: ImageLimits, pixels: mmap.mmap) -> dict[str, Any]:
    try:
        image = load_image(data, limits=limits)
    except errors.ArcidError as error:
        details = {key: value for key, value in error.details.items() if _is_plain(value)}
        return {"error": type(error).__name__, "message": error.message, "details": details}
    except MemoryError:
        return {"error": "MemoryError"}
    np.frombuffer(pixels, np.uint8, image.size)[:] = image.reshape(-1)
    return {"shape": image.shape[:2]}


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool, type(None)))


def _warm() -> None:
    """Load the libraries before memory is counted."""
    import io

    from PIL import Image as Pillow

    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        Pillow.new("RGB", (32, 32)).save(buffer, kind)
        load_image(buffer.getvalue())


def _taken() -> int:
    """Bytes of address space of this process."""
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * mmap.PAGESIZE


if __name__ == "__main__":
    main(sys.argv[1])

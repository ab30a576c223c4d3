"""Sources that end: a video file and a folder of photos, read in full and in order.

Their clock is their own, so reading one again gives the same frames at the same times.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as PillowImage

from arcid.errors import ImageError, SourceUnreadable
from arcid.image import SUFFIXES, load_image
from arcid.types import Image
from arcid.video.frames import Frame, Health, HealthLog, SizeWatch, usable

PREFETCH = 3  # frames decoded ahead of the consumer
LONGEST_GAP_S = 10.0  # between two frames of a video, or two by its rate; more is a broken clock
SLOWEST_FPS = 1 / 600  # of a recording in time lapse
RETRIES = 16  # frames in a row that may be unreadable before a file counts as ended
FIRST_YEAR = 1826  # of the oldest photograph
_TAKEN = (36867, 306)  # EXIF DateTimeOriginal, DateTime
_EXIF_IFD = 0x8769


class VideoFile:
    """Frames of a video file. Time begins at ``start`` or, without it, at the file's modification
    time less its length, which is when a recorder that closed the file had begun it.

    ``loops``: how often the file is read, one run after the other. Raises ``SourceUnreadable``.
    """

    live = False

    def __init__(self, path: str | Path, *, start: datetime | None = None, loops: int = 1) -> None:
        self._path = Path(path)
        self.name = self._path.name
        self._loops = loops
        self._health = HealthLog(self.name)
        self._closed = threading.Event()
        capture = _open(self._path)
        try:
            fps = float(capture.get(cv2.CAP_PROP_FPS))
            self.fps = fps if SLOWEST_FPS <= fps <= 1000 else 25.0
            self.frame_count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        finally:
            capture.release()
        if start is None:
            begun = self._path.stat().st_mtime - self.frame_count / self.fps
            self.start = begun
        else:
            self.start = start.timestamp()

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        ahead: queue.Queue[Frame | BaseException | None] = queue.Queue(PREFETCH)
        done = threading.Event()
        args = (ahead, done)
        reader = threading.Thread(target=self._read, args=args, name="arcid-video", daemon=True)
        reader.start()
        try:
            while not self._closed.is_set():
                found = ahead.get()
                if isinstance(found, BaseException):
                    raise found
                if found is None:
                    break
                yield found
        finally:
            done.set()
            while reader.is_alive():  # it may wait for room
                try:
                    ahead.get(timeout=0.05)
                except queue.Empty:
                    continue

    def health(self) -> list[Health]:
        return self._health.drain()

    def close(self) -> None:
        self._closed.set()

    def _read(self, ahead: queue.Queue[Any], done: threading.Event) -> None:
        try:
            for frame in self._decode():
                if done.is_set():
                    return
                ahead.put(frame)
            ahead.put(None)
        except BaseException as error:
            ahead.put(error)

    def _decode(self) -> Iterator[Frame]:
        ticks, index = -1 / self.fps, 0
        longest = max(LONGEST_GAP_S, 2 / self.fps)
        sizes = SizeWatch(self._health)
        for _ in range(self._loops):
            capture = _open(self._path)
            try:
                offset: float | None = None  # what turns the file's times into ticks
                position = failed = jumps = 0
                while failed < RETRIES:
                    ok, bgr = capture.read()
                    if not ok:
                        if self.frame_count and position + failed >= self.frame_count - 1:
                            break  # a file that does not say how long it is: after RETRIES
                        failed += 1
                        continue
                    if failed:
                        self._health.garbage(f"{failed} frames after {position} cannot be decoded")
                    position, failed = position + failed + 1, 0
                    if not usable(bgr):
                        self._health.garbage(f"frame {position} is no picture")
                        continue
                    seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    offset = ticks + 1 / self.fps - seconds if offset is None else offset
                    step = seconds + offset - ticks
                    if not 0 < step <= longest:
                        if not jumps:
                            self._health.report(
                                "clock_jump",
                                f"time moved by {step:.3f} s at frame {position}; counted on by "
                                "the frame rate",
                                self.start + ticks,
                            )
                        jumps += 1
                        step = 1 / self.fps
                        offset = ticks + step - seconds
                    ticks += step
                    image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
                    sizes.see(image)
                    yield Frame(image, self.start + ticks, ticks, index)
                    index += 1
                if position < self.frame_count * 0.95:
                    self._health.report(
                        "garbage",
                        f"the file ends or breaks after frame {position} of {self.frame_count}",
                    )
            finally:
                capture.release()
        self._health.report("ended", f"{index} frames were read", self.start + max(ticks, 0))


class ImageFolder:
    """The photos of a folder, or one photo, as frames.

    With ``fps`` they follow one another by name at that rate from ``start`` on; without it each
    has the time its EXIF data or else its file states, and that orders them.
    """

    live = False

    def __init__(
        self, path: str | Path, *, fps: float | None = None, start: datetime | None = None
    ) -> None:
        self._path = Path(path)
        self.name = self._path.name
        self._fps = fps
        self._start = start
        self._health = HealthLog(self.name)
        self._closed = False
        inside = sorted(self._path.rglob("*")) if self._path.is_dir() else [self._path]
        self._files = [
            file for file in inside if file.suffix.lower() in SUFFIXES and file.is_file()
        ]
        if not self._files:
            raise SourceUnreadable(
                f"{self.name} holds no photos; known: {', '.join(sorted(SUFFIXES))}"
            )

    def frames(self, idle_s: float = 1.0) -> Iterator[Frame | None]:
        sizes = SizeWatch(HealthLog(self.name))  # photos may differ in size
        timed = [(self._time(i, file), file) for i, file in enumerate(self._files)]
        if self._fps is None:
            timed.sort(key=lambda pair: (pair[0], str(pair[1])))
        ticks, index = 0.0, 0
        for at, file in timed:
            if self._closed:
                return
            image = self._load(file)
            if image is None:
                continue
            sizes.see(image)
            ticks = max(ticks + 1e-3, at - timed[0][0])
            yield Frame(image, at, ticks, index)
            index += 1
        self._health.report("ended", f"{index} photos were read")

    def health(self) -> list[Health]:
        return self._health.drain()

    def close(self) -> None:
        self._closed = True

    def _load(self, file: Path) -> Image | None:
        try:
            return load_image(file)
        except ImageError as error:
            self._health.report("garbage", f"{file.name} is left out: {error.message}")
            return None

    def _time(self, index: int, file: Path) -> float:
        if self._fps is not None:
            first = self._files[0].stat().st_mtime if self._start is None else None
            begun = first if self._start is None else self._start.timestamp()
            return (begun or 0.0) + index / self._fps
        return _taken(file) or file.stat().st_mtime


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise SourceUnreadable(f"there is no video file {path.name}")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceUnreadable(
            f"{path.name} cannot be read as a video; convert it with: ffmpeg -i {path.name} out.mp4"
        )
    return capture


def _taken(file: Path) -> float | None:
    """When the camera says the photo was taken, taken as UTC where it names no zone; None where it
    says nothing or a year that cannot be, as programs write for no date."""
    try:
        with PillowImage.open(file) as photo:
            exif = photo.getexif()
            values = [exif.get_ifd(_EXIF_IFD).get(_TAKEN[0]), exif.get(_TAKEN[1])]
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
        return None
    for value in values:
        try:
            taken = datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        if FIRST_YEAR <= taken.year <= datetime.now(UTC).year + 1:
            return taken.replace(tzinfo=UTC).timestamp()
    return None

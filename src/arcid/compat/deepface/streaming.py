"""deepface's window onto a camera: who of a folder's pictures stands before it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from arcid.compat.deepface.faces import Area
from arcid.types import Image
from arcid.video import open_source

WINDOW = "arcid"
_GREEN, _GREY = (80, 200, 80), (160, 160, 160)  # RGB
Seen = tuple[Area, str | None]  # where a face is, and the name of the picture it is like


class Steady:
    """Counts frames in a row that show a face."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.count = wanted, 0

    def of(self, faces: int) -> bool:
        """Whether this frame is the last of as many as are wanted; then it counts anew."""
        self.count = self.count + 1 if faces else 0
        if self.count < self.wanted:
            return False
        self.count = 0
        return True


class Screen:
    """A window, and a video file where a path for it is given."""

    def __init__(self, output: str | None, fps: float) -> None:
        self.output, self.fps = output, fps
        self.shown = False
        self._writer: Any = None

    def show(self, image: Image, seconds: float = 0) -> bool:
        """Show a picture, and keep it for so long. False: ``q`` was pressed."""
        import cv2

        picture = np.ascontiguousarray(image[..., ::-1])
        if self.output is not None:
            self._write(picture, max(1, round(seconds * self.fps)))
        until = time.monotonic() + seconds
        while True:
            try:
                cv2.imshow(WINDOW, picture)
            except cv2.error as error:
                if self.output is not None:
                    return True
                raise ValueError(
                    "this OpenCV has no windows: install opencv-python in place of "
                    "opencv-python-headless, or pass output_path"
                ) from error
            self.shown = True
            if cv2.waitKey(1) & 0xFF == ord("q"):
                return False
            if time.monotonic() >= until:
                return True

    def _write(self, picture: Any, times: int) -> None:
        import cv2

        if self._writer is None:
            height, width = picture.shape[:2]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.output), code, self.fps, (width, height))
            if not self._writer.isOpened():
                raise ValueError(f"no video can be written to {self.output}")
        for _ in range(times):
            self._writer.write(picture)

    def close(self) -> None:
        """Close the window and end the file."""
        import cv2

        if self._writer is not None:
            self._writer.release()
        if self.shown:
            cv2.destroyWindow(WINDOW)


@contextlib.contextmanager
def frames_of(source: Any) -> Iterator[tuple[Iterator[Image], float]]:
    """A camera's number, a stream's address or a video file: its pictures and how many a second."""
    opened = open_source(str(source) if isinstance(source, int) else source)
    try:
        pictures = (frame.image for frame in opened.frames() if frame is not None)
        yield pictures, float(getattr(opened, "fps", 25.0))
    finally:
        opened.close()


def drawn(image: Image, seen: list[Seen]) -> Image:
    """The picture with a frame around each face and the name of the picture it is like."""
    import cv2

    canvas = np.ascontiguousarray(image)
    canvas = canvas.copy() if canvas is image else canvas
    for area, name in seen:
        x, y, w, h = (area[side] for side in "xywh")
        colour = _GREY if name is None else _GREEN
        cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, 2)
        label = "unknown" if name is None else Path(name).stem
        cv2.putText(canvas, label, (x, max(y - 8, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
    return canvas


__all__ = ["Screen", "Seen", "Steady", "drawn", "frames_of"]

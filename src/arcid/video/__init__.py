"""Sources of frames: files that are read in full and live pictures of which the newest counts.

source = open_source("0")                      a webcam by its number
source = open_source("rtsp://host/stream")     or http(s), motion JPEG included
source = open_source("clip.mp4")               or a folder of photos
for frame in source.frames():                  None: nothing came for a while
    ...                                        frame.image, frame.at
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from arcid.addresses import refuse_literal
from arcid.errors import SourceUnreadable, UsageError
from arcid.image import SUFFIXES
from arcid.video.captures import SCHEMES, Capture, CaptureLost, open_stream, open_webcam, shown
from arcid.video.files import ImageFolder, VideoFile
from arcid.video.frames import Frame, Health, HealthKind, Source
from arcid.video.live import LiveSource
from arcid.video.pushed import PushedFrames


def open_source(
    spec: str | Path,
    *,
    start: datetime | None = None,
    fps: float | None = None,
    loops: int = 1,
) -> Source:
    """A webcam number, a stream's URL, a video file, a photo or a folder of photos.

    ``start``: when a file began; ``fps``: the rate of a folder's photos; ``loops``: how often a
    video file is read. A file that is not there or cannot be read raises ``SourceUnreadable``;
    a stream that does not answer is tried again for as long as frames are asked for.
    """
    text = str(spec)
    if loops < 1:
        raise UsageError(f"loops must be at least 1, got {loops}")
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError(f"fps must lie between 0 and 1000, got {fps}")
    if text.isdecimal():
        return LiveSource(f"webcam {text}", partial(open_webcam, int(text)))
    if "://" in text:
        if urlsplit(text).scheme not in SCHEMES:
            raise UsageError(
                f"a stream's address begins with {', '.join(f'{s}://' for s in SCHEMES)}; "
                f"got {shown(text)}"
            )
        try:
            refuse_literal(urlsplit(text).hostname or "")
        except ValueError:
            raise UsageError(f"{shown(text)} names no host") from None
        return LiveSource(shown(text), partial(open_stream, text))
    path = Path(text).expanduser()
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        if not path.exists():
            raise SourceUnreadable(f"there is no photo {path.name}")
        return ImageFolder(path, fps=fps, start=start)
    return VideoFile(path, start=start, loops=loops)


__all__ = [
    "Capture",
    "CaptureLost",
    "Frame",
    "Health",
    "HealthKind",
    "ImageFolder",
    "LiveSource",
    "PushedFrames",
    "Source",
    "VideoFile",
    "open_source",
]

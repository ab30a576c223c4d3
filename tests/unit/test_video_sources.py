"""Sources: files in full and in order; live ones newest first, through every fault we know."""

from __future__ import annotations

import http.server
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pil

from arcid.errors import ImageUnreadable, SourceUnreadable, UsageError
from arcid.types import Image
from arcid.video import (
    CaptureLost,
    Frame,
    Health,
    ImageFolder,
    LiveSource,
    PushedFrames,
    Source,
    VideoFile,
    open_source,
)
from arcid.video.captures import open_stream, shown

CLIP = "data/video/short_hamilton_clip.mp4"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def pictures(data_dir: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(data_dir / CLIP))
    found = [capture.read()[1] for _ in range(12)]
    capture.release()
    return found


def kinds(source: Source) -> list[str]:
    return [entry.kind for entry in source.health()]


def listen(
    source: Source, until: Callable[[list[Frame], list[Health]], bool], limit_s: float = 20
) -> tuple[list[Frame], list[Health]]:
    """Frames and health until both satisfy ``until``."""
    frames: list[Frame] = []
    health: list[Health] = []
    deadline = time.monotonic() + limit_s
    for frame in source.frames(0.05):
        health += source.health()
        if frame is not None:
            frames.append(frame)
        if until(frames, health):
            break
        assert time.monotonic() < deadline, [h.kind for h in health]
    source.close()
    return frames, health


# files


@pytest.mark.data
def test_a_video_is_read_in_full_with_its_own_times(data_dir: Path) -> None:
    source = open_source(data_dir / CLIP, start=START)
    assert isinstance(source, VideoFile)
    seen = [(f.index, f.at, f.image.shape) for f in source.frames() if f is not None]
    assert len(seen) == 275
    assert [index for index, _, _ in seen] == list(range(275))
    assert {shape for _, _, shape in seen} == {(360, 640, 3)}
    times = np.array([at for _, at, _ in seen]) - START.timestamp()
    assert times[0] == 0
    np.testing.assert_allclose(np.diff(times), 1001 / 30000, atol=1e-3)
    again = [f.at for f in open_source(data_dir / CLIP, start=START).frames() if f is not None]
    assert again == [at for _, at, _ in seen]
    assert kinds(source) == ["ended"]


@pytest.mark.data
def test_colours_are_rgb(data_dir: Path) -> None:
    capture = cv2.VideoCapture(str(data_dir / CLIP))
    bgr = capture.read()[1]
    capture.release()
    first = next(iter(open_source(data_dir / CLIP).frames()))
    assert first is not None
    np.testing.assert_array_equal(first.image, bgr[:, :, ::-1])


@pytest.mark.data
def test_a_looped_video_goes_on_in_time(
    data_dir: Path, pictures: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "short.mp4"
    write(path, pictures, fps=10)
    frames = [f for f in open_source(path, start=START, loops=3).frames() if f is not None]
    assert len(frames) == 36
    np.testing.assert_allclose(np.diff([f.ticks for f in frames]), 0.1, atol=1e-3)


@pytest.mark.data
def test_a_video_that_breaks_off_is_read_as_far_as_it_goes(
    data_dir: Path, pictures: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "cut.avi"
    write(path, pictures * 8, fps=10, code="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(path)
    count = sum(frame is not None for frame in source.frames())
    assert 20 < count < 96
    assert "ended" in kinds(source)


@pytest.mark.data
def test_damage_within_a_video_costs_the_frames_it_hit(
    pictures: list[Image], tmp_path: Path
) -> None:
    path = tmp_path / "hurt.avi"
    write(path, pictures * 5, fps=10, code="MJPG")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = os.urandom(20_000)
    path.write_bytes(data)
    source = open_source(path)
    frames = [frame for frame in source.frames() if frame is not None]
    assert 30 < len(frames) <= 60
    assert all(b.ticks > a.ticks for a, b in pairwise(frames))


def write(path: Path, pictures: list[Image], *, fps: float, code: str = "mp4v") -> None:
    height, width = pictures[0].shape[:2]
    fourcc = cv2.VideoWriter.fourcc(*code)
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()


@pytest.mark.data
def test_a_folder_goes_by_its_photos_times_and_leaves_out_what_is_none(
    data_dir: Path, tmp_path: Path
) -> None:
    photos = sorted((data_dir / "data/deepface-pairs").glob("img*.jpg"))[:3]
    for i, photo in enumerate(photos):
        copy = tmp_path / photo.name
        copy.write_bytes(photo.read_bytes())
        os.utime(copy, (1000 - 10 * i, 1000 - 10 * i))
    (tmp_path / "broken.jpg").write_bytes(b"no picture at all, but long enough")
    source = open_source(tmp_path)
    assert isinstance(source, ImageFolder)
    frames = [f for f in source.frames() if f is not None]
    assert len(frames) == 3
    assert [f.at for f in frames] == sorted(f.at for f in frames)
    assert kinds(source) == ["garbage", "ended"]
    paced = [f for f in open_source(tmp_path, fps=2, start=START).frames() if f is not None]
    assert [f.at - START.timestamp() for f in paced][1:] == [0.5 * i for i in (1, 2, 3)][
        : len(paced) - 1
    ] or len(paced) == 3


def plain(count: int) -> list[Image]:
    return [np.full((48, 64, 3), 4 * i, np.uint8) for i in range(count)]


def test_a_recording_of_few_frames_a_minute_keeps_its_times(tmp_path: Path) -> None:
    path = tmp_path / "slow.mp4"
    for fps, code in ((0.05, "mp4v"), (0.25, "mp4v")):
        write(path, plain(20), fps=fps, code=code)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        source = open_source(path)
        times = [frame.at for frame in source.frames() if frame is not None]
        assert kinds(source) == ["ended"]
        np.testing.assert_allclose(times, 1_700_000_000 - np.arange(20, 0, -1) / fps, atol=0.1)


def test_a_frame_that_cannot_be_decoded_does_not_end_a_file_of_unknown_length(
    tmp_path: Path,
) -> None:
    path = tmp_path / "raw.mjpeg"
    frames = [bytes(cv2.imencode(".jpg", picture)[1].tobytes()) for picture in plain(20)]
    frames[7] = frames[7][:200] + bytes(300)
    path.write_bytes(b"".join(frames))
    source = VideoFile(path, start=START)
    assert source.frame_count == 0, "it does not say"
    seen = [frame.ticks for frame in source.frames() if frame is not None]
    assert len(seen) == 19 and seen[-1] == pytest.approx(19 / 25)
    assert kinds(source) == ["garbage", "ended"]


def test_a_date_that_cannot_be_is_no_date_of_a_photo(tmp_path: Path) -> None:
    dates = ["0001:01:01 00:00:00", "9999:12:31 23:59:59", "2024:05:06 07:08:09"]
    for number, date in enumerate(dates):
        exif = Pil.Exif()
        exif[306] = date
        photo = tmp_path / f"{number}.jpg"
        Pil.fromarray(plain(1)[0]).save(photo, exif=exif)
        os.utime(photo, (1_700_000_000 + number, 1_700_000_000 + number))
    found = [frame.at for frame in open_source(tmp_path).frames() if frame is not None]
    taken = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp()
    assert found == [1_700_000_000, 1_700_000_001, taken]


def test_what_cannot_be_a_source_is_a_clear_error(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a film")
    for spec in (tmp_path / "absent.mp4", text, tmp_path):
        with pytest.raises(SourceUnreadable):
            open_source(spec)
    for url in ("ftp://host/x", "file:///etc/passwd"):
        with pytest.raises(UsageError):
            open_source(url)


def test_credentials_are_not_shown() -> None:
    assert shown("rtsp://user:secret@cam:554/live?token=x") == "rtsp://cam:554/live"
    assert open_source("rtsp://user:secret@cam/live").name == "rtsp://cam/live"


# a camera that serves motion JPEG over a real socket

Script = Callable[[Callable[[bytes], None], int], None]  # (send a part, how many came before)


@contextmanager
def camera(script: Script) -> Iterator[str]:
    calls: list[int] = []
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            calls.append(1)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()

            def send(body: bytes) -> None:
                if stop.is_set():
                    raise ConnectionError
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body + b"\r\n")
                self.wfile.flush()

            with suppress(OSError):
                script(send, len(calls) - 1)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def watch(url: str, stall_s: float = 1.0) -> LiveSource:
    return LiveSource(
        shown(url),
        lambda: open_stream(url, read_timeout_s=stall_s * 4),
        stall_s=stall_s,
        first_pause_s=0.1,
        longest_pause_s=0.4,
    )


def jpeg(picture: Image, width: int = 640) -> bytes:
    small = cv2.resize(picture, (width, width * 9 // 16))
    return bytes(cv2.imencode(".jpg", small)[1].tobytes())


@pytest.mark.data
def test_garbage_and_a_change_of_size_are_reported_and_survived(pictures: list[Image]) -> None:
    whole = jpeg(pictures[0])

    def script(send: Callable[[bytes], None], call: int) -> None:
        for body in (whole, os.urandom(3000), whole[: len(whole) // 2], b"", whole):
            send(body)
            time.sleep(0.05)
        while True:
            send(jpeg(pictures[1], 320))
            time.sleep(0.05)

    with camera(script) as url:
        frames, health = listen(watch(url), lambda f, h: bool(f) and f[-1].image.shape[1] == 320)
    assert {f.image.shape for f in frames} == {(360, 640, 3), (180, 320, 3)}
    assert [h.kind for h in health] == ["opened", "garbage", "resized"]
    assert "640×360 to 320×180" in health[-1].detail


@pytest.mark.data
def test_a_stalled_stream_is_opened_anew(pictures: list[Image]) -> None:
    def script(send: Callable[[bytes], None], call: int) -> None:
        for picture in pictures:
            send(jpeg(picture))
            time.sleep(0.02)
        if call == 0:
            time.sleep(30)  # connected, and silent
        while True:
            send(jpeg(pictures[0]))
            time.sleep(0.05)

    with camera(script) as url:
        _, health = listen(watch(url), lambda f, h: any(e.kind == "recovered" for e in h))
    assert [h.kind for h in health][:2] == ["opened", "stalled"]


@pytest.mark.data
def test_a_camera_that_is_unplugged_comes_back_by_itself(pictures: list[Image]) -> None:
    def script(send: Callable[[bytes], None], call: int) -> None:
        for picture in pictures[: 3 if call < 2 else 12]:
            send(jpeg(picture))
            time.sleep(0.02)

    with camera(script) as url:
        _, health = listen(watch(url), lambda f, h: [e.kind for e in h].count("recovered") >= 2)
    found = [h.kind for h in health]
    assert found[:5] == ["opened", "lost", "opened", "recovered", "lost"]


def test_nobody_there_is_tried_again_with_growing_pauses() -> None:
    source = watch("http://127.0.0.1:9/none")
    _, health = listen(source, lambda f, h: len(h) >= 4)
    pauses = [h.detail.rsplit(" in ", 1)[1] for h in health[:4]]
    assert pauses == ["0.1 s", "0.2 s", "0.4 s", "0.4 s"]
    assert {h.kind for h in health} == {"lost"}


class Still:
    """A device that gives one picture as often as asked."""

    def __init__(self, picture: Image, pause_s: float = 0.005) -> None:
        self._picture, self._pause_s = picture, pause_s
        self.given = 0

    def read(self) -> Image | None:
        time.sleep(self._pause_s)
        self.given += 1
        return np.full_like(self._picture, self.given % 256)

    def release(self) -> None:
        pass


def test_the_newest_frame_wins_and_nothing_queues() -> None:
    device = Still(np.zeros((64, 64, 3), np.uint8))
    source = LiveSource("device", lambda: device)
    frames = source.frames(1)
    next(frames)
    for _ in range(3):
        time.sleep(0.2)  # a slow consumer
        before = device.given
        frame = next(frames)
        assert frame is not None
        assert (before - int(frame.image[0, 0, 0])) % 256 <= 2
    assert source.dropped > 60
    source.close()
    assert list(frames) == []


def test_a_clock_that_jumps_is_reported_while_ticks_go_on() -> None:
    offset = [0.0]
    source = LiveSource(
        "device", lambda: Still(np.zeros((64, 64, 3), np.uint8), 0.02),
        wall=lambda: time.time() + offset[0],
    )  # fmt: skip
    frames: list[Frame] = []
    health: list[Health] = []
    for frame in source.frames(0.2):
        if frame is not None:
            frames.append(frame)
        if len(frames) == 5:
            offset[0] = -3600.0
        health += source.health()
        if len(frames) == 10:
            source.close()
    jumps = [h for h in health if h.kind == "clock_jump"]
    assert len(jumps) == 1
    assert "-3600.0 s" in jumps[0].detail
    assert all(b.ticks > a.ticks for a, b in pairwise(frames))
    assert frames[-1].at < frames[0].at


def test_a_device_that_hangs_is_given_up() -> None:
    opened: list[str] = []

    class Hanging:
        def read(self) -> Image | None:
            if len(opened) > 1:
                return np.zeros((64, 64, 3), np.uint8)
            time.sleep(3)
            raise CaptureLost("late")

        def release(self) -> None:
            pass

    def open_device() -> Hanging:
        opened.append(1)
        return Hanging()

    source = LiveSource("device", open_device, stall_s=0.3)
    frames, health = listen(source, lambda f, h: bool(f), 5)
    assert frames
    assert [h.kind for h in health if h.kind != "opened"] == ["stalled", "recovered"]


# frames that somebody pushes


@pytest.mark.data
def test_pushed_frames_are_checked_stamped_and_newest_first(pictures: list[Image]) -> None:
    source = PushedFrames("browser", stall_s=0.3)
    frames = source.frames(0.05)
    now = time.time()
    source.push(jpeg(pictures[0]), now - 1)
    source.push(jpeg(pictures[1], 320), now - 0.5)
    frame = next(frames)
    assert frame is not None
    assert (frame.image.shape, frame.at) == ((180, 320, 3), now - 0.5)
    assert source.dropped == 1
    for bad in (b"", b"\xff\xd8" + os.urandom(2000), b"GIF89a" + bytes(100)):
        with pytest.raises(ImageUnreadable):
            source.push(bad)
    for wrong in (now + 9e9, float("nan")):  # clocks nobody should believe
        source.push(jpeg(pictures[2]), wrong)
        frame = next(frames)
        assert frame is not None
        assert abs(frame.at - time.time()) < 2
    deadline = time.monotonic() + 5
    while next(frames) is None and time.monotonic() < deadline:
        if "stalled" in (found := kinds(source)):
            break
    source.push(jpeg(pictures[0]))
    assert kinds(source)[-1] in ("recovered", "resized")
    assert "stalled" in found
    source.close()
    assert list(frames) == []

"""One process a camera: leases in SQL, between threads with engines of their own and processes."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arcid.apps.attendance import CameraLease
from arcid.cameras.book import Camera
from arcid.cameras.runner import Runner
from arcid.errors import CameraWatched, CollectionNotFound
from arcid.events import Leases
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline


def soon(condition: Callable[[], object], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


@pytest.fixture
def first(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.fixture
def second(first: Gallery, database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        yield gallery


class Clock:
    """The leases' clock; it stands still but for what leases sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000_000.0
        self.asked: queue.Queue[float] = queue.Queue()
        self.go = threading.Semaphore(0)
        clock = self

        class Stop(threading.Event):
            def wait(self, seconds: float | None = None) -> bool:
                clock.asked.put(seconds or 0.0)
                while not self.is_set():
                    if clock.go.acquire(timeout=0.02):
                        return bool(self.is_set())
                return True

        monkeypatch.setattr(
            "arcid.apps.watching.lease.threading",
            SimpleNamespace(Event=Stop, Thread=threading.Thread),
        )
        monkeypatch.setattr(
            "arcid.apps.watching.lease.time",
            SimpleNamespace(monotonic=lambda: self.now_s, sleep=self.sleep),
        )
        monkeypatch.setattr("arcid.events.leases.clock_us", lambda _: int(self.now_s * 1e6))

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def sleep_through(self) -> None:
        """As long as the lease's thread wants to sleep before it renews."""
        self.now_s += self.asked.get(timeout=60)


def test_only_one_has_a_camera_and_the_other_is_told_who(
    first: Gallery, second: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    began = clock.now_s
    with CameraLease(first, "staff", "door", lasts_s=60) as held:
        with pytest.raises(CameraWatched, match=f"'door' is watched by process {os.getpid()} on"):
            CameraLease(second, "staff", "door", lasts_s=60).take()
        while clock.now_s < began + 2 * 60:  # it is renewed, not merely long
            clock.sleep_through()
            with pytest.raises(CameraWatched):
                CameraLease(second, "staff", "door", lasts_s=60).take()
            clock.go.release()
        held.check()
    door, gate = (CameraLease(second, "staff", name, lasts_s=60) for name in ("door", "gate"))
    with door, gate:
        assert [lease.camera for lease in Leases(second).held("staff")] == ["door", "gate"]
    assert Leases(second).held("staff") == []
    with pytest.raises(CollectionNotFound):
        CameraLease(first, "nobody", "door").take()


def test_a_lease_taken_again_after_it_was_given_back_is_renewed(
    first: Gallery, second: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    lease = CameraLease(first, "staff", "door", lasts_s=60)
    with lease:
        clock.asked.get(timeout=60)
    with lease:
        for _ in range(6):
            clock.sleep_through()
            with pytest.raises(CameraWatched):
                CameraLease(second, "staff", "door", lasts_s=60).take()
            clock.go.release()
    assert Leases(second).held("staff") == []


def test_of_many_that_begin_at_once_one_watches(first: Gallery, database_url: str) -> None:
    begin, taken, refused = threading.Barrier(6), [], []

    def watch() -> None:
        with Gallery.open(database_url) as own:
            lease = CameraLease(own, "staff", "door", lasts_s=30)
            begin.wait()
            try:
                taken.append(lease.take())
            except CameraWatched as error:
                refused.append(error)
            begin.wait()
            lease.release()

    threads = [threading.Thread(target=watch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 5)


def test_a_lease_nobody_renews_is_waited_for_and_its_owner_finds_it_lost(
    first: Gallery, second: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    held = CameraLease(first, "staff", "door", lasts_s=6).take()
    clock.asked.get(timeout=60)  # its process stands still
    told: list[CameraWatched] = []
    began = clock.now_s
    other = CameraLease(second, "staff", "door", lasts_s=6).take(told.append)
    assert len(told) == 1
    assert 6 <= clock.now_s - began < 7

    def lost() -> bool:
        clock.go.release()  # and goes on
        return held._lost is not None

    assert soon(lost)
    with pytest.raises(CameraWatched):
        held.check()
    held.release()
    other.check()
    assert [lease.owner for lease in Leases(first).held("staff")] == [other._owner]
    other.release()


def test_whoever_is_alive_is_not_waited_for_long(
    first: Gallery, second: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    began = clock.now_s

    def renewed(error: CameraWatched) -> None:
        clock.sleep_through()
        clock.go.release()
        clock.asked.get(timeout=60)  # it sleeps again

    with CameraLease(first, "staff", "door", lasts_s=6):
        with pytest.raises(CameraWatched):
            CameraLease(second, "staff", "door", lasts_s=6).take(renewed)
        assert clock.now_s - began < 6


def test_a_clock_set_back_does_not_lock_a_camera_for_good(
    first: Gallery, second: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Leases(first).take("staff", "door", "a" * 32, "somebody", lasts_s=10)
    earlier = int(lease.taken_at.timestamp() * 1e6) - 3600 * 10**6
    monkeypatch.setattr("arcid.events.leases.clock_us", lambda connection: earlier)
    Leases(second).take("staff", "door", "b" * 32, "somebody else", lasts_s=10)


# real processes


@pytest.fixture
def stream(data_dir: Path) -> Iterator[tuple[str, list[float]]]:
    """A motion-JPEG camera on a real socket; the list grows with every connection."""
    import cv2

    image = cv2.imread(str(data_dir / "data/spoof/image_T1.jpg"))
    picture = cv2.imencode(".jpg", image)[1].tobytes()
    over, connections = threading.Event(), []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            connections.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            with suppress(OSError):
                while not over.wait(0.2):
                    self.wfile.write(head.encode() + picture + b"\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/door", connections
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def attend(
    data_dir: Path, database_url: str, stream: tuple[str, list[float]]
) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    environment = os.environ | {"ARCID_DATA": str(data_dir), "OMP_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "arcid", "attend", "--source", stream[0], "--camera", "door",
            "--database", database_url, "--collection", "staff", "--json",
        ]  # fmt: skip
        started.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.data
@pytest.mark.slow
def test_a_second_process_is_turned_away_and_takes_over_from_a_dead_one(
    first: Gallery,
    stream: tuple[str, list[float]],
    attend: Callable[[], subprocess.Popen[str]],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watching = attend()
    assert soon(lambda: stream[1], 120)
    (lease,) = Leases(first).held("staff")
    assert lease.holder.startswith(f"process {watching.pid} on ")

    late = attend()
    out, err = late.communicate(timeout=120)
    assert late.returncode != 0
    assert json.loads(out)["error"]["code"] == "camera_watched"
    assert f"watched by process {watching.pid}" in out + err
    assert len(stream[1]) == 1, "a camera is not opened before its lease is there"

    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    camera = Camera("1", "door", stream[0], "staff", "", "off", True)
    runner = Runner(camera, Pipeline.from_models(), first, lambda: pytest.fail("no liveness"))
    assert soon(lambda: runner.status.state == "trouble")
    assert f"watched by process {watching.pid}" in runner.status.problem
    assert len(stream[1]) == 1

    watching.send_signal(signal.SIGKILL)
    watching.communicate()
    assert soon(lambda: runner.status.state == "live", 60), runner.status.problem
    assert (runner.status.problem, len(stream[1])) == ("", 2)
    runner.stop()
    runner.join(30)
    assert Leases(first).held("staff") == []

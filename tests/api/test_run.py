"""The service as a process of its own: start, answer, stop; and the ways it refuses to start."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving import until, without_settings

from arcid.cameras.watching import Cameras
from arcid.errors import GalleryBusy
from arcid.server.app import create_app
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
PROGRAM = """
import json
import sys
from dataclasses import asdict
from arcid.errors import ArcidError
from arcid.server.run import serve
from arcid.server.settings import Settings
try:
    serve(Settings.load(), announce=lambda ready: print(json.dumps(asdict(ready)), flush=True))
except ArcidError as error:
    sys.exit(f"{error.code}: {error.message}")
"""


def start(data_dir: Path, tmp_path: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {
        **without_settings(),
        "ARCID_DATA": str(data_dir),
        "ARCID_DATABASE": str(tmp_path / "gallery.db"),
        "ARCID_PORT": "0",
        **settings,
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_starts_says_where_answers_and_stops(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.perf_counter()
    process = start(data_dir, tmp_path)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        seconds = time.perf_counter() - started
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", ready["url"])
        assert "gallery.db" in ready["gallery"] and ready["api_keys"] == 0
        assert ready["set_up"].startswith(f"{ready['url']}console/set-up#")
        if sys.platform == "linux":
            limits = Path(f"/proc/{process.pid}/limits").read_text("ascii")
            assert re.search(r"Max core file size +0 +0 ", limits), "a dump would hold keys"
        with httpx.Client(base_url=ready["url"]) as client:
            assert client.get("/v1/health").json()["status"] == "ready"
            client.post("/v1/collections", json={"name": "kept"})
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    finally:
        process.kill()
        _, log = process.communicate()
    assert process.returncode in (0, -signal.SIGTERM)
    assert log.count('"level": "error"') == 0 and '"message": "ready"' in log
    with capsys.disabled():
        print(f"\n    ready {seconds:.2f} s after the process was started (empty gallery)")
    again = start(data_dir, tmp_path)
    try:
        assert again.stdout is not None
        url = json.loads(again.stdout.readline())["url"]
        names = httpx.get(f"{url}v1/collections").json()["collections"]
        assert [c["name"] for c in names] == ["kept"]
    finally:
        again.kill()
        again.communicate()


def test_refuses_to_start(data_dir: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        processes = {
            "config_error: cannot listen": start(data_dir, tmp_path, ARCID_PORT=port),
            "config_error: listening on 0.0.0.0": start(data_dir, tmp_path, ARCID_HOST="0.0.0.0"),
            "model_not_found": start(data_dir, tmp_path, ARCID_RECOGNISER="unheard-of"),
        }
        for message, process in processes.items():
            _, log = process.communicate(timeout=60)
            assert process.returncode == 1
            assert message in log, log
            assert "Traceback" not in log


def test_a_start_that_fails_leaves_nothing_running(
    pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cameras: Cameras) -> None:
        raise GalleryBusy("nobody can write")

    monkeypatch.setattr(Cameras, "start", fail)
    app = create_app(Settings.load(database=str(tmp_path / "gallery.db")), pipeline=pipeline)
    before = set(threading.enumerate())

    async def start() -> None:
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")

    with pytest.raises(GalleryBusy):
        asyncio.run(start())
    until(lambda: not [one for one in set(threading.enumerate()) - before if one.is_alive()])


@pytest.mark.parametrize("left", [None, b""])
def test_a_database_that_is_gone_beside_a_console_that_was_set_up_is_not_begun_anew(
    data_dir: Path, tmp_path: Path, left: bytes | None
) -> None:
    (tmp_path / "console.key").write_text("0" * 64)
    if left is not None:
        (tmp_path / "gallery.db").write_bytes(left)
    process = start(data_dir, tmp_path, ARCID_HOME=str(tmp_path))
    _, log = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "gallery_damaged: gallery.db is gone or empty, but console.key" in log
    assert not (tmp_path / "gallery.db").exists() or left == (tmp_path / "gallery.db").read_bytes()
    elsewhere = tmp_path / "elsewhere"  # another database of that console
    elsewhere.mkdir()
    process = start(
        data_dir, tmp_path, ARCID_HOME=str(tmp_path), ARCID_DATABASE=str(elsewhere / "new.db")
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.communicate(timeout=20)

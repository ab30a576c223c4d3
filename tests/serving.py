"""A real service on a real port: in this process, or in another one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from arcid.gallery import Gallery
from arcid.server.app import create_app
from arcid.server.deps import Services
from arcid.server.settings import Settings

StartService = Callable[..., Any]
SET_UP: dict[str, str | None] = {}  # by address: the link that makes the first account
PROCESSES: dict[str, subprocess.Popen[str]] = {}  # by address


def without_settings(*but: str) -> dict[str, str]:
    """The environment of a process that is set to nothing yet; compiled models are all processes'
    of a run."""
    kept = ("ARCID_COMPILED", *but)
    return {k: v for k, v in os.environ.items() if not k.startswith("ARCID_") or k in kept}


@contextmanager
def serving(
    home: Path,
    data: Path,
    *,
    stop: signal.Signals = signal.SIGTERM,
    port: int = 0,
    program: Sequence[str] = ("-m", "arcid"),
    **environment: str,
) -> Iterator[str]:
    """``arcid serve`` on a free port with a home of its own; its address without a slash."""
    env = without_settings("ARCID_ROOT_KEY") | {
        "ARCID_HOME": str(home),
        "ARCID_DATA": str(data),
        **environment,
    }
    with (home / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "serve", "--port", str(port), "--json"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (home / "service.log").read_text()[-3000:]
            ready = json.loads(line)
            address: str = ready["url"].rstrip("/")
            SET_UP[address], PROCESSES[address] = ready["set_up"], process
            yield address
        finally:
            process.send_signal(stop)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


class Client(httpx.Client):
    """Speaks to one running service."""

    gallery: Gallery  # the one that the service runs on
    services: Services


@contextmanager
def running(settings: Settings, pipeline: Any, gallery: Gallery | None) -> Iterator[Client]:
    """The application behind uvicorn on a free port, and a client for it."""
    app = create_app(settings, pipeline=pipeline, gallery=gallery)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive() and time.monotonic() < deadline, (
                    "the service did not start"
                )
                time.sleep(0.01)
            with Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                client.services = app.state.services
                client.gallery = client.services.gallery
                yield client
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for something that is done in the background."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)

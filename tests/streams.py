"""A real RTSP server (GStreamer) that plays a clip.

Debian: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parent / "unit" / "rtsp_server.py"
Start = Callable[[], subprocess.Popen[str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()
    elif process.stdout is not None:
        process.stdout.close()


@contextmanager
def rtsp_server(clip: Path) -> Iterator[tuple[str, Start]]:
    """The address of a stream, and what starts its server; skips where there is none."""
    needed = (
        "import gi; gi.require_version('GstRtspServer', '1.0');"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
        "assert all(Gst.ElementFactory.find(n) for n in ('qtdemux', 'rtph264pay'))"
    )
    found = Path(SYSTEM_PYTHON).exists() and subprocess.run(
        [SYSTEM_PYTHON, "-c", needed], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 "
                    "gstreamer1.0-plugins-good python3-gi")  # fmt: skip
    port, started = free_port(), []

    def start() -> subprocess.Popen[str]:
        command = [SYSTEM_PYTHON, str(SERVER), str(clip), str(port)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    try:
        yield f"rtsp://127.0.0.1:{port}/door", start
    finally:
        for process in started:
            end(process)

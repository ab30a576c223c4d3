"""From nothing to an answer: importing, a cold ``verify``, a service that is ready."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from arcid import paths
from arcid.bench.common import Row, row
from arcid.errors import ModelError, NotFound

TARGET_S = {"import": 0.2, "verify": 1.5, "service": 2.0}
WAIT_S = 60.0
_COMMAND = [sys.executable, "-m", "arcid"]


def run(*, runs: int = 5, data: Path | None = None, service: bool = True) -> list[Row]:
    """Medians over cold processes; ``data``: folder of ARCID_DATA with deepface-pairs."""
    root = data or paths.data_dir()
    photos = sorted((root / "data" / "deepface-pairs").glob("img*.jpg"))[:2] if root else []
    bare = _median(runs, lambda: _process([sys.executable, "-c", "import numpy"]))
    rows = [
        _row("import", "import arcid", runs, _median(runs, _import), f"numpy alone {bare:.3f} s")
    ]
    if len(photos) == 2:
        command = [*_COMMAND, "verify", *map(str, photos), "--json"]
        seconds = _median(runs, lambda: _process(command))
        rows.append(_row("verify", "arcid verify, cold process", runs, seconds))
    if service:
        seconds = _median(runs, _service)
        rows.append(_row("service", "arcid serve until ready, empty gallery", runs, seconds))
    return rows


def _row(key: str, form: str, runs: int, seconds: float, notes: str = "") -> Row:
    return row("start", form, seconds, "s", target=TARGET_S[key], samples=runs, notes=notes)


def _median(runs: int, measure: Callable[[], float]) -> float:
    measure()  # the first reads the files from disk
    return statistics.median(measure() for _ in range(runs))


def _process(command: list[str]) -> float:
    """Seconds a process takes from start to end; 0 and 1 (no match) are both answers."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 1):
        said = (done.stdout or done.stderr).strip().splitlines()
        raise ModelError(f"{' '.join(command[2:4])} failed: {said[-1] if said else 'no output'}")
    return seconds


def _import() -> float:
    """Seconds ``import arcid`` takes in a fresh process, beyond starting Python."""
    code = "import time; t = time.perf_counter(); import arcid; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def _service() -> float:
    """Seconds from starting ``arcid serve`` to its first healthy answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="arcid-bench-") as folder:
        command = [*_COMMAND, "serve", "--port", str(port), "--database", f"{folder}/gallery.db"]
        hidden = {name: "" for name in os.environ if name == "ARCID_API_KEYS"}
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | hidden
        )
        try:
            while not _ready(port):
                if process.poll() is not None or time.perf_counter() - started > WAIT_S:
                    raise NotFound("arcid serve did not become ready; run it to see why")
                time.sleep(0.005)
            return time.perf_counter() - started
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=5) as answer:
            return answer.status == 200 and json.load(answer).get("status") in ("ok", "ready")
    except (OSError, ValueError, urllib.error.URLError):
        return False

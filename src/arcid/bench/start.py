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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from arcid import paths
from arcid.bench.common import Row, row
from arcid.errors import ModelError, NotFound

TARGETS = {"verify": 5.0, "service": 8.0}  # ratios
NUMPY = "import numpy"
# What a service has to import whoever wrote it.
FRAMEWORKS = "import numpy, cv2, openvino, sqlalchemy, pydantic, fastapi, uvicorn"
WAIT_S = 60.0
_COMMAND = [sys.executable, "-m", "arcid"]
# With its bytecode, as pip installs arcid.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
_ENVIRONMENT["ARCID_API_KEYS"] = ""


def run(*, runs: int = 5, data: Path | None = None, service: bool = True) -> list[Row]:
    """Medians over cold processes, which take turns with one that imports NumPy; ``data``: folder
    of ARCID_DATA with deepface-pairs."""
    root = data or paths.data_dir()
    photos = sorted((root / "data" / "deepface-pairs").glob("img*.jpg"))[:2] if root else []
    forms: dict[str, Callable[[], float]] = {
        NUMPY: lambda: _process([sys.executable, "-c", NUMPY]),
        "import arcid": _import,
    }
    targets = {}
    with tempfile.TemporaryDirectory(prefix="arcid-bench-") as folder:
        if len(photos) == 2:
            name = "arcid verify, cold process"
            command = [*_COMMAND, "verify", *map(str, photos), "--json"]
            forms[name] = lambda: _process(command)
            targets[name] = TARGETS["verify"]
        if service:
            name = "arcid serve until ready, empty gallery"
            forms[FRAMEWORKS] = lambda: _process([sys.executable, "-c", FRAMEWORKS])
            forms[name] = lambda: _service(Path(folder) / "gallery.db")
            targets[name] = TARGETS["service"]
        for measure in forms.values():
            measure()  # the first reads the files from disk, and makes the gallery
        turns = [{name: measure() for name, measure in forms.items()} for _ in range(runs)]
    return [_row(name, turns, targets.get(name)) for name in forms]


def _row(name: str, turns: Sequence[Mapping[str, float]], target_ratio: float | None) -> Row:
    seconds = [turn[name] for turn in turns]
    ratios = [turn[name] / turn[NUMPY] for turn in turns]
    return row(
        "start",
        name,
        statistics.median(seconds),
        "s",
        best=min(seconds),
        peer=NUMPY,
        ratio=statistics.median(ratios),
        target_ratio=target_ratio,
        samples=len(turns),
        notes=f"ratios {min(ratios):.1f} to {max(ratios):.1f}, load {os.getloadavg()[0]:.1f}",
    )


def _process(command: list[str]) -> float:
    """Seconds a process takes from start to end; 0 and 1 (no match) are both answers."""
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env=_ENVIRONMENT
    )
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 1):
        said = (done.stdout or done.stderr).strip().splitlines()
        raise ModelError(f"{' '.join(command[2:4])} failed: {said[-1] if said else 'no output'}")
    return seconds


def _import() -> float:
    """Seconds ``import arcid`` takes in a fresh process, beyond starting Python."""
    code = "import time; t = time.perf_counter(); import arcid; print(time.perf_counter() - t)"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_ENVIRONMENT
    )
    return float(done.stdout)


def _service(database: Path) -> float:
    """Seconds from starting ``arcid serve`` to its first healthy answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*_COMMAND, "serve", "--port", str(port), "--database", str(database)]
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_ENVIRONMENT
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

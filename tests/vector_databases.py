"""Real servers of vector databases: Milvus of its wheel, and Chroma of its package."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WAIT_S = 120.0


def judges(name: str) -> Path:
    """The Python of an environment of its own: ``make engines``."""
    folder = Path(os.environ.get("ARCID_JUDGES", ROOT / ".venv/judges"))
    python = folder / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        pytest.skip(f"no server of {name} here: make engines installs it")
    return python


class Process:
    """A server that can be killed and started again at the same place."""

    def __init__(self, command: list[str], folder: Path, ready: str, env: dict[str, str]) -> None:
        self._command, self._folder, self._ready, self._env = command, folder, ready, env
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=os.environ | self._env,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + WAIT_S
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(self._ready, timeout=5):
                return
            assert self._process.poll() is None, (self._folder / "log.txt").read_text()[-2000:]
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def milvus(folder: Path) -> Iterator[tuple[str, Process]]:
    """URL and process of Milvus, alone; its ports are those it finds free."""
    python = judges("milvus")
    folder.mkdir(parents=True, exist_ok=True)
    port, health, clients, peers = (free_port() for _ in range(4))
    (folder / "etcd.yaml").write_text(ETCD.format(clients=clients, peers=peers))
    made = [str(python), "-c", MAKE_MILVUS, str(folder), str(port)]
    subprocess.run(made, check=True, capture_output=True)
    env = {
        "LD_LIBRARY_PATH": str(folder / "bin"), "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(health), "ETCD_CONFIG_PATH": str(folder / "etcd.yaml"),
        "MILVUS_RUN_DIR": str(folder / "run"),
    }  # fmt: skip
    command = [str(folder / "bin/milvus"), "run", "standalone"]
    process = Process(command, folder, f"http://127.0.0.1:{health}/healthz", env)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


ETCD = """\
listen-client-urls: http://127.0.0.1:{clients}
advertise-client-urls: http://127.0.0.1:{clients}
listen-peer-urls: http://127.0.0.1:{peers}
initial-advertise-peer-urls: http://127.0.0.1:{peers}
initial-cluster: default=http://127.0.0.1:{peers}
"""
MAKE_MILVUS = """
import sys, milvus
server = milvus.MilvusServer()
server.set_base_dir(sys.argv[1])
server.listen_port = int(sys.argv[2])
server.config.resolve()
milvus._initialize_data_files(sys.argv[1])
"""


@contextlib.contextmanager
def chroma(folder: Path) -> Iterator[tuple[str, Process]]:
    """URL and process of a Chroma server."""
    pytest.importorskip("chromadb", reason="no Chroma: pip install arcid[chroma]")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder / "data"),
        "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    env = {"ANONYMIZED_TELEMETRY": "False"}
    process = Process(command, folder, f"http://127.0.0.1:{port}/api/v2/heartbeat", env)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()

"""A real service of its own in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SET_UP: dict[str, str | None] = {}  # by address: the link that makes the first account


@contextmanager
def serving(
    home: Path, data: Path, *, stop: signal.Signals = signal.SIGTERM, **environment: str
) -> Iterator[str]:
    """``arcid serve`` on a free port with a home of its own; its address without a slash."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
    env = kept | {"ARCID_HOME": str(home), "ARCID_DATA": str(data), **environment}
    with (home / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "arcid", "serve", "--port", "0", "--json"],
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
            SET_UP[address] = ready["set_up"]
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

"""README.md does what it shows.

Fenced blocks run in order, from the root of the repository, in one temporary home:

- ```` ```bash ````     the whole block, by ``bash -euo pipefail``
- ```` ```console ````  its lines that begin with ``$ ``
- ```` ```python ````   the whole block, by a Python of its own with warnings as errors

A shell block that sets a machine up or does not end by itself (``make``, ``git clone``,
``pip install``, ``arcid serve``) is left to CI. A command that answers with an exit code other than
0 on purpose says so: ``arcid verify a.jpg b.jpg || true``. Anything else is not run: give output,
file contents and the like another fence (``text``, ``json``).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(bash|console|python)\n(.*?)^```$", re.M | re.S)
LEFT_OUT = ("make ", "git clone", "pip install", "arcid serve")
BLOCKS = [
    (kind, body)
    for kind, body in BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    if kind == "python" or not any(word in body for word in LEFT_OUT)
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def command(kind: str, body: str) -> list[str]:
    if kind == "python":
        return [sys.executable, "-W", "error", "-c", body]
    if kind == "console":
        body = "\n".join(line[2:] for line in body.splitlines() if line.startswith("$ "))
    return ["bash", "-euo", "pipefail", "-c", body]


def test_the_readme_shows_something_to_run() -> None:
    assert {kind for kind, _ in BLOCKS} & {"bash", "console"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("kind", "body"), BLOCKS, ids=[f"{i}-{kind}" for i, (kind, _) in enumerate(BLOCKS, 1)]
)
def test_block(kind: str, body: str, data_dir: Path, home: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ARCID_")}
    environment = {
        **kept,
        "HOME": str(home),
        "ARCID_HOME": str(home / "arcid"),
        "ARCID_DATA": str(data_dir),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    }
    ran = subprocess.run(
        command(kind, body),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, f"{body}\n--- printed\n{ran.stdout}{ran.stderr}"

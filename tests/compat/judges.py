"""Other systems, each in an environment of its own, that judge arcid's stand-ins for them.

``make .venv/.judged`` installs them; ``ARCID_JUDGES`` names another folder than ``.venv/judges``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def judge(name: str) -> Path:
    """The judge's Python. Where it is absent the test skips, and fails in CI."""
    folder = Path(os.environ.get("ARCID_JUDGES", ROOT / ".venv/judges"))
    python = folder / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.is_file():
        return python
    message = f"{name} is not installed to judge by: make .venv/.judged"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def ask(name: str, script: str, *arguments: str) -> None:
    """Run a script of this folder by the judge's Python."""
    python = judge(name)
    run_script(python, Path(__file__).with_name(script), *arguments)


def run_script(python: str | Path, script: Path, *arguments: str, home: Path | None = None) -> str:
    """What a script prints. ``home``: where it works and what it takes for the user's home."""
    kept = {key: os.environ[key] for key in ("PATH", "TMPDIR", "LANG", "HOME") if key in os.environ}
    if home is not None:
        kept["HOME"] = str(home)
    if str(python) == sys.executable:
        kept["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = subprocess.run(
        [str(python), "-W", "ignore", str(script), *arguments],
        capture_output=True, text=True, timeout=900, check=False, env=kept, cwd=home,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def scripts(page: str) -> tuple[list[str], list[str]]:
    """The lines of a page's script before and after."""
    text = (ROOT / f"docs/compat/{page}.md").read_text()
    before, after = re.findall(r"```py(?:thon)?\n(.*?)```", text, re.DOTALL)[:2]
    return before.splitlines(), after.splitlines()

"""A command as a process: exit codes where nobody takes its output, and signals that end it."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arcid.cli import process
from arcid.cli.output import print_json

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, /dev/full and hanging up are POSIX's")
FULL = "error: standard output: No space left on device\n"
HOLD = """
import pathlib, sys, time, typer
from arcid.cli.output import run_command
app = typer.Typer()
@app.command()
def hold(folder: pathlib.Path) -> None:
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        folder.rmdir()
sys.exit(run_command(app, sys.argv[1:]))
"""


def arcid(*words: str, stdout: int | None) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-m", "arcid", *words], env=known, stdout=stdout, stderr=subprocess.PIPE,
        text=True, check=False, timeout=60,
    )  # fmt: skip


@posix
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--version",), 0),
        (("mcp", "--help"), 0),  # rich writes it, as tables
        (("mcp", "--url", "none", "--json"), 2),
    ],
)
def test_who_stops_reading_has_read_enough(words: tuple[str, ...], code: int) -> None:
    read, written = os.pipe()
    os.close(read)
    try:
        ran = arcid(*words, stdout=written)
    finally:
        os.close(written)
    assert (ran.returncode, ran.stderr) == (code, "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "ascii", "cp1251", "cp1252", "cp932"])
def test_json_is_json_in_any_encoding_of_standard_output(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written, value = io.BytesIO(), {"name": "Zoë 😀 Łukasz \udcff"}
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, "strict"))
    process.open_streams()
    print_json(value)
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode("utf-8")) == value


def test_what_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {"fmr": np.float64("nan"), "tar": [0.5, -math.inf, (math.inf, "NaN")]}
    print_json({"rates": rates, "path": Path("a")})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found == {"rates": {"fmr": None, "tar": [0.5, None, [None, "NaN"]]}, "path": "a"}


@posix
def test_an_output_that_takes_no_more_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        ran = arcid("--version", stdout=full.fileno())
    assert (ran.returncode, ran.stderr) == (5, FULL)


@posix
def test_a_command_needs_no_standard_output() -> None:
    words = ["sh", "-c", 'exec "$0" -m arcid --version >&-', sys.executable]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


@posix
@pytest.mark.parametrize("ignored", [False, True])
def test_losing_the_terminal_ends_a_command_as_being_asked_to(
    tmp_path: Path, ignored: bool
) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    words = [sys.executable, "-c", HOLD, str(folder)]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        if ignored:  # as under nohup
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            process.terminate()
        assert process.wait(30) == 130
    assert not folder.exists()

"""Absurd input to every command: a message and a documented exit code, never a traceback."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.docs.test_commands import COMMANDS

CODES = {0, 1, 2, 3, 4, 5}
#: What makes a command end soon, whatever else it is told; FACE is a photo, DIR a folder with it.
BASE: dict[str, list[str]] = {
    "detect": ["FACE"],
    "embed": ["FACE", "-o", "OUT/x.npz"],
    "verify": ["FACE", "FACE"],
    "search": ["FACE"],
    "enrol": ["Ada", "FACE"],
    "align": ["DIR", "OUT/crops"],
    "calibrate": ["DIR"],
    "attend": ["--source", "FACE"],
    "liveness": ["FACE"],
    "serve": ["--host", "203.0.113.1"],
    "demo": ["--photos", "DIR"],
    "mcp": ["--url", "none_such"],
    "bench": ["--only", "none_such"],
    "compare": ["BINARY", "BINARY"],
    "backbones": [],
    "train": ["BINARY"],
    "distill": ["BINARY"],
    "study": ["BINARY"],
    "clean": ["BINARY"],
    "export": ["BINARY", "--out", "OUT"],
    "invert": ["none_such", "DIR", "--out", "OUT"],
    "audit inversion": ["--people", "DIR", "--basis", "research", "--out", "OUT"],
    "events explain": ["none"],
    "events correct": ["none", "void"],
    "events add": ["arrival", "Ada", "2026-01-01"],
    "events export": ["OUT/x.csv"],
    "detector label": ["--out", "OUT/x.jsonl", "--scenes", "BINARY"],
    "detector faces": ["--out", "OUT/x.tar", "--labels", "BINARY", "--scenes", "BINARY"],
    "detector train": ["BINARY"],
    "detector points": ["BINARY"],
    "detector export": ["DIR", "--to", "OUT"],
    "detector landmarks": ["DIR", "--to", "OUT"],
    "detector evaluate": ["none_such"],
    "models import": ["BINARY", "--name", "x", "--like", "arcface"],
    "models pull": ["none_such"],
    "models info": ["none_such"],
    "models accept": ["none_such"],
    "evaluate ijb": ["--data", "DIR", "--embeddings", "BINARY"],
    "evaluate megaface": ["--data", "DIR", "--probes", "BINARY", "--distractors", "BINARY"],
    "evaluate fairness": ["--data", "DIR", "--groups", "BINARY", "--column", "x"],
}
LEFT_OUT = {"--json", "--help", "--version"}
PATHS = ("/dev/null", "DIR", "EMPTY", "BINARY", "MISSING", "OUT/file/x", "y" * 300)
NUMBERS = ("nan", "inf", "-inf", "-1", "0", "1e308", "9" * 400, "1e-320")
WORDS = ("", "none_such", "\u202e\ufeff", "a/../../b", "z" * 5000, "=1+1", "\ud800")


def absurd(name: str) -> Iterator[list[str]]:
    """The words of one run each: a single parameter is absurd."""
    command = COMMANDS[name]
    base = BASE.get(name, _needed(command))
    yield base
    for parameter in command.params:
        flag = parameter.opts[0]
        kind = str(parameter.type_descriptor.annotation).lower()
        if flag in LEFT_OUT or getattr(parameter, "is_flag", False):
            continue
        values = NUMBERS if "int" in kind or "float" in kind else WORDS
        if "path" in kind or flag in ("--source", "--data", "--database", "--scenes"):
            values = PATHS
        for value in values:
            if flag.startswith("-"):
                yield [*_without(base, parameter.opts), flag, value]
            elif base:
                place = [p for p in command.params if not p.opts[0].startswith("-")].index(
                    parameter
                )
                yield [*base[:place], value, *base[place + 1 :]]


def _needed(command: Any) -> list[str]:
    """Required arguments as nothing that is there."""
    found: list[str] = []
    for parameter in command.params:
        if parameter.required and parameter.opts[0].startswith("-"):
            found += [parameter.opts[0], "none_such"]
        elif parameter.required:
            found.append("none_such")
    return found


def _without(base: list[str], flags: list[str]) -> list[str]:
    for flag in flags:
        if flag in base:
            at = base.index(flag)
            return base[:at] + base[at + 2 :]
    return base


@pytest.fixture
def places(data_dir: Path, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dir" / "ada").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("x")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 8)
    shutil.copy(data_dir / "data/deepface-pairs/img1.jpg", tmp_path / "face.jpg")
    shutil.copy(tmp_path / "face.jpg", tmp_path / "dir" / "ada" / "1.jpg")
    names = {"FACE": "face.jpg", "DIR": "dir", "EMPTY": "empty", "BINARY": "binary", "OUT": "out"}
    return {word: str(tmp_path / name) for word, name in names.items()} | {
        "MISSING": str(tmp_path / "missing" / "x")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_absurd_input_is_told(
    cli: Any, places: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
    found = []
    for words in absurd(name):
        argv = [*name.split()]
        for word in words:
            head, slash, tail = word.partition("/")
            argv.append(places[head] + slash + tail if head in places else word)
        shown = " ".join(word[:40] for word in argv)
        try:
            ran = cli(*argv)
        except BaseException as error:
            found.append(f"{shown!a}: {type(error).__name__}: {error!s:.200}")
            continue
        assert ran.code in CODES, shown
        assert "Traceback" not in ran.err, shown
        assert ran.code == 0 or ran.err.strip() or ran.out.strip(), shown
    assert not found, "\n".join(found)

"""The exit codes of docs/commands.md, by what went wrong."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.docs.test_commands import COMMANDS

FACE, NONE = "deepface-pairs/img1.jpg", "photos/misc/no_face.png"
CASES = {
    "detect: no such photo": (3, ("detect", "missing.jpg")),
    "embed: no face": (3, ("embed", NONE, "-o", "x.npz")),
    "embed: no place": (2, ("embed", FACE, "-o", "/dev/null/x.npz")),
    "embed: no such ending": (2, ("embed", FACE, "-o", "x.txt")),
    "embed: disk full": (5, ("embed", FACE, "-o", "full.npz")),
    "embed: no such model": (4, ("embed", FACE, "-o", "x.npz", "--model", "none_such")),
    "detect: no such detector": (4, ("detect", FACE, "--detector", "none_such")),
    "verify: no match": (1, ("verify", FACE, "deepface-pairs/img17.jpg")),
    "verify: a match": (0, ("verify", FACE, "deepface-pairs/img2.jpg")),
    "verify: a rate without data": (4, ("verify", FACE, FACE, "--fmr", "1e-12")),
    "verify: a rate without meaning": (2, ("verify", FACE, FACE, "--fmr", "7")),
    "onboarding: no place": (2, ("onboarding", "calibrate", "missing", "-o", "/dev/null/x.json")),
    "duplicates: no place": (
        2, ("duplicates", "export", "--collection", "none_such", "-o", "/dev/null/x.csv")
    ),
    "search: nobody there": (1, ("search", FACE)),
    "search: no such collection": (5, ("search", FACE, "--collection", "none_such")),
    "gallery: no such collection": (5, ("gallery", "show", "none_such")),
    "attend: no such source": (3, ("attend", "--source", "missing.mp4")),
    "attend: a link-local camera": (2, ("attend", "--source", "rtsp://169.254.1.1/s")),
    "calibrate: no folder": (3, ("calibrate", "missing")),
    "calibrate: no such model": (4, ("calibrate", "deepface-pairs", "--model", "none_such")),
    "train: no recipe": (2, ("train", "missing.yaml")),
    "models: no such model": (4, ("models", "info", "none_such")),
    "models: nothing accepted": (2, ("models", "accept", "none_such", "--undo")),
    "evaluate: no data": (3, ("evaluate", "folder", "--data", "missing")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_went_wrong_has_its_code(
    cli: Any, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code, words = CASES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full.npz").symlink_to("/dev/full")
    found = [data_dir / "data" / word for word in words]
    argv = [str(path) if path.exists() and path.suffix != "" else word
            for word, path in zip(words, found, strict=True)]  # fmt: skip
    if words[0] == "calibrate" and words[1] == "deepface-pairs":
        argv[1] = str(data_dir / "data/lfw-dev/images")
    ran = cli(*argv)
    assert ran.code == code, ran
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_wrong_command_line(
    cli: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.main.get_command", functools.cache(typer.main.get_command))
    assert cli(*name.split(), "--none-such").code == 2

"""The command line, called inside this process: ``cli("verify", a, b)``."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENT = ("ARCID_MODELS", "ARCID_DATABASE", "ARCID_DETECTOR", "ARCID_RECOGNISER")


@dataclass(frozen=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, f"not one JSON object: {self.out!r}"
        return json.loads(self.out)


def _opened_once(load: Callable[..., Any]) -> Callable[..., Any]:
    """``load``, remembered for its arguments and for the variables that name the defaults."""

    @functools.cache
    def remembered(variables: tuple[str | None, ...], *args: Any, **options: Any) -> Any:
        return load(*args, **options)

    @functools.wraps(load)
    def opened(*args: Any, **options: Any) -> Any:
        return remembered(tuple(map(os.environ.get, ENVIRONMENT)), *args, **options)

    return opened


@pytest.fixture(scope="session")
def _openers() -> tuple[Callable[..., Any], Callable[..., Any]]:
    from arcid import pipeline

    return _opened_once(pipeline.Pipeline.from_models), _opened_once(pipeline.load_detector)


@pytest.fixture
def opened_models(
    _openers: tuple[Callable[..., Any], Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real models, opened once for the commands of all tests that ask for this."""
    from arcid import pipeline

    monkeypatch.setattr(pipeline.Pipeline, "from_models", _openers[0])
    monkeypatch.setattr(pipeline, "load_detector", _openers[1])


@pytest.fixture(scope="module")
def one_thread(data_dir: Path) -> Iterator[None]:
    """torch on one thread, so that sums come in one order; models of the data folder."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        yield
    torch.set_num_threads(before)


@pytest.fixture
def environment(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, the models of the data folder; returns the home."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def cli(
    environment: Path, opened_models: None, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    from arcid.cli import app
    from arcid.cli.output import run_command

    def run(*argv: object) -> Ran:
        capfd.readouterr()
        code = run_command(app, [str(word) for word in argv])
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run

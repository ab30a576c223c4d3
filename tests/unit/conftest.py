"""The command line, called inside this process: ``cli("verify", a, b)``."""

from __future__ import annotations

import functools
import json
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


@pytest.fixture(scope="session")
def opened_models() -> Iterator[None]:
    """Real models, opened once for all commands of this process."""
    from arcid import pipeline

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pipeline.Pipeline, "from_models", functools.cache(pipeline.Pipeline.from_models)
        )
        patch.setattr(pipeline, "load_detector", functools.cache(pipeline.load_detector))
        yield


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

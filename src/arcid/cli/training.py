"""What the commands that train share: the config, the run, and how its result is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid import extras
from arcid.cli.output import INTERRUPTED, Exit, note, print_json, say

if TYPE_CHECKING:
    from arcid.train.config.recipe import TrainConfig
    from arcid.train.engine.loop import TrainResult

ConfigFile = Annotated[Path, typer.Argument(help="YAML file of the run.", metavar="CONFIG")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Settings that replace the file's, such as optim.lr=0.05 or out=runs/try.",
        metavar="KEY=VALUE",
    ),
]


def read_config(path: Path, overrides: Sequence[str] | None) -> TrainConfig:
    """The resolved config. Raises ``ConfigError`` and ``MissingExtra``."""
    prepare()
    from arcid.train.config.recipe import load_config

    return load_config(path, overrides or ())


def prepare() -> None:
    """Make this process one that trains, before torch is loaded. Raises ``MissingExtra``."""
    require_torch()
    from arcid.train.engine.memory import prepare_process

    prepare_process()


def run_training(wanted: TrainConfig, detector: str | None, *, quiet: bool) -> TrainResult:
    """Train; what is going on is told on standard error, by the first rank."""
    from arcid.apps.aligned import Aligner
    from arcid.train.recogniser.job import train as run

    return run(wanted, align=Aligner(wanted.data.size, detector), **told(quiet))


def told(quiet: bool) -> dict[str, Any]:
    """How a run tells what is going on: on standard error, unless ``quiet``, by the first rank."""
    quiet = quiet or not is_first_rank()
    return {"progress": not quiet, "tell": None if quiet else note}


def report(result: TrainResult, more: dict[str, Any], *, json: bool) -> None:
    """The result on standard output; exit code 130 where the run was interrupted."""
    facts: dict[str, Any] = {
        "run": str(result.run),
        "checkpoint": str(result.checkpoint),
        "steps": result.steps,
        "epochs": round(result.epochs, 4),
        "seconds": round(result.seconds, 1),
        "images_per_s": round(result.images_per_s, 1),
        "stopped": result.stopped,
        "metrics": dict(result.metrics),
        **more,
    }
    if json:
        print_json(facts)
    else:
        state = "stopped; run it again to go on" if result.stopped else "done"
        say(f"{state}: {result.steps} steps, {facts['epochs']:g} epochs, {facts['seconds']:g} s")
        shown = {k: v for k, v in result.metrics.items() if k not in ("step", "epoch")}
        for name, value in {**shown, **more}.items():
            say(f"  {name}: {value:.4f}" if isinstance(value, float) else f"  {name}: {value}")
        say(f"checkpoint: {result.checkpoint}")
    sys.stdout.flush()
    if result.stopped:
        raise Exit(INTERRUPTED)


def is_first_rank() -> bool:
    """Whether this process is the one of a run that talks."""
    return os.environ.get("RANK", "0") == "0"


def require_torch() -> None:
    """Raise ``MissingExtra`` where the trainer's packages are not installed."""
    extras.require("training", "train", "torch", "pydantic", "yaml")

"""``arcid distill``: teach a small network what ready models know."""

from __future__ import annotations

import dataclasses

import typer

from arcid.cli.options import Detector
from arcid.cli.output import Json
from arcid.cli.training import (
    ConfigFile,
    Overrides,
    is_first_rank,
    read_config,
    report,
    run_training,
)


def register(app: typer.Typer) -> None:
    app.command()(distill)


def distill(
    config: ConfigFile,
    overrides: Overrides = None,
    detector: Detector = None,
    json: Json = False,
) -> None:
    """Train a student that embeds like the teachers of its config.

    distil.teachers names them: models, or folders of bundles. Photos without identity take part. At
    the end it says how many of its dimensions the student really uses (effective rank), on photos
    held out where there are any. Goes on where a run stopped, and has the arguments of arcid train.

    Example: arcid distill configs/face_s_1.yaml schedule.minutes=90
    """
    from arcid.errors import UsageError

    wanted = read_config(config, overrides)
    if not wanted.distil.teachers:
        raise UsageError(
            f"{config.name} names no teachers (distil.teachers); add one, or run: "
            f"arcid train {config.name}"
        )
    result = run_training(wanted, detector, quiet=json)
    if not is_first_rank():
        return
    from arcid.train.study.student import measure_student

    student = dataclasses.asdict(measure_student(result.checkpoint))
    if json:
        report(result, {"student": student}, json=True)
        return
    found = (
        f"{student['effective_rank']:.1f} of {student['dim']} dimensions, on {student['photos']} "
        f"photos {student['which']}"
    )
    report(result, {"effective_rank": found}, json=False)

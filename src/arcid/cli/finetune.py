"""``arcid finetune``: a ready recogniser, fitted to your own people, and whether it is better."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.output import Json, note, print_json, say
from arcid.cli.training import Overrides, is_first_rank, report, require_torch, run_training

if TYPE_CHECKING:
    from arcid.train.finetune import Outcome


def register(app: typer.Typer) -> None:
    app.command()(finetune)


def finetune(
    crops: Annotated[
        Path,
        typer.Argument(help="Aligned crops by person, as arcid align makes them.", metavar="DIR"),
    ],
    overrides: Overrides = None,
    model: Annotated[
        str,
        typer.Option(
            "--from",
            help="Recogniser to begin from: a bundle written by arcid export, or a run; default: "
            "the default.",
            metavar="MODEL",
        ),
    ] = "",
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder of the run.", metavar="RUN")
    ] = "runs/finetune",
    epochs: Annotated[
        float, typer.Option("--epochs", min=0, help="Passes over the photos; default: 20.")
    ] = 0.0,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="Length by the clock instead.")
    ] = 0.0,
    name: Annotated[
        str, typer.Option("--name", help="Name of the new model; default: MODEL-own.")
    ] = "",
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the split into people, and of the run.")
    ] = 1,
    json: Json = False,
) -> None:
    """Fit a ready recogniser to your own people, and say whether that made it better.

    The people of DIR are divided: most are learnt from, some end the run when they are recognised
    no better any more, and some are kept to judge the result. Twenty people with two photos each
    are the least.

    The best state becomes a bundle in RUN/models, with a calibration. It is compared with MODEL on
    the people kept to judge: better, worse, or not to be told apart. Only where it is better are
    the commands told that would put it to use; nothing is replaced. Exit code 0 in all three cases.

    Stopped or killed, the same command goes on. KEY=VALUE replaces settings of the recipe, as in
    arcid train.

    Example: arcid finetune crops/ --out runs/ours --name ours
    """
    require_torch()
    from arcid.train.engine.memory import prepare_process

    prepare_process()
    from arcid.train.finetune import finish, make_plan

    plan = make_plan(
        crops, model, out=out, name=name, seed=seed, epochs=epochs, minutes=minutes,
        overrides=overrides or (),
    )  # fmt: skip
    if not json and is_first_rank():
        for line in plan.groups.lines():
            note(line)
    result = run_training(plan.config, None, quiet=json)
    if not is_first_rank():
        return
    if result.stopped:
        report(result, {}, json=json)
    if not json:
        note(f"{result.steps} steps in {result.seconds:.0f} s; exporting, calibrating, judging")
    done = finish(plan)
    use = _commands(done) if done.verdict.outcome == "better" else []
    if json:
        facts = {
            "run": str(result.run),
            "steps": result.steps,
            "epochs": round(result.epochs, 4),
            "seconds": round(result.seconds, 1),
            "stopped": False,
            "people": plan.groups.to_dict(),
        }
        print_json({**facts, **done.to_dict(), "use": use})
    else:
        _show(done, use)


def _show(done: Outcome, use: list[str]) -> None:
    for sentence in done.verdict.sentences:
        say(sentence)
    if not use:
        say(f"Nothing speaks for changing; {done.verdict.original} stays in use.")
    say(f"bundle: {done.bundle}")
    if done.calibration is None:
        say(f"not calibrated: {done.uncalibrated}")
    else:
        people = done.calibration.data["people"]
        also = f" and the calibration of {done.verdict.original}" * done.calibration.combined
        say(f"calibrated on {people} people it did not learn from{also}:")
        for row in done.calibration.data["thresholds"]:
            beyond = ", beyond all data" * row["extrapolated"]
            say(f"  FMR {row['fmr']:g}: cosine {row['cosine']:.3f}, FNMR {row['fnmr']:.4f}{beyond}")
        if done.calibration.combined:
            say("with more people thresholds fall: arcid calibrate, on people it never saw")
    if use:
        say("to use it:")
        for command in use:
            say(f"  {command}")


def _commands(done: Outcome, *, windows: bool = os.name == "nt") -> list[str]:
    """What would put the new model to use, in words of this system's shells."""
    from arcid import paths

    bundle, place = str(done.bundle), paths.models_dir()
    if windows:
        target = str(place / done.bundle.name)
        copying = [subprocess.list2cmdline(["robocopy", bundle, target, "/E"])]
    else:
        copying = [
            shlex.join(["mkdir", "-p", str(place)]),
            shlex.join(["cp", "-r", bundle, str(place)]),
        ]
    return [
        *copying,
        f"arcid models use {done.name}",
        f"arcid gallery reembed --to {done.name}   # each collection that is there",
    ]

"""``arcid clean``: find photos with a wrong name by sub-centre purification."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.options import Detector
from arcid.cli.output import INTERRUPTED, Exit, Json, note, print_json, say
from arcid.cli.training import Overrides, read_config, require_torch, run_training

if TYPE_CHECKING:
    from arcid.train.config.recipe import TrainConfig


def register(app: typer.Typer) -> None:
    app.command()(clean)


def clean(
    source: Annotated[
        Path,
        typer.Argument(
            help="YAML file of a run with sub-centres, or the folder of such a run or checkpoint.",
            metavar="SOURCE",
        ),
    ],
    overrides: Overrides = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the lists; default: clean in the run's."),
    ] = None,
    angle: Annotated[
        float, typer.Option("--angle", help="Photos beyond it are dropped, in degrees.")
    ] = 75.0,
    min_photos: Annotated[
        int,
        typer.Option("--min-photos", help="Identities with fewer photos are left alone."),
    ] = 20,
    sheets: Annotated[
        int,
        typer.Option("--sheets", min=0, help="Dropped photos drawn on contact sheets; 0: none."),
    ] = 600,
    detector: Detector = None,
    json: Json = False,
) -> None:
    """Find photos that carry a wrong name (docs/concepts/purification.md).

    A network with several centres an identity is trained, or a trained one opened; photos more than
    75° from the dominant sub-centre of their identity are dropped. Identities with fewer than 20
    photos are left alone and reported. Writes kept.csv, the list to train on again with data.keep,
    dropped.csv, identities.csv, a report, and contact sheets of what was dropped. Lists and sheets
    are readable by their owner only.

    Example: arcid clean configs/clean_small.yaml --angle 75
    """
    require_torch()
    from arcid.errors import UsageError
    from arcid.evaluate.report import plain
    from arcid.train.clean import Rule
    from arcid.train.clean import clean as purify
    from arcid.train.clean.report import record

    rule = Rule(angle, min_photos)
    if source.is_dir() and overrides:
        raise UsageError(f"{overrides[0]} changes a config; {source.name} is a finished run")
    wanted: TrainConfig | Path = source if source.is_dir() else read_config(source, overrides)

    def run(config: TrainConfig) -> Path:
        result = run_training(config, detector, quiet=json)
        if result.stopped:
            note("stopped before its end; run it again to go on")
            raise Exit(INTERRUPTED)
        return result.checkpoint

    result = purify(
        wanted,
        output,
        rule,
        run=run,
        sheet_photos=sheets,
        tell=(lambda line: None) if json else note,
    )
    facts = record(result)
    if json:
        print_json(plain({**facts, "report": str(result.folder / "report.html")}))
        return
    say(
        f"{result.dropped} of {result.judged_photos} photos lie beyond {angle:g}° of the dominant "
        f"sub-centre of their identity"
    )
    say(
        f"{result.judged_identities} identities judged, {facts['untouched_identities']} left alone "
        f"with fewer than {min_photos} photos"
    )
    if result.emptied:
        say(f"{len(result.emptied)} identities lost every photo; the network may need more steps")
    say(f"train on: data.keep={result.kept_list}")
    say(f"report: {result.folder / 'report.html'}")

"""``arcid study``: which loss is better, and can one say so?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.options import Detector
from arcid.cli.output import Json, note, print_json, print_table, say
from arcid.cli.training import Overrides, require_torch


def register(app: typer.Typer) -> None:
    app.command()(study)


def study(
    config: Annotated[Path, typer.Argument(help="YAML file of the study.", metavar="CONFIG")],
    overrides: Overrides = None,
    detector: Detector = None,
    json: Json = False,
) -> None:
    """Compare losses by a study file (docs/concepts/studies.md).

    Every loss in rounds with more and more identities, one budget of steps, several seeds. Writes
    one report (HTML, Markdown, JSON) with curves, closed-set accuracy, and verification of people
    never trained on with intervals over people and seeds. A loss is placed above another only where
    the interval of their difference leaves out zero; there may be no winner. Goes on where it was
    stopped.

    Example: arcid study configs/study_small.yaml out=runs/losses
    """
    require_torch()
    from arcid.train.engine.memory import prepare_process

    prepare_process()
    from arcid.apps.aligned import Aligner
    from arcid.evaluate.report import plain
    from arcid.train.study.config import load_study
    from arcid.train.study.report import record
    from arcid.train.study.run import run_study

    wanted = load_study(config, overrides or ())
    size = wanted.run_config(*wanted.runs()[0]).data.size
    result = run_study(
        wanted,
        align=Aligner(size, detector),
        progress=not json,
        tell=(lambda line: None) if json else note,
    )
    report = result.folder / "report.html"
    if json:
        print_json(plain({**record(result), "report": str(report)}))
        return
    last = result.rounds[-1]
    rows = []
    for name in last.ranking.names:
        own, (best, worst) = last.ranking.values[name], last.ranking.places(name)
        place = f"{best}" if best == worst else f"{best}–{worst}"
        interval = f"{100 * own.low:.2f} – {100 * own.high:.2f}"
        rows.append((name, place, round(100 * own.value, 2), interval))
    say(f"{last.identities} identities, TAR % at FMR {wanted.fmr:g} on {result.strangers[0]} "
        "people never trained on")  # fmt: skip
    print_table(("loss", "place", "TAR", "95 % interval"), rows)
    say(result.statement)
    say(f"report: {report}")

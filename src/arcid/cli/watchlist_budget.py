"""``arcid watchlist budget``: what a list's budget comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database, Model
from arcid.cli.output import Json, note, print_json, print_table, say
from arcid.cli.watchlist_terms import ListName

if TYPE_CHECKING:
    from arcid.apps.watchlists import Line


def register(app: typer.Typer) -> None:
    app.command()(budget)


def budget(
    name: ListName,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="Whose faces an hour count; default: of a camera unknown."),
    ] = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """What a list's budget comes to: its thresholds now, and what to expect of them.

    Example: arcid watchlist budget Banned --camera door
    """
    from arcid.apps.watchlists import Watchlists
    from arcid.models import weights
    from arcid.types import counted

    found = weights.resolve(model) if model else weights.resolve_default("recognition")
    calibration = weights.find_calibration(found)
    with open_gallery(database) as gallery:
        now = Watchlists(gallery).budget(name, camera, calibration)
    if json:
        print_json({"camera": camera, **now.to_dict()})
        return
    flow = now.flow
    known = f"measured over {flow.hours:.1f} h" if flow.hours else "assumed: not measured yet"
    say(f"{counted(now.templates, 'template')}; {flow.faces_per_hour:.0f} faces an hour ({known})")
    rows = [_line("alert", now.alert), _line("silent review", now.review)]
    print_table(
        ("", "false ones an hour", "of one face", "cosine from", "at most an hour", "missed"),
        rows,
    )
    if "measured" not in {now.alert.support} or now.review.support != "measured":
        note(
            "a threshold is extrapolated beyond the calibration's measured data: the expected "
            "number may be wrong by the interval shown; arcid calibrate measures your own people"
        )


def _line(what: str, line: Line) -> tuple[str, ...]:
    return (
        what,
        f"{line.per_hour:g}",
        f"{line.target_fpir:.2g}",
        f"{line.cosine_threshold:.3f} ({line.support.replace('_', ' ')})",
        f"{line.expected_per_hour:.2g} [{line.expected_low:.2g}, {line.expected_high:.2g}]",
        f"{line.missed:.0%}",
    )

"""``arcid align``: photos by person → aligned crops that training reads."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arcid.cli.options import Detector
from arcid.cli.output import REJECTED, Exit, Json, note, print_json, say
from arcid.errors import in_words
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid.apps.aligning import Report

SHOWN = 10  # conflicts


def register(app: typer.Typer) -> None:
    app.command()(align)


def align(
    folder: Annotated[
        Path, typer.Argument(help="One folder per person, photos inside.", metavar="DIR")
    ],
    output: Annotated[
        Path,
        typer.Argument(help="Folder for the crops, or a file ending in .tar.", metavar="OUT"),
    ],
    size: Annotated[int, typer.Option("--size", help="Pixels a side of a crop.")] = 128,
    margin: Annotated[
        int,
        typer.Option("--margin", help="Pixels of them around the face's template, on every side."),
    ] = 8,
    format: Annotated[
        Literal["png", "webp"],
        typer.Option("--format", help="Both without loss: png is quicker made, webp is smaller."),
    ] = "png",
    several: Annotated[
        Literal["leave", "take"],
        typer.Option(
            "--several",
            help="Photos in which several faces may be meant: leave them out, or take the most "
            "prominent face.",
        ),
    ] = "leave",
    min_eyes: Annotated[
        float,
        typer.Option("--min-eyes", help="Pixels between the eyes of the smallest face taken."),
    ] = 16.0,
    quality: Annotated[
        bool,
        typer.Option("--quality/--no-quality", help="Leave out what enrolling refuses, too."),
    ] = False,
    shards: Annotated[
        int, typer.Option("--shards", help="Write so many tars into the folder OUT; 0: none.")
    ] = 0,
    detector: Detector = None,
    json: Json = False,
) -> None:
    """Cut an aligned crop of every photo of a folder, for training.

    DIR has one folder per person; photos in deeper folders are theirs too. OUT gets the crops by
    person, as arcid train reads them, and a report with a line for every photo: its crop, or why it
    was left out (report.csv in OUT, OUT.report.csv beside a tar). Nothing in DIR is changed.

    A picture that a person has twice is cut once. One that lies with two people is a conflict:
    neither gets it, and both places are told. Blurred, dark and turned faces are good to learn
    from, so only --quality leaves them out.

    Stopped or killed, the same command goes on where it was. Run again later, it takes in photos
    that came or changed, and drops the crops of those that are gone. An OUT that holds anything
    else is refused. Exit code 1 where no photo gave a crop.

    Example: arcid align people/ crops/
    """
    from arcid.apps.aligning import How, align_photos, list_photos
    from arcid.pipeline import load_detector

    how = How(size, margin, format, several, min_eyes, quality, shards)
    listing = list_photos(folder)
    finder = load_detector(detector)
    with progress_bar("aligning", len(listing.photos), quiet=json) as advance:
        report = align_photos(listing, finder, output, how, advance=advance)
    if json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.crops:
        raise Exit(REJECTED)


def _print_report(report: Report) -> None:
    people = "1 person" if report.people == 1 else f"{report.people:,} people"
    say(
        f"{report.crops:,} crops of {people} from {len(report.entries):,} photos, "
        f"in {report.output.out}"
    )
    if report.known:
        say(f"{report.known:,} photos were finished before")
    if reasons := report.left_out():
        say(f"{sum(reasons.values()):,} left out: {in_words(reasons)}")
    if report.chosen:
        say(f"in {report.chosen:,} photos several faces may be meant; the most prominent was taken")
    say(f"every photo with its crop or its reason: {report.output.report}")
    if report.crops:
        say(f"in a recipe: sources: [{json_text.dumps(dict(report.source), ensure_ascii=False)}]")
    for entry in report.conflicts[:SHOWN]:
        note(f"conflict: {entry.photo}: {entry.detail}; keep it with the one it shows")
    if (more := len(report.conflicts) - SHOWN) > 0:
        note(f"{more:,} more conflicts are in the report")

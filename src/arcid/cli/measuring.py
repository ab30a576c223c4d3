"""What the measuring commands share: their options, spread into each of them, and the report."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from arcid.apps.photo_options import Options
from arcid.cli.output import (
    message_of,
    note,
    plain,
    print_json,
    print_table,
    say,
)
from arcid.errors import in_words
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid.apps.evaluate_photos import Run
    from arcid.evaluate.readers import PairList
    from arcid.evaluate.report import Document

LISTED = 10  # failed photos named on the terminal
FACES, REPORT = "Model and faces", "Report"
Data = Annotated[Path | None, typer.Option("--data", help="Folder or file of the data set.")]


@dataclass(frozen=True)
class How(Options):
    """The options of every measuring command."""

    json: bool = False


def _option(panel: str, words: str, *flags: str, **limits: Any) -> Any:
    return typer.Option(*flags, help=words, rich_help_panel=panel, **limits)


OPTIONS: dict[str, Any] = {  # of How's fields
    "model": _option(FACES, "Recogniser; default: ARCID_RECOGNISER, else arcid's own.", "--model"),
    "detector": _option(
        FACES, "Detector; default: ARCID_DETECTOR, else arcid's own.", "--detector"
    ),
    "select": _option(
        FACES,
        "Which face of a photo is the labelled one; prominent refuses where several may be meant.",
        "--select",
    ),
    "aligned": _option(FACES, "The photos are aligned square crops already.", "--aligned"),
    "margin": _option(
        FACES, "Pixels to cut off every side of aligned crops.", "--margin", min=0, max=256
    ),
    "masked": _option(FACES, "Draw a face mask on every aligned face.", "--masked"),
    "background": _option(
        FACES, "Grey out what is around the face, by an ellipse or its contour.", "--background"
    ),
    "embeddings": _option(
        FACES, "Measure these vectors (.npz, .npy) instead of running a model.", "--embeddings"
    ),
    "save_embeddings": _option(
        FACES, "Keep the vectors in this .npz; they are personal data.", "--save-embeddings"
    ),
    "cache": _option(
        FACES,
        "Folder of vectors made before; default: cache/embeddings under ARCID_HOME.",
        "--cache",
    ),
    "no_cache": _option(FACES, "Neither read nor keep vectors.", "--no-cache"),
    "workers": _option(FACES, "Processes that embed the photos.", "--workers", min=1, max=256),
    "ray": _option(
        FACES,
        "Embed over a Ray cluster instead: auto (of this machine, or RAY_ADDRESS), local (one of "
        "its own) or HOST:PORT. Needs arcid[ray], and the photos under the same paths everywhere.",
        "--ray",
        metavar="ADDRESS",
    ),
    "seed": _option(REPORT, "Of everything that is drawn.", "--seed"),
    "output": _option(
        REPORT, "Folder for report.html, report.json and report.md.", "--output", "-o"
    ),
    "no_pictures": _option(REPORT, "Leave all photos out of the page.", "--no-pictures"),
    "json": _option(REPORT, "Print one JSON object on standard output.", "--json"),
}


def measures(function: Callable[..., None]) -> Callable[..., None]:
    """Spread the ``how: How`` of a command into single options, after its own."""
    return measures_without()(function)


def measures_without(
    *left_out: str, **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As ``measures``, without some of the options, or with other ``defaults``."""
    return lambda function: _spread(function, left_out, defaults)


#: Sets whose authors label the face in the middle of every photo.
measures_published = measures_without(select="center")


def _spread(
    function: Callable[..., None], left_out: Sequence[str], defaults: Mapping[str, Any]
) -> Callable[..., None]:
    own = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    shared = get_type_hints(How)
    names = [f.name for f in fields(How) if f.name not in left_out]

    def command(**given: Any) -> None:
        function(how=How(**{name: given.pop(name) for name in names}), **given)

    parameters = [
        p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name])
        for p in own.parameters.values()
        if p.name != "how"
    ]
    parameters += [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=defaults.get(f.name, f.default),
            annotation=Annotated[shared[f.name], OPTIONS[f.name]],
        )
        for f in fields(How)
        if f.name in names
    ]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__module__ = function.__module__
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    cast(Any, command).__signature__ = inspect.Signature(parameters)  # typer reads it
    return command


def begin(how: How, data: object) -> Run:
    """A measurement that shows how far it has come, and tells errors in the words of options."""
    from arcid.apps.evaluate_photos import Run

    return Run(
        how,
        str(data),
        command=shlex.join(["arcid", *sys.argv[1:]]),
        words=message_of,
        bar=partial(progress_bar, quiet=how.json),
    )


def finish(
    how: How,
    run: Run,
    result: Any,
    *,
    listed: PairList | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write the report where it was asked for, and print; ``listed``: the pairs scored."""
    made = run.finish(result, listed=listed, more=more)
    print_report(made.document, made.record, made.files, json=how.json)


def print_report(
    found: Document, record: Mapping[str, Any], files: Mapping[str, str], *, json: bool
) -> None:
    """The record as JSON; or headline numbers, warnings, and where the files are."""
    from arcid.types import counted

    if json:
        from arcid.evaluate import report

        print_json(report.plain({**record, "report": files or None}))
        return
    say(found.title)
    say(found.lede)
    print_table(("", "value", ""), [(c.label, c.value, c.detail) for c in found.cards])
    for warning in found.warnings:
        note(f"note: {warning}")
    if found.failed:
        note(f"{counted(len(found.failed), 'photo')} failed: {in_words(found.failed_by_reason)}")
    for name, why in found.failed[:LISTED]:
        note(f"failed: {plain(name)}: {why}")
    if len(found.failed) > LISTED:
        note(f"{len(found.failed) - LISTED} more photos failed; report.json lists them all")
    if files:
        say(f"report: {files['html']}")


def given(path: Path | None, what: str) -> Path:
    """The path of an option that is needed; raises ``UsageError``."""
    from arcid.errors import UsageError

    if path is None:
        raise UsageError(f"say where the data is: {what}")
    return path

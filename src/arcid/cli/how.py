"""The options that all measuring commands share, spread into each of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

if TYPE_CHECKING:
    pass

FACES, REPORT = "Model and faces", "Report"

Data = Annotated[Path | None, typer.Option("--data", help="Folder or file of the data set.")]


@dataclass(frozen=True)
class How:
    """The options of every measuring command."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Recogniser; default: the default one.", rich_help_panel=FACES
        ),
    ] = None
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector", help="Detector; default: the default one.", rich_help_panel=FACES
        ),
    ] = None
    select: Annotated[
        Literal["prominent", "one", "largest", "center"],
        typer.Option(
            "--select",
            help="Which face of a photo is the labelled one; prominent refuses where several may "
            "be meant.",
            rich_help_panel=FACES,
        ),
    ] = "prominent"
    aligned: Annotated[
        bool,
        typer.Option(
            "--aligned",
            help="The photos are aligned square crops already.",
            rich_help_panel=FACES,
        ),
    ] = False
    margin: Annotated[
        int,
        typer.Option(
            "--margin",
            min=0,
            max=256,
            help="Pixels to cut off every side of aligned crops.",
            rich_help_panel=FACES,
        ),
    ] = 0
    masked: Annotated[
        bool,
        typer.Option(
            "--masked", help="Draw a face mask on every aligned face.", rich_help_panel=FACES
        ),
    ] = False
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="Measure these vectors (.npz, .npy) instead of running a model.",
            rich_help_panel=FACES,
        ),
    ] = None
    save_embeddings: Annotated[
        Path | None,
        typer.Option(
            "--save-embeddings",
            help="Keep the vectors in this .npz; they are personal data.",
            rich_help_panel=FACES,
        ),
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            help="Folder of vectors made before; default: cache/embeddings under ARCID_HOME.",
            rich_help_panel=FACES,
        ),
    ] = None
    no_cache: Annotated[
        bool,
        typer.Option("--no-cache", help="Neither read nor keep vectors.", rich_help_panel=FACES),
    ] = False
    seed: Annotated[
        int,
        typer.Option("--seed", help="Of everything that is drawn.", rich_help_panel=REPORT),
    ] = 0
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for report.html, report.json and report.md.",
            rich_help_panel=REPORT,
        ),
    ] = None
    no_pictures: Annotated[
        bool,
        typer.Option(
            "--no-pictures", help="Leave all photos out of the page.", rich_help_panel=REPORT
        ),
    ] = False
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object on standard output.", rich_help_panel=REPORT
        ),
    ] = False

    def __post_init__(self) -> None:
        from arcid import files

        if self.output is not None:
            files.require_folder(self.output)
        if self.save_embeddings is not None:
            files.require_place(self.save_embeddings)


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
    shared = get_type_hints(How, include_extras=True)
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
            annotation=shared[f.name],
        )
        for f in fields(How)
        if f.name in names
    ]
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__module__ = function.__module__
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command

"""``arcid models import``: a bundle of any ONNX or OpenVINO recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.output import (
    Json,
    print_json,
    say,
)


def register(app: typer.Typer) -> None:
    app.command("import")(import_)


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="An ONNX recogniser, or the .xml of an OpenVINO one with its .bin beside it.",
            metavar="FILE",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the new bundle.")],
    like: Annotated[
        str,
        typer.Option(
            "--like",
            help="How it wants its pixels: arcface, mobilefacenet, adaface, sface, facenet, "
            "deepface, omz or luxonis. Options below override single points.",
        ),
    ],
    dim: Annotated[int | None, typer.Option("--dim", help="Dimension of the vector.")] = None,
    input_name: Annotated[str | None, typer.Option("--input", help="Name of the input.")] = None,
    output_name: Annotated[str | None, typer.Option("--output", help="Name of the output.")] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            "--mean", help="Subtracted from pixels 0-255: one number, or three with commas."
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option("--std", help="Divided by, after that: one number, or three with commas."),
    ] = None,
    colour: Annotated[str | None, typer.Option("--colour", help="RGB or BGR.")] = None,
    size: Annotated[int | None, typer.Option("--size", min=16, help="Side of the crop.")] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help="NCHW or NHWC; default: the contract's.")
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Test-time flip: average with the mirrored face.")
    ] = False,
    licence: Annotated[str, typer.Option("--licence", help="Terms of the weights.")] = "",
    description: Annotated[str, typer.Option("--description", help="A sentence to keep.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle so named.")] = False,
    json: Json = False,
) -> None:
    """Make a bundle of any ONNX or OpenVINO recogniser, after running it.

    Example: arcid models import mymodel.onnx --name mymodel --like arcface --dim 512
    """
    from arcid import paths
    from arcid.apps import model_facts
    from arcid.models.importer import Request, import_model
    from arcid.pipeline import load_embedder

    request = Request(
        name=name,
        like=like,
        dim=dim,
        input_name=input_name,
        output_name=output_name,
        colour=colour,
        mean=_three("--mean", mean),
        std=_three("--std", std),
        size=size,
        layout=layout,
        flip=flip,
        licence=licence,
        description=description,
    )
    bundle = import_model(file, request, paths.models_dir(), load_embedder, replace=replace)
    row = model_facts.summary(bundle)
    if json:
        print_json({**row, "path": str(bundle.path), "batch": bundle.manifest.input.batch})
        return
    batch = bundle.manifest.input.batch
    say(f"{name}: {row['dim']}-d, batch {batch or 'of any size'}, contract {row['contract_id']}")
    say(f"installed in {bundle.folder}")
    say(f"its scores are not calibrated yet: arcid calibrate FOLDER --model {name}")
    if not bundle.vouched:
        say(f"it is unverified until you accept it: arcid models accept {name}")


def _three(option: str, text: str | None) -> tuple[float, float, float] | None:
    from arcid.errors import UsageError

    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values *= 3
    if len(values) != 3:
        raise UsageError(f"{option} takes one number or three with commas, got {text!r}")
    return values[0], values[1], values[2]

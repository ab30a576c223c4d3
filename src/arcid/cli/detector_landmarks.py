"""``arcid detector landmarks``: the bundle of a run that learned 68 points."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid import extras
from arcid.cli.output import Json, print_json, print_table, say


def register(app: typer.Typer) -> None:
    app.command()(landmarks)


def landmarks(
    run: Annotated[Path, typer.Argument(help="Folder the run was written to.")],
    to: Annotated[Path, typer.Option("--to", help="Folder that gets the bundle NAME/.")],
    name: Annotated[str, typer.Option("--name", help="Name of the bundle.")] = "arcid-landmarks-s",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an older one of that name.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure a run of 68 landmarks on its reserved people and write it as a bundle.

    Example: arcid detector landmarks runs/landmarks_s --to out
    """
    extras.require("exporting landmarks", "convert")
    from arcid.models.manifest import Manifest
    from arcid.train.detector.export_landmarks import GROUPS, export_landmarks

    folder = export_landmarks(run, to, name=name, replace=replace)
    facts = Manifest.load(folder / "manifest.json").accuracy
    size = (folder / "model.onnx").stat().st_size
    if json:
        print_json({"bundle": str(folder), "bytes": size, "reserved": dict(facts)})
        return
    say(f"{folder}: {size / 1e6:.2f} MB, {facts['reserved_faces']} reserved faces")
    columns = ("points", "error %", "from", "to")
    print_table(columns, [(one, *facts[f"nme_{one}"]) for one in ("all", *GROUPS)])

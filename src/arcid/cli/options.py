"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcid.types import Selection

Photos = Annotated[list[Path], typer.Argument(help="Photos: any picture format.", metavar="PHOTO")]
SelectFaces = Annotated[Selection, typer.Option("--select", help="Which faces of each photo.")]
SelectOne = Annotated[
    Selection,
    typer.Option(
        "--select", help="Which face of each photo; prominent refuses where several may be meant."
    ),
]
Detector = Annotated[
    str | None, typer.Option("--detector", help="Detector by name; default: the default one.")
]
Model = Annotated[
    str | None, typer.Option("--model", help="Recogniser by name; default: the default one.")
]
Aligned = Annotated[
    bool, typer.Option("--aligned", help="The photos are aligned square crops already.")
]
Collection = Annotated[str, typer.Option("--collection", help="Collection of the gallery.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database", help="Gallery file or SQLAlchemy URL; default: ARCID_DATABASE, else yours."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Person = Annotated[str, typer.Argument(help="Person by id or by name.", metavar="PERSON")]

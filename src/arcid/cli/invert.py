"""``arcid invert``: faces out of vectors, by a network's own weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arcid.cli.output import INTERRUPTED, Exit, Json, note, print_json, say
from arcid.cli.training import prepare


def register(app: typer.Typer) -> None:
    app.command()(invert)


def invert(
    model: Annotated[
        str,
        typer.Argument(
            help="Recogniser: a bundle written by arcid export or its name, a run, a checkpoint, "
            "or a .pt or .h5 file.",
            metavar="MODEL",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            help="Aligned crops by person (arcid align), or an .npz of vectors; default: the "
            "classes that a run was trained on, with --goal closed.",
            metavar="SOURCE",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run.", metavar="RUN")
    ] = Path("runs/inversion"),
    goal: Annotated[
        Literal["open", "closed"],
        typer.Option(
            "--goal", help="open: the vector of one photo; closed: the centre of a class of all."
        ),
    ] = "open",
    count: Annotated[
        int, typer.Option("--people", min=1, max=100_000, help="So many at most.")
    ] = 20,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of a batch.")] = 400,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=4096, help="Pictures that are made together.")
    ] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the people and of the noise.")] = 1,
    json: Json = False,
) -> None:
    """Make faces out of vectors, to see what a stored vector gives away.

    A picture is changed until the network takes it for the person, by the network's gradient and
    the statistics its batch norms keep (docs/concepts/inversion.md). Writes the pictures and
    contact sheets, readable by their owner only: they are meant to be taken for people. Do it with
    public research photographs, with synthetic faces, or with people who agreed to it.

    Stopped or killed, the same command goes on. arcid audit inversion says what such pictures are
    good for.

    Example: arcid invert arcid-face-s crops/ --people 20 --out runs/inversion
    """
    prepare()
    from arcid.train.invert import Settings
    from arcid.train.invert import invert as run
    from arcid.train.invert.sources import aim
    from arcid.train.weights.initial import open_initial

    settings = Settings(goal=goal, steps=steps, batch=batch, seed=seed)
    initial = open_initial(model)
    targets, people = aim(initial, source, goal, count, seed)
    result = run(
        initial.backbone,
        targets,
        out,
        settings,
        flip=bool(initial.manifest and initial.manifest.flip),
        photos=None if people is None else people.photos,
        quiet=json,
        tell=(lambda line: None) if json else note,
    )
    if json:
        print_json(
            {
                "run": str(result.folder),
                "model": initial.label,
                "goal": goal,
                "pictures": len(result.pictures),
                "targets": len(targets),
                "batch_norms": result.layers,
                "cosines": [round(float(c), 4) for c in result.cosines],
                "seconds": round(result.seconds, 1),
                "sheets": [str(path) for path in result.sheets],
                "stopped": result.stopped,
            }
        )
    elif result.stopped:
        say(f"stopped; run it again to go on: {len(result.pictures)} of {len(targets)} are done")
    else:
        say(
            f"{len(result.pictures)} pictures in {result.seconds:.0f} s; mean cosine to their "
            f"vectors {result.cosines.mean():.3f}, least {result.cosines.min():.3f}"
        )
        for sheet in result.sheets:
            say(f"sheet: {sheet}")
    if result.stopped:
        raise Exit(INTERRUPTED)

"""``arcid bench``: measure this machine, as ratios to a named peer in the same run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from arcid.cli.output import Json, note, print_json, say

PARTS = ("runtime", "search", "start", "enrol")
SEARCH_SIZES = (100_000, 1_000_000)


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    only: Annotated[
        str | None, typer.Option("--only", help=f"Parts, with commas: {', '.join(PARTS)}.")
    ] = None,
    power: Annotated[
        bool,
        typer.Option(
            "--power", help="Faces a second and watts of the default models; no other part."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to this CSV file too.")
    ] = None,
    json: Json = False,
) -> None:
    """Time networks, search, start-up and enrolment; each beside a peer.

    Takes minutes. Watts are the processor's, where Linux tells them (RAPL, readable by root).

    Example: arcid bench --only start,enrol -o bench.csv
    Example: arcid bench --power
    """
    from arcid import files
    from arcid.bench import common
    from arcid.errors import UsageError

    if power and only is not None:
        raise UsageError("--power measures a part of its own; leave --only out")
    chosen = ["power"] if power else _chosen(only)
    if output:
        files.require_place(output)
    rows: list[dict[str, Any]] = []
    for part in chosen:
        note(f"measuring {part} …")
        found = [{"benchmark": part, **line} for line in _runner(part)()]
        rows += found
        if not json:
            for line in common.lines(
                {k: v for k, v in r.items() if k != "benchmark"} for r in found
            ):
                say(line)
    if output:
        common.write_csv(output, rows)
        note(f"written to {output}")
    if json:
        print_json({"hardware": common.hardware(), "rows": rows})


def _chosen(only: str | None) -> list[str]:
    from arcid.errors import UsageError

    chosen = [part.strip() for part in only.split(",")] if only is not None else list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        raise UsageError(f"no such part: {', '.join(unknown)}; parts: {', '.join(PARTS)}")
    return chosen


def _runner(part: str) -> Callable[[], list[dict[str, Any]]]:
    """The function that measures one part; imported only when it is to run."""
    import importlib

    run: Callable[..., list[dict[str, Any]]] = importlib.import_module(f"arcid.bench.{part}").run
    return (lambda: run(SEARCH_SIZES)) if part == "search" else run

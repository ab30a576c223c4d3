"""The ``arcid`` command. Thin: each command parses, calls the library, prints.

Exit codes: 0 ok · 1 no match, or rejected · 2 usage · 3 bad input · 4 model problem · 5 gallery
or service problem. ``--json`` prints one JSON object on standard output, errors included;
progress and messages go to standard error.

A command's modules are imported when it is called: all of them together take longer to import, and
their options to be read, than most commands run.
"""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from arcid.cli.output import OK, Exit, run_command, say

#: What ``arcid --help`` lists, in its order, and the modules of each. The first one of a group has
#: its ``app``, to which it and the others add commands; any other registers one command.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "detect": ("faces",),
    "embed": ("faces",),
    "verify": ("verify",),
    "search": ("search",),
    "enrol": ("enrol",),
    "calibrate": ("calibrate",),
    "compare": ("compare",),
    "serve": ("serve",),
    "demo": ("demo",),
    "mcp": ("mcp",),
    "attend": ("attend",),
    "doctor": ("doctor",),
    "bench": ("bench",),
    "liveness": ("liveness",),
    "align": ("align",),
    "train": ("train",),
    "backbones": ("train",),
    "study": ("study",),
    "clean": ("clean",),
    "distill": ("distil",),
    "finetune": ("finetune",),
    "invert": ("invert",),
    "export": ("export",),
    "evaluate": (
        "evaluate",
        "evaluate_searches",
        "evaluate_groups",
        "evaluate_seeds",
        "evaluate_fusion",
    ),
    "events": ("events",),
    "gallery": (
        "gallery",
        "gallery_people",
        "gallery_policy",
        "gallery_retention",
        "gallery_upkeep",
        "gallery_index",
        "gallery_backup",
        "gallery_mongodb",
    ),
    "people": ("people",),
    "receipts": ("receipts",),
    "review": ("review",),
    "duplicates": ("duplicates", "duplicate_runs"),
    "watchlist": ("watchlist", "watchlist_budget", "watchlist_alerts"),
    "audit": ("audit", "audit_inversion"),
    "onboarding": ("onboarding", "onboarding_evidence"),
    "access": ("access",),
    "accounts": ("accounts",),
    "keys": ("keys",),
    "webhooks": ("webhooks",),
    "import": ("importing", "import_systems", "import_mongodb"),
    "jobs": ("jobs",),
    "models": ("models", "models_import", "models_choice"),
    "detector": ("detector", "detector_landmarks"),
}


class _Commands(Mapping[str, Any]):
    """Each command as click runs it, by name, made when it is first asked for."""

    def __getitem__(self, name: str) -> Any:
        return _made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Root(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # nobody adds to it


app = typer.Typer(
    name="arcid",
    cls=_Root,
    help="Self-hosted face identity: detect, verify, enrol and search faces, offline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from arcid import __version__

        say(f"arcid {__version__}")
        raise Exit(OK)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What concerns no single command."""


@functools.cache
def _made(name: str) -> Any:
    first, *others = (importlib.import_module(f"{__name__}.{part}") for part in COMMANDS[name])
    around = typer.Typer(rich_markup_mode="rich")
    if hasattr(first, "app"):
        for other in others:
            other.register(first.app)
        around.add_typer(first.app, name=name)
    else:
        first.register(around)
    _unwrap(around)
    return typer.main.get_group(around).commands[name]


def _unwrap(group: typer.Typer) -> None:
    """Let the terminal wrap help texts, not the source file."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", "") or "")
        command.help = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap(inner.typer_instance)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    code = run_command(app, sys.argv[1:] if argv is None else list(argv))
    gc.freeze()  # else the interpreter's end looks for garbage in all that was imported
    sys.exit(code)

"""``arcid gallery backup`` and ``restore``: a copy of all of it, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import acting_here, open_gallery
from arcid.cli.options import Database, Yes
from arcid.cli.output import Json, confirm, done
from arcid.progress import progress_bar, steps

if TYPE_CHECKING:
    from arcid.gallery.restoring import Restored


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")],
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="File, in another folder, for the newest copy of the key store; the one before is "
            "replaced.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="A file that is there gives way to the new one.")
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Copy the whole gallery into one file, while everything goes on.

    The copy is of one moment. It is read back and compared with what was copied before it takes its
    name; where anything fails there is no file. Only its owner may read it. What it holds of
    people's faces is sealed: their keys are copied with --keys, after it and apart from it. For
    PostgreSQL the command of its own tools is told.

    Example: arcid gallery backup staff-2026-11-29.db --keys /mnt/safe/staff.keys
    """
    with open_gallery(database) as gallery, progress_bar("copying", None, quiet=json) as advance:
        made = gallery.backup(file, keys=keys, replace=replace, progress=steps(advance))
    facts = made.to_dict()
    words = (
        f"Copied {facts['people']} people and {facts['faces']} faces into {file}, up to change "
        f"{made.last_change}; read back and found whole."
    )
    if keys is not None:
        words += f" Their keys are in {keys}."
    elif made.protected:
        words += " Their keys are not in it; without them nobody can read the faces: see --keys."
    done(
        words,
        json,
        keys=None if keys is None else str(keys),
        file=str(file),
        bytes=file.stat().st_size,
        **facts,
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.", metavar="FILE")],
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="The copy of the key store, where that is gone, too."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="A gallery that is there is kept under another name."),
    ] = False,
    yes: Yes = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Put a backup where the gallery is to be, and say what was lost since.

    All of the backup is read before anything is changed. A gallery that is there is replaced with
    --replace only, asks unless --yes is given, and is kept beside it under another name. Refused
    while the service or another command has it open. The key store that is there stays: who was
    erased since the backup is erased again when the gallery is next opened. Where one of the keys
    that it needs is still missing, that is said.

    Example: arcid gallery restore staff-2026-11-29.db --replace --yes
    """
    from arcid.gallery import opening

    if replace:
        confirm(f"Put {file.name} in the place of the gallery?", yes=yes)
    acting_here()
    with progress_bar("copying", None, quiet=json) as advance:
        restored = opening.restore(
            file, database, keys=keys, replace=replace, progress=steps(advance)
        )
    done("\n".join(_words(restored)), json, **restored.to_dict())


def _words(restored: Restored) -> list[str]:
    now = restored.now.to_dict()
    words = [
        f"Restored {now['people']} people and {now['faces']} faces, up to change "
        f"{now['last_change']}."
    ]
    if restored.lacks is not None:
        words.append(f"It does not open yet: {restored.lacks}.")
    if restored.kept is None:
        return words
    words.append(f"What was there is kept as {restored.kept.name}.")
    if restored.before is None:
        return [*words, "It cannot be read, so what was lost since the backup is not known."]
    if restored.before.identity != restored.now.identity:
        return [*words, "It was another gallery, not an older or newer state of this one."]
    return [*words, *_lost(restored, now)]


def _lost(restored: Restored, now: dict[str, Any]) -> list[str]:
    lost, before = restored.lost(), {} if restored.before is None else restored.before.to_dict()
    words = [
        f"Lost since the backup: {lost['last_change']} changes "
        f"({now['last_change']} to {before['last_change']}) and {lost['audit_last']} rows of the "
        "audit."
    ]
    for name in ("collections", "people", "faces"):
        if lost[name] > 0:
            words.append(f"{name}: {lost[name]} fewer than before.")
        elif lost[name] < 0:
            words.append(f"{name}: {-lost[name]} more than before, which had been deleted since.")
    return words

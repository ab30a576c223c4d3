"""What every command shares: JSON or rich output, progress, and errors as exit codes."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from arcid.cli import process
from arcid.errors import (
    ArcidError,
    CalibrationError,
    ContractMismatch,
    InputError,
    ModelError,
    PossibleDuplicate,
    QualityRejected,
    SeveralFacesFound,
    StorageFull,
    UsageError,
)
from arcid.progress import progress_bar

OK, REJECTED, USAGE, BAD_INPUT, MODEL, SERVICE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
T = TypeVar("T")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


class Exit(Exception):
    """Ends a command with an exit code after its output was printed."""

    def __init__(self, code: int) -> None:
        self.code = code


def exit_code(error: ArcidError) -> int:
    """Exit code of an error, by its class."""
    if isinstance(error, QualityRejected):
        return REJECTED
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, InputError):
        return BAD_INPUT
    if isinstance(error, (ModelError, CalibrationError, ContractMismatch)):
        return MODEL
    return SERVICE


def run_command(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run the app; every ``ArcidError`` becomes one message and an exit code.

    Who stops reading standard output has read enough; where it takes no more, that is an error.
    """
    with process.ended_by_signals():
        return copy_context().run(_run_command, app, argv)


def _run_command(app: typer.Typer, argv: Sequence[str]) -> int:
    as_json, code = "--json" in argv, OK
    process.open_streams()
    try:
        code = _outcome(app, argv, as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        process.drop(sys.stdout)
    except OSError as error:
        process.drop(sys.stdout)
        if as_json or code in (OK, REJECTED):  # any other was told on standard error
            told = _told(error, "standard output", UsageError)
            report(told, as_json=False)
            code = exit_code(told)
    try:
        sys.stderr.flush()
    except OSError:
        process.drop(sys.stderr)
    return code


def _outcome(app: typer.Typer, argv: Sequence[str], as_json: bool) -> int:
    """The exit code. Raises ``OSError`` where standard output cannot be written."""
    try:
        with typer.main.get_command(app).make_context("arcid", list(argv)) as context:
            result = context.command.invoke(context)
        return result if isinstance(result, int) else OK
    except Exit as done:
        return done.code
    except ArcidError as error:
        report(error, as_json)
        return exit_code(error)
    except typer.Exit as done:
        return done.exit_code
    except typer.TyperException as error:
        if as_json:
            report(UsageError(error.format_message()), as_json)
        elif show := getattr(error, "show", None):
            with suppress(OSError, SystemExit):  # nobody reads standard error
                show()
        else:
            note(f"error: {error.format_message()}")
        return USAGE
    except (typer.Abort, KeyboardInterrupt, EOFError):
        note("interrupted; what was finished is kept")
        return INTERRUPTED
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # rich's way to say so
            raise ended.__context__ from None
        raise
    except UnicodeEncodeError as error:  # a lone surrogate: half a character, or a stray byte
        report(UsageError(f"this cannot be written as text: {ascii(error.object)[:60]}"), as_json)
        return USAGE
    except BrokenPipeError:
        raise
    except OSError as error:
        told = _told(error, error.filename, InputError)
        report(told, as_json)
        return exit_code(told)


def _told(error: OSError, where: object, kind: type[ArcidError]) -> ArcidError:
    """What the system refused and nobody below had a word for."""
    from arcid.files import FULL

    lead = f"{where}: " if where else ""
    return (StorageFull if error.errno in FULL else kind)(f"{lead}{error.strerror or error}")


def report(error: ArcidError, as_json: bool) -> None:
    """One error, as JSON on standard output or in words on standard error."""
    if as_json:
        with suppress(BrokenPipeError):  # nobody reads it; the exit code says it too
            print_json({"error": error_dict(error)})
    else:
        note(f"error: {message_of(error)}")


def message_of(error: ArcidError) -> str:
    """What an error says, with this command line's options where it names a choice."""
    if isinstance(error, SeveralFacesFound):
        return error.message.replace(error.choose, "--select largest or --select center")
    if isinstance(error, PossibleDuplicate):
        return error.message.replace(error.allow, "--allow-duplicate")
    return error.message


def error_dict(error: ArcidError) -> dict[str, Any]:
    """An error as ``--json`` shows it."""
    return {"code": error.code, "message": message_of(error), "details": error.details}


def about(error: ArcidError, subject: object) -> ArcidError:
    """The same error, its message led by the photo or folder it is about."""
    error.message = led(error.message, subject)
    return error


def led(message: str, subject: object) -> str:
    """A message led by the whole path it is about: of many people a photo is called 1.jpg."""
    path = str(subject)
    name = Path(path).name
    own = bool(name) and message.startswith(f"{name} ")
    return f"{path}{message[len(name) :]}" if own else f"{path}: {message}"


def end_with(failed: Sequence[ArcidError], json: bool) -> None:
    """Say what was wrong with single photos; exit code 3 where anything was."""
    if failed and not json:
        for error in failed:
            note(f"error: {message_of(error)}")
    if failed:
        raise Exit(BAD_INPUT)


def print_json(value: Any) -> None:
    """One JSON document on standard output; in ASCII where that is not in UTF-8, whose readers
    would take its characters for others, or for what is no JSON. A number that is NaN or infinite
    is null: JSON has none."""
    as_is = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name == "utf-8"
    write = partial(json.dumps, ensure_ascii=not as_is, allow_nan=False, default=str)
    try:
        text = write(value)
    except ValueError:
        from arcid.evaluate.report import plain as with_nulls

        text = write(with_nulls(value))
    sys.stdout.write(text + "\n")


def plain(text: object) -> str:
    """Text without control characters: names from files must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(text))


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(plain(text) + "\n")


def done(words: str, json: bool, **values: Any) -> None:
    """What was done: in words, or its values as JSON."""
    if json:
        print_json(values)
    else:
        say(words)


def say_facts(facts: Mapping[str, Any], *, none: str = "none", indent: str = "") -> None:
    """A line for each; ``none`` stands for what there is not."""
    for key, value in facts.items():
        say(f"{indent}{_key(key)}: {_words(value, none)}")


def _key(name: str) -> str:
    return name.replace("_", " ") if name.islower() else name


def _words(value: Any, none: str) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{_key(key)} {_words(v, none)}" for key, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return none if value is None else str(value)


def note(text: str) -> None:
    """One line on standard error; work goes on where nobody reads it any more."""
    try:
        sys.stderr.write(plain(text) + "\n")
    except OSError:
        process.drop(sys.stderr)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; cells are plain text, numbers go to the right."""
    from rich.table import Table
    from rich.text import Text

    listed = [tuple(row) for row in rows]
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        numeric = all(isinstance(row[i], (int, float)) for row in listed) and bool(listed)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        grid.add_row(*(Text(plain("" if cell is None else cell)) for cell in row))
    console().print(grid)


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with ``--yes`` or a "y" typed in; raises ``UsageError`` where nobody can type."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Say so with --yes; nothing was changed")
    if not typer.confirm(question, err=True):
        note("nothing was changed")
        raise Exit(REJECTED)


def console() -> Any:
    """A rich console on standard output; as wide as needed where that is no terminal."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=200)


def each_photo(
    photos: Sequence[Path],
    work: Callable[[tuple[int, Path]], T],
    description: str,
    *,
    quiet: bool,
) -> Iterator[tuple[Path, T | ArcidError]]:
    """What ``work`` makes of every (number, photo), in threads; one it fails on is its error."""
    from arcid.batch import run

    keyed = ((photo, (number, photo)) for number, photo in enumerate(photos))
    with progress_bar(description, len(photos), quiet=quiet) as advance:
        for photo, answer in run(keyed, work, list):
            yield photo, about(answer, photo) if isinstance(answer, ArcidError) else answer
            advance(1)


def tracked(items: Iterable[T], description: str, total: int, *, quiet: bool) -> Iterator[T]:
    """Iterate with a progress bar on standard error."""
    with progress_bar(description, total, quiet=quiet) as advance:
        for item in items:
            yield item
            advance(1)


def clock(at: datetime) -> str:
    """A time as this machine's clock shows it."""
    from arcid.apps.attendance.clocks import local

    return f"{local(at):%Y-%m-%d %H:%M:%S}"

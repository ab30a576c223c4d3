"""Options that several commands share, each declared once."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.types import Selection

if TYPE_CHECKING:
    from arcid.gallery import NewConsent

Photos = Annotated[
    list[Path],
    typer.Argument(
        help="Photos (JPEG, PNG, WebP, BMP, GIF, TIFF), and folders of them.", metavar="PHOTO"
    ),
]
SelectFaces = Annotated[Selection, typer.Option("--select", help="Which faces of each photo.")]
SelectOne = Annotated[
    Selection,
    typer.Option(
        "--select", help="Which face of each photo; prominent refuses where several may be meant."
    ),
]
Detector = Annotated[
    str | None,
    typer.Option("--detector", help="Detector by name; default: ARCID_DETECTOR, else arcid's own."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Recogniser by name; default: ARCID_RECOGNISER, else arcid's own."
    ),
]
Aligned = Annotated[
    bool, typer.Option("--aligned", help="The photos are aligned square crops already.")
]
Collection = Annotated[str, typer.Option("--collection", help="Collection of the gallery.")]
Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="Gallery file or SQLAlchemy URL; default: ARCID_DATABASE, else gallery.db in "
        "ARCID_HOME.",
    ),
]
Documents = Annotated[
    str,
    typer.Argument(help="Collection of MongoDB: DATABASE.COLLECTION.", metavar="DOCUMENTS"),
]
Metadata = Annotated[
    list[str] | None,
    typer.Option("--metadata", help="KEY=VALUE or KEY:=NUMBER to keep; may be repeated."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only people whose metadata has this value, exactly: site=Berlin is text, floor:=3 a "
        "number; may be repeated.",
        metavar="KEY=VALUE",
    ),
]
ConsentText = Annotated[
    str | None,
    typer.Option("--consent", help="They agreed: the version of the text they agreed to."),
]
Evidence = Annotated[
    str,
    typer.Option("--evidence", help="Where that can be seen, as the number of a form; no name."),
]
AgreedBy = Annotated[
    str, typer.Option("--agreed-by", help="Who agreed, where they did not themselves: a parent.")
]
AgreedAt = Annotated[
    str | None, typer.Option("--agreed-at", help="When, ISO 8601, local time; default: now.")
]
SessionId = Annotated[str, typer.Argument(help="Session by its id.", metavar="SESSION")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Person = Annotated[str, typer.Argument(help="Person by id or by name.", metavar="PERSON")]
Id = Annotated[str, typer.Argument(help="Event by its id.", metavar="EVENT")]
Note = Annotated[str, typer.Option("--note", help="Why; kept with the row.")]
Actor = Annotated[
    str | None, typer.Option("--actor", help="Who makes the change; default: your user name.")
]
After = Annotated[
    str | None, typer.Option("--after", help="Go on after the page that named this as next.")
]
Start = Annotated[
    str | None, typer.Option("--start", help="When a file began; default: from its own time.")
]
Fps = Annotated[
    float | None, typer.Option("--fps", help="Photos of a folder a second; default: their own.")
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, max=256, help="Processes that share the work.")
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Share the work over a Ray cluster instead: auto (of this machine, or RAY_ADDRESS), "
        "local (one of its own) or HOST:PORT. Needs arcid[ray].",
        metavar="ADDRESS",
    ),
]
Loops = Annotated[int, typer.Option("--loops", min=1, help="Read a video so often.")]


def consent_from(
    text: str | None, evidence: str, by: str, at: str | None, what: str = ""
) -> NewConsent | None:
    """What the options say about a consent; raises ``UsageError``."""
    from arcid.errors import UsageError
    from arcid.gallery import NewConsent

    if text is None:
        if evidence or at or by != "themselves":
            raise UsageError("say with --consent which text they agreed to")
        return None
    return NewConsent(text, evidence, by, what, when(at))


def require_photos(photos: Sequence[Path]) -> None:
    """Where not one of the photos is there, raise before models load what reading would."""
    from arcid.cli.output import about
    from arcid.errors import ArcidError
    from arcid.image import load_image

    if not any(photo.exists() for photo in photos):
        try:
            load_image(photos[0])
        except ArcidError as error:
            raise about(error, photos[0]) from None


def metadata_from(pairs: Sequence[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs as a mapping, in the words of --where; raises ``UsageError``."""
    import json

    from arcid.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        plain = not key.endswith(":")
        key = key.removesuffix(":").strip()
        if not sign or not key:
            raise UsageError(f"metadata is written KEY=VALUE or KEY:=NUMBER, got {pair!r}")
        try:
            found[key] = value if plain else json.loads(value)
        except (ValueError, RecursionError):
            raise UsageError(f"{key}:= needs a number, true, false or null") from None
    return found


def when(text: str | None) -> datetime | None:
    """A day or time, ISO 8601, local where it names no zone; raises ``UsageError``."""
    from arcid.errors import UsageError
    from arcid.events.records import FIRST_YEAR, LAST_YEAR

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time; write 2026-03-01 or 2026-03-01T08:30") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise UsageError(f"times lie between the years {FIRST_YEAR} and {LAST_YEAR}, not {text!r}")
    return moment


def day_of(text: str) -> date:
    """YYYY-MM-DD; raises ``UsageError``."""
    from arcid.errors import UsageError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day; write YYYY-MM-DD, or YYYY-MM for a month") from None


def operator(actor: str | None) -> str:
    """Who makes a change: as said, else whose shell this is."""
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"

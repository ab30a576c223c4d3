"""``arcid events …``: read, explain, correct and export what attendance wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, After, Collection, Database, Id, Note, day_of, operator, when
from arcid.cli.output import Json, clock, done, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.attendance import Attendance

app = typer.Typer(
    help="Read, explain, correct and export what arcid attend wrote.\n\n"
    "Nothing is edited: a correction is a row of its own. Times without a zone are local.",
    no_args_is_help=True,
)
Since = Annotated[
    str | None, typer.Option("--since", help="From this day or time on, ISO 8601; local time.")
]
Until = Annotated[str | None, typer.Option("--until", help="Before this day or time.")]
Who = Annotated[str | None, typer.Option("--person", help="Only this person, by id or name.")]


@app.command("list")
def list_(
    collection: Collection = "default",
    since: Since = None,
    until: Until = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            help="arrival, departure, unknown, review or spoof; of other applications alert, "
            "access, onboarding or duplicate; may be repeated. Default: the first five.",
        ),
    ] = None,
    person: Who = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Only this camera.")] = None,
    voided: Annotated[bool, typer.Option("--voided", help="Also what was taken back.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="Most events shown.")
    ] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List events, newest first, corrections applied.

    Example: arcid events list --collection staff --since 2026-03-01 --kind unknown
    """
    with _book(database, collection) as (book, gallery):
        who = None if person is None else gallery.person_called(collection, person).id
        found = book.events(
            since=when(since),
            until=when(until),
            kinds=kind or None,
            person_id=who,
            camera=camera,
            voided=voided,
            limit=limit,
            after=after,
        )
    if json:
        events = [event.to_dict() for event in found]
        print_json({"collection": collection, "events": events, "next": found.next})
        return
    rows = [
        (clock(e.at), e.kind, e.name or "", e.camera,
         "voided" if e.voided else ("corrected" if e.corrections else ""), e.id)
        for e in found
    ]  # fmt: skip
    print_table(("when", "what", "who", "camera", "", "id"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")


@app.command()
def explain(
    event: Id, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Say on what grounds an event was decided, and what was corrected since.

    The grounds: score, threshold, target rate, calibration, gallery size, model, the track's
    quality.

    Example: arcid events explain 3f2a9c --collection staff
    """
    with _book(database, collection) as (book, _):
        found = book.explain(event)
    if json:
        print_json(found)
        return
    grounds = found["grounds"]
    say(f"{_told(found['kind'], found['name'])} at {found['at']}")
    say(str(grounds.get("reason", "")))
    keys = ("cosine", "cosine_threshold", "target_fpir", "gallery_size", "contract_id",
            "calibration_id", "model", "detector")  # fmt: skip
    track = grounds.get("track") or {}
    rows = [(key, grounds[key]) for key in keys if key in grounds]
    print_table(("", ""), rows + [(k, v) for k, v in track.items() if k != "quality"])
    for row in found["history"][1:]:
        say(
            f"{row['recorded_at']}: {row.get('action')} by {row.get('actor')} {row.get('note', '')}"
        )


@app.command()
def correct(
    event: Id,
    action: Annotated[
        str,
        typer.Argument(help="void, reassign, retime or not-person.", metavar="ACTION"),
    ],
    person: Annotated[
        str | None, typer.Option("--person", help="Who it was, by id or name: for reassign.")
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help="When it was: for retime.")] = None,
    block: Annotated[
        bool,
        typer.Option("--block/--no-block", help="not-person: never take this face for them again."),
    ] = True,
    note: Note = "",
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Correct an event by a new row.

    void: it did not happen (of a correction: that is undone). reassign: it was somebody else.
    retime: it was at another time. not-person: it was not that person, and with --block this face
    is never taken for them again. The stay and the departure of a corrected arrival follow it, and
    are restored when the correction is undone.

    Example: arcid events correct 3f2a9c reassign --person "Ada Example" --note "twins" --collection
    staff
    """
    from arcid.errors import UsageError

    actions = {"void", "reassign", "retime", "not-person"}
    if action not in actions:
        raise UsageError(f"action {action!r} is unknown; use {', '.join(sorted(actions))}")
    blocked: bool | None = None
    with _book(database, collection) as (book, gallery):
        if action == "not-person":
            row, blocked = book.not_this_person(
                event, actor=operator(actor), note=note, block=block
            )
        else:
            known: Any = action
            who = None if person is None else gallery.person_called(collection, person).id
            row = book.correct(
                event, known, actor=operator(actor), note=note, person_id=who, at=when(at)
            )
        after = book.event(row.about_id or event)
    if json:
        print_json({"correction": row.to_dict(), "event": after.to_dict(), "blocked": blocked})
        return
    state = "taken back" if after.voided else _told(after.kind, after.name)
    say(f"correction {row.id}: the event now reads: {state}")
    if blocked is False and block:
        say("the face behind the event is not kept any more, so nothing was blocked")


@app.command()
def add(
    kind: Annotated[str, typer.Argument(help="arrival or departure.", metavar="KIND")],
    person: Annotated[str, typer.Argument(help="Person by id or name.", metavar="PERSON")],
    at: Annotated[str, typer.Argument(help="When, ISO 8601; local time.", metavar="TIME")],
    note: Note = "",
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Enter an arrival or departure by hand.

    Example: arcid events add arrival "Ada Example" 2026-03-02T08:30 --note "forgot the camera"
    --collection staff
    """
    moment, word = when(at), _kind(kind)
    with _book(database, collection) as (book, gallery):
        who = gallery.person_called(collection, person).id
        made = book.add(word, who, moment or datetime.now(UTC), actor=operator(actor), note=note)
    done(f"{made.kind} of {made.name} at {clock(made.at)}: {made.id}", json, event=made.to_dict())


@app.command()
def export(
    output: Annotated[
        Path, typer.Argument(help="File to write: .csv, .xlsx or .json.", metavar="FILE")
    ],
    day: Annotated[
        str | None, typer.Option("--day", help="The sheet of a day, YYYY-MM-DD.")
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", help="The sheet of a month, YYYY-MM.")
    ] = None,
    since: Since = None,
    until: Until = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Write events, or the sheet of a day or month (first in, last out, hours, absent), to a file.

    Text that a spreadsheet would run as a formula stays text.

    Example: arcid events export march.xlsx --month 2026-03 --collection staff
    """
    from arcid import files
    from arcid.apps.attendance import export as tables
    from arcid.errors import UsageError

    if day is not None and month is not None:
        raise UsageError("a sheet is of a --day or of a --month")
    if (day or month) is not None and (since or until) is not None:
        raise UsageError("--since and --until go with events; a sheet is of its whole day or month")
    kind = tables.kind_of(output)
    files.require_place(output)
    with _book(database, collection) as (book, _):
        if day is not None:
            table = tables.day_table(book.day(day_of(day)))
        elif month is not None:
            first = day_of(f"{month}-01")
            table = tables.month_table(book.month(first.year, first.month))
        else:
            found = book.events(since=when(since), until=when(until), limit=None)
            table = tables.events_table(found)
        data = book.exported(table, kind)
    files.write_bytes(output, data, private=True)
    count = len(table.rows)
    words = f"{count} rows written to {output}"
    done(words, json, file=str(output), rows=count, columns=table.columns)


@contextmanager
def _book(database: str | None, collection: str) -> Iterator[tuple[Attendance, Any]]:
    from arcid.apps.attendance import Attendance

    with open_gallery(database, collection) as gallery:
        yield Attendance(gallery, collection), gallery


def _kind(kind: str) -> Literal["arrival", "departure"]:
    from arcid.errors import UsageError

    if kind == "arrival":
        return "arrival"
    if kind == "departure":
        return "departure"
    raise UsageError(f"an arrival or a departure can be entered by hand, not {kind!r}")


def _told(kind: str, name: str | None) -> str:
    if kind == "unknown":
        return "unknown visitor"
    return f"{kind} of {name}" if name else kind

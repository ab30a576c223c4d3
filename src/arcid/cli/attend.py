"""``arcid attend`` watches a camera or file; ``arcid events …`` reads and corrects its events."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.answers import Extrapolate, note_provisional
from arcid.cli.gallery import find_person, open_gallery
from arcid.cli.options import Collection, Database, Detector, Model
from arcid.cli.output import Json, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.attendance import Attendance, Event, Policy
    from arcid.apps.attendance.outbox import Target
    from arcid.apps.attendance.views import Counts
    from arcid.video import Health, Source

events = typer.Typer(help="Read, explain, correct and export events.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="Event by its id.", metavar="EVENT")]
Since = Annotated[
    str | None, typer.Option("--since", help="From this day or time on, ISO 8601; local time.")
]
Until = Annotated[str | None, typer.Option("--until", help="Before this day or time.")]
Who = Annotated[str | None, typer.Option("--person", help="Only this person, by id or name.")]
Note = Annotated[str, typer.Option("--note", help="Why; kept with the row.")]
Actor = Annotated[
    str | None, typer.Option("--actor", help="Who makes the change; default: your user name.")
]
WEBCAM_TRIES = 3  # to open one that never gave a frame; streams are tried for ever
Kind = Literal["arrival", "departure", "unknown", "review", "spoof"]
SECRET = "ARCID_WEBHOOK_SECRET"  # noqa: S105 - a name
MQTT_USER, MQTT_PASSWORD = "ARCID_MQTT_USERNAME", "ARCID_MQTT_PASSWORD"


def register(app: typer.Typer) -> None:
    app.command()(attend)
    app.add_typer(events, name="events")


def attend(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="Webcam number, rtsp:// or http:// address, video file, or folder of photos.",
        ),
    ],
    collection: Collection = "default",
    camera: Annotated[
        str | None, typer.Option("--camera", help="Its name in events; default: the source's.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option("--place", help="Cameras of one place share arrivals; default: the camera."),
    ] = None,
    fpir: Annotated[
        float | None,
        typer.Option(
            "--fpir",
            help="Target false positive identification rate; default: the strictest of 0.001, "
            "0.003 and 0.01 that the calibration supports for this gallery.",
        ),
    ] = None,
    allow_extrapolation: Extrapolate = False,
    cooldown: Annotated[
        float, typer.Option("--cooldown", min=0.1, help="Seconds unseen until somebody has left.")
    ] = 300.0,
    keep: Annotated[
        str, typer.Option("--keep", help="Of the face behind an event: nothing, vector or crop.")
    ] = "vector",
    liveness: Annotated[
        str, typer.Option("--liveness", help="Suspected attacks: off, flag or require.")
    ] = "off",
    start: Annotated[
        str | None, typer.Option("--start", help="When a file began; default: from its own time.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", help="Photos of a folder a second; default: their own.")
    ] = None,
    loops: Annotated[int, typer.Option("--loops", min=1, help="Read a video so often.")] = 1,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", help=f"POST every event here, signed with {SECRET}."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option("--mqtt", help="Publish every event: HOST, HOST:PORT or a URL.")
    ] = None,
    health: Annotated[
        bool, typer.Option("--health", help="With --json: print the source's health as well.")
    ] = False,
    detector: Detector = None,
    model: Model = None,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            "--gallery",
            help="Gallery file or SQLAlchemy URL; default: ARCID_DATABASE, else yours.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Watch a source: name who comes, flag who is unknown, log each arrival once.

    With --json every event is one line. A file is read to its end; live sources until interrupted.
    """
    from arcid.apps.attendance import CameraLease, Deliverer, Watcher
    from arcid.errors import SourceUnreadable
    from arcid.pipeline import Pipeline
    from arcid.video import open_source

    opened = open_source(source, start=_when(start), fps=fps, loops=loops)
    targets = _targets(webhook or [], mqtt)
    policy = _policy(
        opened,
        fps,
        place=place,
        fpir=fpir,
        unsupported="extrapolate" if allow_extrapolation else "review",
        cooldown_s=cooldown,
        touch_s=min(5.0, cooldown / 4),
        keep=keep,
        liveness=liveness,
        targets=tuple(target.name for target in targets),
    )
    pipeline = Pipeline.from_models(detector, model)
    check = _liveness() if policy.liveness != "off" else None
    with open_gallery(database) as gallery:
        name = camera or opened.name
        watcher = Watcher(pipeline, gallery, collection, policy, camera=name, liveness=check)
        size = gallery.size(watcher.collection, pipeline.embedder.contract_id)
        note(
            f"watching {opened.name}; {size} templates, false positive rate {watcher.rate(size):g}"
        )
        note_provisional(pipeline.calibration, False)
        lease = None
        if opened.live:  # files can be read by several at once: nothing is written twice
            lease = CameraLease(gallery, watcher.collection, name)
            lease.take(lambda error: note(f"{error.message}; looking whether it is"))
        deliverer = Deliverer(gallery, targets)
        deliverer.start()
        failures = 0
        try:
            with closing(watcher.watch(opened, lease=lease)) as views:
                for view in views:
                    for event in view.events:
                        _print_event(event, json)
                    for entry in view.health:
                        _print_health(entry, json and health)
                        failures += entry.kind == "lost"
                    if (
                        source.isdecimal()
                        and failures >= WEBCAM_TRIES
                        and not watcher.counts.frames
                    ):
                        raise SourceUnreadable(
                            f"{opened.name} cannot be opened: is it plugged in, and does no other "
                            "program use it? --source takes another number, an rtsp:// address, a "
                            "video file or a folder of photos"
                        )
        finally:
            for event in watcher.unseen:
                _print_event(event, json)
            if not opened.live:
                deliverer.run_once()
            deliverer.stop()
            if lease is not None:
                lease.release()
    counts = watcher.counts
    note(
        f"{counts.frames} frames, {counts.detections} detections, {counts.tracks} tracks, "
        f"{counts.embeddings} embeddings"
    )
    if not counts.embeddings:
        note(f"nothing was embedded: {_why_nothing(counts)}")


@events.command("list")
def list_(
    collection: Collection = "default",
    since: Since = None,
    until: Until = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", help="arrival, departure, unknown, review or spoof; may be repeated."
        ),
    ] = None,
    person: Who = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Only this camera.")] = None,
    voided: Annotated[bool, typer.Option("--voided", help="Also what was taken back.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most events shown.")] = 100,
    after: Annotated[
        str | None, typer.Option("--after", help="Go on after the page that named this as next.")
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List events, newest first, corrections applied."""
    with _book(database, collection) as (book, gallery):
        who = None if person is None else find_person(gallery, collection, person).id
        found = book.events(
            since=_when(since),
            until=_when(until),
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


@events.command()
def explain(
    event: Id, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Say on what grounds an event was decided, and what was corrected since."""
    with _book(database, collection) as (book, _):
        found = book.explain(event)
    if json:
        print_json(found)
        return
    grounds = found["grounds"]
    say(f"{found['kind']} of {found['name'] or 'nobody known'} at {found['at']}")
    say(str(grounds.get("reason", "")))
    keys = ("cosine", "threshold", "target_kind", "target", "gallery_size", "contract_id",
            "calibration_id", "model", "detector")  # fmt: skip
    track = grounds.get("track") or {}
    rows = [(key, grounds[key]) for key in keys if key in grounds]
    print_table(("", ""), rows + [(k, v) for k, v in track.items() if k != "quality"])
    for row in found["history"][1:]:
        say(
            f"{row['recorded_at']}: {row.get('action')} by {row.get('actor')} {row.get('note', '')}"
        )


@events.command()
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
    """Correct an event by a new row; the event itself stays as it was written.

    void: it did not happen; of a correction: that is undone.
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
            who = None if person is None else find_person(gallery, collection, person).id
            row = book.correct(
                event, known, actor=operator(actor), note=note, person_id=who, at=_when(at)
            )
        after = book.event(row.about_id or event)
    if json:
        print_json({"correction": row.to_dict(), "event": after.to_dict(), "blocked": blocked})
        return
    state = "taken back" if after.voided else f"{after.kind} of {after.name or 'nobody known'}"
    say(f"correction {row.id}: the event now reads: {state}")
    if blocked is False and block:
        say("the face behind the event is not kept any more, so nothing was blocked")


@events.command()
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
    """Enter an arrival or departure by hand."""
    moment, word = _when(at), _kind(kind)
    with _book(database, collection) as (book, gallery):
        who = find_person(gallery, collection, person).id
        made = book.add(word, who, moment or datetime.now(UTC), actor=operator(actor), note=note)
    if json:
        print_json({"event": made.to_dict()})
    else:
        say(f"{made.kind} of {made.name} at {clock(made.at)}: {made.id}")


@events.command()
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
    """Write events, or the sheet of a day or month, to a file. The ending says which kind."""
    from arcid import files
    from arcid.apps.attendance import export as tables
    from arcid.errors import UsageError

    if day is not None and month is not None:
        raise UsageError("a sheet is of a --day or of a --month")
    kind = tables.kind_of(output)
    files.require_place(output)
    with _book(database, collection) as (book, _):
        if day is not None:
            table = tables.day_table(book.day(_day(day)))
        elif month is not None:
            first = _day(f"{month}-01")
            table = tables.month_table(book.month(first.year, first.month))
        else:
            found = book.events(since=_when(since), until=_when(until), limit=None)
            table = tables.events_table(found)
    files.write_bytes(output, tables.written(table, kind), private=True)
    if json:
        print_json({"file": str(output), "rows": len(table.rows), "columns": table.columns})
    else:
        say(f"{len(table.rows)} rows written to {output}")


def _why_nothing(counts: Counts) -> str:
    if not counts.frames:
        return "no frame came"
    if not counts.detections:
        return f"no face was found in {counts.frames} frame{'s' * (counts.frames > 1)}"
    if counts.refused:
        return " ".join(message for message, _ in counts.refused.most_common(2))
    return "no face was in view for long enough"


def _policy(opened: Source, fps: float | None, **values: Any) -> Policy:
    from arcid.apps.attendance import Policy
    from arcid.track import TrackSettings
    from arcid.video import ImageFolder

    policy = Policy(**values)
    if isinstance(opened, ImageFolder) and fps is None:  # photos taken apart: one look decides
        return replace(
            policy, tracking=TrackSettings(first_looks=1), unknown_after_s=0.0, min_frames=1
        )
    return policy


def _targets(webhooks: list[str], mqtt: str | None) -> list[Target]:
    from urllib.parse import urlsplit

    from arcid.apps.attendance import Mqtt, Webhook
    from arcid.errors import ConfigError

    secret = os.environ.get(SECRET, "")
    if webhooks and not secret:
        raise ConfigError(f"webhooks are signed: set {SECRET} to a secret shared with the receiver")
    found: list[Target] = [
        Webhook(_target_name("webhook", url), url, secret) for url in dict.fromkeys(webhooks)
    ]
    if mqtt is not None:
        parts = urlsplit(mqtt if "://" in mqtt else f"mqtt://{mqtt}")
        tls = parts.scheme == "mqtts"
        try:
            port = parts.port or (8883 if tls else 1883)
        except ValueError:
            raise ConfigError(f"{mqtt} names no port that exists") from None
        found.append(
            Mqtt(
                _target_name("mqtt", mqtt),
                parts.hostname or "localhost",
                port,
                parts.path.strip("/") or "arcid",
                os.environ.get(MQTT_USER),
                os.environ.get(MQTT_PASSWORD),
                tls,
            )
        )
    return found


def _target_name(kind: str, address: str) -> str:
    """The same for the same address, so that what waits is delivered after a restart."""
    import hashlib

    digest = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()
    return f"{kind}-{digest[:12]}"


def _liveness() -> Any:
    from arcid.liveness.passive import load

    return load()


@contextmanager
def _book(database: str | None, collection: str) -> Iterator[tuple[Attendance, Any]]:
    from arcid.apps.attendance import Attendance

    with open_gallery(database) as gallery:
        yield Attendance(gallery, collection), gallery


def _print_event(event: Event, json: bool) -> None:
    if json:
        keys = ("cosine", "threshold", "target", "gallery_size", "contract_id", "calibration_id",
                "reason", "liveness")  # fmt: skip
        grounds = {key: event.grounds[key] for key in keys if key in event.grounds}
        print_json(event.to_dict() | grounds)
        sys.stdout.flush()
        return
    others = {"spoof": "suspected attack", "review": "not certain: `arcid review list`"}
    who = event.name or others.get(event.kind, "unknown visitor")
    when = clock(event.at)
    doubt = "  suspected picture of a face" if event.flagged else ""
    say(f"{when}  {event.kind:<10} {who}  ({event.camera}){doubt}")
    sys.stdout.flush()


def _print_health(entry: Health, json: bool) -> None:
    if json:
        at = datetime.fromtimestamp(entry.at, UTC).isoformat()
        values = {"kind": f"source.{entry.kind}", "at": at, "source": entry.source}
        print_json(values | {"detail": entry.detail})
        sys.stdout.flush()
    else:
        note(f"{entry.source}: {entry.kind}: {entry.detail}")


def clock(at: datetime) -> str:
    """A time as this machine's clock shows it."""
    from arcid.apps.attendance.clocks import local

    return f"{local(at):%Y-%m-%d %H:%M:%S}"


def operator(actor: str | None) -> str:
    """Who makes a change: as said, else whose shell this is."""
    if actor:
        return actor
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "operator"


def _kind(kind: str) -> Literal["arrival", "departure"]:
    from arcid.errors import UsageError

    if kind == "arrival":
        return "arrival"
    if kind == "departure":
        return "departure"
    raise UsageError(f"an arrival or a departure can be entered by hand, not {kind!r}")


def _when(text: str | None) -> datetime | None:
    from arcid.errors import UsageError
    from arcid.gallery.event_records import FIRST_YEAR, LAST_YEAR

    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time; write 2026-03-01 or 2026-03-01T08:30") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise UsageError(f"times lie between the years {FIRST_YEAR} and {LAST_YEAR}, not {text!r}")
    return moment


def _day(text: str) -> date:
    from arcid.errors import UsageError

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day; write YYYY-MM-DD, or YYYY-MM for a month") from None

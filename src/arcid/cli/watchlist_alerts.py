"""``arcid watchlist alerts``, ``answer``, ``watch``: who of the lists came, and what came of it."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    Actor,
    After,
    Database,
    Detector,
    Fps,
    Loops,
    Model,
    Note,
    Start,
    operator,
    when,
)
from arcid.cli.output import Json, clock, note, print_json, print_table, say
from arcid.cli.webcams import Webcam

if TYPE_CHECKING:
    from arcid.apps.watchlists import Alert
    from arcid.events import Event


def register(app: typer.Typer) -> None:
    app.command()(alerts)
    app.command()(answer)
    app.command()(watch)


def alerts(
    name: Annotated[
        str | None, typer.Option("--list", help="Of one list, by name or id; default: all.")
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="new, acknowledged, escalated, confirmed or dismissed; may be repeated; default: "
            "the first three.",
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option("--level", help="alert or review; may be repeated; default: both."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Most shown.")] = 100,
    after: After = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List alerts, newest first; the audit notes who looked.

    Example: arcid watchlist alerts --state new
    """
    from arcid.apps import watchlists
    from arcid.events import Audit

    with open_gallery(database) as gallery:
        lists = None if name is None else [watchlists.Watchlists(gallery).get(name).id]
        found = watchlists.Alerts(gallery).find(
            lists=lists, states=state or watchlists.OPEN, levels=level, limit=limit, after=after
        )
        for list_id, collection in {(one.list_id, one.collection) for one in found}:
            Audit(gallery).record(
                verb="alert.list", subject=f"list:{list_id}", collection=collection
            )
    if json:
        print_json({"alerts": [one.to_dict() for one in found], "next": found.next})
        return
    rows = [
        (clock(one.at), one.level, one.name, one.list_name, one.camera, _state(one), one.id)
        for one in found
    ]
    print_table(("when", "", "looks like", "list", "camera", "state", "id"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")


def answer(
    alert: Annotated[str, typer.Argument(help="Alert by its id.", metavar="ALERT")],
    verb: Annotated[
        Literal["acknowledge", "confirm", "dismiss", "escalate", "undo"],
        typer.Argument(help="acknowledge, confirm, dismiss, escalate or undo.", metavar="ANSWER"),
    ],
    note: Note = "",
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Say what became of an alert.

    acknowledge: somebody looks at it. confirm: it is them; where the list wants four eyes, two
    people say so. dismiss: it is not them, and this face is not taken for them again. escalate:
    somebody else has to act. undo: the newest of these is taken back.

    Example: arcid watchlist answer 3f2a9c dismiss
    """
    from arcid.apps.watchlists import Alerts

    with open_gallery(database) as gallery:
        desk, who = Alerts(gallery), operator(actor)
        if verb == "undo":
            done = desk.undo(alert, actor=who, note=note)
        else:
            done = desk.answer(alert, verb, actor=who, note=note)
    if json:
        print_json(done.to_dict())
    else:
        say(f"{done.name}, {done.list_name}, {done.camera}: {_state(done)}")


def watch(
    source: Annotated[
        str,
        typer.Argument(
            help="Webcam number, rtsp:// or http:// address, video file, or folder of photos.",
            metavar="SOURCE",
        ),
    ],
    camera: Annotated[
        str | None, typer.Option("--camera", help="Its name in alerts; default: the source's.")
    ] = None,
    place: Annotated[
        str | None, typer.Option("--place", help="Where it is; default: the camera's name.")
    ] = None,
    start: Start = None,
    fps: Fps = None,
    loops: Loops = 1,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", help="POST every alert here, signed with ARCID_WEBHOOK_SECRET."),
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option("--mqtt", help="Publish every alert: HOST, HOST:PORT or a URL.")
    ] = None,
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Watch a camera or a file for everybody on a list that it looks for.

    Of others nothing is written but how many came. A file is read to its end, and reading it again
    writes nothing twice. A live source is watched until interrupted, by one process at a time; the
    service watches its own cameras by itself. Silent reviews are not printed: arcid watchlist
    alerts --level review lists them.

    Example: arcid watchlist watch rtsp://camera.example/door --camera door --json
    """
    from arcid.apps.telling import Deliverer, targets_from
    from arcid.apps.watching import CameraLease, Looking, Watcher
    from arcid.apps.watchlists import Watchlists
    from arcid.apps.watchlists.observer import duty
    from arcid.events import Place
    from arcid.pipeline import Pipeline
    from arcid.track import TrackSettings
    from arcid.types import counted
    from arcid.video import ImageFolder, open_source

    opened = open_source(source, start=when(start), fps=fps, loops=loops)
    targets = targets_from(webhook or [], mqtt)
    name = camera or opened.name
    apart = isinstance(opened, ImageFolder) and fps is None
    looking = Looking(min_frames=1, tracking=TrackSettings(first_looks=1)) if apart else None
    pipeline = Pipeline.from_models(detector, model)
    with open_gallery(database) as gallery:
        lists = [
            own for own in Watchlists(gallery).find() if not own.expired() and own.watches(name)
        ]
        note(f"{name} looks for {counted(len(lists), 'list')}")
        for own in lists:
            line = Watchlists(gallery).budget(own.id, name, pipeline.calibration).alert
            note(
                f"{own.name}: {counted(own.people, 'person')}, cosine from "
                f"{line.cosine_threshold:.3f} for {line.per_hour:g} false alerts an hour"
            )
        where = Place(place or name, name)
        told = tuple(target.name for target in targets)
        watcher = Watcher(pipeline, [duty(gallery, where, told)], looking, camera=name)
        lease = None
        if opened.live and lists:
            lease = CameraLease(gallery, lists[0].collection, name)
            lease.take(lambda error: note(f"{error.message}; looking whether it is"))
        deliverer = Deliverer(gallery, targets)
        deliverer.start()
        opening = Webcam(
            source, opened.name,
            "SOURCE may be another number, an rtsp:// address, a video file or a folder of photos",
        )  # fmt: skip
        try:
            with closing(watcher.watch(opened, lease=lease)) as views:
                for view in views:
                    for event in view.events:
                        _print_event(event, json)
                    for entry in view.health:
                        note(f"{entry.source}: {entry.kind}: {entry.detail}")
                    opening.see(view.health, watcher.counts.frames)
        finally:
            for event in watcher.unseen:
                _print_event(event, json)
            deliverer.stop()
            if not opened.live:
                deliverer.run_once()
            if lease is not None:
                lease.release()
    counts = watcher.counts
    note(f"{counts.frames} frames, {counts.tracks} faces, {counts.embeddings} looks")
    if not counts.embeddings:
        note(f"nobody was looked at: {counts.why_nothing()}")


def _print_event(event: Event, json: bool) -> None:
    details = event.grounds.get("details", {})
    if details.get("level") == "review":
        return
    if json:
        print_json(event.told())
    else:
        say(f"{clock(event.at)}  {event.name}  ({event.camera})  {details.get('alert_id')}")
    sys.stdout.flush()


def _state(one: Alert) -> str:
    if one.waits_for_second:
        return f"confirmed by {one.confirmed_by[0]}, a second person is needed"
    last = next((step for step in reversed(one.steps) if step.undone_by is None), None)
    return one.state if last is None else f"{one.state} by {last.who}"

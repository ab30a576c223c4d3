"""``arcid attend``: watch a camera, file or folder, and log who comes."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arcid.cli.answers import Extrapolate, note_provisional
from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Detector, Fps, Loops, Model, Start, when
from arcid.cli.output import Json, clock, note, print_json, say
from arcid.cli.webcams import Webcam

if TYPE_CHECKING:
    from arcid.apps.attendance import Event
    from arcid.video import Health

INSTEAD = "--source takes another number, an rtsp:// address, a video file or a folder of photos"


def register(app: typer.Typer) -> None:
    app.command()(attend)


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
        Literal["nothing", "vector", "crop"],
        typer.Option("--keep", help="Of the face behind an event: nothing, vector or crop."),
    ] = "vector",
    liveness: Annotated[
        Literal["off", "flag", "require"],
        typer.Option("--liveness", help="Suspected attacks: off, flag or require."),
    ] = "off",
    start: Start = None,
    fps: Fps = None,
    loops: Loops = 1,
    webhook: Annotated[
        list[str] | None,
        typer.Option("--webhook", help="POST every event here, signed with ARCID_WEBHOOK_SECRET."),
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
            help="Gallery file or SQLAlchemy URL; default: ARCID_DATABASE, else gallery.db in "
            "ARCID_HOME.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Watch a camera or a file: name who comes, flag who is unknown, log each arrival once.

    Events go to the gallery's database; docs/concepts/attendance.md explains them. With --json
    every event is one line as soon as it is written. A file is read to its end, and reading it
    again, or going on after a crash, writes nothing twice. Live sources are watched until
    interrupted and opened again when they break.

    --webhook signs with the secret in ARCID_WEBHOOK_SECRET (at least 16 characters); --mqtt signs
    in with ARCID_MQTT_USERNAME and ARCID_MQTT_PASSWORD where set. Photos of a folder without --fps
    are taken one by one: a single look decides.

    A live camera is watched by one process at a time: if another one on this database has it, the
    command says which, waits 15 s in case it is dead, and ends with camera_watched. --liveness flag
    records suspected pictures of faces beside arrivals, require in their place; both need arcid
    models pull minifasnet_v2 and arcid models pull minifasnet_v1se, and end with model_not_found
    without them.

    The collection and the gallery are made when missing; where nobody is enrolled, everybody is an
    unknown visitor.

    Example: arcid attend --source rtsp://camera.example/door --collection staff --camera door
    --json
    """
    from arcid.apps.attendance import CameraLease, Policy, Watcher
    from arcid.apps.telling import Deliverer, targets_from
    from arcid.gallery.opening import require_place
    from arcid.liveness import passive
    from arcid.pipeline import Pipeline
    from arcid.types import counted
    from arcid.video import ImageFolder, open_source

    opened = open_source(source, start=when(start), fps=fps, loops=loops)
    targets = targets_from(webhook or [], mqtt)
    policy = Policy(
        place=place,
        fpir=fpir,
        unsupported="extrapolate" if allow_extrapolation else "review",
        cooldown_s=cooldown,
        touch_s=min(5.0, cooldown / 4),
        keep=keep,
        liveness=liveness,
        targets=tuple(target.name for target in targets),
    )
    if isinstance(opened, ImageFolder) and fps is None:
        policy = policy.for_photos_apart()
    require_place(database)
    check = passive.load() if policy.liveness != "off" else None
    pipeline = Pipeline.from_models(detector, model)
    with open_gallery(database, create=True) as gallery:
        gallery.ensure_collection(collection)
        name = camera or opened.name
        watcher = Watcher(pipeline, gallery, collection, policy, camera=name, liveness=check)
        size = gallery.size(watcher.collection, pipeline.embedder.contract_id)
        note(
            f"watching {opened.name}: {counted(size, 'template')}, false positive identification "
            f"rate {watcher.rate(size):g}"
        )
        if not size:
            note(
                f"nobody is enrolled in {collection!r} yet, so everybody will be an unknown "
                f"visitor: arcid enrol NAME PHOTO --collection {collection}"
            )
        note_provisional(pipeline.calibration, False)
        lease = None
        if opened.live:  # files can be read by several at once: nothing is written twice
            lease = CameraLease(gallery, watcher.collection, name)
            lease.take(lambda error: note(f"{error.message}; looking whether it is"))
        deliverer = Deliverer(gallery, targets)
        deliverer.start()
        opening = Webcam(source, opened.name, INSTEAD)
        try:
            with closing(watcher.watch(opened, lease=lease)) as views:
                for view in views:
                    for event in view.events:
                        _print_event(event, json)
                    for entry in view.health:
                        _print_health(entry, json and health)
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
    note(
        f"{counts.frames} frames, {counts.detections} detections, {counts.tracks} tracks, "
        f"{counts.embeddings} embeddings"
    )
    if not counts.embeddings:
        note(f"nothing was embedded: {counts.why_nothing()}")


def _print_event(event: Event, json: bool) -> None:
    if json:
        print_json(event.told())
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

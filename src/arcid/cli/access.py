"""``arcid access …``: doors, who may pass them, and what they answered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli import access_doors, access_hours, access_people
from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, After, Collection, Database, Detector, Model, operator, when
from arcid.cli.output import REJECTED, Exit, Json, clock, note, print_json, print_table, say
from arcid.cli.webcams import Webcam

if TYPE_CHECKING:
    from arcid.apps.access import Answer, Opening

SERVICE_S = 1.5  # for a running service to take an order

app = typer.Typer(
    help="Doors: who may pass, who did, and who was refused and why.\n\n"
    "A door is opened by an impulse and stays locked without one. Nothing here may be relied on in "
    "a fire: fire release is wired outside.",
    no_args_is_help=True,
)
app.add_typer(access_doors.app, name="door")
app.add_typer(access_people.app, name="group")
app.add_typer(access_hours.schedules, name="schedule")
app.add_typer(access_hours.holidays, name="holiday")
app.add_typer(access_hours.rules, name="rule")

Door = Annotated[str, typer.Argument(help="Door by id or by name.", metavar="DOOR")]


@app.command()
def watch(
    source: Annotated[
        str, typer.Argument(help="Webcam number, rtsp:// or http:// address, or a video file.")
    ],
    door: Annotated[str, typer.Option("--door", help="Which door it looks at, by id or name.")],
    detector: Detector = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Watch a door with a camera: say who is let in or not and why, and open it.

    With --json every answer is one line. A recording shows what would be answered and opens
    nothing. A door that asks for liveness needs arcid models pull minifasnet_v2 and arcid models
    pull minifasnet_v1se.

    Example: arcid access watch rtsp://camera.example/door --door "Front door" --json
    """
    from arcid import paths
    from arcid.apps.access import Doorman, Doors
    from arcid.apps.access.observer import duty
    from arcid.apps.watching import CameraLease, Watcher
    from arcid.liveness import passive
    from arcid.pipeline import Pipeline
    from arcid.video import open_source

    opened = open_source(source)
    pipeline = Pipeline.from_models(detector, model)
    with open_gallery(database) as gallery:
        own = Doors(gallery).get(door)
        doorman = Doorman(
            gallery, pipeline.contract_id, paths.home_dir(),
            drives=lambda one: opened.live and one.id == own.id,
        )  # fmt: skip
        job = duty(gallery, doorman, own, _teller(json), rehearse=not opened.live)
        lease = None
        try:
            doorman.start()
            check = passive.load() if own.liveness else None
            liveness = None if check is None else lambda: check
            watcher = Watcher(pipeline, [job], camera=own.name, liveness=liveness)
            if opened.live:
                lease = CameraLease(gallery, own.collection, f"door {own.name}")
                lease.take(lambda error: note(f"{error.message}; looking whether it is"))
            else:
                note("a recording opens no door: this is what would be answered")
            problem = doorman.status(own.id).problem
            if problem:
                note(f"{own.name} cannot be opened: {problem}")
            opening = Webcam(
                source, opened.name,
                "SOURCE may be another number, an rtsp:// address or a video file",
            )  # fmt: skip
            with closing(watcher.watch(opened, lease=lease)) as views:
                for view in views:
                    for entry in view.health:
                        note(f"{entry.source}: {entry.kind}: {entry.detail}")
                    opening.see(view.health, watcher.counts.frames)
        finally:
            doorman.close()
            if lease is not None:
                lease.release()


@app.command("open")
def open_(
    door: Door,
    reason: Annotated[str, typer.Option("--reason", help="Why; logged. Leave names out of it.")],
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Open a door once, by hand, with a reason.

    The service that has the door's output does it; where none runs, this command does. Exit code 1
    where it was refused, by a lock-down for example, or did not open.

    Example: arcid access open "Front door" --reason "courier with a parcel"
    """
    from arcid import paths
    from arcid.apps.access import Doorman, Doors, Openings

    with open_gallery(database) as gallery:
        own = Doors(gallery).get(door)
        openings = Openings(gallery)
        asked = openings.order(own, operator(actor), reason)
        opening = openings.wait(asked, SERVICE_S, taken=True)
        if opening.state == "asked":
            with Doorman(gallery, "", paths.home_dir(), drives=lambda one: one.id == own.id):
                opening = openings.wait(asked)
    _print_opening(opening, json)


@app.command()
def lockdown(
    door: Annotated[
        str | None, typer.Argument(help="Door by id or by name; default: all.", metavar="DOOR")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown to whoever is refused.")] = "",
    lift: Annotated[bool, typer.Option("--lift", help="End it.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Lock doors down: nobody is let in, by hand neither, until it is lifted.

    Example: arcid access lockdown --reason "alarm in the hall"
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        done = Doors(gallery).lock_down(door, None if lift else reason)
    if json:
        print_json({"doors": [one.name for one in done], "locked_down": not lift})
        return
    word = "opens again to whoever may pass" if lift else "is locked down"
    for one in done:
        say(f"{one.name} {word}")


@app.command()
def log(
    door: Annotated[str | None, typer.Option("--door", help="Of one door.")] = None,
    person: Annotated[str | None, typer.Option("--person", help="Of one, by id or name.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="From this time on.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this time.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="Most shown.")] = 100,
    after: After = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """What doors answered, newest first: who, whether they were let in, why, and what became of it.

    Example: arcid access log --collection staff --since 2026-03-01
    """
    from arcid.apps.access import Passages

    with open_gallery(database, collection) as gallery:
        who = None if person is None else gallery.person_called(collection, person).id
        found = Passages(gallery).find(
            collection, door=door, person_id=who, since=when(since), until=when(until),
            limit=limit, after=after,
        )  # fmt: skip
    if json:
        page = {"passages": [one.to_dict() for one in found], "next": found.next}
        print_json({"collection": collection, **page})
        return
    rows = [
        (clock(one.at), one.door, one.outcome,
         one.name or one.actor or "", one.words, one.opening or "")
        for one in found
    ]  # fmt: skip
    print_table(("when", "door", "answer", "who", "why", "output"), rows)
    if found.next:
        note(f"there are more: --after {found.next}")


def _teller(json: bool) -> Callable[[Answer], None]:
    """Prints every answer, the same one once while it lasts."""
    last: list[object] = []

    def told(answer: Answer) -> None:
        said = [answer.granted, answer.track, [one.code for one in answer.reasons]]
        if said == last:
            return
        last[:] = said
        if json:
            print_json(answer.to_dict())
        else:
            word = "granted" if answer.granted else "refused"
            say(f"{clock(answer.now.at)}  {word:<8} {answer.words}")
        sys.stdout.flush()

    return told


def _print_opening(opening: Opening, json: bool) -> None:
    words = {
        "opened": "opened",
        "refused": f"refused: {opening.detail}",
        "failed": f"not opened: {opening.detail}",
        "unknown": f"nobody knows whether it opened: {opening.detail}",
        "asked": "not carried out in time",
        "claimed": "under way still; see arcid access log",
        "expired": f"not opened: {opening.detail}",
    }
    if json:
        print_json({"id": opening.id, "state": opening.state, "detail": opening.detail})
    else:
        say(words[opening.state])
    if opening.state != "opened":
        raise Exit(REJECTED)

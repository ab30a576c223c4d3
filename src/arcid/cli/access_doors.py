"""``arcid access door …``: doors as they are set up, and how likely a stranger opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Model, Yes
from arcid.cli.output import Json, confirm, done, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.access import Door
    from arcid.calibration import Calibration

app = typer.Typer(help="Doors: where, what opens them, and their rules.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]
Ref = Annotated[str, typer.Argument(help="Door by id or by name.", metavar="DOOR")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="KEY=VALUE of what a door has, such as two_person=true, passback=hard, "
        "from_area=street, liveness=false, release_s=3, interlock=Back; may be repeated.",
    ),
]


@app.command("add")
def add_door(
    name: Name,
    output: Annotated[
        str,
        typer.Option(
            "--output", help="What opens it: none, https://…, mqtt://…, osdp:///dev/…, gpio:PIN."
        ),
    ] = "none",
    camera: Annotated[
        str, typer.Option("--camera", help="The service's camera that looks at it, by name.")
    ] = "",
    settings: Settings = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Set a door up.

    Nobody may pass it until a rule says so.

    Secrets of outputs come from the environment: ARCID_DOOR_SECRET signs orders to relays,
    ARCID_MQTT_USERNAME and ARCID_MQTT_PASSWORD sign in to a broker, ARCID_OSDP_KEY encrypts a line.

    Example: arcid access door add "Front door" --collection staff --camera Entrance --output
    https://relay.example/open --set release_s=3
    """
    from arcid.apps.access import Doors

    chosen = {"output": output, "camera": camera, **settings_from(settings)}
    with open_gallery(database, collection) as gallery:
        made = Doors(gallery).add(name, collection, **chosen)
    _print(made, json, f"{made.name} is set up; who may pass it: arcid access rule add")


@app.command("list")
def list_doors(database: Database = None, json: Json = False) -> None:
    """All doors, and which are locked down.

    Example: arcid access door list
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        site, standing, _ = Doors(gallery).site()
    found = list(site.doors.values())
    if json:
        print_json(
            {"doors": [_plain(one) | {"lockdown": standing[one.id].lockdown} for one in found]}
        )
        return
    rows = [
        (one.name, one.collection, one.camera, one.output,
         "" if standing[one.id].lockdown is None else "locked down",
         "" if one.enabled else "switched off")
        for one in found
    ]  # fmt: skip
    print_table(("door", "collection", "camera", "output", "", ""), rows)


@app.command("show")
def show_door(
    door: Ref, model: Model = None, database: Database = None, json: Json = False
) -> None:
    """One door with all its settings, who may pass it, and how likely a stranger does.

    Example: arcid access door show "Front door"
    """
    from arcid.apps.access import Doors
    from arcid.apps.access.chance import chance_of

    with open_gallery(database) as gallery:
        doors = Doors(gallery)
        found, allowed = doors.get(door), doors.rules(door)
        now = chance_of(gallery, found, _calibration(model))
    passing = [{"group": one.group, "schedule": one.schedule} for one in allowed]
    if json:
        own = None if now is None else now.to_dict()
        print_json(_plain(found) | {"rules": passing, "chance": own})
        return
    for key, value in _plain(found).items():
        say(f"{key}: {value}")
    say("no calibration, so that nobody is let in" if now is None else now.words)
    for one in allowed:
        say(f"may pass: {one.group}, {one.schedule or 'at any time'}")
    if not allowed:
        say("nobody may pass it yet")


@app.command("change")
def change_door(
    door: Ref, settings: Settings = None, database: Database = None, json: Json = False
) -> None:
    """Change what a door has; name, output and camera too.

    Example: arcid access door change "Front door" --set passback=timed --set passback_s=60
    """
    from arcid.apps.access import Doors
    from arcid.errors import UsageError

    if not settings:
        raise UsageError("nothing to change: give --set KEY=VALUE")
    with open_gallery(database) as gallery:
        changed = Doors(gallery).change(door, **settings_from(settings))
    _print(changed, json, f"{changed.name} is changed")


@app.command("delete")
def delete_door(door: Ref, yes: Yes = False, database: Database = None, json: Json = False) -> None:
    """Take a door away.

    Its passages are kept for as long as it said.

    Example: arcid access door delete "Front door" --yes
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        name = Doors(gallery).get(door).name
        confirm(f"Take the door {name} away?", yes=yes)
        Doors(gallery).delete(door)
    done(f"{name} is gone", json, door=name)


@app.command("test")
def test_door(door: Ref, database: Database = None, json: Json = False) -> None:
    """Whether a door's output can be reached.

    The door is not opened.

    Example: arcid access door test "Front door"
    """
    import time

    from arcid.apps.access import Doors
    from arcid.apps.access.outputs import opener_for
    from arcid.errors import UsageError

    with open_gallery(database) as gallery:
        found = Doors(gallery).get(door)
    opener = opener_for(found.output, found.id, found.name)
    try:
        end = time.monotonic() + 8
        while not opener.ready and time.monotonic() < end:
            time.sleep(0.1)
        if not opener.ready:
            raise UsageError(f"{found.output} does not answer: look at its address and its power")
    finally:
        opener.close()
    reached = {"none": "has no output", "http": "is set up; relays are only asked when it opens"}
    kind = found.output.partition(":")[0].removesuffix("s")
    done(f"{found.name} {reached.get(kind, 'answers')}", json, door=found.name, ready=True)


def settings_from(pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE of a door's settings, each as its kind; raises ``UsageError``."""
    from typing import get_type_hints

    from pydantic import TypeAdapter, ValidationError

    from arcid.apps.access import Door
    from arcid.errors import UsageError

    kinds = {k: v for k, v in get_type_hints(Door).items() if k not in ("id", "collection")}
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or key not in kinds:
            raise UsageError(f"{pair!r} is no setting; KEY=VALUE of {', '.join(kinds)}")
        given = [one.strip() for one in value.split(",") if one.strip()]
        try:
            found[key] = TypeAdapter(kinds[key]).validate_python(
                given if key == "interlock" else value
            )
        except ValidationError:
            raise UsageError(f"{value!r} is no value for {key}") from None
    return found


def _calibration(model: str | None) -> Calibration | None:
    from arcid.errors import CalibrationMissing
    from arcid.models import weights

    found = weights.resolve(model) if model else weights.resolve_default("recognition")
    try:
        return weights.find_calibration(found)
    except CalibrationMissing:
        return None


def _plain(door: Door) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(door) | {"interlock": list(door.interlock)}


def _print(door: Door, json: bool, words: str) -> None:
    if json:
        print_json(_plain(door))
    else:
        say(words)

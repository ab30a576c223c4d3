"""``arcid access door|group|schedule|holiday|rule …``: what is set up at doors."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Yes, day_of, when
from arcid.cli.output import Json, clock, confirm, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.access import Door

doors = typer.Typer(help="Doors: where, what opens them, and their rules.", no_args_is_help=True)
groups = typer.Typer(help="Groups of people who may pass doors.", no_args_is_help=True)
schedules = typer.Typer(help="Hours in which groups may pass.", no_args_is_help=True)
holidays = typer.Typer(help="Days on which only hours of holidays count.", no_args_is_help=True)
rules = typer.Typer(help="Which group may pass which door, and when.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]
Ref = Annotated[str, typer.Argument(help="Door by id or by name.", metavar="DOOR")]
DoorOption = Annotated[str, typer.Option("--door", help="Door by id or by name.")]
GroupOption = Annotated[str, typer.Option("--group", help="A group of the collection.")]
Hours = Annotated[
    str | None, typer.Option("--schedule", help="In the hours of a schedule; default: always.")
]
Who = Annotated[str, typer.Argument(help="Person by id or by name.", metavar="PERSON")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="KEY=VALUE of what a door has, such as two_person=true, passback=hard, "
        "from_area=street, liveness=false, release_s=3, interlock=Back; may be repeated.",
    ),
]


def register(app: typer.Typer) -> None:
    app.add_typer(doors, name="door")
    app.add_typer(groups, name="group")
    app.add_typer(schedules, name="schedule")
    app.add_typer(holidays, name="holiday")
    app.add_typer(rules, name="rule")


@doors.command("add")
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


@doors.command("list")
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


@doors.command("show")
def show_door(door: Ref, database: Database = None, json: Json = False) -> None:
    """One door with all its settings and who may pass it.

    Example: arcid access door show "Front door"
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        found, allowed = Doors(gallery).get(door), Doors(gallery).rules(door)
    passing = [{"group": one.group, "schedule": one.schedule} for one in allowed]
    if json:
        print_json(_plain(found) | {"rules": passing})
        return
    for key, value in _plain(found).items():
        say(f"{key}: {value}")
    for one in allowed:
        say(f"may pass: {one.group}, {one.schedule or 'at any time'}")
    if not allowed:
        say("nobody may pass it yet")


@doors.command("change")
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


@doors.command("delete")
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
    _done(f"{name} is gone", json, door=name)


@doors.command("test")
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
    _done(f"{found.name} {reached.get(kind, 'answers')}", json, door=found.name, ready=True)


@groups.command("add")
def add_group(
    name: Name, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Make a group.

    Example: arcid access group add Staff --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        Groups(gallery).add(collection, name)
    _done(f"Made group {name}", json, group=name)


@groups.command("list")
def list_groups(
    collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Groups with their members, and until when each may pass.

    Example: arcid access group list --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        found = Groups(gallery).all(collection)
    if json:
        print_json({"groups": [
            {"name": one.name, "members": [
                {"person_id": m.person_id, "name": m.name, "valid_from": _iso(m.valid_from),
                 "valid_until": _iso(m.valid_until)} for m in one.members]} for one in found
        ]})  # fmt: skip
        return
    rows = [
        (one.name, member.name, _shown(member.valid_from), _shown(member.valid_until))
        for one in found for member in one.members
    ]  # fmt: skip
    print_table(("group", "member", "from", "until"), rows)
    for one in found:
        if not one.members:
            say(f"{one.name} has no members yet")


@groups.command("join")
def join_group(
    name: Name,
    person: Who,
    since: Annotated[str | None, typer.Option("--from", help="Not before this time.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Not from this time on.")] = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Put somebody in a group, for a time where that is said.

    Example: arcid access group join Guests "Ada Example" --until 2026-03-31 --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        who = gallery.person_called(collection, person)
        Groups(gallery).add_member(
            collection, name, who.id, valid_from=when(since), valid_until=when(until)
        )
    _done(f"{who.name} is in {name}", json, group=name, person_id=who.id)


@groups.command("leave")
def leave_group(
    name: Name,
    person: Who,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Take somebody out of a group.

    Example: arcid access group leave Guests "Ada Example" --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        who = gallery.person_called(collection, person)
        Groups(gallery).remove_member(collection, name, who.id)
    _done(f"{who.name} is not in {name} any more", json, group=name, person_id=who.id)


@groups.command("delete")
def delete_group(
    name: Name, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Take a group away: its members pass by it no more.

    Example: arcid access group delete Guests --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        Groups(gallery).delete(collection, name)
    _done(f"{name} is gone", json, group=name)


@groups.command("forgive")
def forgive(
    person: Who,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Forget where somebody is, so that anti-passback lets them through once.

    Example: arcid access group forgive "Ada Example" --collection staff
    """
    from arcid.apps.access import Doors

    with open_gallery(database, collection) as gallery:
        who = gallery.person_called(collection, person)
        Doors(gallery).forgive(who.id)
    _done(f"where {who.name} is, is forgotten", json, person_id=who.id)


@schedules.command("add")
def add_schedule(
    name: Name,
    hours: Annotated[
        str, typer.Argument(help="Such as: mon-fri 07:00-19:00; holiday 10:00-12:00.")
    ],
    zone: Annotated[
        str, typer.Option("--zone", help="Time zone of its clock, such as Europe/Berlin.")
    ] = "UTC",
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a schedule.

    Hours after midnight belong to the day on which they began.

    Example: arcid access schedule add Office "mon-fri 07:00-19:00" --zone Europe/Berlin
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database, collection) as gallery:
        made = Book(gallery).add(collection, name, hours, zone)
    _done(f"Made schedule {made.name}", json, schedule=made.name, hours=made.text, zone=made.zone)


@schedules.command("list")
def list_schedules(
    collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Schedules and their hours.

    Example: arcid access schedule list --collection staff
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database, collection) as gallery:
        found = Book(gallery).all(collection)
    if json:
        print_json({"schedules": [
            {"name": one.name, "hours": one.text, "zone": one.zone} for one in found
        ]})  # fmt: skip
        return
    print_table(("schedule", "hours", "zone"), [(s.name, s.text, s.zone) for s in found])


@schedules.command("delete")
def delete_schedule(
    name: Name, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Take a schedule away, and the rules that go by it.

    Example: arcid access schedule delete Office --collection staff
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database, collection) as gallery:
        Book(gallery).delete(collection, name)
    _done(f"{name} is gone", json, schedule=name)


@holidays.command("add")
def add_holiday(
    day: Annotated[str, typer.Argument(help="YYYY-MM-DD.")],
    name: Annotated[str, typer.Option("--name", help="What it is called.")] = "",
    database: Database = None,
    json: Json = False,
) -> None:
    """Add a holiday, of all doors.

    Example: arcid access holiday add 2026-12-25 --name Christmas
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database) as gallery:
        Book(gallery).add_holiday(day_of(day), name)
    _done(f"{day} is a holiday", json, day=day, name=name)


@holidays.command("list")
def list_holidays(database: Database = None, json: Json = False) -> None:
    """Holidays by day.

    Example: arcid access holiday list
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database) as gallery:
        found = Book(gallery).holidays()
    if json:
        print_json({"holidays": [{"day": h.day.isoformat(), "name": h.name} for h in found]})
        return
    print_table(("day", "name"), [(h.day.isoformat(), h.name) for h in found])


@holidays.command("delete")
def delete_holiday(
    day: Annotated[str, typer.Argument(help="YYYY-MM-DD.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Take a holiday away.

    Example: arcid access holiday delete 2026-12-25
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database) as gallery:
        Book(gallery).delete_holiday(day_of(day))
    _done(f"{day} is no holiday", json, day=day)


@rules.command("add")
def add_rule(
    door: DoorOption,
    group: GroupOption,
    schedule: Hours = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Let a group pass a door.

    Example: arcid access rule add --door "Front door" --group Staff --schedule Office
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        Doors(gallery).allow(door, group, schedule)
    _done(f"{group} may pass {door}", json, door=door, group=group, schedule=schedule)


@rules.command("list")
def list_rules(database: Database = None, json: Json = False) -> None:
    """Which group may pass which door, and when.

    Example: arcid access rule list
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        found = Doors(gallery).rules()
    if json:
        print_json({"rules": [
            {"door": one.door, "group": one.group, "schedule": one.schedule} for one in found
        ]})  # fmt: skip
        return
    rows = [(one.door, one.group, one.schedule or "at any time") for one in found]
    print_table(("door", "group", "when"), rows)


@rules.command("delete")
def delete_rule(
    door: DoorOption,
    group: GroupOption,
    schedule: Hours = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Take a rule back.

    Example: arcid access rule delete --door "Front door" --group Staff --schedule Office
    """
    from arcid.apps.access import Doors

    with open_gallery(database) as gallery:
        Doors(gallery).disallow(door, group, schedule)
    _done(f"{group} may not pass {door} by that any more", json, door=door, group=group)


def settings_from(pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE of a door's settings, each as its kind; raises ``UsageError``."""
    from dataclasses import fields

    from arcid.apps.access import Door
    from arcid.errors import UsageError

    kinds = {f.name: f.type for f in fields(Door) if f.name not in ("id", "collection")}
    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or key not in kinds:
            raise UsageError(f"{pair!r} is no setting; KEY=VALUE of {', '.join(kinds)}")
        try:
            found[key] = _as(str(kinds[key]), value)
        except (KeyError, ValueError):
            raise UsageError(f"{value!r} is no value for {key}") from None
    return found


def _as(kind: str, value: str) -> Any:
    if kind.startswith("float"):
        return float(value)
    if kind == "bool":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
            value.lower()
        ]
    if kind.startswith("tuple"):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _plain(door: Door) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(door) | {"interlock": list(door.interlock)}


def _print(door: Door, json: bool, words: str) -> None:
    if json:
        print_json(_plain(door))
    else:
        say(words)


def _done(words: str, json: bool, **values: Any) -> None:
    if json:
        print_json(values)
    else:
        say(words)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _shown(at: datetime | None) -> str:
    return "" if at is None else clock(at)

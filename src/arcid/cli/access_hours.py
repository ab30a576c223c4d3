"""``arcid access schedule|holiday|rule …``: when doors may be passed, and by which groups."""

from __future__ import annotations

from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, day_of
from arcid.cli.output import Json, done, print_json, print_table

schedules = typer.Typer(help="Hours in which groups may pass.", no_args_is_help=True)
holidays = typer.Typer(help="Days on which only hours of holidays count.", no_args_is_help=True)
rules = typer.Typer(help="Which group may pass which door, and when.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]
Day = Annotated[str, typer.Argument(help="YYYY-MM-DD.")]
DoorOption = Annotated[str, typer.Option("--door", help="Door by id or by name.")]
GroupOption = Annotated[str, typer.Option("--group", help="A group of the collection.")]
Hours = Annotated[
    str | None, typer.Option("--schedule", help="In the hours of a schedule; default: always.")
]


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
    done(f"Made schedule {made.name}", json, schedule=made.name, hours=made.text, zone=made.zone)


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
    done(f"{name} is gone", json, schedule=name)


@holidays.command("add")
def add_holiday(
    day: Day,
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
    done(f"{day} is a holiday", json, day=day, name=name)


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
    day: Day,
    database: Database = None,
    json: Json = False,
) -> None:
    """Take a holiday away.

    Example: arcid access holiday delete 2026-12-25
    """
    from arcid.apps.access import Hours as Book

    with open_gallery(database) as gallery:
        Book(gallery).delete_holiday(day_of(day))
    done(f"{day} is no holiday", json, day=day)


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
    done(f"{group} may pass {door}", json, door=door, group=group, schedule=schedule)


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
    done(f"{group} may not pass {door} by that any more", json, door=door, group=group)

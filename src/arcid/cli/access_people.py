"""``arcid access group …``: who may pass doors, and for how long."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Collection, Database, Person, when
from arcid.cli.output import Json, clock, done, print_json, print_table, say

app = typer.Typer(help="Groups of people who may pass doors.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Its name.", metavar="NAME")]


@app.command("add")
def add_group(
    name: Name, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Make a group.

    Example: arcid access group add Staff --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        Groups(gallery).add(collection, name)
    done(f"Made group {name}", json, group=name)


@app.command("list")
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


@app.command("join")
def join_group(
    name: Name,
    person: Person,
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
    done(f"{who.name} is in {name}", json, group=name, person_id=who.id)


@app.command("leave")
def leave_group(
    name: Name,
    person: Person,
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
    done(f"{who.name} is not in {name} any more", json, group=name, person_id=who.id)


@app.command("delete")
def delete_group(
    name: Name, collection: Collection = "default", database: Database = None, json: Json = False
) -> None:
    """Take a group away: its members pass by it no more.

    Example: arcid access group delete Guests --collection staff
    """
    from arcid.apps.access import Groups

    with open_gallery(database, collection) as gallery:
        Groups(gallery).delete(collection, name)
    done(f"{name} is gone", json, group=name)


@app.command("forgive")
def forgive(
    person: Person,
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
    done(f"where {who.name} is, is forgotten", json, person_id=who.id)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _shown(at: datetime | None) -> str:
    return "" if at is None else clock(at)

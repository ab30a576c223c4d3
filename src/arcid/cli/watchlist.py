"""``arcid watchlist …``: named lists of people, and alerts when one of them comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, Collection, Database, Yes, operator
from arcid.cli.output import Json, clock, confirm, print_json, print_table, say
from arcid.cli.watchlist_terms import ListName, with_terms

if TYPE_CHECKING:
    from arcid.apps.watchlists import Watchlist

app = typer.Typer(
    help="Lists of people to be told of when they come.\n\n"
    "A list has a purpose, a legal basis, an owner and an expiry, and a budget of false alerts a "
    "camera-hour; docs/concepts/watchlists.md explains them. It goes by its name or its id.",
    no_args_is_help=True,
)


@app.command()
@with_terms
def create(
    name: Annotated[str, typer.Argument(help="Name of the new list.", metavar="NAME")],
    terms: dict[str, Any],
    actor: Actor = None,
    collection: Collection = "default",
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a list of people of a collection, nobody on it yet.

    Purpose, legal basis, owner and expiry are asked of every list.

    Example: arcid watchlist create Banned --collection guests --purpose "bans of the shop"
    --legal-basis "house right" --owner "Ada Example" --expires 2026-12-31
    """
    from arcid.apps.watchlists import Terms, Watchlists
    from arcid.errors import UsageError

    missing = {"purpose", "legal_basis", "owner", "expires_at"} - set(terms)
    if missing:
        options = {"legal_basis": "--legal-basis", "expires_at": "--expires"}
        words = ", ".join(sorted(options.get(one, f"--{one}") for one in missing))
        raise UsageError(f"every list says what it is for and until when: give {words}")
    if "reviews_per_hour" not in terms and terms.get("false_alerts_per_hour", 0) > 0.5:
        terms["reviews_per_hour"] = 10 * terms["false_alerts_per_hour"]
    with open_gallery(database, collection) as gallery:
        made = Watchlists(gallery).create(name, collection, Terms(**terms), actor=operator(actor))
    _print_list(made, json)


@app.command()
@with_terms
def change(
    name: ListName,
    terms: dict[str, Any],
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; cameras that watch follow within seconds.

    What is not given stays as it is: the defaults named are those of a new list.

    Example: arcid watchlist change Banned --expires 2027-06-30 --false-alerts 0.2
    """
    from arcid.apps.watchlists import Watchlists

    with open_gallery(database) as gallery:
        lists = Watchlists(gallery)
        done = lists.update(name, actor=operator(actor), name=new_name, **terms)
    _print_list(done, json)


@app.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """List the lists, expired ones too.

    Example: arcid watchlist list
    """
    from arcid.apps.watchlists import Watchlists

    with open_gallery(database) as gallery:
        found = Watchlists(gallery).find()
    if json:
        print_json({"watchlists": [own.to_dict() for own in found]})
        return
    rows = [
        (own.name, own.collection, own.people, own.terms.owner, _until(own), own.id)
        for own in found
    ]
    print_table(("list", "collection", "people", "owner", "until", "id"), rows)


@app.command()
def show(name: ListName, database: Database = None, json: Json = False) -> None:
    """Show a list and who is on it; the audit notes who looked.

    Example: arcid watchlist show Banned
    """
    from arcid.apps.watchlists import Watchlists
    from arcid.events import Audit

    with open_gallery(database) as gallery:
        lists = Watchlists(gallery)
        own, people = lists.get(name), lists.everybody(name)
        Audit(gallery).record(verb="list.view", subject=f"list:{own.id}", collection=own.collection)
    if json:
        print_json(own.to_dict() | {"members": [one.to_dict() for one in people]})
        return
    _print_list(own, False)
    rows = [(one.name, one.reason, one.added_by, clock(one.added_at)) for one in people]
    print_table(("person", "why", "put on by", "when"), rows)


@app.command()
def add(
    name: ListName,
    person: Annotated[
        list[str], typer.Argument(help="People of its collection, by name or id.", metavar="PERSON")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the entry.")] = "",
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Put people of the list's collection on it.

    Example: arcid watchlist add Banned "Mallory Example" --reason "ban of 3 March"
    """
    _put(name, person, reason, actor, database, json)


@app.command()
def remove(
    name: ListName,
    person: Annotated[
        list[str], typer.Argument(help="People of the list, by name or id.", metavar="PERSON")
    ],
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Take people off a list; they stay enrolled, and their alerts stay.

    Example: arcid watchlist remove Banned "Mallory Example"
    """
    _put(name, person, None, actor, database, json)


@app.command()
def expire(
    name: ListName, actor: Actor = None, database: Database = None, json: Json = False
) -> None:
    """End a list now: it matches nobody from here on.

    Example: arcid watchlist expire Banned
    """
    from arcid.apps.watchlists import Watchlists

    with open_gallery(database) as gallery:
        done = Watchlists(gallery).expire(name, actor=operator(actor))
    _print_list(done, json)


@app.command()
def delete(
    name: ListName,
    yes: Yes = False,
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Erase a list with its alerts and the faces behind them; its people stay enrolled.

    Example: arcid watchlist delete Banned --yes
    """
    from arcid.apps.watchlists import Watchlists

    with open_gallery(database) as gallery:
        lists = Watchlists(gallery)
        own = lists.get(name)
        confirm(f"Erase the list {own.name} and its alerts?", yes=yes)
        lists.delete(own.id, actor=operator(actor))
    if json:
        print_json({"deleted": own.id})
    else:
        say(f"{own.name} is erased; its people stay enrolled")


def _put(
    name: str,
    people: list[str],
    reason: str | None,
    actor: str | None,
    database: str | None,
    json: bool,
) -> None:
    """On a list for a ``reason``; None: off it."""
    from arcid.apps.watchlists import Watchlists

    who = operator(actor)
    with open_gallery(database) as gallery:
        lists = Watchlists(gallery)
        own = lists.get(name)
        known = [gallery.person_called(own.collection, one) for one in people]
        changed = [
            one.id
            for one in known
            if (
                lists.remove(own.id, one.id, actor=who)
                if reason is None
                else lists.add(own.id, one.id, actor=who, reason=reason)
            )
        ]
        own = lists.get(own.id)
    if json:
        print_json(own.to_dict() | {"changed": changed})
    else:
        done = "taken off" if reason is None else "put on"
        say(f"{len(changed)} {done} {own.name}; {own.people} are on it")


def _print_list(own: Watchlist, json: bool) -> None:
    if json:
        print_json(own.to_dict())
        return
    terms = own.terms
    people = "1 person" if own.people == 1 else f"{own.people} people"
    say(f"{own.name} ({own.id}): {people} of {own.collection}, {_until(own)}")
    say(f"purpose: {terms.purpose}; legal basis: {terms.legal_basis}; owner: {terms.owner}")
    say(
        f"at most {terms.false_alerts_per_hour:g} false alerts and {terms.reviews_per_hour:g} "
        f"false silent reviews a camera-hour; {terms.confirm_looks} looks agree; "
        f"{'two people confirm' if terms.four_eyes else 'one confirms'}"
    )


def _until(own: Watchlist) -> str:
    return f"{'expired' if own.expired() else 'until'} {clock(own.terms.expires_at)}"

"""``arcid watchlist …``: named lists of people, and alerts when one of them comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Actor, Collection, Database, Model, Yes, operator, when
from arcid.cli.output import Json, clock, confirm, note, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.watchlists import Line, Watchlist

app = typer.Typer(
    help="Lists of people to be told of when they come.\n\n"
    "A list has a purpose, a legal basis, an owner and an expiry, and a budget of false alerts a "
    "camera-hour; docs/concepts/watchlists.md explains them. It goes by its name or its id.",
    no_args_is_help=True,
)

ListName = Annotated[str, typer.Argument(help="List by name or by id.", metavar="LIST")]
Purpose = Annotated[str | None, typer.Option("--purpose", help="What the list is for.")]
Basis = Annotated[
    str | None, typer.Option("--legal-basis", help="The law or consent that allows it.")
]
Owner = Annotated[str | None, typer.Option("--owner", help="Who answers for it.")]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="When it stops matching: 2026-12-31, within two years."),
]
Alerts = Annotated[
    float | None,
    typer.Option("--false-alerts", help="Budget of false alerts a camera-hour; default: 0.05."),
]
ReviewsAnHour = Annotated[
    float | None,
    typer.Option("--false-reviews", help="The same of silent reviews; default: 0.5."),
]
Looks = Annotated[
    int | None, typer.Option("--looks", help="Looks at a face that have to agree; default: 2.")
]
Cooldown = Annotated[
    float | None,
    typer.Option("--cooldown", help="Seconds unseen until somebody alerts again; default: 300."),
]
Keep = Annotated[
    int | None, typer.Option("--keep-days", help="Days until alerts are erased; default: 30.")
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="Console role that may see it; may be repeated; admin always may."),
]
Accounts = Annotated[
    list[str] | None,
    typer.Option("--account", help="Console account that may see it; may be repeated."),
]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", help="Camera that looks for it; may be repeated; default: all."),
]
FourEyes = Annotated[
    bool | None,
    typer.Option("--four-eyes/--two-eyes", help="Whether two people have to confirm an alert."),
]
Strangers = Annotated[
    str | None,
    typer.Option(
        "--strangers", help="Kept of passers-by on no list: nothing (default), vector or crop."
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the new list.", metavar="NAME")],
    purpose: Purpose = None,
    legal_basis: Basis = None,
    owner: Owner = None,
    expires: Expires = None,
    false_alerts: Alerts = None,
    false_reviews: ReviewsAnHour = None,
    looks: Looks = None,
    cooldown: Cooldown = None,
    keep_days: Keep = None,
    role: Roles = None,
    account: Accounts = None,
    camera: Cameras = None,
    four_eyes: FourEyes = None,
    strangers: Strangers = None,
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

    given = _terms(
        purpose, legal_basis, owner, expires, false_alerts, false_reviews, looks, cooldown,
        keep_days, role, account, camera, four_eyes, strangers,
    )  # fmt: skip
    missing = {"purpose", "legal_basis", "owner", "expires_at"} - set(given)
    if missing:
        options = {"legal_basis": "--legal-basis", "expires_at": "--expires"}
        words = ", ".join(sorted(options.get(one, f"--{one}") for one in missing))
        raise UsageError(f"every list says what it is for and until when: give {words}")
    if "reviews_per_hour" not in given and given.get("false_alerts_per_hour", 0) > 0.5:
        given["reviews_per_hour"] = 10 * given["false_alerts_per_hour"]
    with open_gallery(database, collection) as gallery:
        made = Watchlists(gallery).create(name, collection, Terms(**given), actor=operator(actor))
    _print_list(made, json)


@app.command()
def change(
    name: ListName,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    purpose: Purpose = None,
    legal_basis: Basis = None,
    owner: Owner = None,
    expires: Expires = None,
    false_alerts: Alerts = None,
    false_reviews: ReviewsAnHour = None,
    looks: Looks = None,
    cooldown: Cooldown = None,
    keep_days: Keep = None,
    role: Roles = None,
    account: Accounts = None,
    camera: Cameras = None,
    four_eyes: FourEyes = None,
    strangers: Strangers = None,
    actor: Actor = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; cameras that watch follow within seconds.

    Example: arcid watchlist change Banned --expires 2027-06-30 --false-alerts 0.2
    """
    from arcid.apps.watchlists import Watchlists

    given = _terms(
        purpose, legal_basis, owner, expires, false_alerts, false_reviews, looks, cooldown,
        keep_days, role, account, camera, four_eyes, strangers,
    )  # fmt: skip
    with open_gallery(database) as gallery:
        lists = Watchlists(gallery)
        done = lists.update(name, actor=operator(actor), name=new_name, **given)
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


@app.command()
def budget(
    name: ListName,
    camera: Annotated[
        str | None,
        typer.Option("--camera", help="Whose faces an hour count; default: of a camera unknown."),
    ] = None,
    model: Model = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """What a list's budget comes to: its thresholds now, and what to expect of them.

    Example: arcid watchlist budget Banned --camera door
    """
    from arcid.apps.watchlists import Watchlists
    from arcid.models import weights
    from arcid.types import counted

    found = weights.resolve(model) if model else weights.resolve_default("recognition")
    calibration = weights.find_calibration(found)
    with open_gallery(database) as gallery:
        now = Watchlists(gallery).budget(name, camera, calibration)
    if json:
        print_json({"camera": camera, **now.to_dict()})
        return
    flow = now.flow
    known = f"measured over {flow.hours:.1f} h" if flow.hours else "assumed: not measured yet"
    say(f"{counted(now.templates, 'template')}; {flow.faces_per_hour:.0f} faces an hour ({known})")
    rows = [_line("alert", now.alert), _line("silent review", now.review)]
    print_table(
        ("", "false ones an hour", "of one face", "cosine from", "expected an hour", "missed"),
        rows,
    )
    if "measured" not in {now.alert.support} or now.review.support != "measured":
        note(
            "a threshold is extrapolated beyond the calibration's measured data: the expected "
            "number may be wrong by the interval shown; arcid calibrate measures your own people"
        )


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


def _terms(
    purpose: str | None,
    legal_basis: str | None,
    owner: str | None,
    expires: str | None,
    false_alerts: float | None,
    false_reviews: float | None,
    looks: int | None,
    cooldown: float | None,
    keep_days: int | None,
    role: list[str] | None,
    account: list[str] | None,
    camera: list[str] | None,
    four_eyes: bool | None,
    strangers: str | None,
) -> dict[str, Any]:
    """What was given, as fields of ``Terms``."""
    values = {
        "purpose": purpose, "legal_basis": legal_basis, "owner": owner,
        "expires_at": when(expires), "false_alerts_per_hour": false_alerts,
        "reviews_per_hour": false_reviews, "confirm_looks": looks, "cooldown_s": cooldown,
        "keep_days": keep_days, "roles": role, "accounts": account, "cameras": camera,
        "four_eyes": four_eyes, "strangers": strangers,
    }  # fmt: skip
    return {key: value for key, value in values.items() if value is not None}


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


def _line(what: str, line: Line) -> tuple[str, ...]:
    return (
        what,
        f"{line.per_hour:g}",
        f"{line.target_fpir:.2g}",
        f"{line.cosine_threshold:.3f} ({line.support.replace('_', ' ')})",
        f"{line.expected_per_hour:.2g} [{line.expected_low:.2g}, {line.expected_high:.2g}]",
        f"{line.missed:.0%}",
    )

"""``arcid keys …``: what programs show to the service, from the machine it runs on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database
from arcid.cli.output import Json, clock, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.protection import ApiKey

app = typer.Typer(
    help="Make and end the API keys of the service (docs/concepts/security.md).\n\n"
    "A key is printed once, when it is made or rotated; its sha256 is kept. Services that run "
    "follow within a second. Once there is a key, every request needs one.",
    no_args_is_help=True,
)
Key = Annotated[str, typer.Argument(help="Key by name or id.", metavar="KEY")]
Days = Annotated[
    float | None,
    typer.Option("--days", min=0.001, max=36_500, help="It expires after so many days."),
]


def _lasts(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


def _tell(key: ApiKey, as_json: bool, what: str, secret: str | None = None) -> None:
    if as_json:
        print_json({"key": key.to_dict()} | ({"secret": secret} if secret else {}))
        return
    say(what)
    if secret:
        say(f"key: {secret}")


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(help="Name, as of the program that will show it.", metavar="NAME")
    ],
    allow: Annotated[
        list[str],
        typer.Option(
            "--allow",
            help="What it may do: read, search, enrol, decide, delete, doors, admin, vectors; "
            "may be repeated.",
        ),
    ],
    collection: Annotated[
        list[str] | None,
        typer.Option(
            "--collection", help="The only one it reaches; may be repeated; default: all."
        ),
    ] = None,
    days: Days = None,
    per_minute: Annotated[
        int | None,
        typer.Option("--per-minute", min=1, help="Most requests a minute; default: no limit."),
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a key, and print it: this once.

    Example: arcid keys add turnstile --allow search --collection staff --days 365
    """
    from arcid.protection import Keys

    with open_gallery(database, create=True) as gallery:
        words = [word for part in allow for word in part.split(",") if word.strip()]
        key, secret = Keys(gallery).add(
            name, map(str.strip, words), collections=collection or None, lasts=_lasts(days),
            per_minute=per_minute,
        )  # fmt: skip
    _tell(key, json, f"{key.name} may {', '.join(key.verbs)} now", secret)


@app.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """All stored keys, with what they may do and when they were used last.

    Example: arcid keys list
    """
    from arcid.protection import Keys

    with open_gallery(database) as gallery:
        found = Keys(gallery).all()
    if json:
        print_json({"keys": [key.to_dict() for key in found]})
        return

    def at(moment: datetime | None) -> str:
        return "never" if moment is None else clock(moment)

    rows = [
        (key.name, key.id, key.state, ", ".join(key.verbs),
         "all" if key.collections is None else ", ".join(key.collections) or "none is left",
         at(key.expires_at), at(key.used_at))
        for key in found
    ]  # fmt: skip
    print_table(("name", "id", "state", "may", "collections", "expires", "last used"), rows)


@app.command()
def rotate(
    key: Key,
    overlap_hours: Annotated[
        float,
        typer.Option(
            "--overlap-hours", min=0, max=8760, help="For so long the old one is taken, too."
        ),
    ] = 24.0,
    days: Days = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Give a key a new secret, and print it; what it may do stays.

    Example: arcid keys rotate turnstile --overlap-hours 2
    """
    from arcid.protection import Keys

    with open_gallery(database) as gallery:
        found, secret = Keys(gallery).rotate(
            key, overlap=timedelta(hours=overlap_hours), lasts=_lasts(days)
        )
    old = found.old_until if overlap_hours else None
    until = "" if old is None else f"; the old one works until {clock(old)}"
    _tell(found, json, f"{found.name} has a new key{until}", secret)


@app.command()
def revoke(key: Key, database: Database = None, json: Json = False) -> None:
    """Let a key open nothing any more; it stays listed, so that the audit can name it.

    Example: arcid keys revoke turnstile
    """
    from arcid.protection import Keys

    with open_gallery(database) as gallery:
        found = Keys(gallery).revoke(key)
    _tell(found, json, f"{found.name} opens nothing any more")


@app.command()
def delete(key: Key, database: Database = None, json: Json = False) -> None:
    """Forget a key with its name; without any, programs of this machine need none again.

    Example: arcid keys delete turnstile
    """
    from arcid.protection import Keys

    with open_gallery(database) as gallery:
        keys = Keys(gallery)
        found = keys.get(key)
        keys.delete(key)
    _tell(found, json, f"{found.name} is forgotten")

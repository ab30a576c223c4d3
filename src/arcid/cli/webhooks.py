"""``arcid webhooks …``: who is told of events, from the machine the service runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database
from arcid.cli.output import OK, REJECTED, Exit, Json, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.apps.telling import Hook, Hooks
    from arcid.gallery import Gallery

app = typer.Typer(
    help="Receivers that services post events to, signed (docs/concepts/rest.md).\n\n"
    "A secret is printed once, when it is made. Services that run follow within a second or two. "
    "Those of ARCID_WEBHOOKS are not among them.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Webhook by name or id.", metavar="WEBHOOK")]
Kind = Annotated[
    list[str] | None,
    typer.Option("--kind", help="Kind of events, as arrival or alert; may be repeated."),
]


def _hooks(gallery: Gallery) -> Hooks:
    from arcid import paths
    from arcid.apps.telling import Hooks

    return Hooks(gallery, paths.home_dir())


def _tell(hook: Hook, as_json: bool, what: str, secret: str | None = None) -> None:
    if as_json:
        print_json({"webhook": hook.to_dict()} | ({"secret": secret} if secret else {}))
        return
    say(what)
    if secret:
        say(f"secret: {secret}")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name, as of the receiver.", metavar="NAME")],
    url: Annotated[str, typer.Argument(help="Its address, https:// or http://.", metavar="URL")],
    kind: Kind = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Add a receiver, and print the secret its messages are signed with: this once.

    Example: arcid webhooks add hr https://hr.example/arcid --kind arrival --kind departure
    """
    with open_gallery(database, create=True) as gallery:
        hook, secret = _hooks(gallery).add(name, url, kinds=kind or None)
    _tell(hook, json, f"{hook.name} is told of {', '.join(hook.kinds or ['every event'])}", secret)


@app.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """All stored webhooks, and what became of the events of the last 30 days.

    Example: arcid webhooks list
    """
    with open_gallery(database) as gallery:
        found = _hooks(gallery).all()
    if json:
        print_json({"webhooks": [hook.to_dict() for hook in found]})
        return
    rows = [
        (hook.name, hook.id, hook.address, ", ".join(hook.kinds or ["all"]),
         "yes" if hook.enabled else "no", hook.waiting, hook.done, hook.failed)
        for hook in found
    ]  # fmt: skip
    columns = ("name", "id", "address", "kinds", "enabled", "waiting", "done", "given up")
    print_table(columns, rows)


@app.command()
def change(
    webhook: Name,
    url: Annotated[str | None, typer.Option("--url", help="Another address.")] = None,
    kind: Kind = None,
    every_kind: Annotated[
        bool, typer.Option("--every-kind", help="Tell it of events of every kind.")
    ] = False,
    enabled: Annotated[
        bool | None,
        typer.Option(
            "--enabled/--disabled", help="While disabled, no event is kept for it.", metavar=""
        ),
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change where a webhook is, what it is told of, and whether it is told at all.

    Example: arcid webhooks change hr --disabled
    """
    with open_gallery(database) as gallery:
        hook = _hooks(gallery).change(
            webhook, url=url, kinds=kind or None, every_kind=every_kind, enabled=enabled
        )
    _tell(hook, json, f"{hook.name} is changed")


@app.command()
def rotate(webhook: Name, database: Database = None, json: Json = False) -> None:
    """Give a webhook another secret, and print it; the one before signs nothing any more.

    Example: arcid webhooks rotate hr
    """
    with open_gallery(database) as gallery:
        hook, secret = _hooks(gallery).rotate(webhook)
    _tell(hook, json, f"{hook.name} has a new secret", secret)


@app.command()
def test(webhook: Name, database: Database = None, json: Json = False) -> None:
    """Post one signed message now, and say what the receiver answers.

    Its kind is test. Exit code 1 where it is not taken.

    Example: arcid webhooks test hr
    """
    with open_gallery(database) as gallery:
        tried = _hooks(gallery).test(webhook)
    if json:
        print_json(tried.to_dict())
    elif tried.delivered:
        say(f"the receiver answers {tried.status} after {tried.seconds:.2f} s")
    else:
        say(f"not delivered: {tried.problem}")
    raise Exit(OK if tried.delivered else REJECTED)


@app.command()
def delete(webhook: Name, database: Database = None, json: Json = False) -> None:
    """Forget a webhook with all that waits for it.

    Example: arcid webhooks delete hr
    """
    with open_gallery(database) as gallery:
        hooks = _hooks(gallery)
        found = hooks.get(webhook)
        hooks.delete(webhook)
    _tell(found, json, f"{found.name} is forgotten")

"""``arcid accounts …``: who may sign in at the console, from the machine it runs on."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.opening import open_gallery
from arcid.cli.options import Database
from arcid.cli.output import Json, confirm, print_json, print_table, say

if TYPE_CHECKING:
    from arcid.server.console.auth.account import Account
    from arcid.server.console.auth.accounts import Accounts

app = typer.Typer(
    help="Look after the console's accounts and sessions (docs/concepts/console.md).\n\n"
    "No sign-in is asked for, only the right to the console's database. A password is asked for "
    "twice on a terminal, else read as one line from standard input.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the account.", metavar="NAME")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password and print it, instead of asking.")
]


@contextmanager
def _opened(database: str | None, *, create: bool = False) -> Iterator[Accounts]:
    from arcid import extras, paths

    extras.require("the console", "server", "argon2")
    from arcid.server.console.auth.accounts import Accounts

    open_gallery(database, create=create).close()
    found = Accounts.open(database or paths.database_url())
    try:
        yield found
    finally:
        found.close()


def _password(generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(12)
    if sys.stdin.isatty():
        typed: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _tell(account: Account, what: str, as_json: bool, **more: Any) -> None:
    if as_json:
        print_json({"account": asdict(account), **more})
        return
    say(what)
    if password := more.get("password"):
        say(f"password: {password}")


@app.command("list")
def list_(database: Database = None, json: Json = False) -> None:
    """All accounts, with their roles and how many sessions each has.

    Example: arcid accounts list
    """
    with _opened(database) as store:
        found, open_ = store.all(), [session.account.id for session in store.sessions.all()]
    counts = {account.id: open_.count(account.id) for account in found}
    if json:
        print_json({"accounts": [asdict(a) | {"sessions": counts[a.id]} for a in found]})
        return
    print_table(
        ("name", "role", "may sign in", "last (UTC)", "second factor", "kept at", "sessions"),
        [
            (
                a.name,
                a.role,
                "yes" if a.enabled else "no",
                f"{a.signed_in_at:%Y-%m-%d %H:%M}" if a.signed_in_at else "never",
                "yes" if a.factors else "no",
                a.issuer or "here",
                counts[a.id],
            )
            for a in found
        ],
    )


@app.command()
def add(
    name: Name,
    role: Annotated[
        str,
        typer.Option(
            "--role",
            help="admin, officer, operator, reviewer, guard, viewer or kiosk; default: admin.",
        ),
    ] = "admin",
    generate: Generate = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make an account; the way in where set-up is over and no account is left.

    Example: arcid accounts add "Ada Admin" --generate
    """
    with _opened(database, create=True) as store:
        password = _password(generate)
        account = store.add(name, password, role)
    shown = {"password": password} if generate else {}
    _tell(account, f"{account.name} can sign in now, as {account.role}", json, **shown)


@app.command()
def reset(
    name: Name, generate: Generate = False, database: Database = None, json: Json = False
) -> None:
    """A new password, for whoever forgot theirs, the only admin too.

    It ends the account's sessions and its wait after wrong guesses.

    Example: arcid accounts reset "Ada Admin" --generate
    """
    with _opened(database) as store:
        account = store.named(name)
        password = _password(generate)
        account = store.change(account.id, password=password)
    shown = {"password": password} if generate else {}
    closed = "" if account.enabled else "; the account is closed: arcid accounts enable opens it"
    _tell(account, f"{account.name} has a new password{closed}", json, **shown)


@app.command("reset-second-factor")
def reset_second_factor(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """For somebody who lost the phone and the recovery codes; their sessions end.

    The password alone lets them in then, or, where a second factor is demanded, they set a new one
    up at the next sign-in.

    Example: arcid accounts reset-second-factor "Ada Admin" --yes
    """
    with _opened(database) as store:
        account = store.named(name)
        confirm(f"Reset the second factor of {account.name}?", yes=yes)
        had = bool(account.factors)
        account = store.reset_second(account.id)
    what = "has no second factor any more" if had else "had no second factor"
    _tell(account, f"{account.name} {what}", json, removed=had)


@app.command()
def disable(name: Name, database: Database = None, json: Json = False) -> None:
    """Let an account sign in no more, and end its sessions; one admin always remains.

    Example: arcid accounts disable "Olga Operator"
    """
    with _opened(database) as store:
        account = store.change(store.named(name).id, enabled=False)
    _tell(account, f"{account.name} cannot sign in any more", json)


@app.command()
def enable(name: Name, database: Database = None, json: Json = False) -> None:
    """Let a closed account sign in again.

    Example: arcid accounts enable "Olga Operator"
    """
    with _opened(database) as store:
        account = store.change(store.named(name).id, enabled=True)
    _tell(account, f"{account.name} can sign in again", json)


@app.command()
def sessions(
    name: Annotated[
        str | None, typer.Argument(help="Of this account; default: of all.", metavar="NAME")
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Who is signed in: one line a browser.

    Example: arcid accounts sessions
    """
    with _opened(database) as store:
        found = store.sessions.all(store.named(name).id if name else None)
    if json:
        shown = [asdict(session) | {"account": session.account.name} for session in found]
        print_json({"sessions": shown})
        return
    print_table(
        ("session", "account", "since (UTC)", "last seen", "ends unused", "from", "browser"),
        [
            (
                s.id,
                s.account.name,
                *(f"{t:%Y-%m-%d %H:%M}" for t in (s.started_at, s.seen_at, s.ends_at)),
                s.address or "",
                s.browser or "",
            )
            for s in found
        ],
    )


@app.command("sign-out")
def sign_out(
    name: Name,
    session: Annotated[
        str | None,
        typer.Option("--session", help="Only this one, by its id; default: all of the account's."),
    ] = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """End an account's sessions, all or one; open pages ask for a sign-in within a second.

    Example: arcid accounts sign-out "Ada Admin"
    """
    with _opened(database) as store:
        account = store.named(name)
        before = len(store.sessions.all(account.id))
        if session is None:
            store.sessions.end_all(account.id)
        else:
            store.sessions.end(session, account.id)
        ended = before - len(store.sessions.all(account.id))
    _tell(account, f"{ended} sessions of {account.name} have ended", json, ended=ended)

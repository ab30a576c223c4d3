"""``arcid demo``: a throw-away gallery with everything in it, and its console."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.output import Json, note, print_json, say

if TYPE_CHECKING:
    from arcid.server.run import Ready

ACCOUNTS = {"Ines": "admin", "Otto": "officer", "Olga": "operator", "Rita": "reviewer",
            "Gus": "guard", "Vera": "viewer", "Kim": "kiosk"}  # fmt: skip
KEPT = ("ARCID_COMPILED", "ARCID_DATA", "ARCID_DETECTOR", "ARCID_RECOGNISER", "ARCID_THREADS")


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    photos: Annotated[
        Path | None,
        typer.Option(
            "--photos",
            help="Folder with one folder of photographs a person; default: those of ARCID_DATA.",
        ),
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="New or empty folder to fill; default: a temporary one."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the folder there at the end.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0: a free one.")
    ] = 0,
    json: Json = False,
) -> None:
    """See every page of the console alive, over photographs that are here already.

    A folder of its own is filled with people under made-up names, who pass cameras, are enrolled
    twice, are on a watchlist and identify themselves; then the service runs until Ctrl-C, and the
    folder is removed. Nothing of your own gallery or settings is touched or told, nothing is
    downloaded, and only this machine can reach it. The photographs show real people: the names are
    not theirs. With --json one object is printed as soon as the service is ready.

    Example: arcid demo --photos people
    """
    from arcid import extras

    extras.require("the demo", "server")
    from arcid.apps.demo import COLLECTION, Broadcast, Cast, fill, film, loop, photographs, walk
    from arcid.gallery import Gallery
    from arcid.pipeline import Pipeline
    from arcid.server.run import serve
    from arcid.server.settings import Settings

    folder = photographs(photos)
    pipeline = Pipeline.from_models()
    cast = Cast.of(pipeline, folder)
    with _home(home, keep) as own, suppress(KeyboardInterrupt):  # the ordinary way to stop it
        database = str(own / "gallery.db")
        with Gallery.open(database) as gallery:
            fill(gallery, pipeline, cast, own, tell=note)
            greeted = gallery.collection(COLLECTION).id
        passwords = _accounts(database, greeted)
        shows = {"door": partial(walk, cast)}
        if (video := film()) is not None:
            shows["video"] = partial(loop, video)
        with Broadcast(shows) as streams:
            _cameras(database, own, {name: streams.address(name) for name in shows})
            tell = _announce_json if json else _announce
            settings = Settings.load(port=port, database=database, log_level="warning")
            serve(settings, announce=lambda ready: tell(ready, own, keep, passwords))


@contextmanager
def _home(wanted: Path | None, keep: bool) -> Iterator[Path]:
    """The folder, as ARCID_HOME and with nothing else of the environment that could reach anybody.

    Raises ``UsageError`` where there is something in it.
    """
    from arcid import paths
    from arcid.errors import UsageError

    if (
        wanted is not None
        and wanted.exists()
        and not (wanted.is_dir() and not any(wanted.iterdir()))
    ):
        raise UsageError(
            f"{wanted} is not an empty folder, and the demo takes a new one: name another with "
            "--home, or none for a temporary one"
        )
    own = Path(tempfile.mkdtemp(prefix="arcid-demo-")) if wanted is None else wanted.absolute()
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    _take_models(paths.models_dir(), paths.home_dir(), own)
    for name in [name for name in os.environ if name.startswith("ARCID_") and name not in KEPT]:
        del os.environ[name]
    os.environ["ARCID_HOME"] = str(own)
    note(f"everything is in {own}" + ("" if keep else ", which is removed at the end"))
    try:
        yield own
    finally:
        if keep:
            note(f"kept: {own}; ARCID_HOME={own} arcid serve shows it again, without its cameras")
        else:
            shutil.rmtree(own, ignore_errors=True)
            left = own.exists()
            note(f"error: {own} could not be removed: delete it, it holds faces of people" if left
                 else f"removed {own}")  # fmt: skip


def _take_models(models: Path, home: Path, own: Path) -> None:
    """Which models are used here, and copies of their calibrations, which the console's Models page
    changes and deletes."""
    for name in ("chosen-models.json", "accepted-models.json"):
        if (home / name).is_file():
            shutil.copy(home / name, own)
    (own / "models").mkdir()
    for path in models.iterdir() if models.is_dir() else ():
        place = own / "models" / path.name
        if path.name == "calibrations":
            shutil.copytree(path, place)
            continue
        try:
            place.symlink_to(path.absolute(), target_is_directory=path.is_dir())
        except OSError:  # Windows lets not everybody
            (shutil.copytree if path.is_dir() else shutil.copy)(path, place)


def _accounts(database: str, greeted: str) -> dict[str, str]:
    """One for each role; name → password. ``greeted``: the collection that kiosks look for."""
    from arcid.server.console.auth.account import KioskRules
    from arcid.server.console.auth.accounts import Accounts

    store = Accounts.open(database)
    try:
        passwords = {name: secrets.token_urlsafe(9) for name in ACCOUNTS}
        for name, role in ACCOUNTS.items():
            made = store.add(name, passwords[name], role)
            if made.may("kiosk"):
                store.set_kiosk(made.id, KioskRules(greeted, challenge=False))
    finally:
        store.close()
    return passwords


def _cameras(database: str, folder: Path, addresses: dict[str, str]) -> None:
    from arcid.apps.demo import CAMERA, COLLECTION
    from arcid.cameras.book import CameraBook
    from arcid.gallery import Gallery

    names = {"door": CAMERA, "video": "Workshop"}
    with Gallery.open(database, create=False) as gallery:
        book = CameraBook(gallery.database, folder)
        for stream, address in addresses.items():
            book.add(name=names[stream], source=address, collection=COLLECTION)


def _announce(ready: Ready, home: Path, keep: bool, passwords: dict[str, str]) -> None:
    say(f"the demo is ready: {ready.url}console/")
    say("  sign in as")
    for name, role in ACCOUNTS.items():
        say(f"    {name:<6} {role:<9} {passwords[name]}")
    say(f"  reference  {ready.url}docs")
    say(f"  folder     {home}{'' if keep else ', removed at the end'}")
    say("  Ctrl-C ends it")
    sys.stdout.flush()


def _announce_json(ready: Ready, home: Path, keep: bool, passwords: dict[str, str]) -> None:
    accounts = [
        {"name": name, "role": role, "password": passwords[name]} for name, role in ACCOUNTS.items()
    ]
    print_json({"url": ready.url, "home": str(home), "kept": keep, "accounts": accounts})
    sys.stdout.flush()

"""``arcid serve``: the REST service on this machine."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from typing import Annotated

import typer

from arcid.cli.gallery import prepare_folder
from arcid.cli.options import Database, Detector, Model
from arcid.cli.output import Json, print_json, say

PACKAGES = (
    "fastapi",
    "uvicorn",
    "pydantic_settings",
    "python_multipart",
    "prometheus_client",
    "nicegui",
    "argon2",
)


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; default: 8000.")
    ] = None,
    database: Database = None,
    detector: Detector = None,
    model: Model = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            help="Key that clients must show; may be repeated. Other users of this machine can see "
            "a command line: ARCID_API_KEYS keeps keys to yourself.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the service. What is not said here is read from ARCID_… variables.

    With --json one object is printed as soon as the service is ready.
    """
    from arcid import paths
    from arcid.errors import MissingExtra

    if not all(importlib.util.find_spec(name) for name in PACKAGES):
        raise MissingExtra("the service", "server")
    from arcid.server.run import serve as run
    from arcid.server.settings import Settings

    settings = Settings.load(
        host=host,
        port=port,
        database=database,
        detector=detector,
        recogniser=model,
        api_keys=",".join(api_key) if api_key else None,
    )
    settings.check_exposed()
    prepare_folder(settings.database or paths.database_url())
    with suppress(KeyboardInterrupt):  # the ordinary way to stop it
        run(settings, announce=_announce_json if json else _announce)


def _announce(line: str) -> None:
    say(line)
    sys.stdout.flush()


def _announce_json(line: str) -> None:
    word, _, value = line.strip().partition(" ")
    if word == "service":
        url = value.strip()
        print_json({"ready": True, "url": url, "docs": f"{url}docs"})
        sys.stdout.flush()

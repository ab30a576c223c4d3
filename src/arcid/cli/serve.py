"""``arcid serve``: the REST service on this machine."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.options import Database, Detector, Model
from arcid.cli.output import Json, print_json, say

if TYPE_CHECKING:
    from arcid.server.run import Ready


def register(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; default: 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port; default: 8000.")
    ] = None,
    uds: Annotated[
        Path | None,
        typer.Option("--uds", help="Unix socket to listen on instead, as behind a proxy."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", help="Certificate chain to speak TLS with, a PEM file."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", help="Its private key, a PEM file.")
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
    """Run the service: REST and the console.

    What is not said here is read from ARCID_… variables. A key is needed to listen on anything but
    this machine, and behind a proxy. While the console has no account a link is printed that makes
    the first one; it is good once, until the service stops. With --json one object is printed as
    soon as the service is ready: url, docs, and that link as set_up. Ctrl-C stops it after the
    requests in progress.

    Example: arcid serve --port 8000
    """
    from arcid import extras

    extras.require("the service", "server")
    from arcid.server.run import serve as run
    from arcid.server.settings import Settings

    settings = Settings.load(
        host=host,
        port=port,
        uds=uds,
        tls_cert=tls_cert,
        tls_key=tls_key,
        database=database,
        detector=detector,
        recogniser=model,
        api_keys=",".join(api_key) if api_key else None,
    )
    with suppress(KeyboardInterrupt):  # the ordinary way to stop it
        run(settings, announce=_announce_json if json else _announce)


def _announce(ready: Ready) -> None:
    from arcid.types import counted

    say(f"arcid is ready after {ready.seconds:.1f} s")
    say(f"  service    {ready.url}")
    if ready.socket:
        say(f"  socket     {ready.socket}")
    say(f"  console    {ready.url}console/")
    if ready.set_up:
        say(f"  set-up     {ready.set_up}")
        say("             makes the first account, an admin; good once, until this service stops")
    say(f"  reference  {ready.url}docs")
    say(f"  gallery    {ready.gallery}")
    say(f"  models     {', '.join(ready.models)}")
    keys = "this machine only, no key" if ready.keyless else counted(ready.api_keys, "API key")
    say(f"  access     {keys}")
    for warning in ready.warnings:
        say(f"  WARNING    {warning}")
    sys.stdout.flush()


def _announce_json(ready: Ready) -> None:
    print_json(
        {
            "ready": True,
            "url": ready.url,
            "socket": ready.socket,
            "docs": f"{ready.url}docs",
            "set_up": ready.set_up,
            "warnings": ready.warnings,
        }
    )
    sys.stdout.flush()

"""``arcid mcp``: a running service for assistants, by the Model Context Protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from arcid.cli.output import Json, done
from arcid.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command()(mcp)


def mcp(
    url: Annotated[
        str, typer.Option("--url", help="Where the service is.")
    ] = "http://127.0.0.1:8000",
    photos: Annotated[
        list[Path] | None,
        typer.Option("--photos", help="Folder whose photos may be read by path; repeatable."),
    ] = None,
    allow_writes: Annotated[
        bool,
        typer.Option("--allow-writes", help="Offer tools that enrol, answer reviews and correct."),
    ] = False,
    http: Annotated[
        int | None,
        typer.Option(
            "--http",
            min=1,
            max=65535,
            help="Port of this machine for streamable HTTP instead of standard input and output; "
            "each caller shows an API key of their own, as a bearer.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Let an assistant ask a running service, by the Model Context Protocol.

    It lists collections, searches and verifies photos, tells who is present, explains events and
    lists reviews; with --allow-writes it also enrols, answers reviews and corrects events. What
    it may do in the end is what the API key in ARCID_API_KEY may, and the service's audit names
    that key. Without --http it speaks on standard input and output, as a program that an assistant
    starts.

    Example: arcid mcp --url https://faces.example --photos ~/Pictures
    """
    from arcid import extras

    if not url.lower().startswith(("http://", "https://")):
        raise UsageError("--url is where the service is, such as http://127.0.0.1:8000")
    for folder in photos or ():
        if not folder.is_dir():
            raise UsageError(f"--photos {folder} is not a folder that can be read here")
    extras.require("the server for assistants", "mcp")
    from arcid.mcp import Desk, make_server

    key = os.environ.get("ARCID_API_KEY") if http is None else None
    server = make_server(Desk(url, key, tuple(photos or ())), writes=allow_writes)
    if http is None:
        server.run("stdio")
    else:
        address = f"http://127.0.0.1:{http}/mcp"
        done(f"for assistants: {address}", json, url=address)
        server.run("streamable-http", host="127.0.0.1", port=http)

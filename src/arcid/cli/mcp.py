"""``arcid mcp``: a running service for assistants, by the Model Context Protocol."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.output import Json, done
from arcid.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

HOST = "127.0.0.1"


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
        _serve(server, http, json)


def _serve(server: MCPServer, port: int, json: bool) -> None:
    """Until interrupted; from its announcement on, whoever connects is heard."""
    import uvicorn

    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {HOST}:{port}: {error.strerror or error}; choose another with --http"
        ) from None
    with listener:
        address = f"http://{HOST}:{port}/mcp"
        done(f"for assistants: {address}", json, url=address)
        sys.stdout.flush()
        level = server.settings.log_level.lower()
        config = uvicorn.Config(server.streamable_http_app(host=HOST), log_level=level)
        uvicorn.Server(config).run(sockets=[listener])

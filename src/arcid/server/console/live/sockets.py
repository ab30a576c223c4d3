"""NiceGUI's sockets, each tied to the session and the page that it was opened for.

NiceGUI takes a page's id, wherever it comes from, as the right to join that page and to act on it.
Here a socket joins a page of its own session only, and speaks for a page it has joined only.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from nicegui import core
from nicegui.client import Client
from socketio.exceptions import ConnectionRefusedError as Refused

from arcid.server.console.auth.session import Session

log = logging.getLogger(__name__)
OF_A_PAGE = ("event", "javascript_response", "ack", "log")
REFUSED = "Implicit handshake failed"  # a page that reads this asks for itself anew


def guard() -> None:
    """Put the checks before NiceGUI's own handlers; once a process."""
    server = core.sio
    server.eio.transports = ["websocket"]
    handlers = server.handlers["/"]
    connect, handshake = handlers["connect"], handlers["handshake"]

    async def connected(sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("client_id", [""])[0]
        if not _own(environ, asked):
            raise Refused(REFUSED)
        try:
            await connect(sid, environ, auth)
        except (KeyError, TypeError, ValueError):
            raise Refused(REFUSED) from None

    async def shaken(sid: str, message: Any) -> bool:
        named = message.get("client_id") if isinstance(message, dict) else None
        return _own(server.get_environ(sid), named) and bool(await handshake(sid, message))

    server.on("connect", connected)
    server.on("handshake", _safe(shaken))
    for name in OF_A_PAGE:
        server.on(name, _safe(_of_its_page(handlers[name])))


def reload_pages(token: str) -> None:
    """Have the browser ask anew for every page of a session, but not for one that signs out."""
    for client in list(Client.instances.values()):
        session = client.request.scope.get("arcid.session")
        if isinstance(session, Session) and session.token == token:
            client.run_javascript("arcid.reload()")


def _own(environ: dict[str, Any], client_id: object) -> bool:
    """Whether the page was asked for by the session that the socket carries."""
    page = Client.instances.get(client_id) if isinstance(client_id, str) else None
    mine = environ.get("asgi.scope", {}).get("arcid.session")
    theirs = None if page is None else page.request.scope.get("arcid.session")
    if isinstance(mine, Session) and isinstance(theirs, Session) and mine.token == theirs.token:
        return True
    if page is not None:
        log.warning("a socket asked for a page of another session")
    return False


def _of_its_page(handler: Callable[..., Any]) -> Callable[..., Any]:
    async def checked(sid: str, message: Any) -> Any:
        named = message.get("client_id") if isinstance(message, dict) else None
        if named is None or named == sid or named not in core.sio.rooms(sid):
            log.warning("a socket spoke for a page that it has not joined")
            return None
        answer = handler(sid, message)
        return await answer if inspect.isawaitable(answer) else answer

    return checked


def _safe(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What a browser sends is no reason for a log line that quotes it."""

    async def run(sid: str, message: Any = None) -> Any:
        try:
            return await handler(sid, message)
        except Exception as error:
            log.warning("a page's message was refused", extra={"code": type(error).__name__})
            return None

    return run

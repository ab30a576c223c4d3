"""NiceGUI, loaded once a process: our pages registered, its life tied to the running service."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

from fastapi import FastAPI, Request
from starlette.types import ASGIApp

from arcid.errors import CollectionNotFound, ConfigError
from arcid.server.console import registry
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui import forms
from arcid.server.headers import with_nonce

SLOW_S = 20.0  # a page that reads a large gallery
_loaded: ASGIApp | None = None
_running = False


def load() -> ASGIApp:
    """NiceGUI's application with every page of the console. Blocks for half a second once."""
    global _loaded
    if _loaded is None:
        from nicegui import core, ui

        from arcid.server.console.live import sockets

        for page in registry.PAGES:
            _hand_over(page)
        sockets.guard()
        ui.run_with(
            FastAPI(openapi_url=None),  # only to configure: the console calls NiceGUI itself
            title="arcid",
            dark=None,
            language="en-GB",
            tailwind=False,
            gzip_middleware_factory=None,
            reconnect_timeout=10.0,
            show_welcome_message=False,
        )
        core.app.config.socket_io_js_transports = ["websocket"]
        _let_only_its_own_scripts_run()
        for name in ("engineio.server", "socketio.server"):
            logging.getLogger(name).handlers.clear()  # they write tracebacks past the service's log
        _loaded = core.app
    return _loaded


class _Signed(Protocol):
    """A function that says itself what it takes."""

    __signature__: inspect.Signature


def _hand_over(page: registry.Page) -> None:
    """One of our pages becomes one of NiceGUI's; its context comes with the request."""
    from nicegui import ui

    build = registry.load(page.function)
    given = list(inspect.signature(build, eval_str=True).parameters.values())[1:]

    async def shown(request: Request, **values: Any) -> Any:
        context: ConsoleContext = request.scope["arcid.context"]
        await context.allow(page.permission)
        try:
            return await build(context, **values)
        except CollectionNotFound:  # of the address
            return forms.missing()

    parameters = [
        inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request),
        *[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in given],
    ]
    cast(_Signed, shown).__signature__ = inspect.Signature(parameters)
    ui.page(page.path, response_timeout=SLOW_S)(shown)


def _let_only_its_own_scripts_run() -> None:
    """The nonce of the answer on the inline scripts and styles of NiceGUI's one page."""
    from jinja2 import DictLoader
    from nicegui import client

    environment = client.templates.env
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, "index.html")
    nonced = with_nonce(source, "{{ request.scope.arcid_nonce }}")
    nonced = nonced.replace('style="display: none"', "hidden")
    environment.loader = DictLoader({"index.html": nonced})


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """NiceGUI's background tasks for as long as a service runs; one service a process."""
    global _running
    if _running:
        raise ConfigError("another service of this process has the console open already")
    from nicegui import core

    _running = True
    try:
        async with core.app.router.lifespan_context(core.app):
            yield
    finally:
        _running = False

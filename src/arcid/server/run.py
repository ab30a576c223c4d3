"""``serve(settings)``: from a cold process to a listening service, as fast as it goes.

Models and gallery open in threads while the web framework is imported.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from arcid.errors import ConfigError
from arcid.server import logging as server_logging
from arcid.server.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from arcid.gallery import Gallery
    from arcid.pipeline import Pipeline
    from arcid.server.deps import Services

log = logging.getLogger(__name__)
GRACE_S = 10  # for answers in progress when the service is told to stop


def serve(settings: Settings, *, announce: Callable[[str], None] | None = None) -> None:
    """Run until interrupted. ``announce`` gets the lines that say where to go, once ready.

    Raises ``ConfigError`` (port taken, no key) and what opening models and gallery raises.
    """
    started = time.perf_counter()
    settings.check_exposed()
    server_logging.configure(settings.log_level)
    with _bind(settings) as listener, ThreadPoolExecutor(2) as threads:
        models = threads.submit(_open_pipeline, settings)
        store = threads.submit(_open_gallery, settings)
        import uvicorn

        from arcid.server.app import create_app

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                if self.started:
                    _say_ready(app, listener, time.perf_counter() - started, announce)

        with store.result() as gallery:
            app = create_app(settings, pipeline=models.result(), gallery=gallery)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=GRACE_S,
            )
            Server(config).run(sockets=[listener])


def _open_pipeline(settings: Settings) -> Pipeline:
    from arcid.server.opening import open_pipeline

    return open_pipeline(settings)


def _open_gallery(settings: Settings) -> Gallery:
    from arcid.server.opening import open_gallery

    return open_gallery(settings)


def _bind(settings: Settings) -> socket.socket:
    host = settings.host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another "
            "with --port or ARCID_PORT"
        ) from None
    return listener


def _say_ready(
    app: FastAPI, listener: socket.socket, seconds: float, announce: Callable[[str], None] | None
) -> None:
    running: Services = app.state.services
    address: Any = listener.getsockname()
    host, port = address[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("ready", extra={"port": port, "seconds": round(seconds, 2)})
    if announce:
        pipeline, keys = running.pipeline, len(running.settings.api_keys)
        announce(f"arcid is ready after {seconds:.1f} s")
        announce(f"  service    {url}/")
        announce(f"  console    {url}/console/")
        announce(f"  reference  {url}/docs")
        announce(f"  gallery    {running.gallery.url}")
        announce(f"  models     {pipeline.detector.name}, {pipeline.embedder.manifest.name}")
        announce(f"  access     {f'{keys} API key(s)' if keys else 'this machine only, no key'}")

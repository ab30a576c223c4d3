"""``serve(settings)``: from a cold process to a listening service, as fast as it goes.

Models and gallery open in threads while the web framework is imported. What is loaded until the
service is ready lives as long as it does: the garbage collector looks at none of it, then or later.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcid import paths
from arcid.errors import ConfigError
from arcid.gallery.opening import prepare_folder
from arcid.server import logging as server_logging
from arcid.server.settings import Settings
from arcid.vault import hardening

if TYPE_CHECKING:
    from fastapi import FastAPI

    from arcid.gallery import Gallery
    from arcid.pipeline import Pipeline
    from arcid.server.deps import Services

log = logging.getLogger(__name__)
SWITCH_S = 0.001  # so that threads at work hold up the event loop for less
OTHER_FILES = 512  # beside connections: databases, cameras, models
GRACE_S = 10  # for answers in progress when the service is told to stop


@dataclass(frozen=True, slots=True)
class Ready:
    """What whoever started the service wants to know; ``set_up`` is a secret until it is used."""

    seconds: float
    url: str  # ends with a slash
    socket: str | None  # its file, where it listens on none of the machine's ports
    # address that makes the first account; None where that was done
    set_up: str | None = field(repr=False)
    gallery: str
    models: tuple[str, str]
    api_keys: int  # that are valid now
    keyless: bool  # programs of this machine need none
    warnings: tuple[str, ...]  # what the gallery has lost


def serve(settings: Settings, *, announce: Callable[[Ready], None] | None = None) -> None:
    """Run until interrupted. ``announce`` is called once ready, with where to go.

    Raises ``ConfigError`` (port taken, no key) and what opening models and gallery raises.
    """
    started = time.perf_counter()
    settings.check_exposed(lambda: _has_key(settings))
    _check_tls(settings)
    prepare_folder(settings.database or paths.database_url())
    hardening.harden()
    with _bind(settings) as listener, ThreadPoolExecutor(2) as threads, _kept() as keep:
        server_logging.configure(settings.log_level)
        models = threads.submit(_open_pipeline, settings)
        store = threads.submit(_open_gallery, settings)
        import uvicorn

        from arcid.server import connections
        from arcid.server.app import create_app
        from arcid.server.console.live.feeds import MAX_MESSAGE

        sys.setswitchinterval(SWITCH_S)
        connections.allow_files(settings.max_connections + OTHER_FILES)

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                keep()
                if self.started and announce:
                    announce(await _ready(app, listener, started))

        with store.result() as gallery:
            app = create_app(settings, pipeline=models.result(), gallery=gallery)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # it believes this machine; the application asks its settings
                lifespan="on",
                ws_max_size=MAX_MESSAGE,
                timeout_graceful_shutdown=GRACE_S,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
            )
            connections.guard(config, settings, app.state.metrics)
            try:
                Server(config).run(sockets=[listener])
            finally:
                if settings.uds is not None:
                    settings.uds.unlink(missing_ok=True)


@contextmanager
def _kept() -> Iterator[Callable[[], None]]:
    """Nothing is garbage until the function given is called, and what is there then never is."""

    def keep() -> None:
        gc.freeze()
        gc.enable()

    gc.disable()
    try:
        yield keep
    finally:
        gc.enable()


def _open_pipeline(settings: Settings) -> Pipeline:
    from arcid.server.opening import open_pipeline

    return open_pipeline(settings)


def _open_gallery(settings: Settings) -> Gallery:
    from arcid.server.opening import open_gallery

    return open_gallery(settings)


def _has_key(settings: Settings) -> bool:
    """Whether the gallery has a valid API key."""
    from arcid.errors import NotFound
    from arcid.gallery.opening import open_gallery
    from arcid.protection import Keys

    try:
        with open_gallery(settings.database) as gallery:
            return Keys(gallery).any_valid()
    except NotFound:
        return False


def _check_tls(settings: Settings) -> None:
    """Raises ``ConfigError`` where certificate and key are none, or are not each other's."""
    if settings.tls_cert is None or settings.tls_key is None:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")  # never asks
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"ARCID_TLS_CERT and ARCID_TLS_KEY cannot be used ({type(error).__name__}: "
            f"{getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error}); give "
            "PEM files of a certificate chain and of its key, which has no password"
        ) from None


def _bind_uds(path: Path) -> socket.socket:
    """A socket's file that nobody answers at any more is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                if other.connect_ex(str(path)) == 0:
                    raise OSError(None, "another service answers there")
            path.unlink()
        before = os.umask(0o117)  # nobody connects before its rights are set
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {path}: {error.strerror or error}; choose another with --uds or "
            "ARCID_UDS"
        ) from None
    return listener


def _bind(settings: Settings) -> socket.socket:
    if settings.uds is not None:
        return _bind_uds(settings.uds)
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


async def _ready(app: FastAPI, listener: socket.socket, started: float) -> Ready:
    running: Services = app.state.services
    pipeline, settings = running.pipeline, running.settings
    port, url = 0, "http://localhost"
    if settings.uds is None:
        address: Any = listener.getsockname()
        host, port = address[:2]
        if ip_address(host).is_unspecified:  # a browser cannot go there
            host = "127.0.0.1"
        scheme = "http" if settings.tls_cert is None else "https"
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    invitation: str | None = await app.state.console.invite()
    seconds = time.perf_counter() - started
    log.info("ready", extra={"port": port, "seconds": round(seconds, 2)})
    return Ready(
        seconds,
        f"{url}/",
        None if settings.uds is None else str(settings.uds),
        invitation and url + invitation,
        running.gallery.url,
        (pipeline.provenance["detector"], pipeline.provenance["model"]),
        len(settings.api_keys) + running.keys.valid,
        not (settings.api_keys or settings.exposed or running.keys),
        tuple(await asyncio.to_thread(running.gallery.losses)),
    )

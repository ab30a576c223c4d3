"""What surrounds every request: its id, access, body limits, log line, metrics, and the 500."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from arcid.errors import GalleryBusy, GalleryUnavailable, Overloaded
from arcid.events import acting
from arcid.server.auth import Access, audited_address
from arcid.server.dialect import OWN, Dialect, dialect_of
from arcid.server.errors import HttpError, http_error_response
from arcid.server.exchanges import Exchange, Pace
from arcid.server.headers import DEFAULTS
from arcid.server.logging import request_id_var
from arcid.server.metrics import Metrics
from arcid.server.scopes import ANYBODY
from arcid.server.settings import MIB, Settings

log = logging.getLogger("arcid.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UPLOADS = ("/v1/jobs/uploads", "/console/upload")
HARDLY_MOVES = 64 * 1024  # bytes a second; such an upload makes room where others need it
#: In ``scope["state"]``: whether a JSON body may be as long as an upload, and who counts bytes that
#: are held beside the body.
HOLDS_PICTURES, HOLD = "holds_pictures", "hold"
UNKNOWN = "(none)"  # one label for all unknown paths and methods, whatever is tried


class Edge:
    """Pure ASGI, so that bodies are refused before they are read."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        access: Access,
        dialects: Sequence[Dialect] = (),
    ) -> None:
        self._app = app
        self._dialects = dialects
        self._settings = settings
        self._access = access
        self._metrics = metrics
        self._inflight_bytes = 0  # touched by the event loop only
        self._uploading: set[Exchange] = set()  # whose body is waited for

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        offered = headers.get("x-request-id", "")
        exchange = Exchange(offered if _REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex)
        state = scope.setdefault("state", {})
        state["request_id"] = exchange.request_id
        state["dialect"] = dialect = dialect_of(scope["path"], self._dialects)
        token = request_id_var.set(exchange.request_id)
        started = time.perf_counter()
        sender = self._sender(exchange, send)
        try:
            with self._let_in(scope):
                await self._app(scope, self._limited(exchange, scope, headers, receive), sender)
        except HttpError as error:
            state["error_code"] = error.code
            if not exchange.status:
                response = http_error_response(error, exchange.request_id, dialect.tell)
                await response(scope, receive, sender)
        except Exception:
            log.exception("request failed")
            state["error_code"] = "internal_error"
            if not exchange.status:
                message = "something went wrong inside arcid; the service's log has the request id"
                response = dialect.tell(
                    500, "internal_error", message, {}, exchange.request_id, None
                )
                await response(scope, receive, sender)
        finally:
            self._let_go(exchange)
            self._record(scope, exchange, time.perf_counter() - started)
            request_id_var.reset(token)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["dialect"] = OWN
        try:
            entered = self._let_in(scope)
        except HttpError as error:
            refusal = http_error_response(error, uuid.uuid4().hex)
            await WebSocket(scope, receive, send).send_denial_response(refusal)
            return
        with entered:
            await self._app(scope, receive, send)

    def _let_in(self, scope: Scope) -> AbstractContextManager[None]:
        """Whoever asks is who acts. Of applicants and strangers no address is written down: the
        audit outlives what they may have erased. Raises ``HttpError``."""
        request = HTTPConnection(scope)
        try:
            credential = self._access.check(request)
        except (GalleryBusy, GalleryUnavailable) as error:
            raise HttpError.of(error) from None
        scope.setdefault("state", {})["credential"] = credential
        address = "" if credential is ANYBODY else audited_address(request)
        return acting(credential.actor, address)

    def _limited(
        self, exchange: Exchange, scope: Scope, headers: Headers, receive: Receive
    ) -> Receive:
        settings, state = self._settings, scope["state"]
        form = headers.get("content-type", "").lower().startswith("multipart/")
        to_disk = scope["path"] in UPLOADS  # as it comes: it is not held
        declared = headers.get("content-length", "")
        announced = int(declared) if declared.isdecimal() else 0

        def check(size: int) -> None:
            upload = form or state.get(HOLDS_PICTURES, False)
            limit = settings.max_request_bytes if upload else settings.max_json_bytes
            if to_disk:
                upload, limit = True, settings.max_archive_bytes
            if size > limit:
                raise _too_large(upload, limit, to_disk)

        exchange.pace = Pace(settings.upload_timeout_s)
        state[HOLD] = functools.partial(self._hold, exchange)

        async def limited() -> Message:
            if exchange.pace is None:
                return await receive()
            check(announced)  # what is read of the body is known by now
            message = await self._paced(exchange, exchange.pace, receive)
            if message["type"] != "http.request" or not message.get("more_body"):
                exchange.pace = None
            size = len(message.get("body", b"")) if message["type"] == "http.request" else 0
            if size:
                exchange.body_bytes += size
                check(exchange.body_bytes)
                if not to_disk:
                    self._hold(exchange, size)
            return message

        return limited

    async def _paced(self, exchange: Exchange, pace: Pace, receive: Receive) -> Message:
        """The next piece of a body. Raises ``HttpError`` 408 where too little comes in a window."""
        while True:
            since = time.monotonic()
            self._uploading.add(exchange)
            try:
                async with asyncio.timeout(max(pace.window_s - pace.waited_s, 0)) as pace.deadline:
                    message = await receive()
            except TimeoutError:
                least = pace.window_s * self._settings.min_upload_bytes_per_s
                if pace.cut or pace.came_bytes < least:
                    raise _too_slow(pace.cut) from None
                pace.waited_s, pace.came_bytes = 0.0, 0
                continue
            finally:
                self._uploading.discard(exchange)
                pace.deadline = None
            pace.came(len(message.get("body", b"")), time.monotonic() - since)
            return message

    def _make_room(self, newcomer: Exchange) -> None:
        """Where too many bytes are in work, cut off the uploads that hardly move.

        Raises ``HttpError`` 429 where that is not enough.
        """
        while self._inflight_bytes > self._settings.max_inflight_bytes:
            slow = [
                (exchange.pace.bytes_per_s, exchange)
                for exchange in self._uploading
                if exchange is not newcomer and exchange.pace and exchange.held_bytes
            ]
            rate, slowest = min(slow, key=lambda pair: pair[0], default=(0.0, None))
            if slowest is None or slowest.pace is None or rate > HARDLY_MOVES:
                raise HttpError.of(
                    Overloaded("too many uploads at once; try again in 1 s", retry_after_s=1)
                )
            slowest.pace.cut_off()
            self._let_go(slowest)

    def _hold(self, exchange: Exchange, size: int) -> None:
        """So many bytes more are in work. Raises ``HttpError`` 429 where those are too many."""
        exchange.held_bytes += size
        self._inflight_bytes += size
        self._metrics.inflight_bytes.set(self._inflight_bytes)
        self._make_room(exchange)

    def _let_go(self, exchange: Exchange) -> None:
        self._inflight_bytes -= exchange.held_bytes
        exchange.held_bytes = 0
        self._metrics.inflight_bytes.set(self._inflight_bytes)

    def _sender(self, exchange: Exchange, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = exchange.request_id
                headers.setdefault("Cache-Control", "no-store")
                for name, value in DEFAULTS.items():
                    headers.setdefault(name, value)
            await send(message)

        return sender

    def _record(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        # Only the template: paths and queries may hold names.
        route = getattr(scope.get("route"), "path", None) or UNKNOWN
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        self._metrics.requests.labels(method, route, str(exchange.status)).inc()
        self._metrics.request_seconds.labels(method, route).observe(seconds)
        if exchange.status == 429:
            self._metrics.overloaded.inc()
        log.log(
            logging.WARNING if exchange.status >= 500 else logging.INFO,
            "request",
            extra={
                "method": method,
                "route": route,
                "status": exchange.status,
                "ms": round(seconds * 1000, 1),
                "bytes_in": exchange.body_bytes,
                "error": scope["state"].get("error_code"),
            },
        )


def _too_slow(cut: bool) -> HttpError:
    message = "the body came too slowly; send it again"
    if cut:
        message = "the body came too slowly while others waited; send it again"
    return HttpError(408, "upload_too_slow", message, headers={"Connection": "close"})


def _too_large(upload: bool, limit: int, to_disk: bool = False) -> HttpError:
    what = "an upload" if upload else "a JSON body"
    code = "image_too_large" if upload else "body_too_large"
    if to_disk:
        code = "upload_too_large"
    message = f"{what} may have at most {limit / MIB:.1f} MiB in all"
    return HttpError(413, code, message, {"max_bytes": limit})

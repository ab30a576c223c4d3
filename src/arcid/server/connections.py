"""Connections, counted and timed: who holds one without asking for anything makes room for others.

uvicorn waits for ever for the head of a request and takes as many connections as there are files.
Here a connection has so long to send a whole head; a client, and all together, may hold so many;
one more closes the connection that has waited longest without a request, and is turned away only
where all are at work. Bodies are timed by ``middleware``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections import Counter
from typing import Any, Literal

from arcid.server.addresses import ip_of
from arcid.server.metrics import Metrics
from arcid.server.settings import UNIX, Settings
from arcid.server.throttle import client_of

log = logging.getLogger("arcid.http")
LOOK_EVERY_S = 0.5
Reason = Literal["slow_head", "slow_reader", "too_many_of_a_client", "too_many"]
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Connection:
    """One that is open, as an HTTP connection or, later, as a WebSocket."""

    def __init__(self, transport: asyncio.Transport, http: Any, client: str) -> None:
        self.transport = transport
        self.http = http  # uvicorn's protocol; None for a WebSocket
        self.client = client
        self.quiet_since = time.monotonic()  # its last answer, or its opening
        self.said_something = False  # since then
        self.unread = 0  # bytes of answers that wait for the client
        self.moved = self.quiet_since  # when that last changed

    @property
    def at_work(self) -> bool:
        if self.http is None:
            return True
        cycle = self.http.cycle
        return cycle is not None and not cycle.response_complete


class Connections:
    """All of one server; touched by its event loop only."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        trusted = settings.trusted_proxies
        self._proxies = [ipaddress.ip_network(proxy) for proxy in trusted if proxy != UNIX]
        self._unix = UNIX in trusted
        self._open: dict[asyncio.Transport, _Connection] = {}
        self._of_client: Counter[str] = Counter()
        self._closed: Counter[Reason] = Counter()  # and not logged yet
        self._looking: asyncio.TimerHandle | None = None

    def protocols(
        self, http: type[asyncio.Protocol], websocket: type[asyncio.Protocol] | None
    ) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol] | None]:
        """uvicorn's protocols, telling this of their connections."""
        book = self
        plain: Any = http  # uvicorn chooses them by what is installed, so no checker knows them
        upgraded: Any = websocket

        class Http(plain):  # type: ignore[misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                book.enter(transport, self)

            def connection_lost(self, error: Exception | None) -> None:
                book.leave(self.transport)
                super().connection_lost(error)

            def data_received(self, data: bytes) -> None:
                book.heard(self.transport)
                super().data_received(data)

            def on_response_complete(self) -> None:
                book.answered(self.transport)
                super().on_response_complete()

        if websocket is None:  # no package for it is installed
            return Http, None

        class WebSocket(upgraded):  # type: ignore[misc]
            def connection_made(self, transport: asyncio.Transport) -> None:
                self.counted = transport
                book.upgrade(transport)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                book.leave(self.counted)
                super().connection_lost(error)

        return Http, WebSocket

    def enter(self, transport: asyncio.Transport, http: Any) -> None:
        """Count a new connection, closing others, or this one, where there are too many."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else UNIX
        client = client_of(address)
        if not self._trusted(address):
            limit = self._settings.max_connections_per_client
            own = (one for one in self._open.values() if one.client == client)
            if self._of_client[client] >= limit and not self._make_room(own, transport):
                return
        if len(self._open) >= self._settings.max_connections:
            (most, _), *_ = self._of_client.most_common(1)
            theirs = [one for one in self._open.values() if one.client == most]
            idle = theirs if any(not one.at_work for one in theirs) else self._open.values()
            if not self._make_room(iter(idle), transport, "too_many"):
                return
        self._open[transport] = _Connection(transport, http, client)
        self._of_client[client] += 1
        self._metrics.connections.set(len(self._open))
        if self._looking is None:
            self._look_soon()

    def leave(self, transport: asyncio.Transport) -> None:
        """It is closed."""
        if connection := self._open.pop(transport, None):
            self._of_client[connection.client] -= 1
            if not self._of_client[connection.client]:
                del self._of_client[connection.client]
            self._metrics.connections.set(len(self._open))

    def heard(self, transport: asyncio.Transport) -> None:
        """Something came."""
        if connection := self._open.get(transport):
            connection.said_something = True

    def answered(self, transport: asyncio.Transport) -> None:
        """A request was answered: the clock of the next head starts."""
        if connection := self._open.get(transport):
            connection.quiet_since, connection.said_something = time.monotonic(), False

    def upgrade(self, transport: asyncio.Transport) -> None:
        """It goes on as a WebSocket, which has pings of its own."""
        if connection := self._open.get(transport):
            connection.http = None

    def _trusted(self, address: str) -> bool:
        ip = ip_of(address)
        if ip is None:
            return self._unix and address == UNIX
        return any(ip in proxy for proxy in self._proxies)

    def _make_room(
        self,
        among: Any,
        newcomer: asyncio.Transport,
        reason: Reason = "too_many_of_a_client",
    ) -> bool:
        """Close what has waited longest; where all are at work, the newcomer, and say False."""
        idle = [one for one in among if not one.at_work]
        if not idle:
            self._close(newcomer, reason)
            return False
        oldest = min(idle, key=lambda one: one.quiet_since)
        self._close(oldest.transport, reason)
        self.leave(oldest.transport)
        return True

    def _close(self, transport: asyncio.Transport, reason: Reason) -> None:
        self._closed[reason] += 1
        self._metrics.connections_closed.labels(reason).inc()
        transport.abort()
        if self._looking is None:
            self._look_soon()

    def _look_soon(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for connection in list(self._open.values()):
            self._judge(connection, now)
        for reason, count in self._closed.items():
            log.warning("connections closed", extra={"reason": reason, "connections": count})
        self._closed.clear()
        self._looking = None
        if self._open:
            self._look_soon()

    def _judge(self, connection: _Connection, now: float) -> None:
        transport = connection.transport
        unread = transport.get_write_buffer_size()
        if unread != connection.unread:
            connection.unread, connection.moved = unread, now
        if unread:  # of an answer that is complete, too
            if now - connection.moved > self._settings.answer_timeout_s:
                self._close(transport, "slow_reader")
        elif connection.at_work or transport.is_closing():
            return
        elif now - max(connection.quiet_since, connection.moved) > self._settings.header_timeout_s:
            self._closed["slow_head"] += 1
            self._metrics.connections_closed.labels("slow_head").inc()
            if connection.said_something:
                transport.write(_TOO_SLOW)
            transport.close()


def guard(config: Any, settings: Settings, metrics: Metrics) -> None:
    """Have a uvicorn ``Config`` count and time its connections."""
    config.load()
    config.http_protocol_class, config.ws_protocol_class = Connections(settings, metrics).protocols(
        config.http_protocol_class, config.ws_protocol_class
    )


def allow_files(wanted: int) -> None:
    """Raise how many files this process may open, as far as its user may."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < wanted:
            log.warning("few files may be opened", extra={"files": most, "wanted": wanted})

"""Telling others: webhooks and MQTT, from the outbox that events were put in when written.

Delivery is at least once and in order. A target that fails is tried again after 2 s, 4 s, … up to
an hour for three days. Receivers drop repeats by ``id``, and check ``X-Arcid-Signature``:
``t=SECONDS,v1=HEX`` with HEX the HMAC-SHA256 of ``SECONDS.BODY`` under the shared secret.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.errors import ArcidError, MissingExtra, UsageError
from arcid.events import Event, Outbox
from arcid.gallery import Gallery

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(hours=1)
GIVE_UP = timedelta(days=3)
POLL_S = 1.0
MIN_SECRET = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class DeliveryFailed(Exception):
    """The target did not take it; the text holds no secret and no payload."""


class Target(Protocol):
    """Somebody to tell; ``name`` is what ``Policy.targets`` lists."""

    @property
    def name(self) -> str: ...

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        """Raises ``DeliveryFailed``."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs JSON to a URL, signed. Redirects are refused."""

    name: str
    url: str
    secret: str = field(repr=False)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("a webhook's address begins with https:// (or http://) and has a host")
        if len(self.secret) < MIN_SECRET:
            raise UsageError(f"a webhook's secret needs at least {MIN_SECRET} characters")
        addresses.refuse_literal(parts.hostname)

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "arcid",
            "X-Arcid-Event": event.kind,
            "X-Arcid-Delivery": event.id,
            "X-Arcid-Signature": signature(self.secret, body, now),
        }
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310 - http(s) only
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if urlsplit(self.url).hostname in LOOPBACK:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            addresses.opener(*handlers).open(request, timeout=self.timeout_s).close()
        except AddressRefused as refused:
            raise DeliveryFailed(refused.message) from None
        except urllib.error.HTTPError as error:
            error.close()
            raise DeliveryFailed(f"the receiver answers {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise DeliveryFailed(f"no answer ({type(error).__name__})") from None


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Publishes JSON at quality of service 1 to ``TOPIC/COLLECTION/KIND``."""

    name: str
    host: str
    port: int = 1883
    topic: str = "arcid"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        addresses.refuse_literal(self.host)

    def send(self, body: bytes, event: Event, now: datetime) -> None:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ModuleNotFoundError:
            raise MissingExtra("MQTT", "mqtt") from None
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect_timeout = self.timeout_s
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        answer: list[bool] = []
        answered = threading.Event()

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
            answer.append(not reason.is_failure)
            answered.set()

        client.on_connect = connected
        level = "".join("_" if c in "/+#\0" else c for c in event.collection)
        try:
            if self.tls:
                client.tls_set()
            addresses.resolve(self.host, self.port)
            client.connect(self.host, self.port)
            client.loop_start()
            if not answered.wait(self.timeout_s):
                raise DeliveryFailed("the broker does not answer")
            if not answer[0]:
                raise DeliveryFailed("the broker refuses the connection")
            message = client.publish(f"{self.topic}/{level}/{event.kind}", body, qos=1)
            message.wait_for_publish(self.timeout_s)
            if not message.is_published():
                raise DeliveryFailed("the broker acknowledges nothing")
        except DeliveryFailed:
            raise
        except AddressRefused as refused:
            raise DeliveryFailed(refused.message) from None
        except Exception as error:  # paho raises its own kinds and plain OSErrors
            raise DeliveryFailed(f"no answer ({type(error).__name__})") from None
        finally:
            client.disconnect()
            client.loop_stop()


class Deliverer:
    """Empties the outboxes of ``targets``; ``start`` does so in a thread."""

    def __init__(self, gallery: Gallery, targets: Sequence[Target]) -> None:
        if len({target.name for target in targets}) != len(targets):
            raise UsageError("two targets have the same name")
        self._outbox = Outbox(gallery)
        self._targets = tuple(targets)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run_once(self, now: datetime | None = None) -> int:
        """Deliver what is due; returns how many went out. A busy gallery is left for later."""
        delivered = 0
        for target in self._targets:
            try:
                delivered += self._deliver(target, now)
            except ArcidError as error:
                log.warning("outbox", extra={"target": target.name, "code": error.code})
        return delivered

    def start(self) -> None:
        if self._targets and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="arcid-outbox", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 15.0) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self.run_once():
                self._stop.wait(POLL_S)

    def _deliver(self, target: Target, now: datetime | None) -> int:
        delivered = 0
        moment = now or datetime.now(UTC)
        for delivery, attempts, event in self._outbox.due(target.name, moment):
            if self._stop.is_set():
                break
            moment = now or datetime.now(UTC)
            try:
                target.send(payload(event), event, moment)
            except DeliveryFailed as error:
                again = moment + min(FIRST_PAUSE * 2 ** min(attempts, 20), LONGEST_PAUSE)
                over = moment - event.recorded_at > GIVE_UP
                log.warning(
                    "delivery failed",
                    extra={"target": target.name, "attempt": attempts + 1, "why": str(error)},
                )
                self._outbox.not_delivered(delivery, str(error), None if over else again)
                break
            self._outbox.delivered(delivery)
            delivered += 1
        return delivered


def payload(event: Event) -> bytes:
    """The JSON that receivers get."""
    return json.dumps(event.told(), ensure_ascii=False).encode()


def signature(secret: str, body: bytes, now: datetime) -> str:
    """``t=SECONDS,v1=HEX``; see the module."""
    seconds = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def check_signature(
    secret: str, body: bytes, header: str, now: datetime, tolerance_s: float = 300.0
) -> bool:
    """What a receiver does: right secret, untouched body, and not an old message again."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    seconds, given = parts.get("t", ""), parts.get("v1", "")
    if not seconds.isdecimal() or abs(now.timestamp() - int(seconds)) > tolerance_s:
        return False
    expected = signature(secret, body, datetime.fromtimestamp(int(seconds), UTC))
    return hmac.compare_digest(expected.partition("v1=")[2].encode(), given.encode())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None

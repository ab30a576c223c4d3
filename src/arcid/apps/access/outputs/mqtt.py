"""An MQTT broker, and a lock that Home Assistant finds by itself.

``mqtt://HOST:1883/TOPIC`` (``mqtts`` with TLS; user and password from ``ARCID_MQTT_USERNAME`` and
``ARCID_MQTT_PASSWORD``). An order goes to ``TOPIC/DOOR/open``: never retained, told to expire, and
with ``expires_at`` inside. ``TOPIC/DOOR/state`` is LOCKED, UNLOCKED or JAMMED (nobody knows), and
``TOPIC/DOOR/available`` goes offline with this process.

With ``?inputs=1`` the door says how it stands: OPEN or CLOSED at ``TOPIC/DOOR/contact`` (anything
else: not known), which may be retained, and anything at ``TOPIC/DOOR/exit``, which may not, when
somebody asks to leave.

With ``?commands=1`` Home Assistant may act too: LOCK is a lock-down, UNLOCK an opening by hand. A
command states when it was given; a retained, late or repeated one does nothing.
"""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from arcid.apps.access.outputs._common import Hear, OutputFailed, Pulse
from arcid.apps.telling.broker import (
    DISCOVERY,
    OFFLINE,
    ONLINE,
    Broker,
    acknowledged,
    connect,
    device,
)
from arcid.errors import UsageError

ACKNOWLEDGE_S = 3.0
CONTACT = {b"OPEN": True, b"CLOSED": False}
COMMAND_S = 5.0  # a command given longer ago does nothing


def checked(output: str) -> tuple[Broker, bool, bool]:
    """The broker; whether commands are obeyed; whether inputs are heard. Raises ``UsageError``."""
    parts = urlsplit(output)
    tls = parts.scheme == "mqtts"
    query = parse_qs(parts.query)
    try:
        port = parts.port or (8883 if tls else 1883)
    except ValueError:
        raise UsageError("the broker's port does not exist") from None
    if not parts.hostname or re.search(r"[#+\0\s]", output) or set(query) - {"commands", "inputs"}:
        raise UsageError(
            "a broker is written mqtt://HOST:1883/TOPIC, with ?commands=1&inputs=1 at most"
        )
    commands, inputs = (query.get(name) == ["1"] for name in ("commands", "inputs"))
    topic = parts.path.strip("/") or "arcid/doors"
    return Broker(parts.hostname, port, tls, topic), commands, inputs


def opener(output: str, door_id: str, door: str, hear: Hear) -> Lock:
    """Raises ``MissingExtra``. A broker that is away is tried again in the background."""
    return Lock(*checked(output), door_id, door, hear)


class Lock:
    """One door at a broker."""

    def __init__(
        self, broker: Broker, commands: bool, inputs: bool, door_id: str, door: str, hear: Hear
    ) -> None:
        self._broker, self._commands, self._inputs = broker, commands, inputs
        self._id, self._door = door_id, door
        self._base = f"{broker.topic}/{door_id}"
        self._hear = hear
        self._last_command = 0.0
        self._relock: threading.Timer | None = None
        self._connected = threading.Event()
        self._client = self._connect()

    @property
    def ready(self) -> bool:
        return self._connected.is_set()

    def open(self, pulse: Pulse) -> None:
        if not self._connected.is_set():
            raise OutputFailed("the broker is away", certain=True)
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        make: Any = Properties  # paho gives it no types
        expires = make(PacketTypes.PUBLISH)
        expires.MessageExpiryInterval = max(1, round(pulse.lasts_s))
        body = json.dumps(pulse.to_dict())
        message = self._client.publish(f"{self._base}/open", body, qos=1, properties=expires)
        if not acknowledged(message, ACKNOWLEDGE_S):
            self._anew()  # or it would be sent when the broker is back
            raise OutputFailed("the broker acknowledges nothing", certain=False)
        self._show("UNLOCKED")
        if self._relock is not None:
            self._relock.cancel()
        self._relock = threading.Timer(pulse.seconds, self._show, ("LOCKED",))
        self._relock.daemon = True
        self._relock.start()

    def unknown(self) -> None:
        """Nobody knows how the door stands."""
        self._show("JAMMED")

    def close(self) -> None:
        if self._relock is not None:
            self._relock.cancel()
        if self._connected.is_set():
            self._client.publish(f"{self._base}/state", "LOCKED", qos=1, retain=True)
            gone = self._client.publish(f"{self._base}/available", OFFLINE, qos=1, retain=True)
            acknowledged(gone, 1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _connect(self) -> Any:
        return connect(
            self._broker, f"{self._base}/available",
            on=self._on, off=self._connected.clear, told=self._told,
        )  # fmt: skip

    def _anew(self) -> None:
        """Another connection, so that nothing of this one is sent later."""
        old = self._client
        self._connected.clear()
        old.on_connect = old.on_disconnect = old.on_message = None
        old.disconnect()
        old.loop_stop()
        self._client = self._connect()

    def _on(self, client: Any) -> None:
        topic = f"{DISCOVERY}/lock/arcid_{self._id}/config"
        client.publish(topic, json.dumps(self._discovery()), qos=1, retain=True)
        client.publish(f"{self._base}/state", "LOCKED", qos=1, retain=True)
        client.publish(f"{self._base}/available", ONLINE, qos=1, retain=True)
        topics = ["command"] * self._commands + ["contact", "exit"] * self._inputs
        if topics:
            client.subscribe([(f"{self._base}/{topic}", 1) for topic in topics])
        self._connected.set()

    def _told(self, message: Any) -> None:
        if message.topic == f"{self._base}/contact":
            self._hear("contact", CONTACT.get(message.payload))
            return
        if message.retain:
            return
        if message.topic == f"{self._base}/exit":
            self._hear("exit", None)
            return
        try:
            said = json.loads(message.payload)
            what, at = str(said["do"]).lower(), float(said["at"])
        except (ValueError, TypeError, KeyError):
            return
        fresh = abs(time.time() - at) <= COMMAND_S and at > self._last_command
        if fresh and what in ("lock", "unlock"):
            self._last_command = at
            self._hear(what, f"{self._base}/command/{at!r}")

    def _show(self, state: str) -> None:
        if self._connected.is_set():
            self._client.publish(f"{self._base}/state", state, qos=1, retain=True)

    def _discovery(self) -> dict[str, Any]:
        """https://www.home-assistant.io/integrations/lock.mqtt/"""
        return {
            "name": None,
            "unique_id": f"arcid_{self._id}",
            "command_topic": f"{self._base}/command",
            "command_template": '{"do": "{{ value }}", "at": {{ now().timestamp() }}}',
            "payload_lock": "LOCK",
            "payload_unlock": "UNLOCK",
            "state_topic": f"{self._base}/state",
            "state_locked": "LOCKED",
            "state_unlocked": "UNLOCKED",
            "state_jammed": "JAMMED",
            "availability_topic": f"{self._base}/available",
            "optimistic": False,
            "qos": 1,
            "device": device(self._id, self._door),
        }

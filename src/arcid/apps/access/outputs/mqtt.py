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
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.access.outputs._common import Hear, OutputFailed, Pulse
from arcid.apps.telling.configured import MQTT_PASSWORD, MQTT_USER
from arcid.errors import MissingExtra, UsageError

DISCOVERY = "homeassistant"
CONNECT_S, ACKNOWLEDGE_S = 5.0, 3.0
CONTACT = {b"OPEN": True, b"CLOSED": False}
COMMAND_S = 5.0  # a command given longer ago does nothing


@dataclass(frozen=True, slots=True)
class Broker:
    """Where, and what may be done."""

    host: str
    port: int
    tls: bool
    topic: str
    commands: bool
    inputs: bool


def checked(output: str) -> Broker:
    """Raises ``UsageError``."""
    parts = urlsplit(output)
    tls = parts.scheme == "mqtts"
    query = parse_qs(parts.query)
    topic = parts.path.strip("/") or "arcid/doors"
    try:
        port = parts.port or (8883 if tls else 1883)
    except ValueError:
        raise UsageError("the broker's port does not exist") from None
    if not parts.hostname or re.search(r"[#+\0\s]", output) or set(query) - {"commands", "inputs"}:
        raise UsageError(
            "a broker is written mqtt://HOST:1883/TOPIC, with ?commands=1&inputs=1 at most"
        )
    addresses.refuse_literal(parts.hostname)
    commands, inputs = (query.get(name) == ["1"] for name in ("commands", "inputs"))
    return Broker(parts.hostname, port, tls, topic, commands, inputs)


def opener(output: str, door_id: str, door: str, hear: Hear) -> Lock:
    """Raises ``MissingExtra``. A broker that is away is tried again in the background."""
    return Lock(checked(output), door_id, door, hear)


class Lock:
    """One door at a broker."""

    def __init__(self, broker: Broker, door_id: str, door: str, hear: Hear) -> None:
        try:
            import paho.mqtt.client as paho
        except ModuleNotFoundError:
            raise MissingExtra("opening doors over MQTT", "mqtt") from None
        self._paho, self._broker = paho, broker
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
        with suppress(RuntimeError, ValueError):
            message.wait_for_publish(ACKNOWLEDGE_S)
        if not message.is_published():
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
            gone = self._client.publish(f"{self._base}/available", "offline", qos=1, retain=True)
            with suppress(RuntimeError, ValueError):
                gone.wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _connect(self) -> Any:
        paho, broker = self._paho, self._broker
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.connect_timeout = CONNECT_S
        client.reconnect_delay_set(1, 30)
        if (user := os.environ.get(MQTT_USER)) is not None:
            client.username_pw_set(user, os.environ.get(MQTT_PASSWORD))
        if broker.tls:
            client.tls_set()
        client.will_set(f"{self._base}/available", "offline", qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._on, self._off
        client.on_message = self._told
        try:
            addresses.resolve(broker.host, broker.port)
            client.connect_async(broker.host, broker.port)
        except (AddressRefused, OSError, ValueError) as error:
            raise UsageError(f"the broker cannot be used ({type(error).__name__})") from None
        client.loop_start()
        return client

    def _anew(self) -> None:
        """Another connection, so that nothing of this one is sent later."""
        old = self._client
        self._connected.clear()
        old.on_connect = old.on_disconnect = old.on_message = None
        old.disconnect()
        old.loop_stop()
        self._client = self._connect()

    def _on(self, client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if reason.is_failure:
            return
        topic = f"{DISCOVERY}/lock/arcid_{self._id}/config"
        client.publish(topic, json.dumps(self._discovery()), qos=1, retain=True)
        client.publish(f"{self._base}/state", "LOCKED", qos=1, retain=True)
        client.publish(f"{self._base}/available", "online", qos=1, retain=True)
        topics = ["command"] * self._broker.commands + ["contact", "exit"] * self._broker.inputs
        if topics:
            client.subscribe([(f"{self._base}/{topic}", 1) for topic in topics])
        self._connected.set()

    def _off(self, *_: Any) -> None:
        self._connected.clear()

    def _told(self, _client: Any, _data: Any, message: Any) -> None:
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
            "device": {"identifiers": [f"arcid_{self._id}"], "name": self._door,
                       "manufacturer": "arcid"},
        }  # fmt: skip

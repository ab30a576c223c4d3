"""A standing connection to an MQTT broker, and what Home Assistant is told to find things there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.errors import MissingExtra, UsageError

MQTT_USER, MQTT_PASSWORD = "ARCID_MQTT_USERNAME", "ARCID_MQTT_PASSWORD"
CONNECT_S = 5.0
DISCOVERY = "homeassistant"
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is; user and password come from the environment."""

    host: str
    port: int = 1883
    tls: bool = False
    topic: str = "arcid"

    def __post_init__(self) -> None:
        addresses.refuse_literal(self.host)


def connect(
    broker: Broker,
    available: str,
    *,
    on: Callable[[Any], None],
    off: Callable[[], None],
    told: Callable[[Any], None] | None = None,
) -> Any:
    """paho's client, connecting in the background and again whenever the broker was away.

    The broker says at ``available`` that this process is offline, when it is. ``on(client)`` is
    called at every connection, ``told(message)`` for what is subscribed to. Raises
    ``MissingExtra``, ``UsageError``.
    """
    try:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion
    except ModuleNotFoundError:
        raise MissingExtra("MQTT", "mqtt") from None
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect_timeout = CONNECT_S
    client.reconnect_delay_set(1, 30)
    if (user := os.environ.get(MQTT_USER)) is not None:
        client.username_pw_set(user, os.environ.get(MQTT_PASSWORD))
    if broker.tls:
        client.tls_set()
    client.will_set(available, OFFLINE, qos=1, retain=True)

    def connected(_client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        if not reason.is_failure:
            on(client)

    client.on_connect = connected
    client.on_disconnect = lambda *_: off()
    if told is not None:
        client.on_message = lambda _client, _data, message: told(message)
    try:
        addresses.resolve(broker.host, broker.port)
        client.connect_async(broker.host, broker.port)
    except (AddressRefused, OSError, ValueError) as error:
        raise UsageError(f"the broker cannot be used ({type(error).__name__})") from None
    client.loop_start()
    return client


def acknowledged(message: Any, seconds: float) -> bool:
    """Whether the broker confirms a published ``message`` in time; not where it is away by now."""
    with suppress(RuntimeError, ValueError):  # of both calls
        message.wait_for_publish(seconds)
        return bool(message.is_published())
    return False


def device(own: str, name: str, **more: str) -> dict[str, Any]:
    """How Home Assistant shows what it finds: https://www.home-assistant.io/integrations/mqtt/"""
    return {"identifiers": [f"arcid_{own}"], "name": name, "manufacturer": "arcid"} | more

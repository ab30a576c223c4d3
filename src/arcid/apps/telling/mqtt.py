"""Publishing events at an MQTT broker."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from arcid import addresses
from arcid.addresses import AddressRefused
from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed
from arcid.errors import MissingExtra
from arcid.events import Event


@dataclass(frozen=True, slots=True)
class Mqtt:
    """Publishes JSON at quality of service 1 to ``TOPIC/COLLECTION/KIND``, and what the service
    says of itself to ``TOPIC/service``."""

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

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
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
        topic = f"{self.topic}/{event.kind}"
        if not isinstance(event, Notice):
            level = "".join("_" if c in "/+#\0" else c for c in event.collection)
            topic = f"{self.topic}/{level}/{event.kind}"
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
            message = client.publish(topic, body, qos=1)
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

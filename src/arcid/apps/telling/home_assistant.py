"""Home Assistant, over an MQTT broker: cameras, how many are present, alerts. It finds them itself.

Below the broker's topic: ``available``; of every camera ``camera/ID/event``, ``occupied``, ``seen``
and, where names are told, ``person``; of every collection ``collection/ID/present``; ``alerts``.
Nothing that names anybody is retained. A camera is found with the first event it writes.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from arcid.apps.telling.broker import (
    DISCOVERY,
    OFFLINE,
    ONLINE,
    Broker,
    acknowledged,
    connect,
    device,
)
from arcid.apps.telling.notices import Notice
from arcid.apps.telling.target import DeliveryFailed
from arcid.errors import ArcidError
from arcid.events import Event, Events
from arcid.gallery import Gallery

KINDS = ("arrival", "departure", "unknown", "review", "spoof", "alert", "access")
REFRESH_S = 15.0
AGAIN_S = 30.0  # before a broker that cannot be found is looked for again
ACKNOWLEDGE_S = 5.0
FRESH = timedelta(minutes=1)  # what is told later triggers nothing
OCCUPIED_S = 60


class HomeAssistant:
    """A target that holds its connection while it is this process's to tell.

    ``open_alerts(gallery)`` counts alerts that nobody has answered.
    """

    kinds = KINDS

    def __init__(
        self, name: str, broker: Broker, *, names: bool = False,
        open_alerts: Callable[[Gallery], int],
    ) -> None:  # fmt: skip
        self.name = name
        self._broker, self._names, self._open_alerts = broker, names, open_alerts
        self._client: Any = None
        self._connected = threading.Event()
        self._told: dict[str, str] = {}  # what is retained at the broker, by topic
        self._refresh_at = self._connect_at = 0.0
        self._hub = _short(broker.topic)

    def stand(self, gallery: Gallery | None) -> None:
        """Connect, and tell how many there are; None: leave, another process tells."""
        if gallery is None:
            self._leave()
            return
        if self._client is None:
            if time.monotonic() < self._connect_at:
                return
            self._connect_at = time.monotonic() + AGAIN_S
            self._client = connect(
                self._broker, self._topic("available"), on=self._on, off=self._connected.clear
            )
        if self._connected.is_set() and time.monotonic() >= self._refresh_at:
            self._refresh_at = time.monotonic() + REFRESH_S
            self._refresh(gallery)

    def send(self, body: bytes, event: Event | Notice, now: datetime) -> None:
        if isinstance(event, Notice):  # nothing here shows it
            return
        self._refresh_at = 0.0
        if event.kind not in KINDS or event.actor is not None:  # somebody clicked; no camera saw it
            return
        if not self._connected.is_set():
            raise DeliveryFailed("the broker does not answer")
        own = _short(event.collection, event.camera)
        self._find_camera(own, event.camera)
        last = self._keep(f"camera/{own}/seen", event.at.isoformat())
        if now - event.recorded_at <= FRESH:
            about: dict[str, Any] = {"event_type": event.kind, "id": event.id}
            if self._names:
                about |= {"name": event.name, "collection": event.collection}
                self._say(f"camera/{own}/person", event.name or event.kind)
            if event.kind != "departure":
                self._say(f"camera/{own}/occupied", "ON")
            last = self._say(f"camera/{own}/event", json.dumps(about))
        if not acknowledged(last, ACKNOWLEDGE_S):
            raise DeliveryFailed("the broker acknowledges nothing")

    def _refresh(self, gallery: Gallery) -> None:
        events = Events(gallery)
        found = {}
        for collection in gallery.collections():
            with suppress(ArcidError):  # deleted meanwhile
                found[_short(collection.id)] = (
                    collection.name,
                    len({stay.person_id for stay in events.present(collection.name)}),
                )
        self._find_hub({own: name for own, (name, _) in found.items()})
        for own, (_, present) in found.items():
            self._keep(f"collection/{own}/present", str(present))
        self._keep("alerts", str(self._open_alerts(gallery)))

    def _find_hub(self, collections: dict[str, str]) -> None:
        parts = {"alerts": _sensor("Open alerts", self._topic("alerts"), icon="mdi:alert")}
        for own, name in collections.items():
            topic = self._topic(f"collection/{own}/present")
            parts[f"present_{own}"] = _sensor(f"Present in {name}", topic, icon="mdi:account-group")
        self._found(self._hub, device(self._hub, "arcid"), parts)

    def _find_camera(self, own: str, name: str) -> None:
        topics = {what: self._topic(f"camera/{own}/{what}") for what in
                  ("event", "occupied", "seen", "person")}  # fmt: skip
        parts: dict[str, dict[str, Any]] = {
            "event": {"platform": "event", "name": "Event", "state_topic": topics["event"],
                      "event_types": list(KINDS)},
            "occupied": {"platform": "binary_sensor", "name": "Somebody",
                         "state_topic": topics["occupied"], "device_class": "occupancy",
                         "off_delay": OCCUPIED_S},
            "seen": {"platform": "sensor", "name": "Last seen", "state_topic": topics["seen"],
                     "device_class": "timestamp"},
        }  # fmt: skip
        if self._names:
            parts["person"] = {"platform": "sensor", "name": "Last person",
                               "state_topic": topics["person"], "icon": "mdi:account"}  # fmt: skip
        self._found(own, device(own, name, via_device=f"arcid_{self._hub}"), parts)

    def _found(self, own: str, shown: dict[str, Any], parts: dict[str, dict[str, Any]]) -> None:
        """Discovery of a device with all its parts, where it is not as the broker knows it."""
        config = {
            "device": shown,
            "origin": {"name": "arcid"},
            "availability_topic": self._topic("available"),
            "qos": 1,
            "components": {
                key: part | {"unique_id": f"arcid_{own}_{key}"} for key, part in parts.items()
            },
        }
        self._publish_once(f"{DISCOVERY}/device/arcid_{own}/config", json.dumps(config))

    def _keep(self, topic: str, value: str) -> Any:
        return self._publish_once(self._topic(topic), value)

    def _publish_once(self, topic: str, value: str) -> Any:
        if self._told.get(topic) == value:
            return _Done
        self._told[topic] = value
        return self._client.publish(topic, value, qos=1, retain=True)

    def _say(self, topic: str, value: str) -> Any:
        return self._client.publish(self._topic(topic), value, qos=1)

    def _on(self, client: Any) -> None:
        self._told, self._refresh_at = {}, 0.0
        client.publish(self._topic("available"), ONLINE, qos=1, retain=True)
        self._connected.set()

    def _leave(self) -> None:
        self._connect_at = 0.0
        if self._client is None:
            return
        client, self._client = self._client, None
        if self._connected.is_set():
            gone = client.publish(self._topic("available"), OFFLINE, qos=1, retain=True)
            acknowledged(gone, 1.0)
        client.disconnect()
        client.loop_stop()
        self._connected.clear()

    def _topic(self, topic: str) -> str:
        return f"{self._broker.topic}/{topic}"


class _Done:
    """A message that need not be published again."""

    @staticmethod
    def wait_for_publish(_seconds: float) -> None: ...

    @staticmethod
    def is_published() -> bool:
        return True


def _sensor(name: str, topic: str, *, icon: str) -> dict[str, Any]:
    return {"platform": "sensor", "name": name, "state_topic": topic, "icon": icon,
            "state_class": "measurement"}  # fmt: skip


def _short(*parts: str) -> str:
    """An id that any topic may hold, the same for the same names."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:12]

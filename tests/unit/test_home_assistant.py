"""What Home Assistant finds at a real MQTT broker (mosquitto), and what it is not told.

Debian: apt-get install mosquitto
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.mqtt import Broker, Listener
from tests.serving import until

from arcid.apps.telling import Deliverer, home_assistant_from
from arcid.errors import ConfigError, UsageError
from arcid.events import Events, Outbox, Place, Sightings
from arcid.gallery import Gallery
from arcid.server.settings import Settings
from arcid.server.telling import subscribe, told_by

DOOR = Place("door", "Front door/#1")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def listener(broker: Broker) -> Iterator[Listener]:
    made = Listener(broker.port)
    yield made
    made.close()


@pytest.fixture
def gallery(fresh: Path) -> Iterator[Gallery]:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        gallery.add_person("staff", "Ann Secret")
        yield gallery


def telling(gallery: Gallery, address: str) -> Deliverer:
    settings = Settings.load(home_assistant=address)
    targets = told_by(settings)
    subscribe(gallery, settings, targets)
    return Deliverer(gallery, targets)


def come(gallery: Gallery, ago: timedelta = timedelta(0)) -> None:
    (ann,) = gallery.people("staff")
    Sightings(gallery).person(
        "staff", DOOR, ann.id, datetime.now(UTC) - ago, cooldown_s=0.001, grounds={}
    )


def devices(listener: Listener) -> dict[str, Any]:
    found = {t: p for t, p, _ in listener.got if t.startswith("homeassistant/device/")}
    told = [json.loads(payload) for payload in found.values()]
    return {one["device"]["name"]: one for one in told}


def last(listener: Listener, topic: str) -> str | None:
    return next(reversed(listener.of(topic)), None)


@pytest.mark.server
def test_a_camera_a_collection_and_alerts_are_found_without_names(
    broker: Broker, listener: Listener, gallery: Gallery
) -> None:
    deliverer = telling(gallery, f"mqtt://127.0.0.1:{broker.port}/home")
    deliverer.start()
    until(lambda: last(listener, "home/alerts") == "0")
    come(gallery)
    until(lambda: DOOR.camera in devices(listener))
    found = devices(listener)
    parts = found[DOOR.camera]["components"]
    assert set(parts) == {"event", "occupied", "seen"}
    ids = [part["unique_id"] for device in found.values() for part in device["components"].values()]
    assert len(set(ids)) == len(ids)
    for device in found.values():
        assert device["availability_topic"] == "home/available" and device["origin"]
        assert all(
            part["platform"] and part["state_topic"] for part in device["components"].values()
        )
    assert found[DOOR.camera]["device"]["via_device"] in found["arcid"]["device"]["identifiers"]
    until(lambda: listener.of(parts["event"]["state_topic"]))
    told = json.loads(listener.of(parts["event"]["state_topic"])[0])
    assert told["event_type"] == "arrival" and told["event_type"] in parts["event"]["event_types"]
    assert listener.of(parts["occupied"]["state_topic"]) == ["ON"]
    assert datetime.fromisoformat(listener.of(parts["seen"]["state_topic"])[0]).tzinfo
    (present,) = (part for key, part in found["arcid"]["components"].items() if key != "alerts")
    until(lambda: last(listener, present["state_topic"]) == "1")
    assert last(listener, "home/available") == "online"
    deliverer.stop()
    until(lambda: last(listener, "home/available") == "offline")
    assert "Ann" not in json.dumps(listener.got)
    later = Listener(broker.port)
    until(lambda: later.of("home/available") and later.of(parts["seen"]["state_topic"]))
    kept = {topic for topic, _, _ in later.got}
    assert parts["seen"]["state_topic"] in kept
    assert not {parts["event"]["state_topic"], parts["occupied"]["state_topic"]} & kept
    later.close()


@pytest.mark.server
def test_names_are_told_where_asked_for_and_retained_nowhere(
    broker: Broker, listener: Listener, gallery: Gallery
) -> None:
    deliverer = telling(gallery, f"mqtt://127.0.0.1:{broker.port}/home?names=1")
    deliverer.start()
    come(gallery)
    until(lambda: DOOR.camera in devices(listener))
    person = devices(listener)[DOOR.camera]["components"]["person"]["state_topic"]
    until(lambda: listener.of(person) == ["Ann Secret"])
    deliverer.stop()
    later = Listener(broker.port)
    until(lambda: later.of("home/available"))
    assert "Ann" not in json.dumps(later.got)
    later.close()


@pytest.mark.server
def test_what_people_do_by_hand_is_nobody_in_front_of_a_camera(
    broker: Broker, listener: Listener, gallery: Gallery
) -> None:
    deliverer = telling(gallery, f"mqtt://127.0.0.1:{broker.port}/home?names=1")
    come(gallery)
    (seen,), (ann,) = Events(gallery).find("staff"), gallery.people("staff")
    Events(gallery).correct("staff", seen.id, "void", actor="op")
    for kind, details in (("alert", {"step": "confirm"}), ("access", {"outcome": "granted"})):
        Events(gallery).write(
            "staff", kind, ("1",), DOOR, datetime.now(UTC), grounds={"details": details},
            person_id=ann.id, actor="op",
        )  # fmt: skip
    deliverer.start()
    until(lambda: [one["done"] for one in Outbox(gallery).counts().values()] == [4])
    parts = devices(listener)[DOOR.camera]["components"]
    told = {name: listener.of(part["state_topic"]) for name, part in parts.items()}
    assert [json.loads(one)["event_type"] for one in told["event"]] == ["arrival"]
    assert (told["occupied"], told["person"]) == (["ON"], ["Ann Secret"])
    assert told["seen"] == [seen.at.isoformat()]
    deliverer.stop()


@pytest.mark.server
def test_what_waited_for_the_broker_triggers_nothing(
    broker: Broker, listener: Listener, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.apps.telling.home_assistant.FRESH", timedelta(0))
    deliverer = telling(gallery, f"mqtt://127.0.0.1:{broker.port}/home")
    come(gallery)
    deliverer.start()
    until(lambda: not any(one["waiting"] for one in Outbox(gallery).counts().values()))
    parts = devices(listener)[DOOR.camera]["components"]
    until(lambda: listener.of(parts["seen"]["state_topic"]))
    assert listener.of(parts["event"]["state_topic"]) == []
    deliverer.stop()


@pytest.mark.parametrize(
    "address", ["", "broker", "http://broker", "mqtt://", "mqtt://broker/x?name=1"]
)
def test_addresses_are_checked(address: str) -> None:
    with pytest.raises(ConfigError, match="ARCID_HOME_ASSISTANT is"):
        home_assistant_from(address, lambda _: 0)
    assert home_assistant_from("mqtts://broker/home", lambda _: 0).name.startswith(
        "home-assistant-"
    )


def test_a_broker_that_cannot_be_found_is_told_once_in_a_while(gallery: Gallery) -> None:
    target = home_assistant_from("mqtt://no-such-broker.invalid/home", lambda _: 0)
    with pytest.raises(UsageError, match="the broker cannot be used"):
        target.stand(gallery)
    target.stand(gallery)
    target.stand(None)
    with pytest.raises(UsageError):
        target.stand(gallery)

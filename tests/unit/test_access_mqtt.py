"""Doors at a real MQTT broker (mosquitto), as Home Assistant sees them.

Debian: apt-get install mosquitto
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.mqtt import Broker, Listener
from tests.serving import until

from arcid.apps.access import Doorman, Doors, OutputFailed, Passages, Pulse
from arcid.apps.access.outputs import opener_for
from arcid.apps.access.outputs.mqtt import Lock
from arcid.apps.telling.broker import acknowledged
from arcid.gallery import Gallery

pytestmark = pytest.mark.server


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


def pulse(opening: str) -> Pulse:
    return Pulse(opening, "d1", "Front", 0.5, datetime.now(UTC))


def test_an_order_is_told_once_and_home_assistant_finds_a_lock(
    broker: Broker, listener: Listener
) -> None:
    opener = opener_for(f"mqtt://127.0.0.1:{broker.port}/doors", "d1", "Front")
    assert isinstance(opener, Lock)
    until(lambda: opener.ready)
    opener.open(pulse("o1"))
    until(lambda: listener.of("doors/d1/state")[-2:] == ["UNLOCKED", "LOCKED"])
    ((_, body, retained),) = [m for m in listener.got if m[0] == "doors/d1/open"]
    told = json.loads(body)
    assert (told["opening"], told["seconds"], retained) == ("o1", 0.5, False)
    assert told["expires_at"] > told["issued_at"]
    (config,) = listener.of("homeassistant/lock/arcid_d1/config")
    found = json.loads(config)
    assert found["command_topic"] == "doors/d1/command" and found["device"]["name"] == "Front"
    assert listener.of("doors/d1/available") == ["online"]
    opener.close()
    until(lambda: listener.of("doors/d1/available")[-1] == "offline")


def test_an_order_is_not_sent_later_by_a_broker_that_was_away(
    broker: Broker, listener: Listener
) -> None:
    opener = opener_for(f"mqtt://127.0.0.1:{broker.port}/doors", "d1", "Front")
    assert isinstance(opener, Lock)
    until(lambda: opener.ready)
    broker.stop()
    with pytest.raises(OutputFailed):
        opener.open(pulse("o1"))
    until(lambda: not opener.ready)
    with pytest.raises(OutputFailed) as caught:
        opener.open(pulse("o2"))
    assert caught.value.certain
    broker.start()
    until(lambda: opener.ready, 60)
    opener.open(pulse("o3"))
    second = Listener(broker.port)
    time.sleep(1.0)
    second.close()
    assert [json.loads(b)["opening"] for b in listener.of("doors/d1/open")] in ([], ["o3"])
    assert second.of("doors/d1/open") == [], "nothing is kept for who comes later"
    opener.close()


def test_what_is_published_just_as_the_broker_goes_is_not_acknowledged() -> None:
    """paho raises then, and would where it is asked whether the message went."""
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    away = paho.Client(CallbackAPIVersion.VERSION2)
    assert not acknowledged(away.publish("doors/d1/open", "{}", qos=1), 0.1)


def test_a_door_at_a_broker_says_how_it_stands_and_a_forced_one_is_told(
    broker: Broker, listener: Listener, fresh: Path, tmp_path: Path
) -> None:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        address = f"mqtt://127.0.0.1:{broker.port}/doors?inputs=1"
        doors = Doors(gallery)
        door = doors.add("Front", "staff", output=address, release_s=0.5, held_s=1)
        contact = f"doors/{door.id}/contact"
        listener.say(contact, "CLOSED", retain=True)
        with Doorman(gallery, "c" * 64, tmp_path) as doorman:
            until(lambda: doorman.status("Front").contact_open is False)
            listener.say(f"doors/{door.id}/exit", "1")
            listener.say(contact, "OPEN")
            until(lambda: doorman.status("Front").contact_open)
            assert doorman.status("Front").alarm is None, "somebody left"
            until(lambda: doorman.status("Front").alarm is not None)
            assert "open for 1 s" in doorman.status("Front").alarm.words
            doorman.acknowledge("Front")
            assert doorman.status("Front").alarm is None
            until(lambda: [p.outcome for p in Passages(gallery).find("staff")] == ["alarm"])
            listener.say(contact, "?")
            until(lambda: doorman.status("Front").contact_open is None)
            listener.say(contact, "CLOSED")
            until(lambda: doorman.status("Front").contact_open is False)
            broker.stop()
            until(lambda: doorman.status("Front").contact_open is None)


def test_commands_are_an_opening_by_hand_and_a_lock_down_once_each(
    broker: Broker, listener: Listener, fresh: Path, tmp_path: Path
) -> None:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        address = f"mqtt://127.0.0.1:{broker.port}/doors?commands=1"
        door = Doors(gallery).add("Front", "staff", output=address, release_s=0.5)
        command = f"doors/{door.id}/command"
        at = time.time()
        listener.say(command, json.dumps({"do": "UNLOCK", "at": at}), retain=True)
        with Doorman(gallery, "c" * 64, tmp_path) as doorman:
            until(lambda: listener.of(f"doors/{door.id}/available"))
            time.sleep(1.0)
            assert Passages(gallery).find("staff") == [], "what was retained does nothing"
            order = json.dumps({"do": "UNLOCK", "at": time.time()})
            for payload in (order, order, json.dumps({"do": "UNLOCK", "at": at - 60}), "UNLOCK"):
                listener.say(command, payload)
            until(lambda: listener.of(f"doors/{door.id}/open"))
            time.sleep(1.5)
            assert len(listener.of(f"doors/{door.id}/open")) == 1
            (passage,) = Passages(gallery).find("staff")
            assert (passage.actor, passage.opening) == ("Home Assistant", "opened")
            listener.say(command, json.dumps({"do": "LOCK", "at": time.time()}))
            until(lambda: doorman.status("Front").lockdown == "Home Assistant")

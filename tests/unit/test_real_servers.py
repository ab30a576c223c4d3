"""Programmes of others on this machine: an RTSP server (GStreamer) and an MQTT broker (mosquitto).

Debian: apt-get install mosquitto gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.streams import Start, end, free_port, rtsp_server

from arcid.apps.attendance import Attendance
from arcid.apps.telling import Deliverer, DeliveryFailed, Mqtt
from arcid.events import Outbox, Place, Sightings
from arcid.gallery import Gallery, NewFace
from arcid.types import Embeddings, Image
from arcid.video import open_source

pytestmark = pytest.mark.server

CLIP = "data/video/short_hamilton_clip.mp4"


@pytest.fixture
def rtsp(data_dir: Path) -> Iterator[tuple[str, Start]]:
    """The address of a stream, and what starts its server."""
    with rtsp_server(data_dir / CLIP) as found:
        yield found


def frames_of(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    found: list[Image] = []
    while True:
        ok, bgr = capture.read()
        if not ok:
            capture.release()
            return found
        found.append(cv2.resize(bgr[:, :, ::-1], (64, 36), interpolation=cv2.INTER_AREA))


@pytest.mark.data
def test_a_camera_over_rtsp_is_read_and_found_again_when_its_server_comes_back(
    rtsp: tuple[str, Start], data_dir: Path
) -> None:
    address, start = rtsp
    server = start()
    source = open_source(address)
    assert source.live and source.name == address
    images: list[Image] = []
    seen: list[str] = []
    killed_at = back_at = 0
    deadline = time.monotonic() + 60
    for frame in source.frames(0.2):
        seen += [entry.kind for entry in source.health()]
        if frame is not None:
            images.append(frame.image)
        if not killed_at and len(images) == 20:
            end(server)
            killed_at = len(seen)
        if killed_at and not back_at and "lost" in seen[killed_at:]:
            still = len(images)
            start()
            back_at = len(seen)
        if back_at and "recovered" in seen[back_at:] and len(images) >= still + 20:
            source.close()
        assert time.monotonic() < deadline, (seen, len(images))
    assert {image.shape for image in images} == {(360, 640, 3)}
    clip = np.stack(frames_of(data_dir / CLIP)).astype(np.float32)
    for image in (images[10], images[-1]):
        small = cv2.resize(image, (64, 36), interpolation=cv2.INTER_AREA)
        assert np.abs(clip - small).mean(axis=(1, 2, 3)).min() < 3
        assert np.abs(clip - small[:, :, ::-1]).mean(axis=(1, 2, 3)).min() > 3  # red is red


# MQTT


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[int, Start]]:
    """A port, and what starts a broker on it that knows one user."""
    programme = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    tool = shutil.which("mosquitto_passwd")
    if programme is None or tool is None:
        pytest.skip("no MQTT broker: apt-get install mosquitto")
    pytest.importorskip("paho.mqtt.client", reason="MQTT needs paho: pip install arcid[mqtt]")
    port, started = free_port(), []
    passwords = tmp_path / "passwords"
    subprocess.run([tool, "-b", "-c", str(passwords), "arcid", "right"], check=True)
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n"
    )

    def start() -> subprocess.Popen[str]:
        started.append(subprocess.Popen([programme, "-c", str(settings)], text=True))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return started[-1]
            time.sleep(0.05)
        raise AssertionError("the broker did not come up")

    yield port, start
    for process in started:
        end(process)


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Gallery]:
    """Two arrivals in the outbox ``mqtt``."""
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("sta+ff")
        for number, name in enumerate(("Ann", "Ben")):
            vector = Embeddings.normalised(np.eye(8)[[number]], "c" * 64)
            person, _ = gallery.enrol("sta+ff", name, [NewFace(vector)])
            Sightings(gallery).person(
                "sta+ff", Place("door", "door"), person.id,
                datetime(2026, 3, 2, 8, number, tzinfo=UTC), cooldown_s=60,
                grounds={"cosine": 0.7, "cosine_threshold": 0.4}, targets=("mqtt",),
            )  # fmt: skip
        yield gallery


def test_a_broker_that_was_down_gets_the_events_in_order_once_it_is_up(
    broker: tuple[int, Start], events: Gallery
) -> None:
    from paho.mqtt import client as mqtt

    port, start = broker
    target = Mqtt("mqtt", "127.0.0.1", port, username="arcid", password="right", timeout_s=5)
    now = datetime.now(UTC)
    assert Deliverer(events, [target]).run_once(now) == 0
    assert Outbox(events).counts()["mqtt"] == {"waiting": 2, "done": 0, "failed": 0}

    start()
    heard: list[tuple[str, dict[str, Any]]] = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)  # type: ignore[attr-defined]
    listener.username_pw_set("arcid", "right")
    listener.on_message = lambda c, d, m: heard.append((m.topic, json.loads(m.payload)))
    listener.connect("127.0.0.1", port)
    subscribed: list[int] = []
    listener.on_subscribe = lambda *args: subscribed.append(1)
    listener.on_connect = lambda c, *args: c.subscribe("arcid/#", qos=1)
    listener.loop_start()
    deadline = time.monotonic() + 10
    while not subscribed and time.monotonic() < deadline:
        time.sleep(0.02)

    wrong = Mqtt("mqtt", "127.0.0.1", port, username="arcid", password="wrong", timeout_s=5)
    with pytest.raises(DeliveryFailed, match="refuses"):
        wrong.send(b"{}", Attendance(events, "sta+ff").events()[0], now)

    assert Deliverer(events, [target]).run_once(now + timedelta(seconds=3)) == 2
    assert Outbox(events).counts()["mqtt"] == {"waiting": 0, "done": 2, "failed": 0}
    while len(heard) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    listener.disconnect()
    listener.loop_stop()
    assert [topic for topic, _ in heard] == ["arcid/sta_ff/arrival"] * 2
    assert [body["name"] for _, body in heard] == ["Ann", "Ben"]
    assert heard[0][1]["grounds"]["cosine"] == 0.7


def test_a_broker_that_says_nothing_is_given_up(events: Gallery) -> None:
    pytest.importorskip("paho.mqtt.client", reason="MQTT needs paho: pip install arcid[mqtt]")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Mqtt("mqtt", "127.0.0.1", silent.getsockname()[1], timeout_s=0.5)
        started = time.monotonic()
        assert Deliverer(events, [target]).run_once() == 0
        assert time.monotonic() - started < 5
    assert Outbox(events).counts()["mqtt"]["waiting"] == 2

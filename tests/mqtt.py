"""An MQTT broker (mosquitto) for tests, and somebody who listens at it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from tests.serving import until
from tests.streams import end, free_port


class Broker:
    """Mosquitto; ``start`` and ``stop`` as often as wanted, what is retained stays."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        (folder / "m.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\n"
        )

    def start(self) -> None:
        program = shutil.which("mosquitto")
        if program is None:
            pytest.skip("no MQTT broker: apt-get install mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", str(self._folder / "m.conf")], stderr=subprocess.DEVNULL, text=True
        )

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)


class Listener:
    """Somebody else at the broker."""

    def __init__(self, port: int) -> None:
        self.got: list[tuple[str, str, bool]] = []
        paho = pytest.importorskip("paho.mqtt.client")
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = lambda _c, _d, m: self.got.append(
            (m.topic, m.payload.decode(), bool(m.retain))
        )
        self._client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        heard = threading.Event()
        self._client.on_subscribe = lambda *_: heard.set()
        until(lambda: self._connects(port))
        self._client.loop_start()
        assert heard.wait(20)

    def _connects(self, port: int) -> bool:
        try:
            self._client.connect("127.0.0.1", port)
        except OSError:
            return False
        return True

    def of(self, topic: str) -> list[str]:
        return [payload for name, payload, _ in self.got if name == topic]

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

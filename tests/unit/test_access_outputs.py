"""What opens a door: signed HTTP, a pin, an OSDP line over a pseudo-terminal."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from arcid.apps.access.outputs import OutputFailed, Pulse, check_output, opener_for
from arcid.apps.telling import check_signature
from arcid.errors import ConfigError, UsageError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PULSE = Pulse("opening-1", "d1", "Front", 5.0, NOW)
SECRET = "a secret of the relay"


class Handler(BaseHTTPRequestHandler):
    answer = 200
    elsewhere = "/elsewhere"
    got: list[tuple[str, bytes, dict[str, str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, body, dict(self.headers)))
        if self.answer == 0:
            return  # hangs up
        self.send_response(self.answer)
        if self.answer == 302:
            self.send_header("Location", self.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def relay() -> Iterator[tuple[str, type[Handler]]]:
    handler = type("Own", (Handler,), {"got": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/relay/0?timer={{seconds}}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_DOOR_SECRET", SECRET)


def test_a_relay_is_sent_a_signed_order_that_expires(relay: tuple[str, type[Handler]]) -> None:
    address, handler = relay
    opener_for(address, "d1", "Front").open(PULSE)
    ((path, body, headers),) = handler.got
    assert path == "/relay/0?timer=5"
    told = json.loads(body)
    assert told["opening"] == headers["X-Arcid-Opening"] == "opening-1"
    assert told["seconds"] == 5 and told["expires_at"] > told["issued_at"]
    assert check_signature(SECRET, body, headers["X-Arcid-Signature"], NOW)
    assert not check_signature(SECRET, body + b" ", headers["X-Arcid-Signature"], NOW)
    assert SECRET not in repr(opener_for(address, "d1", "Front"))


@pytest.mark.parametrize(
    ("answer", "certain"), [(404, True), (401, True), (500, False), (0, False), (302, True)]
)
def test_a_relay_that_refuses_or_says_nothing(
    relay: tuple[str, type[Handler]], answer: int, certain: bool
) -> None:
    address, handler = relay
    handler.answer = answer
    with pytest.raises(OutputFailed) as caught:
        opener_for(address, "d1", "Front").open(PULSE)
    assert caught.value.certain is certain
    assert len(handler.got) == 1, "sent once, and followed nowhere"
    handler.elsewhere = "http://[no-address/"
    with pytest.raises(OutputFailed) as caught:
        opener_for(address, "d1", "Front").open(PULSE)
    assert caught.value.certain is certain


def test_a_relay_that_is_not_there_has_certainly_not_opened() -> None:
    with pytest.raises(OutputFailed) as caught:
        opener_for("http://127.0.0.1:9/open", "d1", "Front").open(PULSE)
    assert caught.value.certain


def test_addresses_that_could_open_no_door(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (
        "fax:1", "https://", "https://user:pw@relay.example/", "http://169.254.169.254/open",
        "mqtt:///topic", "mqtt://broker/a/#", "mqtt://broker/a?colour=red", "osdp://ttyUSB0",
        "gpio:17?contact=17", "gpio:17?bell=3", "gpio:17?exit=x", "osdp:///dev/x?contact=256",
        "https://relay.example:70000/", "https://relay.example:x/", "https://[relay/",
        "https://relay.example/tür", "https://türen.example/", "https://relay.example/a b",
        "osdp:///dev/x?baud=17", "osdp:///dev/x?address=500", "gpio:", "gpio:x", "gpio:1?low=2", "",
    ):  # fmt: skip
        with pytest.raises(UsageError):
            check_output(wrong)
    for right in ("none", "https://relay.example/open", "mqtt://broker/a?commands=1", "gpio:17",
                  "mqtt://broker/a?inputs=1", "gpio:17?contact=27&exit=22",
                  "osdp:///dev/ttyUSB0?contact=0&exit=1",
                  "osdp:///dev/ttyUSB0?address=1&output=2&plain=1"):  # fmt: skip
        check_output(right)
    monkeypatch.delenv("ARCID_DOOR_SECRET")
    with pytest.raises(ConfigError, match="ARCID_DOOR_SECRET"):
        opener_for("https://relay.example/open", "d1", "Front")
    with pytest.raises(ConfigError, match="ARCID_OSDP_KEY"):
        opener_for("osdp:///dev/null", "d1", "Front")
    with pytest.raises(UsageError, match="cannot be opened"):
        opener_for("osdp:///dev/nowhere?plain=1", "d1", "Front")


def test_a_pin_is_high_for_as_long_as_the_door_is_unlocked() -> None:
    pytest.importorskip("gpiozero")
    from gpiozero import Device
    from gpiozero.pins.mock import MockFactory

    Device.pin_factory = MockFactory()
    try:
        for address, rest in (("gpio:17", False), ("gpio:18?low=1", True)):
            opener = opener_for(address, "d1", "Front")
            pin = Device.pin_factory.pin(int(address[5:7]))
            assert bool(pin.state) is rest
            opener.open(Pulse("o", "d1", "Front", 0.3, NOW))
            time.sleep(0.1)
            assert bool(pin.state) is not rest
            time.sleep(0.6)
            assert bool(pin.state) is rest
            opener.close()
    finally:
        Device.pin_factory.reset()
        Device.pin_factory = None


def test_pins_say_whether_the_door_is_open_and_that_somebody_leaves() -> None:
    pytest.importorskip("gpiozero")
    from gpiozero import Device
    from gpiozero.pins.mock import MockFactory

    Device.pin_factory = MockFactory()
    heard: list[tuple[str, Any]] = []
    try:
        contact, leave = Device.pin_factory.pin(27), Device.pin_factory.pin(22)
        opener = opener_for(
            "gpio:17?contact=27&exit=22", "d1", "Front", lambda *told: heard.append(told)
        )
        for pin, low in ((contact, True), (contact, False), (leave, True), (leave, False)):
            pin.drive_low() if low else pin.drive_high()
            time.sleep(0.2)
        assert heard == [("contact", True), ("contact", False), ("contact", True), ("exit", None)]
        opener.close()
    finally:
        Device.pin_factory.reset()
        Device.pin_factory = None


KEY = "000102030405060708090a0b0c0d0e0f"


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """A pseudo-terminal with a reader's controller (libosdp's own) at its other end."""
    osdp = pytest.importorskip("osdp")
    if sys.platform == "win32":
        pytest.skip("no pseudo-terminals")
    import tty

    key = getattr(request, "param", KEY)
    there, here = os.openpty()
    tty.setraw(there)
    os.set_blocking(there, False)

    class Wire:
        id = 0

        def read(self, max_bytes: int) -> bytes:
            try:
                return os.read(there, max_bytes)
            except OSError:
                return b""

        def write(self, buf: bytes) -> int:
            return os.write(there, buf)

        def flush(self) -> None:
            """Nothing is held."""

    device = osdp.PeripheralDevice(
        osdp.PDInfo(101, Wire(), scbk=bytes.fromhex(key)),
        osdp.PDCapabilities(
            [(osdp.Capability.OutputControl, 1, 2), (osdp.Capability.ContactStatusMonitoring, 1, 4)]
        ),
        log_level=osdp.LogLevel.Critical,
    )
    device.start()
    yield f"osdp://{os.ttyname(here)}?address=101&output=1&baud=115200", device
    device.teardown()
    os.close(there)
    os.close(here)


def test_an_osdp_line_is_encrypted_and_sets_an_output_for_a_time(
    line: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, device = line
    monkeypatch.setenv("ARCID_OSDP_KEY", KEY)
    opener = opener_for(address, "d1", "Front")
    try:
        with pytest.raises(OutputFailed, match="does not answer") as early:
            opener.open(PULSE)
        assert early.value.certain
        end = time.monotonic() + 20
        while not opener.ready:
            assert time.monotonic() < end
            time.sleep(0.05)
        opener.open(PULSE)
        got = device.get_command(timeout=5)
        assert (got["output_no"], got["control_code"], got["timer_count"]) == (1, 5, 50)
        assert device.get_command(timeout=-1) is None, "once"
    finally:
        opener.close()


def test_an_osdp_device_says_whether_the_door_is_open_and_that_somebody_leaves(
    line: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import osdp

    address, device = line
    monkeypatch.setenv("ARCID_OSDP_KEY", KEY)
    heard: list[tuple[str, Any]] = []
    opener = opener_for(
        f"{address}&contact=0&exit=2", "d1", "Front", lambda *told: heard.append(told)
    )
    expected: list[tuple[str, Any]] = []

    def until_heard() -> None:
        end = time.monotonic() + 20
        while heard != expected:
            assert time.monotonic() < end, heard
            time.sleep(0.05)

    try:
        end = time.monotonic() + 20
        while not opener.ready:
            assert time.monotonic() < end
            time.sleep(0.05)
        for inputs, told in (
            ((1, 0, 0, 0), ("contact", True)), ((0, 1, 0, 0), ("contact", False)),
            ((0, 1, 1, 0), ("exit", None)), ((1, 1, 1, 0), ("contact", True)),
        ):  # fmt: skip
            event = {"event": osdp.Event.Status, "type": osdp.StatusReportType.Input}
            assert device.submit_event(event | {"report": bytes(inputs)})
            expected.append(told)
            until_heard()
    finally:
        opener.close()


@pytest.mark.parametrize("line", ["ff" * 16], indirect=True)
def test_an_osdp_device_with_another_key_is_not_talked_to(
    line: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, device = line
    monkeypatch.setenv("ARCID_OSDP_KEY", KEY)
    opener = opener_for(address, "d1", "Front")
    try:
        time.sleep(2.0)
        with pytest.raises(OutputFailed):
            opener.open(PULSE)
        assert device.get_command(timeout=-1) is None
    finally:
        opener.close()

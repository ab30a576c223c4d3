"""An access control line (OSDP over RS-485, ``libosdp``, the extra ``osdp``).

``osdp:///dev/ttyUSB0?address=0&output=0&baud=9600`` is output 0 of the device at address 0. The
line is encrypted with the 32 hexadecimal digits of ``ARCID_OSDP_KEY``; a device that knows no
secure channel needs ``&plain=1``. Doors on one line share it where they are outputs of one device.

``&contact=0`` is the device's input that is active while the door is open, ``&exit=1`` the one that
is active while somebody asks to leave. Devices tell of changes: before the first nothing is known.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qs, urlsplit

from arcid.apps.access.outputs._common import Hear, OutputFailed, Pulse
from arcid.errors import ConfigError, MissingExtra, UsageError

KEY = "ARCID_OSDP_KEY"
ANSWER_S = 2.0
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
TIMED_ON = 5  # OSDP 2.2, table 15: on for the timer, then as it was
_lines: dict[str, _Line] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Address:
    """What an address says; inputs are -1 where there is none."""

    device: str
    address: int = 0
    output: int = 0
    baud: int = 9600
    plain: int = 0
    contact: int = -1
    exit: int = -1


def checked(output: str) -> Address:
    """Raises ``UsageError``."""
    parts, names = urlsplit(output), {f.name for f in fields(Address)} - {"device"}
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    wrong = set(query) - names or not all(v.isdecimal() for v in query.values())
    given = Address(parts.path, **{} if wrong else {key: int(v) for key, v in query.items()})
    off = given.address > 126 or max(given.output, given.contact, given.exit) > 255
    if wrong or off or parts.netloc or not parts.path.startswith("/"):
        raise UsageError(
            "a line is written osdp:///dev/ttyUSB0?address=0&output=0&baud=9600, with contact=0 "
            "and exit=1 for inputs"
        )
    if given.baud not in BAUDS:
        raise UsageError(f"a line runs at {', '.join(map(str, BAUDS))} baud, not {given.baud}")
    return given


def opener(output: str, door_id: str, door: str, hear: Hear) -> Output:
    """Raises ``MissingExtra``, ``ConfigError`` without a key, ``UsageError`` where the line cannot
    be opened."""
    given = checked(output)
    key = os.environ.get(KEY, "")
    if not given.plain and (len(key) != 32 or not all(c in "0123456789abcdefABCDEF" for c in key)):
        raise ConfigError(
            f"the line is encrypted: set {KEY} to 32 hexadecimal digits that the device knows, or "
            "add plain=1 for one that knows no secure channel"
        )
    with _lock:
        line = _lines.get(given.device)
        if line is None:
            line = _lines[given.device] = _Line(given, None if given.plain else key)
        elif line.address != given.address:
            raise UsageError(f"{given.device} is in use for another device; one a line")
        made = Output(line, given, hear)
        line.users.append(made)
    return made


class Output:
    """One output of the device on a line, and the inputs beside its door."""

    def __init__(self, line: _Line, given: Address, hear: Hear) -> None:
        self._line, self._given, self._hear = line, given, hear
        self._inputs: dict[int, bool] = {}

    def open(self, pulse: Pulse) -> None:
        self._line.set(self._given.output, pulse.seconds)

    def told(self, inputs: bytes) -> None:
        """How all inputs of the device stand."""
        now = {i: bool(inputs[i]) for i in (self._given.contact, self._given.exit)
               if 0 <= i < len(inputs)}  # fmt: skip
        before, self._inputs = self._inputs, now
        contact, leave = now.get(self._given.contact), self._given.exit
        if now.get(leave) and not before.get(leave):
            self._hear("exit", None)
        if contact is not None and contact != before.get(self._given.contact):
            self._hear("contact", contact)

    def close(self) -> None:
        with _lock:
            self._line.users.remove(self)
            if not self._line.users:
                _lines.pop(self._line.device, None)
                self._line.stop()

    @property
    def ready(self) -> bool:
        """Whether the device answers, by the secure channel where there is a key."""
        return self._line.ready


class _Line:
    def __init__(self, given: Address, key: str | None) -> None:
        try:
            import osdp
        except ModuleNotFoundError:
            raise MissingExtra("opening doors over OSDP", "osdp") from None
        self.device, self.address = given.device, given.address
        self.users: list[Output] = []
        self._secure = key is not None
        self._port = _open(given.device, given.baud)
        self._answers: dict[int, bool] = {}
        self._answered = threading.Condition()
        self._setting = threading.Lock()
        self._command = int(osdp.Command.Output)
        self._input = (int(osdp.Event.Status), int(osdp.StatusReportType.Input))
        flags = [osdp.LibFlag.EnforceSecure] if key is not None else []
        info = osdp.PDInfo(
            given.address, _Serial(self._port), scbk=None if key is None else bytes.fromhex(key),
            flags=flags,
        )  # fmt: skip
        self._panel = osdp.ControlPanel(
            [info], log_level=osdp.LogLevel.Critical, event_handler=self._told,
            command_completion_handler=self._done,
        )  # fmt: skip
        self._panel.start()

    @property
    def ready(self) -> bool:
        on = self._panel.is_sc_active if self._secure else self._panel.is_online
        return bool(on(self.address))

    def set(self, number: int, seconds: float) -> None:
        """Raises ``OutputFailed``."""
        if not self.ready:
            raise OutputFailed("the device does not answer on its line", certain=True)
        with self._setting:
            self._answers.clear()
            order = {"command": self._command, "output_no": number, "control_code": TIMED_ON,
                     "timer_count": max(1, round(seconds * 10))}  # fmt: skip
            if not self._panel.submit_command(self.address, order):
                raise OutputFailed("the line takes no order", certain=True)
            with self._answered:
                if not self._answered.wait_for(lambda: bool(self._answers), ANSWER_S):
                    self._panel.flush_commands(self.address)
                    raise OutputFailed("the device does not say that it did", certain=False)
                if not self._answers[self.address]:
                    raise OutputFailed("the device refuses the order", certain=True)

    def stop(self) -> None:
        self._panel.teardown()
        os.close(self._port)

    def _told(self, number: int, event: dict[str, Any]) -> int:
        with suppress(queue.Empty):
            self._panel.event_queue[number].get_nowait()  # nobody else takes them out
        if (event.get("event"), event.get("type")) == self._input:
            for user in list(self.users):
                user.told(event["report"])
        return 0

    def _done(self, address: int, command: dict[str, Any], status: Any) -> None:
        with self._answered:
            self._answers[address] = int(status) == 0
            self._answered.notify_all()


def _open(device: str, baud: int) -> int:
    import fcntl
    import termios
    import tty

    try:
        port = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)  # no other arcid talks on this line
        tty.setraw(port)
        settings = termios.tcgetattr(port)
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(port, termios.TCSANOW, settings)
    except (OSError, termios.error) as error:
        raise UsageError(f"the line {device} cannot be opened ({type(error).__name__})") from None
    return port


class _Serial:
    """An open port as ``libosdp`` reads and writes it."""

    id = 0

    def __init__(self, port: int) -> None:
        self._port = port

    def read(self, max_bytes: int) -> bytes:
        try:
            return os.read(self._port, max_bytes)
        except OSError:  # nothing there, or gone
            return b""

    def write(self, buf: bytes) -> int:
        try:
            return os.write(self._port, buf)
        except OSError:
            return 0

    def flush(self) -> None:
        import termios

        with suppress(termios.error):
            termios.tcflush(self._port, termios.TCIOFLUSH)

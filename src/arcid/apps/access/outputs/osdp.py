"""An access control line (OSDP over RS-485, ``libosdp``, the extra ``osdp``).

``osdp:///dev/ttyUSB0?address=0&output=0&baud=9600`` is output 0 of the device at address 0. The
line is encrypted with the 32 hexadecimal digits of ``ARCID_OSDP_KEY``; a device that knows no
secure channel needs ``&plain=1``. Doors on one line share it where they are outputs of one device.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from arcid.apps.access.outputs._common import OutputFailed, Pulse
from arcid.errors import ConfigError, MissingExtra, UsageError

KEY = "ARCID_OSDP_KEY"
ANSWER_S = 2.0
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
TIMED_ON = 5  # OSDP 2.2, table 15: on for the timer, then as it was
_lines: dict[str, _Line] = {}
_lock = threading.Lock()


def checked(output: str) -> tuple[str, int, int, int, bool]:
    """(device, address, output, baud, plain). Raises ``UsageError``."""
    parts, names = urlsplit(output), ("address", "output", "baud", "plain")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    wrong = set(query) - set(names) or not all(v.isdecimal() for v in query.values())
    known = dict(zip(names, (0, 0, 9600, 0), strict=True))
    number = known if wrong else known | {name: int(value) for name, value in query.items()}
    off = number["address"] > 126 or number["output"] > 255
    if wrong or off or parts.netloc or not parts.path.startswith("/"):
        raise UsageError("a line is written osdp:///dev/ttyUSB0?address=0&output=0&baud=9600")
    if number["baud"] not in BAUDS:
        raise UsageError(f"a line runs at {', '.join(map(str, BAUDS))} baud, not {number['baud']}")
    return parts.path, number["address"], number["output"], number["baud"], bool(number["plain"])


def opener(output: str, door_id: str, door: str) -> Output:
    """Raises ``MissingExtra``, ``ConfigError`` without a key, ``UsageError`` where the line cannot
    be opened."""
    device, address, number, baud, plain = checked(output)
    key = os.environ.get(KEY, "")
    if not plain and (len(key) != 32 or not all(c in "0123456789abcdefABCDEF" for c in key)):
        raise ConfigError(
            f"the line is encrypted: set {KEY} to 32 hexadecimal digits that the device knows, or "
            "add plain=1 for one that knows no secure channel"
        )
    with _lock:
        line = _lines.get(device)
        if line is None:
            line = _lines[device] = _Line(device, address, baud, None if plain else key)
        elif line.address != address:
            raise UsageError(f"{device} is in use for another device; one a line")
        line.users += 1
    return Output(line, number)


class Output:
    """One output of the device on a line."""

    def __init__(self, line: _Line, number: int) -> None:
        self._line, self._number = line, number

    def open(self, pulse: Pulse) -> None:
        self._line.set(self._number, pulse.seconds)

    def close(self) -> None:
        with _lock:
            self._line.users -= 1
            if not self._line.users:
                _lines.pop(self._line.device, None)
                self._line.stop()

    @property
    def ready(self) -> bool:
        """Whether the device answers, by the secure channel where there is a key."""
        return self._line.ready


class _Line:
    def __init__(self, device: str, address: int, baud: int, key: str | None) -> None:
        try:
            import osdp
        except ModuleNotFoundError:
            raise MissingExtra("opening doors over OSDP", "osdp") from None
        self.device, self.address, self.users = device, address, 0
        self._secure = key is not None
        self._port = _open(device, baud)
        self._answers: dict[int, bool] = {}
        self._answered = threading.Condition()
        self._setting = threading.Lock()
        self._command = int(osdp.Command.Output)
        flags = [osdp.LibFlag.EnforceSecure] if key is not None else []
        info = osdp.PDInfo(
            address, _Serial(self._port), scbk=None if key is None else bytes.fromhex(key),
            flags=flags,
        )  # fmt: skip
        self._panel = osdp.ControlPanel(
            [info], log_level=osdp.LogLevel.Critical, command_completion_handler=self._done
        )
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

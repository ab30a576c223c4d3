"""A pin of this machine (``gpiozero``, the extra ``gpio``): high while the door is unlocked.

``gpio:17``, or ``gpio:17?low=1`` for a relay that closes on low. Drive a relay with a timer of its
own: a machine that stops within the impulse leaves the pin as it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from arcid.apps.access.outputs._common import OutputFailed, Pulse
from arcid.errors import MissingExtra, UsageError


def checked(output: str) -> tuple[int, bool]:
    """(pin, whether it is driven low). Raises ``UsageError``."""
    pin, _, query = output.partition(":")[2].partition("?")
    low = parse_qs(query).get("low", ["0"])[0]
    if not pin.isdecimal() or not 0 <= int(pin) <= 999 or low not in ("0", "1"):
        raise UsageError(
            "a pin is written gpio:17, or gpio:17?low=1 for a relay that closes on low"
        )
    return int(pin), low == "1"


def opener(output: str, door_id: str, door: str) -> Pin:
    """Raises ``MissingExtra``, ``UsageError`` where the pin cannot be had."""
    pin, low = checked(output)
    try:
        from gpiozero import DigitalOutputDevice, GPIOZeroError
    except ModuleNotFoundError:
        raise MissingExtra("opening doors by a pin", "gpio") from None
    try:
        return Pin(DigitalOutputDevice(pin, active_high=not low, initial_value=False))
    except (GPIOZeroError, OSError) as error:
        raise UsageError(f"pin {pin} cannot be used here ({type(error).__name__})") from None


class Pin:
    """One pin. It is off from the start."""

    def __init__(self, device: Any) -> None:
        self._device = device

    @property
    def ready(self) -> bool:
        return True

    def open(self, pulse: Pulse) -> None:
        try:
            self._device.blink(on_time=pulse.seconds, off_time=0, n=1, background=True)
        except Exception as error:  # each kind of pin raises its own
            raise OutputFailed(f"the pin ({type(error).__name__})", certain=False) from None

    def close(self) -> None:
        self._device.close()

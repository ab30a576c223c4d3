"""A pin of this machine (``gpiozero``, the extra ``gpio``): high while the door is unlocked.

``gpio:17``, or ``gpio:17?low=1`` for a relay that closes on low. Drive a relay with a timer of its
own: a machine that stops within the impulse leaves the pin as it is.

``&contact=27&exit=22`` are inputs that a closed circuit pulls to ground: a door contact that is
closed while the door is shut, a button that whoever leaves presses.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from arcid.apps.access.outputs._common import Hear, OutputFailed, Pulse
from arcid.errors import MissingExtra, UsageError

INPUTS = ("contact", "exit")
BOUNCE_S = 0.05


def checked(output: str) -> tuple[int, bool, dict[str, int]]:
    """(pin, whether it is driven low, pins of inputs by name). Raises ``UsageError``."""
    pin, _, query = output.partition(":")[2].partition("?")
    given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    low = given.pop("low", "0")
    numbers = [pin, *given.values()]
    wrong = set(given) - set(INPUTS) or not all(n.isdecimal() and int(n) <= 999 for n in numbers)
    if wrong or low not in ("0", "1") or len(set(numbers)) < len(numbers):
        raise UsageError(
            "a pin is written gpio:17, with ?low=1 for a relay that closes on low, and contact=PIN "
            "and exit=PIN for inputs"
        )
    return int(pin), low == "1", {key: int(number) for key, number in given.items()}


def opener(output: str, door_id: str, door: str, hear: Hear) -> Pin:
    """Raises ``MissingExtra``, ``UsageError`` where a pin cannot be had."""
    pin, low, inputs = checked(output)
    try:
        from gpiozero import DigitalInputDevice, DigitalOutputDevice, GPIOZeroError
    except ModuleNotFoundError:
        raise MissingExtra("opening doors by a pin", "gpio") from None
    try:
        made = Pin(DigitalOutputDevice(pin, active_high=not low, initial_value=False))
    except (GPIOZeroError, OSError) as error:
        raise UsageError(f"pin {pin} cannot be used here ({type(error).__name__})") from None
    try:
        for name, number in inputs.items():
            made.listen(name, DigitalInputDevice(number, pull_up=True, bounce_time=BOUNCE_S), hear)
    except (GPIOZeroError, OSError) as error:
        made.close()
        raise UsageError(f"an input cannot be used here ({type(error).__name__})") from None
    return made


class Pin:
    """One pin. It is off from the start."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._inputs: list[Any] = []

    def listen(self, name: str, device: Any, hear: Hear) -> None:
        """``device`` is active while its circuit is closed."""
        self._inputs.append(device)
        if name == "exit":
            device.when_activated = lambda: hear("exit", None)
            return
        device.when_activated = lambda: hear("contact", False)
        device.when_deactivated = lambda: hear("contact", True)
        hear("contact", not device.is_active)

    @property
    def ready(self) -> bool:
        return True

    def open(self, pulse: Pulse) -> None:
        try:
            self._device.blink(on_time=pulse.seconds, off_time=0, n=1, background=True)
        except Exception as error:  # each kind of pin raises its own
            raise OutputFailed(f"the pin ({type(error).__name__})", certain=False) from None

    def close(self) -> None:
        for device in (*self._inputs, self._device):
            device.close()

"""What opens a door: an impulse to a relay, a broker, a reader's controller, a pin.

    opener = opener_for("https://relay.example/open", door_id)
    opener.open(Pulse(...))                       returns once it was taken; raises OutputFailed
    opener.close()

    none                                          decides and logs, opens nothing
    http(s)://HOST/PATH                           a signed POST, ``web``
    mqtt(s)://HOST[:PORT]/TOPIC                   a message, and a lock for Home Assistant, ``mqtt``
    osdp:///dev/ttyUSB0?address=0&output=0        an access control line, ``osdp``
    gpio:17                                       a pin of this machine, ``gpio``

Three of them have inputs, too: a contact that says whether the door is open, and a request to exit.

An impulse is sent once. Nothing here tries again, queues, or keeps a door open: where it is not
known whether an impulse arrived, ``OutputFailed.certain`` is False and a human looks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from arcid.apps.access.outputs._common import Hear, Opener, OutputFailed, Pulse, deaf
from arcid.errors import UsageError


class Nothing:
    """Opens nothing."""

    ready = True

    def open(self, pulse: Pulse) -> None:
        """It is only logged."""

    def close(self) -> None:
        """Nothing is held."""


def opener_for(output: str, door_id: str, door: str, hear: Hear = deaf) -> Opener:
    """``hear`` is told of the inputs that the address names.

    Raises ``UsageError`` for an address without meaning, ``MissingExtra``, ``ConfigError`` where a
    secret is missing; what it needs may be opened here, and may still be away.
    """
    room = _room(output)
    made: Opener = Nothing() if room is None else room.opener(output, door_id, door, hear)
    return made


def check_output(output: str) -> None:
    """Raise ``UsageError`` for an address that could never open a door."""
    room = _room(output)
    if room is None:
        return
    try:
        parts = urlsplit(output)
    except ValueError:
        raise UsageError("an output's address has no such host") from None
    if parts.username or parts.password:
        raise UsageError(
            "an output's address holds no user or password; they come from the environment: "
            "ARCID_MQTT_USERNAME, ARCID_MQTT_PASSWORD, ARCID_DOOR_SECRET, ARCID_OSDP_KEY"
        )
    room.checked(output)


ROOMS = {
    "http": "web", "https": "web", "mqtt": "mqtt", "mqtts": "mqtt", "osdp": "osdp", "gpio": "gpio",
}  # fmt: skip


def _room(output: str) -> Any:
    """The module of an output; None of ``none``."""
    if output == "none":
        return None
    kind = output.partition(":")[0].lower()
    if kind not in ROOMS:
        raise UsageError(
            f"{output!r} is no output of a door; use none, https://…, mqtt://…, osdp:///dev/… or "
            "gpio:PIN"
        )
    return import_module(f"{__package__}.{ROOMS[kind]}")


__all__ = ["Hear", "Nothing", "Opener", "OutputFailed", "Pulse", "check_output", "opener_for"]

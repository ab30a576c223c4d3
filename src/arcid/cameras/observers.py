"""Who observes a stored camera: every application is asked, by the name of its module.

An application is loaded when a camera is first watched; what it wants of a camera is asked again
every few seconds: a list or a door that is set up meanwhile needs no camera to be restarted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from arcid.apps.watching import Camera, Duty
from arcid.gallery import Gallery

OBSERVERS = (
    "arcid.apps.attendance.observer",
    "arcid.apps.watchlists.observer",
    "arcid.apps.access.observer",
)


class Application(Protocol):
    """A module that observes cameras."""

    def duties(self, gallery: Gallery, camera: Camera) -> Sequence[Duty]:
        """What it wants of a camera now; quick, since it is asked of every camera again and again.

        A key tells all that makes an observer another one: what changes without its key changing is
        for the observer to notice.
        """


@cache
def applications() -> tuple[Application, ...]:
    """Every one, loaded."""
    return tuple(cast("Application", import_module(name)) for name in OBSERVERS)


def duties(gallery: Gallery, camera: Camera) -> tuple[Duty, ...]:
    """Of all applications, in the order in which they are told of a frame.

    Raises what reading the gallery raises.
    """
    return tuple(duty for app in applications() for duty in app.duties(gallery, camera))

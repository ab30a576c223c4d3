"""May this person pass this door now? Doors that cameras look at, opened once for each decision.

    doors = Doors(gallery)                          what is set up: doors, groups, schedules, rules
    doorman = Doorman(gallery, contract_id, home)   answers, claims, opens; hears orders by hand
    Passages(gallery).find("staff")                 what doors answered, and why

``machine`` decides, without clock or network; ``outputs`` hold what opens a door. Nothing here
keeps a door open or may be relied on in a fire.

What is named here is loaded when it is first used: whoever opens a gallery loads the room's tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arcid.apps.access.chance import Chance
    from arcid.apps.access.doorman import Doorman, DoorStatus
    from arcid.apps.access.doors import Doors, Rule
    from arcid.apps.access.groups import Group, Groups, Member
    from arcid.apps.access.hours import Holiday, Hours
    from arcid.apps.access.machine import Answer, Face, Now, Order, Sight, State
    from arcid.apps.access.openings import Opening, Openings
    from arcid.apps.access.outputs import Opener, OutputFailed, Pulse
    from arcid.apps.access.passages import Passage, Passages
    from arcid.apps.access.reasons import Reason
    from arcid.apps.access.rules import Door, Pass, Schedule, Site

_LAZY = {
    "Answer": "machine",
    "Chance": "chance",
    "Door": "rules",
    "DoorStatus": "doorman",
    "Doorman": "doorman",
    "Doors": "doors",
    "Face": "machine",
    "Group": "groups",
    "Groups": "groups",
    "Holiday": "hours",
    "Hours": "hours",
    "Member": "groups",
    "Now": "machine",
    "Opener": "outputs",
    "Opening": "openings",
    "Openings": "openings",
    "Order": "machine",
    "OutputFailed": "outputs",
    "Pass": "rules",
    "Passage": "passages",
    "Passages": "passages",
    "Pulse": "outputs",
    "Reason": "reasons",
    "Rule": "doors",
    "Schedule": "rules",
    "Sight": "machine",
    "Site": "rules",
    "State": "machine",
}

__all__ = [
    "Answer",
    "Chance",
    "Door",
    "DoorStatus",
    "Doorman",
    "Doors",
    "Face",
    "Group",
    "Groups",
    "Holiday",
    "Hours",
    "Member",
    "Now",
    "Opener",
    "Opening",
    "Openings",
    "Order",
    "OutputFailed",
    "Pass",
    "Passage",
    "Passages",
    "Pulse",
    "Reason",
    "Rule",
    "Schedule",
    "Sight",
    "Site",
    "State",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

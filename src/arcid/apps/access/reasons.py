"""Why somebody is let in or not, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORDS = {
    # refused
    "lockdown": "the door is locked down{because}",
    "no_door": "the door is not set up, or switched off",
    "restart": "the decision is from before a restart",
    "spent": "the decision was used before",
    "stale": "the picture is {age:.1f} s old; nothing older than {limit:g} s opens this door",
    "replayed": "the picture is not newer than the last one",
    "recording": "a recording opens no door",
    "offline": "the database is away and the local copy is {age:.0f} s old, more than {limit:g} s",
    "no_copy": "the database is away and there is no local copy yet",
    "several": "{n} people are at the door; one at a time",
    "nearer_unknown": "somebody nearer is not known",
    "looking": "the face was not seen well enough yet",
    "unusable": "the face cannot be used: {quality}",
    "unknown": "nobody who is enrolled",
    "beyond": "the calibration reaches no error rate as low as this door asks for",
    "picture": "this may be a picture of a face",
    "liveness_open": "whether the face is alive is not known yet",
    "liveness_missing": "whether the face is alive cannot be checked here",
    "no_pass": "{name} is in no group that may pass this door",
    "not_yet": "{name}'s admission begins on {when}",
    "expired": "{name}'s admission ended on {when}",
    "closed": "{name} may pass at other hours: {hours}",
    "passback": "{name} is in {area} already, and did not leave it through a door",
    "passback_timed": "{name} passed {ago:.0f} s ago; again after {limit:g} s",
    "interlock": "{door} is not shut",
    "second": "a second person has to come within {left:.0f} s",
    "duress": "a call for help came from this door",
    "forced": "the door was opened, and nobody was let in or asked to leave",
    "held": "the door has been open for {limit:g} s",
    "no_reason": "an opening by hand needs a reason",
    "not_granted": "the decision was not to open",
    # granted, and what is noted beside it
    "pass": "{name} may pass: {group}{schedule}",
    "by_hand": "opened by hand by {actor}: {why}",
    "second_person": "together with {name}",
    "passback_soft": "{name} is in {area} already: noted, not refused",
    "duress_open": "under duress: opened as usual, and an alarm was raised",
    "from_copy": "the database is away: decided from a local copy {age:.0f} s old",
}
#: Reasons that pass by themselves: they are shown, not logged.
PASSING = frozenset({"looking", "liveness_open", "stale", "replayed", "recording"})
ALARMS = frozenset({"forced", "held"})  # of the door itself
NAMES = ("name", "actor", "why")  # values that are not kept with an event


@dataclass(frozen=True, slots=True)
class Reason:
    """A code for programs, and a sentence for people."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return WORDS[self.code].format(**self.values)

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "words": self.words}

    def kept(self) -> dict[str, Any]:
        """As it stands in an event: without names."""
        values = {key: value for key, value in self.values.items() if key not in NAMES}
        return {"code": self.code, **values}

    @classmethod
    def read(cls, kept: Mapping[str, Any], **names: str) -> Reason:
        """What ``kept`` gave, with the names as they are now."""
        return cls(str(kept["code"]), {**names, **kept})


def reason(code: str, **values: Any) -> Reason:
    return Reason(code, values)

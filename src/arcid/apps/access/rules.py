"""What is set up at doors: schedules, holidays, who is let in where. Values; nothing is decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from arcid.errors import UsageError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY = "holiday"
DOOR_FPIR = 1e-5  # of one stranger's passage
KEEP_DAYS = 90.0
MOST_LOOKS = 8  # as many as a face that comes to a door is given at once
MOST_S = {
    "release_s": 60, "shuts_s": 600, "held_s": 3600, "two_person_s": 120, "passback_s": 86_400,
    "fresh_s": 5, "offline_s": 86_400, "keep_days": 3660,
}  # fmt: skip
Passback = Literal["off", "soft", "hard", "timed"]
Duress = Literal["open", "refuse"]
_WINDOW = re.compile(r"(\S+)\s+(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days. An end at or before the beginning lies on the next day."""

    days: frozenset[str]  # of ``DAYS``, and ``holiday``
    begins: time
    ends: time

    def covers(self, today: str, yesterday: str, clock: time) -> bool:
        """``today`` and ``yesterday``: kinds of day, of ``DAYS`` or ``holiday``."""
        overnight = self.ends <= self.begins
        if today in self.days and self.begins <= clock and (overnight or clock < self.ends):
            return True
        return overnight and yesterday in self.days and clock < self.ends


@dataclass(frozen=True, slots=True)
class Schedule:
    """When doors may be passed, in the hours that a clock of ``zone`` shows.

    On a holiday only windows of ``holiday`` count. ``zone``: an IANA name.
    """

    name: str
    text: str  # "mon-fri 07:00-19:00; holiday 10:00-12:00"
    zone: str
    windows: tuple[Window, ...]

    @classmethod
    def parse(cls, name: str, text: str, zone: str = "UTC") -> Schedule:
        """Raises ``UsageError`` saying what is wrong."""
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise UsageError(f"{zone!r} is no time zone; write one like Europe/Berlin") from None
        windows = tuple(_window(part.strip()) for part in text.split(";") if part.strip())
        if not windows:
            raise UsageError("a schedule has hours, such as: mon-fri 07:00-19:00; sat 08:00-12:00")
        return cls(name, text, zone, windows)

    def covers(self, at: datetime, holidays: frozenset[date]) -> bool:
        """Whether it lets through at a time (with a zone)."""
        local = at.astimezone(ZoneInfo(self.zone))
        today = _kind(local.date(), holidays)
        yesterday = _kind(local.date() - timedelta(days=1), holidays)
        clock = local.time().replace(tzinfo=None, fold=0)
        return any(window.covers(today, yesterday, clock) for window in self.windows)


@dataclass(frozen=True, slots=True)
class Door:
    """One door as it was set up; times in seconds. Raises ``UsageError`` for what has no meaning.

    A door is opened by an impulse and is locked without one: nothing here can keep it open, and
    nothing here may be relied on in a fire. ``near``: a face is at the door from this share of the
    picture's height. ``fpir``: how often a stranger's passage may open it, see ``chance``.
    ``looks``: so many in a row have to say that it is the same person. ``interlock``: ids of doors
    that have to be shut.
    """

    id: str
    name: str
    collection: str
    camera: str = ""  # that looks at who wants to enter, by name; empty: none of the service's
    camera_id: str = ""  # its id once it was found: a door stays at a camera that is renamed
    output: str = "none"  # where the impulse goes, see ``outputs``
    enabled: bool = True
    release_s: float = 5.0  # how long it is unlocked
    shuts_s: float = 5.0  # after that it is taken as shut, where no contact says so
    held_s: float = 30.0  # open for longer, it is held open: an alarm, where a contact says so
    near: float = 0.12
    fpir: float = DOOR_FPIR
    looks: int = 2
    liveness: bool = True
    two_person: bool = False
    two_person_s: float = 10.0  # within which the second has to come
    passback: Passback = "off"
    passback_s: float = 300.0  # ``timed``: nobody twice within it
    from_area: str = ""
    to_area: str = ""
    interlock: tuple[str, ...] = ()
    duress: Duress = "open"  # what an opening under duress does, beside the alarm
    fresh_s: float = 1.5  # a picture or decision older than this opens nothing
    offline_s: float = 900.0  # how old the local copy may be; 0: never without the database
    keep_days: float = KEEP_DAYS  # how long passages are kept

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 80 or not self.name.isprintable():
            raise UsageError("a door is named by 1 to 80 printable characters")
        for name, most in MOST_S.items():
            least = 0 if name == "offline_s" else 0.2
            if not least <= getattr(self, name) <= most:
                raise UsageError(f"{name} lies between {least:g} and {most:g}")
        if not 0 < self.near < 1 or not 0 < self.fpir < 1:
            raise UsageError("near and fpir lie between 0 and 1")
        if not 1 <= self.looks <= MOST_LOOKS:
            raise UsageError(f"looks lies between 1 and {MOST_LOOKS}")
        if self.passback not in ("off", "soft", "hard", "timed"):
            raise UsageError(f"passback {self.passback!r} is unknown; use off, soft, hard or timed")
        if self.passback in ("soft", "hard") and not (self.from_area and self.to_area):
            raise UsageError("anti-passback needs the areas that a door joins: from_area, to_area")
        if self.passback != "off" and self.from_area and self.from_area == self.to_area:
            raise UsageError("from_area and to_area of a door are two areas")
        if self.duress not in ("open", "refuse"):
            raise UsageError(f"duress {self.duress!r} is unknown; use open or refuse")
        if self.id in self.interlock:
            raise UsageError("a door cannot wait for itself to be shut")

    @property
    def area(self) -> str:
        """Where its passage leads: what timed anti-passback counts."""
        return self.to_area or self.id


@dataclass(frozen=True, slots=True)
class Pass:
    """Why a person may pass a door: by a group, in the hours of a schedule, for a time."""

    group: str
    schedule: Schedule | None = None  # None: at any time
    valid_from: datetime | None = None
    valid_until: datetime | None = None  # exclusive


@dataclass(frozen=True, slots=True)
class Site:
    """All that is set up, at one moment."""

    doors: Mapping[str, Door] = field(default_factory=dict)
    passes: Mapping[tuple[str, str], tuple[Pass, ...]] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()

    def of(self, door: str, person: str) -> tuple[Pass, ...]:
        return self.passes.get((door, person), ())


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no window of hours; write: mon-fri 07:00-19:00")
    days, *clock = found.groups()
    try:
        begins, ends = (time(int(clock[i]) % 24, int(clock[i + 1])) for i in (0, 2))
        if (
            any(int(clock[i]) == 24 and int(clock[i + 1]) for i in (0, 2))
            or max(int(clock[0]), int(clock[2])) > 24
        ):
            raise ValueError
    except ValueError:
        raise UsageError(f"{text!r} has an hour that no clock shows") from None
    return Window(frozenset(_days(days.lower())), begins, ends)


def _days(text: str) -> set[str]:
    found: set[str] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if part == HOLIDAY:
            found.add(HOLIDAY)
        elif part == "daily":
            found.update(DAYS)
        elif first in DAYS and (not dash or last in DAYS):
            i, j = DAYS.index(first), DAYS.index(last or first)
            found.update(DAYS[i : j + 1] if i <= j else DAYS[i:] + DAYS[: j + 1])
        else:
            raise UsageError(
                f"{part!r} is no day; use {', '.join(DAYS)}, spans like mon-fri, daily, holiday"
            )
    return found


def _kind(day: date, holidays: frozenset[date]) -> str:
    return HOLIDAY if day in holidays else DAYS[day.weekday()]


__all__ = ["DAYS", "Door", "Duress", "Pass", "Passback", "Schedule", "Site", "Window"]

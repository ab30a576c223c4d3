"""May this person pass this door now? A state machine without clock, thread, file or network.

    state, answer = judge(site, state, sight, now)      faces at a door → granted or refused, why
    state, answer = by_hand(site, state, order, now)    a guard's opening
    state, answer = claim(site, state, answer, now)     a granted answer becomes one opening

``claim`` asks everything again that may have changed since, and uses an answer up: no answer opens
twice, and none opens that is older than the door's ``fresh_s``, from another boot, or of a door
that was locked down meanwhile. The same inputs give the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from arcid.apps.access.reasons import PASSING, Reason, reason
from arcid.apps.access.rules import Door, Pass, Site
from arcid.types import Decision, instant

ASKED_S = 10.0  # an opening by hand that waited longer is not carried out
RECORDED_S = 600.0  # no camera hands out pictures so old; their ticks are a recording's own
DURESS_S = 15.0  # the answers so long after a call for help are under duress
Seen = Literal["known", "unknown", "unsure", "unusable", "looking"]


@dataclass(frozen=True, slots=True)
class Now:
    """A moment on two clocks: the wall's, and one that only ever grows."""

    at: datetime  # with a zone
    ticks: float  # seconds


@dataclass(frozen=True, slots=True)
class Face:
    """One face in front of a door, as it was identified; ``decision`` states the error rate."""

    track: int
    share: float  # its height as a share of the picture's: larger is nearer
    seen: Seen
    person_id: str | None = None  # of a known one
    name: str | None = None
    live: bool | None = None  # None: not known yet
    decision: Decision | None = None
    why: str = ""  # it cannot be used


@dataclass(frozen=True, slots=True)
class Sight:
    """All faces of one picture. ``id`` is new for every picture; ``copy_s``: how old the local copy
    is that they were identified with, None where the database answered."""

    id: str
    door: str
    taken: Now
    faces: tuple[Face, ...]
    copy_s: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An opening by hand, asked for at ``at``; ``id`` is of the one who asks, new for each."""

    id: str
    door: str
    actor: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Granted or refused, and why. Granted is no opening: ``claim`` makes it one."""

    id: str
    door: str
    granted: bool
    reasons: tuple[Reason, ...]
    now: Now
    boot: str
    person_id: str | None = None
    name: str | None = None
    with_id: str | None = None  # the first of two persons
    track: int = 0
    actor: str = ""  # who opens by hand
    duress: bool = False
    copy_s: float | None = None
    decision: Decision | None = None

    @property
    def passing(self) -> bool:
        """Refused for what passes by itself in a moment; not worth a line in the log."""
        return not self.granted and {r.code for r in self.reasons} <= PASSING

    @property
    def words(self) -> str:
        return "; ".join(r.words for r in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the error rate it was decided at."""
        return {
            "id": self.id,
            "door": self.door,
            "outcome": "granted" if self.granted else "refused",
            "reasons": [r.to_dict() for r in self.reasons],
            "at": instant(self.now.at),
            "person_id": self.person_id,
            "name": self.name,
            "with_id": self.with_id,
            "actor": self.actor or None,
            "duress": self.duress,
            "offline": self.copy_s is not None,
            "decision": None if self.decision is None else self.decision.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class DoorState:
    """What is known of one door."""

    lockdown: str | None = None  # why; None: not locked down
    held: str | None = None  # locked down here, which the database does not know of yet
    opened_at: datetime | None = None  # last released
    opened_ticks: float | None = None  # here; None: by another process
    contact_open: bool | None = None  # None: no contact says
    first: tuple[str, str, float] | None = None  # of two persons: id, name, ticks
    taken: float = float("-inf")  # ticks of the newest picture
    served: frozenset[int] = frozenset()  # tracks let in
    called: float = float("-inf")  # ticks of the last call for help


@dataclass(frozen=True, slots=True)
class Position:
    """Through which door a person went last."""

    area: str
    at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """Of all doors of a site. ``boot``: random, new with every start of a process."""

    boot: str
    doors: Mapping[str, DoorState] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)  # answers used, and when: ticks

    def door(self, door: str) -> DoorState:
        return self.doors.get(door, DoorState())

    def with_door(self, door: str, **values: Any) -> State:
        return replace(self, doors={**self.doors, door: replace(self.door(door), **values)})


def lock_down(state: State, door: str, why: str | None) -> State:
    """``why``: None lifts it. Whoever waits for a second person waits no more."""
    return state.with_door(door, held=why, lockdown=why, first=None)


def contact(state: State, door: str, is_open: bool | None) -> State:
    """What a door's contact says; None where it says nothing any more."""
    return state.with_door(door, contact_open=is_open)


def call_for_help(state: State, door: str, now: Now) -> State:
    """A duress code was typed, or an alarm button pressed, beside this door."""
    return state.with_door(door, called=now.ticks)


def judge(site: Site, state: State, sight: Sight, now: Now) -> tuple[State, Answer | None]:
    """Whether somebody in front of a door may pass; None where nobody asks: no face is at the door,
    or the one there was let in."""
    door = site.doors.get(sight.door)
    if door is None or not door.enabled:
        return state, _no(state, sight, now, [reason("no_door")])
    own = state.door(door.id)
    near = sorted((f for f in sight.faces if f.share >= door.near), key=lambda f: -f.share)
    if (age := now.ticks - sight.taken.ticks) > RECORDED_S:
        return state, _no(state, sight, now, [reason("recording")])
    if age > door.fresh_s:
        return state, _no(state, sight, now, [reason("stale", age=age, limit=door.fresh_s)])
    if sight.taken.ticks <= own.taken or age < 0:
        return state, _no(state, sight, now, [reason("replayed")])
    state = state.with_door(
        door.id,
        taken=sight.taken.ticks,
        served=own.served & {f.track for f in sight.faces},
        first=_waiting(door, own, now),
    )
    own = state.door(door.id)
    if all(face.track in own.served for face in near):
        return state, None
    copied = _copied(door, sight)
    both = door.two_person and len(near) == 2 and all(f.seen == "known" for f in near)
    against = [] if copied is None else [copied]
    against += _crowd(near, both)
    subjects = near[:2] if both else near[:1]
    for face in subjects:
        against += _face(door, face)
        if face.person_id is not None:
            against += _person(site, state, door, face.person_id, face.name or "", now)
    against += _door(site, state, door, now)
    who = subjects[0]
    if against:
        return state, _no(state, sight, now, against, who)
    partner = _partner(subjects, own)
    if door.two_person and partner is None:
        state = state.with_door(door.id, first=(who.person_id, who.name or "", now.ticks))
        left = door.two_person_s
        if own.first is not None and own.first[0] == who.person_id:
            left = door.two_person_s - (now.ticks - own.first[2])
            state = state.with_door(door.id, first=own.first)
        return state, _no(state, sight, now, [reason("second", left=left)], who)
    answer = _yes(site, state, door, sight, who, partner, now)
    return state.with_door(door.id, served=own.served | {f.track for f in subjects}), answer


def by_hand(site: Site, state: State, order: Order, now: Now) -> tuple[State, Answer]:
    """A guard's opening: a lock-down, an interlock and a missing reason refuse it."""
    door = site.doors.get(order.door)
    against: list[Reason] = []
    if door is None or not door.enabled:
        against.append(reason("no_door"))
    else:
        age = (now.at - order.at).total_seconds()
        if not -ASKED_S <= age <= ASKED_S:
            against.append(reason("stale", age=age, limit=ASKED_S))
        if not order.why.strip():
            against.append(reason("no_reason"))
        against += _door(site, state, door, now, by_hand=True)
    if order.id in state.spent:
        against.append(reason("spent"))
    given = (reason("by_hand", actor=order.actor, why=order.why.strip()),)
    reasons = tuple(against) or given
    answer = Answer(
        order.id, order.door, not against, reasons, now, state.boot, actor=order.actor,
        duress=door is not None and _called(state, door, now),
    )  # fmt: skip
    return state, answer


def claim(site: Site, state: State, answer: Answer, now: Now) -> tuple[State, Answer]:
    """Use an answer up. What comes back is granted where the door is to be opened now, once."""
    door = site.doors.get(answer.door)
    against: list[Reason] = []
    if not answer.granted:
        against.append(reason("not_granted"))
    if answer.boot != state.boot:
        against.append(reason("restart"))
    if answer.id in state.spent:
        against.append(reason("spent"))
    if door is None or not door.enabled:
        against.append(reason("no_door"))
    else:
        age = now.ticks - answer.now.ticks
        if not 0 <= age <= door.fresh_s:
            against.append(reason("stale", age=age, limit=door.fresh_s))
        against += _door(site, state, door, now, by_hand=bool(answer.actor))
        if answer.person_id is not None:
            for person, name in _people(state, answer):
                against += _person(site, state, door, person, name, now)
    if against or door is None:
        return state, replace(answer, granted=False, reasons=tuple(against))
    spent = {key: t for key, t in state.spent.items() if now.ticks - t <= 2 * ASKED_S + 60}
    state = replace(state, spent={**spent, answer.id: now.ticks})
    state = state.with_door(door.id, opened_at=now.at, opened_ticks=now.ticks, first=None)
    went = {p: Position(door.area, now.at) for p, _ in _people(state, answer)}
    return replace(state, positions={**state.positions, **went}), answer


def not_opened(state: State, answer: Answer) -> State:
    """A granted answer that became no opening: whoever it was may ask again."""
    served = state.door(answer.door).served - {answer.track}
    return state.with_door(answer.door, served=served)


def is_shut(door: Door, own: DoorState, now: Now) -> bool:
    """Whether a door may be taken as shut: by its contact, else by the time since its release."""
    if own.contact_open is True:
        return False
    if own.opened_at is None:
        return True
    open_s = door.release_s if own.contact_open is False else door.release_s + door.shuts_s
    if own.opened_ticks is not None:
        return now.ticks - own.opened_ticks > open_s
    return now.at - own.opened_at > timedelta(seconds=open_s)


def _copied(door: Door, sight: Sight) -> Reason | None:
    if sight.copy_s is None or 0 < sight.copy_s <= door.offline_s:
        return None
    return reason("offline", age=sight.copy_s, limit=door.offline_s)


def _crowd(near: list[Face], both: bool) -> list[Reason]:
    if len(near) == 1 or both:
        return []
    found = [reason("several", n=len(near))]
    if near[0].seen != "known" and any(f.seen == "known" for f in near[1:]):
        found.append(reason("nearer_unknown"))
    return found


def _face(door: Door, face: Face) -> list[Reason]:
    if face.seen == "unusable":
        return [reason("unusable", quality=face.why or "too far away")]
    if face.seen != "known" or face.person_id is None:
        return [reason("unknown" if face.seen == "known" else face.seen)]
    if door.liveness and face.live is not True:
        return [reason("liveness_open" if face.live is None else "picture")]
    return []


def _person(site: Site, state: State, door: Door, person: str, name: str, now: Now) -> list[Reason]:
    """What speaks against a person: no pass, the hours, where they are."""
    passes = site.of(door.id, person)
    found: list[Reason] = []
    if _valid(passes, site, now) is None:
        found.append(_why_not(passes, name, now))
    where = state.positions.get(person)
    if door.passback == "hard" and where is not None and where.area == door.to_area:
        found.append(reason("passback", name=name, area=door.to_area))
    if door.passback == "timed" and where is not None and where.area == door.area:
        ago = (now.at - where.at).total_seconds()
        if ago < door.passback_s:  # also of a clock set back
            found.append(
                reason("passback_timed", name=name, ago=max(ago, 0), limit=door.passback_s)
            )
    return found


def _valid(passes: tuple[Pass, ...], site: Site, now: Now) -> Pass | None:
    for one in passes:
        begun = one.valid_from is None or one.valid_from <= now.at
        over = one.valid_until is not None and one.valid_until <= now.at
        hours = one.schedule is None or one.schedule.covers(now.at, site.holidays)
        if begun and not over and hours:
            return one
    return None


def _why_not(passes: tuple[Pass, ...], name: str, now: Now) -> Reason:
    if not passes:
        return reason("no_pass", name=name)
    running = [
        p for p in passes
        if (p.valid_from is None or p.valid_from <= now.at)
        and (p.valid_until is None or p.valid_until > now.at)
    ]  # fmt: skip
    if running:
        hours = " or ".join(p.schedule.text for p in running if p.schedule is not None)
        return reason("closed", name=name, hours=hours)
    coming = [p.valid_from for p in passes if p.valid_from is not None and p.valid_from > now.at]
    if coming:
        return reason("not_yet", name=name, when=_day(min(coming)))
    ended = [p.valid_until for p in passes if p.valid_until is not None]
    return reason("expired", name=name, when=_day(max(ended)))


def _door(site: Site, state: State, door: Door, now: Now, *, by_hand: bool = False) -> list[Reason]:
    """What speaks against any opening of a door."""
    own, found = state.door(door.id), []
    if own.lockdown is not None or own.held is not None:
        why = own.held or own.lockdown
        found.append(reason("lockdown", because=f": {why}" if why else ""))
    for key in door.interlock:
        other = site.doors.get(key)
        if other is None or not is_shut(other, state.door(key), now):
            found.append(reason("interlock", door="a door" if other is None else other.name))
    if door.duress == "refuse" and not by_hand and _called(state, door, now):
        found.append(reason("duress"))
    return found


def _called(state: State, door: Door, now: Now) -> bool:
    return now.ticks - state.door(door.id).called <= DURESS_S


def _waiting(door: Door, own: DoorState, now: Now) -> tuple[str, str, float] | None:
    if own.first is None or now.ticks - own.first[2] > door.two_person_s:
        return None
    return own.first


def _partner(subjects: list[Face], own: DoorState) -> tuple[str, str] | None:
    """The other of two persons: beside them, or let through to wait just before."""
    who = subjects[0]
    if len(subjects) == 2 and subjects[1].person_id not in (None, who.person_id):
        return str(subjects[1].person_id), subjects[1].name or ""
    if own.first is not None and own.first[0] != who.person_id:
        return own.first[0], own.first[1]
    return None


def _people(state: State, answer: Answer) -> list[tuple[str, str]]:
    found = [] if answer.person_id is None else [(answer.person_id, answer.name or "")]
    return found if answer.with_id is None else [*found, (answer.with_id, "the other person")]


def _yes(
    site: Site,
    state: State,
    door: Door,
    sight: Sight,
    who: Face,
    partner: tuple[str, str] | None,
    now: Now,
) -> Answer:
    person, name = str(who.person_id), who.name or ""
    valid = _valid(site.of(door.id, person), site, now)
    schedule = f", {valid.schedule.name}" if valid and valid.schedule else ""
    said = [reason("pass", name=name, group=valid.group if valid else "", schedule=schedule)]
    if door.two_person and partner is not None:
        said.append(reason("second_person", name=partner[1]))
    where = state.positions.get(person)
    if door.passback == "soft" and where is not None and where.area == door.to_area:
        said.append(reason("passback_soft", name=name, area=door.to_area))
    duress = _called(state, door, now)
    if duress:
        said.append(reason("duress_open"))
    if sight.copy_s is not None:
        said.append(reason("from_copy", age=sight.copy_s))
    return Answer(
        sight.id, door.id, True, tuple(said), now, state.boot, person, name,
        partner[0] if door.two_person and partner is not None else None,
        who.track, duress=duress, copy_s=sight.copy_s, decision=who.decision,
    )  # fmt: skip


def _no(state: State, sight: Sight, now: Now, why: list[Reason], who: Face | None = None) -> Answer:
    known = None if who is None else who.person_id
    return Answer(
        sight.id, sight.door, False, tuple(why), now, state.boot, known,
        None if who is None else who.name, track=0 if who is None else who.track,
        copy_s=sight.copy_s, decision=None if who is None else who.decision,
        duress=any(r.code == "duress" for r in why),
    )  # fmt: skip


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


__all__ = [
    "Answer", "DoorState", "Face", "Now", "Order", "Position", "Sight", "State", "by_hand",
    "call_for_help", "claim", "contact", "is_shut", "judge", "lock_down",
]  # fmt: skip

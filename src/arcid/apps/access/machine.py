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
from dataclasses import replace

from arcid.apps.access import objections
from arcid.apps.access.objections import is_shut
from arcid.apps.access.reasons import Reason, reason
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.states import (
    Answer,
    DoorState,
    Face,
    Now,
    Order,
    Position,
    Seen,
    Sight,
    State,
)

ASKED_S = 10.0  # an opening by hand that waited longer is not carried out
RECORDED_S = 600.0  # no camera hands out pictures so old; their ticks are a recording's own


def lock_down(state: State, door: str, why: str | None) -> State:
    """``why``: None lifts it. Whoever waits for a second person waits no more."""
    return state.with_door(door, held=why, lockdown=why, first=None)


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
    copied = objections.copy(door, sight)
    both = door.two_person and len(near) == 2 and all(f.seen == "known" for f in near)
    against = [] if copied is None else [copied]
    against += objections.crowd(near, both)
    subjects = near[:2] if both else near[:1]
    for face in subjects:
        against += objections.face(door, face)
        if face.person_id is not None:
            against += objections.person(site, state, door, face.person_id, face.name or "", now)
    against += objections.opening(site, state, door, now)
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
        against += objections.opening(site, state, door, now, by_hand=True)
    if order.id in state.spent:
        against.append(reason("spent"))
    given = (reason("by_hand", actor=order.actor, why=order.why.strip()),)
    reasons = tuple(against) or given
    answer = Answer(
        order.id, order.door, not against, reasons, now, state.boot, actor=order.actor,
        duress=door is not None and objections.called(state, door, now),
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
        against += objections.opening(site, state, door, now, by_hand=bool(answer.actor))
        if answer.person_id is not None:
            for person, name in _people(state, answer):
                against += objections.person(site, state, door, person, name, now)
    if against or door is None:
        return state, replace(answer, granted=False, reasons=tuple(against))
    state = spend(state, answer.id, now)
    state = state.with_door(door.id, opened_at=now.at, opened_ticks=now.ticks, first=None)
    went = {p: Position(door.area, now.at) for p, _ in _people(state, answer)}
    return replace(state, positions={**state.positions, **went}), answer


def spend(state: State, answer: str, now: Now) -> State:
    """No answer or order of this id opens a door any more."""
    spent = {key: t for key, t in state.spent.items() if now.ticks - t <= 2 * ASKED_S + 60}
    return replace(state, spent={**spent, answer: now.ticks})


def not_opened(state: State, answer: Answer) -> State:
    """A granted answer that became no opening: whoever it was may ask again."""
    served = state.door(answer.door).served - {answer.track}
    return state.with_door(answer.door, served=served)


def stayed(state: State, answer: Answer, before: Mapping[str, Position]) -> State:
    """The door certainly did not open: whoever it was is where they were ``before``."""
    went = {person for person, _ in _people(state, answer)}
    kept = {person: at for person, at in state.positions.items() if person not in went}
    back = {person: before[person] for person in went & before.keys()}
    return replace(state, positions={**kept, **back})


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
    valid = objections.valid_pass(site.of(door.id, person), site, now)
    schedule = f", {valid.schedule.name}" if valid and valid.schedule else ""
    said = [reason("pass", name=name, group=valid.group if valid else "", schedule=schedule)]
    if door.two_person and partner is not None:
        said.append(reason("second_person", name=partner[1]))
    where = state.positions.get(person)
    if door.passback == "soft" and where is not None and where.area == door.to_area:
        said.append(reason("passback_soft", name=name, area=door.to_area))
    duress = objections.called(state, door, now)
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


__all__ = [
    "Answer", "DoorState", "Face", "Now", "Order", "Position", "Seen", "Sight", "State", "by_hand",
    "call_for_help", "claim", "is_shut", "judge", "lock_down", "spend",
]  # fmt: skip

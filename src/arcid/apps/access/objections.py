"""What speaks against letting somebody in, rule by rule; empty where nothing does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from arcid.apps.access.reasons import Reason, reason
from arcid.apps.access.rules import Door, Pass, Site
from arcid.apps.access.states import DoorState, Face, Now, Sight, State

DURESS_S = 15.0  # the answers so long after a call for help are under duress


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


def copy(door: Door, sight: Sight) -> Reason | None:
    """The local copy is too old."""
    if sight.copy_s is None or 0 < sight.copy_s <= door.offline_s:
        return None
    return reason("offline", age=sight.copy_s, limit=door.offline_s)


def crowd(near: list[Face], both: bool) -> list[Reason]:
    """More than one is at the door; ``both``: the two that a door wants."""
    if len(near) == 1 or both:
        return []
    found = [reason("several", n=len(near))]
    if near[0].seen != "known" and any(f.seen == "known" for f in near[1:]):
        found.append(reason("nearer_unknown"))
    return found


def face(door: Door, face: Face) -> list[Reason]:
    """The face itself: who it is, and whether it is alive."""
    if face.seen == "unusable":
        return [reason("unusable", quality=face.why or "too far away")]
    if face.seen != "known" or face.person_id is None:
        return [reason("unknown" if face.seen == "known" else face.seen)]
    if door.liveness and face.unchecked:
        return [reason("liveness_missing")]
    if door.liveness and face.live is not True:
        return [reason("liveness_open" if face.live is None else "picture")]
    return []


def person(site: Site, state: State, door: Door, person: str, name: str, now: Now) -> list[Reason]:
    """What speaks against a person: no pass, the hours, where they are."""
    passes = site.of(door.id, person)
    found: list[Reason] = []
    if valid_pass(passes, site, now) is None:
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


def valid_pass(passes: tuple[Pass, ...], site: Site, now: Now) -> Pass | None:
    """The first pass that holds now."""
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


def opening(
    site: Site, state: State, door: Door, now: Now, *, by_hand: bool = False
) -> list[Reason]:
    """What speaks against any opening of a door."""
    own, found = state.door(door.id), []
    if own.lockdown is not None or own.held is not None:
        why = own.held or own.lockdown
        found.append(reason("lockdown", because=f": {why}" if why else ""))
    for key in door.interlock:
        other = site.doors.get(key)
        if other is None or not is_shut(other, state.door(key), now):
            found.append(reason("interlock", door="a door" if other is None else other.name))
    if door.duress == "refuse" and not by_hand and called(state, door, now):
        found.append(reason("duress"))
    return found


def called(state: State, door: Door, now: Now) -> bool:
    """Whether somebody called for help beside the door just now."""
    return now.ticks - state.door(door.id).called <= DURESS_S


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")

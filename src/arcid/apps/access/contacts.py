"""What a door's contact says: forced open, held open. Part of the machine: no clock, no network.

A request to exit opens nothing: it tells that whoever opens the door now does so from inside.
"""

from __future__ import annotations

from datetime import timedelta

from arcid.apps.access.reasons import reason
from arcid.apps.access.rules import Door, Site
from arcid.apps.access.states import Answer, DoorState, Now, State

GRACE_S = 2.0  # a door pulled in the last moment of its release
EXIT_S = 10.0  # from a request to exit to the door's being open


def contact(
    site: Site, state: State, door_id: str, is_open: bool | None, id: str, now: Now
) -> tuple[State, Answer | None]:
    """``is_open``: None where it says nothing any more. An alarm, of that ``id``, where a door that
    was shut is open and nobody was let in."""
    door, own = site.doors.get(door_id), state.door(door_id)
    forced = (
        door is not None and door.enabled and own.contact_open is False and is_open is True
        and not _expected(door, own, now)
    )  # fmt: skip
    since = (own.open_ticks or now.ticks) if is_open else None
    state = state.with_door(door_id, contact_open=is_open, open_ticks=since)
    return _alarm(state, door_id, "forced", id, now) if forced else (state, None)


def request_exit(state: State, door_id: str, now: Now) -> State:
    """Somebody inside is about to open the door."""
    return state.with_door(door_id, exit_ticks=now.ticks)


def held(site: Site, state: State, id: str, now: Now) -> tuple[State, list[Answer]]:
    """Alarms of doors that have been open for too long, once each."""
    found = []
    for door in site.doors.values():
        since = state.door(door.id).open_ticks
        if door.enabled and since is not None and now.ticks - since > door.held_s:
            state = state.with_door(door.id, open_ticks=float("inf"))
            state, alarm = _alarm(state, door.id, "held", f"{id} {door.id}", now, door.held_s)
            found.append(alarm)
    return state, found


def _expected(door: Door, own: DoorState, now: Now) -> bool:
    """Whether somebody was let in, or asked to leave, just now."""
    if now.ticks - own.exit_ticks <= EXIT_S:
        return True
    limit = door.release_s + GRACE_S
    if own.opened_ticks is not None:
        return now.ticks - own.opened_ticks <= limit
    return own.opened_at is not None and now.at - own.opened_at <= timedelta(seconds=limit)


def _alarm(
    state: State, door_id: str, code: str, id: str, now: Now, limit: float = 0.0
) -> tuple[State, Answer]:
    why = (reason(code, limit=limit),)
    alarm = Answer(id, door_id, False, why, now, state.boot)
    return state.with_door(door_id, alarm=alarm), alarm


__all__ = ["contact", "held", "request_exit"]

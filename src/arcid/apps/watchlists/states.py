"""What the steps people took make of an alert. Pure: steps in, state out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from arcid.apps.watchlists.records import AlertState, Step, Verb
from arcid.errors import AlertAnswered, SecondPersonNeeded

NEEDED = 2  # different people, where a list wants four eyes
FROM: dict[Verb, tuple[AlertState, ...]] = {
    "acknowledge": ("new",),
    "confirm": ("new", "acknowledged", "escalated"),
    "dismiss": ("new", "acknowledged", "escalated"),
    "escalate": ("new", "acknowledged", "confirmed"),
}
TO: dict[Verb, AlertState] = {
    "acknowledge": "acknowledged",
    "confirm": "confirmed",
    "dismiss": "dismissed",
    "escalate": "escalated",
}


def state_of(steps: Sequence[Step], four_eyes: bool) -> tuple[AlertState, tuple[str, ...]]:
    """The state after the steps that stand, and who confirmed it."""
    state: AlertState = "new"
    confirmed: list[str] = []
    for step in steps:
        if step.undone_by is not None:
            continue
        if step.verb == "confirm":
            confirmed.append(step.who)
            if four_eyes and len(confirmed) < NEEDED:
                state = "acknowledged" if state == "new" else state
                continue
        state = TO[step.verb]
    return state, tuple(confirmed)


def check(
    verb: Verb,
    steps: Sequence[Step],
    four_eyes: bool,
    actor: str,
    credential: str,
    owner_of: Callable[[str], str] = str,
) -> bool:
    """Whether a step is new; False where it was taken already.

    ``owner_of`` says who answers for a credential. Raises ``AlertAnswered`` where somebody answered
    otherwise, ``SecondPersonNeeded`` where whoever confirmed an alert that needs two confirms it
    again: by the same name, or let in by the same account, key or user of the system, or by a key
    of theirs.
    """
    state, _ = state_of(steps, four_eyes)
    if state == TO[verb]:
        return False
    if state not in FROM[verb]:
        last = next(step for step in reversed(steps) if step.undone_by is None)
        raise AlertAnswered(
            f"this alert is {state} already, by {last.who}; take that back first",
            state=state,
            actor=last.who,
        )
    given = [step for step in steps if step.verb == "confirm" and step.undone_by is None]
    if verb == "confirm" and four_eyes and len(given) == 1:
        (first,) = given
        if first.credential and owner_of(credential) == owner_of(first.credential):
            raise SecondPersonNeeded(
                f"this list wants two people to confirm an alert; {first.who} was let in as you "
                "are, or by a key of yours: the second has to sign in as somebody else, or have an "
                "API key that somebody else made"
            )
        if _same(actor, first.actor):
            raise SecondPersonNeeded(
                "this list wants two people to confirm an alert; you are the first, somebody else "
                "has to be the second"
            )
    return True


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()

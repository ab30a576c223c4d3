"""Doors at work: opened by hand, locked down, told what is around them, what they answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import Field

from arcid.apps.access import Doors, Passages
from arcid.apps.access.states import Outcome
from arcid.server.deps import Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.routes.attendance import Actor
from arcid.server.routes.doors import DoorPath, DoorReasonOut
from arcid.server.schemas import In, Next, Out

router = APIRouter(prefix="/v1/doors", tags=["doors"], route_class=Route)

Why = Annotated[
    str, Field(min_length=1, max_length=200, description="Why, in a few words without names.")
]
Once = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="New for every opening: the same request again opens nothing again.",
    ),
]


class OpenIn(In):
    reason: Why
    actor: Actor = ""


class LockIn(In):
    reason: str = Field("", max_length=200, description="Shown to whoever is refused.")


class ContactIn(In):
    open: bool | None = Field(description="null: the contact says nothing any more.")


class OpeningOut(Out):
    id: str
    state: Literal["asked", "claimed", "opened", "failed", "unknown", "refused", "expired"]
    detail: str | None = Field(description="Why it did not open, in words.")


class PassageOut(Out):
    id: str
    at: datetime
    door_id: str
    door: str
    outcome: Outcome
    words: str
    reasons: list[DoorReasonOut]
    person_id: str | None
    name: str | None = Field(description="As it is now; null once the person is deleted.")
    with_id: str | None = Field(description="The first of two persons.")
    actor: str | None
    note: str | None
    opening: str | None = Field(description="`opened`, `failed`, `unknown` or `claimed`.")
    detail: str | None
    duress: bool
    offline_s: float | None
    target_fpir: float | None
    cosine: float | None


class PassageList(Out):
    passages: list[PassageOut] = Field(description="Newest first.")
    next: Next


@router.post(
    "/lockdown", status_code=204, response_model=None, responses=errors(400, 413, 503, 507)
)
def lock_all_down(running: Running, body: LockIn) -> Response:
    """Lock every door down: nobody is let in, by hand neither, until it is lifted."""
    running.doorman.lock_down(None, body.reason)
    return Response(status_code=204)


@router.delete("/lockdown", status_code=204, response_model=None, responses=errors(503, 507))
def lift_all(running: Running) -> Response:
    """End every lock-down."""
    running.doorman.lock_down(None, None)
    return Response(status_code=204)


@router.post("/{door_id}/open", responses=errors(400, 404, 413, 503, 507))
def open_door(running: Running, door_id: DoorPath, body: OpenIn, once: Once) -> OpeningOut:
    """Open a door once, by hand; logged with its reason. Waits for what becomes of it."""
    opening = running.doorman.open_by_hand(door_id, body.actor, body.reason, once=once)
    return OpeningOut(id=opening.id, state=opening.state, detail=opening.detail)


@router.post(
    "/{door_id}/lockdown",
    status_code=204,
    response_model=None,
    responses=errors(400, 404, 413, 503, 507),
)
def lock_door_down(running: Running, door_id: DoorPath, body: LockIn) -> Response:
    """Lock one door down."""
    running.doorman.lock_down(door_id, body.reason)
    return Response(status_code=204)


@router.delete(
    "/{door_id}/lockdown", status_code=204, response_model=None, responses=errors(404, 503)
)
def lift_door(running: Running, door_id: DoorPath) -> Response:
    """End a door's lock-down."""
    running.doorman.lock_down(door_id, None)
    return Response(status_code=204)


@router.post(
    "/{door_id}/contact",
    status_code=204,
    response_model=None,
    responses=errors(400, 404, 413, 503, 507),
)
def tell_contact(running: Running, door_id: DoorPath, body: ContactIn) -> Response:
    """Whether a door's contact says that it is open: it may be forced or held open, and others may
    wait for it to be shut."""
    running.doorman.contact(door_id, body.open)
    return Response(status_code=204)


@router.post("/{door_id}/exit", status_code=204, response_model=None, responses=errors(404, 503))
def tell_exit(running: Running, door_id: DoorPath) -> Response:
    """Somebody inside asks to leave: the door is not forced when it opens now. Opens nothing."""
    running.doorman.request_exit(door_id)
    return Response(status_code=204)


@router.post(
    "/{door_id}/acknowledge", status_code=204, response_model=None, responses=errors(404, 503, 507)
)
def acknowledge_alarm(running: Running, door_id: DoorPath) -> Response:
    """A door's alarm was seen; audited."""
    running.doorman.acknowledge(door_id)
    return Response(status_code=204)


@router.post("/{door_id}/duress", status_code=204, response_model=None, responses=errors(404, 503))
def tell_duress(running: Running, door_id: DoorPath) -> Response:
    """A duress code was typed, or an alarm button pressed, beside a door."""
    running.doorman.call_for_help(door_id)
    return Response(status_code=204)


@router.get("/{door_id}/passages", responses=errors(404, 503))
def list_passages(
    running: Running,
    door_id: DoorPath,
    since: Annotated[datetime | None, Query(description="From then on.")] = None,
    until: Annotated[datetime | None, Query(description="Before then.")] = None,
    limit: Limit = 100,
    after: After = None,
) -> PassageList:
    """What a door answered, a page at a time: who, why, and what became of it."""
    door = Doors(running.gallery).get(door_id)
    running.looks.note("door.view", f"door:{door.id}", door.collection)
    found = Passages(running.gallery).find(
        door.collection, door=door.id, since=since, until=until, limit=limit, after=after
    )
    told = [PassageOut.model_validate(one) for one in found]
    return PassageList(passages=told, next=found.next)

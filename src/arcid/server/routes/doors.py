"""Doors: how they stand, who came and went, opening one by hand, lock-down."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import Field

from arcid.apps.access import Answer, Door, Doors, Passages
from arcid.apps.access.rules import Duress, Passback
from arcid.server.deps import Running, Services
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.routes.attendance import Actor
from arcid.server.schemas import CollectionName, Id, In, Next, Out

router = APIRouter(prefix="/v1/doors", tags=["doors"], route_class=Route)

DoorPath = Annotated[Id, Path(description="Id of a door.")]
Name = Annotated[str, Field(min_length=1, max_length=80, examples=["Front door"])]
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


class DoorSettings(In):
    """What is left out stays, or is as the library's `Door` says."""

    camera: str | None = Field(None, max_length=80, description="A camera of the service.")
    output: str | None = Field(
        None, max_length=500,
        description="`none`, `https://…`, `mqtt://…`, `osdp:///dev/…` or `gpio:PIN`.",
    )  # fmt: skip
    enabled: bool | None = None
    release_s: float | None = Field(None, description="How long it is unlocked.")
    shuts_s: float | None = None
    near: float | None = Field(None, description="From this share of the picture's height on.")
    fpir: float | None = None
    liveness: bool | None = None
    two_person: bool | None = None
    two_person_s: float | None = None
    passback: Passback | None = None
    passback_s: float | None = None
    from_area: str | None = Field(None, max_length=80)
    to_area: str | None = Field(None, max_length=80)
    interlock: list[str] | None = Field(None, description="Doors that have to be shut.")
    duress: Duress | None = None
    fresh_s: float | None = None
    offline_s: float | None = None
    keep_days: float | None = None


class DoorIn(DoorSettings):
    name: Name
    collection: CollectionName = Field(description="Whose people may pass.")


class DoorPatch(DoorSettings):
    name: Name | None = None


class OpenIn(In):
    reason: Why
    actor: Actor


class LockIn(In):
    reason: str = Field("", max_length=200, description="Shown to whoever is refused.")


class ContactIn(In):
    open: bool | None = Field(description="null: the contact says nothing any more.")


class ReasonOut(Out):
    code: str
    words: str


class AnswerOut(Out):
    """What a door answered in this process."""

    at: datetime
    outcome: Literal["granted", "refused"]
    words: str
    reasons: list[ReasonOut]
    person_id: str | None
    name: str | None
    actor: str | None
    duress: bool
    offline: bool
    target_fpir: float | None = Field(description="The error rate it was decided at.")


class DoorOut(Out):
    id: str
    name: str
    collection: str
    camera: str
    output: str
    enabled: bool
    release_s: float
    shuts_s: float
    near: float
    fpir: float
    liveness: bool
    two_person: bool
    two_person_s: float
    passback: Passback
    passback_s: float
    from_area: str
    to_area: str
    interlock: list[str]
    duress: Duress
    fresh_s: float
    offline_s: float
    keep_days: float
    lockdown: str | None = Field(description="Why it is locked down; null where it is not.")
    here: bool = Field(description="Whether this process has its output.")
    problem: str | None = Field(description="Why its output cannot be used, in words.")
    copy_age_s: float | None = Field(
        description="How old the local copy is that decisions go by; null: the database answers."
    )
    lately: list[AnswerOut] = Field(description="Its newest answers in this process.")


class DoorList(Out):
    doors: list[DoorOut] = Field(description="By name.")


class OpeningOut(Out):
    id: str
    state: Literal["asked", "claimed", "opened", "failed", "unknown", "refused", "expired"]
    detail: str | None = Field(description="Why it did not open, in words.")


class PassageOut(Out):
    id: str
    at: datetime
    door_id: str
    door: str
    outcome: Literal["granted", "refused"]
    words: str
    reasons: list[ReasonOut]
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


@router.get("", responses=errors(503))
def list_doors(running: Running) -> DoorList:
    """Doors by name with how they stand."""
    return DoorList(doors=[_out(running, door) for door in Doors(running.gallery).all()])


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_door(running: Running, body: DoorIn) -> DoorOut:
    """Set a door up. Nobody may pass it until a rule says so."""
    values = body.model_dump(exclude_none=True)
    made = Doors(running.gallery).add(values.pop("name"), values.pop("collection"), **values)
    running.doorman.refresh()
    return _out(running, made)


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


@router.get("/{door_id}", responses=errors(404, 503))
def get_door(running: Running, door_id: DoorPath) -> DoorOut:
    """One door, how it stands and what it answered last."""
    return _out(running, Doors(running.gallery).get(door_id))


@router.patch("/{door_id}", responses=errors(400, 404, 409, 413, 503, 507))
def change_door(running: Running, door_id: DoorPath, body: DoorPatch) -> DoorOut:
    """Change a door."""
    changed = Doors(running.gallery).change(door_id, **body.model_dump(exclude_unset=True))
    running.doorman.refresh()
    return _out(running, changed)


@router.delete("/{door_id}", status_code=204, response_model=None, responses=errors(404, 503, 507))
def delete_door(running: Running, door_id: DoorPath) -> Response:
    """Take a door away; its passages are kept for as long as it said."""
    Doors(running.gallery).delete(door_id)
    running.doorman.refresh()
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
    """Whether a door's contact says that it is open; for doors that wait for it to be shut."""
    running.doorman.contact(door_id, body.open)
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
    told = [PassageOut.model_validate(one.to_dict() | {"words": one.words}) for one in found]
    return PassageList(passages=told, next=found.next)


def _out(running: Services, door: Door) -> DoorOut:
    status = running.doorman.status(door.id)
    values: dict[str, Any] = asdict(door)
    return DoorOut(
        **values,
        lockdown=status.lockdown,
        here=status.here,
        problem=status.problem or None,
        copy_age_s=status.offline_s,
        lately=[_answer(one) for one in status.lately],
    )


def _answer(answer: Answer) -> AnswerOut:
    told = answer.to_dict()
    rate = None if answer.decision is None else answer.decision.target_fpir
    return AnswerOut.model_validate(told | {"words": answer.words, "target_fpir": rate})

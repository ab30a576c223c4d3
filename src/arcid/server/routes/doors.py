"""Doors: set up, changed, taken away, and how they stand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field

from arcid.apps.access import Door, Doors
from arcid.apps.access.chance import Support, chance
from arcid.apps.access.rules import Duress, Passback
from arcid.apps.access.states import Outcome
from arcid.server.deps import Running, Services, Within, inside
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import CollectionName, DecisionOut, Id, In, Out

router = APIRouter(prefix="/v1/doors", tags=["doors"], route_class=Route)

DoorPath = Annotated[Id, Path(description="Id of a door.")]
Name = Annotated[str, Field(min_length=1, max_length=80, examples=["Front door"])]


class DoorSettings(In):
    """What is left out, or null, stays, or is as the library's `Door` says."""

    camera: str | None = Field(None, max_length=80, description="A camera of the service.")
    output: str | None = Field(
        None, max_length=500,
        description="`none`, `https://…`, `mqtt://…`, `osdp:///dev/…` or `gpio:PIN`.",
    )  # fmt: skip
    enabled: bool | None = None
    release_s: float | None = Field(None, description="How long it is unlocked.")
    shuts_s: float | None = None
    held_s: float | None = Field(None, description="Open for longer, it is held open: an alarm.")
    near: float | None = Field(None, description="From this share of the picture's height on.")
    fpir: float | None = Field(
        None, description="How often a stranger's passage may open it; see `chance`."
    )
    looks: int | None = Field(None, description="So many in a row say who it is.")
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


class DoorReasonOut(Out):
    code: str
    words: str


class AnswerOut(Out):
    """What a door answered in this process."""

    at: datetime
    outcome: Outcome
    words: str
    reasons: list[DoorReasonOut]
    person_id: str | None
    name: str | None
    actor: str | None
    duress: bool
    offline: bool
    decision: DecisionOut | None = Field(description="With the error rate it was decided at.")


class ChanceOut(Out):
    """How likely a stranger's passage opens the door, as it is set up now."""

    target_fpir: float = Field(description="At most so often, as the door asks.")
    people: int = Field(description="Who may pass it.")
    templates: int = Field(description="Of theirs.")
    support: Support = Field(
        description="measured, extrapolated beyond the calibration's data, or out_of_reach: nobody "
        "is let in."
    )
    cosine_threshold: float | None
    supported_fpir: float | None = Field(
        description="The least that the calibration's own data stand for at that threshold."
    )
    missed: float | None = Field(
        description="Share of comparisons of one person's two photos below the threshold."
    )


class DoorOut(Out):
    id: str
    name: str
    collection: str
    camera: str
    output: str
    enabled: bool
    release_s: float
    shuts_s: float
    held_s: float
    near: float
    fpir: float
    looks: int
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
    camera_id: str = Field(description="Of its camera, once the service found it.")
    contact_open: bool | None = Field(description="null: no contact says.")
    alarm: AnswerOut | None = Field(description="Forced or held open, until acknowledged.")
    lockdown: str | None = Field(description="Why it is locked down; null where it is not.")
    here: bool = Field(description="Whether this process has its output.")
    problem: str | None = Field(description="Why its output cannot be used, in words.")
    copy_age_s: float | None = Field(
        description="How old the local copy is that decisions go by; null: the database answers."
    )
    chance: ChanceOut | None = Field(description="null where there is no calibration.")
    lately: list[AnswerOut] = Field(description="Its newest answers in this process.")


class DoorList(Out):
    doors: list[DoorOut] = Field(description="By name.")


@router.get("", responses=errors(503))
def list_doors(running: Running, within: Within) -> DoorList:
    """Doors by name with how they stand."""
    found = Doors(running.gallery).all()
    return DoorList(doors=[_out(running, one) for one in found if inside(one.collection, within)])


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_door(running: Running, body: DoorIn) -> DoorOut:
    """Set a door up. Nobody may pass it until a rule says so."""
    values = body.model_dump(exclude_none=True)
    made = Doors(running.gallery).add(values.pop("name"), values.pop("collection"), **values)
    running.doorman.refresh()
    return _out(running, made)


@router.get("/{door_id}", responses=errors(404, 503))
def get_door(running: Running, door_id: DoorPath) -> DoorOut:
    """One door, how it stands and what it answered last."""
    return _out(running, Doors(running.gallery).get(door_id))


@router.patch("/{door_id}", responses=errors(400, 404, 409, 413, 503, 507))
def change_door(running: Running, door_id: DoorPath, body: DoorPatch) -> DoorOut:
    """Change a door."""
    changed = Doors(running.gallery).change(door_id, **body.model_dump(exclude_none=True))
    running.doorman.refresh()
    return _out(running, changed)


@router.delete("/{door_id}", status_code=204, response_model=None, responses=errors(404, 503, 507))
def delete_door(running: Running, door_id: DoorPath) -> Response:
    """Take a door away; its passages are kept for as long as it said."""
    Doors(running.gallery).delete(door_id)
    running.doorman.refresh()
    return Response(status_code=204)


def _out(running: Services, door: Door) -> DoorOut:
    status, those = running.doorman.status(door.id), running.doorman.admitted(door.id)
    now = chance(door, those, running.calibration())
    values: dict[str, Any] = asdict(door)
    return DoorOut(
        **values,
        contact_open=status.contact_open,
        alarm=None if status.alarm is None else AnswerOut.model_validate(status.alarm),
        lockdown=status.lockdown,
        here=status.here,
        problem=status.problem or None,
        copy_age_s=status.offline_s,
        chance=None if now is None else ChanceOut.model_validate(now),
        lately=[AnswerOut.model_validate(one) for one in status.lately],
    )

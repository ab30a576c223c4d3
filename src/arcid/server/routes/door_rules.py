"""Who may pass doors: groups and schedules of a collection, holidays, rules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from arcid.apps.access import Doors, Groups, Hours
from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.routes.doors import DoorPath
from arcid.server.schemas import In, Out

router = APIRouter(prefix="/v1", tags=["doors"], route_class=Route)
COLLECTION = "/collections/{collection}"

NamePath = Annotated[str, Path(min_length=1, max_length=200, description="Its name.")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
CHANGED = errors(400, 404, 409, 413, 503, 507)


class GroupIn(In):
    name: Name


class MemberIn(In):
    valid_from: datetime | None = None
    valid_until: datetime | None = Field(None, description="Exclusive.")


class MemberOut(Out):
    person_id: str
    name: str
    valid_from: datetime | None
    valid_until: datetime | None


class GroupOut(Out):
    name: str
    members: list[MemberOut]


class GroupList(Out):
    groups: list[GroupOut] = Field(description="By name.")


class ScheduleIn(In):
    name: Name
    hours: str = Field(max_length=1000, examples=["mon-fri 07:00-19:00; holiday 10:00-12:00"])
    zone: str = Field("UTC", max_length=64, examples=["Europe/Berlin"])


class ScheduleList(Out):
    schedules: list[ScheduleIn] = Field(description="By name.")


class HolidayIn(In):
    name: str = Field("", max_length=200)


class HolidayOut(Out):
    day: date
    name: str


class HolidayList(Out):
    holidays: list[HolidayOut] = Field(description="By day; of all doors.")


class RuleIn(In):
    group: Name
    schedule: Name | None = Field(None, description="null: at any time.")


class RuleList(Out):
    rules: list[RuleIn]


@router.get(COLLECTION + "/door-groups", responses=errors(404, 503))
def list_door_groups(running: Running, collection: CollectionPath) -> GroupList:
    """Groups with their members."""
    found = Groups(running.gallery).all(collection)
    return GroupList(groups=[
        GroupOut(name=g.name, members=[MemberOut.model_validate(m) for m in g.members])
        for g in found
    ])  # fmt: skip


@router.post(COLLECTION + "/door-groups", status_code=201, responses=CHANGED)
def add_door_group(running: Running, collection: CollectionPath, body: GroupIn) -> GroupIn:
    """Make a group."""
    Groups(running.gallery).add(collection, body.name)
    return body


@router.delete(COLLECTION + "/door-groups/{name}", status_code=204, response_model=None,
               responses=CHANGED)  # fmt: skip
def delete_door_group(running: Running, collection: CollectionPath, name: NamePath) -> Response:
    """Take a group away: its members pass by it no more."""
    Groups(running.gallery).delete(collection, name)
    return Response(status_code=204)


@router.put(COLLECTION + "/door-groups/{name}/members/{person_id}", status_code=204,
            response_model=None, responses=CHANGED)  # fmt: skip
def join_door_group(
    running: Running,
    collection: CollectionPath,
    name: NamePath,
    person_id: PersonPath,
    body: MemberIn,
) -> Response:
    """Put somebody in a group, or change for how long."""
    Groups(running.gallery).add_member(
        collection, name, person_id, valid_from=body.valid_from, valid_until=body.valid_until
    )
    return Response(status_code=204)


@router.delete(COLLECTION + "/door-groups/{name}/members/{person_id}", status_code=204,
               response_model=None, responses=CHANGED)  # fmt: skip
def leave_door_group(
    running: Running, collection: CollectionPath, name: NamePath, person_id: PersonPath
) -> Response:
    """Take somebody out of a group."""
    Groups(running.gallery).remove_member(collection, name, person_id)
    return Response(status_code=204)


@router.get(COLLECTION + "/door-schedules", responses=errors(404, 503))
def list_door_schedules(running: Running, collection: CollectionPath) -> ScheduleList:
    """Schedules and their hours."""
    found = Hours(running.gallery).all(collection)
    return ScheduleList(
        schedules=[ScheduleIn(name=s.name, hours=s.text, zone=s.zone) for s in found]
    )


@router.post(COLLECTION + "/door-schedules", status_code=201, responses=CHANGED)
def add_door_schedule(running: Running, collection: CollectionPath, body: ScheduleIn) -> ScheduleIn:
    """Make a schedule."""
    Hours(running.gallery).add(collection, body.name, body.hours, body.zone)
    return body


@router.delete(COLLECTION + "/door-schedules/{name}", status_code=204, response_model=None,
               responses=CHANGED)  # fmt: skip
def delete_door_schedule(running: Running, collection: CollectionPath, name: NamePath) -> Response:
    """Take a schedule away, and the rules that go by it."""
    Hours(running.gallery).delete(collection, name)
    return Response(status_code=204)


@router.get("/door-holidays", responses=errors(503))
def list_door_holidays(running: Running) -> HolidayList:
    """Days on which only hours of holidays count."""
    found = Hours(running.gallery).holidays()
    return HolidayList(holidays=[HolidayOut(day=h.day, name=h.name) for h in found])


@router.put("/door-holidays/{day}", status_code=204, response_model=None, responses=CHANGED)
def add_door_holiday(running: Running, day: date, body: HolidayIn) -> Response:
    """Add a holiday, or rename it."""
    Hours(running.gallery).add_holiday(day, body.name)
    return Response(status_code=204)


@router.delete("/door-holidays/{day}", status_code=204, response_model=None, responses=CHANGED)
def delete_door_holiday(running: Running, day: date) -> Response:
    """Take a holiday away."""
    Hours(running.gallery).delete_holiday(day)
    return Response(status_code=204)


@router.get("/doors/{door_id}/rules", responses=errors(404, 503))
def list_door_rules(running: Running, door_id: DoorPath) -> RuleList:
    """Which groups may pass a door, and when."""
    found = Doors(running.gallery).rules(door_id)
    return RuleList(rules=[RuleIn(group=one.group, schedule=one.schedule) for one in found])


@router.post("/doors/{door_id}/rules", status_code=204, response_model=None, responses=CHANGED)
def add_door_rule(running: Running, door_id: DoorPath, body: RuleIn) -> Response:
    """Let a group pass a door."""
    Doors(running.gallery).allow(door_id, body.group, body.schedule)
    running.doorman.refresh()
    return Response(status_code=204)


@router.post("/doors/{door_id}/rules/delete", status_code=204, response_model=None,
             responses=CHANGED)  # fmt: skip
def delete_door_rule(running: Running, door_id: DoorPath, body: RuleIn) -> Response:
    """Take a rule back."""
    Doors(running.gallery).disallow(door_id, body.group, body.schedule)
    running.doorman.refresh()
    return Response(status_code=204)


@router.post(COLLECTION + "/people/{person_id}/forgive", status_code=204, response_model=None,
             responses=errors(404, 503, 507))  # fmt: skip
def forgive_person(running: Running, collection: CollectionPath, person_id: PersonPath) -> Response:
    """Forget where somebody is, so that anti-passback lets them through once."""
    Doors(running.gallery).forgive(running.gallery.person(collection, person_id).id)
    return Response(status_code=204)

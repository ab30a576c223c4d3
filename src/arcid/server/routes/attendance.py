"""Attendance: events, why they were decided so, corrections, sheets and exports."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, Field

from arcid.apps.attendance import Attendance, Day, Event, Month, export
from arcid.errors import InputError
from arcid.events import Action, AppKind, AttendanceKind
from arcid.server.deps import CollectionPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.schemas import Id, In, Next, Out

router = APIRouter(
    prefix="/v1/collections/{collection}/attendance", tags=["attendance"], route_class=Route
)

EventPath = Annotated[Id, Path(description="Id of an event.")]
Kind = Literal[AttendanceKind, AppKind]
Format = Literal["csv", "xlsx", "json"]
Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 with a zone.")]
Zone = Annotated[
    str | None,
    Query(max_length=64, description="Time zone by name, as Europe/Berlin; default: the server's."),
]
Actor = Annotated[
    str,
    Field(
        max_length=200,
        description="A remark: for whom, in your words. Who did it is the API key, which stands "
        "beside it.",
    ),
]
Remark = Annotated[str, Field(max_length=1000, description="Why; kept with the row.")]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media.partition(";")[0]: {} for media in export.MEDIA.values()}}
}


class EventOut(Out):
    """As it reads with its corrections."""

    id: str
    kind: str = Field(examples=["arrival"])
    at: datetime = Field(description="When it happened, by the source's clock.")
    recorded_at: datetime
    collection: str
    camera: str
    place: str
    person_id: str | None
    name: str | None = Field(description="null: nobody known, or since deleted.")
    visitor_id: str | None = Field(description="Unknown visitors: the event first seen in.")
    about_id: str | None = Field(description="Corrections: the event they speak of.")
    action: str | None
    actor: str | None
    note: str | None
    corrections: list[str] = Field(description="Ids of the corrections applied.")
    flagged: bool = Field(description="The face may have been a picture; the camera let it pass.")
    voided: bool


class Events(Out):
    events: list[EventOut] = Field(description="Newest first.")
    next: Next


class Explained(Out):
    event: EventOut
    grounds: dict[str, Any] = Field(
        description="Score, threshold, target rate, calibration, gallery size, model, candidates, "
        "and the track's quality."
    )
    candidate_names: dict[str, str]
    history: list[dict[str, Any]] = Field(description="The event as written, then its corrections.")
    face_kept: bool


class CorrectionIn(In):
    action: Literal["void", "reassign", "retime"]
    person_id: Id | None = Field(default=None, description="For reassign: who it was.")
    at: AwareDatetime | None = Field(default=None, description="For retime: when it was.")
    actor: Actor = ""
    note: Remark = ""


class NotPersonIn(In):
    block: bool = Field(default=True, description="Never take this face for that person again.")
    actor: Actor = ""
    note: Remark = ""


class EntryIn(In):
    kind: Literal["arrival", "departure"]
    person_id: Id
    at: AwareDatetime
    actor: Actor = ""
    note: Remark = ""


class Corrected(Out):
    correction: EventOut
    event: EventOut = Field(description="As it reads now.")
    blocked: bool


class PresenceOut(Out):
    person_id: str
    name: str
    first_in: datetime | None = Field(description="null: absent")
    last_out: datetime | None = Field(description="null: absent, or still there")
    hours: float
    absent: bool
    still_there: bool
    incomplete: bool = Field(description="An arrival without a departure.")


class DayOut(Out):
    collection: str
    day: date
    rows: list[PresenceOut]


class MonthRowOut(Out):
    person_id: str
    name: str
    days_present: int
    workdays_absent: int
    hours: float
    days: list[PresenceOut | None] = Field(description="One a day; null: still to come.")


class MonthOut(Out):
    collection: str
    days: list[date]
    rows: list[MonthRowOut]


class StayOut(Out):
    person_id: str
    name: str | None
    place: str
    camera: str
    arrived_at: datetime
    last_seen_at: datetime


class PresentOut(Out):
    present: list[StayOut]


@router.get("/events", responses=errors(404, 503))
def list_events(
    running: Running,
    collection: CollectionPath,
    since: Moment = None,
    until: Moment = None,
    kind: Annotated[
        list[Kind] | None,
        Query(description="May be repeated; default: those of attendance."),
    ] = None,
    person_id: Annotated[Id | None, Query()] = None,
    camera: Annotated[str | None, Query(max_length=200)] = None,
    voided: Annotated[bool, Query(description="Also what was taken back.")] = False,
    limit: Limit = 100,
    after: After = None,
) -> Events:
    """Arrivals, departures, unknown visitors, doubtful cases and suspected attacks, corrections
    applied."""
    found = Attendance(running.gallery, collection).events(
        since=since,
        until=until,
        kinds=kind,
        person_id=person_id,
        camera=camera,
        voided=voided,
        limit=limit,
        after=after,
    )
    return Events(events=[_event(event) for event in found], next=found.next)


@router.post("/events", status_code=201, responses=errors(400, 404, 413, 503, 507))
def add_event(running: Running, collection: CollectionPath, body: EntryIn) -> EventOut:
    """Enter an arrival or departure by hand."""
    made = Attendance(running.gallery, collection).add(
        body.kind, body.person_id, body.at, actor=body.actor, note=body.note
    )
    return _event(made)


@router.get("/events/{event_id}", responses=errors(404, 503))
def explain_event(running: Running, collection: CollectionPath, event_id: EventPath) -> Explained:
    """One event, on what grounds it was decided, and what was corrected since."""
    book = Attendance(running.gallery, collection)
    found = book.explain(event_id)
    return Explained(
        event=_event(book.event(event_id)),
        grounds=found["grounds"],
        candidate_names=found["candidate_names"],
        history=found["history"],
        face_kept=found["face_kept"],
    )


@router.post(
    "/events/{event_id}/corrections", status_code=201, responses=errors(400, 404, 413, 503, 507)
)
def correct_event(
    running: Running, collection: CollectionPath, event_id: EventPath, body: CorrectionIn
) -> Corrected:
    """Void, reassign or retime an event by a new row; voiding a correction undoes it."""
    book = Attendance(running.gallery, collection)
    action: Action = body.action
    made = book.correct(
        event_id, action, actor=body.actor, note=body.note, person_id=body.person_id, at=body.at
    )
    return Corrected(correction=_event(made), event=_event(book.event(event_id)), blocked=False)


@router.post(
    "/events/{event_id}/not-this-person",
    status_code=201,
    responses=errors(400, 404, 413, 503, 507),
)
def not_this_person(
    running: Running, collection: CollectionPath, event_id: EventPath, body: NotPersonIn
) -> Corrected:
    """Remove a match and, while the face is kept, never take it for that person again."""
    book = Attendance(running.gallery, collection)
    made, blocked = book.not_this_person(
        event_id, actor=body.actor, note=body.note, block=body.block
    )
    return Corrected(correction=_event(made), event=_event(book.event(event_id)), blocked=blocked)


@router.get("/present", responses=errors(404, 503))
def list_present(running: Running, collection: CollectionPath) -> PresentOut:
    """Who is there: people seen within the cooldown."""
    found = Attendance(running.gallery, collection).present()
    return PresentOut(present=[StayOut.model_validate(stay) for stay in found])


@router.get("/days/{day}", responses=errors(404, 503))
def day_sheet(running: Running, collection: CollectionPath, day: date, zone: Zone = None) -> DayOut:
    """Everybody's first in, last out and hours of a day."""
    return _day(_sheet(running, collection, day, zone))


@router.get("/months/{month}", responses=errors(404, 503))
def month_sheet(
    running: Running,
    collection: CollectionPath,
    month: Annotated[str, Path(pattern=r"^\d{4}-\d{2}$", examples=["2026-03"])],
    zone: Zone = None,
) -> MonthOut:
    """Everybody's days of a month."""
    sheet = _month(running, collection, month, zone)
    return MonthOut(
        collection=sheet.collection,
        days=list(sheet.days),
        rows=[MonthRowOut.model_validate(row) for row in sheet.rows],
    )


@router.get("/export", response_class=Response, responses=errors(404, 501, 503) | _FILES)
def export_attendance(
    running: Running,
    collection: CollectionPath,
    format: Annotated[Format, Query(description="Of the file.")] = "csv",
    day: Annotated[date | None, Query(description="The sheet of a day.")] = None,
    month: Annotated[
        str | None, Query(pattern=r"^\d{4}-\d{2}$", description="The sheet of a month.")
    ] = None,
    since: Moment = None,
    until: Moment = None,
    zone: Zone = None,
) -> Response:
    """Events, or the sheet of a day or month, as a file. Names never become formulas."""
    if day is not None and month is not None:
        raise InputError("a sheet is of a day or of a month")
    if (day or month) and (since or until):
        raise InputError("since and until go with events; a sheet is of its whole day or month")
    book = Attendance(running.gallery, collection)
    if day is not None:
        table = export.day_table(_sheet(running, collection, day, zone))
    elif month is not None:
        table = export.month_table(_month(running, collection, month, zone))
    else:
        found = book.events(since=since, until=until, limit=None)
        table = export.events_table(found, zone=_zone(zone))
    headers = {"Content-Disposition": f'attachment; filename="attendance.{format}"'}
    return Response(book.exported(table, format), media_type=export.MEDIA[format], headers=headers)


def _event(event: Event) -> EventOut:
    return EventOut.model_validate(event)


def _sheet(running: Running, collection: str, day: date, zone: str | None) -> Day:
    return Attendance(running.gallery, collection).day(day, zone=_zone(zone))


def _month(running: Running, collection: str, month: str, zone: str | None) -> Month:
    year, number = (int(part) for part in month.split("-"))
    return Attendance(running.gallery, collection).month(year, number, zone=_zone(zone))


def _day(sheet: Day) -> DayOut:
    return DayOut(
        collection=sheet.collection,
        day=sheet.day,
        rows=[PresenceOut.model_validate(row) for row in sheet.rows],
    )


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError("this time zone is unknown; use a name such as Europe/Berlin") from None

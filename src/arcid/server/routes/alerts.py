"""Alerts of watchlists: what cameras raised, the faces, a human's answers, and taking them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from arcid.apps.watchlists import Alerts, AlertState, Level, Verb, Watchlists
from arcid.errors import FaceNotFound, WatchlistNotFound
from arcid.gallery.imaging import encode_crop
from arcid.server.deps import Running, Within, inside
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors, require_crops
from arcid.server.routes.attendance import Actor, Remark
from arcid.server.schemas import Id, In, Next, Out
from arcid.server.scopes import NEEDS, lacking

router = APIRouter(prefix="/v1/alerts", tags=["watchlists"], route_class=Route)

AlertPath = Annotated[Id, Path(description="Id of an alert.")]


class StepOut(Out):
    """Something somebody said about an alert."""

    verb: Verb
    actor: str
    credential: str | None = Field(
        description="What let them in, as the audit names it: account:ID, key:DIGITS, os:USER; "
        "null: of answers from before this was kept."
    )
    note: str
    at: datetime
    undone_by: str | None


class AlertOut(Out):
    """An alert as it stands."""

    id: str
    list_id: str
    list_name: str
    collection: str
    level: Level = Field(description="alert, or review: nobody was told.")
    state: AlertState
    person_id: str
    name: str
    camera: str
    place: str
    at: datetime = Field(description="When the face was first seen, by the source's clock.")
    last_seen_at: datetime
    sightings: int
    raised_at: datetime
    latency_ms: int = Field(description="From the face being visible to the alert being written.")
    four_eyes: bool
    confirmed_by: list[str] = Field(
        description="Names of accounts; what was typed, with the key it came with in brackets."
    )
    waits_for_second: bool = Field(description="One of two people has confirmed it.")
    steps: list[StepOut] = Field(description="Oldest first, those taken back included.")
    picture_kept: bool = Field(description="Of the face; `/face` shows it.")
    event_id: str
    face_id: str | None = Field(description="The enrolled face that was nearest.")
    cosine: float | None
    cosine_threshold: float | None
    target_fpir: float | None
    gallery_size: int | None = Field(description="Templates on the list.")
    reason: str | None


class AlertsOut(Out):
    alerts: list[AlertOut] = Field(description="Newest first.")
    next: Next


class AlertAnswerIn(In):
    answer: Verb = Field(
        description="acknowledge: somebody looks at it. confirm: it is them (two people, where the "
        "list wants that). dismiss: it is not, and this face is not taken for them again. "
        "escalate: somebody else has to act."
    )
    actor: Actor = ""
    note: Remark = ""


class AlertUndoIn(In):
    actor: Actor = ""
    note: Remark = ""


@router.get("", responses=errors(404, 503))
def list_alerts(
    running: Running,
    within: Within,
    watchlist: Annotated[
        str | None, Query(max_length=200, description="Of one list, by id or name.")
    ] = None,
    state: Annotated[
        list[AlertState] | None, Query(description="May be repeated; default: all.")
    ] = None,
    level: Annotated[
        list[Level] | None, Query(description="May be repeated; default: both.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> AlertsOut:
    """What cameras raised."""
    lists = _lists(Watchlists(running.gallery), watchlist, within)
    found = Alerts(running.gallery).find(
        lists=lists, states=state, levels=level, limit=limit, after=after
    )
    for list_id, collection in {(one.list_id, one.collection) for one in found}:
        running.looks.note("alert.list", f"list:{list_id}", collection)
    return AlertsOut(alerts=[AlertOut.model_validate(one) for one in found], next=found.next)


@router.get("/{alert_id}", responses=errors(404, 503))
def get_alert(running: Running, alert_id: AlertPath) -> AlertOut:
    """One alert."""
    alert = Alerts(running.gallery).get(alert_id)
    running.looks.note("alert.view", f"alert:{alert.id}", alert.collection)
    return AlertOut.model_validate(alert)


@router.get(
    "/{alert_id}/face",
    response_class=Response,
    responses=errors(404, 503) | {200: {"content": {"image/png": {}}}},
)
def alert_face(running: Running, alert_id: AlertPath) -> Response:
    """PNG of the aligned face that the alert was raised about; the audit notes who looked."""
    alerts = Alerts(running.gallery)
    alert, trace = alerts.get(alert_id), alerts.face(alert_id)
    require_crops(running, alert.collection)
    if trace is None or trace.crop is None:
        raise FaceNotFound("no picture of this face is kept any more")
    running.looks.note("alert.view", f"alert:{alert.id}", alert.collection)
    return Response(encode_crop(trace.crop), media_type="image/png")


@router.post("/{alert_id}/answer", responses=errors(400, 404, 409, 413, 503, 507))
def answer_alert(running: Running, alert_id: AlertPath, body: AlertAnswerIn) -> AlertOut:
    """A human's word. The same again changes nothing; another answer is refused until it is taken
    back."""
    done = Alerts(running.gallery).answer(alert_id, body.answer, actor=body.actor, note=body.note)
    return AlertOut.model_validate(done)


@router.post("/{alert_id}/undo", responses=errors(400, 404, 413, 503, 507))
def undo_alert(running: Running, alert_id: AlertPath, body: AlertUndoIn) -> AlertOut:
    """Take the newest answer back; after a dismissal the face may alert again."""
    done = Alerts(running.gallery).undo(alert_id, actor=body.actor, note=body.note)
    return AlertOut.model_validate(done)


def _lists(
    own: Watchlists, watchlist: str | None, within: frozenset[str] | None
) -> list[str] | None:
    """Ids of the lists whose alerts are meant; None: of all. What a limited key may not see is not
    told from what is not there."""
    if watchlist is None:
        return None if within is None else [w.id for w in own.find() if w.collection in within]
    try:
        found = own.get(watchlist)
    except WatchlistNotFound:
        if within is None:
            raise
    else:
        if inside(found.collection, within):
            return [found.id]
    raise lacking("this API key is limited to other collections", NEEDS["list_alerts"])

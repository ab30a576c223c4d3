"""Watchlists: named lists of people, what their budgets come to, and who is on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, Field

from arcid.apps.watchlists import Terms, Watchlists
from arcid.apps.watchlists.records import Strangers
from arcid.server.deps import Limited, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors
from arcid.server.routes.attendance import Actor, Remark
from arcid.server.schemas import CollectionName, In, Next, Out

router = APIRouter(prefix="/v1/watchlists", tags=["watchlists"], route_class=Route)

Said = Annotated[str, Field(min_length=1, max_length=1000)]
Names = Annotated[list[Said], Field(max_length=200)]
Hourly = Annotated[float, Field(gt=0, le=1000)]
Looks = Annotated[int, Field(ge=1, le=10, description="Looks at a face that have to agree.")]
Cooldown = Annotated[float, Field(ge=0, le=86_400)]
Days = Annotated[int, Field(ge=1, le=3650, description="Until alerts are erased.")]
ListPath = Annotated[str, Path(min_length=1, max_length=200, description="Id or name of a list.")]
By = Annotated[
    str, Query(max_length=200, description="A remark: for whom. Who did it is the API key.")
]


class WatchlistIn(In):
    """A new list. What it is for, what allows it, who answers for it and until when are asked."""

    name: CollectionName
    collection: CollectionName = Field(description="Whose people can be on it.")
    actor: Actor = ""
    purpose: Said
    legal_basis: Said
    owner: Said
    expires_at: AwareDatetime = Field(description="It matches nobody from then on.")
    roles: Names = Field(["officer", "guard"], description="Console roles that may see it.")
    accounts: Names = Field([], description="Console accounts that may see it too, by name.")
    cameras: Names = Field([], description="Cameras that look for it; none: all.")
    four_eyes: bool = Field(False, description="Two people have to confirm an alert.")
    false_alerts_per_hour: Hourly = Field(0.05, description="Budget of one camera-hour.")
    reviews_per_hour: Hourly = Field(0.5, description="The same of silent reviews.")
    confirm_looks: Looks = 2
    cooldown_s: Cooldown = 300.0
    keep_days: Days = 30
    strangers: Strangers = Field("nothing", description="Kept of passers-by who are on no list.")


class WatchlistPatch(In):
    """What is given is changed."""

    actor: Actor = ""
    name: CollectionName | None = None
    purpose: Said | None = None
    legal_basis: Said | None = None
    owner: Said | None = None
    expires_at: AwareDatetime | None = None
    roles: Names | None = None
    accounts: Names | None = None
    cameras: Names | None = None
    four_eyes: bool | None = None
    false_alerts_per_hour: Hourly | None = None
    reviews_per_hour: Hourly | None = None
    confirm_looks: Looks | None = None
    cooldown_s: Cooldown | None = None
    keep_days: Days | None = None
    strangers: Strangers | None = None


class WatchlistOut(Out):
    """A list as it stands."""

    id: str
    name: str
    collection: str
    purpose: str
    legal_basis: str
    owner: str
    expires_at: datetime
    expired: bool = Field(description="It matches nobody.")
    roles: list[str]
    accounts: list[str]
    cameras: list[str]
    four_eyes: bool
    false_alerts_per_hour: float
    reviews_per_hour: float
    confirm_looks: int
    cooldown_s: float
    keep_days: int
    strangers: Strangers
    people: int
    created_at: datetime


class WatchlistsOut(Out):
    watchlists: list[WatchlistOut] = Field(description="By name.")
    next: Next


class MemberIn(In):
    actor: Actor = ""
    reason: Remark = ""


class MemberOut(Out):
    """Somebody on a list."""

    person_id: str
    name: str
    reason: str
    added_by: str
    added_at: datetime


class MembersOut(Out):
    people: list[MemberOut] = Field(description="By name.")
    next: Next


class FlowOut(Out):
    """How many faces a camera sees, and what that is known from."""

    faces: int
    hours: float
    faces_per_hour: float = Field(description="The prior counted in.")
    prior_faces_per_hour: float
    prior_hours: float


class LineOut(Out):
    """One threshold."""

    per_hour: float = Field(description="False ones a camera-hour, as asked for.")
    target_fpir: float = Field(description="Of one face.")
    cosine_threshold: float
    support: str = Field(
        description="measured, extrapolated beyond the calibration's data, or out_of_reach."
    )
    expected_per_hour: float = Field(
        description="False ones at most: of one look at each face, and several have to agree."
    )
    expected_low: float = Field(description="95 % interval of the calibration.")
    expected_high: float
    missed: float = Field(description="Share of genuine comparisons below it (FNMR).")


class BudgetOut(Out):
    """What a list's budget comes to at one camera, now."""

    templates: int = Field(description="Of the people on the list.")
    flow: FlowOut
    alert: LineOut
    review: LineOut
    calibration_id: str


@router.get("", responses=errors(503))
def list_watchlists(
    running: Running, limited: Limited, limit: Limit = 100, after: After = None
) -> WatchlistsOut:
    """All lists, expired ones too."""
    found = Watchlists(running.gallery).find(limit=limit, after=after, within=limited)
    return WatchlistsOut(
        watchlists=[WatchlistOut.model_validate(own) for own in found], next=found.next
    )


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def create_watchlist(running: Running, body: WatchlistIn) -> WatchlistOut:
    """A list, nobody on it yet."""
    given = body.model_dump(exclude={"name", "collection", "actor"})
    made = Watchlists(running.gallery).create(
        body.name, body.collection, Terms(**given), actor=body.actor
    )
    return WatchlistOut.model_validate(made)


@router.get("/{watchlist}", responses=errors(404, 503))
def get_watchlist(running: Running, watchlist: ListPath) -> WatchlistOut:
    """One list."""
    return WatchlistOut.model_validate(Watchlists(running.gallery).get(watchlist))


@router.patch("/{watchlist}", responses=errors(400, 404, 409, 413, 503, 507))
def change_watchlist(running: Running, watchlist: ListPath, body: WatchlistPatch) -> WatchlistOut:
    """Change what is given; cameras that watch follow within seconds."""
    changes = body.model_dump(exclude={"actor", "name"}, exclude_none=True)
    done = Watchlists(running.gallery).update(
        watchlist, actor=body.actor, name=body.name, **changes
    )
    return WatchlistOut.model_validate(done)


@router.post("/{watchlist}/expire", responses=errors(404, 503, 507))
def expire_watchlist(running: Running, watchlist: ListPath, actor: By = "") -> WatchlistOut:
    """End a list now: it matches nobody from here on."""
    return WatchlistOut.model_validate(Watchlists(running.gallery).expire(watchlist, actor=actor))


@router.delete(
    "/{watchlist}",
    status_code=204,
    response_class=Response,
    responses=ERASED | errors(404, 503, 507),
)
def delete_watchlist(running: Running, watchlist: ListPath, actor: By = "") -> Response:
    """Erase a list with its alerts and the faces behind them; its people stay enrolled."""
    Watchlists(running.gallery).delete(watchlist, actor=actor)
    return erased(running)


@router.get("/{watchlist}/budget", responses=errors(404, 503))
def watchlist_budget(
    running: Running,
    limited: Limited,
    watchlist: ListPath,
    camera: Annotated[
        str | None,
        Query(max_length=200, description="Whose faces an hour count; default: one unknown."),
    ] = None,
) -> BudgetOut:
    """Thresholds of a list now, by its size and the faces that a camera sees, and what to expect of
    them. To a key limited to some collections, cameras of others are unknown."""
    if limited is not None:
        own = running.cameras.book.page(None, None, limited)
        camera = camera if camera in {one.name for one in own} else None
    now = Watchlists(running.gallery).budget(watchlist, camera, running.pipeline.calibration)
    return BudgetOut.model_validate(now)


@router.get("/{watchlist}/people", responses=errors(404, 503))
def watchlist_people(
    running: Running, watchlist: ListPath, limit: Limit = 100, after: After = None
) -> MembersOut:
    """Who is on a list."""
    lists = Watchlists(running.gallery)
    own, found = lists.get(watchlist), lists.members(watchlist, limit=limit, after=after)
    running.looks.note("list.view", f"list:{own.id}", own.collection)
    return MembersOut(people=[MemberOut.model_validate(one) for one in found], next=found.next)


@router.put(
    "/{watchlist}/people/{person_id}",
    status_code=204,
    response_class=Response,
    responses=errors(400, 404, 413, 503, 507),
)
def put_on_watchlist(
    running: Running, watchlist: ListPath, person_id: PersonPath, body: MemberIn
) -> Response:
    """Put a person of the list's collection on it; they may be on it already."""
    Watchlists(running.gallery).add(watchlist, person_id, actor=body.actor, reason=body.reason)
    return Response(status_code=204)


@router.delete(
    "/{watchlist}/people/{person_id}",
    status_code=204,
    response_class=Response,
    responses=errors(404, 503, 507),
)
def take_off_watchlist(
    running: Running, watchlist: ListPath, person_id: PersonPath, actor: By = ""
) -> Response:
    """Take a person off a list; their alerts stay."""
    Watchlists(running.gallery).remove(watchlist, person_id, actor=actor)
    return Response(status_code=204)

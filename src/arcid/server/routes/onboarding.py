"""Onboarding as whoever runs it sees it: sessions begun, cases decided, evidence; and a face as a
key to a login."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request, Response
from pydantic import Field

from arcid import paths
from arcid.apps.onboarding.authenticating import MOST_FMR, Authenticator
from arcid.apps.onboarding.cases import Cases, Verdict
from arcid.apps.onboarding.evidence import Signer
from arcid.apps.onboarding.records import MOST, Effect, Outcome, Role, Rules, Session, State
from arcid.errors import OnboardingNotFound
from arcid.liveness.policy import Mode
from arcid.server import schemas
from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import (
    ERASED,
    UPLOAD,
    After,
    Image,
    Limit,
    erased,
    errors,
    require_crops,
)
from arcid.server.routes.attendance import Actor, Remark
from arcid.server.schemas import Id, In, Next, Out
from arcid.server.uploads import UploadRoute, read_images

PAGE = "/onboarding/"
router = APIRouter(
    prefix="/v1/collections/{collection}/onboarding", tags=["onboarding"], route_class=Route
)
people = APIRouter(
    prefix="/v1/collections/{collection}/people", tags=["onboarding"], route_class=UploadRoute
)

SessionPath = Annotated[Id, Path(description="Id of a session.")]


class RulesIn(In):
    """What a session asks for; what is left out is as by default."""

    fmr: schemas.Rate = Field(default=1e-4, description="Accepted at this false match rate.")
    review_fmr: schemas.Rate = Field(default=1e-2, description="Up to here a human decides.")
    tries: int = Field(
        default=8, ge=1, le=MOST["tries"], description="Pictures and camera runs in all."
    )
    hours: float = Field(
        default=24.0, gt=0, le=MOST["hours"], description="Until the session expires."
    )
    keep_days: float = Field(
        default=30.0, gt=0, le=MOST["keep_days"], description="Until all of it is erased."
    )
    keep_pictures: bool = Field(default=True, description="Of decided cases, until then.")
    live: bool = Field(default=True, description="A head that turns as asked, before a camera.")
    passive: Mode = Field(
        default="require", description="What the check for pictures of faces decides."
    )
    enrol: bool = Field(default=False, description="Whoever is accepted is enrolled.")


class StartIn(In):
    reference: str = Field(
        default="", max_length=200, description="Your own; leave names out of it."
    )
    rules: RulesIn = RulesIn()


class ConsentOut(Out):
    version: str
    text_sha256: str
    at: datetime


class CheckOut(Out):
    """One thing that was looked at."""

    code: str = Field(examples=["different_people"])
    effect: Effect
    message: str
    measured: dict[str, Any]


class AnswerOut(Out):
    id: str
    outcome: Outcome
    actor: str = Field(description="`arcid` where it decided by itself.")
    note: str
    at: datetime
    undone_at: datetime | None
    undone_by: str | None


class SessionOut(Out):
    """A session as it stands."""

    id: str
    collection: str
    state: State
    reference: str
    created_at: datetime
    expires_at: datetime
    keep_until: datetime
    ended_at: datetime | None
    tries_left: int
    rules: dict[str, Any]
    consent: ConsentOut | None
    name: str = Field(description="As the applicant gave it; empty before consent.")
    birth_date: date | None
    zone: dict[str, Any] | None = Field(description="What the machine-readable zone says.")
    checks: list[CheckOut]
    answers: list[AnswerOut] = Field(description="Oldest first, those taken back included.")
    person_id: str | None = Field(description="Who was enrolled.")
    pictures: list[Role] = Field(description="That are kept; `/pictures/{role}` shows them.")
    not_checked: list[str]


class StartedOut(Out):
    session: SessionOut
    token: str = Field(description="Told once; arcid keeps its hash.")
    url: str = Field(description="The applicant's link; whoever has it is the applicant.")


class SessionsOut(Out):
    sessions: list[SessionOut] = Field(description="Newest first.")
    waiting: int = Field(description="Cases that wait for a human, in all.")
    next: Next


class KeyOut(Out):
    fingerprint: str = Field(description="sha256 of the public key: verify evidence with it.")


class VerdictIn(In):
    outcome: Verdict
    actor: Actor = ""
    note: Remark = ""


class UndoIn(In):
    actor: Actor = ""


class AuthenticatedOut(Out):
    """Whether somebody is let in as the person."""

    accepted: bool
    why: Literal["", "not_live", "another_face"]
    decision: schemas.DecisionOut | None = Field(description="Null where no living face was seen.")
    liveness: float
    liveness_threshold: float
    tries_left: int = Field(description="Before the person is locked for a while.")


@router.post("", status_code=201, responses=errors(400, 404, 413, 503, 507))
def start_onboarding(
    running: Running, request: Request, collection: CollectionPath, body: StartIn
) -> StartedOut:
    """A session for one applicant, and the link that is theirs."""
    rules = Rules(**body.rules.model_dump())
    session, token = Cases(running.gallery).start(collection, reference=body.reference, rules=rules)
    url = f"{str(request.base_url).rstrip('/')}{PAGE}#{token}"
    return StartedOut(session=SessionOut.model_validate(session), token=token, url=url)


@router.get("", responses=errors(404, 503))
def list_onboarding(
    running: Running,
    collection: CollectionPath,
    state: Annotated[
        list[State] | None, Query(description="May be repeated; default: all.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> SessionsOut:
    """Sessions and cases."""
    cases = Cases(running.gallery)
    found = cases.find(collection, states=state or (), limit=limit, after=after)
    return SessionsOut(
        sessions=[SessionOut.model_validate(one) for one in found],
        waiting=cases.waiting(collection),
        next=found.next,
    )


@router.get("/key", responses=errors(501))
def onboarding_key(collection: CollectionPath) -> KeyOut:
    """Which key signs this service's evidence."""
    return KeyOut(fingerprint=Signer(paths.home_dir()).fingerprint)


@router.get("/{session_id}", responses=errors(404, 503, 507))
def get_onboarding(
    running: Running, collection: CollectionPath, session_id: SessionPath
) -> SessionOut:
    """One session with what was looked at; looking is audited."""
    _of(running, collection, session_id)
    return SessionOut.model_validate(Cases(running.gallery).look(session_id))


@router.get(
    "/{session_id}/pictures/{role}",
    response_class=Response,
    responses=errors(404, 503, 507) | {200: {"content": {"image/jpeg": {}}}},
)
def onboarding_picture(
    running: Running, collection: CollectionPath, session_id: SessionPath, role: Role
) -> Response:
    """JPEG of the document's portrait or of the selfie; looking is audited."""
    _of(running, collection, session_id)
    require_crops(running, collection)
    return Response(Cases(running.gallery).picture(session_id, role), media_type="image/jpeg")


@router.get(
    "/{session_id}/evidence",
    response_class=Response,
    responses=errors(404, 409, 501, 503, 507) | {200: {"content": {"application/json": {}}}},
)
def onboarding_evidence(
    running: Running, collection: CollectionPath, session_id: SessionPath
) -> Response:
    """The signed file of a decided case; `arcid onboarding verify FILE` checks it offline."""
    _of(running, collection, session_id)
    data = Cases(running.gallery).evidence(session_id, Signer(paths.home_dir()))
    name = f'attachment; filename="onboarding-{session_id[:12]}.json"'
    return Response(data, media_type="application/json", headers={"Content-Disposition": name})


@router.post("/{session_id}/answer", responses=errors(400, 404, 409, 413, 503, 507))
def answer_onboarding(
    running: Running, collection: CollectionPath, session_id: SessionPath, body: VerdictIn
) -> SessionOut:
    """A human's word, also over what arcid decided. The same again changes nothing."""
    _of(running, collection, session_id)
    done = Cases(running.gallery).answer(session_id, body.outcome, actor=body.actor, note=body.note)
    return SessionOut.model_validate(done)


@router.post("/{session_id}/undo", responses=errors(400, 404, 409, 413, 503, 507))
def undo_onboarding(
    running: Running, collection: CollectionPath, session_id: SessionPath, body: UndoIn
) -> SessionOut:
    """Take the newest word of a human back; who was enrolled by it is not any more."""
    _of(running, collection, session_id)
    return SessionOut.model_validate(Cases(running.gallery).undo(session_id, actor=body.actor))


@router.delete("/{session_id}", status_code=204, responses=errors(404, 503, 507) | ERASED)
def forget_onboarding(
    running: Running, collection: CollectionPath, session_id: SessionPath
) -> Response:
    """Erase a session with everything of it; who was enrolled stays."""
    _of(running, collection, session_id)
    Cases(running.gallery).forget(session_id)
    return erased(running)


@people.post("/{person_id}/authenticate", responses=errors(*UPLOAD, 404, 503, 507))
async def authenticate_person(
    running: Running,
    collection: CollectionPath,
    person_id: PersonPath,
    image: Image,
    fmr: Annotated[
        float, Form(gt=0, le=MOST_FMR, description="Target false match rate.")
    ] = MOST_FMR,
) -> AuthenticatedOut:
    """Is the living face of a photo taken now this person? Locks the person after failed tries."""
    (photo,) = await read_images([image], running.settings)

    def decide() -> Any:
        check = Authenticator(running.gallery, running.pipeline, running.passive.check())
        with running.batcher.room([photo]):
            picture = running.batcher.load(photo)
            return check.authenticate(collection, person_id, picture, fmr=fmr)

    return AuthenticatedOut.model_validate(await running.writes.run(decide))


@people.post("/{person_id}/unlock", status_code=204, responses=errors(404, 503, 507))
def unlock_person(running: Running, collection: CollectionPath, person_id: PersonPath) -> Response:
    """Forgive a person's failed tries to authenticate."""
    Authenticator.unlock(running.gallery, collection, person_id)
    return Response(status_code=204)


def _of(running: Running, collection: str, session_id: str) -> Session:
    """A session of that collection. Raises ``OnboardingNotFound``, ``CollectionNotFound``."""
    name = running.gallery.collection(collection).name
    found = Cases(running.gallery).get(session_id)
    if found.collection != name:
        raise OnboardingNotFound("there is no onboarding session with this id in this collection")
    return found

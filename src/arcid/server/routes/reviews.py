"""The review queue: doubtful cases, a human's answers, and taking them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from arcid.errors import FaceNotFound
from arcid.events import Events, Reviews, ReviewState, Verdict
from arcid.gallery.imaging import encode_crop
from arcid.server.deps import CollectionPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors, require_crops
from arcid.server.routes.attendance import Actor, EventOut, Remark
from arcid.server.schemas import Id, In, Next, Out

router = APIRouter(
    prefix="/v1/collections/{collection}/reviews", tags=["reviews"], route_class=Route
)

ReviewPath = Annotated[Id, Path(description="Id of a review, which is that of its event.")]


class CandidateOut(Out):
    """Somebody the face may be."""

    person_id: str
    name: str
    cosine: float
    face_id: str | None = Field(description="The enrolled face that was nearest.")
    refused: bool = Field(description="A human said that it is not them.")


class ReviewOut(Out):
    """A doubtful case, as it stands."""

    id: str
    kind: Literal["identification"]
    state: ReviewState = Field(
        description="open; yes: it is `person_id`; no: nobody known; withdrawn: the event was "
        "taken back."
    )
    event: EventOut = Field(description="As it reads now.")
    candidates: list[CandidateOut] = Field(description="Nearest first.")
    target_fmr: float | None
    target_fpir: float | None = Field(description="The rate asked for: this, or the one before.")
    person_id: str | None
    name: str | None
    answer_id: str | None = Field(description="The newest answer: hand it in to take it back.")
    actor: str | None
    answered_at: datetime | None
    picture_kept: bool = Field(description="Of the face; `/face` shows it.")


class ReviewsOut(Out):
    reviews: list[ReviewOut] = Field(description="Newest first.")
    waiting: int = Field(description="How many are open in all.")
    next: Next


class AnswerIn(In):
    answer: Verdict = Field(
        description="yes: it is `person_id`. not_person: it is not, ask about the next. no: it is "
        "nobody known, an unknown visitor."
    )
    person_id: Id | None = Field(default=None, description="For yes and not_person.")
    block: bool = Field(
        default=True, description="Never take this face for whom it is said not to be."
    )
    actor: Actor = ""
    note: Remark = ""


class UndoIn(In):
    answer_id: Id | None = Field(default=None, description="Which answer; default: the newest.")
    actor: Actor = ""
    note: Remark = ""


@router.get("", responses=errors(404, 503))
def list_reviews(
    running: Running,
    collection: CollectionPath,
    state: Annotated[
        list[ReviewState] | None, Query(description="May be repeated; default: open.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> ReviewsOut:
    """Doubtful cases that wait for a human, or were answered."""
    queue = Reviews(running.gallery)
    found = queue.find(collection, states=state or ("open",), limit=limit, after=after)
    return ReviewsOut(
        reviews=[ReviewOut.model_validate(review) for review in found],
        waiting=queue.waiting(collection),
        next=found.next,
    )


@router.get("/{review_id}", responses=errors(404, 503))
def get_review(running: Running, collection: CollectionPath, review_id: ReviewPath) -> ReviewOut:
    """One doubtful case."""
    return ReviewOut.model_validate(Reviews(running.gallery).get(collection, review_id))


@router.get(
    "/{review_id}/face",
    response_class=Response,
    responses=errors(404, 503) | {200: {"content": {"image/png": {}}}},
)
def review_face(running: Running, collection: CollectionPath, review_id: ReviewPath) -> Response:
    """PNG of the aligned face in doubt, where the camera keeps crops."""
    require_crops(running, collection)
    review = Reviews(running.gallery).get(collection, review_id)
    trace = Events(running.gallery).trace(collection, review.id)
    if trace is None or trace.crop is None:
        raise FaceNotFound("no picture of this face is kept")
    running.looks.note("event.view", f"event:{review.id}", collection)
    return Response(encode_crop(trace.crop), media_type="image/png")


@router.post("/{review_id}/answer", responses=errors(400, 404, 409, 413, 503, 507))
def answer_review(
    running: Running, collection: CollectionPath, review_id: ReviewPath, body: AnswerIn
) -> ReviewOut:
    """A human's word. The same again changes nothing; another answer is refused until it is taken
    back."""
    done = Reviews(running.gallery).answer(
        collection,
        review_id,
        body.answer,
        actor=body.actor,
        person_id=body.person_id,
        note=body.note,
        block=body.block,
    )
    return ReviewOut.model_validate(done)


@router.post("/{review_id}/undo", responses=errors(400, 404, 409, 413, 503, 507))
def undo_review(
    running: Running, collection: CollectionPath, review_id: ReviewPath, body: UndoIn
) -> ReviewOut:
    """Take an answer back: the event, stay and departure are as before it."""
    done = Reviews(running.gallery).undo(
        collection, review_id, actor=body.actor, answer_id=body.answer_id, note=body.note
    )
    return ReviewOut.model_validate(done)

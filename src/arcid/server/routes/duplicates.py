"""Who is enrolled twice: runs in the background, pairs, answers and taking them back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from arcid.apps.duplicates import VIEW, Duplicates, PairState, Verdict, export
from arcid.server.deps import CollectionPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.routes.attendance import Actor, Remark
from arcid.server.schemas import Id, In, Next, Out

router = APIRouter(
    prefix="/v1/collections/{collection}/duplicates", tags=["duplicates"], route_class=Route
)

PairPath = Annotated[Id, Path(description="Id of a pair.")]
AnswerPath = Annotated[Id, Path(description="Id of an answer.")]


class SideOut(Out):
    """One person of a pair."""

    person_id: str
    name: str
    collection: str
    face_id: str = Field(description="The template nearest to the other's.")
    faces: int


class PairOut(Out):
    """Two people who may be one."""

    id: str
    run_id: str
    a: SideOut
    b: SideOut
    cosine: float
    probability: float
    fmr: float
    templates: int = Field(description="Pairs of their templates at the run's threshold.")
    state: PairState = Field(description="photo: one photo shows both, so they are two people.")
    same_photo: bool = Field(
        description="The same face of the same photo was enrolled under both names."
    )
    found_at: datetime
    answer_id: str | None = Field(description="The answer that stands: hand it in to undo it.")


class PairsOut(Out):
    pairs: list[PairOut] = Field(description="Most probable first.")
    waiting: int = Field(description="How many are open in all.")
    next: Next


class GroupOut(Out):
    """People who may all be one."""

    people: list[SideOut]
    pairs: list[str] = Field(description="Ids, most probable first.")
    refused: list[str] = Field(
        description="Pairs that would join it with somebody who cannot be one of them."
    )
    cosine: float = Field(description="Of the weakest pair that was needed.")


class GroupsOut(Out):
    groups: list[GroupOut] = Field(description="Largest first.")


class PairAnswerIn(In):
    answer: Verdict = Field(
        description="same: they are merged. different: asked again only where faces enrolled since "
        "are nearer. lookalike: different for good. unsure: asked no more for now."
    )
    keep_id: Id | None = Field(
        default=None, description="Of same: who stays; default: whoever has more faces."
    )
    merge: bool = Field(default=True, description="Of same: make them one person.")
    actor: Actor = ""
    note: Remark = ""


class PairAnswerOut(Out):
    """What a human said about two people."""

    id: str
    verdict: Verdict
    a_id: str
    a_name: str | None
    b_id: str
    b_name: str | None
    cosine: float
    actor: str
    note: str
    at: datetime
    merge_id: str | None = Field(description="They were merged; undoing the answer undoes that.")
    undone_at: datetime | None
    undone_by: str | None


class PairAnswersOut(Out):
    answers: list[PairAnswerOut] = Field(description="Newest first.")
    next: Next


class UndoPairIn(In):
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="For whom there is again, where their name is taken now.",
    )
    actor: Actor = ""


class UndonePairOut(Out):
    answer: PairAnswerOut
    pair_id: str | None = Field(description="The pair as it stands again.")
    missing_faces: int = Field(description="Deleted or given to somebody else since.")


@router.get("/pairs", responses=errors(404, 503))
def list_pairs(
    running: Running,
    collection: CollectionPath,
    state: Annotated[
        list[PairState] | None, Query(description="May be repeated; default: open.")
    ] = None,
    run: Annotated[Id | None, Query(description="Of one run.")] = None,
    limit: Limit = 100,
    after: After = None,
) -> PairsOut:
    """Pairs of people who may be one, the most probable first."""
    duplicates = Duplicates(running.gallery)
    found = duplicates.find(
        collection, states=state or ("open",), run_id=run, limit=limit, after=after
    )
    running.looks.note(VIEW, "duplicates:list", collection)
    return PairsOut(
        pairs=[PairOut.model_validate(pair) for pair in found],
        waiting=duplicates.waiting(collection),
        next=found.next,
    )


@router.get("/pairs/{pair_id}", responses=errors(404, 503))
def get_pair(running: Running, collection: CollectionPath, pair_id: PairPath) -> PairOut:
    """One pair."""
    pair = Duplicates(running.gallery).get(collection, pair_id)
    running.looks.note(VIEW, f"pair:{pair.id}", collection)
    return PairOut.model_validate(pair)


@router.post("/pairs/{pair_id}/answer", responses=errors(400, 404, 409, 413, 503, 507))
def answer_pair(
    running: Running, collection: CollectionPath, pair_id: PairPath, body: PairAnswerIn
) -> PairAnswerOut:
    """A human's word. The same again changes nothing; another answer is refused until it is taken
    back."""
    done = Duplicates(running.gallery).answer(
        collection,
        pair_id,
        body.answer,
        actor=body.actor,
        keep_id=body.keep_id,
        merge=body.merge,
        note=body.note,
    )
    return PairAnswerOut.model_validate(done)


@router.get("/answers", responses=errors(404, 503))
def list_pair_answers(
    running: Running,
    collection: CollectionPath,
    undone: Annotated[bool, Query(description="Also those that were taken back.")] = False,
    limit: Limit = 100,
    after: After = None,
) -> PairAnswersOut:
    """What was answered, newest first."""
    found = Duplicates(running.gallery).answers(collection, undone=undone, limit=limit, after=after)
    running.looks.note(VIEW, "duplicates:answers", collection)
    answers = [PairAnswerOut.model_validate(answer) for answer in found]
    return PairAnswersOut(answers=answers, next=found.next)


@router.post("/answers/{answer_id}/undo", responses=errors(400, 404, 409, 413, 503, 507))
def undo_pair_answer(
    running: Running, collection: CollectionPath, answer_id: AnswerPath, body: UndoPairIn
) -> UndonePairOut:
    """Take an answer back; people it merged are two again, with faces, names and events."""
    done = Duplicates(running.gallery).undo(collection, answer_id, actor=body.actor, name=body.name)
    return UndonePairOut.model_validate(done)


@router.get("/groups", responses=errors(404, 503))
def list_groups(running: Running, collection: CollectionPath) -> GroupsOut:
    """Groups of people who may all be one; two who cannot be one are never in one group."""
    found = Duplicates(running.gallery).groups(collection)
    running.looks.note(VIEW, "duplicates:groups", collection)
    return GroupsOut(groups=[GroupOut.model_validate(group) for group in found])


@router.get(
    "/export",
    response_class=Response,
    responses=errors(404, 503) | {200: {"content": {"text/csv": {}, "application/json": {}}}},
)
def export_pairs(
    running: Running, collection: CollectionPath, format: Literal["csv", "json"] = "csv"
) -> Response:
    """Every pair with its state."""
    book = Duplicates(running.gallery)
    pairs = list(book.every(collection))
    running.looks.note(VIEW, "duplicates:export", collection)
    book.disclosed(collection, pairs, format)
    text = export.WRITERS[format](pairs)
    headers = {"Content-Disposition": f'attachment; filename="duplicates.{format}"'}
    return Response(text, media_type=export.MEDIA[format], headers=headers)

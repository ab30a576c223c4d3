"""Everybody compared with everybody, in the background: begun, looked at, stopped, gone on with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field

from arcid.apps.duplicates import FALSE_PAIRS, Runs
from arcid.apps.duplicates.records import Kind, State
from arcid.server.deps import CollectionPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import ERASED, After, Limit, erased, errors
from arcid.server.routes.attendance import Actor
from arcid.server.schemas import CollectionName, Id, In, Next, Out

router = APIRouter(
    prefix="/v1/collections/{collection}/duplicates/runs", tags=["duplicates"], route_class=Route
)

RunPath = Annotated[Id, Path(description="Id of a run.")]


class RunIn(In):
    other: CollectionName | None = Field(
        default=None, description="Compare with that collection instead of within."
    )
    since_last: bool = Field(
        default=False, description="Only who came since the last whole run, with everybody."
    )
    false_pairs: float = Field(
        default=FALSE_PAIRS, gt=0, description="At most so many false pairs are expected."
    )
    allow_extrapolation: bool = Field(
        default=False, description="Use the calibration beyond its data, and say so."
    )
    actor: Actor = ""


class RunOut(Out):
    """A comparison of everybody with everybody, or as far as it has come."""

    id: str
    collection: str
    other: str | None
    kind: Kind
    state: State
    silent: bool = Field(description="It runs, but whoever ran it was cut off.")
    promise: str = Field(description="What its threshold means, in words.")
    false_pairs: float = Field(description="Expected at most, as asked for.")
    comparisons: int = Field(description="Pairs of two different people's templates.")
    target_fmr: float
    cosine_threshold: float
    false_low: int | None = Field(
        description="95 % of runs like it find so many false pairs or more, where photos are like "
        "those of the calibration; null: of runs begun before this was said."
    )
    false_high: int | None = Field(description="And so many or fewer.")
    extrapolated: bool
    combined: bool
    contract_id: str
    calibration_id: str
    templates: int
    blocks: int
    done: int
    share: float = Field(description="How much of it is done, 0 to 1.")
    pairs: int = Field(description="Pairs of people that it found last.")
    open: int = Field(description="Of them, waiting for an answer.")
    actor: str
    started_at: datetime
    beat_at: datetime = Field(description="Its last block.")
    ended_at: datetime | None
    worked_s: float
    problem: str | None


class RunsOut(Out):
    runs: list[RunOut] = Field(description="Newest first.")
    next: Next


@router.post("", status_code=202, responses=errors(400, 404, 409, 413, 503, 507))
def begin_run(running: Running, collection: CollectionPath, body: RunIn) -> RunOut:
    """Compare everybody with everybody, in the background; ask for the run to see how far it is."""
    run = Runs(running.gallery).begin(
        collection,
        running.pipeline.calibration,
        other=body.other,
        since_last=body.since_last,
        false_pairs=body.false_pairs,
        allow_extrapolation=body.allow_extrapolation,
        actor=body.actor,
    )
    running.duplicates.wake()
    return RunOut.model_validate(run)


@router.get("", responses=errors(404, 503))
def list_runs(
    running: Running, collection: CollectionPath, limit: Limit = 100, after: After = None
) -> RunsOut:
    """Runs of a collection, newest first."""
    found = Runs(running.gallery).find(collection, limit=limit, after=after)
    return RunsOut(runs=[RunOut.model_validate(run) for run in found], next=found.next)


@router.get("/{run_id}", responses=errors(404, 503))
def get_run(running: Running, collection: CollectionPath, run_id: RunPath) -> RunOut:
    """How far a run is."""
    return RunOut.model_validate(Runs(running.gallery).get(collection, run_id))


@router.post("/{run_id}/stop", responses=errors(404, 503, 507))
def stop_run(running: Running, collection: CollectionPath, run_id: RunPath) -> RunOut:
    """End a run after its last whole block; what it found stays."""
    return RunOut.model_validate(Runs(running.gallery).stop(collection, run_id))


@router.post("/{run_id}/resume", status_code=202, responses=errors(404, 503, 507))
def resume_run(running: Running, collection: CollectionPath, run_id: RunPath) -> RunOut:
    """Go on with a run that was stopped, failed or was cut off."""
    run = Runs(running.gallery).go_on(collection, run_id)
    running.duplicates.wake()
    return RunOut.model_validate(run)


@router.delete("/{run_id}", status_code=204, responses=ERASED | errors(404, 503, 507))
def delete_run(running: Running, collection: CollectionPath, run_id: RunPath) -> Response:
    """Forget a run and the pairs that it was the last to find; answers stay."""
    Runs(running.gallery).delete(collection, run_id)
    return erased(running)

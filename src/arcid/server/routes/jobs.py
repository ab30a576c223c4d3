"""Long work on a collection, in the background: begun, looked at, stopped, gone on with, ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, Field

from arcid import files
from arcid.apps import jobs
from arcid.apps.duplicates import FALSE_PAIRS
from arcid.apps.importing import Source
from arcid.apps.jobs import Job, Jobs, Kind, Options, State, preview
from arcid.gallery import NewConsent
from arcid.protection import Verb
from arcid.server.deps import Running, Services
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.schemas import CollectionName, Id, In, Next, Out
from arcid.server.scopes import Credential, Need, require
from arcid.types import Selection

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Route)

JobPath = Annotated[Id, Path(description="Id of a job.")]
VERBS: dict[Kind, Verb] = {
    "import": "enrol",
    "delete_people": "delete",
    "reembed": "admin",
    "duplicates": "search",
}
UPLOADED = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class ConsentIn(In):
    text: str = Field(min_length=1, max_length=200, description="Version of the text agreed to.")
    evidence: str = Field(default="", max_length=1000, description="Where that can be seen.")
    by: str = Field(default="themselves", min_length=1, max_length=200, description="Who agreed.")
    at: AwareDatetime | None = Field(default=None, description="When; left out: now.")


class ImportIn(In):
    """Photos of many people: an uploaded zip, or a folder on the service's machine."""

    collection: CollectionName
    upload: Id | None = Field(default=None, description="Id of an uploaded zip.")
    folder: str | None = Field(
        default=None, max_length=1000, description="Or a folder inside that of `ARCID_IMPORTS`."
    )
    list_upload: Id | None = Field(
        default=None,
        description="Id of an uploaded CSV with `person` and `photo`; without, `people.csv` beside "
        "the photos, else one folder per person.",
    )
    select: Selection = "prominent"
    require_quality: bool = True
    allow_duplicate: bool = False
    aligned: bool = Field(default=False, description="The photos are aligned, square crops.")
    consent: ConsentIn | None = Field(
        default=None, description="Of everybody of whom the list says none."
    )


class DeletionIn(In):
    collection: CollectionName
    people: list[str] = Field(
        min_length=1, max_length=20_000, description="Whom, by id or by name."
    )


class ReembeddingIn(In):
    collection: CollectionName


class DuplicatesIn(In):
    collection: CollectionName
    other: CollectionName | None = None
    since_last: bool = False
    false_pairs: float = Field(default=FALSE_PAIRS, gt=0)
    allow_extrapolation: bool = False


class JobOut(Out):
    """Long work, or as far as it has come."""

    id: str
    kind: Kind
    collection: str
    state: State
    silent: bool = Field(description="It runs, but whoever ran it was cut off; it is taken up.")
    total: int = Field(description="Items; of duplicates: blocks.")
    done: int = Field(description="Of them, refused ones too.")
    refused: int
    share: float = Field(description="How much of it is done, 0 to 1.")
    run_id: str | None = Field(description="Of duplicates: the run that it stands for.")
    actor: str = Field(description="Who began it, as the audit names them.")
    holder: str = Field(description="Which process works on it, or did last.")
    created_at: datetime
    beat_at: datetime = Field(description="Its last change.")
    ended_at: datetime | None
    problem: str | None


class JobsOut(Out):
    jobs: list[JobOut] = Field(description="Newest first.")
    next: Next


class LeftOut(Out):
    """Something that was not taken, and why."""

    item: str = Field(description="Where a photo lies, or whom or what it is about.")
    person: str = Field(description="Their name; empty where there is none.")
    code: str
    message: str


class PreviewOut(Out):
    """What an import would take, and what not."""

    people: int
    items: int
    left_by_reason: dict[str, int]
    left: list[LeftOut] = Field(description="The first thousand.")


class UploadOut(Out):
    id: str
    bytes: int


@router.post("/uploads", status_code=201, openapi_extra=UPLOADED, responses=errors(413, 429, 507))
async def upload_for_job(request: Request, running: Running) -> UploadOut:
    """Send a zip of photos, or a CSV, as the body itself (`curl --data-binary @photos.zip`); it is
    kept until its job ends, or for a day where none begins."""
    used = await run_in_threadpool(running.jobs.pending)
    found, size = await running.jobs.uploads.receive(
        request.stream(), max_bytes=running.settings.max_archive_bytes, used=used
    )
    return UploadOut(id=found, bytes=size)


@router.delete("/uploads/{upload_id}", status_code=204, responses=errors(404, 409))
def delete_upload(running: Running, upload_id: Annotated[Id, Path()]) -> Response:
    """Delete what was uploaded; where a job still needs it, that job is cancelled."""
    running.jobs.delete_upload(upload_id)
    return Response(status_code=204)


@router.post("/imports/check", responses=errors(400, 404, 413, 503))
def check_import(request: Request, running: Running, body: ImportIn) -> PreviewOut:
    """What an import would take along and what not, and why; no photo is looked at."""
    _require(request, running, "import", body.collection)
    with _source(running, body) as source:
        found = preview(running.gallery, body.collection, source).to_dict()
    return PreviewOut(**found | {"left": found["left"][:1000]})


@router.post("/imports", status_code=202, responses=errors(400, 404, 413, 503, 507))
def begin_import(request: Request, running: Running, body: ImportIn) -> JobOut:
    """Import photos of many people: an uploaded zip, or a folder on the service's machine."""
    _require(request, running, "import", body.collection)
    options = Options(body.select, body.require_quality, body.allow_duplicate)
    with _source(running, body) as source:
        job = jobs.begin_import(running.gallery, body.collection, source, options)
    return _begun(running, job)


@router.post("/deletions", status_code=202, responses=errors(400, 404, 413, 503, 507))
def begin_deletion(request: Request, running: Running, body: DeletionIn) -> JobOut:
    """Delete many people with all that is kept of them; each leaves a receipt."""
    _require(request, running, "delete_people", body.collection)
    return _begun(running, jobs.begin_deletion(running.gallery, body.collection, body.people))


@router.post("/reembeddings", status_code=202, responses=errors(400, 404, 413, 503, 507))
def begin_reembedding(request: Request, running: Running, body: ReembeddingIn) -> JobOut:
    """Embed the kept crops with the service's model, beside the vectors that are there."""
    _require(request, running, "reembed", body.collection)
    found = jobs.begin_reembedding(running.gallery, body.collection, running.pipeline)
    return _begun(running, found)


@router.post("/duplicates", status_code=202, responses=errors(400, 404, 409, 413, 503, 507))
def begin_duplicates(request: Request, running: Running, body: DuplicatesIn) -> JobOut:
    """Compare everybody with everybody: a job that stands for a run of
    `/v1/collections/{collection}/duplicates/runs`."""
    _require(request, running, "duplicates", body.collection)
    if body.other is not None:
        _require(request, running, "duplicates", body.other)
    options = body.model_dump(exclude={"collection"})
    calibration = running.pipeline.calibration
    job = jobs.begin_duplicates(running.gallery, body.collection, calibration, **options)
    running.duplicates.wake()
    return _begun(running, job)


@router.get("", responses=errors(503))
def list_jobs(
    request: Request, running: Running, limit: Limit = 100, after: After = None
) -> JobsOut:
    """Jobs of the collections that the key may see, newest first."""
    mine = _credential(request).collections
    found = Jobs(running.gallery).find(collections_=mine, limit=limit, after=after)
    return JobsOut(jobs=[JobOut.model_validate(job) for job in found], next=found.next)


@router.get("/{job_id}", responses=errors(404, 503))
def get_job(request: Request, running: Running, job_id: JobPath) -> JobOut:
    """How far a job is."""
    return JobOut.model_validate(_job(request, running, job_id, "read"))


@router.get(
    "/{job_id}/report",
    response_class=Response,
    responses=errors(404, 503) | {200: {"content": {"text/csv": {}, "application/json": {}}}},
)
def job_report(
    request: Request, running: Running, job_id: JobPath, format: Literal["csv", "json"] = "csv"
) -> Response:
    """Every item that was refused, and why."""
    job = _job(request, running, job_id, "read")
    running.looks.note("job.report", f"job:{job.id}", job.collection)
    rows = [one.to_dict() for one in Jobs(running.gallery).every_refused(job.id)]
    text = json.dumps(rows)
    if format == "csv":
        text = files.csv_text(tuple(LeftOut.model_fields), [tuple(row.values()) for row in rows])
    headers = {"Content-Disposition": f'attachment; filename="refused.{format}"'}
    media = {"csv": "text/csv; charset=utf-8", "json": "application/json"}[format]
    return Response(text, media_type=media, headers=headers)


@router.post("/{job_id}/stop", responses=errors(404, 503, 507))
def stop_job(request: Request, running: Running, job_id: JobPath) -> JobOut:
    """Stop a job; what is done stays, and `resume` goes on. Needs what beginning it needs."""
    return _changed(request, running, job_id, Jobs.stop)


@router.post("/{job_id}/resume", status_code=202, responses=errors(404, 503, 507))
def resume_job(request: Request, running: Running, job_id: JobPath) -> JobOut:
    """Go on with a job that was stopped, failed or cut off."""
    return _changed(request, running, job_id, Jobs.go_on)


@router.post("/{job_id}/cancel", responses=errors(404, 503, 507))
def cancel_job(request: Request, running: Running, job_id: JobPath) -> JobOut:
    """End a job for good: what is done stays done, what was uploaded for it is deleted."""
    return _changed(request, running, job_id, Jobs.cancel)


def _begun(running: Services, job: Job) -> JobOut:
    running.jobs.wake()
    return JobOut.model_validate(job)


def _changed(request: Request, running: Services, job_id: str, change: Any) -> JobOut:
    _job(request, running, job_id)
    job = change(Jobs(running.gallery), job_id)
    running.jobs.wake()
    running.duplicates.wake()
    return JobOut.model_validate(job)


def _job(request: Request, running: Services, job_id: str, verb: Verb | None = None) -> Job:
    """``verb`` None: what beginning it needs."""
    job = Jobs(running.gallery).get(job_id)
    _require(request, running, job.kind, job.collection, verb)
    return job


@contextmanager
def _source(running: Services, body: ImportIn) -> Iterator[Source]:
    given, consent = body.consent, None
    if given is not None:
        consent = NewConsent(given.text, given.evidence, given.by, "", given.at)
    spec = {
        "kind": "zip" if body.upload else "folder", "upload": body.upload,
        "folder": body.folder or "", "list_upload": body.list_upload, "aligned": body.aligned,
        "consent": jobs.consent_spec(consent),
    }  # fmt: skip
    source = jobs.open_source(spec, running.jobs.uploads, running.jobs.allowed)
    try:
        yield source
    finally:
        source.close()


def _require(
    request: Request, running: Services, kind: Kind, collection: str, verb: Verb | None = None
) -> None:
    """``verb`` None: what beginning a job of that kind needs."""
    need = Need(verb or VERBS[kind], "collection")
    require(_credential(request), need, running.gallery, collection)


def _credential(request: Request) -> Credential:
    found: Credential = request.scope["state"]["credential"]
    return found

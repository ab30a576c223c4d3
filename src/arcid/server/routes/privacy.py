"""What a collection is for and how long what is kept; who agreed, and who takes it back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, Field

from arcid import paths
from arcid.gallery import NewConsent
from arcid.protection import (
    Consents,
    Disclosures,
    Policies,
    Receipts,
    Retention,
    exported,
)
from arcid.server.deps import CollectionPath, PersonPath, Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors, require_crops
from arcid.server.routes.audit import Moment
from arcid.server.schemas import Id, In, Next, Out
from arcid.server.scopes import Credential

router = APIRouter(prefix="/v1/collections/{collection}", tags=["privacy"], route_class=Route)
schedule = APIRouter(prefix="/v1", tags=["privacy"], route_class=Route)

Text = Annotated[str, Field(max_length=1000)]
Short = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Led = Literal["erase", "review"]
OPEN_END = "null: without end."


class PolicyOut(Out):
    purpose: str
    legal_basis: str
    consent: bool = Field(description="Demanded before a face is enrolled.")
    on_withdrawal: Led = Field(
        description="erase: the person is deleted at once; review: somebody decides."
    )
    unseen_days: float | None = Field(
        description=f"People are deleted so long after they were seen or enrolled last; {OPEN_END}"
    )
    keep_days: float | None = Field(
        description=f"People are deleted so long after they were added; {OPEN_END}"
    )
    strangers_hours: float = Field(description="Faces of people who are not enrolled.")
    event_faces_days: float = Field(description="Faces behind events of people who are.")
    refused_days: float | None = Field(
        description="Faces that were said not to be somebody, as numbers; null: as long as the "
        "person."
    )
    crops_for: list[str] | None = Field(
        description="Roles that may see pictures of faces, `key` for API keys; null: whoever may "
        "see people."
    )
    published: bool = Field(description="On the page for the public.")
    people: int = Field(description="With faces.")
    agreed: int = Field(description="Of them, whose consent stands.")
    withdrawn: list[str] = Field(description="Ids of who withdrew and waits for a decision.")


class PolicyPatch(In):
    """What is left out stays."""

    purpose: Text | None = None
    legal_basis: Text | None = None
    consent: bool | None = None
    on_withdrawal: Led | None = None
    unseen_days: Days | None = Field(default=None, description=OPEN_END)
    keep_days: Days | None = Field(default=None, description=OPEN_END)
    strangers_hours: float | None = Field(default=None, gt=0, le=720)
    event_faces_days: Days | None = None
    refused_days: Days | None = Field(default=None, description=OPEN_END)
    crops_for: list[Short] | None = Field(default=None, max_length=20)
    published: bool | None = None


#: Where null means something; elsewhere it is as left out.
NULLABLE = ("unseen_days", "keep_days", "refused_days", "crops_for")


class ConsentIn(In):
    text: Short = Field(description="Version of the text they agreed to.", examples=["2026-03"])
    evidence: Text = Field(default="", description="Where that can be seen; no name.")
    by: Short = Field(default="themselves", description="Or who agreed for them, as a parent.")
    what: Text = Field(default="", description="To what; empty: the purpose of the collection.")
    at: AwareDatetime | None = Field(default=None, description="When; left out: now.")


class ConsentOut(Out):
    id: str
    person_id: str
    what: str
    text: str
    by: str
    evidence: str
    given_at: datetime
    recorded_at: datetime
    recorded_by: str = Field(description="The credential, as the audit names it.")
    withdrawn_at: datetime | None
    withdrawn_by: str | None


class ConsentsOut(Out):
    consents: list[ConsentOut] = Field(description="Newest first.")


class WithdrawIn(In):
    reason: Text = Field(default="", description="Kept in the audit; no name.")


class WithdrawalOut(Out):
    person_id: str
    ended: int = Field(description="Consents that stood.")
    outcome: Literal["erased", "review"] = Field(
        description="erased: the person is deleted; review: they are found as before until "
        "somebody decides."
    )
    receipt: str | None = Field(description="Of the erasure.")


@router.get("/policy", responses=errors(404, 503))
def get_policy(running: Running, collection: CollectionPath) -> PolicyOut:
    """What the collection is for, who must have agreed, how long what is kept, and who agreed."""
    policies = Policies(running.gallery)
    found, standing = policies.of(collection), policies.standing(collection)
    return PolicyOut.model_validate(found.to_dict() | standing.to_dict())


@router.patch("/policy", responses=errors(400, 404, 413, 503, 507))
def change_policy(running: Running, collection: CollectionPath, body: PolicyPatch) -> PolicyOut:
    """Change it. A shorter time erases at the service's next turn."""
    given = body.model_dump(exclude_unset=True)
    changes = {key: given[key] for key in given if given[key] is not None or key in NULLABLE}
    Policies(running.gallery).change(collection, **changes)
    return get_policy(running, collection)


@router.get("/people/{person_id}/consents", responses=errors(404, 503))
def list_consents(
    running: Running, collection: CollectionPath, person_id: PersonPath
) -> ConsentsOut:
    """What a person agreed to, and what was taken back."""
    found = Consents(running.gallery).of(collection, person_id)
    return ConsentsOut(consents=[ConsentOut.model_validate(one) for one in found])


@router.post(
    "/people/{person_id}/consents", status_code=201, responses=errors(400, 404, 413, 503, 507)
)
def record_consent(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: ConsentIn
) -> ConsentOut:
    """Record that a person agreed."""
    given = NewConsent(body.text, body.evidence, body.by, body.what, body.at)
    return ConsentOut.model_validate(Consents(running.gallery).record(collection, person_id, given))


@router.post("/people/{person_id}/consents/withdraw", responses=errors(400, 404, 413, 503, 507))
def withdraw_consent(
    running: Running, collection: CollectionPath, person_id: PersonPath, body: WithdrawIn
) -> WithdrawalOut:
    """Take back what a person agreed to; the collection's policy says what follows."""
    led = Consents(running.gallery).withdraw(collection, person_id, reason=body.reason)
    return WithdrawalOut.model_validate(led.to_dict())


class CountsOut(Out):
    people: int
    strangers: int = Field(description="Faces of people who are not enrolled.")
    event_faces: int = Field(description="Faces behind events of people who are.")
    refused: int = Field(description="Faces that were said not to be somebody.")


class RunOut(Out):
    began_at: datetime
    ended_at: datetime | None = Field(description="null: at work, or ended in the middle.")
    by: str
    erased: dict[str, CountsOut] = Field(description="By the collection's id.")
    total: int


class RetentionOut(Out):
    due: dict[str, CountsOut] = Field(description="Too old now, by the collection's name.")
    runs: list[RunOut] = Field(description="Newest first; of those that erased nothing, the last.")


@schedule.get("/retention", responses=errors(503))
def get_retention(running: Running) -> RetentionOut:
    """What is older than its collection keeps it, and what was erased when."""
    book = Retention(running.gallery)
    return RetentionOut(
        due={name: CountsOut(**counts.to_dict()) for name, counts in book.due().items()},
        runs=[RunOut.model_validate(run.to_dict()) for run in book.runs()],
    )


class ReceiptOut(Out):
    id: str
    subject: str = Field(examples=["person:3f2a9c01d4b74e0c9a3c5d1f0b6a7e88"])
    collection_id: str
    at: datetime
    by: str = Field(description="The credential, as the audit names it.")
    reason: str
    destroyed: dict[str, int] = Field(description="How much, by kind.")
    data_keys: list[int] = Field(description="Ids of keys that were destroyed with it.")
    audit_row: int


class ReceiptsOut(Out):
    receipts: list[ReceiptOut] = Field(description="Newest first.")
    next: Next


class DisclosureOut(Out):
    at: datetime
    kind: Literal["told", "export", "subject"] = Field(
        description="To a receiver of events; as a file; to the person themselves."
    )
    recipient: str
    actor: str
    collection_id: str | None
    person_id: str | None = Field(description="null: nobody known.")
    what: str


class DisclosuresOut(Out):
    disclosures: list[DisclosureOut] = Field(description="Newest first.")
    next: Next


@schedule.get("/receipts", responses=errors(503))
def list_receipts(
    running: Running,
    subject: Annotated[
        str | None, Query(max_length=200, description="person:ID or collection:ID.")
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> ReceiptsOut:
    """What was erased, by kind and count. No names."""
    book = Receipts(running.gallery, paths.home_dir())
    found = book.find(subject=subject, limit=limit, after=after)
    told = [ReceiptOut.model_validate(one.to_dict()) for one in found]
    return ReceiptsOut(receipts=told, next=found.next)


@schedule.get(
    "/receipts/{receipt_id}",
    response_class=Response,
    responses=errors(404, 501, 503, 507) | {200: {"content": {"application/json": {}}}},
)
def get_receipt(running: Running, receipt_id: Id) -> Response:
    """The signed file; `arcid receipts verify FILE` checks it offline."""
    data = Receipts(running.gallery, paths.home_dir()).file(receipt_id)
    headers = {"Content-Disposition": f'attachment; filename="receipt-{receipt_id[:12]}.json"'}
    return Response(data, media_type="application/json", headers=headers)


@schedule.get("/disclosures", responses=errors(503))
def list_disclosures(
    running: Running,
    person_id: Annotated[
        Id | None, Query(description="Also of somebody who is erased by now.")
    ] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Limit = 100,
    after: After = None,
) -> DisclosuresOut:
    """Who was told what about whom; kept for three years."""
    found = Disclosures(running.gallery).find(
        person_id=person_id, since=since, until=until, limit=limit, after=after
    )
    told = [DisclosureOut.model_validate(one.to_dict()) for one in found]
    return DisclosuresOut(disclosures=told, next=found.next)


@router.post(
    "/people/{person_id}/export",
    response_class=Response,
    responses=errors(404, 503, 507) | {200: {"content": {"application/zip": {}}}},
)
def export_person(
    running: Running, collection: CollectionPath, person_id: PersonPath, request: Request
) -> Response:
    """All that is held of a person as a zip of JSON and pictures, for themselves.

    Without the numbers of their faces, unless the key has the verb `vectors`.
    """
    require_crops(running, collection)
    credential: Credential = request.scope["state"]["credential"]
    data = exported(running.gallery, collection, person_id, vectors="vectors" in credential.verbs)
    headers = {"Content-Disposition": f'attachment; filename="person-{person_id[:12]}.zip"'}
    return Response(data, media_type="application/zip", headers=headers)

"""Who looked at or decided about people, and whether the record is whole."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from arcid import paths
from arcid.events import Audit
from arcid.events.seals import own_keys
from arcid.server.deps import Running
from arcid.server.lanes import Route
from arcid.server.routes._common import After, Limit, errors
from arcid.server.schemas import Next, Out

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=Route)

Moment = Annotated[AwareDatetime | None, Query(description="ISO 8601 with a zone.")]


class EntryOut(Out):
    """One row. It holds ids, and no names."""

    seq: int = Field(description="1, 2, 3, … over all collections, without a gap.")
    at: datetime
    actor: str = Field(examples=["key:1f8e22aa"])
    address: str | None = Field(description="Of the client, where somebody acted over a network.")
    verb: str = Field(examples=["person.delete"])
    subject: str = Field(examples=["person:3f2a9c01d4b74e0c9a3c5d1f0b6a7e88"])
    collection_id: str | None
    reason: str
    details: dict[str, Any]
    digest: str = Field(description="sha256 over this row and the digest before it.")


class AuditOut(Out):
    entries: list[EntryOut] = Field(description="Newest first.")
    next: Next


class VerifiedOut(Out):
    rows: int = Field(description="Those that are as written, from the first on.")
    digest: str = Field(description="Of the last of them.")
    first_wrong: int | None = Field(description="The first row that is not as written.")
    problem: str | None = Field(description="What is wrong, in words; null: nothing.")
    seals: int = Field(description="Days that are sealed, each as it was signed.")
    sealed: int = Field(description="Up to this row.")
    unsealed_days: list[date] = Field(description="Since the first seal, that should have one.")


@router.get("", responses=errors(404, 503))
def list_audit(
    running: Running,
    actor: Annotated[str | None, Query(max_length=200)] = None,
    verb: Annotated[
        str | None, Query(max_length=64, description="person.delete, or person for all of them.")
    ] = None,
    subject: Annotated[str | None, Query(max_length=200)] = None,
    collection: Annotated[
        str | None, Query(max_length=200, description="By name, or by id where it is deleted.")
    ] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Limit = 100,
    after: After = None,
) -> AuditOut:
    """Who looked at or decided about people, when and why."""
    found = Audit(running.gallery).find(
        actor=actor, verb=verb, subject=subject, collection=collection, since=since, until=until,
        limit=limit, after=after,
    )  # fmt: skip
    return AuditOut(
        entries=[EntryOut.model_validate(entry.to_dict()) for entry in found], next=found.next
    )


@router.get("/verify", responses=errors(503))
def verify_audit(running: Running) -> VerifiedOut:
    """Read the whole chain and every seal: no row was altered, removed or moved."""
    found = Audit(running.gallery).verify(own_keys(paths.home_dir()))
    return VerifiedOut.model_validate(found.to_dict())

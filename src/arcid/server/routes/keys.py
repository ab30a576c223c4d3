"""API keys: made, rotated, revoked; the service and others on the database follow at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from arcid.protection import ApiKey, Keys, Verb
from arcid.protection.keys import LONGEST, LONGEST_OVERLAP, MAX_PER_MINUTE, State
from arcid.server.deps import Running
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import CollectionName, In, Out
from arcid.server.scopes import NEEDS, Credential, Need, lacking

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=Route)

KeyPath = Annotated[str, Path(min_length=1, max_length=200, description="Id or name of a key.")]
Days = Annotated[float | None, Field(gt=0, le=LONGEST.days)]


class KeyIn(In):
    name: CollectionName = Field(description="Of the program that will show it.", examples=["door"])
    verbs: list[Verb] = Field(min_length=1, max_length=20, description="What it may do.")
    collections: list[CollectionName] | None = Field(
        None, min_length=1, max_length=1000, description="The only ones it reaches; null: all."
    )
    days: Days = Field(None, description="It expires after so many; null: never.")
    per_minute: int | None = Field(
        None, ge=1, le=MAX_PER_MINUTE, description="Requests; one more is answered with 429."
    )


class RotateIn(In):
    overlap_hours: float = Field(
        24.0,
        ge=0,
        le=24 * LONGEST_OVERLAP.days,
        description="For so long the old one is taken, too.",
    )
    days: Days = Field(None, description="It expires after so many; null: when it did before.")


class KeyOut(Out):
    """A key as it stands. What programs show is not in it."""

    id: str
    name: str
    prefix: str = Field(description="How what programs show begins.")
    state: State
    verbs: list[Verb]
    collections: list[str] | None = Field(description="null: all.")
    per_minute: int | None
    created_at: datetime
    created_by: str = Field(examples=["account:77c0", "os:1000"])
    expires_at: datetime | None
    old_until: datetime | None = Field(description="Until then the one before is taken, too.")
    revoked_at: datetime | None
    used_at: datetime | None = Field(description="Within a minute.")


class MadeOut(Out):
    key: KeyOut
    secret: str = Field(description="What programs show. Told once; arcid keeps its sha256.")


class KeysOut(Out):
    keys: list[KeyOut] = Field(description="By name, those that ended included.")


@router.get("", responses=errors(503))
def list_keys(running: Running) -> KeysOut:
    """Stored keys; those of `ARCID_API_KEYS` are not among them."""
    return KeysOut(keys=[KeyOut.model_validate(key) for key in Keys(running.gallery).all()])


@router.post("", status_code=201, responses=errors(400, 404, 409, 413, 503, 507))
def add_key(running: Running, request: Request, body: KeyIn) -> MadeOut:
    """A new key. Nobody hands out what their own key may not do."""
    _within(request, body.verbs)
    lasts = None if body.days is None else timedelta(days=body.days)
    made = Keys(running.gallery).add(
        body.name, body.verbs, collections=body.collections, lasts=lasts, per_minute=body.per_minute
    )
    return _made(running, made)


@router.post("/{key}/rotate", responses=errors(400, 404, 413, 503, 507))
def rotate_key(running: Running, request: Request, key: KeyPath, body: RotateIn) -> MadeOut:
    """A new secret for a key; id, verbs and collections stay."""
    keys = Keys(running.gallery)
    _within(request, keys.get(key).verbs)
    lasts = None if body.days is None else timedelta(days=body.days)
    made = keys.rotate(key, overlap=timedelta(hours=body.overlap_hours), lasts=lasts)
    return _made(running, made)


@router.delete("/{key}", status_code=204, response_model=None, responses=errors(404, 503, 507))
def revoke_key(running: Running, key: KeyPath) -> Response:
    """Revoke a key: it opens nothing any more. It stays listed, for the audit."""
    Keys(running.gallery).revoke(key)
    running.keys.refresh()
    return Response(status_code=204)


def _within(request: Request, verbs: Iterable[Verb]) -> None:
    """Raises ``HttpError`` 403 where the caller's key lacks one of the verbs."""
    credential: Credential = request.scope["state"]["credential"]
    for verb in sorted(set(verbs) - credential.verbs):
        raise lacking(
            f"this API key may not hand out what it does not have: {verb}",
            Need(verb, NEEDS["add_key"].reach),
        )


def _made(running: Running, made: tuple[ApiKey, str]) -> MadeOut:
    running.keys.refresh()
    return MadeOut(key=KeyOut.model_validate(made[0]), secret=made[1])

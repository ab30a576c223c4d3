"""Receivers of events: added, changed, tried; those of ``ARCID_WEBHOOKS`` are the settings'."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from arcid.apps.telling.hooks import KINDS, Hook, State
from arcid.apps.telling.webhook import MIN_SECRET
from arcid.server.deps import Running
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import CollectionName, In, Out

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=Route)

HookPath = Annotated[str, Path(min_length=1, max_length=200, description="Id or name of one.")]
Kinds = Annotated[
    list[str],
    Field(min_length=1, max_length=len(KINDS), description=f"Some of {', '.join(KINDS)}."),
]
Url = Annotated[str, Field(min_length=1, max_length=2000, examples=["https://hr.example/arcid"])]
Secret = Annotated[str, Field(min_length=MIN_SECRET, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class WebhookIn(In):
    name: CollectionName = Field(examples=["hr"])
    url: Url
    kinds: Kinds | None = Field(None, description="Kinds of events; null: all.")
    secret: Secret | None = Field(None, description="One of the receiver's; null: a new one.")
    enabled: bool = True


class WebhookPatch(In):
    """What is left out stays."""

    name: CollectionName | None = None
    url: Url | None = None
    kinds: Kinds | Literal["all"] | None = None
    enabled: bool | None = Field(
        None, description="While false no event is kept for it, and what waits goes on waiting."
    )


class RotateSecretIn(In):
    secret: Secret | None = Field(None, description="One of the receiver's; null: a new one.")


class WebhookOut(Out):
    """A receiver as it stands. The counts are of the last 30 days."""

    id: str
    name: str
    address: str = Field(description="Without what follows a `?`, which may be secret.")
    kinds: list[str] | None = Field(description="null: all.")
    enabled: bool
    locked: bool = Field(
        description="Address and secret were sealed with another `webhooks.key`: add it anew."
    )
    created_at: datetime
    created_by: str
    waiting: int
    done: int
    failed: int = Field(description="Given up after three days.")


class WebhookMade(Out):
    webhook: WebhookOut
    secret: str = Field(description="What messages are signed with. Told once.")


class Webhooks(Out):
    webhooks: list[WebhookOut] = Field(description="By name.")


class DeliveryOut(Out):
    """What became of one event for one receiver."""

    event_id: str
    kind: str
    recorded_at: datetime
    state: State = Field(description="failed: given up after three days.")
    attempts: int
    next_at: datetime | None = Field(description="When it is tried again.")
    ended_at: datetime | None
    problem: str | None = Field(description="Of the last attempt.")


class Deliveries(Out):
    deliveries: list[DeliveryOut] = Field(description="Newest first.")


class TriedOut(Out):
    """What a receiver answered."""

    delivered: bool
    status: int | None = Field(description="Of HTTP; null: no answer.")
    problem: str | None
    seconds: float


@router.get("", responses=errors(503))
def list_webhooks(running: Running) -> Webhooks:
    """Stored webhooks; those of `ARCID_WEBHOOKS` are not among them."""
    found = running.hooked.hooks.all()
    return Webhooks(webhooks=[WebhookOut.model_validate(hook) for hook in found])


@router.post("", status_code=201, responses=errors(400, 409, 413, 503, 507))
def add_webhook(running: Running, body: WebhookIn) -> WebhookMade:
    """Post events to an address, signed with a secret that is told once; 100 at most."""
    made = running.hooked.hooks.add(
        body.name, body.url, kinds=body.kinds, secret=body.secret, enabled=body.enabled
    )
    return _made(made)


@router.get("/{webhook}", responses=errors(404, 503))
def get_webhook(running: Running, webhook: HookPath) -> WebhookOut:
    """One webhook."""
    return WebhookOut.model_validate(running.hooked.hooks.get(webhook))


@router.patch("/{webhook}", responses=errors(400, 404, 409, 413, 503, 507))
def change_webhook(running: Running, webhook: HookPath, body: WebhookPatch) -> WebhookOut:
    """Change a webhook; services follow within a second or two."""
    changed = running.hooked.hooks.change(
        webhook,
        name=body.name,
        url=body.url,
        kinds=None if body.kinds == "all" else body.kinds,
        every_kind=body.kinds == "all",
        enabled=body.enabled,
    )
    return WebhookOut.model_validate(changed)


@router.delete("/{webhook}", status_code=204, response_model=None, responses=errors(404, 503, 507))
def delete_webhook(running: Running, webhook: HookPath) -> Response:
    """Forget a webhook with all that waits for it."""
    running.hooked.hooks.delete(webhook)
    return Response(status_code=204)


@router.post("/{webhook}/rotate", responses=errors(400, 404, 413, 503, 507))
def rotate_webhook(running: Running, webhook: HookPath, body: RotateSecretIn) -> WebhookMade:
    """Another secret, told once; the one before signs nothing any more."""
    return _made(running.hooked.hooks.rotate(webhook, secret=body.secret))


@router.post("/{webhook}/test", responses=errors(404, 503, 507))
def test_webhook(running: Running, webhook: HookPath) -> TriedOut:
    """Post one signed message of the kind `test` now, and tell what the receiver answered."""
    return TriedOut.model_validate(running.hooked.hooks.test(webhook))


@router.get("/{webhook}/deliveries", responses=errors(404, 503))
def list_deliveries(
    running: Running,
    webhook: HookPath,
    limit: Annotated[int, Query(ge=1, le=1000, description="Rows.")] = 100,
) -> Deliveries:
    """What became of the newest events of the last 30 days for a webhook."""
    found = running.hooked.hooks.deliveries(webhook, limit)
    return Deliveries(deliveries=[DeliveryOut.model_validate(one) for one in found])


def _made(made: tuple[Hook, str]) -> WebhookMade:
    return WebhookMade(webhook=WebhookOut.model_validate(made[0]), secret=made[1])

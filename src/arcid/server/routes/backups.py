"""Backups of the gallery that the service makes: those there are, and one more now."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from arcid.server.deps import Running
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import Out

router = APIRouter(prefix="/v1/backups", tags=["system"], route_class=Route)


class BackupOut(Out):
    """A file in the folder of backups."""

    name: str = Field(examples=["gallery-1f8e22aa-20261129T150000000000Z.db"])
    made_at: datetime
    bytes: int


class BackupsOut(Out):
    """How backups are doing."""

    scheduled: bool = Field(description="Whether `ARCID_BACKUPS` names a folder.")
    every_h: float = Field(description="How many hours lie between two.")
    keep: int = Field(description="How many of the newest stay.")
    problem: str | None = Field(description="What is wrong, in words; null: nothing.")
    backups: list[BackupOut] = Field(description="Newest first.")


@router.get("", responses=errors(503))
def list_backups(running: Running) -> BackupsOut:
    """Backups in the folder of `ARCID_BACKUPS`, and whether one is overdue or failed."""
    found, settings = running.backups.state(), running.settings
    return BackupsOut(
        scheduled=running.backups.schedule is not None,
        every_h=settings.backup_every_h,
        keep=settings.backup_keep,
        problem=found.problem,
        backups=[BackupOut(**one.to_dict()) for one in found.backups],
    )


@router.post("", status_code=201, responses=errors(503, 507))
def make_backup(running: Running) -> BackupOut:
    """Make a backup now: of one moment, read back and compared before it counts. Answers when it
    is done, and lets the oldest go."""
    return BackupOut(**running.backups.make().to_dict())

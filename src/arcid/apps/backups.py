"""Backups that a service makes by itself, one process of all that share a gallery, and how they do.

Backups(gallery, Schedule(Path("/mnt/backups"))).run()     makes one where one is due
state(gallery.stats()["identity"], schedule).problem       None, or what is wrong in words
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from arcid.errors import ArcidError, ConfigError, GalleryError, UsageError
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.gallery.copying import of_postgresql
from arcid.gallery.key_copies import require_apart
from arcid.types import instant

EVERY_H, KEEP = 24.0, 14
TRIED_AGAIN = timedelta(minutes=30)  # after one that failed
_COARSE_S = 2.0  # some disks keep times in steps of it
_AHEAD = timedelta(minutes=5)  # by so much clocks of services may differ
_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Where backups go, how often one is made, and how many of the newest stay."""

    folder: Path
    every: timedelta = timedelta(hours=EVERY_H)
    keep: int = KEEP
    keys: Path | None = None  # file for the newest copy of the key store

    @classmethod
    def of_environment(cls, variables: Mapping[str, str] = os.environ) -> Schedule | None:
        """As the service reads it; None where no folder is named. Raises ``ConfigError``."""
        if not (folder := variables.get("ARCID_BACKUPS")):
            return None
        try:
            every = timedelta(hours=float(variables.get("ARCID_BACKUP_EVERY_H") or EVERY_H))
        except (ValueError, OverflowError):
            raise ConfigError("ARCID_BACKUP_EVERY_H is a number of hours") from None
        keys = variables.get("ARCID_BACKUP_KEYS")
        return cls(Path(folder).expanduser(), every, keys=Path(keys).expanduser() if keys else None)


@dataclass(frozen=True, slots=True)
class Backup:
    """One file that is there."""

    path: Path
    made_at: datetime  # UTC
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.path.name, "made_at": instant(self.made_at), "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class State:
    """The backups that are there, newest first, and what is wrong, in words. What is dated after
    now was made while a clock was wrong, and stands last."""

    backups: tuple[Backup, ...]
    problem: str | None


def state(identity: str, schedule: Schedule, now: datetime | None = None) -> State:
    """How backups of a gallery are doing, by what lies in the folder."""
    now = now or datetime.now(UTC)
    try:
        found = tuple(_found(identity, schedule.folder))
    except OSError as error:
        return State((), f"the folder of backups cannot be read: {error.strerror}")
    if not found:
        return State((), "there is no backup yet; the service makes the first one when it runs")
    if now - found[0].made_at < -_AHEAD:
        return State(
            found,
            "every backup is dated after now, so the clock was wrong when it was made, or is; the "
            "service makes another when it runs",
        )
    if now - found[0].made_at > 2 * schedule.every:
        hours = (now - found[0].made_at) / timedelta(hours=1)
        return State(
            found,
            f"the newest backup is {hours:,.0f} hours old, and one is due every "
            f"{schedule.every / timedelta(hours=1):g}; the service's log and its System page say "
            "why there is none",
        )
    if schedule.keys is not None and not _is_newer(schedule.keys, found[0]):
        return State(found, f"{schedule.keys} is missing, or older than the newest backup")
    return State(found, None)


class Backups:
    """Makes them, one after the other. Thread-safe; another process at it is an error."""

    def __init__(self, gallery: Gallery, schedule: Schedule | None) -> None:
        self.schedule = schedule
        self.newest: Backup | None = None  # that this process found or made
        self._gallery = gallery
        self._failed: tuple[float, ArcidError] | None = None
        self._alone = threading.Lock()

    @cached_property
    def _identity(self) -> str:
        """Of the gallery, asked when it is first needed: a service starts without."""
        return str(self._gallery.stats()["identity"])

    @property
    def failed(self) -> bool:
        """Whether the last one that this process tried was not made."""
        return self._failed is not None

    def state(self) -> State:
        """As ``state``; a failure of this process comes first."""
        if self.schedule is None:
            return State((), None)
        found = state(self._identity, self.schedule)
        return found if self._failed is None else State(found.backups, self._failed[1].message)

    def run(self, gallery: Gallery | None = None) -> Backup | None:
        """Make one where one is due. Raises what went wrong, again and again until one is made."""
        if self.schedule is None:
            return None
        if self._failed is not None:
            at, error = self._failed
            if time.monotonic() - at < TRIED_AGAIN.total_seconds():
                raise type(error)(error.message)
        with suppress(OSError):
            self.newest = next(iter(_found(self._identity, self.schedule.folder)), None)
            if self.newest is not None and -_AHEAD <= _age(self.newest) < self.schedule.every:
                return None
        return self.make()

    def make(self) -> Backup:
        """Make one now, and let the oldest go. Raises ``UsageError`` where no folder is named, and
        what ``Gallery.backup`` does, which the audit is told."""
        if self.schedule is None:
            raise UsageError(
                "no folder for backups is named: set ARCID_BACKUPS, or run arcid gallery backup"
            )
        with self._alone:
            return self._make(self.schedule)

    def _make(self, schedule: Schedule) -> Backup:
        now, stem = datetime.now(UTC), _stem(self._gallery, self._identity)
        path = schedule.folder / f"{stem}-{now.strftime(_STAMP)}.db"
        try:
            self._gallery.backup(path, keys=schedule.keys)
        except (GalleryError, UsageError) as error:
            self._failed = (time.monotonic(), error)
            with suppress(ArcidError):  # the disk may be full for that, too
                Audit(self._gallery).record(
                    verb="gallery.backup_failed",
                    subject=f"gallery:{self._identity}",
                    details={"code": error.code},
                )
            raise
        self._failed = None
        others = [one for one in _found(self._identity, schedule.folder) if one.path != path]
        for old in others[max(schedule.keep - 1, 0) :]:
            with suppress(OSError):
                old.path.unlink()
        self.newest = Backup(path, now, path.stat().st_size)
        return self.newest


def check(schedule: Schedule | None, gallery: URL) -> None:
    """Raise ``ConfigError`` where a gallery in PostgreSQL is to be backed up by itself, or keys
    would lie beside what they open."""
    if schedule is None:
        return
    if gallery.get_backend_name() != "sqlite":
        raise ConfigError(f"ARCID_BACKUPS: {of_postgresql(gallery)}")
    if schedule.keys is not None:
        try:
            require_apart(schedule.keys, schedule.folder / "backup")
        except UsageError as error:
            raise ConfigError(f"ARCID_BACKUP_KEYS: {error.message}") from None


def _is_newer(keys: Path, backup: Backup) -> bool:
    try:
        return keys.stat().st_mtime >= backup.made_at.timestamp() - _COARSE_S
    except OSError:
        return False


def _age(backup: Backup) -> timedelta:
    return datetime.now(UTC) - backup.made_at


def _stem(gallery: Gallery, identity: str) -> str:
    path = gallery.database.path
    return f"{'gallery' if path is None else path.stem}-{identity[:8]}"


def _found(identity: str, folder: Path) -> list[Backup]:
    """Of one gallery, whatever others lie in the folder; newest first, those dated ahead last."""
    made = re.compile(rf".+-{identity[:8]}-(\d{{8}}T\d{{12}}Z)\.db")
    found = []
    for path in folder.iterdir() if folder.exists() else ():
        if (match := made.fullmatch(path.name)) is not None:
            at = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
            found.append(Backup(path, at, path.stat().st_size))
    return sorted(found, key=lambda b: (_age(b) >= -_AHEAD, b.made_at), reverse=True)

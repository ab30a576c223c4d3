"""Backups made by themselves: when, by whom, how many stay, and what is said where one fails."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests import databases

from arcid.apps import backups
from arcid.apps.backups import Backups, Schedule
from arcid.apps.doctor import examine
from arcid.errors import ConfigError, StorageFull, UsageError
from arcid.events import Audit
from arcid.gallery import Gallery, copying
from arcid.server.housekeeping import Housekeeping, Task


@pytest.fixture
def gallery(migrated: Path, tmp_path: Path) -> Iterator[Gallery]:
    home = tmp_path / "home"
    shutil.copytree(migrated, home)
    with Gallery.open(home / "gallery.db") as opened:
        opened.create_collection("staff")
        yield opened


@pytest.fixture
def schedule(tmp_path: Path) -> Schedule:
    return Schedule(tmp_path / "backups", timedelta(hours=6), 3)


def aged(schedule: Schedule, hours: float, *, but: Collection[Path] = ()) -> None:
    """Let every backup be as much older, ``but`` those."""
    for path in set(schedule.folder.iterdir()) - set(but):
        stem, _, stamp = path.stem.rpartition("-")
        at = datetime.strptime(stamp, "%Y%m%dT%H%M%S%fZ") - timedelta(hours=hours)
        path.rename(path.with_name(f"{stem}-{at.strftime('%Y%m%dT%H%M%S%fZ')}.db"))


def test_one_is_made_when_it_is_due_and_the_oldest_go(gallery: Gallery, schedule: Schedule) -> None:
    keeper = Backups(gallery, schedule)
    first = keeper.run()
    assert first is not None and copying.inspect(first.path).rows["collections"] == 1
    assert keeper.run() is None
    for made in range(2, 6):
        aged(schedule, 6.1)
        assert Backups(gallery, schedule).run() is not None  # also after a restart
        found = keeper.state()
        assert len(found.backups) == min(made, 3) and found.problem is None
        times = [one.made_at for one in found.backups]
        assert times == sorted(times, reverse=True)


def test_a_clock_that_was_ahead_keeps_none_from_being_made(
    gallery: Gallery, schedule: Schedule
) -> None:
    keeper = Backups(gallery, schedule)
    for _ in range(schedule.keep):
        keeper.make()
    aged(schedule, -24 * 365)  # then the clock was set back
    ahead = set(schedule.folder.iterdir())
    assert "the clock was wrong" in str(keeper.state().problem)
    for made in range(1, schedule.keep + 1):
        new = keeper.run()
        found = keeper.state()
        assert new is not None and found.backups[0].path == new.path and found.problem is None
        assert len(found.backups) == schedule.keep
        assert len(ahead.intersection(schedule.folder.iterdir())) == schedule.keep - made
        aged(schedule, 6.1, but=ahead)


def test_those_of_another_gallery_in_the_folder_stay(gallery: Gallery, schedule: Schedule) -> None:
    schedule.folder.mkdir()
    other = schedule.folder / "gallery-00000000-20200101T000000000000Z.db"
    other.write_bytes(b"another gallery's")
    keeper = Backups(gallery, schedule)
    for _ in range(5):
        keeper.make()
    assert len(keeper.state().backups) == 3 and other.exists()


def test_one_that_fails_is_told_and_tried_again_later(
    gallery: Gallery, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Backups(gallery, schedule)
    usage = shutil.disk_usage(schedule.folder.parent)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
        for _ in range(2):
            with pytest.raises(StorageFull, match="MiB"):
                keeper.run()
    assert keeper.failed and "MiB" in str(keeper.state().problem)
    with pytest.raises(StorageFull):
        keeper.run()  # not so soon
    (row,) = Audit(gallery).find(verb="gallery")
    assert (row.verb, row.details) == ("gallery.backup_failed", {"code": "storage_full"})
    monkeypatch.setattr(backups, "TRIED_AGAIN", timedelta(0))
    assert keeper.run() is not None
    assert not keeper.failed and keeper.state().problem is None


def test_of_all_services_one_makes_them(gallery: Gallery, schedule: Schedule) -> None:
    first, second = Backups(gallery, schedule), Backups(gallery, schedule)
    keepers = [Housekeeping(gallery, [Task("backup", 0.05, one.run)]) for one in (first, second)]
    for keeper in keepers:
        keeper.start()
    try:
        deadline = datetime.now(UTC) + timedelta(seconds=60)
        while not any(k.states[0].last for k in keepers) or not any(
            k.states[0].elsewhere for k in keepers
        ):
            assert datetime.now(UTC) < deadline
    finally:
        for keeper in keepers:
            keeper.close()
    assert [keeper.states[0].problem for keeper in keepers] == [None, None]
    assert len(first.state().backups) == 1


def test_doctor_says_how_they_are(
    gallery: Gallery, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> tuple[Any, list[str]]:
        report = examine(str(gallery.database.path))
        return report.facts["database"]["backups"], [
            problem.message for problem in report.problems if "backup" in problem.message
        ]

    monkeypatch.delenv("ARCID_BACKUPS", raising=False)
    assert said() == ("none are made by themselves; ARCID_BACKUPS names no folder", [])
    monkeypatch.setenv("ARCID_BACKUPS", str(schedule.folder))
    monkeypatch.setenv("ARCID_BACKUP_EVERY_H", "6")
    count, problems = said()
    assert count == 0 and "not of the key store" in problems[0] and "no backup yet" in problems[1]
    keys = schedule.folder.with_name("keys") / "newest"
    monkeypatch.setenv("ARCID_BACKUP_KEYS", str(keys))
    schedule = replace(schedule, keys=keys)
    Backups(gallery, schedule).make()
    assert said() == (1, [])
    aged(schedule, 13)
    count, problems = said()
    assert count == 1 and "13 hours old" in problems[0]


def test_where_none_can_be_made_it_is_said(gallery: Gallery, schedule: Schedule) -> None:
    with pytest.raises(UsageError, match="ARCID_BACKUPS"):
        Backups(gallery, None).make()
    schedule.folder.write_bytes(b"a file")
    keeper = Backups(gallery, schedule)
    with pytest.raises(UsageError):
        keeper.run()
    assert "cannot be written" in str(keeper.state().problem)
    assert "cannot be read" in str(backups.state("0" * 32, schedule).problem)
    with pytest.raises(ConfigError, match="number of hours"):
        Schedule.of_environment({"ARCID_BACKUPS": "b", "ARCID_BACKUP_EVERY_H": "daily"})


@pytest.mark.postgres
def test_a_schedule_for_postgresql_is_refused_with_its_own_tools(
    postgres: databases.Server, schedule: Schedule
) -> None:
    with postgres.database() as url, Gallery.open(url) as gallery:
        with pytest.raises(ConfigError, match="pg_dump"):
            backups.check(schedule, gallery.database.url)
        backups.check(None, gallery.database.url)

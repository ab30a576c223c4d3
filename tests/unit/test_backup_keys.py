"""The copy of the key store: after the gallery's, apart from it, and never an older one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.apps import backups
from arcid.apps.backups import Backups, Schedule
from arcid.errors import ConfigError, KeyUnavailable, UsageError
from arcid.gallery import Gallery, NewFace, copying, key_copies, opening
from arcid.gallery.database import Database
from arcid.gallery.engines import parse_url
from arcid.types import Embeddings

CONTRACT = "a" * 64


def probe(i: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, 64)), CONTRACT)


def enrol(gallery: Gallery, *numbers: int) -> None:
    for i in numbers:
        gallery.enrol("staff", f"Person {i}", [NewFace(probe(i), f"photo-{i}")])


def delete(gallery: Gallery, i: int) -> None:
    person = gallery.find_person("staff", f"Person {i}")
    assert person is not None
    gallery.delete_person("staff", person.id)


def nearest(path: Path, i: int) -> float:
    with Gallery.open(path, create=False) as gallery:
        assert gallery.check() == []
        return gallery.search("staff", probe(i), k=1)[0][0].cosine


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ARCID_KEY_STORE", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home" / "gallery.db"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with Gallery.open(path) as opened:
        opened.create_collection("staff")
        enrol(opened, 0, 1, 2)
        yield opened


def lose(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()


def test_gallery_and_keys_come_back_from_two_files(
    gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    backup, keys = tmp_path / "b" / "one.db", tmp_path / "k" / "keys"
    gallery.backup(backup, keys=keys)
    gallery.close()
    raw = [row[0] for row in wrapped(path.with_name("gallery.db-keys"))]
    assert raw and not any(one in backup.read_bytes() for one in raw)
    lose(path)
    done = opening.restore(backup, str(path), keys=keys)
    assert done.now.protected and done.now.rows["people"] == 3
    assert nearest(path, 1) > 0.999


def wrapped(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT wrapped FROM data_keys").fetchall()


def test_an_older_backup_and_the_newest_keys_do_not_bring_the_erased_back(
    gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    old, keys = tmp_path / "b" / "old.db", tmp_path / "k" / "keys"
    gallery.backup(old, keys=keys)
    delete(gallery, 1)
    gallery.backup(tmp_path / "b" / "new.db", keys=keys)
    gallery.close()
    lose(path)
    opening.restore(old, str(path), keys=keys)
    with Gallery.open(path) as restored:
        assert [one.name for one in restored.everybody("staff")] == ["Person 0", "Person 2"]
    assert b"Person 1" not in path.read_bytes()


def test_keys_never_lie_beside_what_they_open(gallery: Gallery, tmp_path: Path) -> None:
    backup = tmp_path / "b" / "one.db"
    with pytest.raises(UsageError, match="another folder"):
        gallery.backup(backup, keys=tmp_path / "b" / "keys")
    assert not backup.exists()
    schedule = Schedule(tmp_path / "b", keys=tmp_path / "b" / "keys")
    with pytest.raises(ConfigError, match="ARCID_BACKUP_KEYS"):
        backups.check(schedule, parse_url(tmp_path / "gallery.db"))


def test_an_older_key_store_does_not_replace_a_newer_copy(
    gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    store, keys = path.with_name("gallery.db-keys"), tmp_path / "k" / "keys"
    old = tmp_path / "old-keys"
    shutil.copy2(store, old)
    enrol(gallery, 3)
    delete(gallery, 0)
    gallery.backup(tmp_path / "b" / "one.db", keys=keys)
    gallery.close()
    newest = keys.read_bytes()
    with closing(sqlite3.connect(old)) as db:  # some keys are made ahead
        db.execute("DELETE FROM data_keys")
        db.commit()
    shutil.copy2(old, store)
    with closing(Database(path)) as database:
        with pytest.raises(KeyUnavailable, match="older than its copy"):
            key_copies.copy(database.vault.store, keys, tmp_path / "b" / "one.db")
        with pytest.raises(KeyUnavailable, match="older than the gallery"):
            key_copies.copy(database.vault.store, tmp_path / "n" / "k", tmp_path / "b" / "one.db")
    assert keys.read_bytes() == newest and not (tmp_path / "n" / "k").exists()


def test_a_key_store_that_is_there_stays(gallery: Gallery, path: Path, tmp_path: Path) -> None:
    backup, keys = tmp_path / "b" / "one.db", tmp_path / "k" / "keys"
    gallery.backup(backup, keys=keys)
    gallery.close()
    store = path.with_name("gallery.db-keys")
    before = store.read_bytes()
    with pytest.raises(UsageError, match="Leave --keys out"):
        opening.restore(backup, str(path), keys=keys, replace=True)
    assert store.read_bytes() == before
    other = tmp_path / "other"
    other.mkdir()
    with Gallery.open(other / "x.db") as another:
        another.create_collection("staff")
        enrol(another, 7)
        another.backup(tmp_path / "b" / "x.db", keys=tmp_path / "k" / "x")
        with pytest.raises(UsageError, match="another gallery"):
            another.backup(tmp_path / "b" / "y.db", keys=keys)
    place = tmp_path / "n" / "x.db"
    with pytest.raises(UsageError, match="another gallery"):
        opening.restore(backup, str(place), keys=tmp_path / "k" / "x")
    with pytest.raises(UsageError, match="no key store"):
        opening.restore(backup, str(place), keys=backup)
    assert not place.exists() and not place.with_name("x.db-keys").exists()
    with pytest.raises(UsageError, match="replaced"):  # the keys placed before go again
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "x.db").write_bytes(b"")
        opening.restore(backup, str(tmp_path / "m" / "x.db"), keys=keys)
    assert not (tmp_path / "m" / "x.db-keys").exists()


def test_the_schedule_keeps_the_newest_copy_of_the_keys(
    gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    schedule = Schedule(tmp_path / "b", timedelta(hours=6), 2, tmp_path / "k" / "keys")
    assert schedule.keys is not None
    keeper = Backups(gallery, schedule)
    assert keeper.run() is not None and keeper.state().problem is None
    enrol(gallery, 5)
    made = keeper.make()
    assert len(key_copies.inspect(schedule.keys).keys) >= 4
    assert [one.name for one in schedule.keys.parent.iterdir()] == ["keys"]
    schedule.keys.unlink()
    assert "missing" in str(keeper.state().problem)
    assert copying.inspect(made.path).rows["people"] == 4


def test_the_command_says_where_the_keys_are(
    cli: Any, gallery: Gallery, path: Path, tmp_path: Path
) -> None:
    gallery.close()
    backup, keys = tmp_path / "b" / "one.db", tmp_path / "k" / "keys"
    ran = cli("gallery", "backup", backup, "--database", path)
    assert ran.code == 0 and "Their keys are not in it" in ran.out
    ran = cli("gallery", "backup", backup, "--keys", keys, "--replace", "--database", path)
    assert ran.code == 0 and f"Their keys are in {keys}" in ran.out
    lose(path)
    ran = cli("gallery", "restore", backup, "--keys", keys, "--database", path)
    assert ran.code == 0 and nearest(path, 2) > 0.999


def test_a_restored_gallery_that_lacks_a_key_says_so(
    cli: Any, gallery: Gallery, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, keys = tmp_path / "b" / "one.db", tmp_path / "k" / "keys"
    gallery.backup(backup, keys=keys)
    gallery.close()
    for file in path.parent.glob("gallery.db*"):  # the root key stays
        file.unlink()
    ran = cli("gallery", "restore", backup, "--database", path)
    assert ran.code == 0 and "does not open yet: the key store of this gallery is gone" in ran.out
    assert "nothing was changed" not in ran.out
    with monkeypatch.context() as patch:
        patch.setenv("ARCID_ROOT_KEY", f"file:{tmp_path / 'lost.key'}")
        done = opening.restore(backup, str(path), keys=keys, replace=True)
    assert "lost.key is gone" in str(done.lacks)
    assert opening.restore(backup, str(path), replace=True).lacks is None

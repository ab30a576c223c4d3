"""The file behind the gallery: opening, schema versions, settings, real deletion, typed errors."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.databases import leave_unsealed

import arcid.gallery
from arcid.apps import doctor
from arcid.errors import (
    ArcidError,
    CollectionNotFound,
    GalleryBusy,
    GalleryDamaged,
    GalleryError,
    GalleryReadOnly,
    GalleryUnavailable,
    NotFound,
    SchemaTooNew,
    StorageFull,
    UsageError,
)
from arcid.gallery import Gallery, NewFace, health, schema, seals
from arcid.gallery.faults import translated
from arcid.types import Embeddings

CONTRACT = "a" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with Gallery.open(path) as opened:
        opened.create_collection("staff")
        yield opened


def vectors(count: int, dim: int = 512) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(0).normal(size=(count, dim)), CONTRACT)


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(
        path.with_name(path.name + suffix).read_bytes()
        for suffix in ("", "-wal")
        if path.with_name(path.name + suffix).exists()
    )


# opening


def test_a_path_a_string_and_a_url_open_one_gallery(gallery: Gallery, path: Path) -> None:
    for form in (path, str(path), f"sqlite:///{path}"):
        with Gallery.open(form, create=False) as other:
            assert [c.name for c in other.collections()] == ["staff"]
            assert other.url == f"sqlite:///{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_odd_file_names_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=ro#%41 é.db"
    for _ in range(2):
        with Gallery.open(path) as gallery:
            assert gallery.check() == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        path.name + suffix for suffix in ("", "-keys", "-mark", "-spare")
    ]


def test_it_keeps_its_promises_about_the_disk(gallery: Gallery) -> None:
    stats = gallery.stats()
    assert (stats["journal_mode"], stats["synchronous"]) == ("wal", "full")
    assert stats["schema_version"] == schema.HEAD
    assert stats["file_bytes"] > 0
    assert stats["rows"]["collections"] == 1
    for pragma, value in (("foreign_keys", 1), ("secure_delete", 1), ("synchronous", 2)):
        assert gallery.database.pragma(pragma) == value


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("missing/folder/gallery.db", UsageError),
        (".", UsageError),
        ("/dev/null", UsageError),
        ("sqlite://", UsageError),
        ("mysql://user:secret@host/db", UsageError),
        ("sqlite+wrong:://", UsageError),
        ("absent.db", NotFound),
    ],
)
def test_what_cannot_be_opened_is_a_clear_error(
    url: str, error: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        Gallery.open(url, create=False)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"not a database", b"\xff\xd8\xff\xe0" * 4000, b"SQLite"])
def test_other_files_are_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(GalleryDamaged):
        Gallery.open(path)
    assert path.read_bytes() == content


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(UsageError):
        Gallery.open(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_gallery_unless_its_wal_is_left(path: Path) -> None:
    path.touch()
    with pytest.raises(NotFound):
        Gallery.open(path, create=False)
    wal = path.with_name(path.name + "-wal")
    wal.write_bytes(b"x" * 64)
    with pytest.raises(GalleryDamaged):
        Gallery.open(path)
    wal.unlink()
    with Gallery.open(path) as gallery:
        assert gallery.collections() == []


def test_a_server_that_is_not_there_is_a_typed_error_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(GalleryError) as caught:
        Gallery.open("postgresql://arcid:secret@127.0.0.1:1/arcid")
    assert "secret" not in str(caught.value)


def test_many_first_openers_make_one_gallery(path: Path) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with Gallery.open(path) as gallery:
                gallery.create_collection(f"c{number}")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Gallery.open(path) as gallery:
        assert len(gallery.collections()) == 6


# schema


def test_migrations_and_tables_agree(gallery: Gallery) -> None:
    folder = Path(arcid.gallery.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == schema.HEAD
    assert {revision.revision for revision in script.walk_revisions()} == set(schema.KNOWN)
    with gallery.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_every_row_goes_with_its_collection() -> None:
    """Deleting one asks no room: what a room keeps must refer to it, or to what does."""
    outlive = {"gallery", "losses", "collections", "contracts", "changes", "audit", "duties"}
    outlive.add("serving")  # a schema's number
    outlive.add("shreds")  # numbers of keys, until those are destroyed
    outlive |= {"retention_runs", "erasures"}  # numbers of what was erased
    outlive |= {"disclosures", "audit_seals"}  # ids, which say who was told; digests
    outlive.add("watched_hours")  # counts of nobody
    outlive.add("door_holidays")  # days of nobody
    outlive.add("api_keys")  # of programs
    outlive.add("webhooks")  # of receivers
    reached = {"collections"}
    for table in schema.metadata.sorted_tables:  # what is referred to comes first
        keys = [key for key in table.foreign_keys if key.ondelete == "CASCADE"]
        if any(key.column.table.name in reached and not key.parent.nullable for key in keys):
            reached.add(table.name)
    assert set(schema.metadata.tables) - outlive == reached - {"collections"}
    assert {"events", "visits", "traces", "reviews", "outbox", "leases"} <= reached


def test_a_newer_schema_is_refused_before_anything_is_touched(path: Path) -> None:
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE alembic_version SET version_num='9999'")
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew) as caught:
        Gallery.open(path)
    assert caught.value.details == {"found": "9999", "known": schema.HEAD}
    assert path.read_bytes() == before


# deletion


@pytest.mark.parametrize("what", ["face", "person", "collection", "contract"])
def test_deleted_vectors_and_crops_are_in_no_file(path: Path, what: str) -> None:
    made = vectors(40)
    other = Embeddings(vectors(80).vectors[40:], "b" * 64)
    crop = np.random.default_rng(1).integers(0, 255, (112, 112, 3)).astype(np.uint8)
    with Gallery.open(path) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff", keep_crops=True)
        for i in range(40):
            new = NewFace(made[i], photo_id=f"p{i}", crop=crop, source=f"source-{i:04d}.jpg")
            gallery.enrol("staff", f"Person number {i:04d}", [new])
            gallery.enrol("staff", f"Person number {i:04d}", [NewFace(other[i], f"p{i}")])
        [face] = gallery.photo_known("staff", "p7")
        with gallery.database.read() as connection:
            image = connection.execute(sa.select(schema.crops.c.image)).scalars().first()
        assert image
        needles = [made.vectors[7].astype("<f4").tobytes()[64:192]]
        if what != "contract":
            needles += [b"source-0007.jpg", other.vectors[7].astype("<f4").tobytes()[64:192]]
        if what == "collection":
            needles += [b"Person number 0007", image[200:400]]
        before = bytes_on_disk(path)
        assert all(needle in before for needle in needles)
        if what == "face":
            gallery.delete_face("staff", face.id)
        elif what == "person":
            gallery.delete_person("staff", face.person_id)
        elif what == "contract":
            assert gallery.drop_contract("staff", CONTRACT) == 40
        else:
            gallery.delete_collection("staff")
        after = bytes_on_disk(path)
        assert not any(needle in after for needle in needles)
        assert gallery.check() == []
    assert not any(needle in bytes_on_disk(path) for needle in needles)


def test_a_reader_that_holds_up_erasure_is_caught_up_with(path: Path) -> None:
    made = vectors(3)
    needle = made.vectors[0].astype("<f4").tobytes()[64:192]
    with Gallery.open(path, busy_s=0.2) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff")
        ann, _ = gallery.enrol("staff", "Ann", [NewFace(made[0])])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM faces").fetchone()
            gallery.delete_person("staff", ann.id)
            assert needle in bytes_on_disk(path)
            reader.execute("COMMIT")
        gallery.add_person("staff", "Bob")
        assert needle not in bytes_on_disk(path)


# busy, full, damaged


def test_another_writer_makes_it_busy_and_nothing_changes(path: Path) -> None:
    with Gallery.open(path, busy_s=0.2) as gallery:
        gallery.create_collection("staff")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(GalleryBusy):
                gallery.add_person("staff", "Ann")
            assert gallery.people("staff") == []  # readers go on
            other.execute("ROLLBACK")
        assert gallery.add_person("staff", "Ann").name == "Ann"


@pytest.mark.parametrize("act", ["delete", "scrub"])
def test_another_thread_that_writes_for_long_makes_it_busy(path: Path, act: str) -> None:
    began, done = threading.Event(), threading.Event()
    with Gallery.open(path, busy_s=0.1) as gallery:
        gallery.create_collection("staff")
        ann = gallery.add_person("staff", "Ann")

        def write() -> None:
            with gallery.database.write():
                began.set()
                done.wait(3)

        writer = threading.Thread(target=write)
        writer.start()
        began.wait()
        try:
            with pytest.raises(GalleryBusy, match="another thread"):
                if act == "delete":
                    gallery.delete_person("staff", ann.id)
                else:
                    gallery.database.rebuild(0.1)
            assert writer.is_alive()
        finally:
            done.set()
            writer.join()
        assert [p.name for p in gallery.people("staff")] == ["Ann"]
        gallery.delete_person("staff", ann.id)
        assert gallery.people("staff") == [] and gallery.unscrubbed() == []


def test_a_full_database_is_a_typed_error_and_nothing_changes(gallery: Gallery) -> None:
    made = vectors(200)
    gallery.enrol("staff", "Ann", [NewFace(made[0])])
    engine = gallery.database._engine

    def limit(dbapi: sqlite3.Connection, record: object, proxy: object) -> None:
        pages = dbapi.execute("PRAGMA page_count").fetchone()[0]
        dbapi.execute(f"PRAGMA max_page_count={pages + 4}")

    sa.event.listen(engine, "checkout", limit)
    before = gallery.last_change()
    with pytest.raises(StorageFull):
        gallery.enrol("staff", "Bob", [NewFace(made[i]) for i in range(1, 200)])
    sa.event.remove(engine, "checkout", limit)
    assert gallery.last_change() == before
    assert [p.name for p in gallery.people("staff")] == ["Ann"]
    assert gallery.check() == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("people", "name", "Eve"),
        ("people", "metadata", "{}x"),
        ("people", "created_at", "garbage"),
        ("faces", "photo_id", "other"),
        ("faces", "quality", "\udcff"),
        ("faces", "person_id", 2),
        ("collections", "keep_crops", 1),
        ("embeddings", "vector", b"\0" * 2048),
        ("embeddings", "vector", b"short"),
        ("embeddings", "vector", "text"),
    ],
)
def test_a_changed_value_is_damage_not_an_answer(
    path: Path, table: str, column: str, value: object
) -> None:
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        ann, _ = gallery.enrol("staff", "Ann", [NewFace(vectors(1), "photo")], metadata={"a": 1})
        gallery.add_person("staff", "Bob")
    with closing(sqlite3.connect(path)) as vandal:
        if isinstance(value, str):
            data = value.encode("utf-8", "surrogateescape")
            vandal.execute(f"UPDATE {table} SET {column}=CAST(? AS TEXT) WHERE rowid=1", [data])
        else:
            vandal.execute(f"UPDATE {table} SET {column}=? WHERE rowid=1", [value])
        vandal.commit()
    with Gallery.open(path) as gallery:
        with pytest.raises(GalleryDamaged):
            gallery.search("staff", vectors(1))
            gallery.faces("staff", ann.id)
            gallery.person("staff", ann.id)
        assert gallery.check() != []


def test_a_sample_of_the_rows_is_looked_at_where_no_more_is_asked(
    gallery: Gallery, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.enrol("staff", "Ann", [NewFace(vectors(30)[i]) for i in range(30)])
    seen: list[int] = []
    real = seals.unpack
    monkeypatch.setattr(health, "unpack", lambda rows, *own: seen.append(1) or real(rows, *own))
    walked: list[int] = []
    whole = gallery.database.integrity
    monkeypatch.setattr(gallery.database, "integrity", lambda: walked.append(1) or whole())
    for sample, rows, walks in ((None, 30, 1), (30, 30, 1), (12, 12, 0)):
        seen.clear()
        walked.clear()
        assert gallery.check(sample=sample) == []
        assert (len(seen), len(walked)) == (rows, walks)
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("UPDATE embeddings SET dim=7")
        vandal.commit()
    assert gallery.check(sample=12) == ["12 vectors are not what was written"]
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("DELETE FROM embeddings")
        vandal.commit()
    assert gallery.check(sample=12) == ["12 faces have no vector"]


def test_doctor_says_how_much_it_looked_at(
    gallery: Gallery, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.enrol("staff", "Ann", [NewFace(vectors(30)[i]) for i in range(30)])
    assert doctor.examine(str(path)).facts["database"]["looked_at"] == "every row"
    monkeypatch.setattr(doctor, "SAMPLE", 25)
    looked = doctor.examine(str(path)).facts["database"]
    assert looked["state"] == "sound" and looked["looked_at"].startswith("up to 25 rows")


def test_a_shortened_file_is_damage(gallery: Gallery, path: Path) -> None:
    gallery.enrol("staff", "Ann", [NewFace(vectors(20)[i]) for i in range(20)])
    gallery.delete_person("staff", gallery.add_person("staff", "Bob").id)
    copy = path.with_name("copy.db")
    shutil.copy2(path.with_name(f"{path.name}-keys"), copy.with_name("copy.db-keys"))
    for keep in (0.9, 0.5, 0.1):
        copy.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        with pytest.raises(GalleryDamaged), Gallery.open(copy) as torn:
            torn.people("staff")


READ_ONLY = """
    import os, sys
    import alembic.command, alembic.config
    import arcid.image  # what is imported later may not be readable any more
    from arcid.errors import GalleryError
    from arcid.gallery import Gallery
    os.chdir(sys.argv[1])
    if os.getuid() == 0:
        os.setuid(65534)  # root may write anywhere
    for name in ("gallery.db", "new.db"):
        try:
            with Gallery.open(name) as gallery:
                gallery.collections()
                gallery.create_collection("more")
        except GalleryError as error:
            print(type(error).__name__, error)
        else:
            print("opened")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_read_only_folder_is_a_clear_error() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        with Gallery.open(folder / "gallery.db") as gallery:
            gallery.create_collection("staff")
        (folder / "gallery.db").chmod(0o444)
        folder.chmod(0o555)
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(READ_ONLY), str(folder)],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert [line.split()[0] for line in run.stdout.splitlines()] == [
            "GalleryReadOnly",
            "GalleryError",
        ], run
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


class _ServerError(Exception):
    def __init__(self, state: str | None) -> None:
        self.sqlstate = state


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("55P03", GalleryBusy),
        ("40P01", GalleryBusy),
        ("53100", StorageFull),
        ("XX001", GalleryDamaged),
        (None, GalleryUnavailable),
        ("28P01", GalleryUnavailable),
        ("57P01", GalleryUnavailable),
        ("25006", GalleryReadOnly),
        ("42501", GalleryError),
    ],
)
def test_server_states_are_translated(state: str | None, error: type[ArcidError]) -> None:
    with pytest.raises(error), translated(None):
        raise sa.exc.OperationalError("SELECT", {}, _ServerError(state))


def test_a_statement_that_nobody_foresaw_is_logged_without_its_values(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = sa.text("SELECT id FROM no_such_table WHERE id = :who")
    with (
        Gallery.open(database_url) as gallery,
        pytest.raises((GalleryError, GalleryDamaged)),
        gallery.database.read() as connection,
    ):
        connection.execute(asked, {"who": "Ada Lovelace"})
    (record,) = [one for one in caplog.records if one.name == "arcid.gallery.faults"]
    assert "no_such_table" in vars(record)["statement"]
    assert "Lovelace" not in str(vars(record))


def test_closing_twice_and_using_a_context(path: Path) -> None:
    gallery = Gallery.open(path)
    gallery.close()
    gallery.close()
    assert not path.with_name(path.name + "-wal").exists()
    asked: list[Callable[[], object]] = [
        gallery.collections,
        gallery.stats,
        gallery.scrub,
        lambda: gallery.create_collection("staff"),
        lambda: gallery.database.pragma("synchronous"),
    ]
    for ask in asked:
        with pytest.raises(GalleryError, match="was closed; open it again"):
            ask()
    gallery.close()
    with Gallery.open(path) as again, pytest.raises(CollectionNotFound):
        again.collection("staff")

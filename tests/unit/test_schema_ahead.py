"""A newer arcid changes the tables beneath a process that has the gallery open."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from tests.databases import Server

from arcid.errors import GalleryBusy, SchemaTooNew
from arcid.gallery import Gallery, NewFace, engines, schema, versions
from arcid.types import Embeddings


def newer(gallery: Gallery, *, older_go_on: bool) -> None:
    """What a migration of a version to come leaves behind."""
    with gallery.database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        if not older_go_on:
            connection.execute(schema.serving.update().values(oldest_schema="9999"))


def bring_to(url: str, revision: str) -> None:
    """A database with the tables of an older version."""
    if "://" not in url:
        Path(url).touch(mode=0o600)
    engine = sa.create_engine(engines.parse_url(url), poolclass=sa.NullPool)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(versions.FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        values = {"id": 1, "identity": "0" * 32, "last_change": 0, "stamp": 0}
        connection.execute(sa.table("gallery", *map(sa.column, values)).insert().values(values))


def open_and_close(url: str) -> str:
    with Gallery.open(url) as gallery:
        return str(gallery.stats()["schema_version"])


def test_processes_go_on_where_the_migration_says_so(database_url: str) -> None:
    with Gallery.open(database_url) as gallery, Gallery.open(database_url) as other:
        newer(other, older_go_on=True)
        gallery.create_collection("staff")
        assert [own.name for own in gallery.collections()] == ["staff"]
    with pytest.raises(SchemaTooNew):
        Gallery.open(database_url)


def test_else_they_neither_read_nor_write(database_url: str) -> None:
    face = NewFace(Embeddings(np.eye(1, 8, dtype=np.float32), "a" * 64), photo_id="p")
    gallery = Gallery.open(database_url)
    gallery.create_collection("staff")
    with gallery.database.write() as connection:
        last = connection.execute(sa.select(schema.gallery.c.last_change)).scalar_one()
    newer(gallery, older_go_on=False)
    for work in (
        gallery.collections,
        gallery.last_change,
        lambda: gallery.enrol("staff", "Ada", [face]),
        lambda: gallery.delete_collection("staff"),
    ):
        with pytest.raises(SchemaTooNew) as caught:
            work()
        assert caught.value.details == {"found": "9999", "known": schema.HEAD}
    gallery.close()
    engine = engines.make(engines.parse_url(database_url), gallery.database.path, 1)
    with engine.connect() as connection:
        assert connection.execute(sa.select(schema.gallery.c.last_change)).scalar_one() == last
    engine.dispose()


@pytest.mark.postgres
def test_a_writer_who_waited_for_a_migration_finds_what_it_says(postgres: Server) -> None:
    with postgres.database() as url, Gallery.open(url) as gallery, ThreadPoolExecutor() as pool:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as migration:
            migration.execute(sa.select(schema.gallery.c.id).with_for_update())
            writing = pool.submit(gallery.create_collection, "staff")
            waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            with engine.connect() as looking:
                while not looking.execute(waits).scalar_one():
                    looking.rollback()
            assert gallery.collections() == [], "who reads does not wait"
            migration.execute(schema.serving.update().values(oldest_schema="9999"))
        with pytest.raises(SchemaTooNew):
            writing.result(10)
        engine.dispose()


@pytest.mark.postgres
def test_a_migration_waits_for_who_writes_or_changes_nothing(postgres: Server) -> None:
    with postgres.database(migrated=False) as url:
        bring_to(url, schema.KNOWN[-2])
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as writer:
            writer.execute(sa.text("SELECT id FROM gallery FOR UPDATE"))
            with pytest.raises(GalleryBusy):
                Gallery.open(url, busy_s=0.2)
            found = writer.execute(sa.text("SELECT version_num FROM alembic_version"))
            assert found.scalar_one() == schema.KNOWN[-2]
            opened: list[str] = []
            thread = threading.Thread(target=lambda: opened.append(open_and_close(url)))
            thread.start()
        thread.join(20)
        assert opened == [schema.HEAD]
        engine.dispose()


def test_migrations_say_whose_processes_go_on(bare_database_url: str) -> None:
    """The newest one that does not is the oldest schema that may be worked with."""
    bring_to(bare_database_url, "0001")
    with Gallery.open(bare_database_url) as gallery, gallery.database.read() as connection:
        oldest = connection.execute(sa.select(schema.serving.c.oldest_schema)).scalar_one()
    assert oldest in schema.KNOWN
    folder = versions.FOLDER
    silent = [
        number
        for number in schema.KNOWN
        for (file,) in [list((folder / "versions").glob(f"{number}_*.py"))]
        if "older_go_on = True" not in file.read_text("utf-8")
    ]
    assert oldest == silent[-1]

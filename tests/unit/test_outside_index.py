"""A gallery whose index is in PostgreSQL: it follows the gallery, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps import missed
from arcid.errors import IndexUnavailable, UsageError
from arcid.gallery import Gallery, NewFace
from arcid.gallery.outside import configured
from arcid.gallery.outside.pgvector import PgVector
from arcid.gallery.store import misses
from arcid.types import Embeddings

pytestmark = pytest.mark.postgres
CONTRACT, DIM = "c" * 64, 32


def rows(seed: int, count: int) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((count, DIM))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def enrol(gallery: Gallery, name: str, vector: np.ndarray) -> tuple[str, str]:
    face = NewFace(Embeddings(vector[None], CONTRACT), photo_id=name)
    person, faces = gallery.enrol("default", name, [face])
    return person.id, faces[0].id


def probe(seed: int) -> Embeddings:
    return Embeddings(rows(seed, 1), CONTRACT)


def who(gallery: Gallery, vector: np.ndarray, k: int = 1) -> tuple[list[str], int]:
    found = gallery.search("default", Embeddings(vector[None], CONTRACT), k=k)
    return [match.name for match in found[0]], found.gallery_size


@pytest.fixture
def engine_url(postgres: Any) -> Iterator[str]:
    with postgres.database(migrated=False) as url:
        yield url


Opens = Callable[[], Gallery]


@pytest.fixture
def opened(database_url: str, engine_url: str) -> Iterator[Opens]:
    """Opens the gallery as one more process would."""
    galleries = []

    def one() -> Gallery:
        galleries.append(Gallery.open(database_url, server=PgVector(engine_url, graph=False)))
        return galleries[-1]

    first = one()
    first.ensure_collection("default")
    yield one
    for gallery in galleries:
        gallery.close()


def held(engine_url: str) -> list[tuple[int, int]]:
    """Of every index: the faces it says, and the rows there are."""
    engine = sa.create_engine(sa.make_url(engine_url))
    with engine.connect() as connection:
        indexes = connection.exec_driver_sql("SELECT name, faces FROM arcid_indexes").all()
        counts = [
            (faces, connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())
            for name, faces in indexes
        ]
    engine.dispose()
    return counts


def test_processes_share_an_index_that_follows_the_gallery(opened: Opens, engine_url: str) -> None:
    first, second = opened(), opened()
    people = rows(1, 6)
    ids = [enrol(first, f"p{i}", vector) for i, vector in enumerate(people)]
    assert who(second, people[3]) == (["p3"], 6)
    assert held(engine_url) == [(6, 6)]
    second.delete_person("default", ids[3][0])
    assert who(first, people[3])[1] == 5
    assert "p3" not in who(first, people[3], 6)[0]
    first.move_face("default", ids[0][1], ids[1][0])
    assert who(second, people[0]) == (["p1"], 5)
    enrol(second, "p6", people[3])
    assert who(first, people[3]) == (["p6"], 6)
    assert held(engine_url) == [(6, 6)]


def test_a_process_behind_leaves_the_index_alone(opened: Opens, engine_url: str) -> None:
    first, second = opened(), opened()
    people = rows(2, 3)
    enrol(first, "a", people[0])
    with second._projection.snapshot() as old:
        gone, _ = enrol(first, "b", people[1])
        assert who(first, people[1]) == (["b"], 2)
        first.delete_person("default", gone)
        first.settle()
        made = sa.text("SELECT 1")
        old.connection.execute(made)
        found = old.index(1, CONTRACT)
        assert found is not None
        assert len(found[1].search_faces(people[:1], 3)[0][0]) == 1
    assert held(engine_url) == [(1, 1)]


def test_what_is_erased_leaves_the_index_without_a_search(opened: Opens, engine_url: str) -> None:
    gallery = opened()
    one, _ = enrol(gallery, "a", rows(3, 1)[0])
    assert who(gallery, rows(3, 1)[0])[1] == 1
    gallery.delete_person("default", one)
    gallery.settle()
    assert held(engine_url) == [(0, 0)]
    enrol(gallery, "b", rows(3, 1)[0])
    gallery.settle()
    assert held(engine_url) == [(1, 1)]
    gallery.delete_collection("default")
    gallery.settle()
    assert held(engine_url) == []


def test_a_restored_backup_fills_it_anew(tmp_path: Path, migrated: Path, engine_url: str) -> None:
    for file in migrated.iterdir():
        shutil.copy(file, tmp_path)
    place = str(tmp_path / "gallery.db")
    people = rows(4, 3)
    with Gallery.open(place, server=PgVector(engine_url, graph=False)) as gallery:
        gallery.ensure_collection("default")
        enrol(gallery, "a", people[0])
        gallery.backup(tmp_path / "backup.db")
        enrol(gallery, "b", people[1])
        assert who(gallery, people[1]) == (["b"], 2)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"gallery.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(place)
    with Gallery.open(place, server=PgVector(engine_url, graph=False)) as gallery:
        enrol(gallery, "c", people[2])
        enrol(gallery, "d", rows(5, 1)[0])  # as many changes as before
        assert who(gallery, people[1], 9)[1] == 3
        assert "b" not in who(gallery, people[1], 9)[0]
    assert held(engine_url) == [(3, 3)]


def test_a_server_that_is_gone_is_named_and_the_gallery_is_whole(database_url: str) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    with Gallery.open(database_url, server=PgVector(url, graph=False)) as gallery:
        gallery.ensure_collection("default")
        enrol(gallery, "a", rows(6, 1)[0])
        with pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1.*nothing is lost"):
            who(gallery, rows(6, 1)[0])
        assert gallery.collection("default").faces == 1
    with Gallery.open(database_url) as gallery:
        assert who(gallery, rows(6, 1)[0]) == (["a"], 1)


def test_drift_is_found_and_repaired(opened: Opens, engine_url: str) -> None:
    gallery = opened()
    people = rows(7, 5)
    for i, vector in enumerate(people):
        enrol(gallery, f"p{i}", vector)
    assert who(gallery, people[2]) == (["p2"], 5)
    assert gallery.check() == []
    engine = sa.create_engine(sa.make_url(engine_url))
    with engine.begin() as connection:
        (name,) = connection.exec_driver_sql("SELECT name FROM arcid_indexes").scalars()
        connection.exec_driver_sql(
            f"DELETE FROM {name} WHERE face = (SELECT max(face) FROM {name})"
        )
    engine.dispose()
    assert any("4 vectors, the gallery 5" in finding for finding in gallery.check())
    gallery.drop_indexes()
    assert who(gallery, people[4]) == (["p4"], 5)
    assert gallery.check() == []


def test_a_graph_finds_the_same_people(opened: Opens, database_url: str, postgres: Any) -> None:
    gallery = opened()
    people = rows(8, 200)
    for i, vector in enumerate(people):
        enrol(gallery, f"p{i}", vector)
    with (
        postgres.database(migrated=False) as url,
        Gallery.open(database_url, server=PgVector(url, graph=True)) as other,
    ):
        found = [who(other, vector, 3)[0] for vector in people[:20]]
        assert found == [who(gallery, vector, 3)[0] for vector in people[:20]]
        engine = sa.create_engine(sa.make_url(url))
        with engine.connect() as connection:
            made = connection.exec_driver_sql("SELECT indexdef FROM pg_indexes").scalars().all()
        engine.dispose()
        assert any("hnsw" in text for text in made)


def test_what_an_index_misses_is_measured(opened: Opens, engine_url: str) -> None:
    gallery = opened()
    for i, vector in enumerate(rows(10, 60)):
        enrol(gallery, f"p{i}", vector)
    exact = missed.measure(gallery, "default", CONTRACT, searches=40)
    assert (exact.searches, exact.missed, exact.low, exact.faces) == (40, 0, 0.0, 60)
    assert 0 < exact.high < 0.1
    assert gallery.search("default", probe(1)).index_miss_rate == 0.0
    engine = sa.create_engine(sa.make_url(engine_url))
    with engine.begin() as connection:
        (name,) = connection.exec_driver_sql("SELECT name FROM arcid_indexes").scalars()
        connection.exec_driver_sql(f"DELETE FROM {name} WHERE mod(face, 3) = 0")
    engine.dispose()
    some = missed.measure(gallery, "default", CONTRACT, searches=60)
    assert 10 <= some.missed <= 30
    assert some.low < some.missed / 60 < some.high
    with pytest.raises(UsageError, match="no face"):
        missed.measure(gallery, "default", "d" * 64)


def test_a_search_states_what_an_approximate_index_misses(
    database_url: str, engine_url: str
) -> None:
    with (
        Gallery.open(database_url, server=PgVector(engine_url, graph=True)) as gallery,
        Gallery.open(database_url) as exact,
    ):
        gallery.ensure_collection("default")
        one, _ = enrol(gallery, "one", rows(1, 1)[0])
        for i, vector in enumerate(rows(10, 20)):
            gallery.enrol("default", f"p{i}", [NewFace(Embeddings(vector[None], CONTRACT))],
                          metadata={"staff": i % 2 == 0})  # fmt: skip
        assert gallery.search("default", probe(2)).index_miss_rate is None
        assert gallery.search_person("default", one).index_miss_rate is None
        assert gallery.search("default", probe(2), where={"staff": True}).index_miss_rate == 0
        assert exact.search("default", probe(2)).index_miss_rate == 0
        kept = missed.measure(gallery, "default", CONTRACT, searches=30)
        assert gallery.index_misses("default", CONTRACT) == kept
        assert exact.index_misses("default", CONTRACT) is None  # it is of another index
        for found in (gallery.search("default", probe(2)), gallery.search_person("default", one)):
            assert found.index_miss_rate == kept.high > 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(misses, "FEWEST", 30)
            assert not gallery.index_misses("default", CONTRACT).stale
            for i, vector in enumerate(rows(11, 12)):
                enrol(gallery, f"q{i}", vector)
            assert gallery.index_misses("default", CONTRACT).stale
            assert gallery.search("default", probe(2)).index_miss_rate is None
            missed.measure(gallery, "default", CONTRACT, searches=30)
            assert gallery.search("default", probe(2)).index_miss_rate is not None


def test_the_command_shows_measures_and_rebuilds(
    opened: Opens, database_url: str, engine_url: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(opened(), "a", rows(11, 1)[0])
    monkeypatch.setenv("ARCID_INDEX", "pgvector")
    monkeypatch.setenv("ARCID_INDEX_URL", engine_url)
    told = cli("gallery", "index", "--rebuild", "--sample", "20", "--database", database_url)
    assert told.code == 0, told.err
    assert "exactly" in told.out
    assert "0 did not find the best person" in " ".join(told.out.split())
    assert held(engine_url) == [(1, 1)]


def test_the_environment_says_which(monkeypatch: pytest.MonkeyPatch, engine_url: str) -> None:
    assert configured.server("gallery.db") is None
    monkeypatch.setenv("ARCID_INDEX", "pgvector-hnsw")
    with pytest.raises(UsageError, match="ARCID_INDEX_URL"):
        configured.server("gallery.db")
    monkeypatch.setenv("ARCID_INDEX_URL", engine_url)
    server = configured.server("gallery.db")
    assert isinstance(server, PgVector)
    assert not server.exact
    assert "password" not in server.name
    server.close()
    monkeypatch.setenv("ARCID_INDEX", "faiss")
    with pytest.raises(UsageError, match="exact, pgvector, pgvector-hnsw"):
        configured.server("gallery.db")


FEEDER = """
import sys, numpy as np
from arcid.gallery import Gallery
from arcid.gallery.outside.pgvector import PgVector
from arcid.types import Embeddings
gallery = Gallery.open(sys.argv[1], server=PgVector(sys.argv[2], graph=False))
probe = np.eye(1, 32, dtype=np.float32)
print("ready", flush=True)
while True:
    gallery.search("default", Embeddings(probe, "c" * 64), k=1)
"""


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_killed_feeders_leave_each_change_in_it_once(
    opened: Opens, database_url: str, engine_url: str
) -> None:
    gallery, rng = opened(), np.random.default_rng(9)
    stop = threading.Event()
    alive: dict[str, np.ndarray] = {}

    def write() -> None:
        number = 0
        while not stop.is_set():
            vector = rows(100 + number, 1)[0]
            alive[enrol(gallery, f"p{number}", vector)[0]] = vector
            number += 1
            if number % 3 == 0:
                gone = str(rng.choice(list(alive)))
                gallery.delete_person("default", gone)
                del alive[gone]

    writer = threading.Thread(target=write)
    enrol(gallery, "first", rows(99, 1)[0])
    writer.start()
    try:
        for _ in range(6):
            with subprocess.Popen(
                [sys.executable, "-c", FEEDER, database_url, engine_url],
                stdout=subprocess.PIPE, text=True,
            ) as feeder:  # fmt: skip
                assert feeder.stdout is not None
                assert feeder.stdout.readline() == "ready\n"
                stop.wait(float(rng.uniform(0.05, 0.5)))
                feeder.send_signal(signal.SIGKILL)
    finally:
        stop.set()
        writer.join()
    size = who(gallery, rows(99, 1)[0])[1]
    assert size == len(alive) + 1 == gallery.collection("default").faces
    assert held(engine_url) == [(size, size)]
    for person, vector in list(alive.items())[:20]:
        found = gallery.search("default", Embeddings(vector[None], CONTRACT), k=1)
        assert found[0][0].person_id == person

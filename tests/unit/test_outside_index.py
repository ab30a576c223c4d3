"""A gallery whose index is in a vector database: it follows the gallery, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests import vector_databases

from arcid.apps import missed
from arcid.errors import IndexUnavailable, UsageError
from arcid.gallery import Gallery, NewFace, schema
from arcid.gallery.outside import Server, configured, milvus
from arcid.gallery.outside.pgvector import PgVector
from arcid.gallery.outside.stepwise import Stepwise
from arcid.gallery.store import misses
from arcid.types import Embeddings

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


@pytest.fixture(scope="module")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vector_databases.chroma(tmp_path_factory.mktemp("chroma")) as (url, _):
        yield url


@dataclass(frozen=True)
class Carrier:
    """A vector database, and what a process opens its gallery with."""

    kind: str
    url: str

    def __call__(self) -> Server:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            server = configured.server("gallery.db")
        assert server is not None
        return server

    @property
    def environment(self) -> dict[str, str]:
        return {"ARCID_INDEX": self.kind, "ARCID_INDEX_URL": self.url}


@pytest.fixture(
    params=[
        pytest.param("pgvector", marks=pytest.mark.postgres),
        pytest.param("chroma", marks=pytest.mark.engine),
        pytest.param("milvus", marks=pytest.mark.engine),
    ]
)
def carrier(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """Empty: galleries of tests are copies of one, and of one identity."""
    places = {"pgvector": "engine_url", "chroma": "chroma_url", "milvus": "milvus_url"}
    found = Carrier(request.param, request.getfixturevalue(places[request.param]))
    yield found
    with closing(found()) as server:
        if isinstance(server, Stepwise):
            for table in server.tables.notes("arcid_"):
                server.tables.drop(table)


Opens = Callable[[], Gallery]


@pytest.fixture
def opened(database_url: str, carrier: Carrier) -> Iterator[Opens]:
    """Opens the gallery as one more process would."""
    galleries = []

    def one() -> Gallery:
        galleries.append(Gallery.open(database_url, server=carrier()))
        return galleries[-1]

    first = one()
    first.ensure_collection("default")
    yield one
    for gallery in galleries:
        gallery.close()


def held(carrier: Carrier, gallery: Gallery) -> list[tuple[int, int]]:
    """Of every index of the gallery: the faces it says, and those there are."""
    with closing(carrier()) as server:
        engines = [server.engine(one, DIM) for one in server.places(gallery.stats()["identity"])]
        return [(len(engine), engine.count()) for engine in engines]


def lose(carrier: Carrier, gallery: Gallery, every: int) -> None:
    """Take every so manieth face out of the index, behind arcid's back."""
    with closing(carrier()) as server:
        (place,) = server.places(gallery.stats()["identity"])
        with gallery.database.read() as connection:
            keys = connection.execute(sa.select(schema.faces.c.id)).scalars().all()
        gone = np.array([key for key in keys if key % every == 0], np.int64)
        if isinstance(server, Stepwise):
            known = server.current(place)
            assert known is not None
            server.tables.remove(known[0], gone)
            return
        assert isinstance(server, PgVector)
        server.engine(place, DIM)
        with server.transaction() as connection:
            (name,) = connection.exec_driver_sql("SELECT name FROM arcid_indexes").scalars()
            connection.exec_driver_sql(f"DELETE FROM {name} WHERE mod(face, {every}) = 0")


def test_processes_share_an_index_that_follows_the_gallery(opened: Opens, carrier: Carrier) -> None:
    first, second = opened(), opened()
    people = rows(1, 6)
    ids = [enrol(first, f"p{i}", vector) for i, vector in enumerate(people)]
    assert who(second, people[3]) == (["p3"], 6)
    assert held(carrier, first) == [(6, 6)]
    second.delete_person("default", ids[3][0])
    assert who(first, people[3])[1] == 5
    assert "p3" not in who(first, people[3], 6)[0]
    first.move_face("default", ids[0][1], ids[1][0])
    assert who(second, people[0]) == (["p1"], 5)
    enrol(second, "p6", people[3])
    assert who(first, people[3]) == (["p6"], 6)
    assert held(carrier, first) == [(6, 6)]


def test_a_process_behind_leaves_the_index_alone(opened: Opens, carrier: Carrier) -> None:
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
    assert held(carrier, first) == [(1, 1)]


def test_what_is_erased_leaves_the_index_without_a_search(opened: Opens, carrier: Carrier) -> None:
    gallery = opened()
    one, _ = enrol(gallery, "a", rows(3, 1)[0])
    assert who(gallery, rows(3, 1)[0])[1] == 1
    gallery.delete_person("default", one)
    gallery.settle()
    assert held(carrier, gallery) == [(0, 0)]
    enrol(gallery, "b", rows(3, 1)[0])
    gallery.settle()
    assert held(carrier, gallery) == [(1, 1)]
    gallery.delete_collection("default")
    gallery.settle()
    assert held(carrier, gallery) == []


def test_a_restored_backup_fills_it_anew(tmp_path: Path, migrated: Path, carrier: Carrier) -> None:
    for file in migrated.iterdir():
        shutil.copy(file, tmp_path)
    place = str(tmp_path / "gallery.db")
    people = rows(4, 3)
    with Gallery.open(place, server=carrier()) as gallery:
        gallery.ensure_collection("default")
        enrol(gallery, "a", people[0])
        gallery.backup(tmp_path / "backup.db")
        enrol(gallery, "b", people[1])
        assert who(gallery, people[1]) == (["b"], 2)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"gallery.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(place)
    with Gallery.open(place, server=carrier()) as gallery:
        enrol(gallery, "c", people[2])
        enrol(gallery, "d", rows(5, 1)[0])  # as many changes as before
        assert who(gallery, people[1], 9)[1] == 3
        assert "b" not in who(gallery, people[1], 9)[0]
        assert held(carrier, gallery) == [(3, 3)]


@pytest.mark.parametrize("kind", ["pgvector", "milvus", "chroma"])
def test_a_server_that_is_gone_is_named_and_the_gallery_is_whole(
    kind: str, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"pgvector": "psycopg", "milvus": "pymilvus", "chroma": "chromadb"}[kind])
    scheme, path = ("postgresql", "/none") if kind == "pgvector" else ("http", "")
    monkeypatch.setenv("ARCID_INDEX", kind)
    monkeypatch.setenv("ARCID_INDEX_URL", f"{scheme}://nobody:sesame@127.0.0.1:9{path}")
    monkeypatch.setattr(milvus, "TIMEOUT_S", 1.0)
    with Gallery.open(fresh) as gallery:
        gallery.ensure_collection("default")
        enrol(gallery, "a", rows(6, 1)[0])
        with pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1.*nothing is lost") as caught:
            who(gallery, rows(6, 1)[0])
        assert "sesame" not in str(caught.value)
        assert gallery.collection("default").faces == 1
    monkeypatch.setenv("ARCID_INDEX", "exact")
    with Gallery.open(fresh) as gallery:
        assert who(gallery, rows(6, 1)[0]) == (["a"], 1)


def test_drift_is_found_and_repaired(opened: Opens, carrier: Carrier) -> None:
    gallery = opened()
    people = rows(7, 5)
    for i, vector in enumerate(people):
        enrol(gallery, f"p{i}", vector)
    assert who(gallery, people[2]) == (["p2"], 5)
    assert gallery.check() == []
    lose(carrier, gallery, 5)
    for one in (gallery, opened()):  # also one that has not searched
        (finding,) = one.check()
        assert "4 vectors, the gallery 5; run arcid gallery index --rebuild" in finding
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


def test_what_an_index_misses_is_measured(opened: Opens, carrier: Carrier) -> None:
    gallery = opened()
    for i, vector in enumerate(rows(10, 60)):
        enrol(gallery, f"p{i}", vector)
    exact = missed.measure(gallery, "default", CONTRACT, searches=40)
    assert (exact.searches, exact.missed, exact.low, exact.faces) == (40, 0, 0.0, 60)
    assert 0 < exact.high < 0.1
    exactly = gallery.index_exact
    assert gallery.search("default", probe(1)).index_miss_rate == (0.0 if exactly else exact.high)
    lose(carrier, gallery, 3)
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
            patch.setattr(misses, "FEWEST", 20)
            assert not gallery.index_misses("default", CONTRACT).stale
            for i, vector in enumerate(rows(11, 12)):
                enrol(gallery, f"q{i}", vector)
            assert gallery.index_misses("default", CONTRACT).stale
            assert gallery.search("default", probe(2)).index_miss_rate is None
            missed.measure(gallery, "default", CONTRACT, searches=30)
            assert gallery.search("default", probe(2)).index_miss_rate is not None


def test_the_command_shows_measures_and_rebuilds(
    fresh: Path, engine_url: str, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery.open(fresh) as gallery:
        gallery.ensure_collection("default")
        enrol(gallery, "a", rows(11, 1)[0])
    monkeypatch.setenv("ARCID_INDEX", "pgvector")
    monkeypatch.setenv("ARCID_INDEX_URL", engine_url)
    told = cli("gallery", "index", "--rebuild", "--sample", "20", "--database", str(fresh))
    assert told.code == 0, told.err
    assert "exactly" in told.out
    assert "0 did not find the best person" in " ".join(told.out.split())
    assert "may be missed" not in told.out  # it looks at everybody, however few the searches
    with Gallery.open(fresh) as gallery:
        assert held(Carrier("pgvector", engine_url), gallery) == [(1, 1)]


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
from arcid.types import Embeddings
gallery = Gallery.open(sys.argv[1])
probe = np.eye(1, 32, dtype=np.float32)
print("ready", flush=True)
while True:
    gallery.search("default", Embeddings(probe, "c" * 64), k=1)
"""


@pytest.mark.soak
@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_killed_feeders_leave_each_change_in_it_once(
    opened: Opens, carrier: Carrier, database_url: str
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
        for _ in range(6 if carrier.kind == "pgvector" else 3):
            with subprocess.Popen(
                [sys.executable, "-c", FEEDER, database_url],
                stdout=subprocess.PIPE, text=True, env=os.environ | carrier.environment,
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
    assert held(carrier, gallery) == [(size, size)]
    for person, vector in list(alive.items())[:20]:
        found = gallery.search("default", Embeddings(vector[None], CONTRACT), k=1)
        assert found[0][0].person_id == person


SERVERS = [
    pytest.param("chroma", marks=pytest.mark.soak),
    pytest.param("milvus", marks=pytest.mark.engine),
]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_killed_engine_goes_on_where_it_was(kind: str, fresh: Path, tmp_path: Path) -> None:
    people = rows(12, 40)
    with (
        getattr(vector_databases, kind)(tmp_path / "engine") as (url, process),
        Gallery.open(fresh, server=Carrier(kind, url)()) as gallery,
    ):
        gallery.ensure_collection("default")
        for i, vector in enumerate(people[:30]):
            enrol(gallery, f"p{i}", vector)
        assert who(gallery, people[4]) == (["p4"], 30)
        process.kill()
        enrol(gallery, "p30", people[30])
        with pytest.raises(IndexUnavailable, match="nothing is lost"):
            who(gallery, people[30])
        process.start()
        deadline = time.monotonic() + 60
        while True:
            try:
                found = who(gallery, people[30])
                break
            except IndexUnavailable:  # it is up, and not ready yet
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert found == (["p30"], 31)
        for i, vector in enumerate(people[31:]):
            enrol(gallery, f"p{31 + i}", vector)
        assert [who(gallery, vector) for vector in people] == [([f"p{i}"], 40) for i in range(40)]
        assert gallery.check() == []


@pytest.mark.slow
def test_a_fill_that_fails_leaves_what_was_there(fresh: Path, chroma_url: str) -> None:
    carrier = Carrier("chroma", chroma_url)
    with Gallery.open(fresh, server=carrier()) as gallery:
        gallery.ensure_collection("default")
        for i, vector in enumerate(rows(13, 5)):
            enrol(gallery, f"p{i}", vector)
        assert who(gallery, rows(13, 1)[0], 9)[1] == 5
        with closing(carrier()) as server:
            (place,) = server.places(gallery.stats()["identity"])
            engine = server.engine(place, DIM)
            with pytest.raises(KeyboardInterrupt), engine.writing() as writer:
                writer.empty()
                writer.add(np.array([999]), rows(14, 1))
                raise KeyboardInterrupt
            again = server.engine(place, DIM)
            assert (len(again), again.count()) == (5, 5)
            with again.writing() as writer:  # the next one clears what was begun
                assert writer.position is not None
            assert isinstance(server, Stepwise)
            assert len(server.tables.notes("arcid_")) == 1


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["milvus-hnsw", "milvus-ivf"])
def test_another_kind_of_index_takes_the_place(kind: str, fresh: Path, milvus_url: str) -> None:
    people = rows(15, 40)
    with Gallery.open(fresh, server=Carrier("milvus", milvus_url)()) as gallery:
        gallery.ensure_collection("default")
        for i, vector in enumerate(people):
            enrol(gallery, f"p{i}", vector)
        assert who(gallery, people[3]) == (["p3"], 40)
    carrier = Carrier(kind, milvus_url)
    with Gallery.open(fresh, server=carrier()) as gallery:
        assert [who(gallery, vector) for vector in people] == [([f"p{i}"], 40) for i in range(40)]
        with closing(carrier()) as server:
            assert isinstance(server, Stepwise)
            assert isinstance(server.tables, milvus.MilvusTables)
            (table,) = server.tables.notes("arcid_")
            client = server.tables._connected()
            made = client.describe_index(table, client.list_indexes(table)[0])
            assert made["index_type"] == milvus.GRAPHS[kind]["index_type"]
            server.tables.drop(table)


def test_an_embedded_chroma_serves_one_process(tmp_path: Path) -> None:
    pytest.importorskip("chromadb", reason="no Chroma: pip install arcid[chroma]")
    carrier = Carrier("chroma", str(tmp_path / "chroma"))
    with closing(carrier()) as first, closing(carrier()) as second:
        assert first.places("gallery") == []
        with pytest.raises(UsageError, match="run a Chroma server"):
            second.places("gallery")
        first.close()
        assert second.places("gallery") == []

"""What was deleted or replaced is in no byte of any file, whatever stood in the way at first.

Files are read by another process: a descriptor of ours on the database would drop SQLite's locks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.databases import leave_unsealed
from tests.serving import serving

from arcid.errors import GalleryBusy, StorageFull
from arcid.events import Events, Place, Sightings
from arcid.gallery import Gallery, NewFace, rooms, schema
from arcid.gallery.database import HELD_UP, NOT_REBUILT, Database
from arcid.gallery.records import Once
from arcid.types import Embeddings

CONTRACT = "a" * 64
POSIX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux limits and mounts")
NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def vector(i: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, 256)), CONTRACT)


def part(i: int) -> bytes:
    """Of the bytes of a vector as it is stored."""
    return vector(i).vectors[0].astype("<f4").tobytes()[64:192]


def crop(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 255, (112, 112, 3)).astype(np.uint8)


def new_face(i: int) -> NewFace:
    return NewFace(vector(i), f"photo-{i}", crop=crop(i), source=f"source-{i}.jpg")


def on_disk(path: Path) -> bytes:
    """Database, log, shared memory, marks and whatever else lies beside it."""
    files = [str(file) for file in path.parent.iterdir() if file.is_file()]
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A gallery with Ann (faces 1 and 2), Bea (3) and thirty others."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    with Gallery.open(folder / "gallery.db") as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff", keep_crops=True, metadata={"site": "Needle House"})
        gallery.enrol(
            "staff", "Ann Needle", [new_face(1), new_face(2)], metadata={"badge": "needle-badge"}
        )
        gallery.enrol("staff", "Bea Needle", [new_face(3)])
        for i in range(10, 40):
            gallery.enrol("staff", f"Person {i}", [new_face(i)])
    return folder / "gallery.db"


def id_of(gallery: Gallery, name: str) -> str:
    person = gallery.find_person("staff", name)
    assert person is not None
    return person.id


def crop_bytes(gallery: Gallery, person: str) -> bytes:
    face = gallery.faces("staff", id_of(gallery, person))[0]
    with gallery.database.read() as connection:
        query = (
            sa.select(schema.crops.c.image)
            .join(schema.faces, schema.faces.c.id == schema.crops.c.face_id)
            .where(schema.faces.c.uid == face.id)
        )
        return bytes(connection.execute(query).scalar_one())[300:400]


def see_ann(gallery: Gallery) -> tuple[str, str]:
    """Ann arrives, and people write about it; the events of Ann and of somebody unknown."""
    events, sightings = Events(gallery), Sightings(gallery)
    ann, bea = id_of(gallery, "Ann Needle"), id_of(gallery, "Bea Needle")
    place = Place("door", "door")
    (seen,) = sightings.person(
        "staff", place, ann, NOW, cooldown_s=60, grounds={}, vector=vector(50), crop=crop(50)
    )
    events.correct("staff", seen.id, "retime", actor="op", note="Ann needle-note 1", at=NOW)
    (other,) = sightings.person("staff", place, bea, NOW, cooldown_s=60, grounds={})
    given, _ = events.correct(
        "staff", other.id, "reassign", actor="op", note="needle-note 2", person_id=ann
    )
    events.correct("staff", given.id, "void", actor="op", note="Ann, needle-note 3")
    events.add("staff", "departure", ann, NOW, actor="op", note="needle-note 4")
    (unknown,) = sightings.visitor(
        "staff", place, NOW, NOW, "mark", cooldown_s=60, alike=0.9, grounds={}, vector=vector(60)
    )
    return seen.id, unknown.id


Act = Callable[[Gallery], object]
ANN = "Ann Needle"
ACTS: dict[str, tuple[Act, list[bytes]]] = {
    "delete person": (
        lambda g: g.delete_person("staff", id_of(g, ANN)),
        [b"Ann Needle", b"ann needle", b"needle-badge", part(1), part(2), part(50), b"source-1.jpg",
         b"Ann needle-note 1", b"needle-note 2", b"Ann, needle-note 3", b"needle-note 4"],
    ),
    "delete face": (
        lambda g: g.delete_face("staff", g.faces("staff", id_of(g, ANN))[0].id),
        [part(1), b"source-1.jpg"],
    ),
    "rename": (
        lambda g: g.update_person("staff", id_of(g, ANN), name="Somebody Else"),
        [b"Ann Needle", b"ann needle"],
    ),
    "metadata": (
        lambda g: g.update_person("staff", id_of(g, ANN), metadata={}), [b"needle-badge"],
    ),
    "enrol with metadata": (
        lambda g: g.enrol("staff", ANN, [new_face(4)], metadata={"b": 1}), [b"needle-badge"],
    ),
    "merge": (
        lambda g: g.merge_people("staff", id_of(g, "Bea Needle"), id_of(g, ANN)),
        [b"Ann Needle", b"ann needle", b"needle-badge"],
    ),
    "a merge made final": (
        lambda g: (
            g.merge_people("staff", id_of(g, "Bea Needle"), id_of(g, ANN), reversible=True),
            g.forget_merges(timedelta(0)),
        ),
        [b"Ann Needle", b"ann needle", b"needle-badge"],
    ),
    "delete whom they were merged into": (
        lambda g: (
            g.merge_people("staff", id_of(g, "Bea Needle"), id_of(g, ANN), reversible=True),
            g.delete_person("staff", id_of(g, "Bea Needle")),
        ),
        [b"Ann Needle", b"needle-badge", b"Bea Needle", part(1), part(2), part(3)],
    ),
    "collection metadata": (
        lambda g: g.update_collection("staff", metadata={}), [b"Needle House"],
    ),
    "no crops": (lambda g: g.update_collection("staff", keep_crops=False), []),
    "forget a visitor": (lambda g: Events(g).forget_face("staff", see_ann(g)[1]), [part(60)]),
    "delete collection": (
        lambda g: g.delete_collection("staff"),
        [b"Ann Needle", b"Bea Needle", b"needle-badge", b"Needle House", part(1), part(3), part(50),
         part(60), b"Ann needle-note 1", b"needle-note 4"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ACTS)
def test_what_is_erased_is_in_no_file_when_the_call_returns(path: Path, what: str) -> None:
    act, needles = ACTS[what]
    with Gallery.open(path) as gallery:
        if what in ("delete person", "delete collection"):
            see_ann(gallery)
        needles = list(needles)
        if what in ("no crops", "delete person", "delete collection"):
            needles.append(crop_bytes(gallery, ANN))
        before = on_disk(path)
        if what != "forget a visitor":
            assert [n for n in needles if n not in before] == []
        act(gallery)
        after = on_disk(path)
        assert [needle for needle in needles if needle in after] == []
        assert gallery.unscrubbed() == []
        assert gallery.check() == []
    assert not any(needle in on_disk(path) for needle in needles)


LIBRARY = """
    import sys
    from arcid.gallery import Gallery

    assert "arcid.events" not in sys.modules
    with Gallery.open(sys.argv[1]) as gallery:
        gallery.delete_person("staff", sys.argv[2])
"""
MERGE = """
    import sys
    from arcid.gallery import Gallery

    with Gallery.open(sys.argv[1]) as gallery:
        other = gallery.find_person("staff", "Person 10")
        gallery.merge_people("staff", other.id, sys.argv[2])
        gallery.delete_person("staff", other.id)
"""


@pytest.mark.parametrize("door", ["library", "merge", "command line"])
def test_who_deletes_a_person_by_whatever_door_deletes_what_was_seen_of_them(
    path: Path, door: str
) -> None:
    """In a process of its own, where nobody asked for anything but the gallery."""
    with Gallery.open(path) as gallery:
        ann = id_of(gallery, ANN)
        see_ann(gallery)
    seen = [part(50), b"Ann needle-note 1", b"needle-note 4"]
    assert all(needle in on_disk(path) for needle in seen)
    arguments = {
        "library": ["-c", textwrap.dedent(LIBRARY), str(path), ann],
        "merge": ["-c", textwrap.dedent(MERGE), str(path), ann],
        "command line": ["-m", "arcid", "gallery", "delete-person", ann, "--collection", "staff",
                         "--database", str(path)],
    }[door]  # fmt: skip
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    assert [needle for needle in seen if needle in on_disk(path)] == []
    with Gallery.open(path) as gallery:
        assert {event.name for event in Events(gallery).find("staff")} <= {"Bea Needle", None}
        assert gallery.check() == []


def test_no_gallery_opens_without_its_rooms(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms.rooms.cache_clear()
    monkeypatch.setattr(rooms, "ROOMS", ("arcid.no_such_room",))
    with pytest.raises(ModuleNotFoundError):
        Gallery.open(path)
    rooms.rooms.cache_clear()
    monkeypatch.undo()
    loaded: list[Any] = list(rooms.rooms())
    assert loaded == [sys.modules[name] for name in rooms.ROOMS]


READER = """
    import sqlite3, sys
    reader = sqlite3.connect(sys.argv[1], isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM people").fetchone()
    print("reading", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_reader(path: Path) -> Iterator[Callable[[], None]]:
    """A process that holds an older state of the gallery until the call, or the block's end."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(READER), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"

        def end() -> None:
            process.communicate("\n", timeout=10)

        yield end
        process.kill()


def test_a_reader_in_another_process_holds_it_up_and_that_is_said_until_it_is_done(
    path: Path,
) -> None:
    needle = b"Ann Needle"
    with another_reader(path) as end:
        with Gallery.open(path) as gallery:
            gallery.enrol("staff", "Cid", [new_face(5)])
            gallery.delete_person("staff", id_of(gallery, ANN))
            assert gallery.find_person("staff", ANN) is None
            assert gallery.unscrubbed() == [HELD_UP]
            with pytest.raises(GalleryBusy):
                gallery.scrub()
        assert needle in on_disk(path)
        with Gallery.open(path) as gallery:  # a restart does not forget it
            assert gallery.unscrubbed() == [HELD_UP]
            began = time.monotonic()
            gallery.enrol("staff", "Dot", [new_face(6)])
            assert time.monotonic() - began < 1.5  # who writes next is not held up as well
            end()
            gallery.settle()
            assert gallery.unscrubbed() == []
            assert needle not in on_disk(path)
            assert part(1) not in on_disk(path)


def test_the_next_command_erases_what_was_held_up(path: Path) -> None:
    with another_reader(path) as end:
        with Gallery.open(path) as gallery:
            gallery.delete_person("staff", id_of(gallery, ANN))
        end()
    with Gallery.open(path) as gallery:
        assert gallery.unscrubbed() == []
        assert b"Ann Needle" not in on_disk(path)


@pytest.mark.soak
@pytest.mark.data
def test_the_service_says_so_and_erases_it_by_itself(path: Path, data_dir: Path) -> None:
    with Gallery.open(path) as gallery:
        ann = id_of(gallery, ANN)
        see_ann(gallery)
    home = path.parent.parent / "home"
    home.mkdir()
    with serving(home, data_dir, ARCID_DATABASE=str(path)) as url:
        with another_reader(path) as end:
            request = urllib.request.Request(
                f"{url}/v1/collections/staff/people/{ann}", method="DELETE"
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.status == 202
                assert json.load(answer) == {"erasure": "held_up", "message": HELD_UP}
            assert b"Ann Needle" in on_disk(path)
            with urllib.request.urlopen(f"{url}/v1/system", timeout=20) as answer:
                assert json.load(answer)["gallery"]["erasure"] == [HELD_UP]
            end()
        deadline = time.monotonic() + 30
        while any(
            needle in on_disk(path) for needle in (b"Ann Needle", part(50), b"Ann needle-note")
        ):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        with urllib.request.urlopen(f"{url}/v1/system", timeout=20) as answer:
            assert json.load(answer)["gallery"]["erasure"] == []


PLANT = """
    import struct, sys
    from pathlib import Path

    path, needle = Path(sys.argv[1]), sys.argv[2].encode()
    data = path.read_bytes()
    for page in range(4096, len(data), 4096):
        kind, _, cells, content = struct.unpack_from(">BHHH", data, page)
        begin = page + 8 + 2 * cells
        if kind == 0x0D and page + content - begin > 200:  # a leaf of a table with room in it
            with path.open("r+b") as file:
                file.seek(begin + 100)
                file.write(needle)
            break
    else:
        sys.exit("no page has room")
"""


@pytest.mark.parametrize("how", ["closed", "quiet", "asked"])
def test_copies_in_unused_parts_of_pages_go_when_the_file_is_written_anew(
    path: Path, how: str
) -> None:
    """Zeroing what is deleted misses copies that SQLite may leave when it moves rows."""
    needle = "Left Over Needle"
    gallery = Gallery.open(path)
    gallery.delete_person("staff", id_of(gallery, ANN))
    plant = [sys.executable, "-c", textwrap.dedent(PLANT), str(path), needle]
    subprocess.run(plant, check=True)
    assert needle.encode() in on_disk(path)
    if how == "quiet":
        gallery.settle()
        gallery.settle()
    elif how == "asked":
        gallery.scrub()
    else:
        gallery.close()
    assert needle.encode() not in on_disk(path)
    gallery.close()
    with Gallery.open(path) as again:
        assert again.check() == []


@POSIX
def test_the_files_beside_it_are_for_those_whose_the_gallery_is(path: Path) -> None:
    beside = [path.with_name(path.name + suffix) for suffix in ("-mark", "-spare")]
    for file in beside:
        file.unlink()
    path.chmod(0o660)
    Gallery.open(path).close()
    assert [file.stat().st_mode & 0o777 for file in beside] == [0o660, 0o660]


def test_without_a_mark_nothing_is_erased_again_and_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mark = path.with_name(path.name + "-mark")
    mark.unlink()
    mark.mkdir()  # neither read nor written
    rebuilt = []

    def rebuild(own: Database) -> None:
        rebuilt.append(own)

    monkeypatch.setattr(Database, "_vacuum_file", rebuild)
    with Gallery.open(path) as gallery:
        gallery.delete_person("staff", id_of(gallery, ANN))
        for _ in range(4):
            gallery.settle()
        assert len(rebuilt) == 1
        assert gallery.unscrubbed() == []
        said = len(caplog.records)
        gallery.settle()
        assert len(caplog.records) == said
    assert HELD_UP not in caplog.text and "truncating" not in caplog.text


# a full disk


@pytest.fixture
def small_disk(tmpfs: Callable[[int], Path]) -> Path:
    return tmpfs(24)


@pytest.mark.soak
@pytest.mark.parametrize("what", ["person", "face", "name", "collection"])
def test_deleting_works_on_a_full_disk(small_disk: Path, what: str) -> None:
    path = small_disk / "gallery.db"
    with Gallery.open(path) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff", keep_crops=True)
        gallery.enrol("staff", ANN, [new_face(i) for i in range(20)])
        with pytest.raises(StorageFull):
            for i in range(100, 5000):
                gallery.enrol("staff", f"Person {i % 50}", [new_face(i)])
        (small_disk / "ballast").write_bytes(b"")
        with pytest.raises(OSError, match="No space"), (small_disk / "ballast").open("wb") as file:
            while True:  # not a byte is left
                file.write(b"x" * 512)
                file.flush()
        with pytest.raises(StorageFull):
            gallery.enrol("staff", "Nobody", [new_face(9999)])
        needles = [part(1), part(2)]
        if what == "person":
            gallery.delete_person("staff", id_of(gallery, ANN))
            needles += [b"Ann Needle"]
        elif what == "face":
            for face in gallery.faces("staff", id_of(gallery, ANN)):
                gallery.delete_face("staff", face.id)
        elif what == "name":
            gallery.update_person("staff", id_of(gallery, ANN), name="Somebody")
            needles = [b"Ann Needle"]
        else:
            gallery.delete_collection("staff")
            needles += [b"Ann Needle", part(100), b"Person 1"]
        after = on_disk(path)
        assert [needle for needle in needles if needle in after] == []
        assert gallery.unscrubbed() == [NOT_REBUILT]  # for which there is no room
        if what != "name":
            gallery.create_collection("again")


LIMITED = """
    import resource, sys
    from arcid.gallery import Gallery

    with Gallery.open(sys.argv[1]) as gallery:
        size = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        gallery.delete_person("staff", gallery.find_person("staff", "Ann Needle").id)
        assert gallery.unscrubbed() == []
"""


@pytest.mark.soak
@POSIX
def test_deleting_works_where_files_may_not_grow(path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(path), str(path.stat().st_size)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert b"Ann Needle" not in on_disk(path)


# PostgreSQL


def server_bytes(gallery: Gallery, place: str = "base") -> bytes:
    """Of the tables of every database of the server, or of its log: ``pg_wal``."""
    with gallery.database._engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("CHECKPOINT")
        folder = Path(connection.exec_driver_sql("SHOW data_directory").scalar_one())
    if not os.access(folder / "base", os.R_OK):
        pytest.skip("the server's files cannot be read from here")
    found = []
    for parent, _, names in os.walk(folder / place):  # other tests' databases go meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                found.append((Path(parent) / name).read_bytes())
    return b"".join(found)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_what_vacuum_can_and_cannot_do(database_url: str) -> None:
    with Gallery.open(database_url) as gallery:
        leave_unsealed(gallery)
        gallery.create_collection("staff", keep_crops=True)
        for i in range(40):
            gallery.enrol("staff", f"Vacuum Needle {i:03d}", [new_face(7000 + i)])
        gallery.enrol_images(
            "staff", [new_face(7100), new_face(7000)], name="Somebody", partial=True,
            decide=lambda cosine, size: None, once=Once("key", "1" * 64),
        )  # fmt: skip
        assert b"is enrolled as 'Vacuum Needle 000'" in server_bytes(gallery)
        assert b"Vacuum Needle 003" in server_bytes(gallery)
        with gallery.database._engine.connect() as connection:  # as autovacuum does now and then
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
        for person in gallery.people("staff", search="Needle")[:30]:
            gallery.delete_person("staff", person.id)
        left = server_bytes(gallery)
        vacuumed = sum(part(7000 + i) in left for i in range(30))
        log = server_bytes(gallery, "pg_wal")
        logged = sum(part(7000 + i) in log for i in range(30))
        print(f"of 30 deleted vectors {vacuumed} are in the tables' files, {logged} in the log")
        gallery.scrub()
        left = server_bytes(gallery)
        assert not any(b"Vacuum Needle %03d" % i in left for i in range(30))
        assert not any(part(7000 + i) in left for i in range(30))
        assert b"Vacuum Needle 035" in left
        assert part(7035) in left
        assert gallery.unscrubbed() == []

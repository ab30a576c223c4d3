"""No acknowledged face is ever lost, none is half written, and every failure is a typed error.

Children are killed at random moments, disks fill up, fsync fails, files are torn. A child prints a
line only after ``enrol`` has returned; what it printed must be there afterwards, vector for vector.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving import serving

from arcid.errors import (
    ArcidError,
    GalleryDamaged,
    GalleryError,
    GalleryUnavailable,
    StorageFull,
)
from arcid.gallery import Gallery, NewFace, commits
from arcid.gallery.mark import Mark, Point
from arcid.types import Embeddings

pytestmark = pytest.mark.soak

CONTRACT = "a" * 64
DIM = 512
POSIX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux signals, limits or loading")

CHILD = """
    import os, resource, sys
    import numpy as np
    from arcid.errors import ArcidError
    from arcid.gallery import Gallery, NewFace
    from arcid.types import Embeddings

    path, start, count, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

    def vector(i):
        return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, 512)), "a" * 64)

    def say(*words):
        os.write(1, (" ".join(map(str, words)) + "\\n").encode())

    with Gallery.open(path) as gallery:
        try:
            gallery.create_collection("staff", keep_crops=True)
        except ArcidError:
            pass
        say("ready")
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        for i in range(start, start + count):
            crop = np.full((112, 112, 3), i % 256, np.uint8)
            try:
                _, [face] = gallery.enrol(
                    "staff", f"Person {i % 40}", [NewFace(vector(i), f"photo-{i}", crop=crop)]
                )
            except ArcidError as error:
                say("failed", i, type(error).__name__)
            else:
                say("ack", i, face.id)
            if os.environ.get("SCRUB") and i % 3 == 0:
                gallery.delete_person("staff", gallery.add_person("staff", "Passing").id)
    say("closed")
"""


def vector(i: int) -> np.ndarray:
    noise = np.random.default_rng(i).normal(size=(1, DIM))
    return Embeddings.normalised(noise, CONTRACT).vectors[0]


def new_face(i: int) -> NewFace:
    return NewFace(Embeddings(vector(i)[None], CONTRACT), f"photo-{i}")


def child(path: Path, start: int, count: int, *, limit: int = 0, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), *map(str, (path, start, count, limit))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
    )


def acknowledged(lines: list[str]) -> dict[int, str]:
    words = [line.split() for line in lines if line.endswith("\n")]
    return {int(w[1]): w[2] for w in words if w[0] == "ack"}


def failures(lines: list[str]) -> dict[int, str]:
    words = [line.split() for line in lines if line.endswith("\n")]
    return {int(w[1]): w[2] for w in words if w[0] == "failed"}


def assert_sound(path: Path, acks: dict[int, str]) -> set[int]:
    """Every acknowledged face is there, exact and findable; whatever else is there is whole."""
    with Gallery.open(path, create=False) as gallery:
        assert gallery.check() == []
        stored: dict[str, Any] = {}
        for face_ids, _, rows in gallery.vectors("staff", CONTRACT):
            stored |= dict(zip(face_ids, rows, strict=True))
        assert gallery.collection("staff").faces == len(stored)
        for i, face_id in acks.items():
            assert np.array_equal(stored[face_id], vector(i)), "an acknowledged vector is wrong"
        present = set()
        for person in gallery.people("staff", limit=1000):
            for face in gallery.faces("staff", person.id):
                assert face.photo_id is not None
                i = int(face.photo_id.split("-")[1])
                assert np.array_equal(stored[face.id], vector(i))
                assert person.name == f"Person {i % 40}"
                present.add(i)
        for i in list(acks)[:: max(1, len(acks) // 10)]:
            probe = Embeddings(vector(i)[None], CONTRACT)
            assert gallery.search("staff", probe, k=1)[0][0].face_id == acks[i]
        return present


@POSIX
def test_sigkill_at_random_moments_of_500_enrolments(tmp_path: Path) -> None:
    """Each child is killed a random time after a random acknowledgement, mid-write as it comes."""
    path = tmp_path / "gallery.db"
    chance = random.Random()
    seed = chance.randrange(2**32)
    chance.seed(seed)
    acks: dict[int, str] = {}
    attempted = rounds = 0
    while len(acks) < 500:
        process = child(path, attempted, 1000)
        assert process.stdout is not None
        lines: list[str] = []
        enough = chance.randrange(20, 120)
        for line in process.stdout:
            lines.append(line)
            if line.startswith("failed"):
                pytest.fail(f"{line} (seed {seed})")
            if len(lines) > enough:
                break
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        rest, errors = process.communicate(timeout=30)
        lines += rest.splitlines(keepends=True)
        assert process.returncode == -signal.SIGKILL, errors
        new = acknowledged(lines)
        acks |= new
        attempted = max(new, default=attempted) + 2
        rounds += 1
        if rounds % 3 == 0:
            assert_sound(path, acks)
    present = assert_sound(path, acks)
    # At most the one enrolment under way at each kill is there without having been acknowledged.
    assert len(present - set(acks)) <= rounds, f"seed {seed}"
    assert rounds >= 4


#: As the service with its console: two doors to one file, open for long.
TWO_DOORS = """
    import os, sys
    import numpy as np
    from arcid.gallery import Gallery, NewFace
    from arcid.gallery.database import Database
    from arcid.types import Embeddings

    gallery, console = Gallery.open(sys.argv[1]), None
    gallery.create_collection("staff")
    for line in sys.stdin:
        i = int(line)
        vector = np.random.default_rng(i).normal(size=(1, 512))
        face = NewFace(Embeddings.normalised(vector, "a" * 64), f"photo-{i}")
        _, [stored] = gallery.enrol("staff", f"Person {i % 40}", [face])
        console = console or Database(sys.argv[1])
        os.write(1, f"ack {i} {stored.id}\\n".encode())
"""


@POSIX
def test_another_process_that_comes_and_goes_takes_nothing_away(tmp_path: Path) -> None:
    """`arcid enrol` beside a running service: what the service then writes outlives its death."""
    path = tmp_path / "gallery.db"
    lines = []
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(TWO_DOORS), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as service:  # fmt: skip
        assert service.stdin is not None
        assert service.stdout is not None

        def enrol(i: int) -> None:
            print(i, file=service.stdin, flush=True)
            lines.append(service.stdout.readline())

        enrol(0)
        for i in (2, 4):
            with Gallery.open(path) as visitor:
                _, [stored] = visitor.enrol("staff", f"Person {i - 1}", [new_face(i - 1)])
            lines.append(f"ack {i - 1} {stored.id}\n")
            enrol(i)
        service.kill()
    assert assert_sound(path, acknowledged(lines)) == {0, 1, 2, 3, 4}


@POSIX
def test_sigkill_while_the_gallery_is_being_made(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / f"{number}.db"
        process = child(path, 0, 1)
        while process.poll() is None and not path.exists():
            time.sleep(0.002)
        time.sleep(number * 0.004)
        process.kill()
        process.communicate(timeout=30)
        with Gallery.open(path) as gallery:
            assert gallery.check() == []


@POSIX
@pytest.mark.parametrize("room", [24_000, 150_000, 400_000])
def test_files_that_may_not_grow(tmp_path: Path, room: int) -> None:
    """RLIMIT_FSIZE: the write that would pass the limit fails half-way."""
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
    process = child(path, 0, 120, limit=path.stat().st_size + room)
    out, errors = process.communicate(timeout=60)
    lines = out.splitlines(keepends=True)
    assert process.returncode == 0, errors
    assert failures(lines), "the limit was never reached"
    assert set(failures(lines).values()) <= {"GalleryDamaged", "StorageFull"}
    present = assert_sound(path, acknowledged(lines))
    assert present == set(acknowledged(lines))
    with Gallery.open(path) as gallery:
        gallery.enrol("staff", "Person 0", [new_face(1000)])


@pytest.fixture
def small_disk(tmpfs: Callable[[int], Path]) -> Path:
    return tmpfs(6)


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "gallery.db"
    acks: dict[int, str] = {}
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        with pytest.raises(StorageFull):
            for i in range(2000):
                _, [face] = gallery.enrol("staff", f"Person {i % 40}", [new_face(i)])
                acks[i] = face.id
        assert len(acks) > 50
        with pytest.raises(StorageFull):
            gallery.enrol("staff", "Somebody", [new_face(i) for i in range(3000, 3100)])
        assert gallery.find_person("staff", "Somebody") is None
        probe = Embeddings(vector(0)[None], CONTRACT)
        assert gallery.search("staff", probe, k=1)[0][0].face_id == acks[0]
    with Gallery.open(path) as gallery:
        assert set(acks.values()) <= {
            face.id for p in gallery.people("staff") for face in gallery.faces("staff", p.id)
        }
    for file in small_disk.iterdir():  # a full disk may have kept the WAL from being merged
        shutil.copy(file, small_disk.parent / file.name)
    assert_sound(small_disk.parent / "gallery.db", acks)


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>

/* Fails every FAULT_EVERY-th call named by FAULT_CALL on files whose name ends in FAULT_FILE. */
static long seen;

static int due(const char *call, int fd) {
    const char *want = getenv("FAULT_CALL"), *every = getenv("FAULT_EVERY");
    const char *file = getenv("FAULT_FILE");
    char link[64], name[4096];
    ssize_t n;
    if (!want || strcmp(want, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof name - 1);
    if (n < 0) return 0;
    name[n] = 0;
    if (strlen(name) < strlen(file) || strcmp(name + strlen(name) - strlen(file), file)) return 0;
    return ++seen % atol(every) == 0;
}
#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

int fsync(int fd) {
    if (due("fsync", fd)) { errno = EIO; return -1; }
    return NEXT(int (*)(int), "fsync")(fd);
}
int fdatasync(int fd) {
    if (due("fsync", fd)) { errno = EIO; return -1; }
    return NEXT(int (*)(int), "fdatasync")(fd);
}
static ssize_t write_at(int fd, const void *data, size_t size, off_t at) {
    return NEXT(ssize_t (*)(int, const void *, size_t, off_t), "pwrite64")(fd, data, size, at);
}
static ssize_t faulty(int fd, const void *data, size_t size, off_t at) {
    if (due("torn", fd)) { write_at(fd, data, size / 2, at); errno = EIO; return -1; }
    if (due("full", fd)) { errno = ENOSPC; return -1; }
    return write_at(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *d, size_t n, off_t at) { return faulty(fd, d, n, at); }
ssize_t pwrite64(int fd, const void *d, size_t n, off_t at) { return faulty(fd, d, n, at); }
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library loaded under SQLite that makes its system calls fail."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler to make system calls fail under SQLite")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "fault.c").write_text(SHIM)
    library = folder / "fault.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "fault.c"), "-ldl"],
        check=True,
        capture_output=True,
    )
    return library


@pytest.mark.parametrize(
    ("call", "file", "every", "error"),
    [
        ("fsync", "gallery.db-wal", 7, "GalleryDamaged"),
        ("torn", "gallery.db-wal", 23, "GalleryDamaged"),
        ("full", "gallery.db-wal", 23, "StorageFull"),
    ],
)
def test_system_calls_that_fail(
    shim: Path, tmp_path: Path, call: str, file: str, every: int, error: str
) -> None:
    """The call that hits the fault is a typed error; the process goes on and is then killed."""
    path = tmp_path / "gallery.db"
    lines, _ = with_faults(path, shim, FAULT_CALL=call, FAULT_FILE=file, FAULT_EVERY=str(every))
    acks, failed = acknowledged(lines), failures(lines)
    assert len(failed) >= 3, "the fault never struck"
    assert set(failed.values()) == {error}
    assert len(acks) + len(failed) == 60
    present = assert_sound(path, acks)
    # A failed fsync may leave the last refused transaction readable after a crash, whole.
    assert len(present - set(acks)) <= 1


@pytest.mark.parametrize(("call", "every"), [("fsync", 2), ("torn", 7), ("full", 7)])
def test_system_calls_that_fail_while_the_wal_is_merged(
    shim: Path, tmp_path: Path, call: str, every: int
) -> None:
    """Merging the WAL into the database fails over and over: nobody notices, nothing is lost."""
    path = tmp_path / "gallery.db"
    lines, warnings = with_faults(
        path, shim, SCRUB="1", FAULT_CALL=call, FAULT_FILE="/gallery.db", FAULT_EVERY=str(every)
    )
    assert warnings.count("truncating the WAL failed") >= 3, "the fault never struck"
    assert len(acknowledged(lines)) == 60
    assert_sound(path, acknowledged(lines))


def with_faults(path: Path, shim: Path, **env: str) -> tuple[list[str], str]:
    """What a child said, and logged, that enrolled 60 faces under faults and was then killed."""
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff", keep_crops=True)
    process = child(path, 0, 60, LD_PRELOAD=str(shim), **env)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == 61:
            break
    process.kill()
    _, errors = process.communicate(timeout=30)
    assert len(lines) == 61, errors
    return lines, errors


def filled(path: Path, faces: int = 60) -> dict[int, str]:
    acks = {}
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        for i in range(faces):
            _, [face] = gallery.enrol("staff", f"Person {i % 40}", [new_face(i)])
            acks[i] = face.id
    return acks


def read_everything(path: Path, acks: dict[int, str]) -> int:
    """How many faces a damaged copy still shows; each one shown must be right."""
    ids = {face_id: i for i, face_id in acks.items()}
    with Gallery.open(path, create=False) as gallery:
        for face_ids, _, rows in gallery.vectors("staff", CONTRACT):
            for face_id, row in zip(face_ids, rows, strict=True):
                assert np.array_equal(row, vector(ids[face_id])), "garbage was served as a vector"
        count = 0
        for person in gallery.people("staff", limit=1000):
            for face in gallery.faces("staff", person.id):
                i = ids[face.id]
                assert (person.name, face.photo_id) == (f"Person {i % 40}", f"photo-{i}")
                count += 1
        for i in (0, 20, 40):
            for match in gallery.search("staff", Embeddings(vector(i)[None], CONTRACT))[0]:
                j = ids[match.face_id]
                assert match.name == f"Person {j % 40}"
                assert match.cosine == pytest.approx(float(vector(i) @ vector(j)), abs=1e-5)
        return count


def copy_keys(path: Path, copy: Path) -> None:
    shutil.copy(path.with_name(f"{path.name}-keys"), copy.with_name(f"{copy.name}-keys"))


def test_torn_copies_of_the_database(tmp_path: Path) -> None:
    """Cut short, zeroed, scribbled over, mixed with an older state: an error, or right answers."""
    path = tmp_path / "gallery.db"
    filled(path, 30)
    older = path.read_bytes()
    for file in tmp_path.iterdir():
        file.unlink()
    acks = filled(path)
    sound = path.read_bytes()
    chance = random.Random(5)
    copy = tmp_path / "copy.db"
    copy_keys(path, copy)
    errors = 0
    for number in range(60):
        torn = bytearray(sound)
        size = 512 * chance.randint(1, 12)
        at = chance.randrange(0, len(sound) - size)
        match number % 4:
            case 0:
                del torn[at:]
            case 1:
                torn[at : at + size] = bytes(size)
            case 2:
                torn[at : at + size] = chance.randbytes(size)
            case 3:
                page = at // 4096 * 4096
                torn[page : page + 4096] = older[page : page + 4096].ljust(4096, b"\0")
        copy.write_bytes(torn)
        copy.chmod(0o600)
        try:
            read_everything(copy, acks)
        except ArcidError as error:
            assert isinstance(error, GalleryError), error
            errors += 1
        for suffix in ("-wal", "-shm", "-mark"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    assert errors > 15  # each of those that were cut short, and others


def test_torn_and_lost_wal(tmp_path: Path) -> None:
    """A copy taken of a live gallery whose WAL is cut, scribbled over or missing."""
    path = tmp_path / "gallery.db"
    acks = filled(path, 20)
    with Gallery.open(path) as gallery:
        gallery.database.pragma("wal_checkpoint(TRUNCATE)")
        for i in range(20, 32):  # fewer pages than are moved into the file by themselves
            _, [face] = gallery.enrol("staff", f"Person {i}", [new_face(i)])
            acks[i] = face.id
        database = path.read_bytes()
        wal = path.with_name(path.name + "-wal").read_bytes()
    chance = random.Random(6)
    copy = tmp_path / "copy.db"
    copy_keys(path, copy)
    copied_wal = copy.with_name(copy.name + "-wal")
    counts = []
    for number in range(24):
        copy.write_bytes(database)
        copy.chmod(0o600)
        for suffix in ("-shm", "-mark"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        torn = bytearray(wal)
        at = chance.randrange(len(wal))
        if number % 3 == 0:
            del torn[at:]
        elif number % 3 == 1:
            torn[at : at + 4096] = chance.randbytes(len(torn[at : at + 4096]))
        if number == 0:
            copied_wal.unlink(missing_ok=True)
        else:
            copied_wal.write_bytes(torn)
        counts.append(read_everything(copy, acks))
        with Gallery.open(copy) as gallery:
            assert gallery.check() == []
    assert counts[0] == 20, "what was checkpointed is there without the WAL"
    assert counts[2] == 32, "a whole WAL brings everything"
    assert all(20 <= count <= 32 for count in counts)
    assert len(set(counts)) > 5


def test_a_file_overwritten_under_an_open_gallery(tmp_path: Path) -> None:
    """What SQLite holds in memory may still be served, and is right; what it reads is an error."""
    path = tmp_path / "gallery.db"
    acks = filled(path)
    probe = Embeddings(vector(7)[None], CONTRACT)
    with Gallery.open(path) as gallery:
        assert gallery.search("staff", probe, k=1)[0][0].face_id == acks[7]
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(random.Random(1).randbytes(size - 4096))
        gallery.drop_indexes()
        with contextlib.suppress(GalleryDamaged):
            assert gallery.search("staff", probe, k=1)[0][0].face_id == acks[7]
    with pytest.raises(GalleryDamaged), Gallery.open(path) as gallery:
        gallery.enrol("staff", "Person 0", [new_face(60)])


# stopping, and what is missed


def add_people(url: str, count: int) -> None:
    """As a client of the service; returns once all are acknowledged."""
    for i in range(count):
        request = urllib.request.Request(
            f"{url}/v1/collections/staff/people",
            json.dumps({"name": f"Person {i}"}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201


def alone(path: Path, to: Path) -> Path:
    """The database file with nothing but its keys, as somebody would copy it."""
    copy = to / "alone.db"
    shutil.copy(path, copy)
    copy_keys(path, copy)
    return copy


@POSIX
@pytest.mark.data
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_service_leaves_everything_in_the_database_file(
    data_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """`systemctl stop` sends SIGTERM; the console has a database of its own open."""
    home = tmp_path / "home"
    home.mkdir()
    path = home / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
    with serving(home, data_dir, stop=number) as url:
        add_people(url, 20)
        with urllib.request.urlopen(f"{url}/console/sign-in", timeout=20) as page:
            assert page.status == 200
    assert not path.with_name("gallery.db-wal").exists()
    with Gallery.open(alone(path, tmp_path), create=False) as gallery:
        assert len(gallery.people("staff")) == 20


@POSIX
def test_a_killed_gallery_is_moved_into_its_file_by_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    process = child(path, 0, 1000)
    assert process.stdout is not None
    lines = [line for line, _ in zip(process.stdout, range(40), strict=False)]
    process.kill()
    process.communicate(timeout=30)
    held = Gallery.open(path)
    assert path.with_name("gallery.db-wal").stat().st_size == 0
    assert_sound(alone(path, tmp_path), acknowledged(lines))
    held.close()


LONG = """
    import sys
    from arcid.cli import opening, output
    import typer

    app = typer.Typer()

    @app.command()
    def work(path: str) -> None:
        with opening.open_gallery(path, create=True) as opened:
            opened.create_collection("staff")
            i = 0
            while True:
                opened.add_person("staff", f"Person {i}")
                i += 1
                print(i, flush=True)

    sys.exit(output.run_command(app, sys.argv[1:]))
"""


@POSIX
def test_any_command_that_is_told_to_end_closes_its_gallery(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LONG), str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while process.stdout.readline().strip() != "30":
            assert process.poll() is None
        process.terminate()
        said = process.communicate(timeout=30)[0].split()
    assert process.returncode == 130
    with Gallery.open(alone(path, tmp_path), create=False) as gallery:
        assert len(gallery.people("staff", limit=1000)) >= int(said[-1] if said else 30)


def crashed(path: Path, acks: int) -> int:
    """A gallery whose writer was killed after that many acknowledged enrolments; how many there."""
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff", keep_crops=True)
    process = child(path, 0, 10_000)
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) > acks:
            break
    process.kill()
    rest, _ = process.communicate(timeout=30)
    return len(acknowledged(lines + rest.splitlines(keepends=True)))


@POSIX
@pytest.mark.parametrize("damage", ["bit", "cut", "removed"])
def test_acknowledged_writes_that_are_gone_are_missed(tmp_path: Path, damage: str) -> None:
    """SQLite takes a WAL up to the first wrong checksum for whole; the mark knows better."""
    path = tmp_path / "gallery.db"
    count = crashed(path, 60)
    wal = path.with_name("gallery.db-wal")
    content = bytearray(wal.read_bytes())
    assert len(content) > 100_000, "the WAL was merged meanwhile"
    middle = len(content) // 2
    if damage == "bit":
        content[middle] ^= 1
    elif damage == "cut":
        del content[middle:]
    else:
        content.clear()
    wal.write_bytes(content)
    with Gallery.open(path, create=False) as gallery:
        there = sum(person.faces for person in gallery.people("staff", limit=1000))
        assert there < count
        (finding,) = gallery.check()
        gone, words = finding.split(" acknowledged writes are gone: acknowledged up to write ")
        upto, words = words.split(", found up to write ")
        assert int(gone) == int(upto) - int(words.split(" ")[0])
        assert 0 <= int(gone) - (count - there) <= 1  # the one under way may have been committed
        gallery.enrol("staff", "Person 0", [new_face(20_000)])
    with Gallery.open(path) as gallery:  # later writes hide nothing
        assert gallery.check() == [finding] == gallery.losses()
        assert gallery.accept_losses() == 1
        assert gallery.check() == []
        gallery.enrol("staff", "Person 0", [new_face(20_001)])
    with Gallery.open(path) as gallery:
        assert gallery.check() == []


def test_several_processes_mark_one_gallery(tmp_path: Path) -> None:
    """Killed and not, at once: nothing is said to be gone that is not."""
    path = tmp_path / "gallery.db"
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff", keep_crops=True)
    children = [child(path, 1000 * i, 60) for i in range(3)]
    outs = [process.communicate(timeout=120)[0] for process in children]
    acks = acknowledged([line for out in outs for line in out.splitlines(keepends=True)])
    assert len(acks) == 180
    with Gallery.open(path) as gallery:
        assert gallery.check() == []
        assert Mark(path).acknowledged() == database_head(gallery)


def database_head(gallery: Gallery) -> Point:
    with gallery.database.read() as connection:
        return commits.head(connection)


def test_an_older_copy_and_another_gallery_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    filled(path, 10)
    backup = alone(path, tmp_path)
    filled(other := tmp_path / "other.db", 3)
    with Gallery.open(path) as gallery:
        gallery.enrol("staff", "Person 1", [new_face(100)])
    shutil.copy(backup, path)
    with Gallery.open(path) as gallery:
        assert "1 acknowledged write is gone" in gallery.check()[0]
    shutil.copy(other, path)
    copy_keys(other, path)
    with Gallery.open(path) as gallery:
        assert "another gallery" in gallery.check()[0]
    with Gallery.open(backup) as gallery:  # restored without its mark: nothing to compare with
        assert gallery.check() == []


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_gallery_that_was_here_is_never_begun_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "gallery.db"
    filled(path, 2)
    content = path.read_bytes()
    path.unlink()
    if how == "empty":
        path.touch(0o600)
    kind = GalleryDamaged if how == "empty" else GalleryUnavailable
    for create in (True, False):
        with pytest.raises(kind, match=f"is {how}, but gallery.db-mark says"):
            Gallery.open(path, create=create)
    path.write_bytes(content)
    path.chmod(0o600)
    with Gallery.open(path) as gallery:
        assert gallery.check() == []


@POSIX
def test_a_file_that_goes_while_it_is_open_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    filled(path, 2)
    with Gallery.open(path) as gallery:
        aside = path.rename(tmp_path / "aside.db")
        for _ in range(2):
            with pytest.raises(GalleryUnavailable, match="gone"):
                gallery.enrol("staff", "Person 5", [new_face(5)])
            with pytest.raises(GalleryUnavailable, match="gone"):
                gallery.people("staff")
        assert not path.exists()
        aside.rename(path)
        gallery.enrol("staff", "Person 5", [new_face(5)])
    with Gallery.open(path) as gallery:
        assert gallery.collection("staff").faces == 3
        assert gallery.check() == []


@POSIX
def test_a_gallery_that_every_user_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    filled(path, 2)
    path.chmod(0o644)
    with pytest.raises(GalleryError, match=f"chmod o= {re.escape(str(path))}"):
        Gallery.open(path)
    path.chmod(0o640)  # a group is somebody's decision
    before = os.umask(0)
    try:
        with Gallery.open(path) as gallery:
            gallery.enrol("staff", "Person 0", [new_face(9)])
            made = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
            with Gallery.open(tmp_path / "new.db"):
                pass
    finally:
        os.umask(before)
    assert set(made) == {"gallery.db" + s for s in ("", "-wal", "-shm", "-mark", "-spare", "-keys")}
    assert all(not rights & 0o007 for rights in made.values())
    assert all(not file.stat().st_mode & 0o077 for file in tmp_path.glob("new.db*"))

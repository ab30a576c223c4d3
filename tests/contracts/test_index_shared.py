"""Processes of one user share the memory of a kept index, and only they, and only with its key."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.gallery import Gallery, NewFace, keeping, sharing, snapshots
from arcid.gallery.index.exact import ExactIndex
from arcid.gallery.index.state import Part
from arcid.types import Embeddings
from arcid.vault import sealing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux")
CONTRACT, DIM = "a" * 64, 64
_PROCESS = """
import json, re, sys
from pathlib import Path
from tests.contracts import test_index_shared as own
with own.opened(sys.argv[1]) as gallery:
    for line in sys.stdin:
        name = gallery.search("staff", own.vector(int(line)), k=1)[0][0].name
        maps = Path("/proc/self/maps").read_text()
        memory = sorted(set(re.findall(r"([0-9]+) +/memfd:arcid-index", maps)))
        print(json.dumps([name, memory]), flush=True)
"""


def vector(i: int) -> Embeddings:
    return Embeddings.normalised(np.random.default_rng(i).normal(size=(1, DIM)), CONTRACT)


def opened(url: str | Path) -> Gallery:
    snapshots.WORTH_ROWS, snapshots.PIECE_BYTES, keeping.MANY = 4, 256, 10
    return Gallery.open(url, make_index=lambda dim, fetch: ExactIndex(dim, fetch, block_rows=8))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gallery of ten people whose index is in a file."""
    for name in ("WORTH_ROWS", "PIECE_BYTES"):
        monkeypatch.setattr(snapshots, name, getattr(snapshots, name))
    monkeypatch.setattr(keeping, "MANY", keeping.MANY)
    path = tmp_path / "gallery.db"
    with opened(path) as gallery:
        gallery.create_collection("staff")
        for i in range(10):
            faces = [NewFace(vector(100 * i + k)) for k in (0, 1)]
            gallery.enrol("staff", f"Person {i}", faces)
        assert gallery.search("staff", vector(100), k=1)[0][0].name == "Person 1"
    return path


class Other:
    """Another process with the gallery open."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    def nearest(self, i: int) -> tuple[str, list[str]]:
        """Its answer, and which shared memory it maps."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{i}\n")
        self.process.stdin.flush()
        name, memory = json.loads(self.process.stdout.readline())
        return name, memory


@contextmanager
def others(path: Path, count: int) -> Iterator[list[Other]]:
    started = [Other(path) for _ in range(count)]
    try:
        yield started
    finally:
        for one in started:
            one.process.kill()
            one.process.communicate()


def test_processes_map_one_memory_and_pass_it_on(kept: Path) -> None:
    with others(kept, 3) as (first, second, third):
        name, memory = first.nearest(100)
        assert name == "Person 1" and len(memory) == 1
        assert second.nearest(200) == ("Person 2", memory)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        assert third.nearest(300) == ("Person 3", memory)
        with Gallery.open(kept) as gallery:
            gallery.enrol("staff", "Eve", [NewFace(vector(5000))])
            gallery.delete_person("staff", gallery.person_called("staff", "Person 3").id)
        for one in (second, third):
            assert one.nearest(5000)[0] == "Eve" and one.nearest(300)[0] != "Person 3"


def test_after_an_erasure_nobody_gets_it(kept: Path) -> None:
    header = snapshots.header_of(next(Path(f"{kept}-index").iterdir()))
    assert header is not None
    name = snapshots.name_of(header)
    with opened(kept) as gallery:
        assert gallery.search("staff", vector(100), k=1)[0][0].name == "Person 1"
        assert len(sharing._offered(name)) == 1
        gallery.delete_person("staff", gallery.person_called("staff", "Person 1").id)
        assert gallery.search("staff", vector(100), k=1)[0][0].name != "Person 1"
        assert sharing._offered(name) == []
        with others(kept, 1) as (late,):
            assert late.nearest(200) == ("Person 2", [])


def offered(name: str, by: Any, rows: int = 5) -> tuple[list[Part], sharing.Offer]:
    keys = np.arange(rows)
    part = Part(
        keys, keys + 100, np.ones(rows, np.float32), np.zeros(rows, np.float32),
        np.full((rows, DIM), 7, np.int8),
    )  # fmt: skip
    read, offer = sharing.parts(name, by, [rows], DIM, [lambda: part])
    assert offer is not None
    return [one() for one in read], offer


def never() -> Part:
    raise AssertionError("it was read again")


def test_only_who_has_the_key_gets_it_and_nobody_can_change_it() -> None:
    name, key, wrong = os.urandom(8).hex(), sealing.cipher(bytes(32)), sealing.cipher(b"1" * 32)
    (part,), offer = offered(name, key)
    try:
        again, second = sharing.parts(name, key, [5], DIM, [never])
        assert second is not None
        second.close()
        assert np.array_equal(again[0]().codes, part.codes)
        assert not part.codes.flags.writeable and not part.people.flags.writeable
        fd = sharing._asked(name, key, Part.nbytes_of(5, DIM) + (-Part.nbytes_of(5, DIM)) % 64)
        assert fd is not None
        with os.fdopen(fd, "r+b", buffering=0) as memory:
            with pytest.raises(PermissionError):
                memory.write(b"x")
            with pytest.raises(PermissionError):
                memory.truncate(0)
        assert sharing._asked(name, wrong, 448) is None
        assert sharing._asked(name, key, 9) is None, "another size"
        (address,) = sharing._offered(name)
        for said in (b"", b"x" * 28, b"x" * 100):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(f"\0{address}")
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                got: list[int] = []
                with suppress(ConnectionResetError):
                    got = socket.recv_fds(stranger, 28, 1)[1]
                assert got == []
    finally:
        offer.close()


def test_sockets_of_any_name_are_in_nobodys_way() -> None:
    name, key = os.urandom(8).hex(), sealing.cipher(bytes(32))
    (_, offer), odd = offered(name, key), os.urandom(4).hex().encode()
    with socket.socket(socket.AF_UNIX) as split, socket.socket(socket.AF_UNIX) as other:
        for one, breaks in ((split, b"\na b\n\n"), (other, b"\x1c\x85\r\xff")):
            one.bind(b"\0" + odd + breaks + odd)
            one.listen()
        try:
            assert len(sharing._offered(name)) == 1
        finally:
            offer.close()


def test_another_user_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    name, key = os.urandom(8).hex(), sealing.cipher(bytes(32))
    _, offer = offered(name, key)
    try:
        monkeypatch.setattr(sharing, "_user_of", lambda connection: os.getuid() + 1)
        assert sharing._asked(name, key, 448) is None
    finally:
        offer.close()


def test_without_such_memory_each_process_reads_for_itself(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> int:
        raise OSError("no such call")

    monkeypatch.setattr(os, "memfd_create", refused)
    with opened(kept) as gallery:
        assert gallery.search("staff", vector(200), k=1)[0][0].name == "Person 2"
        assert gallery.check() == []

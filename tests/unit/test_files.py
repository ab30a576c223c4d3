"""Files are written whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import os
import resource
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from arcid import files
from arcid.errors import StorageFull, UsageError

OLD = b"what was there"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let a file grow further, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "out.npz"
    path.write_bytes(OLD)
    return path


def only(path: Path) -> bool:
    return [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["bytes", "npy", "npz", "png", "tar", "csv"])
def test_a_disk_that_fills_up_leaves_the_old_file(old: Path, kind: str) -> None:
    import tarfile

    from PIL import Image

    noise = np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8)

    def write() -> None:
        if kind == "csv":
            files.write_csv(old, ("a",), ([str(v)] for v in noise.ravel()))
            return
        with files.replacing(old) as stream:
            if kind == "bytes":
                stream.write(noise.tobytes())
            elif kind == "npy":
                np.save(stream, noise)
            elif kind == "npz":
                np.savez(stream, noise=noise)
            elif kind == "png":
                Image.fromarray(noise).save(stream, "PNG")
            else:
                with tarfile.open(fileobj=stream, mode="w") as archive:
                    entry = tarfile.TarInfo("noise")
                    entry.size = noise.nbytes
                    archive.addfile(entry, io.BytesIO(noise.tobytes()))

    with largest_file(20_000), pytest.raises(StorageFull, match=r"out\.npz cannot be written"):
        write()
    assert old.read_bytes() == OLD and only(old)
    write()
    assert old.stat().st_size > 50_000 and only(old)


def test_an_error_while_writing_is_the_callers_own(old: Path) -> None:
    with pytest.raises(FileNotFoundError, match="a picture"), files.replacing(old) as stream:
        stream.write(b"new")
        raise FileNotFoundError("a picture that went away")
    with pytest.raises(KeyboardInterrupt), files.replacing(old) as stream:
        stream.write(b"new" * 100_000)
        raise KeyboardInterrupt
    assert old.read_bytes() == OLD and only(old)


def test_readers_see_the_old_file_until_the_new_one_is_whole(old: Path) -> None:
    with files.replacing(old) as stream:
        stream.write(b"new" * 100_000)
        stream.flush()
        assert old.read_bytes() == OLD
    assert old.read_bytes() == b"new" * 100_000


def test_rights(old: Path) -> None:
    old.chmod(0o640)
    files.write_bytes(old, b"new")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    files.write_bytes(old, b"new", private=True)
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    before = os.umask(0o027)
    try:
        files.write_text(old.with_name("text"), "new")
        files.write_text(old.with_name("private"), "new", private=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.with_name("text").stat().st_mode) == 0o640
    assert stat.S_IMODE(old.with_name("private").stat().st_mode) == 0o600


def test_a_link_stays_a_link(old: Path, tmp_path: Path) -> None:
    link = tmp_path / "folder" / "link.npz"
    link.parent.mkdir()
    link.symlink_to(old)
    files.write_bytes(link, b"new")
    assert link.is_symlink() and old.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with files.replacing(pipe) as stream:
        np.savez(stream, a=np.arange(5))
    reader.join(10)
    assert np.load(io.BytesIO(got[0]))["a"].tolist() == list(range(5))
    assert stat.S_ISFIFO(pipe.stat().st_mode) and only(pipe)


def test_a_full_device_says_so() -> None:
    with pytest.raises(StorageFull, match="No space left"):
        files.write_bytes(Path("/dev/full"), b"new")


def test_places_that_cannot_be_written(old: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path, words in (
        (old / "x.npz", "is a file|Not a directory"),
        (old / "deep" / "x.npz", "is a file|Not a directory"),
        (tmp_path / "folder", "is a folder"),
        (tmp_path / ("x" * 300), "too long"),
    ):
        with pytest.raises(UsageError, match=words):
            files.require_place(path)
        with pytest.raises(UsageError, match=words):
            files.write_bytes(path, b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "out.npz"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError, match="may not be written"):
            files.require_place(tmp_path / "new" / "x.npz")
        with pytest.raises(UsageError, match="Permission denied"):
            files.write_bytes(tmp_path / "x.npz", b"new")
    finally:
        tmp_path.chmod(0o700)


FORMULAS = (
    "=1+1", "+1+1", "-1+1", "@SUM(1)", " =1", "\t=1", "\r=1", "\n=1", "\ufeff=1", '"=1"', "'=1",
    "＝1+1", "\tAda", "Ada;=1", "Ada; =1", "Ada\t=1", "Ada\t\t@x", "Ada\r\n=1", "Ada|+1",
    "Ada,-1+1", 'Ada;"=1"', ";=1;=1", "\x01=1", "\u200b=1",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_at_whatever_a_spreadsheet_splits(text: str) -> None:
    (line,) = list(csv.reader(io.StringIO(files.csv_text((text,), []))))
    assert line == [text]  # the header is the product's own
    written = files.csv_text(("name",), [(text,)])
    (_, (cell,)) = csv.reader(io.StringIO(written, newline=""))
    for separator in (None, *";|\t\r\n"):
        for part in cell.split(separator) if separator else [cell]:
            bare = part.strip('"\ufeff\u200b\x01 \t\r\n')
            assert not bare.startswith(tuple("=+-@＝")), (text, part)
    assert files.unguarded(cell) == text


@pytest.mark.parametrize(
    "text", ["Ada", "O'Brien", "'t Hooft", "a-b", "a = b", "-0.25", "-1e-05", "1+1", "", "Ö; x"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert files.guarded(text) == text == files.unguarded(text)


def test_guarding_can_be_undone() -> None:
    rng = np.random.default_rng(3)
    letters = list("=+-@;,|\t\r\n'\" aA\u200b1")
    for _ in range(5000):
        text = "".join(rng.choice(letters, rng.integers(0, 8)))
        assert files.unguarded(files.guarded(text)) == text


def test_only_the_first_makes_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda i: files.create(path, bytes([i]) * 1000, private=True), range(8))
        )
    assert sum(made) == 1 and only(path)
    assert path.read_bytes() == bytes([made.index(True)]) * 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_file_the_disk_has_no_room_for_is_not_there(tmp_path: Path) -> None:
    with largest_file(100), pytest.raises(StorageFull, match="key cannot be written"):
        files.create(tmp_path / "key", bytes(1000))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "free"),
    [(errno.EWOULDBLOCK, False), (errno.ENOSYS, True), (errno.ENOLCK, True), (errno.EBADF, True)],
)
def test_a_disk_without_locks_keeps_nobody_out(
    number: int, free: bool, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    with old.open("rb") as stream:
        assert files.lock(stream) is free


def test_a_line_is_appended_or_told(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    files.append(path, "a\n")
    files.append(path, "ü\n")
    assert path.read_bytes() == b"a\n\xc3\xbc\n"
    with largest_file(5), pytest.raises(StorageFull, match=r"log\.csv cannot be written"):
        files.append(path, "x" * 100)
    with pytest.raises(UsageError, match="gone"):
        files.append(tmp_path / "gone" / "log.csv", "x")


def test_a_folder_takes_its_name_whole_or_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    for content in ("one", "two"):
        draft = tmp_path / "draft"
        draft.mkdir()
        (draft / content).write_text(content)
        files.publish(draft, target)
        assert [p.name for p in tmp_path.iterdir()] == ["bundle"]
        assert [p.name for p in target.iterdir()] == [content]
    draft.mkdir()
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if self == draft:
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageFull, match="bundle cannot be written"):
        files.publish(draft, target)
    assert [p.name for p in target.iterdir()] == ["two"]


def test_a_name_is_changed_for_good(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    files.move(tmp_path / "a", tmp_path / "b")
    assert only(tmp_path / "b") and (tmp_path / "b").read_text() == "new"
    with pytest.raises(UsageError, match="c cannot be written"):
        files.move(tmp_path / "a", tmp_path / "c")

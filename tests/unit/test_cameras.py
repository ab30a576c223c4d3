"""Cameras as they are set up, their threads, and what a service makes of them."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from arcid import sealing
from arcid.apps.attendance import Attendance
from arcid.cameras import runner as running_camera
from arcid.cameras import schema
from arcid.cameras.book import SEALED_ELSEWHERE, Camera, CameraBook
from arcid.cameras.runner import Runner
from arcid.cameras.watching import Cameras
from arcid.errors import (
    AlreadyExists,
    ArcidError,
    CameraNotFound,
    CollectionNotFound,
    CursorInvalid,
    SealBroken,
    UsageError,
)
from arcid.events import Events, Place, Sightings
from arcid.gallery import Gallery
from arcid.server.console.auth import schema as console_schema
from arcid.server.console.auth.accounts import Accounts

KEY = b"k" * 32
SECRET = "rtsp://admin:pa55word@cam/1?token=t0ken"
NOTHING: Any = None


def soon(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        yield gallery


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With a key."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cameras.key").write_text(KEY.hex())
    (tmp_path / "home" / "cameras.key").chmod(0o600)
    return tmp_path / "home"


@pytest.fixture
def book(gallery: Gallery, home: Path) -> CameraBook:
    return CameraBook(gallery.database, home)


def test_cameras_are_added_changed_and_deleted(book: CameraBook) -> None:
    made = book.add(name=" Front  door ", source="rtsp://u:secret@cam/1", collection="Staff")
    assert made.name == "Front door" and made.enabled and made.liveness == "off"
    assert made.shown == "rtsp://cam/1", "a password in the address is not shown"
    changed = book.change(made.id, name="Door", source="0", liveness="require", place="hall")
    assert [c.id for c in book.all()] == [made.id] and book.get(made.id) == changed
    assert (changed.name, changed.collection) == ("Door", "staff")
    assert (changed.liveness, changed.place, changed.attendance) == ("require", "hall", True)
    assert not book.change(made.id, attendance=False).attendance
    assert book.change(made.id, attendance=True) == changed
    assert book.change(made.id) == changed, "what is not given stays"
    book.delete(made.id)
    assert book.all() == []
    for call in (book.get, book.change, book.delete):
        with pytest.raises(CameraNotFound):
            call(made.id)


def test_a_list_of_cameras_comes_in_pages_by_name(book: CameraBook) -> None:
    for name in ("Gate", "attic", "Door"):
        book.add(name=name, source="0", collection="staff")
    first = book.page(2, None)
    assert [c.name for c in first] == ["attic", "Door"]
    second = book.page(2, first.next)
    assert ([c.name for c in second], second.next) == (["Gate"], None)
    with pytest.raises(CursorInvalid):
        book.page(2, "nonsense")


def on_disk(folder: Path) -> bytes:
    """Read by another process: a descriptor of ours would drop SQLite's locks."""
    files = [str(file) for file in folder.glob("gallery.db*")]
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


def stored(book: CameraBook) -> str:
    with book._database.read() as connection:
        return str(connection.execute(sa.select(schema.cameras.c.source)).scalar_one())


def test_a_password_is_in_no_file_nor_in_what_a_camera_says_of_itself(
    book: CameraBook, tmp_path: Path
) -> None:
    made = book.add(name="Door", source=SECRET, collection="staff")
    assert made.source == SECRET
    assert book.get(made.id) == made
    assert "pa55word" not in repr(made) + made.shown and "t0ken" not in repr(made) + made.shown
    content = on_disk(tmp_path)
    assert b"pa55word" not in content and b"t0ken" not in content and b"cam/1" not in content
    before = stored(book)
    assert book.change(made.id, source=SECRET) == made
    assert stored(book) != before, "the same address is never sealed to the same text"


def test_addresses_of_an_earlier_version_are_sealed_and_their_bytes_go(
    book: CameraBook, tmp_path: Path
) -> None:
    made = book.add(name="Door", source="0", collection="staff")
    with book._database.write() as connection:
        connection.execute(schema.cameras.update().values(source=SECRET))
    assert book.get(made.id) == replace(made, source=SECRET)
    book.seal()
    assert stored(book).startswith(sealing.SEALED)
    assert book.get(made.id) == replace(made, source=SECRET)
    assert b"pa55word" not in on_disk(tmp_path)


@pytest.mark.parametrize("key", [None, "ab" * 32, "no key"])
def test_another_key_opens_no_address_and_loses_none(
    book: CameraBook, gallery: Gallery, tmp_path: Path, key: str | None
) -> None:
    made = book.add(name="Door", source=SECRET, collection="staff")
    (tmp_path / "else").mkdir()
    if key is not None:
        (tmp_path / "else" / "console.key").write_text(key)
    other = CameraBook(gallery.database, tmp_path / "else")
    (found,) = other.all()
    assert (found.sealed, found.source, found.shown) == (True, "", "")
    other.seal()
    renamed = other.change(made.id, name="Gate")
    assert renamed.sealed
    runner = Runner(found, *[None] * 3, other.get)  # type: ignore[arg-type,call-arg]
    assert soon(lambda: runner.status.state != "starting")
    runner.stop()
    assert (runner.status.state, runner.status.problem) == ("trouble", SEALED_ELSEWHERE)
    back = book.get(made.id)
    assert back.source == SECRET and back.name == "Gate"


def test_the_first_address_makes_a_key_and_the_console_s_later_one_changes_nothing(
    gallery: Gallery, tmp_path: Path
) -> None:
    folder = tmp_path / "fresh"
    made = CameraBook(gallery.database, folder).add(name="D", source=SECRET, collection="staff")
    assert [file.name for file in folder.iterdir()] == ["cameras.key"]
    (folder / "console.key").write_text("ab" * 32)
    assert CameraBook(gallery.database, folder).get(made.id) == made


def test_where_the_console_has_a_key_already_it_is_used(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "console.key").write_text("ab" * 32)
    CameraBook(gallery.database, folder).add(name="D", source=SECRET, collection="staff")
    assert [file.name for file in folder.iterdir()] == ["console.key"]


@pytest.mark.parametrize("spoilt", [None, "cameras.key"])
def test_a_key_that_is_put_back_opens_its_addresses_beside_one_made_meanwhile(
    gallery: Gallery, tmp_path: Path, spoilt: str | None
) -> None:
    """As ``SEALED_ELSEWHERE`` asks for."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "console.key").write_text("ab" * 32)
    door = CameraBook(gallery.database, folder).add(name="D", source=SECRET, collection="staff")
    (folder / "console.key").unlink()
    gate = CameraBook(gallery.database, folder).add(name="G", source=SECRET, collection="staff")
    (folder / "console.key").write_text("ab" * 32)
    if spoilt is not None:
        (folder / spoilt).write_text("no key")
        gate = replace(gate, source="", sealed=True)
    book = CameraBook(gallery.database, folder)
    if spoilt is None:
        book.change(gate.id, source=SECRET)  # before anything is read
    assert book.all() == [door, gate]


def test_a_sealed_address_is_of_its_own_row() -> None:
    sealed = sealing.seal(KEY, "a", SECRET, b"this")
    assert sealing.unseal(KEY, "a", sealed, b"this") == SECRET
    last = "A" if sealed[-5] != "A" else "B"
    for row, text in (("b", sealed), ("a", sealed[:-5] + last + sealed[-4:]), ("a", sealed[:20])):
        with pytest.raises(SealBroken):
            sealing.unseal(KEY, row, text, b"this")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 81},
        {"source": ""},
        {"source": "gopher://cam"},
        {"source": "rtsp://[cam"},
        {"source": "rtsp://169.254.169.254/x"},
        {"source": "a\nb"},
        {"liveness": "perhaps"},
        {"name": "KITCHEN"},
        {"collection": "nobody's"},
    ],
)
def test_what_makes_no_camera_is_refused(book: CameraBook, wrong: dict[str, str]) -> None:
    kitchen = book.add(name="Kitchen", source="0", collection="staff")
    good: dict[str, Any] = {"name": "Hall", "source": "1", "collection": "staff"}
    kind: type[ArcidError] = CollectionNotFound if "collection" in wrong else UsageError
    if wrong.get("name") == "KITCHEN":
        assert book.change(kitchen.id, **wrong).name == "KITCHEN", "its own name is no other's"
        kind = AlreadyExists
    else:
        with pytest.raises(kind):
            book.change(kitchen.id, **wrong)
    with pytest.raises(kind):
        book.add(**(good | wrong))
    assert [c.name.title() for c in book.all()] == ["Kitchen"]


def test_a_camera_follows_its_collection_to_a_new_name(book: CameraBook, gallery: Gallery) -> None:
    camera = book.add(name="Door", source="0", collection="staff")
    gallery.update_collection("staff", new_name="people")
    assert [c.collection for c in book.all()] == ["people"]
    assert book.get(camera.id).collection == "people"
    seen: list[str] = []

    def watch(runner: Runner) -> None:
        seen.append(runner.camera.collection)
        gallery.collection(runner.camera.collection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "_watch", watch)
        patch.setattr(running_camera, "FIRST_PAUSE_S", 0.01)
        runner = Runner(camera, NOTHING, NOTHING, NOTHING, book.get)
        runner.join(5)
    assert (seen, runner.status.state) == (["staff", "people"], "ended")

    gallery.delete_collection("people")
    gallery.create_collection("people")
    assert [c.collection for c in book.all()] == ["staff"], "another one of that name is another"


def test_a_camera_in_trouble_is_tried_again_after_two_seconds_then_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    class Stop:
        """Lets eight tries pass at once."""

        def is_set(self) -> bool:
            return len(pauses) == 8

        def wait(self, seconds: float) -> None:
            pauses.append(seconds)

    def fail(runner: Runner) -> None:
        raise UsageError("no such stream")

    monkeypatch.setattr(Runner, "_watch", fail)
    real = threading.Thread
    monkeypatch.setattr(running_camera, "threading", SimpleNamespace(Event=Stop, Thread=real))
    camera = Camera("1", "d", "rtsp://x", "c", "", "off", True)
    runner = Runner(camera, NOTHING, NOTHING, NOTHING)
    runner.join(5)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert (runner.status.state, runner.status.problem) == ("trouble", "no such stream")


@pytest.mark.parametrize(
    ("shared", "change", "cause"),
    [
        (False, "delete", "camera_deleted"),
        (False, "disable", "camera_closed"),
        (False, "move", "camera_closed"),
        (False, "keep", None),
        (True, "delete", None),
    ],
)
def test_whoever_a_camera_saw_last_has_left_once_it_is_gone(
    gallery: Gallery,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
    change: str,
    cause: str | None,
) -> None:
    monkeypatch.setattr(Runner, "_watch", lambda runner: None)
    values: dict[str, Any] = {"source": "0", "collection": "staff", "place": "hall"}
    ann = gallery.add_person("staff", "Ann")
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    place = Place("hall", "Left")
    Sightings(gallery).person("staff", place, ann.id, at, cooldown_s=60, grounds={})
    running = Cameras(NOTHING, gallery, home)
    left = running.add(name="Left", **values)
    if shared:
        running.add(name="Right", **values)
    running.start()
    if change == "delete":
        running.delete(left.id)
    else:
        changes = {"disable": {"enabled": False}, "move": {"place": "gate"}, "keep": {}}
        running.change(left.id, **changes[change])
    running.close()
    found = Attendance(gallery, "staff").events(kinds=["departure"])
    assert [(e.at, e.grounds["cause"]) for e in found] == ([(at, cause)] if cause else [])
    assert len(Events(gallery).present("staff")) == (0 if cause else 1)


#: As the version before wrote it, with console.key "ab" * 32 for the row c0ffee.
SEALED_BEFORE = (
    "sealed:1:uFBqEaiNQ6hiDAoKETnCIxp+dCcw0iDK/yO2DZBBvLyAbfo7TF0wrZCt2FS7wIK3KyEdbiWiTc1rPjOIfffx"
    "McdLBQ=="
)


@pytest.mark.parametrize("first", ["service", "console"])
def test_cameras_of_a_file_whose_console_kept_them_are_watched(
    database_url: str, tmp_path: Path, idle: list[str], first: str
) -> None:
    home = tmp_path / "old"
    home.mkdir()
    (home / "console.key").write_text("ab" * 32)
    with Gallery.open(database_url) as gallery:
        staff = gallery.create_collection("staff").id
        with gallery.database.write() as connection:
            _console_before(connection, staff)
        if first == "console":
            Accounts.open(database_url).close()
        running = Cameras(NOTHING, gallery, home)
        running.start()
        assert soon(lambda: idle == ["Door"])
        attic, door = running.book.all()
        running.close()
        assert door == Camera("c0ffee", "Door", SECRET, "staff", "hall", "flag", True, False, staff)
        assert attic == Camera("abc", "Attic", "0", "gone", "", "off", False)
        Accounts.open(database_url).close()
        with gallery.database.read() as connection:
            assert not sa.inspect(connection).has_table("console_cameras")
        book = CameraBook(gallery.database, home)
        assert book.all() == [attic, door]
        book.delete(door.id)
        assert book.change(attic.id, name="Loft", source=SECRET).source == SECRET
        assert gallery.check() == []


def _console_before(connection: sa.Connection, staff: str) -> None:
    """The console's tables as the version before left them, with two cameras."""
    config = Config()
    folder = Path(console_schema.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    config.attributes["connection"] = connection
    command.upgrade(config, "0002")
    names = ("uid", "name", "name_key", "source", "collection", "collection_uid", "place",
             "liveness", "enabled", "created_at")  # fmt: skip
    table = sa.table("console_cameras", *map(sa.column, names))
    for row in (
        ("c0ffee", "Door", "door", SEALED_BEFORE, "staff", staff, "hall", "flag", 1, 7),
        ("abc", "Attic", "attic", "0", "gone", None, "", "off", 0, 8),
    ):
        connection.execute(table.insert().values(row))


def test_cameras_of_an_earlier_version_keep_attendance(gallery: Gallery, home: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    columns = ("uid", "name", "name_key", "source", "collection", "place", "liveness", "enabled",
               "created_at")  # fmt: skip
    with gallery.database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        table = sa.table("cameras", *map(sa.column, columns))
        row = ("abc", "Door", "door", "0", "staff", "", "off", 1, 7)
        connection.execute(table.insert().values(row))
    (door,) = CameraBook(gallery.database, home).all()
    assert door == Camera("abc", "Door", "0", "staff", "", "off", True, attendance=True)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runners that do nothing until they are stopped; the names they began with."""
    began: list[str] = []

    def watch(runner: Runner) -> None:
        began.append(runner.camera.name)
        runner._stop.wait()

    monkeypatch.setattr(Runner, "_watch", watch)
    return began


def test_what_another_process_changes_is_followed(
    gallery: Gallery, home: Path, idle: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.cameras.watching.REFRESH_S", 0.05)
    other = CameraBook(gallery.database, home)
    running = Cameras(NOTHING, gallery, home)
    running.start()
    try:
        made = other.add(name="Door", source="0", collection="staff")
        assert soon(lambda: running.status(made.id).state == "starting")
        other.change(made.id, name="Gate")
        assert soon(lambda: idle == ["Door", "Gate"])
        gallery.update_collection("staff", new_name="people")
        time.sleep(0.3)
        assert idle == ["Door", "Gate"], "a collection's new name is no new camera"
        other.change(made.id, enabled=False)
        assert soon(lambda: running.runner(made.id) is None)
        assert running.status(made.id).state == "off"
    finally:
        running.close()


def test_a_gallery_that_is_busy_at_the_start_is_asked_again(
    gallery: Gallery, home: Path, idle: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = CameraBook(gallery.database, home).add(name="Door", source="0", collection="staff")
    monkeypatch.setattr("arcid.cameras.watching.REFRESH_S", 0.05)
    failures = iter([UsageError("busy"), RuntimeError("worse")])
    read = CameraBook.all

    def all_(book: CameraBook) -> list[Camera]:
        if (error := next(failures, None)) is not None:
            raise error
        return read(book)

    monkeypatch.setattr(CameraBook, "all", all_)
    running = Cameras(NOTHING, gallery, home)
    running.start()
    assert running.runner(made.id) is None
    assert soon(lambda: idle == ["Door"])
    running.close()
    assert soon(lambda: not [t for t in threading.enumerate() if t.name.startswith("arcid-cam")])

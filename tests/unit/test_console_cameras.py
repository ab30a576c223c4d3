"""Cameras as they are set up, and who may open a page's feed."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from arcid.apps.attendance import Attendance
from arcid.errors import UsageError
from arcid.events import Events, Place
from arcid.gallery import Gallery
from arcid.server.console import app, cameras, photos, schema
from arcid.server.console import strings as S
from arcid.server.console.auth import secret
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.cameras import Camera, CameraBook, Cameras, Runner, policy_of
from arcid.server.console.feeds import REFUSED, Feeds, PushFeed
from arcid.server.console.photos import Photos
from arcid.server.logging import _says_something

KEY = b"k" * 32
SECRET = "rtsp://admin:pa55word@cam/1?token=t0ken"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[CameraBook]:
    Gallery.open(tmp_path / "gallery.db").close()
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    accounts = Accounts.open(tmp_path / "gallery.db", hasher)
    yield CameraBook(accounts.database, lambda: KEY)
    accounts.close()


def test_cameras_are_added_changed_and_deleted(book: CameraBook) -> None:
    made = book.save(None, name=" Front  door ", source="rtsp://u:secret@cam/1", collection="staff")
    assert made.name == "Front door" and made.enabled and made.liveness == "off"
    assert made.shown == "rtsp://cam/1", "a password in the address is not shown"
    changed = book.save(
        made.id, name="Door", source="0", collection="staff", liveness="require", place="hall"
    )
    assert [c.id for c in book.all()] == [made.id] and book.get(made.id) == changed
    policy = policy_of(changed, keep_crops=True)
    assert (policy.liveness, policy.place, policy.keep) == ("require", "hall", "crop")
    assert policy_of(changed, keep_crops=False).keep == "vector"
    kept = book.save(made.id, name="Door", source=None, collection="staff")
    assert kept.source == "0"
    book.delete(made.id)
    assert book.all() == [] and book.get(made.id) is None
    with pytest.raises(UsageError):
        book.save(made.id, name="Door", source="0", collection="staff")


def on_disk(folder: Path) -> bytes:
    """Read by another process: a descriptor of ours would drop SQLite's locks."""
    files = [str(file) for file in folder.iterdir()]
    return subprocess.run(["cat", *files], check=True, capture_output=True).stdout


def stored(book: CameraBook) -> str:
    with book._database.read() as connection:
        return str(connection.execute(sa.select(schema.cameras.c.source)).scalar_one())


def test_a_password_is_in_no_file_nor_in_what_a_camera_says_of_itself(
    book: CameraBook, tmp_path: Path
) -> None:
    made = book.save(None, name="Door", source=SECRET, collection="staff")
    assert made.source == SECRET
    assert book.get(made.id) == made
    assert "pa55word" not in repr(made) + made.shown and "t0ken" not in repr(made) + made.shown
    content = on_disk(tmp_path)
    assert b"pa55word" not in content and b"t0ken" not in content and b"cam/1" not in content
    before = stored(book)
    assert book.save(made.id, name="Door", source=SECRET, collection="staff") == made
    assert stored(book) != before, "the same address is never sealed to the same text"


def test_addresses_of_an_earlier_version_are_sealed_and_their_bytes_go(
    book: CameraBook, tmp_path: Path
) -> None:
    made = book.save(None, name="Door", source="0", collection="staff")
    with book._database.write() as connection:
        connection.execute(schema.cameras.update().values(source=SECRET))
    assert book.get(made.id) == replace(made, source=SECRET)
    book.seal()
    assert stored(book).startswith(secret.SEALED)
    assert book.get(made.id) == replace(made, source=SECRET)
    assert b"pa55word" not in on_disk(tmp_path)


@pytest.mark.parametrize("key", [None, b"x" * 32])
def test_another_key_opens_no_address_and_loses_none(book: CameraBook, key: bytes | None) -> None:
    made = book.save(None, name="Door", source=SECRET, collection="staff")
    other = CameraBook(book._database, lambda: key)
    (found,) = other.all()
    assert (found.sealed, found.source, found.shown) == (True, "", "")
    other.seal()
    renamed = other.save(made.id, name="Gate", source=None, collection="staff")
    assert renamed.sealed
    runner = Runner(found, *[None] * 3, other.get)  # type: ignore[arg-type]
    deadline = time.monotonic() + 10
    while runner.state == "starting" and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.stop()
    assert (runner.state, runner.problem) == ("trouble", S.CAMERA_SEALED)
    back = book.get(made.id)
    assert back is not None and back.source == SECRET and back.name == "Gate"


def test_a_sealed_address_is_of_its_own_row() -> None:
    sealed = secret.seal(KEY, "a", SECRET)
    assert secret.unseal(KEY, "a", sealed) == SECRET
    last = "A" if sealed[-5] != "A" else "B"
    for row, text in (("b", sealed), ("a", sealed[:-5] + last + sealed[-4:]), ("a", sealed[:20])):
        with pytest.raises(secret.SealBroken):
            secret.unseal(KEY, row, text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": " "},
        {"name": "x" * 81},
        {"source": ""},
        {"source": "gopher://cam"},
        {"source": "a\nb"},
        {"liveness": "perhaps"},
        {"name": "KITCHEN"},
    ],
)
def test_what_makes_no_camera_is_refused(book: CameraBook, wrong: dict[str, str]) -> None:
    book.save(None, name="Kitchen", source="0", collection="staff")
    with pytest.raises(UsageError):
        book.save(None, **({"name": "Hall", "source": "1", "collection": "staff"} | wrong))
    assert [c.name for c in book.all()] == ["Kitchen"]


def test_a_camera_follows_its_collection_to_a_new_name(book: CameraBook, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        camera = book.save(None, name="Door", source="0", collection="staff")
        gallery.update_collection("staff", new_name="people")
        assert [c.collection for c in book.all()] == ["people"]
        moved = book.get(camera.id)
        assert moved is not None and moved.collection == "people"

        nothing: Any = None
        seen: list[str] = []

        def watch(runner: Runner) -> None:
            seen.append(runner.camera.collection)
            gallery.collection(runner.camera.collection)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Runner, "_watch", watch)
            patch.setattr(cameras, "FIRST_PAUSE_S", 0.01)
            runner = Runner(camera, nothing, nothing, nothing, book.get)
            runner.join(5)
        assert (seen, runner.now) == (["staff", "people"], "ended")

        gallery.delete_collection("people")
        gallery.create_collection("people")
        assert [c.collection for c in book.all()] == ["staff"], (
            "another one of that name is another"
        )


class Socket:
    """Remembers how it was closed."""

    closed: int | None = None

    async def close(self, code: int) -> None:
        self.closed = code

    async def accept(self) -> None:
        raise AssertionError("a feed of somebody else must not be opened")


def test_a_feed_opens_for_its_own_session_and_role_only() -> None:
    feeds = Feeds()
    key = feeds.add(PushFeed("x", "enrol", lambda source: iter(())), "token-a")

    def knock(key: str, token: str, may: bool) -> int | None:
        socket: Any = Socket()
        session: Any = SimpleNamespace(token=token, may=lambda permission: may)
        asyncio.run(feeds.serve(key, socket, session))
        return socket.closed

    assert knock(key, "token-b", True) == REFUSED
    assert knock(key, "token-a", False) == REFUSED
    assert knock("made-up", "token-a", True) == REFUSED
    feeds.drop(key)
    assert knock(key, "token-a", True) == REFUSED


def test_photos_are_taken_once_by_their_owner_and_bounded() -> None:
    held = Photos(max_bytes=10)
    key = held.hold(b"12345", "ada")
    with pytest.raises(UsageError):
        held.take(key, "eve")
    assert held.take(key, "ada") == b"12345"
    with pytest.raises(UsageError):
        held.take(key, "ada")
    held.hold(b"123456", "ada")
    with pytest.raises(Exception, match="Too many pictures"):
        held.hold(b"123456", "ada")
    held.forget("ada")
    held.hold(b"123456", "ada")


def test_a_photo_nobody_comes_for_does_not_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Photos(max_bytes=10)

    async def read(found: object, settings: object) -> list[bytes]:
        return [b"12345"]

    async def form() -> Any:
        return SimpleNamespace(getlist=lambda name: [name])

    request: Any = SimpleNamespace(method="POST", form=form)
    context: Any = SimpleNamespace(
        photos=held,
        services=SimpleNamespace(settings=None),
        session=SimpleNamespace(token="ada"),
        may=lambda permission: True,
    )
    monkeypatch.setattr(app, "read_images", read)
    monkeypatch.setattr(app, "KEEP_S", -0.9)
    monkeypatch.setattr(photos, "KEEP_S", 0.05)

    async def run() -> None:
        answer = await app._receive_photos(request, context)
        assert answer.status_code == 201 and len(held._held) == 1
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert held._held == {}


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
    monkeypatch.setattr(cameras, "threading", SimpleNamespace(Event=Stop, Thread=real))
    nothing: Any = None
    runner = Runner(Camera("1", "d", "rtsp://x", "c", "", "off", True), nothing, nothing, nothing)
    runner.join(5)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert (runner.now, runner.problem) == ("trouble", "no such stream")


def test_lines_about_sockets_are_left_out_of_the_log_and_errors_are_not() -> None:
    def kept(message: object) -> bool:
        return _says_something(logging.makeLogRecord({"name": "uvicorn.error", "msg": message}))

    assert not kept('%s - "WebSocket %s" [accepted]')
    assert not kept("connection open")
    assert not kept("ASGI callable returned without completing handshake.")
    assert kept("Shutting down")
    assert kept(OSError("address in use")), "the server logs exceptions as they are"


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
    book: CameraBook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shared: bool,
    change: str,
    cause: str | None,
) -> None:
    nothing: Any = None
    monkeypatch.setattr(Runner, "_watch", lambda runner: None)
    values: dict[str, Any] = {"source": "0", "collection": "staff", "place": "hall"}
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        ann = gallery.add_person("staff", "Ann")
        at = datetime(2026, 3, 2, 8, tzinfo=UTC)
        place = Place("hall", "Left")
        Events(gallery).sighting("staff", place, ann.id, at, cooldown_s=60, grounds={})
        left = book.save(None, name="Left", **values)
        if shared:
            book.save(None, name="Right", **values)
        running = Cameras(book, nothing, gallery, nothing)
        running.start()
        if change == "delete":
            running.delete(left.id)
        else:
            to = {"place": "gate"} if change == "move" else {}
            changed: Any = values | to | {"name": "Left", "enabled": change != "disable"}
            running.restart(book.save(left.id, **changed))
        running.close()
        found = Attendance(gallery, "staff").events(kinds=["departure"])
        assert [(e.at, e.grounds["cause"]) for e in found] == ([(at, cause)] if cause else [])
        assert len(Events(gallery).present("staff")) == (0 if cause else 1)

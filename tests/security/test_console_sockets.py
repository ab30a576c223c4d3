"""The console's sockets: another session's page, an ended session, a kiosk's address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import socketio
from tests.security import console
from tests.security.console import SignIn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from arcid.apps.attendance import Attendance
from arcid.gallery import Gallery
from arcid.server.console.auth.account import KioskRules
from arcid.server.console.auth.accounts import Accounts

pytestmark = pytest.mark.data
EVENT = {"args": [], "document_id": "d"}


@pytest.fixture
def people(url: str, home: Path) -> None:
    for name, role in (("Ada", "admin"), ("Vera", "viewer"), ("Front door", "kiosk")):
        console.account(home, name, role)


def enabled(home: Path, name: str) -> bool:
    accounts = Accounts.open(home / "gallery.db")
    try:
        return next(account.enabled for account in accounts.all() if account.name == name)
    finally:
        accounts.close()


def test_a_page_is_joined_by_the_session_that_asked_for_it_only(
    home: Path, people: None, sign_in: SignIn
) -> None:
    admin, viewer = sign_in("Ada"), sign_in("Vera")
    page, other = console.open_page(admin, "/accounts"), console.open_page(viewer, "/people")

    async def attack() -> None:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await console.shake_hands(viewer, page.id)
        own = await console.shake_hands(viewer, other.id)
        query = {"client_id": page.id, "tab_id": "t", "document_id": "d", "next_message_id": 0}
        assert not await own.call("handshake", query, timeout=10)
        admins = await console.shake_hands(admin, page.id)
        number, listener = page.button("Close account")
        click = {"id": number, "client_id": page.id, "listener_id": listener, **EVENT}
        await own.emit("event", click)
        for broken in (None, "x", {}, {"client_id": 7}, {"client_id": other.id}):
            await own.emit("event", broken)
            await own.emit("javascript_response", broken)
        await own.emit("log", {"client_id": page.id, "level": "error", "message": "forged-line"})
        await asyncio.sleep(1)
        assert enabled(home, "Front door"), "a viewer's socket clicked in an admin's page"
        await admins.emit("event", click)
        for _ in range(50):
            await asyncio.sleep(0.1)
            if not enabled(home, "Front door"):
                break
        assert not enabled(home, "Front door"), "the admin's own click counts"
        await own.disconnect()
        await admins.disconnect()

    asyncio.run(attack())
    log = (home / "service.log").read_text()
    assert page.id not in log and "forged-line" not in log


def test_a_session_that_was_ended_elsewhere_has_no_socket_a_second_later(
    url: str, home: Path, people: None, sign_in: SignIn
) -> None:
    httpx.post(f"{url}/v1/collections", json={"name": "staff"})
    viewer, kiosk = sign_in("Vera"), sign_in("Front door")
    page, key = console.open_page(viewer, "/people"), console.open_page(kiosk, "/kiosk").feed

    async def watch() -> tuple[float, float]:
        own = await console.shake_hands(viewer, page.id)
        told, gone = asyncio.Event(), asyncio.Event()
        own.on("run_javascript", lambda *_: told.set())
        own.on("disconnect", lambda *_: gone.set())
        store = await asyncio.to_thread(Accounts.open, home / "gallery.db")
        with closing(store), console.feed(kiosk, key) as camera:
            await asyncio.sleep(1)
            assert not gone.is_set(), "nobody ends it by itself"
            began = time.monotonic()
            for name in ("Vera", "Front door"):
                await asyncio.to_thread(store.sessions.end_all, store.named(name).id)
            await asyncio.wait_for(gone.wait(), 10)
            page_s = time.monotonic() - began
            with pytest.raises(ConnectionClosed) as ended:
                await asyncio.to_thread(camera.recv, 10)
            assert ended.value.rcvd is not None and ended.value.rcvd.code == 4401
            assert told.is_set(), "the page asks for a sign-in"
            return page_s, time.monotonic() - began

    took = asyncio.run(watch())
    print(f"sockets of ended sessions are closed after {took[0]:.2f} and {took[1]:.2f} s")
    assert max(took) < 5, "half a second between questions, and a busy machine"
    assert viewer.get("/console/people").is_redirect


def test_a_page_that_is_polled_for_is_refused(people: None, sign_in: SignIn) -> None:
    admin = sign_in("Ada")
    answer = admin.get(f"{console.SOCKET}/", params={"EIO": "4", "transport": "polling"})
    assert answer.status_code == 400


@pytest.fixture
def staff(url: str, home: Path, data_dir: Path) -> Iterator[Gallery]:
    """Two collections, so that none is the only one; Ann is enrolled in both."""
    photo = data_dir / "data/deepface-pairs/img1.jpg"
    for name in ("staff", "guests"):
        httpx.post(f"{url}/v1/collections", json={"name": name}).raise_for_status()
        files = {"image": photo.read_bytes()}
        where = f"{url}/v1/collections/{name}/enrol"
        httpx.post(where, data={"name": "Ann"}, files=files, timeout=30).raise_for_status()
    with Gallery.open(home / "gallery.db") as gallery:
        yield gallery


def stand_before(socket: ClientConnection, photo: Path, looks: int = 8) -> list[str]:
    """What the kiosk says to somebody who holds still."""
    said = []
    with suppress(ConnectionClosed):
        for _ in range(looks):
            socket.send(console.frame(photo, (480, 480)))
            said.append(str(socket.recv(timeout=30)))
    return said


@pytest.mark.parametrize("address", ["/kiosk", "/kiosk?challenge=no&collection=guests"])
def test_a_kiosks_address_changes_neither_challenge_nor_collection(
    home: Path, people: None, staff: Gallery, data_dir: Path, sign_in: SignIn, address: str
) -> None:
    photo = data_dir / "data/deepface-pairs/img2.jpg"
    kiosk = sign_in("Front door")
    assert "No collection is chosen" in kiosk.get(f"/console{address}").text
    accounts = Accounts.open(home / "gallery.db")
    own = next(account for account in accounts.all() if account.role == "kiosk")
    accounts.set_kiosk(own.id, KioskRules(staff.collection("staff").id, challenge=True))

    def arrivals(name: str) -> list[Any]:
        return Attendance(staff, name).events(kinds=["arrival"])

    with console.feed(kiosk, console.open_page(kiosk, address).feed) as socket:
        said = stand_before(socket, photo)
        assert any("Step 1 of 3" in words for words in said)
        assert not any("checked_in" in words for words in said)
        assert arrivals("staff") == arrivals("guests") == [], "nobody turned a head"
        accounts.set_kiosk(own.id, KioskRules(staff.collection("staff").id, challenge=False))
        time.sleep(5.1)  # until the socket's account is asked for again
        stand_before(socket, photo)
        with pytest.raises(ConnectionClosed):  # the page is to ask anew what its account says
            socket.recv(timeout=10)
    with console.feed(kiosk, console.open_page(kiosk, address).feed) as socket:
        said = stand_before(socket, photo)
    accounts.close()
    assert any("checked_in" in words for words in said)
    assert [event.name for event in arrivals("staff")] == ["Ann"] and arrivals("guests") == []

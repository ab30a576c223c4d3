"""Cameras of the console: sixty sockets of one, a fifth of a session, one whose page went.

They share a service, where a kiosk and an admin have accounts.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from tests.security import console
from tests.security.console import SignIn, frame
from tests.serving import serving
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = pytest.mark.data
SOCKETS = 60
GROWTH_MIB = 150  # of the service while all of them are tried; 2,336 before


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path, data_dir: Path) -> Iterator[str]:
    with serving(home, data_dir) as address:
        for name, role in (("Ada", "admin"), ("Front door", "kiosk")):
            console.account(home, name, role)
        httpx.post(f"{address}/v1/collections", json={"name": "staff"}).raise_for_status()
        yield address


def test_text_where_a_picture_belongs_is_no_error_of_the_service(
    home: Path, sign_in: SignIn
) -> None:
    kiosk = sign_in("Front door")
    with console.feed(kiosk, console.open_page(kiosk, "/kiosk").feed) as socket:
        socket.send("text")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    assert '"level": "error"' not in (home / "service.log").read_text()


def test_a_session_runs_four_cameras_and_is_told_of_the_fifth(
    sign_in: SignIn,
) -> None:
    kiosk, other = sign_in("Front door"), sign_in("Ada")
    keys = [console.open_page(kiosk, "/kiosk").feed for _ in range(5)]
    with ExitStack() as stack:
        for key in keys[:4]:
            stack.enter_context(console.feed(kiosk, key))
        with console.feed(kiosk, keys[4]) as fifth:
            assert "4 cameras" in str(fifth.recv(timeout=10))
        with pytest.raises(InvalidStatus):
            stack.enter_context(console.feed(other, keys[0]))


def test_a_camera_ends_with_its_page(sign_in: SignIn) -> None:
    """Else pages that are opened and left would each leave a thread that nothing counts."""
    kiosk = sign_in("Front door")
    page = console.open_page(kiosk, "/kiosk")

    async def come_and_go() -> None:
        await (await console.shake_hands(kiosk, page.id)).disconnect()

    with console.feed(kiosk, page.feed) as socket:
        asyncio.run(come_and_go())
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)  # NiceGUI forgets a page 10 s after its last socket


def test_sixty_sockets_of_one_camera_cost_what_one_does(data_dir: Path, sign_in: SignIn) -> None:
    kiosk = sign_in("Front door")
    key = console.open_page(kiosk, "/kiosk").feed
    photo = data_dir / "data/deepface-pairs/img1.jpg"
    small, huge = frame(photo, (640, 480)), frame(photo, (4000, 4000))
    with console.feed(kiosk, key) as socket:
        for _ in range(5):
            socket.send(small)
            socket.recv(timeout=30)
    before, top = console.resident_mib(), 0.0
    done = threading.Event()

    def insist() -> None:
        refused = suppress(ConnectionClosed, InvalidStatus, TimeoutError, OSError)
        with refused, console.feed(kiosk, key) as socket:
            while not done.is_set():
                socket.send(huge)
                time.sleep(0.5)

    attackers = [threading.Thread(target=insist) for _ in range(SOCKETS)]
    for attacker in attackers:
        attacker.start()
    ends = time.monotonic() + 15
    while time.monotonic() < ends:
        top = max(top, console.resident_mib())
        time.sleep(0.1)
    done.set()
    for attacker in attackers:
        attacker.join(30)
    print(f"{SOCKETS} sockets of one camera: {before:.0f} MiB before, {top:.0f} MiB at most")
    assert top - before < GROWTH_MIB
    with console.feed(kiosk, key) as first, console.feed(kiosk, key) as second:
        with pytest.raises(ConnectionClosed) as ended:
            first.recv(timeout=10)
        assert ended.value.rcvd is not None and ended.value.rcvd.code == 4409
        second.send(frame(photo, (640, 480)))
        assert "problem" not in str(second.recv(timeout=30))

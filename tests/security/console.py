"""The console without a browser: sign in, open a page, know its ids, speak on its sockets."""

from __future__ import annotations

import html
import io
import json
import re
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import socketio
from PIL import Image as Pil
from websockets.sync.client import ClientConnection, connect

from arcid.server.console.auth.account import Account
from arcid.server.console.auth.accounts import Accounts

PASSWORD = "correct horse battery"
SOCKET = "/console/_nicegui_ws/socket.io"
SignIn = Callable[[str], httpx.Client]


def account(home: Path, name: str, role: str) -> Account:
    """Written straight into the database that the service shares."""
    accounts = Accounts.open(home / "gallery.db")
    try:
        return accounts.add(name, PASSWORD, role)
    finally:
        accounts.close()


def sign_in(url: str, name: str) -> httpx.Client:
    """A session of its own."""
    client = httpx.Client(base_url=url, headers={"Origin": url}, timeout=30)
    answer = client.post("/console/sign-in", data={"name": name, "password": PASSWORD})
    assert answer.status_code == 303, answer.status_code
    return client


def frame(photo: Path, size: tuple[int, int]) -> bytes:
    """A browser's message: its clock and a JPEG."""
    buffer = io.BytesIO()
    Pil.open(photo).convert("RGB").resize(size).save(buffer, "JPEG", quality=85)
    return struct.pack("<d", time.time() * 1000) + buffer.getvalue()


@dataclass(frozen=True)
class Page:
    """A page as the service sent it."""

    id: str
    elements: dict[str, dict[str, Any]]

    @property
    def feed(self) -> str:
        """The key of its first camera."""
        props = (element.get("props", {}) for element in self.elements.values())
        return str(next(own["feed"] for own in props if "feed" in own))

    def button(self, words: str) -> tuple[int, str]:
        """The id of a button with these words and of what listens to its click."""
        for number, element in self.elements.items():
            inside = json.dumps([self.elements[str(i)] for i in _below(self.elements, number)])
            if element["tag"] == "button" and words in inside:
                (listener,) = (e["listener_id"] for e in element["events"] if e["type"] == "click")
                return int(number), str(listener)
        raise AssertionError(words)


def _below(elements: dict[str, Any], number: str) -> Iterator[int]:
    for child in elements[number].get("children", []):
        yield child
        yield from _below(elements, str(child))


def open_page(client: httpx.Client, path: str) -> Page:
    """Ask for a page as its session does."""
    answer = client.get(f"/console{path}")
    assert answer.status_code == 200, (answer.status_code, answer.headers.get("location"))
    ids = re.search(r"client_id['\"]:\s*['\"]([0-9a-f-]{36})", html.unescape(answer.text))
    raw = re.search(r"parseElements\(String\.raw`(.*?)`\)", answer.text, re.S)
    assert ids is not None and raw is not None
    return Page(ids[1], json.loads(html.unescape(raw[1])))


def cookie(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


async def shake_hands(client: httpx.Client, page_id: str) -> socketio.AsyncClient:
    """A page's own socket, of the session of ``client``; raises ``ConnectionError`` if refused."""
    socket = socketio.AsyncClient(reconnection=False)
    query = f"client_id={page_id}&implicit_handshake=true&tab_id=t&document_id=d&next_message_id=0"
    try:
        await socket.connect(
            f"{client.base_url}/?{query}",
            headers={"Cookie": cookie(client), "Origin": str(client.base_url)},
            transports=["websocket"],
            socketio_path=SOCKET,
            wait_timeout=10,
        )
    except socketio.exceptions.ConnectionError:
        await socket.disconnect()
        raise
    return socket


def feed(client: httpx.Client, key: str) -> ClientConnection:
    """A camera's socket, of the session of ``client``."""
    address = str(client.base_url).replace("http", "ws", 1) + f"/console/feed/{key}"
    origin: Any = str(client.base_url)
    headers = {"Cookie": cookie(client)}
    return connect(address, origin=origin, additional_headers=headers, open_timeout=10)


def resident_mib() -> float:
    """Memory of the service that this process started."""
    (service,) = (
        process
        for process in psutil.Process().children()
        if "serve" in process.cmdline() and "arcid" in process.cmdline()
    )
    return float(service.memory_info().rss) / 2**20

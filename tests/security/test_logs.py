"""Nothing that a client writes reaches the service's log, wherever in a request it stands."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.serving import SET_UP, serving
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = pytest.mark.data
MARK = "Mallory9f3c"
ADMIN, PASSWORD = f"Ada {MARK}", f"correct horse {MARK}"
FIELDS = {"time", "level", "logger", "message", "request_id", "exception", "where", "from"} | {
    "method", "route", "status", "ms", "bytes_in", "error",
    "code", "account", "camera", "kind", "role", "seconds", "port", "faces", "dim",
    "model", "runtime", "device", "precision", "threads",
}  # fmt: skip


@pytest.fixture
def debugging(home: Path, data_dir: Path) -> Iterator[str]:
    """A service that logs as much as it can."""
    with serving(home, data_dir, ARCID_LOG_LEVEL="debug") as address:
        yield address


def raw(url: str, request: str) -> None:
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), where.port or 0), 10) as sent:
        sent.sendall(request.encode("latin-1"))
        sent.settimeout(5)
        sent.recv(4096)


def hostile_requests(url: str, client: httpx.Client, photo: bytes) -> None:
    client.get(f"/{MARK}", params={MARK: MARK})
    client.get("/v1/collections", headers={MARK: MARK, "X-Request-ID": f"<{MARK}>\n"[:13]})
    client.get("/v1/collections", headers={"User-Agent": MARK, "Referer": f"http://{MARK}/"})
    client.get("/v1/collections", headers={"Host": f"{MARK}.example"})
    client.get("/v1/collections", headers={"X-Forwarded-For": MARK, "X-API-Key": MARK})
    client.request(MARK.upper(), "/v1/collections")
    client.post("/v1/collections", content=f'{{"name": "{MARK}\udcff"'.encode("utf-8", "replace"))
    client.post("/v1/collections", json={"name": MARK, MARK: MARK})
    client.post("/v1/collections", json={"name": MARK, "metadata": {MARK: MARK}})
    client.post("/v1/collections", json={"name": MARK})
    source = f"rtsp://{MARK}:{MARK}@127.0.0.1:9/{MARK}?{MARK}"
    camera = {"name": MARK, "source": source, "collection": MARK}
    added = client.post("/v1/cameras", json=camera).json()
    client.post("/v1/cameras", json=camera | {MARK: MARK, "name": MARK.upper()})
    client.post(f"/v1/cameras/{added['id']}/test")
    client.post("/v1/cameras/test", json={"source": f"http://{MARK}@169.254.169.254/{MARK}"})
    client.post("/v1/cameras/test", json={"source": f"/tmp/{MARK}"})
    files = {"image": (f"{MARK}.jpg", photo, f"image/{MARK}")}
    client.post(f"/v1/collections/{MARK}/enrol", files=files, data={"name": MARK})
    client.post(
        "/v1/detect", files={"image": (f"{MARK}.png", b"\x89PNG\r\n\x1a\n" + MARK.encode())}
    )
    client.post("/v1/detect", files={MARK: (MARK, MARK.encode())}, data={"select": MARK})
    multipart = {"Content-Type": f"multipart/form-data; boundary={MARK}"}
    client.post(
        "/v1/detect", content=f"--{MARK}\r\n{MARK}\r\n--{MARK}x--".encode(), headers=multipart
    )
    client.get(f"/v1/collections/{MARK}/people/{MARK}")
    for name in (MARK, ADMIN):
        client.post("/console/sign-in", data={"name": name, "password": f"{MARK} guess"})
    client.get(f"/console/{MARK}", params={"collection": MARK})
    client.get("/console/people", headers={"Cookie": f"arcid_session={MARK}.{MARK}"})
    host = f"Host: {urlsplit(url).netloc}"
    for request in (
        f"{MARK} / HTTP/1.1\r\n\r\n",
        f"GET /{MARK} HTTP/{MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{host}\r\n{MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{host}\r\nUpgrade: {MARK}\r\nConnection: Upgrade\r\n\r\n",
        f"POST / HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n{MARK}\r\n",
    ):
        raw(url, request)


def hostile_sockets(url: str, client: httpx.Client) -> None:
    address = url.replace("http://", "ws://")
    for path in (f"/{MARK}", f"/console/feed/{MARK}", f"/console/_nicegui_ws/socket.io/?{MARK}"):
        with (
            pytest.raises(InvalidStatus),
            connect(f"{address}{path}", additional_headers={MARK: MARK}),
        ):
            pass
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    page = client.get("/console/people")
    found = re.search(r"client_id'?\"?: ?[\"']([0-9a-f-]{36})", page.text)
    assert found, "NiceGUI's page names its client"
    query = f"EIO=4&transport=websocket&client_id={found[1]}&next_message_id=0&document_id={MARK}"
    query += "&implicit_handshake=true&tab_id=a&old_tab_id=null"
    with connect(
        f"{address}/console/_nicegui_ws/socket.io/?{query}",
        additional_headers={"Cookie": cookie, "Origin": url},
    ) as open_:
        assert str(open_.recv(10)).startswith("0")
        open_.send("40")
        assert str(open_.recv(10)).startswith("40")
        own = {"client_id": found[1]}
        for name, message in (
            ("log", own | {"level": "info", "message": MARK}),
            ("log", own | {"level": "error", "message": MARK}),
            ("log", own | {"level": MARK, "message": MARK}),
            ("event", own | {"id": MARK, "listener_id": MARK, "args": [MARK]}),
            ("event", own | {"id": 1, "listener_id": MARK, "args": [f"{{{MARK}"]}),
            ("javascript_response", own | {"request_id": MARK, "result": MARK}),
            (MARK, own),
        ):
            open_.send("42" + json.dumps([name, message]))
        open_.send(f"42{MARK}")
        open_.send(MARK)


def test_no_line_holds_what_a_client_wrote(debugging: str, home: Path, data_dir: Path) -> None:
    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    with httpx.Client(base_url=debugging, headers={"Origin": debugging}, timeout=60) as client:
        code = (SET_UP[debugging] or "").partition("#")[2]
        account = {"name": ADMIN, "password": PASSWORD, "repeat": PASSWORD}
        assert client.post("/console/set-up", data=account | {"code": MARK}).status_code == 422
        assert client.post("/console/set-up", data=account | {"code": code}).status_code == 303
        hostile_requests(debugging, client, photo)
        hostile_sockets(debugging, client)
        assert client.get("/v1/health").status_code == 200
    text = (home / "service.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    quoting = [line for line in lines if MARK.lower() in json.dumps(line).lower()]
    assert quoting == []
    assert code not in text and PASSWORD not in text
    assert sum(line["logger"] == "arcid.http" for line in lines) > 20
    assert {name for line in lines for name in line} <= FIELDS

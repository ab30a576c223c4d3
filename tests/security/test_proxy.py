"""Behind a real nginx, with and without TLS: who gets in, and who the service takes them for."""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.nginx import certificate, nginx
from tests.serving import SET_UP, serving

from arcid.gallery import Gallery

pytestmark = pytest.mark.data
KEY = "Vj3-wq8Tn0Zr5yLk2Xc7"
ADMIN, PASSWORD = "Ada Admin", "correct horse battery"
HERE = "http://127.0.0.1:8000"
DOCUMENT = Path(__file__).parents[2] / "docs" / "concepts" / "security.md"
DEFAULT = """
server {
    listen 80;
    location / { proxy_pass http://127.0.0.1:8000; }
}
server {
    listen 443 ssl;
    ssl_certificate     /etc/ssl/faces.pem;
    ssl_certificate_key /etc/ssl/faces.key;
    location / { proxy_pass http://127.0.0.1:8000; }
}
"""
FORWARDED = {
    "Forwarded": "for=192.0.2.7",
    "Via": "1.1 proxy",
    "X-Real-IP": "192.0.2.7",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "faces.example",
    "X-Forwarded-Prefix": "/faces",
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of our own for localhost, and its key."""
    return certificate(tmp_path_factory.mktemp("tls"))


def set_up(client: httpx.Client, code: str) -> httpx.Response:
    fields = {"code": code, "name": ADMIN, "password": PASSWORD, "repeat": PASSWORD}
    return client.post("/console/set-up", data=fields)


def sign_in(client: httpx.Client, name: str, password: str, **headers: str) -> httpx.Response:
    fields = {"name": name, "password": password}
    return client.post("/console/sign-in", data=fields, headers=headers)


def handshake(client: httpx.Client, tls: Path | None = None, **headers: str) -> tuple[int, bytes]:
    """Ask for a WebSocket of the console; the answer's status and body."""
    host = urlsplit(str(client.base_url))
    where = (str(host.hostname), host.port)
    if tls is None:
        connection = http.client.HTTPConnection(*where, timeout=10)
    else:
        context = ssl.create_default_context(cafile=str(tls))
        connection = http.client.HTTPSConnection(*where, timeout=10, context=context)
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Origin": str(client.base_url).rstrip("/"),
        "Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items()),
    }
    with closing(connection):
        path = "/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        connection.request("GET", path, headers=upgrade | headers)
        answer = connection.getresponse()
        return answer.status, b"" if answer.status == 101 else answer.read()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_without_keys_nobody_comes_through_a_default_proxy(
    scheme: str, home: Path, url: str, tls: tuple[Path, Path], tmp_path: Path
) -> None:
    with nginx(DEFAULT, {HERE: url}, tls, tmp_path) as connect:
        client = connect(scheme)
        for origin in (None, url, str(client.base_url)):
            client.headers.pop("origin", None)
            if origin:
                client.headers["origin"] = origin
            made = client.post("/v1/collections", json={"name": "taken"})
            assert made.status_code == 403, made.text
            code = (SET_UP[url] or "").partition("#")[2]
            for answer in (made, set_up(client, code), client.get("/v1/health")):
                assert answer.json()["error"]["code"] == "proxy_refused"
                assert "ARCID_API_KEYS" in answer.json()["error"]["message"]
        for path in ("/", "/docs", "/console/", "/console/static/console.css", "/metrics"):
            assert client.get(path).status_code == 403, path
    with httpx.Client(base_url=url) as direct:
        assert direct.get("/v1/collections").json()["collections"] == []
        assert direct.get("/console/sign-in").headers["location"].endswith("/set-up")
    assert not (home / "console.key").exists()


def test_without_keys_what_a_proxy_added_is_refused_everywhere(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}) as client:
        for name, value in FORWARDED.items():
            for path in ("/", "/v1/collections", "/console/", "/console/set-up", "/docs"):
                answer = client.get(path, headers={name: value})
                assert answer.status_code == 403, (name, path)
                assert answer.json()["error"]["code"] == "proxy_refused"
            status, body = handshake(client, **{name: value})
            assert status == 403 and b"proxy_refused" in body
        evil = {"Host": "evil.example", "Origin": "http://evil.example"}
        status, body = handshake(client, **evil)
        assert status == 403 and b"host_refused" in body
        assert client.get("/v1/collections").status_code == 200


def test_the_first_account_needs_the_code_that_was_printed(url: str, home: Path) -> None:
    link = SET_UP[url]
    assert link is not None and link.startswith(f"{url}/console/set-up#")
    code = link.partition("#")[2]
    assert len(code) >= 20
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        for wrong in ("", code[:-1], code.swapcase(), "guess"):
            assert set_up(client, wrong).status_code == 422
        assert not (home / "console.key").exists()
        done = set_up(client, code)
        assert done.status_code == 303 and done.headers["location"] == "/console/", done.text
        assert set_up(client, code).headers["location"] == "/console/sign-in"
        assert client.get("/console/accounts").status_code == 200
    for file in home.rglob("*"):
        assert not file.is_file() or code.encode() not in file.read_bytes(), file


def test_guessing_the_code_is_held_back(url: str) -> None:
    code = (SET_UP[url] or "").partition("#")[2]
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=30) as client:
        answers = [set_up(client, f"{code}{number}").status_code for number in range(12)]
        assert answers == [422] * 10 + [429] * 2
        held = set_up(client, code)
        assert held.status_code == 429 and int(held.headers["retry-after"]) > 0


def test_set_up_does_not_reopen_where_the_accounts_are_gone(home: Path, data_dir: Path) -> None:
    with serving(home, data_dir) as url, httpx.Client(base_url=url, headers={"Origin": url}) as c:
        assert set_up(c, (SET_UP[url] or "").partition("#")[2]).status_code == 303
    for file in home.glob("*.db*"):
        file.unlink()
    Gallery.open(home / "gallery.db").close()  # another database takes the place of the first
    with serving(home, data_dir, ARCID_API_KEYS=KEY) as url:
        assert SET_UP[url] is None
        with httpx.Client(base_url=url, headers={"Origin": url}) as client:
            page = client.get("/console/set-up")
            assert page.status_code == 403 and "arcid accounts add" in page.text
            assert set_up(client, KEY).status_code == 403


def test_sprayed_addresses_are_one_client_where_no_proxy_is_trusted(
    home: Path, data_dir: Path
) -> None:
    with (
        serving(home, data_dir, ARCID_API_KEYS=KEY) as url,
        httpx.Client(base_url=url, headers={"Origin": url}, timeout=60) as client,
    ):
        assert set_up(client, KEY).status_code == 303
        answers = [
            sign_in(client, f"name {n}", "guess", **{"X-Forwarded-For": f"192.0.2.{n}"})
            for n in range(80)
        ]
        assert [answer.status_code for answer in answers] == [401] * 50 + [429] * 30


def test_the_documented_proxy(home: Path, data_dir: Path, tls: tuple[Path, Path], tmp_path: Path):
    (site,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    settings = {"ARCID_API_KEYS": KEY, "ARCID_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        serving(home, data_dir, **settings) as url,
        nginx(site, {HERE: url}, tls, tmp_path) as connect,
    ):
        client = connect()
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/collections").status_code == 401
        assert client.get("/v1/collections", headers={"X-API-Key": KEY}).status_code == 200
        done = set_up(client, KEY)
        assert done.status_code == 303, done.text
        cookie = done.headers["set-cookie"]
        assert "Secure" in cookie and "HttpOnly" in cookie
        assert client.get("/console/accounts").status_code == 200
        photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
        assert client.post("/console/photos", files={"image": photo}).status_code == 201
        assert handshake(client, tls[0])[0] == 101
        plain = str(client.base_url).replace("https:", "http:").rstrip("/")
        assert handshake(client, tls[0], Origin=plain)[0] == 403
        assert client.post("/console/sign-out", headers={"Origin": plain}).status_code == 403

        guessing, other = connect(address="127.0.0.2"), connect(address="127.0.0.3")
        spoofed = [{"X-Forwarded-For": f"192.0.2.{n}"} for n in range(55)]
        answers = [
            sign_in(guessing, f"name {n}", "guess", **spoof).status_code
            for n, spoof in enumerate(spoofed)
        ]
        assert answers == [401] * 50 + [429] * 5
        assert sign_in(other, ADMIN, PASSWORD).status_code == 303, "another client is not held back"
    assert KEY not in (home / "service.log").read_text()

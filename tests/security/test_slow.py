"""Clients that send little and slowly, and a service that must stay there for all others."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.serving import SET_UP, serving

pytestmark = pytest.mark.data
HALF = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
ANSWERS_WITHIN_S = 0.2  # what health and metrics promise


def opened(url: str) -> socket.socket:
    at = urlsplit(url)
    assert at.hostname and at.port
    return socket.create_connection((at.hostname, at.port), timeout=10)


def many_files(wanted: int) -> None:
    """Let this process, and not the service that runs already, hold so many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"this user may open {hard} files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def timed(url: str) -> tuple[float, int]:
    """Seconds and status of a request on a connection of its own."""
    at = urlsplit(url)
    started = time.perf_counter()
    with closing(http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)) as client:
        client.request("GET", at.path)
        answer = client.getresponse()
        answer.read()
    return time.perf_counter() - started, answer.status


def lines(home: Path, message: str) -> list[dict[str, object]]:
    """What the service logged."""
    found = [json.loads(line) for line in (home / "service.log").read_text().splitlines()]
    return [line for line in found if line["message"] == message]


def until_closed(connection: socket.socket, within_s: float) -> bytes:
    """Everything that comes until the other side closes; fails where it does not."""
    connection.settimeout(within_s)
    came = b""
    try:
        while part := connection.recv(4096):
            came += part
    except ConnectionResetError:
        pass
    except TimeoutError:
        pytest.fail(f"still open after {within_s} s")
    return came


def form(parts: int, size: int) -> tuple[bytes, bytes]:
    """Head of an upload of ``size`` bytes, and its body."""
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body += b"a" * (size - len(body))
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {parts * size}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    return head.encode(), body


# heads


def test_1005_half_open_heads_keep_nobody_out(home: Path, data_dir: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # as a service usually starts
    with serving(home, data_dir) as url, ExitStack() as stack:
        many_files(1600)
        for _ in range(1005):
            connection = stack.enter_context(opened(url))
            connection.sendall(HALF)
        answers = [timed(f"{url}/v1/health") for _ in range(10)]
        assert all(status == 200 for _, status in answers)
        times = sorted(seconds for seconds, _ in answers)  # the first waits for the burst's end
        print(f"\n    1,005 half-open heads: {times[-2]:.3f} s, after the burst {times[-1]:.3f} s")
        assert times[-2] < ANSWERS_WITHIN_S
        assert times[-1] < 2.0
        assert timed(f"{url}/v1/collections")[1] == 200
        time.sleep(1)  # closed ones are logged together
    closed = lines(home, "connections closed")
    assert closed and {line["reason"] for line in closed} == {"too_many_of_a_client"}
    assert sum(int(str(line["connections"])) for line in closed) >= 1005 - 128


def test_a_head_that_never_ends_is_cut_off(home: Path, data_dir: Path) -> None:
    with serving(home, data_dir, ARCID_HEADER_TIMEOUT_S="1.5") as url:
        with opened(url) as silent, opened(url) as slow, opened(url) as again:
            started = time.monotonic()
            slow.sendall(HALF)
            again.sendall(HALF + b"0\r\n\r\n")
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
            again.sendall(HALF)  # a second request, on a connection that was good once
            ended: dict[str, bytes] = {}

            def drip() -> None:  # a byte now and then never restarts the clock
                try:
                    while time.monotonic() - started < 6:
                        slow.sendall(b"a")
                        time.sleep(0.2)
                except OSError:
                    pass

            dripping = threading.Thread(target=drip)
            dripping.start()
            for name, connection in {"silent": silent, "slow": slow, "again": again}.items():
                ended[name] = until_closed(connection, 5)
            assert 1.4 < time.monotonic() - started < 5
            dripping.join()
        assert ended["slow"].startswith(b"HTTP/1.1 408")
        assert timed(f"{url}/v1/health")[1] == 200
    assert {line["reason"] for line in lines(home, "connections closed")} == {"slow_head"}


def test_connections_that_work_are_never_closed_for_others(home: Path, data_dir: Path) -> None:
    """What is busy stays; only what waits for a request makes room, the longest waiting first."""
    limits = {"ARCID_MAX_CONNECTIONS_PER_CLIENT": "4", "ARCID_MAX_CONNECTIONS": "8"}
    with serving(home, data_dir, **limits) as url, ExitStack() as stack:
        head, body = form(1, 100_000)
        uploads = [stack.enter_context(opened(url)) for _ in range(4)]
        for upload in uploads:
            upload.sendall(head + body[:50_000])
        time.sleep(0.3)
        assert until_closed(stack.enter_context(opened(url)), 2) == b""  # a fifth is turned away
        for upload in uploads:
            upload.sendall(body[50_000:] + b"")
            upload.settimeout(10)
            assert upload.recv(200).startswith(b"HTTP/1.1 4")  # read to its end, and no form
        time.sleep(1)  # closed ones are logged together
    assert {line["reason"] for line in lines(home, "connections closed")} == {
        "too_many_of_a_client"
    }


def test_a_trusted_proxy_may_hold_more_than_a_client(home: Path, data_dir: Path) -> None:
    limits = {"ARCID_MAX_CONNECTIONS_PER_CLIENT": "4", "ARCID_API_KEYS": "Vj3-wq8Tn0Zr5yLk2Xc7"}
    with (
        serving(home, data_dir, ARCID_TRUSTED_PROXIES="127.0.0.1", **limits) as url,
        ExitStack() as stack,
    ):
        held = [stack.enter_context(opened(url)) for _ in range(20)]
        for connection in held:
            connection.sendall(HALF)
        time.sleep(0.5)
        for connection in held:
            connection.sendall(b"0\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")


# bodies


def test_stalled_uploads_starve_nobody(home: Path, data_dir: Path) -> None:
    """Four uploads that fill the budget and then send nothing any more."""
    size = 4 * 2**20
    limits = {"ARCID_MAX_REQUEST_BYTES": str(size), "ARCID_MAX_INFLIGHT_BYTES": str(4 * size)}
    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    with serving(home, data_dir, **limits) as url, ExitStack() as stack:
        head, body = form(1, size - 100)
        for _ in range(4):
            upload = stack.enter_context(opened(url))
            upload.sendall(head + body[:-1])
        time.sleep(1.5)
        for _ in range(3):
            answer = httpx.post(f"{url}/v1/detect", files={"image": photo}, timeout=20)
            assert answer.status_code == 200, answer.text
    cut = [line for line in lines(home, "request") if line["error"] == "upload_too_slow"]
    assert cut and all(line["status"] == 408 for line in cut)


def test_an_upload_that_stops_is_cut_off_and_a_slow_one_is_not(home: Path, data_dir: Path) -> None:
    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    with serving(home, data_dir, ARCID_UPLOAD_TIMEOUT_S="1") as url:
        head, body = form(1, 100_000)
        with opened(url) as stopped:
            stopped.sendall(head + body[:1000])
            began = time.monotonic()
            assert until_closed(stopped, 5).startswith(b"HTTP/1.1 408")
            assert 0.9 < time.monotonic() - began < 4

        def trickle() -> Iterator[bytes]:  # 5 s of 20 KB/s, as a bad mobile network
            start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            whole = start + photo + b"\r\n--x--\r\n"
            step = len(whole) // 20 + 1
            for at in range(0, len(whole), step):
                yield whole[at : at + step]
                time.sleep(0.25)

        answer = httpx.post(
            f"{url}/v1/detect",
            content=trickle(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text


def test_who_never_reads_the_answer_is_let_go(home: Path, data_dir: Path) -> None:
    with serving(home, data_dir, ARCID_ANSWER_TIMEOUT_S="1") as url, opened(url) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ask = b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        deaf.sendall(ask * 20)
        time.sleep(5)
        assert timed(f"{url}/v1/health")[1] == 200
    assert "slow_reader" in {line["reason"] for line in lines(home, "connections closed")}


def test_who_reads_an_answer_slowly_gets_all_of_it(home: Path, data_dir: Path) -> None:
    """Longer than the timeout, than keep-alive, and after all of it was handed over."""
    with serving(home, data_dir, ARCID_ANSWER_TIMEOUT_S="3") as url:
        with httpx.Client(base_url=url, timeout=30) as client:
            for number in range(300):
                large = {"name": f"c{number}", "metadata": {"a": "x" * 16_000}}
                assert client.post("/v1/collections", json=large).status_code == 201
        with ThreadPoolExecutor(2) as pool:
            came = list(pool.map(slowly_read, (url, url), ("keep-alive", "close")))
        assert min(came) > 4_500_000
    assert not lines(home, "connections closed")


def slowly_read(url: str, connection: str) -> int:
    """Bytes of the list of collections, at half a megabyte a second."""
    at = urlsplit(url)
    with closing(socket.socket()) as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        it.settimeout(10)
        it.connect((at.hostname, at.port))
        head = f"Host: {at.netloc}\r\nConnection: {connection}\r\n\r\n"
        it.sendall(f"GET /v1/collections?limit=1000 HTTP/1.1\r\n{head}".encode())
        began, came = time.monotonic(), 0
        answer = http.client.HTTPResponse(it)
        answer.begin()
        while part := answer.read(50_000):
            came += len(part)
            time.sleep(max(0.0, came / 500_000 - (time.monotonic() - began)))
        return came


# what must answer


LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process that writes, and does not come to an end."""
    command = [sys.executable, "-c", LOCK, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline().strip() == b"locked"
        try:
            yield
        finally:
            holder.stdin.close()


PROBE = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from tests.security.test_slow import timed
times = {"/v1/health": [], "/metrics": []}
until = time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    for path, found in times.items():
        seconds, status = timed(sys.argv[2] + path)
        assert status == 200, path
        found.append(seconds)
    time.sleep(0.05)
print(json.dumps({path: sorted(found) for path, found in times.items()}))
"""


def probed(url: str, seconds: float) -> dict[str, list[float]]:
    """How long health and metrics took, sorted, asked in turns by another process."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", PROBE, root, url, str(seconds)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, list[float]] = json.loads(run.stdout)
    return found


def assert_prompt(found: dict[str, list[float]], under: str) -> None:
    """Nine in ten within the promise; none held up by what the others wait for.

    The machine that tests may have few cores and other work, which the slowest answer shows.
    """
    for path, times in found.items():
        slow = times[int(len(times) * 0.9)]
        print(f"\n    {path} under {under}: 90 % within {slow:.3f} s, all within {times[-1]:.3f} s")
        assert slow < ANSWERS_WITHIN_S, path
        assert times[-1] < 5.0, path


def test_health_and_metrics_answer_while_writers_wait(home: Path, url: str) -> None:
    def write(number: int) -> int:
        name = {"name": f"c{number}"}
        return httpx.post(f"{url}/v1/collections", json=name, timeout=40).status_code

    assert write(0) == 201
    with ThreadPoolExecutor(80) as pool:
        with locked(home / "gallery.db"):
            writing = [pool.submit(write, number) for number in range(1, 81)]
            time.sleep(0.5)
            found = probed(url, 3)
            assert timed(f"{url}/v1/collections")[1] == 200  # readers do not wait for writers
        statuses = {done.result() for done in writing}
    assert statuses <= {201, 429, 503}
    assert_prompt(found, "80 waiting writers")


def test_health_and_metrics_answer_while_passwords_are_checked(url: str) -> None:
    link = SET_UP[url]
    assert link
    origin = {"Origin": url}
    at, _, code = link.partition("#")
    made = httpx.post(
        at,
        data={
            "code": code,
            "name": "Ada",
            "password": "correct horse b",
            "repeat": "correct horse b",
        },
        headers=origin,
    )
    assert made.status_code == 303, made.text

    def guess(number: int) -> int:
        fields = {"name": f"nobody {number}", "password": "wrong"}
        return httpx.post(
            f"{url}/console/sign-in", data=fields, headers=origin, timeout=60
        ).status_code

    with ThreadPoolExecutor(40) as pool:
        guessing = [pool.submit(guess, number) for number in range(40)]
        found = probed(url, 2)
        statuses = {done.result() for done in guessing}
    assert statuses <= {401, 429, 503}
    assert_prompt(found, "40 passwords")


def test_health_and_metrics_answer_while_searches_queue(url: str, data_dir: Path) -> None:
    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    httpx.post(f"{url}/v1/collections", json={"name": "staff"})

    def search(_: int) -> int:
        return httpx.post(
            f"{url}/v1/collections/staff/search", files={"image": photo}, timeout=60
        ).status_code

    with ThreadPoolExecutor(60) as pool:
        searching = [pool.submit(search, number) for number in range(60)]
        found = probed(url, 6)
        statuses = {done.result() for done in searching}
    assert statuses <= {200, 429}
    assert_prompt(found, "60 searches at once")


def test_health_says_when_the_gallery_does_not_answer(home: Path, url: str) -> None:
    """A database that was moved away: health says so, and says when it is back."""
    before = httpx.get(f"{url}/v1/health").json()
    assert before["status"] == "ready" and before["gallery_seen_s"] < 5
    database, away = home / "gallery.db", home / "away.db"
    database.rename(away)
    deadline = time.monotonic() + 20
    while (answer := httpx.get(f"{url}/v1/health")).status_code == 200:
        assert time.monotonic() < deadline, "health never says that the gallery is gone"
        time.sleep(0.2)
    assert answer.json()["error"]["code"].startswith("gallery_")
    assert timed(f"{url}/metrics")[1] == 200
    away.rename(database)
    while httpx.get(f"{url}/v1/health").status_code != 200:
        assert time.monotonic() < deadline, "health never says that it is back"
        time.sleep(0.2)

"""Several services on one PostgreSQL behind a real nginx: one is killed, one is newer."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from tests.databases import Server
from tests.nginx import Connect, certificate, free_port, nginx
from tests.serving import PROCESSES, serving, until

from arcid.events.duties import holders
from arcid.gallery import Gallery, schema
from arcid.models import weights

pytestmark = [pytest.mark.server, pytest.mark.postgres, pytest.mark.data]
ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "concepts" / "several-servers.md"
KEY = "Vj3-wq8Tn0Zr5yLk2Xc7"
CLIENTS = 4
#: ``arcid``, whose duties last three seconds.
QUICK = """
from arcid.events.duties import Duty
Duty.__init__.__kwdefaults__["lasts_s"] = 3.0
from arcid.cli import main
main()
"""


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


class Site:
    """Places for three services before one database, and nginx as documented before them."""

    def __init__(self, url: str, data: Path, folder: Path) -> None:
        self.ports = [free_port() for _ in range(3)]
        self.homes = [folder / f"home{number}" for number in range(3)]
        for home in self.homes:
            home.mkdir()
        self._url, self._data = url, data

    @contextmanager
    def service(self, number: int, **environment: Any) -> Iterator[str]:
        settings: dict[str, Any] = {
            "ARCID_API_KEYS": KEY,
            "ARCID_DATABASE": self._url,
            "ARCID_TRUSTED_PROXIES": "127.0.0.1",
            "ARCID_WEBHOOKS": "http://127.0.0.1:9/nobody",
            "ARCID_WEBHOOK_SECRET": "secret of the test",
        }
        with serving(
            self.homes[number], self._data, port=self.ports[number], **settings | environment
        ) as address:
            yield address

    def places(self) -> dict[str, str]:
        return {f"10.0.0.1{n + 1}:8000": f"127.0.0.1:{port}" for n, port in enumerate(self.ports)}


class Traffic:
    """Clients that enrol one new person after the other, sent again until that is answered."""

    def __init__(self, connect: Connect, contract: dict[str, Any]) -> None:
        self.stored: list[str] = []  # names whose enrolment was answered with 201
        self.failed: list[str] = []  # what came instead
        self._contract = contract
        self._stop = threading.Event()
        self._clients = [connect() for _ in range(CLIENTS)]
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._done = [self._threads.submit(self._enrol, client) for client in self._clients]

    def more(self, count: int) -> None:
        aim = len(self.stored) + count
        until(lambda: len(self.stored) >= aim or any(done.done() for done in self._done), 60)

    def end(self) -> None:
        self._stop.set()
        for done in self._done:
            done.result(60)
        self._threads.shutdown()

    def _enrol(self, client: httpx.Client) -> None:
        while not self._stop.is_set():
            name = uuid.uuid4().hex
            body, key = vector(self._contract, name), {"X-API-Key": KEY, "Idempotency-Key": name}
            for tried in range(20):
                time.sleep(min(0.1 * tried, 2.0))
                try:
                    answer = client.post(
                        "/v1/collections/staff/enrol/embeddings", json=body, headers=key
                    )
                except httpx.TransportError as error:
                    self.failed.append(type(error).__name__)
                    continue
                if answer.status_code == 201:
                    self.stored.append(name)
                    break
                self.failed.append(f"{answer.status_code} {said(answer)}".strip())
            else:
                pytest.fail(f"never enrolled: {self.failed[-3:]}")


def said(answer: httpx.Response) -> str:
    """The code of an error; empty where nginx answered. Of one that nobody expects, all of it."""
    if not answer.headers["content-type"].startswith("application/json"):
        return ""
    return str(answer.json()["error"]["code"] if answer.status_code == 503 else answer.text)


def vector(contract: dict[str, Any], name: str) -> dict[str, Any]:
    made = np.random.default_rng(int(name, 16)).normal(size=contract["dim"])
    made /= np.linalg.norm(made)
    return {"name": name, "vectors": [made.tolist()], "contract_id": contract["contract_id"]}


def at(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=60)


def contract_at(address: str) -> dict[str, Any]:
    with at(address) as client:
        client.post("/v1/collections", json={"name": "staff"}).raise_for_status()
        (found,) = [
            model
            for model in client.get("/v1/models").json()["models"]
            if model["role"] == "recognition"
        ]
    return {"dim": found["dim"], "contract_id": found["contract_id"]}


def teller(gallery: Gallery) -> str:
    """The process that delivers to the webhook; empty while none does."""
    found = holders(gallery).items()
    return next((holder for name, (holder, _) in found if name.startswith("telling:")), "")


def test_one_of_three_is_killed(
    postgres: Server, data_dir: Path, tls: tuple[Path, Path], tmp_path: Path
) -> None:
    (page,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        url = stack.enter_context(postgres.database())
        site = Site(url, data_dir, tmp_path)
        first = stack.enter_context(site.service(0, program=("-c", QUICK)))
        connect = stack.enter_context(nginx(page, site.places(), tls, tmp_path))
        contract = contract_at(first)
        browser = connect()  # two of the three are not there yet
        fields = {
            "code": KEY,
            "name": "Ada",
            "password": "correct horse",
            "repeat": "correct horse",
        }
        assert browser.post("/console/set-up", data=fields).status_code == 303
        for home in site.homes[1:]:
            for file in site.homes[0].glob("*.key"):
                shutil.copy2(file, home)
        starting = [site.service(number, program=("-c", QUICK)) for number in (1, 2)]
        others = list(pool.map(lambda one: one.__enter__(), starting))
        for one in starting:
            stack.push(one)
        addresses = [first, *others]

        cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
        clients = [stack.enter_context(at(address)) for address in addresses]
        for client in clients:
            assert client.get("/console/accounts", headers=cookie).status_code == 200
        for number, client in enumerate(clients):  # found at the next, at once
            name = uuid.uuid4().hex
            body = vector(contract, name)
            made = client.post("/v1/collections/staff/enrol/embeddings", json=body)
            assert made.status_code == 201, made.text
            probe = {k: v for k, v in body.items() if k != "name"}
            found = clients[(number + 1) % 3].post(
                "/v1/collections/staff/search/embeddings", json=probe
            )
            assert found.json()["results"][0]["candidates"][0]["name"] == name, found.text

        name = uuid.uuid4().hex
        body, key = vector(contract, name), {"Idempotency-Key": "once"}
        answers = list(
            pool.map(
                lambda client: client.post(
                    "/v1/collections/staff/enrol/embeddings", json=body, headers=key
                ),
                clients,
            )
        )
        assert [answer.status_code for answer in answers] == [201] * 3
        assert len({answer.json()["person"]["id"] for answer in answers}) == 1
        replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
        assert sorted(map(str, replayed)) == ["None", "true", "true"]

        gallery = stack.enter_context(Gallery.open(url))
        before = {person.name for person in gallery.people("staff")}
        traffic = Traffic(connect, contract)
        traffic.more(20)
        until(lambda: teller(gallery))
        holder = teller(gallery)
        (victim,) = [
            address for address in addresses if f"process {PROCESSES[address].pid} on" in holder
        ]
        PROCESSES[victim].kill()
        traffic.more(40)
        traffic.end()
        assert set(traffic.failed) <= {"502", "503 gallery_busy"}, traffic.failed
        assert len(traffic.failed) <= CLIENTS, "only what was under way may fail"
        stored = [person.name for person in gallery.people("staff", limit=1000)]
        assert len(stored) == len(set(stored)), "enrolled twice"
        assert set(stored) == set(traffic.stored) | before
        until(lambda: teller(gallery) not in ("", holder))
        assert browser.get("/console/accounts").status_code == 200


@contextmanager
def version_before(folder: Path) -> Iterator[tuple[str, bool]]:
    """The source of the last commit before the newest migration, for ``PYTHONPATH``, and whether
    that migration lets its processes go on."""
    (newest,) = (ROOT / "src/arcid/gallery/migrations/versions").glob(f"{schema.HEAD}_*.py")
    git = ["git", "-C", str(ROOT)]
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no history here to take the version before from")
    asked = [*git, "log", "--diff-filter=A", "--format=%H^", "-1", "--", str(newest)]
    before = subprocess.check_output(asked, text=True).strip() or "HEAD"
    archive = subprocess.run([*git, "archive", before, "src"], capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("the history here is too short to take the version before from")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    yield str(folder / "src"), "older_go_on = True" in newest.read_text("utf-8")


def test_a_newer_one_migrates_beneath_an_older(
    postgres: Server, data_dir: Path, tls: tuple[Path, Path], tmp_path: Path
) -> None:
    (page,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    with ExitStack() as stack:
        source, goes_on = stack.enter_context(version_before(tmp_path))
        url = stack.enter_context(postgres.database(migrated=False))
        site = Site(url, data_dir, tmp_path)
        older = stack.enter_context(site.service(0, PYTHONPATH=source))
        assert revision(url) == schema.KNOWN[-2]
        contract = contract_at(older)
        connect = stack.enter_context(nginx(page, site.places(), tls, tmp_path))
        traffic = Traffic(connect, contract)
        traffic.more(10)
        former = weights.of_contract(contract["contract_id"])
        assert former is not None, "the recogniser of the version before is to ship with this one"
        newer = stack.enter_context(site.service(1, ARCID_RECOGNISER=former.name))
        assert revision(url) == schema.HEAD
        traffic.more(20)
        direct = stack.enter_context(at(older))
        last = direct.post(
            "/v1/collections/staff/enrol/embeddings", json=vector(contract, uuid.uuid4().hex)
        )
        if goes_on:
            assert last.status_code == 201, last.text
            assert direct.get("/v1/health").status_code == 200
        else:
            assert (last.status_code, said(last)) == (503, "schema_too_new")
            until(lambda: direct.get("/v1/health").status_code == 503)
        PROCESSES[older].terminate()
        traffic.more(10)
        traffic.end()
        refused = {"503 gallery_busy", "503 schema_too_new"}
        assert set(traffic.failed) <= {"502"} | refused, traffic.failed
        with at(newer) as client:
            answer = client.get("/v1/collections/staff/people", params={"limit": 1000})
        stored = [person["name"] for person in answer.json()["people"]]
        assert len(stored) == len(set(stored))
        assert set(stored) >= set(traffic.stored)


def revision(url: str) -> Any:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()

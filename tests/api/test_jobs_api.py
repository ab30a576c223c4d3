"""Long work over HTTP: uploads, imports, deletions, reports, and who may ask for what."""

from __future__ import annotations

import csv
import io
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.serving import Client, running

from arcid import paths
from arcid.events import Audit
from arcid.pipeline import Pipeline
from arcid.protection import Keys
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
JOBS = "/v1/jobs"


@pytest.fixture(scope="module")
def client(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One service, with a home and a folder to import from."""
    root = tmp_path_factory.mktemp("jobs")
    (root / "imports").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_HOME", str(root / "home"))
        settings = Settings.load(
            database=str(root / "gallery.db"), imports=str(root / "imports"),
            max_archive_bytes=8 * 2**20,
        )  # fmt: skip
        with running(settings, pipeline, None) as client:
            yield client


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    for _ in range(1200):
        job: dict[str, Any] = client.get(f"{JOBS}/{job_id}").json()
        if job["state"] not in ("waiting", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def packed(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def sent(client: httpx.Client, data: bytes, kind: str = "application/zip") -> str:
    answer = client.post(f"{JOBS}/uploads", content=data, headers={"content-type": kind})
    assert answer.status_code == 201, answer.text
    assert answer.json()["bytes"] == len(data)
    return str(answer.json()["id"])


def test_an_archive_becomes_people_and_is_gone(
    client: Client, collection: str, face: Callable[[int], bytes]
) -> None:
    name = collection.rsplit("/", 1)[1]
    files = {"all/Ann/1.jpg": face(1), "all/Ann/2.jpg": face(2), "all/Bea/3.jpg": face(3)}
    upload = sent(client, packed(files | {"all/Bea/x.jpg": b"no picture", "all/x.txt": b""}))
    place = paths.home_dir() / "uploads" / upload
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    asked = {"collection": name, "upload": upload}
    checked = client.post(f"{JOBS}/imports/check", json=asked).json()
    assert (checked["people"], checked["items"], checked["left_by_reason"]) == (
        2, 4, {"not_a_photo": 1},
    )  # fmt: skip
    begun = client.post(f"{JOBS}/imports", json=asked)
    assert begun.status_code == 202, begun.text
    job = ended(client, begun.json()["id"])
    assert (job["state"], job["total"], job["done"], job["refused"]) == ("done", 5, 5, 2)
    people = client.get(f"{collection}/people").json()["people"]
    assert {p["name"]: p["faces"] for p in people} == {"Ann": 2, "Bea": 1}
    report = client.get(f"{JOBS}/{job['id']}/report")
    rows = list(csv.DictReader(report.text.splitlines()))
    assert {row["item"]: row["code"] for row in rows} == {
        "all/Bea/x.jpg": "image_unreadable", "all/x.txt": "not_a_photo",
    }  # fmt: skip
    told = client.get(f"{JOBS}/{job['id']}/report", params={"format": "json"}).json()
    assert [one["item"] for one in told] == [row["item"] for row in rows]
    for _ in range(200):
        if not place.exists():
            break
        time.sleep(0.05)
    assert not place.exists(), "the photographs were kept"
    assert client.get(JOBS).json()["jobs"][0]["id"] == job["id"]
    (row,) = Audit(client.gallery).find(subject=f"job:{job['id']}", verb="job.begin")
    assert (row.actor, row.details["items"]) == ("local", 5)
    again = client.post(f"{JOBS}/{job['id']}/resume")
    assert again.status_code == 422 and "begin another" in again.json()["error"]["message"]


def test_a_folder_of_the_machine_and_a_list_beside_it(
    client: Client, collection: str, face: Callable[[int], bytes]
) -> None:
    name = collection.rsplit("/", 1)[1]
    allowed = client.services.settings.imports
    assert allowed is not None
    (allowed / "may").mkdir()
    (allowed / "may" / "1.jpg").write_bytes(face(1))
    (allowed / "may" / "out.jpg").symlink_to("/etc/passwd")
    listed = sent(client, b"person,photo,badge\nAnn,1.jpg,17\nAnn,out.jpg,\n", "text/csv")
    asked = {"collection": name, "folder": "may", "list_upload": listed}
    job = ended(client, client.post(f"{JOBS}/imports", json=asked).json()["id"])
    assert (job["state"], job["done"], job["refused"]) == ("done", 2, 1)
    (ann,) = client.get(f"{collection}/people").json()["people"]
    assert (ann["faces"], ann["metadata"]) == (1, {"badge": "17"})
    for bad in ("", "..", "/etc", "may/../..", "june"):
        refused = client.post(f"{JOBS}/imports", json=asked | {"folder": bad, "list_upload": None})
        assert refused.status_code == 422, bad


def test_people_are_deleted_embedded_anew_and_compared(
    client: Client, collection: str, face: Callable[[int], bytes]
) -> None:
    name = collection.rsplit("/", 1)[1]
    form = {"name": "Ann"}
    assert client.post(f"{collection}/enrol", data=form, files={"image": face(1)}).is_success
    made = client.post(f"{JOBS}/reembeddings", json={"collection": name})
    assert (ended(client, made.json()["id"])["state"], made.json()["total"]) == ("done", 0)
    run = client.post(f"{JOBS}/duplicates", json={"collection": name})
    assert run.status_code == 202, run.text
    assert ended(client, run.json()["id"])["state"] == "done"
    runs = client.get(f"{collection}/duplicates/runs").json()["runs"]
    assert [one["id"] for one in runs] == [run.json()["run_id"]]
    asked = {"collection": name, "people": ["ann", "nobody"]}
    job = ended(client, client.post(f"{JOBS}/deletions", json=asked).json()["id"])
    assert (job["state"], job["done"], job["refused"]) == ("done", 2, 1)
    assert client.get(f"{collection}/people").json()["people"] == []
    (row,) = Audit(client.gallery).find(verb="person.delete", collection=name)
    assert row.actor == "local"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"no archive", 422, "archive_refused"),
        (packed({"../../etc/1.jpg": b""}), 422, "archive_refused"),
        (packed({}), 422, "bad_input"),
    ],
    ids=["no-zip", "slip", "empty"],
)
def test_what_is_no_archive_is_refused_before_a_job_begins(
    client: Client, collection: str, data: bytes, status: int, code: str
) -> None:
    asked = {"collection": collection.rsplit("/", 1)[1]}
    refused = client.post(f"{JOBS}/imports", json=asked | {"upload": sent(client, data)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


def test_too_much_is_refused_and_nothing_of_it_is_kept(client: Client) -> None:
    before = set((paths.home_dir() / "uploads").iterdir())
    for content in (bytes(9 * 2**20), iter([bytes(2**20)] * 9)):
        refused = client.post(f"{JOBS}/uploads", content=content)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "upload_too_large")
    assert set((paths.home_dir() / "uploads").iterdir()) == before
    gone = sent(client, b"1")
    assert client.delete(f"{JOBS}/uploads/{gone}").status_code == 204
    assert client.delete(f"{JOBS}/uploads/{gone}").status_code == 404
    missing = {"collection": "none", "upload": gone}
    assert client.post(f"{JOBS}/imports", json=missing).status_code == 404


def test_a_key_may_do_what_it_may_do_and_sees_its_own_collections(
    client: Client, collection: str
) -> None:
    name = collection.rsplit("/", 1)[1]
    other = {"collection": name, "people": ["nobody"]}
    job = client.post(f"{JOBS}/deletions", json=other).json()["id"]
    client.post("/v1/collections", json={"name": f"{name}-own"})
    _, secret = Keys(client.gallery).add("one", ["read", "enrol"], collections=[f"{name}-own"])
    client.services.keys.refresh()  # from here on a key is needed
    headers = {"X-API-Key": secret}
    assert client.get(JOBS, headers=headers).json()["jobs"] == []
    for answer in (
        client.get(f"{JOBS}/{job}", headers=headers),
        client.get(f"{JOBS}/{job}/report", headers=headers),
        client.post(f"{JOBS}/{job}/cancel", headers=headers),
        client.post(f"{JOBS}/deletions", json=other, headers=headers),
        client.post(
            f"{JOBS}/deletions", json=other | {"collection": f"{name}-own"}, headers=headers
        ),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")

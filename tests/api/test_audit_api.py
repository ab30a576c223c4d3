"""The audit over REST and at the command line."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.serving import Client, StartService, running

from arcid import paths
from arcid.cli import app
from arcid.cli.output import run_command
from arcid.events import Audit
from arcid.events.audit import Entry
from arcid.events.seals import Seals
from arcid.gallery import Gallery
from arcid.gallery.schema import audit as rows
from arcid.pipeline import Pipeline
from arcid.protection import Keys
from arcid.server import app as application
from arcid.server.settings import Settings


@pytest.mark.data
def test_rows_are_listed_filtered_and_verified(client: Client, collection: str) -> None:
    name = collection.rpartition("/")[2]
    made = [client.post(f"{collection}/people", json={"name": n}).json()["id"] for n in "AB"]
    client.delete(f"{collection}/people/{made[0]}")
    client.post(f"{collection}/people", json={"name": "C"})
    client.delete(f"{collection}/people/{made[1]}")
    found = client.get("/v1/audit", params={"collection": name, "limit": 1}).json()
    (entry,) = found["entries"]
    assert (entry["verb"], entry["subject"]) == ("person.delete", f"person:{made[1]}")
    assert (entry["actor"], entry["details"]["faces"]) == ("local", 0)
    rest = {"collection": name, "after": found["next"]}
    older = client.get("/v1/audit", params=rest).json()
    assert [e["subject"] for e in older["entries"]] == [f"person:{made[0]}"]
    assert older["next"] is None
    for wrong, code in (({"after": "nonsense"}, 422), ({"collection": "nowhere"}, 404)):
        assert client.get("/v1/audit", params=wrong).status_code == code
    whole = client.get("/v1/audit/verify").json()
    assert whole["problem"] is None and whole["rows"] >= 2 and len(whole["digest"]) == 64


def test_the_command_lists_and_names_the_first_wrong_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "gallery.db"
    with Gallery.open(database) as gallery:
        gallery.create_collection("staff")
        for number in range(3):
            Audit(gallery).record(verb="face.view", subject=f"face:{number}", reason="=1+1")

    def run(*words: str, code: int = 0) -> str:
        assert run_command(app, [*words, "--database", str(database)]) == code
        return capsys.readouterr().out

    assert "3 rows, each as it was written" in run("audit", "verify")
    listed = json.loads(run("audit", "list", "--subject", "face:1", "--json"))
    assert [entry["seq"] for entry in listed["entries"]] == [2]
    assert "face:2" in run("audit", "list", "--verb", "face")
    run("gallery", "delete-collection", "staff", "--yes")
    newest = json.loads(run("audit", "list", "--limit", "1", "--json"))["entries"][0]
    assert newest["verb"] == "collection.delete"
    assert newest["actor"] == (f"os:{os.getuid()}" if hasattr(os, "getuid") else newest["actor"])
    with Gallery.open(database) as gallery, gallery.database.write() as connection:
        connection.execute(sa.delete(rows).where(rows.c.seq == 2))
    assert "row 2 was removed" in run("audit", "verify", code=5)
    assert json.loads(run("audit", "verify", "--json", code=5))["first_wrong"] == 2


@pytest.fixture
def staffed(client: Client, collection: str, face: Callable[[int], bytes]) -> tuple[str, str]:
    """The collection's path, and the id of Ann, who is enrolled in it."""
    sent = {"data": {"name": "Ann"}, "files": {"image": face(1)}}
    made = client.post(f"{collection}/enrol", **sent).json()
    return collection, made["person"]["id"]


def rows_of(client: Client, collection: str, count: int) -> list[Entry]:
    """The collection's rows about searches, once there are so many."""
    deadline = time.monotonic() + 30
    while True:
        found = Audit(client.gallery).find(verb="search", collection=collection.rpartition("/")[2])
        if len(found) >= count:
            return list(found)
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.data
def test_every_search_is_a_row_of_ids(
    client: Client, staffed: tuple[str, str], face: Callable[[int], bytes]
) -> None:
    collection, ann = staffed
    for _ in range(2):
        client.post(f"{collection}/search", files={"image": face(2)}).raise_for_status()
    vector = client.post("/v1/embeddings", files={"image": face(2)}).json()
    probe = {"vector": vector["faces"][0]["vector"], "contract_id": vector["contract_id"]}
    client.post(f"{collection}/search/embedding", json=probe).raise_for_status()
    by_person = {"person_id": ann, "fpir": 0.1}
    client.post(f"{collection}/search/person", json=by_person).raise_for_status()
    client.post(f"{collection}/search", files={"image": b"no picture"})
    found = rows_of(client, collection, 4)
    assert [row.verb.partition(".")[2] for row in found] == ["person", "vector", "photo", "photo"]
    assert found[0].subject == f"person:{ann}" and found[0].details["fpir"] == 0.1
    for row in found[1:]:
        assert row.subject == f"collection:{row.collection_id}" and row.actor == "local"
        assert row.details["shown"] == [ann] and row.details["faces"] == 1
        assert row.details["found"] == [ann] and "Ann" not in json.dumps(row.to_dict())
    assert Audit(client.gallery).verify().problem is None


@pytest.mark.data
def test_every_comparison_is_a_row(
    client: Client, staffed: tuple[str, str], face: Callable[[int], bytes]
) -> None:
    collection, ann = staffed
    vector = client.post("/v1/embeddings", files={"image": face(2)}).json()
    probe = {"vector": vector["faces"][0]["vector"], "contract_id": vector["contract_id"]}
    person = f"{collection}/people/{ann}"
    pair = {"image_a": face(1), "image_b": face(2)}
    before = len(Audit(client.gallery).find(verb="compare", limit=None))
    client.post(f"{person}/verify", files={"image": face(2)}).raise_for_status()
    client.post(f"{person}/verify/embedding", json=probe).raise_for_status()
    assert (
        client.post("/v1/compare", files=pair, data={"fmr": "0.001"}).json()["outcome"] == "match"
    )
    client.post("/v1/compare/faces", files=pair).raise_for_status()
    client.post("/v1/compare", files={"image_a": face(1), "image_b": b"none"})
    deadline = time.monotonic() + 30
    audit = Audit(client.gallery)
    while len(compared := list(audit.find(verb="compare", limit=None))) < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    verified = audit.find(verb="verify", subject=f"person:{ann}")
    assert [row.verb for row in verified] == ["verify.vector", "verify.photo"]
    for row in verified:
        assert row.details == {"faces": 1, "matched": 1, "fmr": 1e-4} and row.collection_id
    assert len(compared) == before + 2
    assert [row.details["fmr"] for row in compared[:2]] == [1e-4, 1e-3]
    assert {(row.subject, row.collection_id) for row in compared} == {("nobody:stored", None)}


@pytest.mark.data
def test_searches_can_be_left_out_and_that_is_written_down(
    start: StartService, face: Callable[[int], bytes]
) -> None:
    with start(audit_searches=False) as client:
        client.post("/v1/collections", json={"name": "staff"})
        client.post("/v1/collections/staff/search", files={"image": face(1)}).raise_for_status()
        client.post("/v1/compare", files={"image_a": face(1), "image_b": face(2)})
        time.sleep(1.5)  # looks are written every second
        assert [row.verb for row in Audit(client.gallery).find()] == ["audit.searches_off"]


def test_the_last_looks_are_written_when_the_service_stops(
    toy: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "EVERY_S", 3600.0)
    monkeypatch.setattr(application, "NOTE_EVERY_S", 3600.0)
    database = tmp_path / "gallery.db"
    with Gallery.open(database) as gallery:
        gallery.create_collection("staff")
        key, secret = Keys(gallery).add("desk", ["read"])
    with running(Settings.load(database=str(database)), toy, None) as client:
        url = "/v1/collections/staff/duplicates/groups"
        client.get(url, headers={"X-API-Key": secret}).raise_for_status()
    with Gallery.open(database) as gallery:
        (row,) = Audit(gallery).find(verb="duplicates.view")
        assert (row.subject, row.actor) == ("duplicates:groups", f"key:{key.id}")
        assert Keys(gallery).get("desk").used_at is not None


@pytest.mark.data
def test_a_search_at_the_command_line_is_a_row(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    photo = str(data_dir / "data/deepface-pairs/img1.jpg")
    own = ("--database", str(tmp_path / "gallery.db"))
    assert run_command(app, ["gallery", "create", "default", *own]) == 0
    assert run_command(app, ["enrol", "Ann", photo, *own]) == 0
    assert run_command(app, ["search", photo, *own]) == 0
    assert run_command(app, ["search", "--person", "Ann", *own]) == 1
    assert run_command(app, ["verify", photo, "--person", "Ann", *own]) == 0
    monkeypatch.setenv("ARCID_AUDIT_SEARCHES", "off")
    assert run_command(app, ["search", photo, *own]) == 0
    monkeypatch.setenv("ARCID_AUDIT_SEARCHES", "perhaps")
    assert run_command(app, ["search", photo, *own]) == 2
    assert "ARCID_AUDIT_SEARCHES is on or off" in capsys.readouterr().err
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        by_person, by_photo = Audit(gallery).find(verb="search")
        (verified,) = Audit(gallery).find(verb="verify")
        ann = gallery.person_called("default", "Ann").id
    assert verified.subject == f"person:{ann}" and verified.details["matched"] == 1
    assert by_photo.details == {"faces": 1, "found": [ann], "fpir": 0.01, "shown": [ann]}
    assert by_person.subject == f"person:{ann}" and by_person.details["shown"] == []


@pytest.mark.data
def test_who_did_it_is_the_key_and_what_is_typed_a_remark(start: StartService) -> None:
    with start(api_keys="correct-horse-battery") as client:
        client.gallery.create_collection("staff")
        ann = client.gallery.add_person("staff", "Ann").id
        made, secret = Keys(client.gallery).add("desk", ["decide", "read"])
        client.services.keys.refresh()
        url, headers = "/v1/collections/staff/attendance/events", {"X-API-Key": secret}
        entry = {"kind": "arrival", "person_id": ann, "at": "2026-03-02T08:00:00Z"}
        for typed, told in (({}, f"key:{made.id}"), ({"actor": "account:1"}, None)):
            body = entry | typed | {"at": f"2026-03-0{2 + len(typed)}T08:00:00Z"}
            answer = client.post(url, json=body, headers=headers)
            assert answer.status_code == 201, answer.text
            assert answer.json()["actor"] == (told or f"account:1 (key:{made.id})")
        rows = Audit(client.gallery).find(verb="event.enter")
        assert {row.actor for row in rows} == {f"key:{made.id}"}


@pytest.mark.data
def test_seals_are_part_of_what_is_verified(client: Client) -> None:
    client.gallery.ensure_collection("sealed")
    Audit(client.gallery).record(verb="list.view", subject="list:a")
    Seals(client.gallery, paths.home_dir()).seal()
    found = client.get("/v1/audit/verify").json()
    assert (found["problem"], found["seals"], found["unsealed_days"]) == (None, 1, [])
    tasks = {task["name"] for task in client.get("/v1/system").json()["tasks"]}
    assert {"seals", "disclosures", "retention"} <= tasks

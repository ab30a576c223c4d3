"""The service tells others of what it writes, keeps house, and notes who looked at whom."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving import StartService, until

from arcid.apps.telling import check_signature
from arcid.errors import ConfigError, GalleryBusy, InputError, Overloaded, StorageFull
from arcid.events import Audit, Events, Place, acting
from arcid.gallery import Gallery, NewFace
from arcid.server import looks as looks_module
from arcid.server.app import create_app
from arcid.server.housekeeping import TASKS, Housekeeping, State, Task
from arcid.server.looks import Looks
from arcid.server.settings import Settings
from arcid.types import Embeddings

KEY = "zV9-q2Lr_7Tn4wXk8Hd1"
SECRET = "shared with the receiver"
PLACE = Place("door", "Door")


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook's address, and what was posted there with a right signature."""
    found: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            header = self.headers["X-Arcid-Signature"]
            if check_signature(SECRET, body, header, datetime.now(UTC)):
                found.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", found
        server.shutdown()
        thread.join()


@pytest.mark.data
def test_the_service_tells_of_whatever_is_written_through_it(
    start: StartService, told: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, posted = told
    monkeypatch.setenv("ARCID_WEBHOOK_SECRET", SECRET)
    with start(webhooks=address) as client:
        client.post("/v1/collections", json={"name": "staff"})
        person = client.post("/v1/collections/staff/people", json={"name": "Ann"}).json()["id"]
        entry = {"kind": "arrival", "person_id": person, "at": "2026-03-02T08:00:00Z",
                 "actor": "op"}  # fmt: skip
        path = "/v1/collections/staff/attendance/events"
        event = client.post(path, json=entry).json()
        client.post(f"{path}/{event['id']}/corrections", json={"action": "void", "actor": "op"})
        until(lambda: len(posted) == 2)
        assert [one["kind"] for one in posted] == ["arrival", "correction"]
        assert posted[0]["id"] == event["id"] and posted[1]["about_id"] == event["id"]
        (row,) = client.get("/v1/system").json()["outbox"]
        assert row["target"].startswith("webhook-") and row["holder"].startswith("process ")
        assert (row["done"], row["waiting"], row["failed"]) == (2, 0, 0)


@pytest.mark.data
def test_looks_and_decisions_are_noted_under_the_key_that_asked(
    start: StartService, face: Callable[[int], bytes]
) -> None:
    who = f"key:{hashlib.sha256(KEY.encode()).hexdigest()[:8]}"
    with start(api_keys=KEY) as client:
        client.headers["X-API-Key"] = KEY
        client.post("/v1/collections", json={"name": "staff", "keep_crops": True})
        made = client.post(
            "/v1/collections/staff/enrol", data={"name": "Ann"}, files={"image": face(1)}
        ).json()
        stored = made["faces"][0]["id"]
        for _ in range(3):
            client.get(f"/v1/collections/staff/faces/{stored}/crop").raise_for_status()
        client.get("/v1/collections/staff/attendance/export?format=json").raise_for_status()
        client.delete(f"/v1/collections/staff/people/{made['person']['id']}")
        audit = Audit(client.gallery)
        until(lambda: len(audit.find()) == 3)
        assert {(entry.verb, entry.actor) for entry in audit.find()} == {
            ("face.view", who), ("attendance.export", who), ("person.delete", who),
        }  # fmt: skip
        tasks = {task["name"]: task for task in client.get("/v1/system").json()["tasks"]}
        assert tasks["looks"]["last"] is not None and tasks["looks"]["problem"] is None


def test_settings_that_cannot_be_kept_are_refused_before_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ARCID_WEBHOOK_SECRET", raising=False)
    database = str(tmp_path / "gallery.db")
    for wrong, why in (
        ({"webhooks": "https://hr.example/hook"}, "ARCID_WEBHOOK_SECRET"),
        ({"smtp": "smtp://mail.example"}, "ARCID_SMTP_TO"),
        ({"smtp_events": "alert, alarm"}, "'alarm' is no kind"),
    ):
        with pytest.raises(ConfigError, match=why):
            create_app(Settings.load(database=database, **wrong))
    shown = repr(Settings.load(smtp="smtp://mail.example", smtp_to="a@example.com"))
    assert "mail.example" not in shown and "a@example.com" not in shown


# housekeeping


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        yield gallery


def state(keeper: Housekeeping, name: str) -> State:
    return next(found for found in keeper.states if found.task.name == name)


def test_tasks_are_repeated_and_one_that_fails_says_so_and_stops_no_other(
    gallery: Gallery,
) -> None:
    ran: list[str] = []

    def bad(store: Gallery) -> None:
        ran.append("bad")
        raise GalleryBusy("the gallery is busy")

    def worse(store: Gallery) -> None:
        raise ValueError("of its own")

    def mended(store: Gallery) -> None:
        ran.append("mended")
        if ran.count("mended") < 3:
            raise StorageFull("the disk is full")

    told: list[tuple[str, str | None]] = []
    keeper = Housekeeping(
        gallery,
        [
            Task("mended", 0.05, mended),
            Task("good", 0.05, lambda store: ran.append(store.url)),
            Task("bad", 0.05, bad),
            Task("worse", 0.05, worse),
            Task("named", 0.05, "arcid.gallery.gallery:Gallery.settle"),
        ],
        lambda task, problem: told.append((task, problem)),
    )
    keeper.start()
    until(lambda: ran.count(gallery.url) > 2 and ran.count("bad") > 2)
    until(lambda: state(keeper, "worse").problem)
    until(lambda: state(keeper, "named").last)
    until(lambda: ran.count("mended") > 4)
    keeper.close()
    assert [one for one in told if one[0] == "mended"] == [
        ("mended", "the disk is full"), ("mended", None),
    ]  # fmt: skip
    assert [task for task, _ in told if task != "mended"] == ["worse"], "and once alone"
    assert state(keeper, "good").problem is None
    assert state(keeper, "bad").problem == "the gallery is busy"
    assert "ValueError" in str(state(keeper, "worse").problem)
    assert state(keeper, "named").problem is None


def test_every_task_of_an_application_runs(gallery: Gallery) -> None:
    keeper = Housekeeping(gallery, [replace(task, every_s=0.1) for task in TASKS])
    keeper.start()
    until(lambda: all(found.last for found in keeper.states))
    keeper.close()
    assert {found.task.name: found.problem for found in keeper.states} == {
        task.name: None for task in TASKS
    }


def test_a_shared_task_is_done_by_one_service_until_it_ends(
    gallery: Gallery, tmp_path: Path
) -> None:
    ran: list[str] = []
    with Gallery.open(tmp_path / "gallery.db") as other:
        first = Housekeeping(gallery, [Task("night", 0.05, lambda store: ran.append("first"))])
        first.start()
        until(lambda: ran)
        second = Housekeeping(other, [Task("night", 0.05, lambda store: ran.append("second"))])
        second.start()
        until(lambda: state(second, "night").elsewhere)
        assert "second" not in ran
        first.close()
        second.close()
        third = Housekeeping(other, [Task("night", 0.05, lambda store: ran.append("third"))])
        third.start()
        until(lambda: "third" in ran)
        third.close()


def test_tasks_are_named_in_the_audit(gallery: Gallery) -> None:
    vector = Embeddings.normalised(np.ones((1, 8)), "c" * 64)
    person, _ = gallery.enrol("staff", "Ann", [NewFace(vector, photo_id="a")])
    sweep = Task("sweep", 0.05, lambda store: store.delete_person("staff", person.id))
    keeper = Housekeeping(gallery, [sweep])
    keeper.start()
    until(lambda: Audit(gallery).find(verb="person.delete"))
    keeper.close()
    assert Audit(gallery).find()[0].actor == "task:sweep"


# looks


def test_the_same_look_counts_once_and_another_account_or_time_again(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, audit = Looks(), Audit(gallery)
    for account in ("account:1", "account:2", "account:1"):
        with acting(account):
            looks.note("face.view", "face:a", "staff")
            looks.write(gallery)
    looks.note("face.view", "face:a", "gone meanwhile")
    looks.write(gallery)
    found = audit.find()
    assert [entry.actor for entry in reversed(found)] == ["account:1", "account:2", "library"]
    assert found[0].collection_id is None
    assert found[1].collection_id == gallery.collection("staff").id
    monkeypatch.setattr(looks_module, "AGAIN_S", 0.0)
    with acting("account:1"):
        looks.note("face.view", "face:a", "staff")
    looks.write(gallery)
    assert len(audit.find()) == 4 and audit.verify().problem is None


def test_looks_wait_for_a_gallery_that_takes_no_writes_and_then_nobody_looks_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks_module, "MOST", 2)
    looks = Looks()
    Gallery.open(tmp_path / "gallery.db").close()
    with Gallery.open(tmp_path / "gallery.db", busy_s=0.1) as gallery:
        gallery.create_collection("staff")
        looks.note("face.view", "face:a", "staff")
        with gallery.database.write(), pytest.raises(GalleryBusy):
            looks.write(gallery)
        looks.note("face.view", "face:b", "staff")
        with pytest.raises(Overloaded, match="audit"):
            looks.note("face.view", "face:c", "staff")
        looks.write(gallery)
        assert [e.subject for e in Audit(gallery).find()] == ["face:b", "face:a"]


def test_a_look_that_no_row_can_say_is_refused_and_keeps_back_no_other(gallery: Gallery) -> None:
    looks = Looks()
    for subject in ("face:" + 300 * "a", "face:\0"):
        with pytest.raises(InputError):
            looks.note("face.view", subject, "staff")
    looks.note("face.view", "face:a", " ")
    looks.note("face.view", "face:b", "staff")
    looks.write(gallery)
    staff = gallery.collection("staff").id
    said = [(row.subject, row.collection_id) for row in Audit(gallery).find()]
    assert said == [("face:b", staff), ("face:a", None)]


def test_answers_are_noted_with_the_event(gallery: Gallery) -> None:
    person = gallery.add_person("staff", "Ann")
    events = Events(gallery)
    made = events.add("staff", "arrival", person.id, datetime.now(UTC), actor="Mia")
    correction, _ = events.correct("staff", made.id, "void", actor="Mia")
    events.correct("staff", correction.id, "void", actor="Mia", note="it was her")
    found = Audit(gallery).find(collection="staff")
    assert [(entry.verb, entry.subject) for entry in reversed(found)] == [
        ("event.enter", f"event:{made.id}"),
        ("event.void", f"event:{made.id}"),
        ("event.void", f"event:{correction.id}"),
    ]
    assert "Mia" not in str([entry.to_dict() for entry in found])

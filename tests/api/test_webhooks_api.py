"""Webhooks over REST: the service follows what is added and changed, without a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.serving import Client, until

from arcid.apps.telling import check_signature, deliverer
from arcid.protection import VERBS, Keys

FOLLOWED_S = 2.2  # services follow within a second or two


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


class Receiver:
    """What came, by path; answers ``status``."""

    def __init__(self) -> None:
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 204
        self.url = ""

    def bodies(self, path: str) -> list[Any]:
        return [json.loads(body) for where, _, body in self.came if where == path]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.came.append((self.path, dict(self.headers), body))
            self.send_response(found.status)
            self.send_header("Location", "http://[no-address/")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def staff(toys: Client, receiver: Receiver, request: pytest.FixtureRequest) -> Iterator[str]:
    name = request.node.name[:60]
    toys.gallery.create_collection(name)
    receiver.status = 204
    yield f"/v1/collections/{name}"
    for hook in toys.get("/v1/webhooks").json()["webhooks"]:
        toys.delete(f"/v1/webhooks/{hook['id']}")


def arrive(client: httpx.Client, staff: str, name: str) -> str:
    person = client.post(f"{staff}/people", json={"name": name}).json()["id"]
    entry = {"kind": "arrival", "person_id": person, "at": "2026-03-02T08:00:00Z", "actor": "op"}
    made = client.post(f"{staff}/attendance/events", json=entry)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_events_are_posted_signed_and_followed_through_changes(
    toys: Client, staff: str, receiver: Receiver
) -> None:
    made = toys.post("/v1/webhooks", json={"name": "hr", "url": f"{receiver.url}/one?key=hidden"})
    assert made.status_code == 201, made.text
    secret, hook = made.json()["secret"], made.json()["webhook"]
    assert hook["address"] == f"{receiver.url}/one" and hook["kinds"] is None
    for listed in (toys.get("/v1/webhooks"), toys.get("/v1/webhooks/hr")):
        assert secret not in listed.text and "hidden" not in listed.text
    event = arrive(toys, staff, "Ann")
    until(lambda: receiver.bodies("/one?key=hidden"))
    (_, headers, body) = receiver.came[-1]
    assert json.loads(body)["id"] == event == headers["X-Arcid-Delivery"]
    assert headers["X-Arcid-Event"] == "arrival"
    assert check_signature(secret, body, headers["X-Arcid-Signature"], datetime.now(UTC))
    until(lambda: toys.get("/v1/webhooks/hr").json()["done"] == 1)

    kinds = {"kinds": ["departure"], "url": f"{receiver.url}/two"}
    assert toys.patch("/v1/webhooks/hr", json=kinds).json()["kinds"] == ["departure"]
    arrive(toys, staff, "Ben")
    assert toys.patch("/v1/webhooks/hr", json={"kinds": "all"}).json()["kinds"] is None
    time.sleep(FOLLOWED_S)  # else it may go where it was
    last = arrive(toys, staff, "Cleo")
    until(lambda: receiver.bodies("/two"))
    assert [one["id"] for one in receiver.bodies("/two")] == [last], "Ben's was not its kind"

    renewed = toys.post("/v1/webhooks/hr/rotate", json={}).json()["secret"]
    time.sleep(FOLLOWED_S)
    arrive(toys, staff, "Dora")
    until(lambda: len(receiver.bodies("/two")) == 2)
    (_, headers, body) = receiver.came[-1]
    assert check_signature(renewed, body, headers["X-Arcid-Signature"], datetime.now(UTC))
    assert not check_signature(secret, body, headers["X-Arcid-Signature"], datetime.now(UTC))
    assert toys.delete("/v1/webhooks/hr").status_code == 204
    assert problem(toys.get("/v1/webhooks/hr")) == (404, "webhook_not_found")


def test_what_fails_is_tried_again_and_told(
    toys: Client, staff: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "FIRST_PAUSE", deliverer.FIRST_PAUSE / 20)
    receiver.status = 500
    toys.post("/v1/webhooks", json={"name": "hr", "url": f"{receiver.url}/down"})
    event = arrive(toys, staff, "Ann")

    def newest() -> Any:
        return toys.get("/v1/webhooks/hr/deliveries").json()["deliveries"][0]

    until(lambda: newest()["attempts"] >= 2)
    assert newest()["state"] == "waiting" and newest()["event_id"] == event
    assert newest()["problem"] == "the receiver answers 500" and newest()["next_at"]
    receiver.status = 200
    until(lambda: newest()["state"] == "done")
    assert newest()["problem"] is None and newest()["ended_at"]


def test_a_test_says_what_the_receiver_answers(
    toys: Client, staff: str, receiver: Receiver
) -> None:
    body = {"name": "hr", "url": f"{receiver.url}/try", "enabled": False,
            "secret": "of-the-receiver-itself"}  # fmt: skip
    assert toys.post("/v1/webhooks", json=body).json()["secret"] == body["secret"]
    told = toys.post("/v1/webhooks/hr/test").json()
    assert (told["delivered"], told["status"], told["problem"]) == (True, 204, None)
    (_, headers, sent) = receiver.came[-1]
    assert json.loads(sent)["kind"] == headers["X-Arcid-Event"] == "test"
    signed = headers["X-Arcid-Signature"]
    assert check_signature("of-the-receiver-itself", sent, signed, datetime.now(UTC))
    receiver.status = 403
    told = toys.post("/v1/webhooks/hr/test").json()
    assert (told["delivered"], told["status"]) == (False, 403)
    assert told["problem"] == "the receiver answers 403"
    receiver.status = 302
    told = toys.post("/v1/webhooks/hr/test").json()
    assert told["problem"] == "the receiver answers 302", "and nobody looks where it points"
    toys.patch("/v1/webhooks/hr", json={"url": "http://127.0.0.1:9/"})
    told = toys.post("/v1/webhooks/hr/test").json()
    assert told["status"] is None and told["problem"].startswith("no answer")
    assert toys.get("/v1/webhooks/hr/deliveries").json() == {"deliveries": []}


def test_what_is_refused(toys: Client, staff: str) -> None:
    for bad, expected in (
        ({"url": "ftp://a.example"}, (422, "usage_error")),
        ({"url": "http://169.254.169.254/x"}, (422, "address_refused")),
        ({"url": "https://a.example/ä"}, (422, "usage_error")),
        ({"url": "https://a.example:70000/"}, (422, "usage_error")),
        ({"url": "https://[a"}, (422, "usage_error")),
        ({"url": "https://a.example", "kinds": ["nothing"]}, (422, "usage_error")),
        ({"url": "https://a.example", "kinds": []}, (422, "validation_error")),
        ({"url": "https://a.example", "secret": "short"}, (422, "validation_error")),
        ({"url": "https://a.example", "colour": 1}, (422, "validation_error")),
        ({}, (422, "validation_error")),
    ):
        assert problem(toys.post("/v1/webhooks", json={"name": "hr", **bad})) == expected, bad
    assert toys.get("/v1/webhooks").json() == {"webhooks": []}
    good = {"name": "hr", "url": "https://a.example", "enabled": False}
    assert toys.post("/v1/webhooks", json=good).status_code == 201
    assert problem(toys.post("/v1/webhooks", json=good)) == (409, "already_exists")
    for method, path in (("PATCH", ""), ("POST", "/rotate"), ("POST", "/test"), ("DELETE", "")):
        answer = toys.request(method, f"/v1/webhooks/nobody{path}", json={})
        assert problem(answer) == (404, "webhook_not_found")


def test_it_is_for_admins_of_all_collections(toys: Client, staff: str) -> None:
    keys = Keys(toys.gallery)
    try:
        for name, verbs, more in (
            ("no admin", set(VERBS) - {"admin"}, {}),
            ("some", VERBS, {"collections": [staff.rpartition("/")[2]]}),
        ):
            _, secret = keys.add(name, verbs, **more)
            toys.services.keys.refresh()
            answer = toys.get("/v1/webhooks", headers={"X-API-Key": secret})
            assert problem(answer) == (403, "scope_missing")
    finally:
        for key in keys.all():
            keys.delete(key.id)
        toys.services.keys.refresh()

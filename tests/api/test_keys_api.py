"""Stored API keys: what each may do and no more, how they end, and who the audit says it was."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from tests.serving import Client, StartService

from arcid.apps.watchlists import flows
from arcid.errors import ConfigError
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.gallery.store.journal import now_us
from arcid.protection import VERBS, Keys
from arcid.server import keyring
from arcid.server.app import create_app
from arcid.server.scopes import NEEDS, OPEN, need_of
from arcid.server.settings import Settings

BOOT = "correct-horse-battery"
SNAPSHOT = Path(__file__).parent / "openapi.json"
OPERATIONS = [
    (method.upper(), path, operation["operationId"])
    for path, item in json.loads(SNAPSHOT.read_text("utf-8"))["paths"].items()
    for method, operation in item.items()
]
REACHED = [one for one in OPERATIONS if need_of(one[2]) is not None]
ID = "0" * 32


def shown(secret: str) -> dict[str, str]:
    return {"X-API-Key": secret}


def filled(path: str, collection: str = "ours") -> str:
    path = path.replace("{collection}", collection)
    path = path.replace("{day}", "2026-03-01").replace("{month}", "2026-03")
    return re.sub(r"\{[a-z_]+\}", ID, path)


def filled_with(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{([a-z_]+)\}", lambda found: values[found[1]], path)


@pytest.fixture(scope="module")
def service(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    from tests.serving import running

    database = tmp_path_factory.mktemp("keys") / "gallery.db"
    settings = Settings.load(database=str(database), api_keys=BOOT)
    with running(settings, pipeline, None) as client:
        for name in ("ours", "theirs"):
            client.gallery.create_collection(name)
        yield client


def make(client: Client, name: str, verbs: Any, **more: Any) -> str:
    _, secret = Keys(client.gallery).add(name, verbs, **more)
    client.services.keys.refresh()
    return secret


def ask(client: httpx.Client, secret: str, method: str, path: str, **more: Any) -> httpx.Response:
    return client.request(method, path, headers=shown(secret), **more)


@contextmanager
def unchanged(client: Client) -> Iterator[None]:
    before = client.gallery.last_change(), len(Audit(client.gallery).find(limit=None))
    yield
    assert (client.gallery.last_change(), len(Audit(client.gallery).find(limit=None))) == before


def test_every_route_states_what_it_needs_and_no_other_is_named() -> None:
    known = {operation for *_, operation in OPERATIONS}
    assert known - set(NEEDS) <= OPEN
    assert set(NEEDS) - known == set()
    assert {need.verb for need in NEEDS.values()} == set(VERBS)
    for _, path, operation in REACHED:
        if NEEDS[operation].reach == "collection":
            assert "{collection}" in path, operation


@pytest.mark.data
@pytest.mark.parametrize("verb", VERBS)
def test_a_key_without_the_verb_is_refused_everywhere(service: Client, verb: str) -> None:
    secret = make(service, f"all but {verb}", set(VERBS) - {verb})
    asked = 0
    with unchanged(service):
        for method, path, operation in REACHED:
            need = NEEDS[operation]
            if need.verb != verb:
                continue
            answer = ask(service, secret, method, filled(path))
            assert answer.status_code == 403, (operation, answer.text)
            error = answer.json()["error"]
            assert error["code"] == "scope_missing" and error["details"]["verb"] == verb
            asked += 1
    assert asked


@pytest.mark.data
def test_a_key_of_one_collection_reaches_no_other(service: Client) -> None:
    secret = make(service, "ours only", VERBS, collections=["ours"])
    with unchanged(service):
        for method, path, operation in REACHED:
            need = NEEDS[operation]
            if need.reach in ("none", "each"):
                continue
            for collection in ("theirs", "nowhere", "%00", "x" * 300):
                answer = ask(service, secret, method, filled(path, collection))
                assert answer.status_code == 403, (operation, answer.text)
                assert answer.json()["error"]["code"] == "scope_missing"
                if need.reach in ("all", "owner"):
                    break
    for path in ("/v1/collections/ours", "/v1/models", "/v1/collections/ours/people"):
        assert ask(service, secret, "GET", path).status_code == 200
    # The scope follows the collection, not its name.
    renamed = service.gallery.update_collection("theirs", new_name="others")
    service.gallery.update_collection("ours", new_name="theirs")
    try:
        assert ask(service, secret, "GET", "/v1/collections/theirs").status_code == 200
        service.gallery.update_collection("others", new_name="ours")
        assert ask(service, secret, "GET", "/v1/collections/ours").status_code == 403
    finally:
        service.gallery.update_collection("ours", new_name="x")
        service.gallery.update_collection("theirs", new_name="ours")
        service.gallery.update_collection("x", new_name=renamed.name.replace("others", "theirs"))


@pytest.mark.data
def test_what_belongs_to_a_collection_is_shown_to_its_keys_alone(service: Client) -> None:
    terms = {"purpose": "banned", "legal_basis": "house right", "owner": "Ada",
             "expires_at": (datetime.now(UTC) + timedelta(days=9)).isoformat()}  # fmt: skip
    made: dict[str, dict[str, Any]] = {}
    for own in ("ours", "theirs"):
        at = {"collection": own, "name": f"of {own}"}
        made[own] = {
            "cameras": ask(service, BOOT, "POST", "/v1/cameras",
                           json=at | {"source": "rtsp://192.0.2.1/x", "enabled": False}),
            "doors": ask(service, BOOT, "POST", "/v1/doors", json=at),
            "watchlists": ask(service, BOOT, "POST", "/v1/watchlists", json=at | terms),
        }  # fmt: skip
        for kind, answer in made[own].items():
            assert answer.status_code == 201, (kind, answer.text)
            made[own][kind] = answer.json()["id"]
    secret = make(service, "of ours", VERBS, collections=["ours"])
    for kind in ("cameras", "doors", "watchlists", "collections"):
        told = ask(service, secret, "GET", f"/v1/{kind}").json()[kind]
        assert {one.get("collection", one["name"]) for one in told} == {"ours"}, kind
        page = ask(service, secret, "GET", f"/v1/{kind}", params={"limit": 1}).json()
        assert page.get("next") is None, f"a cursor to {kind} of others tells their names"
        assert len(ask(service, BOOT, "GET", f"/v1/{kind}").json()[kind]) > len(told)
    for kind in ("cameras", "doors", "watchlists"):
        for own, status in (("ours", 200), ("theirs", 403)):
            answer = ask(service, secret, "GET", f"/v1/{kind}/{made[own][kind]}")
            assert answer.status_code == status, (kind, own, answer.text)
    lock = {"reason": "a drill"}
    for own, status in (("ours", 204), ("theirs", 403)):
        where = f"/v1/doors/{made[own]['doors']}/lockdown"
        assert ask(service, secret, "POST", where, json=lock).status_code == status
    for named, status in ((None, 200), ("of ours", 200), ("of theirs", 403), ("nowhere", 403)):
        answer = ask(service, secret, "GET", "/v1/alerts", params=named and {"watchlist": named})
        assert answer.status_code == status, (named, answer.text)
    for ids in made.values():
        for kind, uid in ids.items():
            assert ask(service, BOOT, "DELETE", f"/v1/{kind}/{uid}").status_code in (202, 204)


@pytest.mark.data
def test_facts_of_the_service_tell_a_limited_key_of_its_collections_alone(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(service, "asks for models", ["read"], collections=["ours"])
    sizes = {"ours": 1 << 40, "theirs": 1 << 40}
    monkeypatch.setattr(service.gallery, "sizes", lambda contract_id: sizes)
    told: dict[str, set[str]] = {}
    for key in (BOOT, secret):
        models = ask(service, key, "GET", "/v1/models").json()["models"]
        told[key] = {one["gallery"] for one in models[-1]["calibration"]["unanswered"]} - {None}
    assert told == {BOOT: {"ours", "theirs"}, secret: {"ours"}}


@pytest.mark.data
def test_a_limited_key_is_not_told_what_cameras_of_others_see(service: Client) -> None:
    terms: dict[str, Any] = {
        "purpose": "banned", "legal_basis": "house right", "owner": "Ada",
        "expires_at": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
    }  # fmt: skip
    cameras: list[dict[str, Any]] = [
        {"collection": own, "name": f"seen of {own}", "source": "0", "enabled": False}
        for own in ("ours", "theirs")
    ]
    made = {"watchlists": [terms | {"collection": "ours", "name": "w"}], "cameras": cameras}
    paths = []
    for kind, bodies in made.items():
        for body in bodies:
            answer = ask(service, BOOT, "POST", f"/v1/{kind}", json=body)
            assert answer.status_code == 201, answer.text
            paths.append(f"/v1/{kind}/{answer.json()['id']}")
    with service.gallery.database.write() as connection:
        for own in ("ours", "theirs"):
            flows.write(connection, f"seen of {own}", {1: (3600.0, 7)})
    secret = make(service, "counts", ["read"], collections=["ours"])
    seen = {
        (key, own): ask(service, key, "GET", "/v1/watchlists/w/budget",
                        params={"camera": f"seen of {own}"}).json()["flow"]["faces"]
        for key in (BOOT, secret) for own in ("ours", "theirs", "nobody")
    }  # fmt: skip
    assert [seen[BOOT, own] for own in ("ours", "theirs", "nobody")] == [7, 7, 0]
    assert [seen[secret, own] for own in ("ours", "theirs", "nobody")] == [7, 0, 0]
    for path in paths:
        assert ask(service, BOOT, "DELETE", path).status_code in (202, 204)


@pytest.mark.data
def test_ids_of_another_collection_are_not_there(service: Client, face: Any) -> None:
    secret = make(service, "curious", VERBS, collections=["ours"])
    photo = {"image": face(1)}
    enrolled = ask(service, BOOT, "POST", "/v1/collections/theirs/enrol", files=photo,
                   data={"name": "Ann"}).json()  # fmt: skip
    person, face_id = enrolled["person"]["id"], enrolled["results"][0]["face_id"]
    event = ask(
        service, BOOT, "POST", "/v1/collections/theirs/attendance/events",
        json={"kind": "arrival", "person_id": person, "at": "2026-03-01T08:00:00Z", "actor": "x"},
    ).json()  # fmt: skip
    session = ask(service, BOOT, "POST", "/v1/collections/theirs/onboarding", json={}).json()
    ids = {"person_id": person, "face_id": face_id, "event_id": event["id"],
           "session_id": session["session"]["id"], "review_id": event["id"]}  # fmt: skip
    bodies = {
        "change_person": {"name": "Eve"}, "merge_people": {"other_id": person},
        "split_person": {"face_ids": [face_id], "name": "Eve"},
        "move_face": {"person_id": person},
        "record_consent": {"text": "2026-03"}, "withdraw_consent": {},
        "correct_event": {"action": "void", "actor": "x"}, "not_this_person": {"actor": "x"},
        "answer_review": {"answer": "no", "actor": "x"}, "undo_review": {"actor": "x"},
        "answer_onboarding": {"outcome": "rejected", "actor": "x"},
        "undo_onboarding": {"actor": "x"}, "search_person": {"person_id": person},
        "add_embeddings": {"vectors": [[1, 2]], "contract_id": service.services.contract_id},
        "verify_embedding": {"vector": [1] * service.services.pipeline.embedder.dim,
                             "contract_id": service.services.contract_id},
    }  # fmt: skip
    before = service.gallery.last_change()
    asked = set()
    for method, path, operation in REACHED:
        names = set(re.findall(r"\{([a-z_]+)\}", path)) - {"collection"}
        if NEEDS[operation].reach != "collection" or not (
            names <= set(ids) | {"role"} and (names or operation == "search_person")
        ):
            continue
        where = filled_with(path, ids | {"collection": "ours", "role": "selfie"})
        more: dict[str, Any] = {}
        if operation in ("verify_person", "authenticate_person", "add_faces"):
            more["files"] = photo
        elif method in ("POST", "PATCH"):
            more["json"] = bodies.get(operation)
        answer = ask(service, secret, method, where, **more)
        assert answer.status_code in (404, 422), (operation, answer.status_code, answer.text)
        if answer.status_code == 422:  # about the body: it has to be another problem than that
            assert answer.json()["error"]["code"] != "validation_error", (operation, answer.text)
        asked.add(operation)
    assert {"get_person", "get_crop", "explain_event", "get_onboarding", "move_face"} <= asked
    assert service.gallery.last_change() == before


@pytest.mark.data
def test_vectors_leave_only_with_their_verb(service: Client, face: Any) -> None:
    photo = {"image": face(1)}
    without = make(service, "no vectors", set(VERBS) - {"vectors"})
    assert ask(service, without, "POST", "/v1/embeddings", files=photo).status_code == 403
    enrolled = ask(service, without, "POST", "/v1/collections/ours/enrol", files=photo,
                   data={"name": "Ben"})  # fmt: skip
    assert enrolled.status_code in (201, 409), enrolled.text
    for path in ("/v1/detect", "/v1/collections/ours/search"):
        answer = ask(service, without, "POST", path, files=photo)
        assert answer.status_code == 200 and "vector" not in answer.text
    having = make(service, "vectors", {"vectors"})
    told = ask(service, having, "POST", "/v1/embeddings", files=photo)
    assert len(told.json()["faces"][0]["vector"]) == told.json()["dim"]


@pytest.mark.data
def test_nobody_hands_out_what_they_do_not_have(service: Client) -> None:
    admin = make(service, "admin only", {"admin", "read"})
    body = {"name": "more", "verbs": ["read", "vectors"]}
    refused = ask(service, admin, "POST", "/v1/keys", json=body)
    assert refused.status_code == 403
    assert refused.json()["error"]["details"]["verb"] == "vectors"
    made = ask(service, admin, "POST", "/v1/keys", json={"name": "less", "verbs": ["read"]})
    assert made.status_code == 201, made.text
    key, secret = made.json()["key"], made.json()["secret"]
    assert secret.startswith(key["prefix"]) and key["created_by"].startswith("key:")
    assert ask(service, secret, "GET", "/v1/collections").status_code == 200
    make(service, "stronger", VERBS)
    assert ask(service, admin, "POST", "/v1/keys/stronger/rotate", json={}).status_code == 403
    listed = ask(service, admin, "GET", "/v1/keys")
    assert secret not in listed.text and "less" in [k["name"] for k in listed.json()["keys"]]
    again = ask(service, admin, "POST", "/v1/keys", json={"name": "LESS", "verbs": ["read"]})
    assert again.status_code == 409
    wrongs: list[dict[str, Any]] = [
        {"verbs": []}, {"verbs": ["fly"]}, {"days": 0}, {"collections": []},
    ]  # fmt: skip
    for wrong in wrongs:
        bad = {"name": "wrong", "verbs": ["read"]} | wrong
        assert ask(service, admin, "POST", "/v1/keys", json=bad).status_code == 422, wrong
    bad = {"name": "wrong", "verbs": ["read"], "collections": ["nowhere"]}
    assert ask(service, admin, "POST", "/v1/keys", json=bad).status_code == 404
    assert ask(service, admin, "DELETE", "/v1/keys/less").status_code == 204
    ended = ask(service, secret, "GET", "/v1/collections")
    assert ended.status_code == 401 and ended.json()["error"]["code"] == "api_key_ended"
    assert ask(service, BOOT, "POST", "/v1/keys/less/rotate", json={}).status_code == 422


@pytest.mark.data
def test_rotation_overlaps_and_keys_expire(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(service.gallery)

    def good(secret: str) -> bool:
        service.services.keys.refresh()
        return ask(service, secret, "GET", "/v1/collections").status_code == 200

    key, first = keys.add("rotated", ["read"], lasts=timedelta(hours=1))
    _, second = keys.rotate(key.id, overlap=timedelta(minutes=1))
    assert good(first) and good(second)
    _, third = keys.rotate(key.id, overlap=timedelta(0))
    assert not good(first) and not good(second) and good(third)
    now = now_us()
    _, fourth = keys.rotate(key.id, overlap=timedelta(minutes=1))
    monkeypatch.setattr("arcid.server.keyring.now_us", lambda: now + 90 * 1_000_000)
    assert not good(third) and good(fourth)
    monkeypatch.setattr("arcid.server.keyring.now_us", lambda: now + 3700 * 1_000_000)
    assert not good(fourth)
    monkeypatch.undo()
    keys.revoke(key.id)
    for _ in range(15):  # one that ended is no guess: others of the address are not held back
        assert not good(fourth)
    assert good(make(service, "another one", ["read"]))


@pytest.mark.data
def test_a_key_asks_as_often_as_it_may(service: Client) -> None:
    slow, other = make(service, "slow", ["read"], per_minute=3), make(service, "quick", ["read"])
    answers = [ask(service, slow, "GET", "/v1/collections") for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 20
    assert ask(service, other, "GET", "/v1/collections").status_code == 200


@pytest.mark.data
def test_the_audit_names_the_key_and_from_where(service: Client) -> None:
    secret = make(service, "deleter", ["enrol", "delete"])
    made = ask(service, secret, "POST", "/v1/collections/ours/people", json={"name": "Gone"})
    person = made.json()["id"]
    ask(service, secret, "DELETE", f"/v1/collections/ours/people/{person}")
    (entry,) = Audit(service.gallery).find(subject=f"person:{person}", verb="person.delete")
    key = Keys(service.gallery).get("deleter")
    assert (entry.actor, entry.address) == (f"key:{key.id}", "127.0.0.1")
    assert Audit(service.gallery).verify().problem is None
    service.services.keys.write(service.gallery)
    assert Keys(service.gallery).get("deleter").used_at is not None


@pytest.mark.data
def test_what_another_process_revokes_is_refused_within_a_second(
    start: StartService, tmp_path: Path
) -> None:
    with start(api_keys=BOOT) as client, Gallery.open(tmp_path / "gallery.db") as other:
        key, secret = Keys(other).add("afar", ["read"])
        deadline = time.monotonic() + 1.0
        while ask(client, secret, "GET", "/v1/models").status_code == 401:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        Keys(other).revoke(key.id)
        deadline = time.monotonic() + 1.0
        while ask(client, secret, "GET", "/v1/models").status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.data
def test_the_first_key_ends_the_time_without_keys(start: StartService) -> None:
    with start() as client:
        assert client.get("/v1/collections").status_code == 200
        made = client.post("/v1/keys", json={"name": "first", "verbs": ["read", "admin"]})
        secret = made.json()["secret"]
        assert client.get("/v1/collections").status_code == 401
        assert ask(client, secret, "GET", "/v1/collections").status_code == 200
        assert ask(client, secret, "DELETE", "/v1/keys/first").status_code == 204
        assert client.get("/v1/collections").status_code == 401, "it is not open to all again"
        Keys(client.gallery).delete("first")
        client.services.keys.refresh()
        assert client.get("/v1/collections").status_code == 200


def test_a_stored_key_lets_the_service_be_reached(tmp_path: Path) -> None:
    settings = Settings.load(host="0.0.0.0", database=str(tmp_path / "gallery.db"))
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        with pytest.raises(ConfigError, match="arcid keys add"):
            create_app(settings, gallery=gallery)
        key, _ = Keys(gallery).add("one", ["read"])
        create_app(settings, gallery=gallery)
        Keys(gallery).revoke(key.id)
        with pytest.raises(ConfigError, match="arcid keys add"):
            create_app(settings, gallery=gallery)


@pytest.mark.data
def test_a_gallery_that_does_not_answer_lets_no_stored_key_in(
    service: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(service, "unsure", ["read"])
    monkeypatch.setattr(keyring, "PATIENCE_S", -1.0)
    answer = ask(service, secret, "GET", "/v1/models")
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "gallery_busy"
    assert ask(service, BOOT, "GET", "/v1/models").status_code == 200


schema = schemathesis.openapi.from_path(SNAPSHOT)


@pytest.fixture(scope="module")
def scoped(service: Client) -> str:
    service.services.looks.write(service.gallery)  # what tests before this one looked for
    return make(service, "fuzzed", {"read"}, collections=["ours"])


@pytest.mark.data
@schema.parametrize()
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_never_do_what_the_scope_lacks(
    case: schemathesis.Case, service: Client, scoped: str
) -> None:
    operation = case.operation.definition.raw["operationId"]
    need = need_of(operation)
    if "collection" in (case.path_parameters or {}):
        case.path_parameters = {**(case.path_parameters or {}), "collection": "theirs"}
    with unchanged(service):
        both = {"Authorization": f"Bearer {scoped}", "X-API-Key": scoped}  # or it makes keys up
        answer = case.call(base_url=str(service.base_url).rstrip("/"), headers=both)
    assert answer.status_code < 500
    if need is None or need[:2] == ("read", "none"):
        return
    if need[:2] == ("read", "each"):
        assert answer.status_code == 422 or "theirs" not in answer.text, operation
        return
    assert answer.status_code in (403, 404, 405), (operation, answer.status_code)
    if answer.status_code != 403:  # no such address: a generated id with a slash
        assert answer.json()["error"]["code"] in ("route_not_found", "method_not_allowed")

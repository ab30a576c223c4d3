"""Policies and consents over REST: demanded, recorded, withdrawn; pictures for whom they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from tests.serving import Client, StartService

from arcid.protection import Policies, Retention
from arcid.protection.receipts import verify

Face = Callable[[int], bytes]


def enrol(client: Client, collection: str, photo: bytes, **fields: str) -> httpx.Response:
    files = [("image", ("a.jpg", photo, "image/jpeg"))]
    return client.post(f"{collection}/enrol", data={"name": "Ann", **fields}, files=files)


def test_a_policy_is_read_and_changed_part_by_part(client: Client, collection: str) -> None:
    found = client.get(f"{collection}/policy").json()
    assert (found["strangers_hours"], found["consent"], found["crops_for"]) == (24, False, None)
    body = {"purpose": "Doors", "unseen_days": 365, "crops_for": ["admin"]}
    changed = client.patch(f"{collection}/policy", json=body).json()
    assert (changed["purpose"], changed["unseen_days"]) == ("Doors", 365)
    again = client.patch(f"{collection}/policy", json={"unseen_days": None}).json()
    assert (again["purpose"], again["unseen_days"]) == ("Doors", None)
    for wrong in ({"strangers_hours": 721}, {"crops_for": ["boss"]}, {"unknown": 1}):
        assert client.patch(f"{collection}/policy", json=wrong).status_code == 422
    assert client.get("/v1/collections/none/policy").status_code == 404


def test_consent_is_demanded_recorded_and_withdrawn(
    client: Client, collection: str, face: Face
) -> None:
    client.patch(f"{collection}/policy", json={"consent": True, "purpose": "Doors"})
    refused = enrol(client, collection, face(1))
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "consent_missing"
    fields = {"consent": "2026-03", "consent_evidence": "form 1", "consent_by": "a parent"}
    person = enrol(client, collection, face(1), **fields).json()["person"]["id"]
    mine = f"{collection}/people/{person}"
    (kept,) = client.get(f"{mine}/consents").json()["consents"]
    assert (kept["text"], kept["by"], kept["what"]) == ("2026-03", "a parent", "Doors")
    assert kept["recorded_by"] == "local" and kept["withdrawn_at"] is None
    made = client.post(f"{mine}/consents", json={"text": "2026-04"})
    assert made.status_code == 201
    assert client.get(f"{collection}/policy").json()["agreed"] == 1

    client.patch(f"{collection}/policy", json={"on_withdrawal": "review"})
    led = client.post(f"{mine}/consents/withdraw", json={"reason": "asked"}).json()
    assert (led["outcome"], led["ended"]) == ("review", 2)
    assert client.get(f"{collection}/policy").json()["withdrawn"] == [person]
    files = [("image", ("a.jpg", face(2), "image/jpeg"))]
    assert client.post(f"{mine}/faces", files=files).status_code == 409
    client.patch(f"{collection}/policy", json={"on_withdrawal": "erase"})
    assert client.post(f"{mine}/consents/withdraw", json={}).json()["outcome"] == "erased"
    assert client.get(mine).status_code == 404


def test_pictures_are_for_whom_the_policy_says(client: Client, collection: str, face: Face) -> None:
    client.patch(collection, json={"keep_crops": True})
    (stored,) = enrol(client, collection, face(1)).json()["faces"]
    url = f"{collection}/faces/{stored['id']}/crop"
    assert client.get(url).status_code == 200
    client.patch(f"{collection}/policy", json={"crops_for": ["operator"]})
    hidden: Any = client.get(url)
    assert hidden.status_code == 403 and hidden.json()["error"]["code"] == "crops_hidden"
    client.patch(f"{collection}/policy", json={"crops_for": ["operator", "key"]})
    assert client.get(url).status_code == 200


def test_the_public_reads_what_is_published_and_nothing_else(start: StartService) -> None:
    with start(api_keys="correct-horse-battery") as client:
        client.gallery.create_collection("staff")
        client.gallery.create_collection("hidden")
        policies = Policies(client.gallery)
        policies.change("hidden", purpose="A secret purpose")
        assert client.get("/privacy").status_code == 404
        policies.change(
            "staff", published=True, purpose="<script>alert(1)</script>", unseen_days=365.0
        )
        shown = client.get("/privacy")
        assert shown.status_code == 200 and "365 days after they were seen" in shown.text
        assert "&lt;script&gt;" in shown.text and "<script" not in shown.text
        assert "erased after 24 hours" in shown.text and "secret" not in shown.text
        assert client.get("/v1/collections").status_code == 401


def test_what_is_due_and_what_was_erased_is_told(client: Client, collection: str) -> None:
    name = collection.rpartition("/")[2]
    found = client.get("/v1/retention").json()
    assert found["due"][name] == {"people": 0, "strangers": 0, "event_faces": 0, "refused": 0}
    run = Retention(client.gallery).carry_out()
    assert client.get("/v1/retention").json()["runs"][0]["by"] == run.by
    tasks = {task["name"] for task in client.get("/v1/system").json()["tasks"]}
    assert "retention" in tasks


def test_receipts_disclosures_and_a_persons_own_data(
    client: Client, collection: str, face: Face
) -> None:
    person = enrol(client, collection, face(1)).json()["person"]["id"]
    own = client.post(f"{collection}/people/{person}/export")
    assert own.status_code == 200 and own.content[:2] == b"PK"
    told = client.get("/v1/disclosures", params={"person_id": person}).json()["disclosures"]
    assert [one["kind"] for one in told] == ["subject"]
    receipt = client.delete(f"{collection}/people/{person}").headers["Arcid-Receipt"]
    found = client.get("/v1/receipts", params={"subject": f"person:{person}"}).json()["receipts"]
    assert [one["id"] for one in found] == [receipt] and found[0]["destroyed"]["faces"] == 1
    key = client.get("/privacy/key").json()["fingerprint"]
    said, signed_by = verify(client.get(f"/v1/receipts/{receipt}").content, fingerprint=key)
    assert said["id"] == receipt and signed_by == key
    assert client.get(f"/v1/receipts/{'0' * 32}").status_code == 404

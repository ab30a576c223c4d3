"""Doors over REST: set up, opened by hand once, locked down, and what they answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.serving import Client

from arcid.server.routes.doors import DoorPatch

pytestmark = pytest.mark.data
URL = "/v1/doors"


@pytest.fixture
def staff(collection: str) -> str:
    return collection.rpartition("/")[2]


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_door_from_its_set_up_to_its_log(
    client: Client, collection: str, staff: str, face: Callable[[int], bytes]
) -> None:
    person = client.post(
        f"{collection}/enrol", data={"name": "Ada"}, files={"image": face(1)}
    ).json()["person"]["id"]  # fmt: skip
    body: dict[str, Any] = {"name": "Front", "collection": staff, "liveness": False}
    made = client.post(URL, json=body)
    assert made.status_code == 201, made.text
    door = made.json()
    assert (door["here"], door["problem"], door["lockdown"], door["liveness"]) == (
        True, None, None, False,
    )  # fmt: skip
    assert code(client.post(URL, json=body)) == (409, "already_exists")
    assert code(client.post(URL, json=body | {"name": "X", "output": "fax:1"}))[0] == 422
    assert client.post(f"{collection}/door-groups", json={"name": "Staff"}).status_code == 201
    member = f"{collection}/door-groups/Staff/members/{person}"
    assert client.put(member, json={}).status_code == 204
    hours = {"name": "Office", "hours": "mon-fri 07:00-19:00", "zone": "Europe/Berlin"}
    assert client.post(f"{collection}/door-schedules", json=hours).json() == hours
    own = f"{URL}/{door['id']}"
    rule = {"group": "Staff", "schedule": "Office"}
    assert client.post(f"{own}/rules", json=rule).status_code == 204
    assert client.get(f"{own}/rules").json() == {"rules": [rule]}
    chance = client.get(own).json()["chance"]
    assert (chance["people"], chance["templates"], chance["target_fpir"]) == (1, 1, 1e-5)
    assert chance["support"] == "extrapolated" and chance["supported_fpir"] > 1e-5
    groups = client.get(f"{collection}/door-groups").json()["groups"]
    assert [(g["name"], [m["name"] for m in g["members"]]) for g in groups] == [("Staff", ["Ada"])]
    assert client.patch(own, json={"two_person": True}).json()["two_person"] is True
    stood = client.get(own).json()
    nulls = dict.fromkeys(set(stood) & set(DoorPatch.model_fields))
    assert client.patch(own, json=nulls).json() == stood, "null changes nothing"
    assert client.get(URL).json() == {"doors": [stood]}
    assert client.put("/v1/door-holidays/2026-12-25", json={"name": "X"}).status_code == 204
    assert client.get("/v1/door-holidays").json()["holidays"][0]["day"] == "2026-12-25"

    order = {"reason": "courier", "actor": "Gus"}
    first = client.post(f"{own}/open", json=order, headers={"Idempotency-Key": "k1"}).json()
    again = client.post(f"{own}/open", json=order, headers={"Idempotency-Key": "k1"}).json()
    assert first == again and first["state"] == "opened"
    assert client.post(f"{own}/open", json=order).status_code == 422, "a key is needed"
    assert client.post(f"{URL}/lockdown", json={"reason": "alarm"}).status_code == 204
    locked = client.post(f"{own}/open", json=order, headers={"Idempotency-Key": "k2"}).json()
    assert locked["state"] == "refused" and "locked down: alarm" in locked["detail"]
    assert client.get(own).json()["lockdown"] == "alarm"
    assert client.delete(f"{own}/lockdown").status_code == 204
    for path, told in (("contact", {"open": False}), ("duress", None)):
        assert client.post(f"{own}/{path}", json=told).status_code == 204
    assert client.post(f"{own}/exit").status_code == 204
    assert client.post(f"{own}/contact", json={"open": True}).status_code == 204
    stands = client.get(own).json()
    assert (stands["contact_open"], stands["alarm"]) == (True, None), "somebody left"
    assert client.post(f"{own}/contact", json={"open": None}).status_code == 204
    assert client.post(f"{own}/acknowledge").status_code == 204
    passages = client.get(f"{own}/passages").json()["passages"]
    assert [(p["outcome"], p["opening"]) for p in passages] == [
        ("refused", None), ("granted", "opened"),
    ]  # fmt: skip
    assert passages[1]["words"] == "opened by hand by Gus (local): courier"
    lately = client.get(own).json()["lately"]
    assert [answer["outcome"] for answer in lately] == ["refused", "granted"]

    assert client.post(f"{collection}/people/{person}/forgive").status_code == 204
    assert client.post(f"{own}/rules/delete", json=rule).status_code == 204
    for path in (member, f"{collection}/door-groups/Staff", f"{collection}/door-schedules/Office",
                 "/v1/door-holidays/2026-12-25", own):  # fmt: skip
        assert client.delete(path).status_code == 204, path
    assert code(client.get(own)) == (404, "door_not_found")
    assert client.get(URL).json() == {"doors": []}

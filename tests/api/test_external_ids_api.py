"""External ids and filters by metadata over REST."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image as Pil
from tests.serving import Client
from tests.toys import Brightness, picture


@pytest.fixture
def staff(toys: Client, request: pytest.FixtureRequest) -> str:
    name = request.node.name[:60]
    toys.gallery.create_collection(name)
    return f"/v1/collections/{name}"


def png(*columns: int) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(picture(*columns)).save(out, "PNG")
    return out.getvalue()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_people_are_put_found_and_changed_by_it(toys: Client, staff: str) -> None:
    put = {"name": "Ann", "metadata": {"site": "Berlin"}}
    first, again = (
        toys.put(f"{staff}/people", params={"external_id": "hr/1 & co"}, json=put) for _ in "ab"
    )
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    assert first.json()["external_id"] == "hr/1 & co"
    found = toys.get(f"{staff}/people", params={"external_id": "hr/1 & co"}).json()
    assert [one["id"] for one in found["people"]] == [first.json()["id"]]
    none = toys.get(f"{staff}/people", params={"external_id": "hr/2"}).json()
    assert none == {"people": [], "next": None}
    made = toys.post(f"{staff}/people", json={"name": "Ben", "external_id": "2"})
    assert made.status_code == 201 and made.json()["external_id"] == "2"
    taken = toys.post(f"{staff}/people", json={"name": "Cleo", "external_id": "2"})
    assert problem(taken) == (409, "already_exists")
    path = f"{staff}/people/{made.json()['id']}"
    assert toys.patch(path, json={"external_id": "3"}).json()["external_id"] == "3"
    assert toys.patch(path, json={"name": "Benno"}).json()["external_id"] == "3"
    assert toys.patch(path, json={"external_id": ""}).json()["external_id"] is None
    assert problem(toys.put(f"{staff}/people", json=put)) == (422, "validation_error")


def test_faces_go_to_whoever_has_it(toys: Client, staff: str) -> None:
    form = {"name": "Ann", "external_id": "7", "require_quality": "false"}
    made = toys.post(f"{staff}/enrol", data=form, files={"image": png(1)})
    assert made.status_code == 201 and made.json()["person"]["external_id"] == "7"
    vector = {"vectors": [[1, 2, 3, 4, 5]], "contract_id": Brightness.contract_id}
    body = {"name": "x", "external_id": "7", "allow_duplicate": True, **vector}
    more = toys.post(f"{staff}/enrol/embeddings", json=body)
    assert more.status_code == 201 and more.json()["person"]["id"] == made.json()["person"]["id"]
    found = toys.post(f"{staff}/search", files={"image": png(1)}).json()
    assert found["faces"][0]["candidates"][0]["external_id"] == "7"


def test_searches_and_lists_are_filtered(toys: Client, staff: str) -> None:
    vector = {"contract_id": Brightness.contract_id, "allow_duplicate": True}
    for n, site in enumerate(("Berlin", "Bern", "Berlin")):
        body = {"name": f"P{n}", "vectors": [[1, 2, 3, 4, n]], **vector}
        person = toys.post(f"{staff}/enrol/embeddings", json=body).json()["person"]["id"]
        toys.patch(f"{staff}/people/{person}", json={"metadata": {"site": site, "n": n}})
    where: dict[str, Any] = {"site": "Berlin"}
    listed = toys.get(f"{staff}/people", params={"where": json.dumps(where)}).json()
    assert [one["name"] for one in listed["people"]] == ["P0", "P2"]
    probe = {"contract_id": Brightness.contract_id, "where": where}
    asked = (
        toys.post(f"{staff}/search/embedding", json={"vector": [1, 2, 3, 4, 1], **probe}),
        toys.post(f"{staff}/search", data={"where": json.dumps(where)}, files={"image": png(1)}),
        toys.post(f"{staff}/search/embeddings", json={"vectors": [[1, 2, 3, 4, 1]], **probe}),
        toys.post(f"{staff}/search/photos", data={"where": json.dumps(where)},
                  files=[("image", png(1))]),
    )  # fmt: skip
    for answer in asked:
        assert answer.status_code == 200, answer.text
        (found,) = (
            [answer.json()] if "decision" in answer.json()
            else answer.json().get("faces") or answer.json()["results"]
        )  # fmt: skip
        found = found["faces"][0] if found.get("faces") else found
        assert found["decision"]["gallery_size"] == 2
        assert {one["name"] for one in found["candidates"]} == {"P0", "P2"}
    both = {"vector": [1, 2, 3, 4, 0], "contract_id": Brightness.contract_id}
    one = toys.post(f"{staff}/search/embedding", json={**both, "where": {"n": 2}}).json()
    assert one["decision"]["gallery_size"] == 1 and one["candidates"][0]["name"] == "P2"
    for bad in ("[]", "{", "{}", '{"a": [1]}', '{"a": {}}', "null", "1"):
        answer = toys.get(f"{staff}/people", params={"where": bad})
        assert problem(answer) == (422, "validation_error"), bad
        sent = {"data": {"where": bad}, "files": {"image": png(1)}}
        assert problem(toys.post(f"{staff}/search", **sent)) == (422, "validation_error"), bad

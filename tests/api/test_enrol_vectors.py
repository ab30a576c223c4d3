"""Vectors kept elsewhere, enrolled by who is trusted with them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.serving import Client
from tests.toys import Brightness

from arcid.protection import VERBS, Keys, Policies

ONE, OTHER, NEAR = [1, 2, 3, 4, 5.0], [-5, 1, 0, 2, -3.0], [1, 2, 3, 4, 5.01]


@pytest.fixture
def staff(toys: Client, request: pytest.FixtureRequest) -> str:
    name = request.node.name[:60]
    toys.gallery.create_collection(name)
    return f"/v1/collections/{name}"


def body(*vectors: Any, **more: Any) -> dict[str, Any]:
    return {"vectors": list(vectors), "contract_id": Brightness.contract_id} | more


def enrol(client: httpx.Client, staff: str, *vectors: Any, **more: Any) -> httpx.Response:
    return client.post(f"{staff}/enrol/embeddings", json=body(*vectors, **more))


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_vector_is_found_again_whatever_its_length(toys: Client, staff: str) -> None:
    made = enrol(toys, staff, ONE, name="Ann", source="other system")
    assert made.status_code == 201, made.text
    (face,) = made.json()["faces"]
    assert face["provenance"] == {"model": "Brightness", "given": "vector"}
    assert face["source"] == "other system" and face["box"] is None and face["quality"] == {}
    person = made.json()["person"]["id"]
    more = toys.post(f"{staff}/people/{person}/faces/embeddings", json=body(NEAR))
    assert more.status_code == 201 and more.json()["person"]["faces"] == 2
    assert enrol(toys, staff, OTHER, name="Ben").status_code == 201
    for probe, name in ((ONE, "Ann"), ([v * 1e6 for v in OTHER], "Ben")):
        asked = {"vector": probe, "contract_id": Brightness.contract_id}
        found = toys.post(f"{staff}/search/embedding", json=asked).json()
        assert found["candidates"][0]["name"] == name and found["decision"]["outcome"] == "match"
        assert found["decision"]["gallery_size"] == 3


def test_what_is_no_vector_of_this_model_is_refused(toys: Client, staff: str) -> None:
    for bad, expected in (
        (body(ONE) | {"contract_id": "another"}, (409, "contract_mismatch")),
        (body(ONE[:4]), (422, "invalid_array")),
        (body([0.0] * 5), (422, "invalid_array")),
        (body(), (422, "validation_error")),
    ):
        answer = toys.post(f"{staff}/enrol/embeddings", json={"name": "Ann"} | bad)
        assert problem(answer) == expected, answer.text
    for text in ("NaN", "Infinity", "1e999"):
        raw = f'{{"name": "Ann", "contract_id": "x", "vectors": [[{text}, 1, 1, 1, 1]]}}'
        head = {"Content-Type": "application/json"}
        answer = toys.post(f"{staff}/enrol/embeddings", content=raw, headers=head)
        assert answer.status_code == 422, answer.text
    assert toys.get(staff).json()["people"] == 0


def test_in_parts_what_is_good_is_enrolled(toys: Client, staff: str) -> None:
    refused = enrol(toys, staff, ONE, [0.0] * 5, NEAR, name="Ann")
    assert problem(refused) == (422, "invalid_array")
    assert refused.json()["error"]["details"]["image"] == 1
    done = enrol(toys, staff, ONE, [0.0] * 5, NEAR, name="Ann", partial=True)
    assert done.status_code == 201
    codes = [one["error"] and one["error"]["code"] for one in done.json()["results"]]
    assert codes == [None, "invalid_array", None] and done.json()["person"]["faces"] == 2


def test_duplicates_consent_and_retries_are_as_with_photos(toys: Client, staff: str) -> None:
    key = {"Idempotency-Key": "vectors-1"}
    sent = body(ONE, name="Ann")
    for replayed in (None, "true"):
        answer = toys.post(f"{staff}/enrol/embeddings", json=sent, headers=key)
        assert answer.status_code == 201
        assert answer.headers.get("Idempotent-Replayed") == replayed
    other = toys.post(f"{staff}/enrol/embeddings", json=body(NEAR, name="Ann"), headers=key)
    assert problem(other) == (422, "idempotency_key_reused")
    assert problem(enrol(toys, staff, ONE, name="Ann")) == (409, "already_exists")
    assert problem(enrol(toys, staff, NEAR, name="Eve")) == (409, "possible_duplicate")
    assert enrol(toys, staff, NEAR, name="Eve", allow_duplicate=True).status_code == 201
    Policies(toys.gallery).change(staff.rpartition("/")[2], consent=True)
    assert problem(enrol(toys, staff, OTHER, name="Ben")) == (409, "consent_missing")
    agreed = {"text": "2026-11", "evidence": "form 7"}
    assert enrol(toys, staff, OTHER, name="Ben", consent=agreed).status_code == 201


def test_it_needs_both_verbs(toys: Client, staff: str) -> None:
    keys = Keys(toys.gallery)
    try:
        for lacking in ("enrol", "vectors"):
            _, secret = keys.add(f"no {lacking}", set(VERBS) - {lacking})
            toys.services.keys.refresh()
            head = {"X-API-Key": secret}
            person = f"{staff}/people/{'0' * 32}/faces/embeddings"
            for path in (f"{staff}/enrol/embeddings", person):
                answer = toys.post(path, json=body(ONE, name="Ann"), headers=head)
                assert problem(answer) == (403, "scope_missing")
                assert answer.json()["error"]["details"]["verb"] == lacking
        _, secret = keys.add("both", ["enrol", "vectors"])
        toys.services.keys.refresh()
        answer = toys.post(f"{staff}/enrol/embeddings", json=body(ONE, name="Ann"),
                           headers={"X-API-Key": secret})  # fmt: skip
        assert answer.status_code == 201
    finally:
        for key in keys.all():
            keys.delete(key.id)
        toys.services.keys.refresh()

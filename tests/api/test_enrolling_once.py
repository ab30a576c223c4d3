"""Enrolment requests sent again, in parts, or with more than is taken."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from arcid.gallery import Gallery
from arcid.gallery.store import receipts

pytestmark = pytest.mark.data
FaceBytes = Callable[[int], bytes]
PhotoBytes = Callable[[str], bytes]
KEY = {"Idempotency-Key": "5f2c1d9a-retry"}


def send(
    client: httpx.Client, path: str, images: list[bytes], headers: Any = None, **form: Any
) -> httpx.Response:
    files = [("image", (f"{n}.jpg", data)) for n, data in enumerate(images)]
    return client.post(path, data=form, files=files, headers=headers)


def test_the_same_request_again_is_answered_and_not_done(
    client: httpx.Client, collection: str, face: FaceBytes
) -> None:
    path = f"{collection}/enrol"
    first = send(client, path, [face(1), face(2)], KEY, name="Ann")
    assert first.status_code == 201 and "Idempotent-Replayed" not in first.headers
    again = send(client, path, [face(1), face(2)], KEY, name="Ann")
    assert again.status_code == 201 and again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert client.get(collection).json()["faces"] == 2
    # without the key it is done again, and there is no second copy
    assert send(client, path, [face(1), face(2)], name="Ann").status_code == 409
    for images, form in (
        ([face(1)], {"name": "Ann"}),
        ([face(2), face(1)], {"name": "Ann"}),
        ([face(1), face(2)], {"name": "Bea"}),
        ([face(1), face(2)], {"name": "Ann", "partial": True}),
    ):
        other = send(client, path, images, KEY, **form)
        assert other.status_code == 422, form
        assert other.json()["error"]["code"] == "idempotency_key_reused"
    person = first.json()["person"]["id"]
    faces = f"{collection}/people/{person}/faces"
    assert send(client, faces, [face(1), face(2)], KEY).status_code == 422
    assert send(client, faces, [face(4)], {"Idempotency-Key": "b"}).status_code == 201
    answer = send(client, faces, [face(4)], {"Idempotency-Key": "b"})
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert client.get(collection).json()["faces"] == 3
    for bad in ("", "a" * 256, "with space"):
        assert send(client, faces, [face(5)], {"Idempotency-Key": bad}).status_code == 422


def test_a_request_that_failed_may_be_sent_again(
    client: httpx.Client, collection: str, face: FaceBytes, photo: PhotoBytes
) -> None:
    path = f"{collection}/enrol"
    bad = photo("photos/misc/no_face.png")
    assert send(client, path, [face(1), bad], KEY, name="Ann").status_code == 422
    assert send(client, path, [face(1)], KEY, name="Ann").status_code == 201


def test_the_same_request_at_once_is_done_once(
    client: httpx.Client, collection: str, face: FaceBytes
) -> None:
    def one(_: int) -> httpx.Response:
        return send(client, f"{collection}/enrol", [face(1), face(2)], KEY, name="Ann")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(4)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len({answer.json()["person"]["id"] for answer in answers}) == 1
    assert client.get(collection).json()["faces"] == 2


def test_what_was_answered_goes_with_the_person_and_follows_changes(
    client: httpx.Client, collection: str, face: FaceBytes, gallery: Gallery
) -> None:
    path = f"{collection}/enrol"
    made = send(client, path, [face(1), face(2)], KEY, name="Ann").json()
    person = f"{collection}/people/{made['person']['id']}"
    client.patch(person, json={"name": "Ann B"})
    client.delete(f"{collection}/faces/{made['faces'][0]['id']}")
    again = send(client, path, [face(1), face(2)], KEY, name="Ann").json()
    assert again["person"]["name"] == "Ann B" and again["results"] == made["results"]
    assert [f["id"] for f in again["faces"]] == [made["faces"][1]["id"]]
    assert gallery.stats()["rows"]["receipts"] >= 1
    before = gallery.stats()["rows"]["receipts"]
    assert client.delete(person).status_code == 204
    assert gallery.stats()["rows"]["receipts"] == before - 1
    anew = send(client, path, [face(1), face(2)], KEY, name="Ann")
    assert anew.status_code == 201 and "Idempotent-Replayed" not in anew.headers
    assert anew.json()["person"]["id"] != made["person"]["id"]


def test_a_key_is_forgotten_after_a_day(
    client: httpx.Client, collection: str, face: FaceBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{collection}/enrol"
    assert send(client, path, [face(1)], KEY, name="Ann").status_code == 201
    monkeypatch.setattr(receipts, "KEPT_S", 0)
    other = send(client, path, [face(3)], KEY, name="Bea")
    assert other.status_code == 201 and "Idempotent-Replayed" not in other.headers


def test_in_parts_what_can_be_enrolled_is(
    client: httpx.Client, collection: str, face: FaceBytes, photo: PhotoBytes
) -> None:
    path = f"{collection}/enrol"
    images = [face(1), photo("photos/misc/no_face.png"), b"no picture", face(1), face(20), face(2)]
    refused = send(client, path, images, name="Ann")
    assert refused.status_code == 422 and refused.json()["error"]["details"]["image"] == 1
    assert client.get(collection).json()["people"] == 0, "all or nothing unless partial"
    send(client, path, [face(21)], name="Bea")
    images[4] = face(21)
    answer = send(client, path, images, KEY, name="Ann", partial=True)
    assert answer.status_code == 201
    made = answer.json()
    codes = [None if r["error"] is None else r["error"]["code"] for r in made["results"]]
    assert codes == [
        None, "no_face_found", "image_unreadable", "already_exists", "possible_duplicate", None
    ]  # fmt: skip
    assert [r["image"] for r in made["results"]] == list(range(6))
    stored = [r["face_id"] for r in made["results"] if r["face_id"]]
    assert stored == [f["id"] for f in made["faces"]] and made["person"]["faces"] == 2
    again = send(client, path, images, KEY, name="Ann", partial=True)
    assert again.json() == made
    nothing = send(client, path, images[1:4], name="Ann", partial=True)
    assert nothing.status_code == 422
    error = nothing.json()["error"]
    assert error["code"] == "nothing_enrolled"
    assert [r["code"] for r in error["details"]["results"]] == codes[1:4]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/detect", ["image"]),
        ("/v1/embeddings", ["image", "select"]),
        ("/v1/compare", ["image_a", "image_b", "fmr"]),
        ("{collection}/search", ["image", "k"]),
        ("{collection}/enrol", ["name", "select"]),
    ],
)
def test_what_is_taken_once_is_refused_twice(
    client: httpx.Client, collection: str, face: FaceBytes, path: str, fields: list[str]
) -> None:
    values = {"select": "largest", "fmr": "0.001", "k": "3", "name": "Ann"}
    url = path.format(collection=collection)
    whole = ["image_a", "image_b"] if "image_a" in fields else ["image"]
    for twice in fields:
        parts: list[Any] = [(name, ("a.jpg", face(1))) for name in whole]
        if "name" in fields:
            parts.append(("name", (None, "Ann")))
        if twice.startswith("image"):
            parts.append((twice, ("b.jpg", face(3))))
        else:
            parts += [(twice, (None, values[twice]))] * (1 if twice == "name" else 2)
        answer = client.post(url, files=parts)
        assert answer.status_code == 422, (twice, answer.text)
        error = answer.json()["error"]
        assert error["code"] == "repeated_field" and error["details"]["field"] == twice
    assert client.get(collection).json()["people"] == 0

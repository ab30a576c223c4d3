"""Several at once: photos and vectors searched, one face against many, everybody of a photo."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.serving import Client
from tests.toys import LeftHalf

from arcid.gallery import NewFace
from arcid.gallery.projection import Projection
from arcid.protection import Policies
from arcid.server.passive import Passive
from arcid.types import Embeddings

pytestmark = pytest.mark.data
FaceBytes = Callable[[int], bytes]
PhotoBytes = Callable[[str], bytes]


def images(*data: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("image", (f"{i}.jpg", one)) for i, one in enumerate(data)]


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture(scope="module")
def staff(client: Client, face: FaceBytes) -> str:
    """Ann (two faces), Ben, Cleo."""
    client.gallery.create_collection("staff")
    for name, numbers in {"Ann": (1, 2), "Ben": (13,), "Cleo": (8,)}.items():
        sent = images(*map(face, numbers))
        answer = client.post("/v1/collections/staff/enrol", data={"name": name}, files=sent)
        assert answer.status_code == 201
    return "/v1/collections/staff"


@pytest.fixture(scope="module")
def vectors(client: Client, face: FaceBytes) -> dict[int, list[float]]:
    return {
        n: client.post("/v1/embeddings", files={"image": face(n)}).json()["faces"][0]["vector"]
        for n in (4, 14)
    }


@pytest.fixture
def snapshots(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each state of the gallery that is searched."""
    seen: list[int] = []
    real = Projection.snapshot
    monkeypatch.setattr(Projection, "snapshot", lambda *args: seen.append(1) or real(*args))
    return seen


def test_photos_are_searched_as_one_by_one(
    client: Client, staff: str, face: FaceBytes, photo: PhotoBytes, snapshots: list[int]
) -> None:
    couple, nobody = photo("photos/group/couple.jpg"), photo("photos/misc/no_face.png")
    sent = images(face(4), b"damaged", couple, nobody, face(14))
    answer = client.post(f"{staff}/search/photos", files=sent, data={"k": 2})
    assert answer.status_code == 200, answer.text
    assert len(snapshots) == 1, "all are answered from one state of the collection"
    results = answer.json()["results"]
    assert [one["image"] for one in results] == [0, 1, 2, 3, 4]
    assert results[1]["faces"] is None and results[1]["error"]["code"] == "image_unreadable"
    for i, data in ((0, face(4)), (2, couple), (3, nobody), (4, face(14))):
        alone = client.post(f"{staff}/search", files={"image": data}, data={"k": 2}).json()
        assert len(results[i]["faces"]) == len(alone["faces"]) and results[i]["error"] is None
        for one, other in zip(results[i]["faces"], alone["faces"], strict=True):
            assert one["face"] == other["face"]
            for key in ("outcome", "gallery_size", "cosine_threshold"):
                assert one["decision"][key] == other["decision"][key]
            assert one["decision"]["cosine"] == pytest.approx(other["decision"]["cosine"], abs=1e-4)
            names = [[c["name"] for c in each["candidates"]] for each in (one, other)]
            assert names[0] == names[1]
            given = [[c["given_to"] for c in each["candidates"]] for each in (one, other)]
            assert given[0] == given[1]
    assert [r["faces"][0]["candidates"][0]["name"] for r in (results[0], results[4])] == [
        "Ann", "Ben"
    ]  # fmt: skip
    as_json = {"image": [base64.b64encode(face(4)).decode()], "k": 2}
    again = client.post(f"{staff}/search/photos", json=as_json).json()["results"]
    assert again[0]["faces"][0]["candidates"][0]["name"] == "Ann"


def test_vectors_are_searched_and_verified(
    client: Client, staff: str, vectors: dict[int, list[float]], snapshots: list[int]
) -> None:
    contract = client.services.contract_id
    zeros = [0.0] * len(vectors[4])
    sent = {"vectors": [vectors[14], zeros, vectors[4]], "contract_id": contract, "k": 1}
    answer = client.post(f"{staff}/search/embeddings", json=sent)
    assert answer.status_code == 200, answer.text
    assert len(snapshots) == 1
    first, second, third = answer.json()["results"]
    assert first["candidates"][0]["name"] == "Ben" and first["decision"]["outcome"] == "match"
    assert third["candidates"][0]["name"] == "Ann" and third["decision"]["gallery_size"] == 4
    assert second["candidates"] is None and second["error"]["code"] == "invalid_array"
    other = {"vectors": [vectors[4]], "contract_id": "another"}
    assert problem(client.post(f"{staff}/search/embeddings", json=other)) == (
        409, "contract_mismatch"
    )  # fmt: skip

    people = client.get(f"{staff}/people").json()["people"]
    ids = {person["name"]: person["id"] for person in people}
    for name, outcome in (("Ann", "match"), ("Ben", "no_match")):
        body = {"vector": vectors[4], "contract_id": contract, "fmr": 1e-3}
        path = f"{staff}/people/{ids[name]}/verify/embedding"
        found = client.post(path, json=body).json()
        assert (found["outcome"], found["person"]["name"]) == (outcome, name)
        assert found["face"] is None and found["target_fmr"] == 1e-3


def test_a_face_is_found_among_those_of_a_photo(
    client: Client, face: FaceBytes, photo: PhotoBytes
) -> None:
    couple = photo("photos/group/couple.jpg")
    boxes = client.post("/v1/detect", files={"image": couple}).json()["faces"]
    sent = {"image_a": couple, "image_b": couple}
    found = client.post("/v1/compare/faces", files=sent, data={"select": "largest"}).json()
    assert len(found["faces"]) == len(boxes) == 2
    best, other = found["faces"]
    assert best["face"] == found["a"] and best["outcome"] == "match"
    assert best["cosine"] == pytest.approx(1, abs=1e-3) and other["cosine"] < best["cosine"]
    nobody = {"image_a": face(1), "image_b": photo("photos/misc/no_face.png")}
    assert client.post("/v1/compare/faces", files=nobody).json()["faces"] == []
    turned = {"image_a": photo("photos/misc/no_face.png"), "image_b": face(1)}
    assert problem(client.post("/v1/compare/faces", files=turned)) == (422, "no_face_found")


def test_everybody_of_a_photo_becomes_a_person(
    client: Client, collection: str, photo: PhotoBytes
) -> None:
    couple = photo("photos/group/couple.jpg")
    loose = {"require_quality": False, "name": "Guest"}
    path = f"{collection}/enrol/faces"
    made = client.post(path, files={"image": ("couple.jpg", couple)}, data=loose)
    assert made.status_code == 201, made.text
    faces = made.json()["faces"]
    assert len({one["person"]["id"] for one in faces}) == 2
    assert all(one["person"]["name"].startswith("Guest ") for one in faces)
    again = client.post(path, files={"image": couple}, data=loose)
    assert problem(again) == (422, "nothing_enrolled")
    reasons = again.json()["error"]["details"]["results"]
    assert {one["code"] for one in reasons} == {"possible_duplicate"}
    gone = faces[0]["person"]["id"]
    assert client.delete(f"{collection}/people/{gone}").status_code == 204
    part = client.post(path, files={"image": couple}, data=loose)
    assert part.status_code == 201
    codes = [one["error"] and one["error"]["code"] for one in part.json()["faces"]]
    assert codes == [None, "possible_duplicate"]
    assert client.get(collection).json()["people"] == 2
    empty = client.post(path, files={"image": photo("photos/misc/no_face.png")})
    assert problem(empty) == (422, "no_face_found")
    blurred = client.post(path, files={"image": photo("photos/misc/blur.jpg")})
    assert problem(blurred) == (422, "nothing_enrolled")


def test_everybody_must_have_agreed_where_that_is_demanded(
    client: Client, collection: str, photo: PhotoBytes
) -> None:
    Policies(client.gallery).change(collection.rpartition("/")[2], consent=True)
    sent = {"image": photo("photos/group/couple.jpg")}
    path, loose = f"{collection}/enrol/faces", {"require_quality": False}
    refused = client.post(path, files=sent, data=loose)
    assert problem(refused) == (422, "nothing_enrolled")
    assert refused.json()["error"]["details"]["results"][0]["code"] == "consent_missing"
    assert client.get(collection).json()["people"] == 0, "nobody without a face is left behind"
    made = client.post(path, files=sent, data={**loose, "consent": "2026-11"})
    assert made.status_code == 201 and client.get(collection).json()["people"] == 2


@pytest.fixture
def passive(client: Client) -> Iterator[Passive]:
    found = client.services.passive
    before = found._found, found._asked
    yield found
    found._found, found._asked = before


def test_liveness_of_each_face(client: Client, passive: Passive, photo: PhotoBytes) -> None:
    passive._found, passive._asked = LeftHalf(), True
    found = client.post("/v1/liveness", files={"image": photo("photos/group/couple.jpg")}).json()
    assert (found["model"], found["liveness_threshold"]) == ("left half", 0.5)
    by_place = sorted(found["faces"], key=lambda one: one["box"]["x1"])
    assert [(one["live"], one["liveness"]) for one in by_place] == [
        (True, pytest.approx(0.9)), (False, 0.0)
    ]  # fmt: skip
    nobody = client.post("/v1/liveness", files={"image": photo("photos/misc/no_face.png")})
    assert nobody.json()["faces"] == []
    bad = client.post("/v1/liveness", files={"image": b"damaged"})
    assert problem(bad) == (400, "image_unreadable")


def test_liveness_without_its_models_says_how_to_get_them(
    client: Client, passive: Passive, face: FaceBytes, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    passive._found, passive._asked = None, True
    answer = client.post("/v1/liveness", files={"image": face(1)})
    assert problem(answer) == (503, "model_not_found")
    assert "arcid models pull minifasnet_v2 minifasnet_v1se" in answer.json()["error"]["message"]


def test_faces_of_photos_and_their_probes_must_agree(client: Client) -> None:
    from arcid.errors import InputError

    client.gallery.create_collection("counted")
    one = Embeddings.normalised([[1.0] * 4], "toy")
    client.gallery.enrol("counted", "Ann", [NewFace(one)])
    with pytest.raises(InputError, match="2 faces came with 1"):
        client.gallery.search("counted", one, photos=[2])

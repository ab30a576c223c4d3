"""InsightFace Server's protocol: persons, trusted vectors, search, and every refusal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from anyio import to_thread
from PIL import Image
from tests.serving import Client, running

from arcid.events import Audit
from arcid.protection import VERBS, Keys
from arcid.server import compat, scopes
from arcid.server.compat.insightface_server import persons, registering
from arcid.server.deps import Services
from arcid.server.settings import Settings

pytestmark = pytest.mark.data
BOOT = "correct-horse-battery"
ROOT = "/compat/insightface-server/v1"
FaceBytes = Callable[[int], bytes]
PERSON = {"id", "name", "external_id", "metadata", "face_count", "created_at", "updated_at"}


@pytest.fixture(scope="module")
def service(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("insightface") / "gallery.db"
    settings = Settings.load(database=str(database), api_keys=BOOT, compat="insightface-server")
    with running(settings, pipeline, None) as client:
        yield client


def send(service: Client, method: str, path: str, key: str = BOOT, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} | more.pop("headers", {})
    return service.request(method, f"{ROOT}{path}", headers=headers, **more)


@pytest.fixture
def office(service: Client, request: pytest.FixtureRequest) -> str:
    """The path of a collection of the test's own."""
    name = request.node.name.replace("[", "-").replace("]", "")[:60]
    made = send(service, "POST", "/collections", json={"id": name, "name": "Office"})
    assert made.status_code == 201, made.text
    return f"/collections/{name}"


def test_what_runs_and_how_the_service_is_doing(service: Client) -> None:
    contract = service.get("/v1/models", headers={"X-API-Key": BOOT}).json()["models"]
    models = send(service, "GET", "/models")
    assert set(models.json()) == {"execution_provider", "license", "models", "request_id"}
    rows = {row["task"]: row for row in models.json()["models"]}
    assert {row["role"]: row["sha256"] for row in contract} == {
        task: row["sha256"] for task, row in rows.items()
    }
    assert rows["recognition"]["embedding_dimension"] == contract[1]["dim"]
    system = send(service, "GET", "/system").json()
    assert set(system) == {
        "api_key", "architecture", "cpu", "data", "database", "execution_provider", "model",
        "models", "os", "recent_errors", "request_id", "runtime", "safe_config", "search",
        "server_version", "stats",
    }  # fmt: skip
    assert system["api_key"] == {"configured": True} and BOOT not in json.dumps(system)
    assert system["model"]["models"] == models.json()["models"]
    assert refused(service.get(f"{ROOT}/system"), 401, "unauthorized") is not None


def images(*photos: bytes) -> list[tuple[str, Any]]:
    return [("images", (f"{i}.jpg", photo, "image/jpeg")) for i, photo in enumerate(photos)]


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code), answer.text
    assert set(body) == {"error", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    details: dict[str, Any] = body["error"]["details"]
    return details


def enrol(service: Client, office: str, *photos: bytes, **fields: str) -> dict[str, Any]:
    answer = send(service, "POST", f"{office}/persons", files=images(*photos), data=fields)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def key_of(service: Client, name: str, verbs: Any, **more: Any) -> str:
    _, secret = Keys(service.gallery).add(name, verbs, **more)
    service.services.keys.refresh()
    return secret


def test_every_route_needs_a_verb_but_one_that_tells_nothing_of_anybody() -> None:
    routers = compat.protocol("insightface-server").routers
    names = {getattr(route, "name", "") for router in routers for route in router.routes}
    needing = {name for name in scopes.ADAPTERS if name.startswith("insightface_")}
    assert names == needing | {"insightface_health"}


def test_keys(service: Client, office: str, face: FaceBytes) -> None:
    told = service.get(f"{ROOT}/health").json()
    assert (told["status"], told["auth_enabled"]) == ("ready", True)
    refused(service.get(f"{ROOT}/collections"), 401, "unauthorized")
    wrong = send(service, "GET", "/collections", "no-key-of-this-service")
    refused(wrong, 401, "unauthorized")
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    look = key_of(service, "look", ["read"])
    assert send(service, "GET", f"{office}/persons", look).status_code == 200
    for method, path, more in (
        ("POST", f"{office}/persons", {"files": images(face(1))}),
        ("POST", f"{office}/search", {"files": {"image": face(1)}}),
        ("DELETE", f"{office}/persons/ann", {}),
        ("POST", "/embeddings", {"files": {"image": face(1)}}),
        ("POST", "/collections", {"json": {"id": "x", "name": "x"}}),
    ):
        refused(send(service, method, path, look, **more), 403, "unauthorized")
    service.gallery.ensure_collection("other")
    limited = key_of(service, "limited", VERBS, collections=["other"])
    refused(send(service, "GET", f"{office}/persons", limited), 403, "unauthorized")
    unvectored = key_of(service, "unvectored", set(VERBS) - {"vectors"})
    data = {"embedding_mode": "external_trusted"}
    trusted = send(service, "POST", f"{office}/persons", unvectored, files=images(face(1)),
                   data=data)  # fmt: skip
    refused(trusted, 403, "unauthorized")


NUMBER, TEXT = (int, float), str
#: What the protocol's answers have to hold, by its own description (0.2.0).
BOX = {
    "pixels": dict.fromkeys(("x", "y", "width", "height"), int),
    "normalized": dict.fromkeys(("left", "top", "width", "height"), NUMBER),
}
QUALITY = dict.fromkeys(("score", "sharpness", "brightness", "pose"), NUMBER)
OBSERVED = {"bbox": BOX, "landmarks": list, "detection_score": NUMBER, "quality": QUALITY}
COMPONENT = dict.fromkeys(("model_id", "model_version", "task", "sha256"), TEXT)
MODEL = {
    **dict.fromkeys(("model_id", "model_version", "model_digest", "preprocessing_version",
                     "provider"), TEXT),
    "embedding_dimension": int, "license": dict, "models": [COMPONENT],
}  # fmt: skip
COLLECTION = {
    **dict.fromkeys(("id", "name", "description", "model_id", "model_version", "model_digest",
                     "preprocessing_version", "embedding_contract_id", "search_profile",
                     "load_policy", "created_at", "updated_at"), TEXT),
    **dict.fromkeys(("embedding_dimension", "capacity_rows", "max_faces_per_person",
                     "search_revision", "person_count", "face_count", "detection_revision"), int),
    "default_threshold": NUMBER, "save_face_crops": bool, "metadata": dict,
    "detection": {"input_sizes": [list], "threshold": NUMBER, "nms_threshold": NUMBER,
                  "single_face_selection": TEXT},
}  # fmt: skip
SAMPLE = {
    **dict.fromkeys(("id", "person_id", "model_id", "model_version", "model_digest",
                     "preprocessing_version", "embedding_source", "embedding_contract_id",
                     "created_at"), TEXT),
    "bounding_box": BOX, "landmarks": (list, type(None)), "detection_score": NUMBER,
    "quality": QUALITY, "has_crop": bool,
}  # fmt: skip


def check(value: Any, wanted: Any) -> None:
    if isinstance(wanted, dict):
        assert set(wanted) <= set(value), set(wanted) - set(value)
        for name, kind in wanted.items():
            check(value[name], kind)
    elif isinstance(wanted, list):
        for one in value:
            check(one, wanted[0])
    else:
        assert isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def test_answers_hold_all_that_a_client_made_of_the_description_reads(
    service: Client, office: str, face: FaceBytes, photo: Callable[[str], bytes]
) -> None:
    first = send(service, "GET", office).json()["collection"]
    check(first, COLLECTION)
    done = enrol(service, office, face(1), id="ann")
    check(done["faces"], [SAMPLE])
    assert done["faces"][0]["quality"]["score"] > 0.3
    second = send(service, "GET", "/collections").json()["collections"]
    check(second, [COLLECTION])
    revision = {one["id"]: one["search_revision"] for one in second}
    assert revision[first["id"]] > first["search_revision"]
    group = Image.open(io.BytesIO(photo("photos/group/friends.jpg")))
    begun = io.BytesIO()  # cut through a face
    found = send(service, "POST", "/detect", files={"image": photo("photos/group/friends.jpg")})
    box = found.json()["faces"][0]["bbox"]["pixels"]
    x, y = box["x"] + box["width"] // 4, box["y"] + box["height"] // 8
    group.crop((x, y, group.width, group.height)).save(begun, "PNG")
    seen = send(service, "POST", "/detect", files={"image": begun.getvalue()}).json()["faces"]
    check(seen, [OBSERVED])
    boxes = [one["bbox"] for one in seen]
    assert any(box["pixels"]["x"] == 0 for box in boxes)
    assert all(box["normalized"][side] >= 0 for box in boxes for side in ("left", "top"))
    assert all(box["pixels"]["x"] + box["pixels"]["width"] <= group.width - x for box in boxes)
    told = send(service, "POST", "/embeddings", files={"image": face(1)}).json()
    check(told, {"faces": [OBSERVED | {"embedding": list}], "model": MODEL})
    check(send(service, "GET", "/system").json()["model"], MODEL)
    two = {"source": face(1), "target": face(4)}
    check(send(service, "POST", "/compare", files=two).json(),
          {"source_face": OBSERVED, "target_face": OBSERVED})  # fmt: skip
    nothing = {"id": f"{office.split('/')[-1]}-2", "name": "x", "save_face_crops": None}
    made = send(service, "POST", "/collections", json=nothing)
    assert made.status_code == 201 and made.json()["collection"]["save_face_crops"] is False


def test_a_person_deleted_meanwhile_is_not_found(
    service: Client, office: str, face: FaceBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, id in ((1, "ann"), (3, "bea")):
        enrol(service, office, face(n), id=id)
    identify = Services.identify

    def identified(*args: Any, **more: Any) -> Any:
        found = identify(*args, **more)
        assert send(service, "DELETE", f"{office}/persons/bea").status_code == 204
        return found

    monkeypatch.setattr(Services, "identify", identified)
    said = send(service, "POST", f"{office}/search", files={"image": face(4)},
                data={"threshold": "0"}).json()  # fmt: skip
    assert [one["person"]["id"] for one in said["matches"]] == ["ann"]


def test_collections(service: Client, face: FaceBytes) -> None:
    body = {"id": "hq.1", "name": "Head office", "threshold": 0.4, "metadata": {"site": "x"},
            "search": {"profile": "fp32_v1"}}  # fmt: skip
    made = send(service, "POST", "/collections", json=body).json()["collection"]
    assert (made["id"], made["name"], made["metadata"]) == ("hq.1", "Head office", {"site": "x"})
    assert made["embedding_contract_id"] == service.services.contract_id
    assert 0 < made["default_threshold"] < 1 and made["person_count"] == 0
    refused(send(service, "POST", "/collections", json=body), 409, "collection_exists")
    bodies: tuple[Any, ...] = (
        {"id": "-", "name": "x"}, {"id": "a"}, {**body, "id": "b", "more": 1}, [],
    )  # fmt: skip
    for one in bodies:
        refused(send(service, "POST", "/collections", json=one), 400, "invalid_request")
    changed = send(service, "PATCH", "/collections/hq.1", json={"description": "all of it"})
    told = changed.json()["collection"]
    assert (told["name"], told["description"]) == ("Head office", "all of it")
    assert told["metadata"] == {"site": "x"}
    changes: tuple[Any, ...] = ({}, {"name": None}, {"more": 1})
    for one in changes:
        answer = send(service, "PATCH", "/collections/hq.1", json=one)
        refused(answer, 400, "invalid_request")
    page = send(service, "GET", "/collections?limit=1").json()
    assert len(page["collections"]) == 1 and page["next_cursor"]
    rest = send(service, "GET", "/collections", params={"cursor": page["next_cursor"]}).json()
    ids = {each["id"] for each in [*page["collections"], *rest["collections"]]}
    assert "hq.1" in ids and rest["next_cursor"] is None
    refused(send(service, "GET", "/collections?cursor=x"), 400, "invalid_cursor")
    refused(send(service, "GET", "/collections?limit=101"), 400, "invalid_request")
    enrol(service, "/collections/hq.1", face(1), id="ann")
    refused(send(service, "DELETE", "/collections/hq.1"), 409, "collection_not_empty")
    gone = send(service, "DELETE", "/collections/hq.1?force=true")
    assert (gone.status_code, gone.content) == (204, b"")
    refused(send(service, "GET", "/collections/hq.1"), 404, "collection_not_found")
    refused(send(service, "GET", "/nowhere"), 404, "route_not_found")
    refused(send(service, "PUT", "/collections"), 405, "method_not_allowed")


def test_persons_and_faces(
    service: Client, office: str, face: FaceBytes, photo: Callable[[str], bytes]
) -> None:
    no_face = photo("photos/misc/no_face.png")
    done = enrol(service, office, face(1), no_face, b"no picture", id="ann.1", name="Ann",
                 external_id="e-1", metadata='{"desk": 4}')  # fmt: skip
    assert set(done["person"]) == PERSON
    assert (done["person"]["id"], done["person"]["name"]) == ("ann.1", "Ann")
    assert (done["person"]["external_id"], done["person"]["metadata"]) == ("e-1", {"desk": 4})
    assert [(r["index"], r["reason"]) for r in done["rejected_images"]] == [
        (1, "face_not_found"), (2, "invalid_image"),
    ]  # fmt: skip
    (sample,) = done["faces"]
    assert sample["embedding_source"] == "server" and sample["person_id"] == "ann.1"
    assert 0 < sample["bounding_box"]["normalized"]["width"] < 1
    assert service.gallery.person_with(office.split("/")[-1], "ann.1").name == "Ann"

    twin = enrol(service, office, face(3), name="Ann")["person"]
    assert twin["name"] == "Ann" and len(twin["id"]) == 36
    url = f"{office}/persons"
    again = send(service, "POST", url, files=images(face(2)), data={"id": "ann.1"})
    refused(again, 409, "person_exists")
    failed = send(service, "POST", url, files=images(no_face), data={"id": "ben"})
    assert refused(failed, 422, "registration_failed")["rejected_images"] == [
        {"index": 0, "filename": "0.jpg", "reason": "face_not_found"}
    ]
    for data, code in (({"id": "-"}, "invalid_person_id"), ({"metadata": "[]"}, "invalid_metadata"),
                       ({"review_mode": "perhaps"}, "invalid_request")):  # fmt: skip
        refused(send(service, "POST", url, files=images(face(2)), data=data), 400, code)
    refused(send(service, "POST", url, data={"id": "x"}), 400, "invalid_request")

    assert send(service, "GET", f"{url}/ann.1").json()["person"] == done["person"]
    listed = send(service, "GET", url, params={"search": "ann", "limit": 1}).json()
    assert listed["persons"][0]["name"] == "Ann" and listed["next_cursor"]
    following = {"search": "ann", "limit": 1, "cursor": listed["next_cursor"]}
    rest = send(service, "GET", url, params=following).json()["persons"]
    assert {one["id"] for one in listed["persons"] + rest} == {"ann.1", twin["id"]}
    for text, ids in (("NN.1", ["ann.1"]), ("E-1", ["ann.1"]), (twin["id"][:20], [twin["id"]]),
                      ("%", []), ("zoe", [])):  # fmt: skip
        named = send(service, "GET", url, params={"search": text}).json()
        assert [one["id"] for one in named["persons"]] == ids and named["next_cursor"] is None
    changed = send(service, "PATCH", f"{url}/ann.1", json={"name": "Anne"}).json()["person"]
    assert (changed["name"], changed["external_id"], changed["metadata"]) == (
        "Anne", "e-1", {"desk": 4},
    )  # fmt: skip
    refused(send(service, "PATCH", f"{url}/ann.1", json={"metadata": None}), 400,
            "invalid_request")  # fmt: skip
    taken = send(service, "PATCH", f"{url}/ann.1", json={"name": None, "external_id": None})
    assert [taken.json()["person"][key] for key in ("name", "external_id", "metadata")] == [
        None, None, {"desk": 4},
    ]  # fmt: skip
    refused(send(service, "PATCH", f"{url}/zoe", json={"name": "x"}), 404, "person_not_found")

    blur = images(photo("photos/misc/blur.jpg"))
    standard = {"review_mode": "standard"}
    blurred = send(service, "POST", f"{url}/ann.1/faces", files=blur, data=standard)
    reasons = refused(blurred, 422, "registration_failed")["rejected_images"]
    assert reasons[0]["reason"] in ("low_quality", "extreme_pose", "face_too_small")
    strict = send(service, "POST", f"{url}/{twin['id']}/faces", files=images(face(2), face(12)),
                  data={"review_mode": "strict"})  # fmt: skip
    assert [r["reason"] for r in strict.json()["rejected_images"]] == [
        "identity_similarity_conflict"
    ]
    group = images(photo("photos/group/friends.jpg"))
    several = send(service, "POST", f"{url}/ann.1/faces", files=group,
                   data={"review_mode": "standard"})  # fmt: skip
    reasons = refused(several, 422, "registration_failed")["rejected_images"]
    assert reasons == [{"index": 0, "filename": "0.jpg", "reason": "multiple_faces"}]
    known = send(service, "POST", f"{url}/{twin['id']}/faces", files=images(face(1)),
                 data={"review_mode": "strict"})  # fmt: skip
    assert refused(known, 422, "registration_failed")["rejected_images"] == [
        {"index": 0, "filename": "0.jpg", "reason": "identity_similarity_conflict"}
    ]

    more = send(service, "POST", f"{url}/ann.1/faces", files=images(face(2)))
    (added,) = more.json()["faces"]
    faces = send(service, "GET", f"{url}/ann.1/faces").json()
    assert [one["id"] for one in faces["faces"]] == [sample["id"], added["id"]]
    refused(send(service, "GET", f"{url}/ann.1/faces/{added['id']}/image"), 404,
            "face_image_not_found")  # fmt: skip
    other = f"{url}/{twin['id']}/faces/{added['id']}"
    refused(send(service, "DELETE", other), 404, "face_not_found")
    assert send(service, "DELETE", f"{url}/ann.1/faces/{added['id']}").status_code == 204
    assert send(service, "DELETE", f"{url}/ann.1").status_code == 204
    refused(send(service, "GET", f"{url}/ann.1"), 404, "person_not_found")
    many = send(service, "POST", url, files=images(*[face(1)] * 21))
    assert many.status_code == 400


def test_one_id_is_made_one_person_by_two_requests_at_a_time(
    service: Client, office: str, face: FaceBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = registering.faces_of, iter([True])

    async def meanwhile(*args: Any) -> Any:
        if next(first, False):
            await to_thread.run_sync(lambda: enrol(service, office, face(1), id="a", name="Ann"))
        return await whole(*args)

    monkeypatch.setattr(persons, "faces_of", meanwhile)
    late = {"files": images(face(3)), "data": {"id": "a", "name": "Bea", "metadata": '{"n": 2}'}}
    refused(send(service, "POST", f"{office}/persons", **late), 409, "person_exists")
    (person,) = send(service, "GET", f"{office}/persons").json()["persons"]
    assert (person["name"], person["face_count"], person["metadata"]) == ("Ann", 1, {})


def test_names_are_any_numbers(service: Client, office: str, face: FaceBytes) -> None:
    enrol(service, office, face(1), id="x", name="ann")
    for i, id in enumerate(("ann", "Ann", "ANN")):
        person = enrol(service, office, face(2 + i), id=id)["person"]
        assert (person["id"], person["name"]) == (id, None)
    for id in ("b", "B"):
        assert enrol(service, office, face(5), id=id, name="Ann")["person"]["name"] == "Ann"
    changed = send(service, "PATCH", f"{office}/persons/b", json={"name": "ann"})
    assert changed.json()["person"]["name"] == "ann"
    kept = [one.name for one in service.gallery.people(office.split("/")[-1])]
    assert len(kept) == 6 and {"ann", "ann (ann)"} <= set(kept)
    blank = send(service, "PATCH", f"{office}/persons/x", json={"name": ""})
    assert blank.json()["person"]["name"] == ""


def test_trusted_vectors(service: Client, office: str, face: FaceBytes, pipeline: Any) -> None:
    url = f"{office}/persons"
    vector = pipeline.one_face(face(4)).embedding.vectors[0].tolist()

    def register(**data: str) -> httpx.Response:
        return send(service, "POST", url, files=images(face(1)), data=data)

    mode = {"embedding_mode": "external_trusted"}
    contract = {"embedding_contract_id": pipeline.contract_id}
    given = {"external_embeddings": json.dumps([vector])}
    refused(register(**given), 400, "unexpected_external_embedding")
    refused(register(**mode, **contract), 400, "missing_external_embeddings")
    refused(register(**mode, **given), 400, "missing_embedding_contract_id")
    other = {"embedding_contract_id": "other"}
    refused(register(**mode, **given, **other), 409, "embedding_contract_mismatch")
    for wrong in ("{", "{}", json.dumps([vector[:5]]), json.dumps([[2 * v for v in vector]]),
                  json.dumps([["x"] * len(vector)])):  # fmt: skip
        answer = register(**mode, **contract, external_embeddings=wrong)
        refused(answer, 400, "invalid_external_embeddings")
    two = {"external_embeddings": json.dumps([vector, vector])}
    refused(register(**mode, **contract, **two), 400, "external_embedding_count_mismatch")
    done = register(**mode, **contract, **given, id="ann").json()
    assert done["faces"][0]["embedding_source"] == "external_trusted"
    found = send(service, "POST", f"{office}/search", files={"image": face(4)}).json()
    assert found["matches"][0]["similarity"] > 0.999
    many = 16  # images that a request may have, by default
    text = json.dumps([vector] * many)
    assert len(text) > 64 * 1024
    all_of_them = send(service, "POST", url, files=images(*[face(1)] * many),
                       data={**mode, **contract, "external_embeddings": text})  # fmt: skip
    assert all_of_them.status_code == 201, all_of_them.text


def test_search(
    service: Client, office: str, face: FaceBytes, photo: Callable[[str], bytes], pipeline: Any
) -> None:
    name = office.split("/")[-1]
    empty = send(service, "POST", f"{office}/search", files={"image": face(4)}).json()
    assert empty["matches"] == []
    enrol(service, office, face(1), face(2), id="ann", name="Ann")
    enrol(service, office, face(3), id="bea")
    said = send(service, "POST", f"{office}/search", files={"image": face(4)}).json()
    (answer,) = pipeline.identify(face(4), service.gallery, name)
    assert said["threshold"] == pytest.approx(answer.decision.cosine_threshold, abs=1e-6)
    (match,) = said["matches"]
    assert (match["person"]["id"], match["person"]["name"]) == ("ann", "Ann")
    assert set(match["person"]) == PERSON
    assert match["similarity"] == pytest.approx(answer.candidates[0].cosine, abs=1e-6)
    assert {"bbox", "landmarks", "detection_score", "quality"} <= set(said["searched_face"])
    low = send(service, "POST", f"{office}/search", files={"image": face(4)},
               data={"threshold": "0", "limit": "1"}).json()  # fmt: skip
    assert low["threshold"] == 0 and len(low["matches"]) == 1
    no_face = {"image": photo("photos/misc/no_face.png")}
    refused(send(service, "POST", f"{office}/search", files=no_face), 422, "face_not_found")
    broken = send(service, "POST", f"{office}/search", files={"image": b"no picture"})
    refused(broken, 422, "invalid_image")
    overridden = send(service, "POST", f"{office}/search", files={"image": face(4)},
                      data={"face_selection": "largest"})  # fmt: skip
    refused(overridden, 400, "request_detection_override_not_supported")
    large = send(service, "POST", f"{office}/search", files={"image": b"x" * (17 * 2**20)})
    refused(large, 413, "image_too_large")
    service.services.looks.write(service.gallery)
    rows = Audit(service.gallery).find(verb="search.photo", collection=name)
    assert [len(row.details["found"]) for row in rows] == [1, 1, 0]


def test_photos(service: Client, face: FaceBytes, photo: Callable[[str], bytes]) -> None:
    group = {"image": photo("photos/group/friends.jpg")}
    faces = send(service, "POST", "/detect", files=group, data={"max_faces": "3"}).json()["faces"]
    sizes = [one["bbox"]["normalized"]["width"] * one["bbox"]["normalized"]["height"]
             for one in faces]  # fmt: skip
    assert len(faces) == 3 and sizes == sorted(sizes, reverse=True)
    no_face = {"image": photo("photos/misc/no_face.png")}
    assert send(service, "POST", "/detect", files=no_face).json()["faces"] == []
    scored = send(service, "POST", "/detect", files=no_face, data={"min_score": "0.5"})
    refused(scored, 400, "request_detection_override_not_supported")
    same = send(service, "POST", "/compare", files={"source": face(1), "target": face(4)}).json()
    assert same["matched"] and same["similarity"] >= same["threshold"] > 0.2
    strict = send(service, "POST", "/compare", files={"source": face(1), "target": face(4)},
                  data={"threshold": "1"}).json()  # fmt: skip
    assert not strict["matched"] and strict["threshold"] == 1
    nobody = send(
        service, "POST", "/compare", files={"source": face(1), "target": no_face["image"]}
    )
    refused(nobody, 422, "face_not_found")
    (one,) = send(service, "POST", "/embeddings", files={"image": face(1)}).json()["faces"]
    assert sum(v * v for v in one["embedding"]) == pytest.approx(1, abs=1e-4)

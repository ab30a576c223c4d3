"""Every refusal: its status, its stable code, one envelope, nothing changed."""

from __future__ import annotations

import io
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pil

from arcid import errors
from arcid.errors import ArcidError
from arcid.gallery import Gallery
from arcid.gallery.database import Database
from arcid.pipeline import Pipeline
from arcid.server.errors import STATUS, status_of

pytestmark = pytest.mark.data
FaceBytes = Callable[[int], bytes]
PhotoBytes = Callable[[str], bytes]
MISSING = "0" * 32


def family(kind: type[ArcidError]) -> list[type[ArcidError]]:
    """Without the client's, which are there once another test of this process loaded it."""
    children = [c for c in kind.__subclasses__() if not c.__module__.startswith("arcid.client")]
    return [kind, *(found for child in children for found in family(child))]


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == code
    assert body["error"]["message"] and body["request_id"] == answer.headers["X-Request-ID"]
    error: dict[str, Any] = body["error"]
    return error


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Pil.fromarray(np.zeros((height, width, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


class Failing:
    """A gallery whose every method raises; its database has no API key."""

    url = "none"

    def __init__(self, database: Database) -> None:
        self.error: Exception = RuntimeError()
        self.database = database

    def __getattr__(self, name: str) -> Any:
        def fail(*_: Any, **__: Any) -> Any:
            raise self.error

        return fail


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Failing]:
    with Gallery.open(tmp_path / "none.db") as empty:
        yield Failing(empty.database)


def test_every_error_class_has_its_status(start: Any, gallery: Failing) -> None:
    with start(gallery=gallery) as client:
        for kind in family(ArcidError):
            made: ArcidError
            if kind in (errors.Overloaded, errors.LockedOut):
                made = kind("full", retry_after_s=2.5)
            elif kind is errors.MissingExtra:
                made = errors.MissingExtra("this", "that")
            else:
                made = kind("what was wrong", number=np.inf if kind is errors.NotFound else 1)
            gallery.error = made
            answer = client.get("/v1/collections")
            refused(answer, status_of(made), kind.code)
            known = {
                errors.Overloaded: "3",
                errors.LockedOut: "3",
                errors.GalleryBusy: "1",
                errors.GalleryUnavailable: "5",
            }
            retry = next((after for of, after in known.items() if issubclass(kind, of)), None)
            assert answer.headers.get("Retry-After") == retry
            assert "Infinity" not in answer.text and "NaN" not in answer.text
    assert set(STATUS) <= set(family(ArcidError))


def test_unexpected_errors_tell_nothing_of_the_inside(
    start: Any, gallery: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    gallery.error = RuntimeError("INSERT INTO people VALUES ('Secret Name')")
    with caplog.at_level(logging.INFO), start(gallery=gallery) as client:
        answer = client.get("/v1/collections")
        error = refused(answer, 500, "internal_error")
        assert "Secret" not in answer.text and error["details"] == {}
        assert client.get("/metrics").status_code == 200, "the service goes on"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "image_unreadable"),
        (b"not an image at all", 400, "image_unreadable"),
        (png(8, 8), 422, "image_too_small"),
        (png(16, 20_001), 413, "image_too_large"),
    ],
)
@pytest.mark.parametrize("route", ["/v1/detect", "/v1/embeddings"])
def test_unusable_images(
    client: httpx.Client, route: str, data: bytes, status: int, code: str
) -> None:
    refused(client.post(route, files={"image": ("a.jpg", data)}), status, code)


def test_truncated_photo(client: httpx.Client, face: FaceBytes) -> None:
    cut = face(1)[:5000]
    refused(client.post("/v1/detect", files={"image": cut}), 400, "image_unreadable")


def test_bodies_that_are_not_what_the_route_takes(client: httpx.Client, face: FaceBytes) -> None:
    jpeg = {"Content-Type": "image/jpeg"}
    answer = client.post("/v1/detect", content=face(5), headers=jpeg)
    refused(answer, 415, "unsupported_media_type")
    refused(client.post("/v1/detect", data={"image": "x"}), 415, "unsupported_media_type")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(client.post("/v1/detect", content=b"--y\r\n", headers=broken), 400, "bad_request")
    refused(client.post("/v1/detect", files={"photo": face(5)}), 422, "validation_error")
    refused(client.post("/v1/detect", files={"image": (None, "text")}), 422, "validation_error")
    for body in (b"{", b'{"name": 1}', b'{"name": "x", "colour": 1}', b"[" * 100_000):
        answer = client.post(
            "/v1/collections", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422)
        refused(answer, answer.status_code, answer.json()["error"]["code"])


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    refused(client.get("/v2/detect"), 404, "route_not_found")
    refused(client.put("/v1/collections"), 405, "method_not_allowed")


def test_options_without_meaning(client: httpx.Client, face: FaceBytes) -> None:
    files = {"image": face(5)}
    error = refused(
        client.post("/v1/detect", data={"select": "tallest"}, files=files), 422, "validation_error"
    )
    assert error["details"]["problems"][0]["where"] == "body.select"
    pair = {"image_a": face(5), "image_b": face(6)}
    for fmr in ("0", "1", "nan", "-1", "x"):
        refused(client.post("/v1/compare", data={"fmr": fmr}, files=pair), 422, "validation_error")


def test_faces_that_are_not_there_or_too_many(
    client: httpx.Client, collection: str, face: FaceBytes, photo: PhotoBytes
) -> None:
    nobody, couple = photo("photos/misc/no_face.png"), photo("photos/group/couple.jpg")
    error = refused(
        client.post("/v1/compare", files={"image_a": face(1), "image_b": nobody}),
        422,
        "no_face_found",
    )
    assert error["details"]["image"] == 1
    enrol = f"{collection}/enrol"
    for image, code in ((nobody, "no_face_found"), (couple, "several_faces_found")):
        answer = client.post(
            enrol,
            data={"name": "Ann"},
            files=[("image", face(1)), ("image", image)],
        )
        assert refused(answer, 422, code)["details"]["image"] == 1
    assert client.get(collection).json()["people"] == 0, "all images or none"


def test_poor_quality_is_refused_unless_allowed(
    client: httpx.Client, collection: str, photo: PhotoBytes
) -> None:
    blurred = {"image": photo("photos/misc/blur.jpg")}
    answer = client.post(f"{collection}/enrol", data={"name": "Ann"}, files=blurred)
    error = refused(answer, 422, "quality_rejected")
    assert "blurred" in error["details"]["reasons"] and "blurred" in error["message"]
    assert client.get(collection).json()["people"] == 0
    allowed = client.post(
        f"{collection}/enrol", data={"name": "Ann", "require_quality": False}, files=blurred
    )
    assert allowed.status_code == 201


def test_what_is_not_there(client: httpx.Client, collection: str, face: FaceBytes) -> None:
    image = {"image": face(5)}
    gone = "/v1/collections/gone"
    for answer in (
        client.get(gone),
        client.delete(gone),
        client.patch(gone, json={}),
        client.get(f"{gone}/people"),
        client.get(f"{gone}/contracts"),
        client.post(f"{gone}/search", files=image),
        client.post(f"{gone}/enrol", data={"name": "A"}, files=image),
    ):
        refused(answer, 404, "collection_not_found")
    person = f"{collection}/people/{MISSING}"
    for answer in (
        client.get(person),
        client.delete(person),
        client.get(f"{person}/faces"),
        client.post(f"{person}/faces", files=image),
        client.post(f"{collection}/search/person", json={"person_id": MISSING}),
    ):
        refused(answer, 404, "person_not_found")
    lost = f"{collection}/faces/{MISSING}"
    for answer in (client.get(lost), client.delete(lost), client.get(f"{lost}/crop")):
        refused(answer, 404, "face_not_found")


def test_what_is_there_already(client: httpx.Client, collection: str, face: FaceBytes) -> None:
    name = collection.rpartition("/")[2]
    refused(client.post("/v1/collections", json={"name": name}), 409, "already_exists")
    assert client.post(f"{collection}/people", json={"name": "Ann"}).status_code == 201
    refused(client.post(f"{collection}/people", json={"name": "ANN "}), 409, "already_exists")
    form = {"name": "Ann"}
    photo = {"image": face(5)}
    assert client.post(f"{collection}/enrol", data=form, files=photo).status_code == 201
    answer = client.post(f"{collection}/enrol", data=form, files=photo)
    refused(answer, 409, "already_exists")
    assert client.get(collection).json()["faces"] == 1


def test_two_faces_of_a_photo_cannot_become_one_person(
    client: httpx.Client, collection: str, photo: PhotoBytes
) -> None:
    couple = photo("photos/group/couple.jpg")
    found = client.post("/v1/detect", files={"image": couple}).json()
    boxes = [f["box"] for f in found["faces"]]
    middle = found["width"] // 2
    assert sum((b["x1"] + b["x2"]) / 2 < middle for b in boxes) == 1
    people = []
    for select in ("largest", "center"):
        answer = client.post(
            f"{collection}/enrol",
            data={
                "name": select,
                "select": select,
                "require_quality": False,
                "allow_duplicate": True,
            },
            files={"image": couple},
        )
        assert answer.status_code == 201
        people.append(answer.json())
    ids = [p["person"]["id"] for p in people]
    merge = client.post(f"{collection}/people/{ids[0]}/merge", json={"other_id": ids[1]})
    refused(merge, 409, "same_photo_conflict")
    assert client.get(collection).json()["people"] == 2


def test_nobody_is_enrolled_twice_unless_that_is_allowed(
    client: httpx.Client, collection: str, face: FaceBytes
) -> None:
    ann = client.post(f"{collection}/enrol", data={"name": "Ann"}, files={"image": face(1)}).json()
    bea = client.post(f"{collection}/enrol", data={"name": "Bea"}, files={"image": face(3)}).json()
    images = [("image", ("a.jpg", face(20))), ("image", ("b.jpg", face(2)))]
    form = {"name": "Second Ann"}
    answer = client.post(f"{collection}/enrol", data=form, files=images)
    details = refused(answer, 409, "possible_duplicate")["details"]
    assert details["person_id"] == ann["person"]["id"]
    assert details["face_id"] == ann["faces"][0]["id"] and details["image"] == 1
    assert details["cosine"] > details["cosine_threshold"] and details["target_fpir"] == 0.01
    assert client.get(collection).json()["people"] == 2
    faces = f"{collection}/people/{bea['person']['id']}/faces"
    refused(client.post(faces, files={"image": face(2)}), 409, "possible_duplicate")
    answer = client.post(f"{collection}/enrol", data=form | {"allow_duplicate": True}, files=images)
    assert answer.status_code == 201 and answer.json()["person"]["faces"] == 2


def test_names_and_metadata(client: httpx.Client, collection: str) -> None:
    people = f"{collection}/people"
    refused(client.post(people, json={"name": " "}), 422, "bad_input")
    refused(client.post(people, json={"name": "a\nb"}), 422, "bad_input")
    refused(client.post(people, json={"name": "x" * 201}), 422, "validation_error")
    big = {"name": "Ann", "metadata": {"text": "x" * 20_000}}
    refused(client.post(people, json=big), 422, "bad_input")
    headers = {"Content-Type": "application/json"}
    for metadata in ('{"a": NaN}', '{"a": "\\ud800"}', '{"\\ud800": 1}', '{"a": 1e999}'):
        body = f'{{"name": "Ann", "metadata": {metadata}}}'
        assert client.post(people, content=body, headers=headers).status_code == 422
    refused(client.post("/v1/collections", json={"name": "a/b"}), 422, "validation_error")
    assert client.get(people).json()["people"] == []


def test_vectors_that_mean_nothing_here(
    client: httpx.Client, collection: str, pipeline: Pipeline
) -> None:
    route, dim = f"{collection}/search/embedding", pipeline.embedder.dim
    mine = pipeline.embedder.contract_id
    foreign = client.post(route, json={"vector": [1.0] * dim, "contract_id": "f" * 64})
    refused(foreign, 409, "contract_mismatch")
    short = client.post(route, json={"vector": [1.0] * (dim - 1), "contract_id": mine})
    refused(short, 422, "invalid_array")
    zero = client.post(route, json={"vector": [0.0] * dim, "contract_id": mine})
    refused(zero, 422, "invalid_array")
    text = json.dumps({"vector": [1.0] * dim, "contract_id": mine}).replace("1.0", "NaN", 1)
    nan = client.post(route, content=text, headers={"Content-Type": "application/json"})
    refused(nan, 422, "validation_error")
    assert "1.0, 1.0" not in nan.text, "what was sent is not sent back"


def test_rates_the_data_cannot_support(
    client: httpx.Client, collection: str, face: FaceBytes
) -> None:
    pair = {"image_a": face(5), "image_b": face(6)}
    error = refused(
        client.post("/v1/compare", data={"fmr": 1e-9}, files=pair), 422, "rate_unsupported"
    )
    assert 0 < error["details"]["smallest_supported_fmr"] < 1e-3
    client.post(f"{collection}/enrol", data={"name": "A"}, files={"image": face(5)})
    form: dict[str, Any] = {"fpir": 1e-8, "unsupported": "raise"}
    answer = client.post(f"{collection}/search", data=form, files={"image": face(6)})
    refused(answer, 422, "rate_unsupported")
    form["unsupported"] = "review"
    answer = client.post(f"{collection}/search", data=form, files={"image": face(6)})
    assert answer.json()["faces"][0]["decision"]["outcome"] == "review"


def test_without_a_calibration_nothing_is_decided(
    start: Any, pipeline: Pipeline, face: FaceBytes
) -> None:
    bare = Pipeline(pipeline.detector, pipeline.embedder)
    with start(models=bare) as client:
        pair = {"image_a": face(5), "image_b": face(6)}
        refused(client.post("/v1/compare", files=pair), 503, "calibration_missing")
        assert client.get("/v1/models").json()["models"][1]["calibration"] is None
        assert client.post("/v1/embeddings", files={"image": face(5)}).status_code == 200


def test_uploads_are_bounded(start: Any, face: FaceBytes) -> None:
    limits = {"max_upload_bytes": 100_000, "max_request_bytes": 150_000, "max_images": 2}
    with start(**limits, max_json_bytes=2000, max_image_pixels=100_000) as client:
        large = b"\xff\xd8" + bytes(120_000)
        error = refused(client.post("/v1/detect", files={"image": large}), 413, "image_too_large")
        assert error["details"]["max_bytes"] == 100_000

        def endless() -> Any:
            yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            for _ in range(1000):
                yield bytes(10_000)

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            answer = client.post("/v1/detect", content=endless(), headers=headers)
        except httpx.TransportError:
            pass  # the service may close the connection before all is sent
        else:
            refused(answer, 413, "image_too_large")
        small = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        small += bytes(3000) + b"\r\n--x--\r\n"
        headers = {"Content-Type": "Multipart/Form-Data; boundary=x"}
        refused(client.post("/v1/detect", content=small, headers=headers), 400, "image_unreadable")
        many = [("image", b"x")] * 3
        client.post("/v1/collections", json={"name": "c"})
        answer = client.post("/v1/collections/c/enrol", data={"name": "A"}, files=many)
        refused(answer, 400, "bad_request")
        body = {"name": "x", "metadata": {"a": "y" * 3000}}
        refused(client.post("/v1/collections", json=body), 413, "body_too_large")
        answer = client.post("/v1/detect", files={"image": face(12)})
        refused(answer, 413, "image_too_large")


def test_a_form_with_many_fields_is_no_error_of_the_service(client: httpx.Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": str(client.base_url)}
    form["Origin"] = form["Origin"].rstrip("/")
    answer = client.post("/console/set-up", content="a=b&" * 9, headers=form)
    refused(answer, 413, "body_too_large")


def test_photos_are_never_written_to_disk(
    client: httpx.Client, face: FaceBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_disk(*_: Any, **__: Any) -> Any:
        raise AssertionError("a temporary file was opened")

    monkeypatch.setattr(tempfile, "TemporaryFile", on_disk)
    large = face(1)
    assert len(large) > 2 * 2**20
    assert client.post("/v1/detect", files={"image": large}).status_code == 200

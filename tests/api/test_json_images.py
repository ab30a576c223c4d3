"""Photos as base64 in JSON: wherever a form takes one, with the same answers and limits."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pil
from tests.serving import Client, running
from tests.toys import picture

from arcid.pipeline import Pipeline
from arcid.server.settings import Settings


def png(*columns: int) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(picture(*columns)).save(out, "PNG")
    return out.getvalue()


def text(*columns: int) -> str:
    return base64.b64encode(png(*columns)).decode()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def staff(toys: Client, request: pytest.FixtureRequest) -> str:
    name = request.node.name[:60]
    toys.gallery.create_collection(name)
    return f"/v1/collections/{name}"


def test_every_route_answers_as_it_does_to_a_form(toys: Client, staff: str) -> None:
    loose = {"require_quality": False}
    made = toys.post(f"{staff}/enrol", json={"name": "Ann", "image": [text(1)], **loose})
    assert made.status_code == 201, made.text
    person = made.json()["person"]["id"]
    both = {"image_a": text(1), "image_b": text(0)}, {"image_a": png(1), "image_b": png(0)}
    for path, sent, files in (
        ("/v1/detect", {"image": text(0, 2)}, {"image": png(0, 2)}),
        ("/v1/embeddings", {"image": text(0, 2)}, {"image": png(0, 2)}),
        ("/v1/compare", *both),
        (f"{staff}/search", {"image": text(0, 2), "k": 1}, {"image": png(0, 2)}),
        (f"{staff}/people/{person}/verify", {"image": text(1)}, {"image": png(1)}),
    ):
        as_json, as_form = toys.post(path, json=sent), toys.post(path, files=files)
        assert as_json.status_code == as_form.status_code == 200, (path, as_json.text)
        assert as_json.json() == as_form.json(), path
    more = {"image": {"data": text(0), "name": "second.png"}, "aligned": None, **loose}
    added = toys.post(f"{staff}/people/{person}/faces", json=more)
    assert added.status_code == 201 and added.json()["faces"][0]["source"] == "second.png"


def test_what_a_picture_may_look_like(toys: Client) -> None:
    plain = text(1)
    wrapped = "\n".join(plain[i : i + 76] for i in range(0, len(plain), 76))
    for image in (plain, wrapped, f"data:image/png;base64,{plain}", {"data": plain}, [plain]):
        answer = toys.post("/v1/detect", json={"image": image})
        assert answer.status_code == 200 and len(answer.json()["faces"]) == 1, answer.text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"image": "not base64!"}, (400, "image_unreadable")),
        ({"image": "QUJD"}, (400, "image_unreadable")),
        ({"image": ""}, (422, "validation_error")),  # as a form where no file was chosen
        ({"image": {"data": "", "name": "a.jpg"}}, (400, "image_unreadable")),
        ({"image": 5}, (422, "validation_error")),
        ({"image": {}}, (422, "validation_error")),
        ({"image": {"data": "QUJD", "url": "https://a.example/b"}}, (422, "validation_error")),
        ({"image": {"url": "https://a.example/b.jpg"}}, (422, "address_refused")),
        ({"image": ["QUJD", "QUJD"]}, (422, "repeated_field")),
        ({"image": "QUJD", "pick": "all"}, (422, "validation_error")),
        ({"image": text(1), "select": "best"}, (422, "validation_error")),
        ({"image": text(1), "select": {"a": 1}}, (422, "validation_error")),
        ({"image": text(1), "select": "a" * 100_000}, (400, "bad_request")),
        ({}, (422, "validation_error")),
        ([], (422, "validation_error")),
    ],
)
def test_what_it_may_not(toys: Client, body: Any, expected: tuple[int, str]) -> None:
    answer = toys.post("/v1/detect", json=body)
    assert problem(answer) == expected, answer.text


def test_a_body_that_is_no_json(toys: Client) -> None:
    for raw in ("", "{", "[" * 100_000, '{"image": "\\ud800"}', b"\xff\xfe\x00"):
        head = {"Content-Type": "application/json; charset=utf-8"}
        answer = toys.post("/v1/detect", content=raw, headers=head)
        assert problem(answer)[1] in ("bad_request", "image_unreadable") and (
            answer.status_code == 400
        )


def test_the_limits_are_those_of_a_form(toy: Pipeline, tmp_path: Any) -> None:
    settings = Settings.load(
        database=str(tmp_path / "gallery.db"), max_upload_bytes=30_000, max_request_bytes=60_000,
        max_json_bytes=2_000, max_images=2, max_image_pixels=40_000,
    )  # fmt: skip
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    out = io.BytesIO()
    Pil.fromarray(noise).save(out, "PNG")
    large = base64.b64encode(out.getvalue()).decode()
    assert 2_000 < len(large) < 60_000
    with running(settings, toy, None) as client:
        assert client.post("/v1/detect", json={"image": large}).status_code == 200
        plain = client.post("/v1/collections", json={"name": "c", "metadata": {"a": "x" * 3000}})
        assert problem(plain) == (413, "body_too_large")
        over = base64.b64encode(bytes(31_000)).decode()
        answer = client.post("/v1/detect", json={"image": over})
        assert problem(answer) == (413, "image_too_large")
        assert answer.json()["error"]["details"]["max_bytes"] == 30_000
        answer = client.post("/v1/detect", json={"image": "A" * 61_000})
        assert problem(answer) == (413, "image_too_large")
        assert answer.json()["error"]["details"]["max_bytes"] == 60_000
        wide = io.BytesIO()
        Pil.new("RGB", (300, 200)).save(wide, "PNG")
        answer = client.post(
            "/v1/detect", json={"image": base64.b64encode(wide.getvalue()).decode()}
        )
        assert problem(answer) == (413, "image_too_large")
        client.post("/v1/collections", json={"name": "c"})
        three = {"name": "Ann", "image": [text(1)] * 3}
        answer = client.post("/v1/collections/c/enrol", json=three)
        assert problem(answer) == (400, "bad_request")
        two = {"name": "Ann", "image": [text(1), "!"], "require_quality": False}
        answer = client.post("/v1/collections/c/enrol", json=two)
        assert problem(answer) == (400, "image_unreadable")
        assert answer.json()["error"]["details"]["image"] == 1

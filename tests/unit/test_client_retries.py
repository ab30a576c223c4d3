"""What the client sends again and what it does not, and how errors and answers are told."""

from __future__ import annotations

import asyncio
import json
import pickle
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from arcid import errors
from arcid.client import (
    OMIT,
    AsyncClient,
    Client,
    Retries,
    ServiceError,
    ServiceFailed,
    TooMany,
    UnexpectedAnswer,
    Unreachable,
)
from arcid.client.photos import uploads
from arcid.client.retrying import _retry_after_s

AT = "2026-03-02T12:00:00Z"
PERSON = {"id": "1", "collection": "staff", "name": "Ann", "metadata": {}, "faces": 0}
PERSON |= {"created_at": AT, "updated_at": AT}
Step = httpx.Response | Exception


def told(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"error": {"code": code, "message": "no", "details": {}}, "request_id": "r1"}
    return httpx.Response(status, json=body, headers=headers)


class Flaky:
    """Answers step by step, the last of them for ever, and keeps what was asked."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.asked.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been waited."""
    waited: list[float] = []

    async def later(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("arcid.client.sending.time.sleep", waited.append)
    monkeypatch.setattr("arcid.client.sending.asyncio.sleep", later)
    return waited


def client(flaky: Callable[[httpx.Request], httpx.Response], **options: Any) -> Client:
    return Client("http://faces.example", transport=httpx.MockTransport(flaky), **options)


GOOD = httpx.Response(200, json={"collections": [], "next": None})
ENROLLED = httpx.Response(201, json={"person": PERSON, "faces": [], "results": []})
RESET = httpx.ReadError("reset")
REFUSED = httpx.ConnectError("refused")
BUSY = told(503, "gallery_busy", {"Retry-After": "1"})


def ask(arcid: Client, operation: str) -> Any:
    calls: dict[str, Callable[[], Any]] = {
        "list": arcid.list_collections,
        "enrol": lambda: arcid.enrol("staff", "Ann", b"photo"),
        "search": lambda: arcid.search_embedding("staff", [1.0, 0.0], "c1"),
        "create": lambda: arcid.add_person("staff", "Ann"),
        "put": lambda: arcid.put_on_watchlist("list", "1"),
        "delete": lambda: arcid.delete_camera("1"),
    }
    return calls[operation]()


@pytest.mark.parametrize(
    ("operation", "step", "again"),
    [
        ("list", RESET, True),
        ("list", httpx.ReadTimeout("late"), True),
        ("list", BUSY, True),
        ("list", httpx.Response(502, text="bad gateway"), True),
        ("list", httpx.Response(504, text="late"), True),
        ("list", told(503, "model_not_found"), False),
        ("list", told(500, "internal_error"), False),
        ("list", told(404, "collection_not_found"), False),
        ("search", RESET, True),
        ("put", RESET, True),
        ("delete", RESET, True),
        ("enrol", RESET, True),
        ("enrol", httpx.Response(502, text="bad gateway"), True),
        ("enrol", told(409, "possible_duplicate"), False),
        ("create", RESET, False),
        ("create", httpx.Response(502, text="bad gateway"), False),
        ("create", httpx.ReadTimeout("late"), False),
        ("create", REFUSED, True),
        ("create", told(429, "overloaded", {"Retry-After": "1"}), True),
        ("create", told(429, "rate_limited", {"Retry-After": "1"}), True),
        ("create", BUSY, True),
        ("create", told(429, "locked_out", {"Retry-After": "1"}), False),
        ("list", told(429, "too_many_attempts", {"Retry-After": "1"}), False),
    ],
)
def test_sent_again_is_only_what_may_be(
    operation: str, step: Step, again: bool, waits: list[float]
) -> None:
    flaky = Flaky(step)
    with client(flaky, retries=3) as arcid, pytest.raises(errors.ArcidError):
        ask(arcid, operation)
    assert len(flaky.asked) == (4 if again else 1)
    assert len(waits) == len(flaky.asked) - 1


def test_what_is_sent_again_is_the_same_request(waits: list[float]) -> None:
    flaky = Flaky(RESET, BUSY, ENROLLED)
    with client(flaky) as arcid:
        assert arcid.enrol("staff", "Ann", [b"one", b"two"]).person.name == "Ann"
    keys = {request.headers["Idempotency-Key"] for request in flaky.asked}
    assert len(flaky.asked) == 3 and len(keys) == 1 and len(keys.pop()) == 32
    for request in flaky.asked:
        assert request.content.count(b'name="image"') == 2 and b"two" in request.content
    flaky = Flaky(ENROLLED)
    with client(flaky) as arcid:
        arcid.enrol("staff", "Ann", b"one", idempotency_key="mine")
        arcid.enrol("staff", "Ann", b"one")
        arcid.enrol("staff", "Ann", b"one")
    own, first, second = (request.headers["Idempotency-Key"] for request in flaky.asked)
    assert own == "mine" and first != second


def test_waits_double_are_spread_and_follow_the_service(waits: list[float]) -> None:
    with client(Flaky(RESET), retries=Retries(5, first_wait_s=1, longest_wait_s=6)) as arcid:
        with pytest.raises(Unreachable, match=r"faces\.example: reset"):
            arcid.list_collections()
        for waited, most in zip(waits, (1, 2, 4, 6, 6), strict=True):
            assert most / 2 <= waited <= most
        assert len({waited % 1 for waited in waits}) == 5
    waits.clear()
    with client(Flaky(told(429, "overloaded", {"Retry-After": "7"}), GOOD)) as arcid:
        arcid.list_collections()
    assert len(waits) == 1 and 7 <= waits[0] <= 7.25
    waits.clear()
    patient = Flaky(told(429, "overloaded", {"Retry-After": "31"}))
    with client(patient) as arcid, pytest.raises(TooMany):
        arcid.list_collections()
    assert waits == [] and len(patient.asked) == 1


def test_retry_after_may_be_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    told_s = _retry_after_s(httpx.Response(503, headers={"Retry-After": at}))
    assert 18 <= told_s <= 20
    for nonsense in ("", "soon", "-1"):
        assert _retry_after_s(httpx.Response(503, headers={"Retry-After": nonsense})) == 0


def test_the_asynchronous_client_tries_as_often(waits: list[float]) -> None:
    async def asked(flaky: Flaky) -> Any:
        transport = httpx.MockTransport(flaky)
        async with AsyncClient("http://faces.example", transport=transport) as arcid:
            await arcid.enrol("staff", "Ann", b"photo")
            await arcid.add_person("staff", "Ann")

    flaky = Flaky(RESET, BUSY, ENROLLED, RESET)
    with pytest.raises(Unreachable):
        asyncio.run(asked(flaky))
    assert len(flaky.asked) == 4 and len(waits) == 2


def test_refusals_are_the_library_s_and_the_client_s() -> None:
    arcid = client(Flaky(told(422, "no_face_found")))
    with arcid, pytest.raises(errors.NoFaceFound) as refused:
        arcid.detect(b"photo")
    error = refused.value
    assert isinstance(error, ServiceError) and isinstance(error, errors.InputError)
    assert (error.status, error.code, error.request_id) == (422, "no_face_found", "r1")
    again = pickle.loads(pickle.dumps(error))
    assert (
        type(again) is type(error)
        and str(again) == str(error) == "no (422 no_face_found, request r1)"
    )
    arcid = client(Flaky(told(500, "of_tomorrow")))
    with arcid, pytest.raises(ServiceFailed) as refused_later:
        arcid.system()
    assert refused_later.value.code == "of_tomorrow"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(200, json={"collections": [{"name": "Ann Secret"}]}),
        httpx.Response(404, text="not found"),
        httpx.Response(307, headers={"Location": "https://elsewhere.example/"}),
    ],
)
def test_what_is_no_answer_of_arcid_is_told_without_what_it_holds(answer: httpx.Response) -> None:
    flaky = Flaky(answer)
    with client(flaky) as arcid, pytest.raises(UnexpectedAnswer) as unexpected:
        arcid.list_collections()
    assert "Ann" not in str(unexpected.value) and len(flaky.asked) == 1
    assert unexpected.value.__cause__ is None


def test_an_answer_of_a_newer_service_is_read() -> None:
    page: dict[str, Any] = {"collections": [], "next": None, "of_tomorrow": 1}
    with client(Flaky(httpx.Response(200, json=page))) as arcid:
        assert arcid.list_collections().collections == []
    health = {"status": "of_tomorrow", "version": "9", "gallery_seen_s": 0.1}
    with client(Flaky(httpx.Response(200, json=health))) as arcid:
        assert arcid.health().status == "of_tomorrow"


def test_left_out_is_not_null_and_no_id_leads_to_another_route() -> None:
    flaky = Flaky(httpx.Response(200, json=PERSON))
    with client(flaky) as arcid:
        arcid.change_person("staff", "1", name="Ann", metadata=OMIT)
        arcid.get_person("staff ü%2F", "a?b")
        for name in ("..", "", "people/1", "people\\1", "../../keys"):
            with pytest.raises(errors.ConfigError):
                arcid.delete_collection(name)
    assert json.loads(flaky.asked[0].content) == {"name": "Ann"}
    path = b"/v1/collections/staff%20%C3%BC%252F/people/a%3Fb"
    assert [request.url.raw_path for request in flaky.asked[1:]] == [path]


ADDRESSES = ["ftp://a", "a", "", "http://u:p@a", "http://a:b", "http://[::1", "http://\0"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_that_is_none_is_refused(kind: Any, address: str) -> None:
    with pytest.raises(errors.ConfigError, match="the address is http://HOST"):
        kind(address)


def test_what_cannot_be_sent_or_read_is_an_error_of_the_client() -> None:
    def coded(_: httpx.Request) -> httpx.Response:
        coding = {"Content-Encoding": "gzip"}
        return httpx.Response(200, headers=coding, stream=httpx.ByteStream(b"{}"))

    async def apart() -> None:
        async with AsyncClient("http://a", transport=httpx.MockTransport(coded)) as arcid:
            with pytest.raises(UnexpectedAnswer, match="cannot be decoded"):
                await arcid.list_collections()
            with pytest.raises(errors.ConfigError, match="too long"):
                await arcid.list_people("staff", search="a" * 100_000)

    asyncio.run(apart())
    with client(coded) as arcid:
        with pytest.raises(UnexpectedAnswer, match="cannot be decoded"):
            arcid.list_collections()
        with pytest.raises(errors.ConfigError, match="too long"):
            arcid.list_people("staff", search="a" * 100_000)
        for key in ("ü", "a b", "a\n"):
            with pytest.raises(errors.ConfigError, match="Idempotency-Key"):
                arcid.enrol("staff", "Ann", b"photo", idempotency_key=key)


def test_pages_are_followed_to_the_last() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after")
        assert request.url.params["limit"] == "1" and "search" not in request.url.params
        following = {None: "b", "b": "c", "c": None}[after]
        return httpx.Response(
            200, json={"people": [PERSON | {"id": after or "a"}], "next": following}
        )

    with client(page) as arcid:
        assert [p.id for p in arcid.iter_people("staff", limit=1)] == ["a", "b", "c"]


def test_photos_are_paths_bytes_files_and_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from arcid.image import load_image

    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15] = (200, 100, 0)
    path = tmp_path / "ann.png"
    Image.fromarray(pixels).save(path)
    with path.open("rb") as opened:
        sent = uploads([path, str(path), path.read_bytes(), opened, pixels])
    assert [name for name, _ in sent] == ["ann.png", "ann.png", "photo", "photo", "photo.png"]
    for _, content in sent:
        assert np.array_equal(load_image(content), pixels)
    with pytest.raises(errors.ImageUnreadable, match="No such file"):
        uploads(tmp_path / "none.jpg")
    with pytest.raises(errors.ImageUnreadable, match="not int"):
        uploads(7)
    for wrong in (pixels[:, :, 0], pixels.astype(np.float32)):
        with pytest.raises(errors.InvalidArray, match=r"\(H, W, 3\) uint8 RGB"):
            uploads(wrong)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(errors.MissingExtra, match=r"arcid\[client\]"):
        uploads(pixels)


def test_a_large_file_is_read_as_it_is_sent_each_time_from_its_beginning(
    tmp_path: Path, waits: list[float]
) -> None:
    path = tmp_path / "photos.zip"
    path.write_bytes(bytes(range(256)) * 9000)
    made = httpx.Response(201, json={"id": "u1", "bytes": path.stat().st_size})
    flaky = Flaky(told(429, "overloaded", {"Retry-After": "1"}), made)

    async def later() -> str:
        transport = httpx.MockTransport(flaky)
        async with AsyncClient("http://faces.example", transport=transport) as arcid:
            return (await arcid.upload_for_job(path)).id

    with client(flaky) as arcid:
        assert arcid.upload_for_job(str(path)).id == "u1"
        with pytest.raises(errors.InputError, match="No such file"):
            arcid.upload_for_job(tmp_path / "none.zip")
    assert asyncio.run(later()) == "u1"
    assert len(flaky.asked) == 3
    for request in flaky.asked:
        assert request.headers["Content-Length"] == str(path.stat().st_size)
        assert "Transfer-Encoding" not in request.headers
        assert request.content == path.read_bytes()


def test_addresses_keys_and_certificates() -> None:
    for wrong in ("faces.example", "ftp://faces.example", "https://user:word@faces.example", ""):
        with pytest.raises(errors.ConfigError):
            Client(wrong)
    with pytest.raises(errors.ConfigError) as refused:
        Client("https://faces.example", key="line\nbreak")
    assert "line" not in str(refused.value)
    flaky = Flaky(GOOD)
    with Client(
        "https://faces.example/under/",
        key="k1",
        verify=ssl.create_default_context(),
        transport=httpx.MockTransport(flaky),
    ) as arcid:
        arcid.list_collections(limit=5)
    assert str(flaky.asked[0].url) == "https://faces.example/under/v1/collections?limit=5"
    assert flaky.asked[0].headers["Authorization"] == "Bearer k1"
    assert repr(arcid) == "Client('https://faces.example/under')"

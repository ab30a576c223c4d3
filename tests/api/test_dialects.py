"""What stands before every route is told in each protocol's own shape."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx
import pytest
from tests.serving import Client, StartService

from arcid.gallery import Gallery
from arcid.server.throttle import FREE_TRIES

pytestmark = pytest.mark.data
ALL = "compreface,rekognition,insightface-server"
BOOT = "correct-horse-battery"


class Spoken(NamedTuple):
    """A protocol's question about everybody, and what its refusals say."""

    method: str
    path: str
    headers: dict[str, str]
    key: tuple[str, str]  # header, what stands before the key


SPOKEN = {
    "arcid": Spoken("GET", "/v1/collections", {}, ("authorization", "Bearer ")),
    "compreface": Spoken("GET", "/api/v1/recognition/subjects", {}, ("x-api-key", "")),
    "rekognition": Spoken(
        "POST", "/compat/rekognition", {"x-amz-target": "RekognitionService.ListCollections"},
        ("x-amz-security-token", ""),
    ),
    "insightface-server": Spoken(
        "GET", "/compat/insightface-server/v1/collections", {}, ("authorization", "Bearer ")
    ),
}  # fmt: skip


def ask(client: Client, name: str, key: str | None, **headers: str) -> httpx.Response:
    spoken = SPOKEN[name]
    if key is not None:
        header, before = spoken.key
        headers[header] = before + key
    return client.request(
        spoken.method, spoken.path, headers=spoken.headers | headers, content=b"{}"
    )


def told(answer: httpx.Response, name: str) -> Any:
    """The code or exception of a refusal, in the protocol's shape."""
    body = answer.json()
    if name == "compreface":
        assert set(body) == {"message", "code"}
        return body["code"]
    if name == "rekognition":
        assert set(body) == {"__type", "Message"}
        return body["__type"]
    assert set(body) == {"error", "request_id"}
    return body["error"]["code"]


def test_who_guesses_keys_waits_whatever_they_speak(start: StartService) -> None:
    with start(api_keys=BOOT, compat=ALL) as client:
        for _ in range(FREE_TRIES):
            assert ask(client, "compreface", "wrong").status_code == 404
        waits = {name: ask(client, name, BOOT) for name in SPOKEN}
        assert {name: (one.status_code, told(one, name)) for name, one in waits.items()} == {
            "arcid": (429, "too_many_attempts"),
            "compreface": (429, 0),
            "rekognition": (500, "ThrottlingException"),
            "insightface-server": (429, "too_many_attempts"),
        }
        assert all(int(one.headers["retry-after"]) > 1 for one in waits.values())


def test_without_keys_only_this_machine_is_answered(start: StartService) -> None:
    with start(compat=ALL) as client:
        for name in SPOKEN:
            assert ask(client, name, None).status_code == 200, name
        foreign = {name: ask(client, name, None, origin="https://evil.example") for name in SPOKEN}
        assert {name: (one.status_code, told(one, name)) for name, one in foreign.items()} == {
            "arcid": (403, "origin_refused"),
            "compreface": (403, 0),
            "rekognition": (400, "AccessDeniedException"),
            "insightface-server": (403, "origin_refused"),
        }


def test_a_fault_of_ours_is_told_as_one(
    start: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(compat=ALL) as client:
        ask(client, "compreface", None)  # makes its collection

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("secret")

        monkeypatch.setattr(Gallery, "collections", broken)
        monkeypatch.setattr(Gallery, "everybody", broken)
        faults = {name: ask(client, name, None) for name in SPOKEN}
        assert {name: (one.status_code, told(one, name)) for name, one in faults.items()} == {
            "arcid": (500, "internal_error"),
            "compreface": (500, 0),
            "rekognition": (500, "InternalServerError"),
            "insightface-server": (500, "internal_error"),
        }
        assert not any("secret" in one.text for one in faults.values())

"""The review queue over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from arcid.events import Place, Question, Sightings
from arcid.gallery import Gallery
from arcid.types import Embeddings, Match

pytestmark = pytest.mark.data
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def people(client: httpx.Client, collection: str) -> dict[str, str]:
    made = {}
    for name in ("Ann", "Ben"):
        made[name] = client.post(f"{collection}/people", json={"name": name}).json()["id"]
    return made


@pytest.fixture
def doubt(gallery: Gallery, collection: str, people: dict[str, str]) -> Callable[[int], str]:
    """As a camera writes it, straight into the gallery that the service runs on."""

    def write(seed: int) -> str:
        rng = np.random.default_rng(seed)
        face = Embeddings.normalised(rng.standard_normal((1, 32)), "c" * 64)
        question = Question(
            [Match(key, name, 0.4, "f", 1) for name, key in people.items()], None, 0.01
        )
        (event,) = Sightings(gallery).visitor(
            collection.rsplit("/", 1)[1], Place("door", "door"), NOON, NOON, str(seed),
            cooldown_s=60, alike=0.5, grounds={"reason": "a human decides"}, vector=face,
            crop=rng.integers(0, 255, (112, 112, 3), np.uint8), question=question,
        )  # fmt: skip
        return event.id

    return write


def test_a_doubtful_face_is_listed_shown_answered_and_taken_back(
    client: httpx.Client, collection: str, people: dict[str, str], doubt: Callable[[int], str]
) -> None:
    first, second = doubt(1), doubt(2)
    url = f"{collection}/reviews"
    page = client.get(url, params={"limit": 1}).json()
    assert [r["id"] for r in page["reviews"]] == [second] and page["waiting"] == 2
    page = client.get(url, params={"limit": 1, "after": page["next"]}).json()
    assert [r["id"] for r in page["reviews"]] == [first] and page["next"] is None
    events = client.get(f"{collection}/attendance/events", params={"kind": "review"}).json()
    assert {event["id"] for event in events["events"]} == {first, second}

    one = client.get(f"{url}/{first}").json()
    assert (one["state"], one["event"]["kind"], one["picture_kept"]) == ("open", "review", True)
    assert [c["name"] for c in one["candidates"]] == ["Ann", "Ben"]
    picture = client.get(f"{url}/{first}/face")
    assert picture.headers["content-type"] == "image/png" and picture.content[:4] == b"\x89PNG"

    yes = {"answer": "yes", "person_id": people["Ann"], "actor": "op"}
    done = client.post(f"{url}/{first}/answer", json=yes)
    assert done.status_code == 200, done.text
    assert done.json()["event"]["name"] == "Ann" and done.json()["state"] == "yes"
    assert client.post(f"{url}/{first}/answer", json=yes).json() == done.json()
    other = client.post(f"{url}/{first}/answer", json={"answer": "no", "actor": "op 2"})
    assert other.status_code == 409 and other.json()["error"]["code"] == "review_answered"
    assert other.json()["error"]["details"]["actor"] == "op (local)"
    present = client.get(f"{collection}/attendance/present").json()["present"]
    assert [stay["name"] for stay in present] == ["Ann"]

    undo = {"answer_id": done.json()["answer_id"], "actor": "op 2"}
    assert client.post(f"{url}/{first}/undo", json=undo).json()["state"] == "open"
    assert client.post(f"{url}/{first}/undo", json=undo).json()["state"] == "open"
    assert client.get(f"{collection}/attendance/present").json()["present"] == []
    settled = client.get(url, params={"state": ["yes", "no"]}).json()
    assert settled["reviews"] == [] and settled["waiting"] == 2


def test_what_is_wrong_is_said(
    client: httpx.Client, collection: str, people: dict[str, str], doubt: Callable[[int], str]
) -> None:
    url = f"{collection}/reviews"
    assert client.get(f"{url}/{'0' * 32}").json()["error"]["code"] == "event_not_found"
    bad = [
        {"answer": "yes", "actor": "op"},
        {"answer": "no", "person_id": people["Ann"], "actor": "op"},
        {"answer": "perhaps", "actor": "op"},
        {"answer": "no", "actor": "x" * 201},
    ]
    event = doubt(3)
    for body in bad:
        assert client.post(f"{url}/{event}/answer", json=body).status_code == 422, body
    assert client.post(f"{url}/{event}/undo", json={"actor": "op"}).status_code == 422

"""Who is enrolled twice, over HTTP: a run in the background, answers, and taking them back."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import httpx
import numpy as np
import pytest
from starlette.requests import Request
from tests.serving import Client

from arcid.apps.duplicates import VIEW, comparing
from arcid.events import Events
from arcid.events.audit import Audit
from arcid.gallery import Gallery, NewFace
from arcid.gallery.index import pairs
from arcid.pipeline import Pipeline
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages.duplicates_export import exported
from arcid.server.errors import HttpError
from arcid.types import Embeddings

pytestmark = pytest.mark.data
ACTOR = {"actor": "op"}


@pytest.fixture
def people(gallery: Gallery, collection: str, pipeline: Pipeline) -> str:
    """Twenty people, three of them under a second name; the collection's name."""
    name = collection.rsplit("/", 1)[1]
    rows = np.random.default_rng(3).standard_normal((23, 128))
    rows[20:] = rows[:3] + rows[20:] / 3
    for i, row in enumerate(rows):
        vector = Embeddings.normalised(row[None], pipeline.embedder.contract_id)
        gallery.enrol(name, f"person {i}" if i < 20 else f"again {i - 20}", [NewFace(vector)])
    return name


def ended(client: httpx.Client, url: str) -> dict[str, Any]:
    for _ in range(600):
        run: dict[str, Any] = client.get(url).json()
        if run["state"] in ("done", "stopped", "failed"):
            return run
        time.sleep(0.05)
    raise AssertionError("the run did not end")


def test_from_a_run_to_one_person_and_back(
    client: httpx.Client, collection: str, people: str, gallery: Gallery
) -> None:
    url = f"{collection}/duplicates"
    asked = client.post(f"{url}/runs", json={"false_pairs": 0.01, **ACTOR})
    assert asked.status_code == 202, asked.text
    run = ended(client, f"{url}/runs/{asked.json()['id']}")
    assert (run["state"], run["pairs"], run["comparisons"], run["share"]) == ("done", 3, 253, 1.0)
    assert run["promise"].startswith("at most 0.01 false pairs expected in 253 comparisons")
    assert [r["id"] for r in client.get(f"{url}/runs").json()["runs"]] == [run["id"]]

    page = client.get(f"{url}/pairs", params={"limit": 2}).json()
    rest = client.get(f"{url}/pairs", params={"limit": 2, "after": page["next"]}).json()
    pairs = page["pairs"] + rest["pairs"]
    assert page["waiting"] == 3 and len(pairs) == 3 and rest["next"] is None
    assert sorted(p["cosine"] for p in pairs) == [p["cosine"] for p in pairs][::-1]
    first = pairs[0]
    assert client.get(f"{url}/pairs/{first['id']}").json() == first
    assert len(client.get(f"{url}/groups").json()["groups"]) == 3
    text = client.get(f"{url}/export")
    assert text.headers["content-type"].startswith("text/csv")
    assert [r["pair"] for r in csv.DictReader(text.text.splitlines())] == [p["id"] for p in pairs]
    assert client.get(f"{url}/export", params={"format": "json"}).json() == pairs

    same = {"answer": "same", "keep_id": first["b"]["person_id"], **ACTOR}
    said = client.post(f"{url}/pairs/{first['id']}/answer", json=same)
    assert said.status_code == 200, said.text
    gone = client.get(f"{collection}/people/{first['a']['person_id']}")
    assert gone.status_code == 404
    assert client.get(f"{url}/answers").json()["answers"] == [said.json()]
    undone = client.post(f"{url}/answers/{said.json()['id']}/undo", json=ACTOR)
    assert undone.status_code == 200 and undone.json()["missing_faces"] == 0
    back = client.get(f"{collection}/people/{first['a']['person_id']}").json()
    assert (back["name"], back["faces"]) == (first["a"]["name"], 1)
    again = f"{url}/pairs/{undone.json()['pair_id']}/answer"
    assert client.post(again, json={"answer": "lookalike", **ACTOR}).status_code == 200
    other = client.post(again, json={"answer": "same", **ACTOR})
    assert other.status_code == 409 and other.json()["error"]["code"] == "review_answered"
    assert client.get(f"{url}/pairs").json()["waiting"] == 2
    (event,) = Events(gallery).find(people, kinds=["duplicate"])
    assert event.grounds["details"]["run_id"] == run["id"]
    for _ in range(100):  # looks are written soon
        looks = {row.subject for row in Audit(gallery).find(collection=people, verb=VIEW)}
        if len(looks) == 5:
            break
        time.sleep(0.05)
    assert looks == {
        "duplicates:list", "duplicates:groups", "duplicates:export", "duplicates:answers",
        f"pair:{first['id']}"
    }  # fmt: skip
    assert client.delete(f"{url}/runs/{run['id']}").status_code in (202, 204)
    assert client.get(f"{url}/pairs", params={"state": "open"}).json()["pairs"] == []


def test_what_is_not_there_is_not_looked_at(client: Client, collection: str) -> None:
    paths = ("pairs", "pairs/none", "answers", "groups", "export")
    for path in paths:
        for name, status in (("%20", 422), ("%C2%85", 422), ("nowhere", 404)):
            url = f"/v1/collections/{name}/duplicates/{path}"
            assert client.get(url).status_code == status, url
    assert client.get(f"{collection}/duplicates/pairs/none").status_code == 404
    seen: list[str] = []

    class Console:
        gallery = client.gallery

        def looked(self, verb: str, subject: str, name: str) -> None:
            seen.append(name)

        async def run(self, call: Callable[[], str]) -> str:
            return call()

    name = collection.rsplit("/", 1)[1]
    for asked in ("%20", "nowhere", name):
        scope = {"type": "http", "query_string": f"collection={asked}".encode(), "headers": []}
        with nullcontext() if asked == name else pytest.raises(HttpError):
            asyncio.run(exported(Request(scope), cast(ConsoleContext, Console())))
    assert seen == [name]
    client.services.looks.write(client.gallery)
    assert not [row for row in Audit(client.gallery).find(verb=VIEW) if "none" in row.subject]
    assert all(row.collection_id for row in Audit(client.gallery).find(verb=VIEW))


def test_a_run_is_stopped_and_goes_on(
    client: httpx.Client, collection: str, people: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{collection}/duplicates/runs"
    whole = pairs.reaching

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(1)
        return whole(*args, **options)

    monkeypatch.setattr(comparing, "reaching", slow)
    run = client.post(url, json={"false_pairs": 0.01, **ACTOR}).json()
    stopped = client.post(f"{url}/{run['id']}/stop").json()
    assert (stopped["state"], stopped["done"]) == ("stopped", 0)
    assert client.post(f"{url}/{run['id']}/resume").status_code == 202
    assert ended(client, f"{url}/{run['id']}")["state"] == "done"
    assert client.post(f"{url}/{run['id']}/resume").status_code == 422  # done is done


def test_what_is_wrong_is_said(client: httpx.Client, collection: str, people: str) -> None:
    url = f"{collection}/duplicates"
    few = client.post(f"{url}/runs", json={"false_pairs": 1e-6, **ACTOR})
    assert few.status_code == 422 and few.json()["error"]["code"] == "rate_unsupported"
    assert few.json()["error"]["details"]["smallest_false_pairs"] == 1
    for bad in ({"false_pairs": 0}, {"other": people}, {"other": "x", "since_last": True}):
        assert client.post(f"{url}/runs", json=bad | ACTOR).status_code == 422, bad
    assert client.post(f"{url}/runs", json={"other": "nothing", **ACTOR}).status_code == 404
    for path in ("runs", "pairs"):
        assert client.get(f"{url}/{path}/{'0' * 32}").json()["error"]["code"] == "not_found"

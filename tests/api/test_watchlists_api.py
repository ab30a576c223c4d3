"""Watchlists and alerts over HTTP."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.serving import StartService

from arcid.apps.watchlists import Alerts, Seen, Terms, Watchlists
from arcid.events import Place, acting
from arcid.events.audit import Audit
from arcid.gallery import Gallery
from arcid.types import Embeddings

pytestmark = pytest.mark.data
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def ann(client: httpx.Client, collection: str) -> str:
    return str(client.post(f"{collection}/people", json={"name": "Ann"}).json()["id"])


@pytest.fixture
def made(client: httpx.Client, collection: str) -> dict[str, Any]:
    name = collection.rsplit("/", 1)[1]
    body = {
        "name": f"list of {name}", "collection": name, "actor": "Ada", "purpose": "bans",
        "legal_basis": "house right", "owner": "Ada", "four_eyes": True,
        "expires_at": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
    }  # fmt: skip
    answer = client.post("/v1/watchlists", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def raised(gallery: Gallery, list_id: str, person_id: str) -> str:
    """As a camera does it, straight into the gallery that the service runs on."""
    vector = Embeddings.normalised(np.ones((1, 32)), "c" * 64)
    seen = Seen(
        list_id, person_id, "alert", Place("door", "door"), NOON, NOON, "1", {"cosine": 0.7},
        vector, np.full((112, 112, 3), 90, np.uint8),
    )  # fmt: skip
    alert = Alerts(gallery).raise_(seen)
    assert alert is not None
    return alert.id


def test_a_list_is_made_changed_filled_expired_and_deleted(
    client: httpx.Client, made: dict[str, Any], ann: str
) -> None:
    url = f"/v1/watchlists/{made['id']}"
    assert made["people"] == 0 and not made["expired"] and made["strangers"] == "nothing"
    for _ in range(2):
        put = client.put(f"{url}/people/{ann}", json={"actor": "Ada", "reason": "ban"})
        assert put.status_code == 204
    (one,) = client.get(f"{url}/people").json()["people"]
    assert (one["name"], one["reason"], one["added_by"]) == ("Ann", "ban", "Ada (local)")
    patch = {"actor": "Ada", "false_alerts_per_hour": 0.2, "cameras": ["door"]}
    assert client.patch(url, json=patch).json()["cameras"] == ["door"]
    assert client.patch(url, json={"actor": "Ada", "unknown": 1}).status_code == 422
    assert made["id"] in [w["id"] for w in client.get("/v1/watchlists").json()["watchlists"]]
    gone = client.delete(f"{url}/people/{ann}", params={"actor": "Ada"})
    assert gone.status_code == 204 and client.get(url).json()["people"] == 0
    assert client.post(f"{url}/expire", params={"actor": "Ada"}).json()["expired"]
    assert client.delete(url, params={"actor": "Ada"}).status_code in (202, 204)
    missing = client.get(url)
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "watchlist_not_found"


def test_a_list_without_a_purpose_or_already_over_is_refused(
    client: httpx.Client, made: dict[str, Any]
) -> None:
    body = {key: made[key] for key in ("collection", "purpose", "legal_basis", "owner")}
    body |= {"name": "another", "actor": "Ada", "expires_at": made["expires_at"]}
    for key in ("purpose", "legal_basis", "owner", "expires_at"):
        short = {name: value for name, value in body.items() if name != key}
        assert client.post("/v1/watchlists", json=short).status_code == 422
    over = client.post("/v1/watchlists", json=body | {"expires_at": "2020-01-01T00:00:00Z"})
    assert over.status_code == 422 and over.json()["error"]["code"] == "bad_input"
    again = client.post("/v1/watchlists", json=body | {"name": made["name"]})
    assert again.status_code == 409


def test_the_budget_is_a_rate_and_two_thresholds(
    client: httpx.Client, made: dict[str, Any]
) -> None:
    now = client.get(f"/v1/watchlists/{made['id']}/budget", params={"camera": "none"}).json()
    assert now["flow"]["faces_per_hour"] == now["flow"]["prior_faces_per_hour"] == 60
    assert now["alert"]["target_fpir"] == pytest.approx(made["false_alerts_per_hour"] / 60)
    assert now["review"]["cosine_threshold"] < now["alert"]["cosine_threshold"] < 1
    assert 0 <= now["alert"]["missed"] <= 1 and now["alert"]["support"] == "measured"


def test_an_alert_is_shown_answered_by_two_and_taken_back(
    client: httpx.Client, made: dict[str, Any], ann: str, gallery: Gallery
) -> None:
    client.put(f"/v1/watchlists/{made['id']}/people/{ann}", json={"actor": "Ada"})
    key = raised(gallery, made["id"], ann)
    url = f"/v1/alerts/{key}"
    page = client.get("/v1/alerts", params={"watchlist": made["id"], "state": "new"}).json()
    (alert,) = page["alerts"]
    assert (alert["id"], alert["name"], alert["level"]) == (key, "Ann", "alert")
    face = client.get(f"{url}/face")
    assert face.headers["content-type"] == "image/png" and face.content[1:4] == b"PNG"
    until = time.monotonic() + 30  # looks are written every second
    while not Audit(gallery).find(subject=f"alert:{key}", verb="alert.view"):
        assert time.monotonic() < until
        time.sleep(0.2)
    once = client.post(f"{url}/answer", json={"answer": "confirm", "actor": "Gil"}).json()
    assert once["waits_for_second"] and once["state"] == "acknowledged"
    for name in ("Gil", "Ada"):  # whatever is typed: both came without a key
        again = client.post(f"{url}/answer", json={"answer": "confirm", "actor": name})
        assert again.status_code == 409 and again.json()["error"]["code"] == "second_person_needed"
    with acting("account:1"):  # as the console does it
        both = Alerts(gallery).answer(key, "confirm", actor="Ada")
    assert both.state == "confirmed" and both.confirmed_by == ("Gil (local)", "Ada")
    other = client.post(f"{url}/answer", json={"answer": "dismiss", "actor": "Gil"})
    assert other.status_code == 409 and other.json()["error"]["code"] == "alert_answered"
    for _ in range(2):
        undone = client.post(f"{url}/undo", json={"actor": "Ada"}).json()
    assert undone["state"] == "new" and len(undone["steps"]) == 2
    assert client.post(f"{url}/undo", json={"actor": "Ada"}).status_code == 422
    assert client.get("/v1/alerts/none").json()["error"]["code"] == "alert_not_found"


def test_two_keys_are_two_people_and_one_key_is_one(start: StartService, tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery.db"), create=True) as gallery:
        gallery.create_collection("guests")
        ann = gallery.add_person("guests", "Ann").id
        expires = datetime.now(UTC) + timedelta(days=9)
        terms = Terms(
            purpose="bans", legal_basis="house right", owner="Ada", expires_at=expires,
            four_eyes=True,
        )  # fmt: skip
        own = Watchlists(gallery).create("Banned", "guests", terms, actor="Ada")
        Watchlists(gallery).add(own.id, ann, actor="Ada")
        url = f"/v1/alerts/{raised(gallery, own.id, ann)}/answer"
    first, second = "zV9-q2Lr_7Tn4wXk8Hd1", "pK3_y8Wm-1Qs6vBz5Jf0"
    with start(api_keys=f"{first},{second}") as client:

        def confirm(key: str, name: str) -> httpx.Response:
            body = {"answer": "confirm", "actor": name}
            return client.post(url, json=body, headers={"X-API-Key": key})

        assert confirm(first, "Gil").json()["waits_for_second"]
        assert confirm(first, "Ada").status_code == 409
        both = confirm(second, "Ada").json()
        shown = [hashlib.sha256(key.encode()).hexdigest()[:8] for key in (first, second)]
        assert both["confirmed_by"] == [f"Gil (key:{shown[0]})", f"Ada (key:{shown[1]})"]
        assert both["state"] == "confirmed"
        told = {"headers": {"X-API-Key": first}}
        took = client.get("/v1/system", **told).json()["alerts"]
        assert took["stored"]["count"] == 1 and took["stored"]["p50_ms"] >= 0
        assert took["delivered"] == {"count": 0, "p50_ms": None, "p95_ms": None}
        metrics = client.get("/metrics", **told).text
        assert 'arcid_alert_latency_seconds{quantile="0.95",stage="stored"}' in metrics


def test_looks_at_lists_and_alerts_are_noted(
    client: httpx.Client, made: dict[str, Any], ann: str, gallery: Gallery
) -> None:
    client.put(f"/v1/watchlists/{made['id']}/people/{ann}", json={"actor": "Ada"})
    key = raised(gallery, made["id"], ann)
    for path in (f"watchlists/{made['id']}/people", f"alerts?watchlist={made['id']}"):
        client.get(f"/v1/{path}").raise_for_status()
    client.get(f"/v1/alerts/{key}").raise_for_status()
    wanted = {("list.view", f"list:{made['id']}"), ("alert.list", f"list:{made['id']}"),
              ("alert.view", f"alert:{key}")}  # fmt: skip
    until = time.monotonic() + 30
    while not wanted <= {(row.verb, row.subject) for row in Audit(gallery).find()}:
        assert time.monotonic() < until
        time.sleep(0.2)

"""Attendance over HTTP: list, explain, correct, sheets, exports."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import openpyxl
import pytest

from arcid.events import Place, Sightings
from arcid.gallery import Gallery

pytestmark = pytest.mark.data
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
GROUNDS = {"cosine": 0.7, "cosine_threshold": 0.4, "target_fpir": 0.001, "reason": "alike"}


@pytest.fixture
def ann(client: httpx.Client, collection: str) -> str:
    made = client.post(f"{collection}/people", json={"name": "Ann"})
    return str(made.json()["id"])


@pytest.fixture
def arrival(gallery: Gallery, collection: str, ann: str) -> str:
    """As a camera writes it, straight into the gallery that the service runs on."""
    (event,) = Sightings(gallery).person(
        collection.rsplit("/", 1)[1], Place("door", "door"), ann, NOON, cooldown_s=60,
        grounds=GROUNDS,
    )  # fmt: skip
    return event.id


def listed(client: httpx.Client, collection: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{collection}/attendance/events", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def test_an_undone_correction_brings_the_stay_back_and_an_arrival_carries_its_flag(
    client: httpx.Client, gallery: Gallery, collection: str, ann: str
) -> None:
    live = {"outcome": "flagged", "score": 0.2, "threshold": 0.5}
    (event,) = Sightings(gallery).person(
        collection.rsplit("/", 1)[1], Place("hall", "hall"), ann, NOON, cooldown_s=60,
        grounds=GROUNDS | {"liveness": live},
    )  # fmt: skip
    url = f"{collection}/attendance/events"

    def present() -> list[str]:
        found = client.get(f"{collection}/attendance/present").json()["present"]
        return [stay["place"] for stay in found]

    assert {e["id"]: e["flagged"] for e in listed(client, collection)}[event.id]
    assert "hall" in present()
    taken = client.post(f"{url}/{event.id}/not-this-person", json={"actor": "op"}).json()
    assert "hall" not in present()
    undo = {"action": "void", "actor": "op"}
    back = client.post(f"{url}/{taken['correction']['id']}/corrections", json=undo)
    assert back.status_code == 201
    assert "hall" in present()


def test_an_event_is_listed_explained_and_corrected(
    client: httpx.Client, collection: str, ann: str, arrival: str
) -> None:
    (event,) = listed(client, collection, person_id=ann, kind=["arrival", "departure"])
    assert (event["id"], event["name"], event["kind"]) == (arrival, "Ann", "arrival")
    url = f"{collection}/attendance/events/{arrival}"
    assert client.get(url).json()["grounds"]["cosine_threshold"] == 0.4
    present = client.get(f"{collection}/attendance/present").json()["present"]
    assert [stay["name"] for stay in present] == ["Ann"]

    moved = client.post(
        f"{url}/corrections",
        json={"action": "retime", "at": "2026-03-02T10:00:00+01:00", "actor": "op"},
    )
    assert moved.status_code == 201
    assert moved.json()["event"]["at"] == "2026-03-02T09:00:00Z"
    answer = client.post(f"{url}/not-this-person", json={"actor": "op"}).json()
    assert (answer["event"]["kind"], answer["event"]["name"]) == ("unknown", None)
    assert answer["blocked"] is False  # no face was kept behind it
    history = [row.get("action") for row in client.get(url).json()["history"]]
    assert history == [None, "retime", "not_person"]
    assert listed(client, collection, kind="arrival") == []


def test_entries_by_hand_make_a_sheet_that_exports(
    client: httpx.Client, collection: str, ann: str
) -> None:
    for kind, hours in (("arrival", -4), ("departure", 0)):
        made = client.post(
            f"{collection}/attendance/events",
            json={"kind": kind, "person_id": ann, "actor": "op",
                  "at": (NOON + timedelta(hours=hours)).isoformat()},
        )  # fmt: skip
        assert made.status_code == 201
    (row,) = client.get(f"{collection}/attendance/days/2026-03-02?zone=UTC").json()["rows"]
    assert (row["first_in"], row["last_out"], row["hours"]) == (
        "2026-03-02T08:00:00Z", "2026-03-02T12:00:00Z", 4.0,
    )  # fmt: skip
    (row,) = client.get(f"{collection}/attendance/months/2026-03?zone=UTC").json()["rows"]
    assert (row["days_present"], row["hours"]) == (1, 4.0)

    export = f"{collection}/attendance/export"
    answer = client.get(export, params={"format": "xlsx", "day": "2026-03-02", "zone": "UTC"})
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
    header, values = ([cell.value for cell in line] for line in sheet.iter_rows())
    found = dict(zip(header, values, strict=True))
    assert (found["name"], found["hours"]) == ("Ann", 4)
    assert "attachment" in answer.headers["content-disposition"]
    text = client.get(export, params={"format": "csv", "zone": "UTC"}).text
    assert [line["kind"] for line in csv.DictReader(io.StringIO(text))] == ["departure", "arrival"]


def test_pages_and_errors(
    client: httpx.Client, gallery: Gallery, collection: str, ann: str, arrival: str
) -> None:
    for minutes in (10, 20):
        Sightings(gallery).person(
            collection.rsplit("/", 1)[1], Place("door", "door"), ann,
            NOON + timedelta(minutes=minutes), cooldown_s=60, grounds=GROUNDS,
        )  # fmt: skip
    page = client.get(f"{collection}/attendance/events?limit=3").json()
    rest = client.get(f"{collection}/attendance/events?limit=3&after={page['next']}").json()
    assert [len(page["events"]), len(rest["events"]), rest["next"]] == [3, 2, None]

    base = f"{collection}/attendance"
    for method, url, body, status, code in (
        ("GET", f"{base}/events/nothing", None, 404, "event_not_found"),
        ("GET", "/v1/collections/absent/attendance/events", None, 404, "collection_not_found"),
        ("GET", f"{base}/days/2026-02-30", None, 422, "validation_error"),
        ("GET", f"{base}/days/2026-03-02?zone=Mars/Base", None, 422, "bad_input"),
        ("GET", f"{base}/months/2026-13", None, 422, "bad_input"),
        ("GET", f"{base}/export?day=2026-03-02&month=2026-03", None, 422, "bad_input"),
        ("GET", f"{base}/export?month=2026-03&since=2026-03-02T00:00:00Z", None, 422, "bad_input"),
        ("POST", f"{base}/events/{arrival}/corrections",
         {"action": "reassign", "actor": "op"}, 422, "bad_input"),
        ("POST", f"{base}/events/{arrival}/corrections",
         {"action": "void", "actor": "x" * 201}, 422, "validation_error"),
        ("POST", f"{base}/events",
         {"kind": "arrival", "person_id": "x", "at": NOON.isoformat(), "actor": "op"},
         404, "person_not_found"),
    ):  # fmt: skip
        answer = client.request(method, url, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), url


@pytest.mark.parametrize(
    "at",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z",
     "9999-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-12:00"],
)  # fmt: skip
def test_times_beyond_the_calendar_are_refused(
    client: httpx.Client, collection: str, ann: str, arrival: str, at: str
) -> None:
    url = f"{collection}/attendance"
    entry = {"kind": "arrival", "person_id": ann, "at": at, "actor": "op"}
    retime = {"action": "retime", "at": at, "actor": "op"}
    for answer in (
        client.post(f"{url}/events", json=entry),
        client.post(f"{url}/events/{arrival}/corrections", json=retime),
    ):
        assert answer.status_code == 422, answer.text
        assert "between the years" in answer.json()["error"]["message"]
    for query in ({"since": at}, {"until": at}):
        assert client.get(f"{url}/events", params=query).status_code in (200, 422)
        assert client.get(f"{url}/export", params=query).status_code in (200, 422)
    assert client.get(f"{url}/export", params={"zone": "Pacific/Kiritimati"}).status_code == 200
    assert client.get(f"{url}/days/{at[:10]}").status_code == 422
    assert client.get(f"{url}/months/{at[:7]}").status_code == 422

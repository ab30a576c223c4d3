"""The client against a running service: the same journey by both, and what is lost on the way."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving import Client as Service
from tests.serving import StartService

from arcid import client as arcid_client
from arcid import errors, load_image
from arcid.client import AsyncClient, Client, Erased, Retries, ServiceError
from arcid.events import Place, Sightings

pytestmark = pytest.mark.data
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Face = Callable[[int], bytes]


class Awaited:
    """``AsyncClient`` for a test that does not wait: each call is awaited, each list gathered."""

    def __init__(self, url: str, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            answer = method(*args, **kwargs)
            return self._runner.run(gathered(answer) if name.startswith("iter_") else answer)

        return call

    def __enter__(self) -> Awaited:
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.__aexit__())
        self._runner.close()


async def gathered(rows: Any) -> list[Any]:
    return [row async for row in rows]


KINDS = pytest.mark.parametrize("kind", [Client, Awaited], ids=["sync", "async"])


@pytest.fixture
def url(client: Service) -> str:
    return str(client.base_url)


@KINDS
def test_from_enrolment_to_deletion(
    kind: Any, url: str, client: Service, face: Face, tmp_path: Path
) -> None:
    name = f"journey-{kind.__name__}"
    (tmp_path / "ann.jpg").write_bytes(face(1))
    with kind(url) as arcid:
        assert arcid.create_collection(name).people == 0
        by_hand = arcid.add_person(name, "Ann", metadata={"badge": "4711"})
        ann = arcid.enrol(name, "Ann", [tmp_path / "ann.jpg", face(2)]).person
        assert (ann.id, ann.faces, ann.metadata) == (by_hand.id, 2, {"badge": "4711"})
        arcid.add_person(name, "Ben")

        (found,) = arcid.search_photo(name, io.BytesIO(face(4)), k=1).faces
        assert (found.decision.outcome, found.candidates[0].name) == ("match", "Ann")
        pixels = load_image(face(7))
        assert arcid.verify_person(name, ann.id, pixels).outcome == "match"
        assert arcid.compare(face(1), str(tmp_path / "ann.jpg"), fmr=1e-3).cosine > 0.99

        (seen,) = Sightings(client.gallery).person(
            name, Place("door", "door"), ann.id, NOON, cooldown_s=60, grounds={"cosine": 0.7}
        )
        present = arcid.list_present(name)
        assert [stay.person_id for stay in present.present] == [ann.id]
        assert arcid.explain_event(name, seen.id).grounds["cosine"] == 0.7
        (event,) = arcid.list_events(name, since=NOON, kind=["arrival", "departure"]).events
        assert (event.id, event.at) == (seen.id, NOON)
        assert b"Ann" in arcid.export_attendance(name, day=NOON.date())

        everybody = list(arcid.iter_people(name, limit=1))
        assert [person.name for person in everybody] == ["Ann", "Ben"]
        assert arcid.change_person(name, ann.id, name="Anna").metadata == {"badge": "4711"}

        erased = arcid.delete_person(name, ann.id)
        assert isinstance(erased, Erased) and erased.receipt is not None
        assert arcid.get_receipt(erased.receipt)
        with pytest.raises(errors.PersonNotFound) as refused:
            arcid.get_person(name, ann.id)
        assert isinstance(refused.value, ServiceError)
        assert refused.value.status == 404 and refused.value.code == "person_not_found"
        assert refused.value.request_id in str(refused.value)
        with pytest.raises(errors.NoFaceFound):
            arcid.detect(load_image(face(1))[:120, :120] // 255, select="one")
        arcid.delete_collection(name)
        with pytest.raises(errors.CollectionNotFound):
            arcid.get_collection(name)


def test_what_the_page_shows_runs(
    url: str, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/concepts/python-client.md").read_text("utf-8")
    shown: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        exec(block.replace("https://faces.example", url).replace("…", "none"), shown)
    for name, number in (("ada1", 1), ("ada2", 2), ("group", 4)):
        (tmp_path / f"{name}.jpg").write_bytes(face(number))
    monkeypatch.chdir(tmp_path)
    with Client(url) as arcid:
        arcid.create_collection("staff")
    assert shown["welcome"]("group.jpg") == "Ada Example"
    assert asyncio.run(shown["names"](url)) == ["Ada Example"]


class Losing(httpx.HTTPTransport):
    """Loses the answers to the first ``lost`` requests, which were done."""

    def __init__(self, lost: int) -> None:
        super().__init__()
        self.lost = lost
        self.keys: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("Idempotency-Key"))
        response = super().handle_request(request)
        if len(self.keys) <= self.lost:
            response.read()
            raise httpx.ReadError("connection reset")
        return response


def test_an_enrolment_whose_answer_is_lost_is_done_once(url: str, face: Face) -> None:
    with Client(url) as arcid:
        arcid.create_collection("lost")
    transport = Losing(2)
    with Client(url, transport=transport, retries=Retries(3, first_wait_s=0.01)) as arcid:
        made = arcid.enrol("lost", "Ann", face(1))
        assert len(transport.keys) == 3 and len(set(transport.keys)) == 1
        assert made.person.faces == 1 == arcid.get_person("lost", made.person.id).faces


def test_what_is_not_repeatable_is_sent_once(url: str) -> None:
    transport = Losing(1)
    with Client(url, transport=transport) as arcid, pytest.raises(arcid_client.Unreachable):
        arcid.create_collection("once")
    assert transport.keys == [None]
    with Client(url) as arcid:
        assert arcid.get_collection("once").name == "once"


@pytest.fixture
def locked(start: StartService) -> Iterator[Service]:
    with start(api_keys="correct-horse-battery") as service:
        yield service


def test_a_key_opens_and_shows_nowhere(locked: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = "correct-horse-battery"
    with Client(str(locked.base_url), key=key) as arcid:
        arcid.create_collection("staff")
        assert key not in repr(arcid) + repr(vars(arcid)) + caplog.text
    with (
        Client(str(locked.base_url), key="wrong-horse-battery", retries=0) as arcid,
        pytest.raises(arcid_client.Unauthorised) as refused,
    ):
        arcid.list_collections()
    assert refused.value.code == "api_key_wrong"

"""Onboarding over HTTP: the operator's routes, the applicant's, and a face as a key."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pil
from tests.documents import card, photographed
from tests.serving import Client, StartService

from arcid.apps.demo.documents import specimen, zone_of
from arcid.apps.onboarding.degrading import degraded
from arcid.apps.onboarding.evidence import verify
from arcid.errors import Overloaded
from arcid.events import Audit
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.types import Image

pytestmark = pytest.mark.data


class Known:
    """A passive check whose answer is set."""

    name, threshold, score = "known", 0.5, 0.9

    def scores(self, image: Image, detections: Any) -> Any:
        return np.full(len(detections), self.score, np.float32)


class Apart:
    """Stands in for processes that decode (``ARCID_DECODE_APART``)."""

    pictures = 0

    def load(self, data: bytes) -> Image:
        self.pictures += 1
        return load_image(data)


@pytest.fixture(scope="module")
def check(client: Client) -> Known:
    found = Known()
    passive = client.services.passive
    passive._found, passive._asked = found, True
    return found


def png(image: Image) -> bytes:
    out = io.BytesIO()
    Pil.fromarray(image).save(out, "JPEG", quality=92)
    return out.getvalue()


@pytest.fixture(scope="module")
def papers(pipeline: Pipeline, face: Callable[[int], bytes]) -> bytes:
    photo = load_image(face(4))
    left, top, right, bottom = map(int, pipeline.detect(photo).select("largest").boxes[0])
    side = right - left
    head = photo[
        max(0, top - side // 2) : bottom + side // 3, max(0, left - side // 3) : right + side // 3
    ]
    printed = degraded(card(head), "low_resolution", 80, np.random.default_rng(0))
    return png(photographed(printed, turns=3, slant=0.04))


def started(client: httpx.Client, collection: str, **rules: Any) -> tuple[str, dict[str, str]]:
    """Its path, and the applicant's header."""
    answer = client.post(f"{collection}/onboarding", json={"reference": "x", "rules": rules})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["url"].endswith(f"/onboarding/#{told['token']}")
    return f"{collection}/onboarding/{told['session']['id']}", {"X-Onboarding-Token": told["token"]}


def consented(client: httpx.Client, token: dict[str, str], name: str = "Ada Example") -> None:
    text = client.get("/onboarding/session", headers=token).json()
    body = {"version": text["consent_version"], "name": name}
    assert client.post("/onboarding/session/consent", headers=token, json=body).status_code == 200


def test_a_whole_way_from_link_to_evidence(
    client: Client,
    check: Known,
    collection: str,
    papers: bytes,
    face: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, token = started(client, collection, live=False, enrol=True)
    early = client.post("/onboarding/session/document", headers=token, files={"image": papers})
    assert (early.status_code, early.json()["error"]["code"]) == (409, "onboarding_closed")
    consented(client, token)
    apart = Apart()
    monkeypatch.setattr(client.services.batcher, "_apart", apart)
    taken = client.post(
        "/onboarding/session/document", headers=token, files={"image": papers}
    ).json()
    assert (taken["state"], taken["codes"], taken["tries_left"]) == ("documented", [], 7)
    done = client.post(
        "/onboarding/session/selfie", headers=token, files={"image": face(10)}
    ).json()
    assert apart.pictures == 2
    monkeypatch.undo()
    assert done["state"] == "accepted" and "checks" not in done
    session = client.get(path).json()
    assert session["state"] == "accepted" and session["person_id"]
    assert {c["code"] for c in session["checks"]} >= {"match", "identical", "replay", "passive"}
    for role in ("document", "selfie"):
        shown = client.get(f"{path}/pictures/{role}")
        assert shown.headers["content-type"] == "image/jpeg"
    data = client.get(f"{path}/evidence").content
    key = client.get(f"{collection}/onboarding/key").json()["fingerprint"]
    assert verify(data, fingerprint=key).payload["session"]["id"] == session["id"]
    verbs = [e.verb for e in Audit(client.gallery).find(subject=f"onboarding:{session['id']}")]
    assert verbs.count("onboarding.look") == 3 and "onboarding.evidence" in verbs
    rejected = client.post(f"{path}/answer", json={"outcome": "rejected", "actor": "Rita"}).json()
    assert (rejected["state"], rejected["person_id"]) == ("rejected", None)
    back = client.post(f"{path}/undo", json={"actor": "Rita"}).json()
    assert back["state"] == "accepted"
    listed = client.get(f"{collection}/onboarding", params={"state": "accepted"}).json()
    assert [one["id"] for one in listed["sessions"]] == [session["id"]]
    assert client.delete(path).status_code in (202, 204)
    assert client.get(path).status_code == 404
    assert client.get("/onboarding/session", headers=token).status_code == 404


def test_the_zone_on_the_back_is_read(client: Client, collection: str, papers: bytes) -> None:
    path, token = started(client, collection, live=False)
    consented(client, token)
    assert client.get("/onboarding/session", headers=token).json()["reads_zone"] is True
    zone = zone_of("TD1", "Ada Example", "L898902C3", date(1984, 2, 29), date(2049, 12, 31))
    files = {"image": papers, "back": png(photographed(specimen("TD1", None, zone), turns=2))}
    taken = client.post("/onboarding/session/document", headers=token, files=files).json()
    assert (taken["state"], taken["codes"]) == ("documented", [])
    read = client.get(path).json()["zone"]
    assert (read["form"], read["surname"], read["source"]) == ("TD1", "EXAMPLE", "picture")


def test_what_is_wrong_is_said_and_tries_run_out(
    client: Client, check: Known, collection: str
) -> None:
    path, token = started(client, collection, tries=2)
    consented(client, token)
    blank = png(np.full((300, 400, 3), 200, np.uint8))

    def send() -> Any:
        return client.post(
            "/onboarding/session/document", headers=token, files={"image": blank}
        ).json()

    first = send()
    assert (first["codes"], first["tries_left"]) == (["no_face_found"], 1)
    assert "portrait" in first["problem"]
    assert send()["state"] == "rejected"
    assert client.get(path).json()["checks"][0]["code"] == "too_many_tries"


def test_a_session_of_another_collection_is_not_found(client: Client, collection: str) -> None:
    path, _ = started(client, collection)
    client.post("/v1/collections", json={"name": "others"})
    elsewhere = path.replace(collection, "/v1/collections/others")
    for call in (client.get(elsewhere), client.delete(elsewhere)):
        assert call.status_code == 404
    assert client.get(path).status_code == 200


def test_links_cannot_be_guessed(start: StartService) -> None:
    with start() as client:
        client.post("/v1/collections", json={"name": "m"})
        _, token = started(client, "/v1/collections/m")
        assert client.get("/onboarding/session", headers=token).status_code == 200
        codes = [
            client.get("/onboarding/session", headers={"X-Onboarding-Token": f"w{n}"}).status_code
            for n in range(12)
        ]
        assert codes[0] == 404 and codes[-1] == 429
        again = client.get("/onboarding/session", headers=token)
        assert again.status_code == 200, "guessing keeps out a link that was opened here before"


def test_the_page_needs_no_key_and_the_cases_do(start: StartService) -> None:
    key = "kbs7-Q2v9_hT4xLp0Zr8"
    with start(api_keys=key) as client:
        page = client.get("/onboarding/")
        assert page.status_code == 200 and "Who are you?" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
        assert (
            client.get("/onboarding/page.js").headers["content-type"].startswith("text/javascript")
        )
        assert client.get("/v1/collections/m/onboarding").status_code == 401
        bearer = {"Authorization": f"Bearer {key}"}
        client.post("/v1/collections", json={"name": "m"}, headers=bearer)
        answer = client.post("/v1/collections/m/onboarding", json={}, headers=bearer).json()
        token = {"X-Onboarding-Token": answer["token"]}
        assert client.get("/onboarding/session", headers=token).json()["state"] == "started"


def test_consent_to_another_text_is_refused_and_consent_withdrawn_erases(
    client: Client, check: Known, collection: str, papers: bytes
) -> None:
    path, token = started(client, collection)
    body = {"version": "another", "name": "Ada"}
    refused = client.post("/onboarding/session/consent", headers=token, json=body)
    assert refused.status_code == 409
    consented(client, token)
    client.post("/onboarding/session/document", headers=token, files={"image": papers})
    assert client.post("/onboarding/session/withdraw", headers=token).json()["state"] == "withdrawn"
    left = client.get(path).json()
    assert (left["name"], left["pictures"], left["consent"]) == ("", [], None)


def test_pictures_of_applicants_and_logins_count_as_those_of_others(
    client: Client,
    check: Known,
    collection: str,
    papers: bytes,
    face: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, token = started(client, collection, live=False)
    consented(client, token)
    batcher = client.services.batcher
    paths = {
        "/onboarding/session/document": papers,
        f"{collection}/people/{'0' * 32}/authenticate": face(1),
    }
    monkeypatch.setattr(batcher, "_max_pixels", 1)
    with batcher.room([papers]):
        for path, photo in paths.items():
            answer = client.post(path, headers=token, files={"image": photo})
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        with pytest.raises(Overloaded):
            batcher.submit([papers])
        assert client.get("/onboarding/session", headers=token).json()["tries_left"] == 8
    codes = [
        client.post(p, headers=token, files={"image": i}).status_code for p, i in paths.items()
    ]
    assert codes == [200, 404] and batcher.pending == 0 and batcher._pending_pixels == 0


# a face as a key


@pytest.fixture
def member(client: Client, collection: str, face: Callable[[int], bytes]) -> Iterator[str]:
    answer = client.post(f"{collection}/enrol", data={"name": "Ada"}, files={"image": face(1)})
    yield f"{collection}/people/{answer.json()['person']['id']}"


def test_the_living_person_is_let_in_and_nobody_else(
    client: Client, check: Known, member: str, face: Callable[[int], bytes]
) -> None:
    def tried(number: int) -> Any:
        return client.post(f"{member}/authenticate", files={"image": face(number)}).json()

    right = tried(11)
    assert right["accepted"] and right["decision"]["target_fmr"] == 1e-4
    wrong = tried(13)
    assert (wrong["accepted"], wrong["why"], wrong["tries_left"]) == (False, "another_face", 4)
    check.score = 0.1
    fake = tried(11)
    check.score = 0.9
    assert (fake["why"], fake["decision"], fake["tries_left"]) == ("not_live", None, 3)
    assert tried(11)["tries_left"] == 5, "a success forgives"
    verbs = [
        e.details["why"] for e in Audit(client.gallery).find(verb="person.authenticate", limit=4)
    ]
    assert verbs == ["accepted", "not_live", "another_face", "accepted"]


def test_failed_tries_lock_the_person_until_somebody_unlocks_them(
    client: Client, check: Known, member: str, face: Callable[[int], bytes]
) -> None:
    for _ in range(5):
        client.post(f"{member}/authenticate", files={"image": face(13)})
    locked = client.post(f"{member}/authenticate", files={"image": face(1)})
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "locked_out")
    assert 30 <= int(locked.headers["retry-after"]) <= 60
    assert client.post(f"{member}/unlock").status_code == 204
    assert client.post(f"{member}/authenticate", files={"image": face(1)}).json()["accepted"]


def test_a_login_is_never_looser_nor_without_a_liveness_check(
    client: Client, check: Known, member: str, face: Callable[[int], bytes], start: StartService
) -> None:
    loose = client.post(f"{member}/authenticate", data={"fmr": "0.01"}, files={"image": face(1)})
    assert loose.status_code == 422
    none = client.post(
        f"{member}/authenticate", files={"image": png(np.full((200, 200, 3), 90, np.uint8))}
    )
    assert none.json()["error"]["code"] == "no_face_found"
    with start() as bare:
        bare.services.passive._asked = True
        bare.post("/v1/collections", json={"name": "m"})
        answer = bare.post(
            "/v1/collections/m/enrol", data={"name": "Ada"}, files={"image": face(1)}
        ).json()
        path = f"/v1/collections/m/people/{answer['person']['id']}/authenticate"
        refused = bare.post(path, files={"image": face(1)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_not_found")


def test_the_example_of_a_login_form_lets_in_by_password_and_face(
    client: Client,
    check: Known,
    member: str,
    face: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path(__file__).parents[2] / "examples/login_form.py"
    spec = importlib.util.spec_from_file_location("login_form", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "login_form", example)  # its annotations are looked up there
    spec.loader.exec_module(example)
    collection, _, person = member.removeprefix("/v1/collections/").split("/")
    monkeypatch.setattr(example, "ARCID", str(client.base_url).rstrip("/"))
    monkeypatch.setattr(example, "COLLECTION", collection)
    monkeypatch.setitem(
        example.USERS, "ada", {"password": example.HASHER.hash("right"), "person_id": person}
    )

    async def tried() -> list[int]:
        transport = httpx.ASGITransport(example.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://login") as form:

            async def login(password: str, number: int) -> int:
                data = {"user": "ada", "password": password}
                return (
                    await form.post("/login", data=data, files={"image": face(number)})
                ).status_code

            codes = [(await form.get("/")).status_code, await login("wrong", 11)]
            codes += [await login("right", 13), (await form.get("/inside")).status_code]
            return [*codes, await login("right", 11), (await form.get("/inside")).status_code]

    assert asyncio.run(tried()) == [200, 401, 401, 401, 200, 200]

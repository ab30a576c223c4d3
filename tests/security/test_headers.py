"""What every answer tells a browser, pages and pictures of faces included."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from tests.serving import SET_UP

pytestmark = pytest.mark.data
PATHS = (
    "/",
    "/docs",
    "/docs/assets/swagger-ui.css",
    "/openapi.json",
    "/v1/health",
    "/v1/collections",
    "/v1/nothing",
    "/metrics",
    "/console/",
    "/console/sign-in",
    "/console/set-up",
    "/console/static/console.css",
    "/console/static/nothing",
    "/console/people",
)


def test_every_answer_is_closed_to_other_sites(url: str, data_dir: Path) -> None:
    photo = (data_dir / "data/deepface-pairs/img1.jpg").read_bytes()
    with httpx.Client(base_url=url, headers={"Origin": url}, timeout=60) as client:
        client.post("/v1/collections", json={"name": "staff", "keep_crops": True})
        form = {"files": {"image": photo}, "data": {"name": "Ada"}}
        made = client.post("/v1/collections/staff/enrol", **form)
        face = f"/v1/collections/staff/faces/{made.json()['faces'][0]['id']}/crop"
        answers = [made, *(client.get(path) for path in (*PATHS, face))]
        assert answers[-1].headers["content-type"] == "image/png"
        fields = {"name": "Ada Admin", "password": "correct horse battery"}
        code = (SET_UP[url] or "").partition("#")[2]
        client.post("/console/set-up", data=fields | {"repeat": fields["password"], "code": code})
        pages = [client.get(f"/console/{path}") for path in ("people", "accounts")]
        assert pages[0].status_code == 200
        crop = client.get(f"/console/crop?collection=staff&face={face.split('/')[-2]}")
        assert crop.status_code == 200
        files = client.get("/console/export?collection=staff&kind=csv")
        assert files.status_code == 200
    for answer in (*answers, *pages, crop, files):
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy, answer.url
        assert "unsafe-inline" not in policy, answer.url
        assert ("unsafe-eval" in policy) == (answer in pages), answer.url
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_no_two_pages_share_a_nonce(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        policies = {client.get("/docs").headers["content-security-policy"] for _ in range(3)}
    assert len(policies) == 3

"""Pages of other sites: none may call, but those of origins that the settings name exactly."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.serving import Client, running

from arcid.errors import ConfigError
from arcid.pipeline import Pipeline
from arcid.server.settings import Settings

KEY = "Vj3-wq8Tn0Zr5yLk2Xc7"
OURS, OTHER = "https://app.example", "https://app.example.evil.example"


@pytest.fixture(scope="module")
def shared(toy: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("cors") / "gallery.db"
    settings = Settings.load(
        database=str(database), api_keys=KEY, cors_origins=f"{OURS}, http://localhost:5173"
    )
    with running(settings, toy, None) as client:
        yield client


def asked(client: httpx.Client, origin: str, path: str = "/v1/collections") -> httpx.Response:
    """What a browser asks before it sends a request with a key."""
    return client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "x-api-key,content-type",
        },
    )


def granted(answer: httpx.Response) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


def test_a_named_page_may_call_with_its_key(shared: Client) -> None:
    for origin in (OURS, "http://localhost:5173"):
        before = asked(shared, origin)
        assert before.status_code == 200 and "Origin" in before.headers["vary"].split(", ")
        assert granted(before)["access-control-allow-origin"] == origin
        assert "PATCH" in granted(before)["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in before.headers
        answer = shared.get("/v1/collections", headers={"Origin": origin, "X-API-Key": KEY})
        assert answer.status_code == 200
        assert granted(answer)["access-control-allow-origin"] == origin
        assert "Retry-After" in granted(answer)["access-control-expose-headers"]
        refused = shared.get("/v1/collections", headers={"Origin": origin})
        assert refused.status_code == 401, "the key is needed all the same"
        assert granted(refused)["access-control-allow-origin"] == origin


def test_no_other_page_is_let_in(shared: Client) -> None:
    for origin in (OTHER, "http://app.example", f"{OURS}:8443", "null", "*"):
        before = asked(shared, origin)
        assert before.status_code == 400
        assert "access-control-allow-origin" not in before.headers
        answer = shared.get("/v1/collections", headers={"Origin": origin, "X-API-Key": KEY})
        assert "access-control-allow-origin" not in answer.headers


def test_the_console_and_the_pages_are_for_themselves(shared: Client) -> None:
    for path in ("/console/", "/docs", "/metrics", "/openapi.json"):
        answer = shared.get(path, headers={"Origin": OURS, "X-API-Key": KEY})
        assert not granted(answer), path
        assert not granted(asked(shared, OURS, path)), path


def test_it_is_off_by_default(toys: Client) -> None:
    before = asked(toys, OURS)
    assert before.status_code in (403, 405) and not granted(before)
    answer = toys.get("/v1/collections", headers={"Origin": OURS})
    assert answer.json()["error"]["code"] == "origin_refused" and not granted(answer)


@pytest.mark.parametrize(
    "bad", ["*", "https://*.example", "app.example", f"{OURS}/path", "http://app.example", "null"]
)
def test_origins_are_exact(bad: str) -> None:
    with pytest.raises(ConfigError, match="ARCID_CORS_ORIGINS"):
        Settings.load(cors_origins=bad)
    assert Settings.load(cors_origins=f"{OURS}/,{OURS}:443").cors_origins == (OURS,)

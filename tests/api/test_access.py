"""Who may call: keys, and on loopback without keys only this machine's own programs."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from arcid.errors import ConfigError
from arcid.server.app import create_app
from arcid.server.settings import Settings

KEY, OTHER = "correct-horse-battery", "another-key-for-a-camera"
PROTECTED = ("/v1/collections", "/v1/system", "/v1/models", "/metrics", "/v2/unknown")
OPEN = ("/v1/health", "/", "/docs", "/docs/assets/swagger-ui.css", "/openapi.json")


@pytest.mark.data
def test_keys_are_needed_everywhere_but_where_nothing_is_kept(start: Any) -> None:
    with start(api_keys=f"{KEY}, {OTHER}") as client:
        for path in OPEN:
            assert client.get(path).status_code == 200, path
        for path in PROTECTED:
            expected = 404 if path.startswith("/v2") else 200
            answer = client.get(path)
            assert answer.status_code == 401, path
            assert answer.json()["error"]["code"] == "api_key_missing"
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            wrong = client.get(path, headers={"X-API-Key": KEY + "x"})
            assert wrong.status_code == 401 and wrong.json()["error"]["code"] == "api_key_wrong"
            assert KEY not in wrong.text
            for key in (KEY, OTHER):
                for headers in ({"X-API-Key": key}, {"Authorization": f"bearer {key}"}):
                    assert client.get(path, headers=headers).status_code == expected
        # The body of a caller without a key is not read.
        image = {"image": b"x" * 100_000}
        assert client.post("/v1/detect", files=image).status_code == 401
        # A key makes other names and origins of the service possible.
        headers = {"X-API-Key": KEY, "Host": "faces.example", "Origin": "https://else.example"}
        assert client.get("/v1/collections", headers=headers).status_code == 200


@pytest.mark.data
def test_without_keys_other_sites_of_a_browser_are_kept_out(client: httpx.Client) -> None:
    rebound = client.get("/v1/collections", headers={"Host": "evil.example"})
    assert rebound.status_code == 403 and rebound.json()["error"]["code"] == "host_refused"
    foreign = client.post(
        "/v1/collections", json={"name": "x"}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403 and foreign.json()["error"]["code"] == "origin_refused"
    assert client.get("/v1/collections").json()["collections"] == []
    for host in ("localhost", "127.0.0.1", "[::1]"):
        named = {"Host": f"{host}:{client.base_url.port}"}
        assert client.get("/v1/collections", headers=named).status_code == 200
        own = named | {"Origin": f"http://{host}:{client.base_url.port}"}
        assert client.get("/v1/collections", headers=own).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "faces.example"])
def test_no_key_no_exposed_service(host: str) -> None:
    with pytest.raises(ConfigError, match="ARCID_API_KEYS"):
        create_app(Settings.load(host=host))
    create_app(Settings.load(host=host, api_keys=KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_loopback_needs_no_key(host: str) -> None:
    create_app(Settings.load(host=host))


def test_keys_are_kept_as_hashes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_API_KEYS", f"{KEY},{OTHER},")
    settings = Settings.load()
    assert len(settings.api_keys) == 2
    assert KEY not in repr(settings) and KEY not in settings.model_dump_json()
    with pytest.raises(ConfigError, match="16") as caught:
        Settings.load(api_keys="short-one")
    assert "short-one" not in str(caught.value)


def test_settings_without_meaning_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_PORT", "eighty")
    with pytest.raises(ConfigError, match="ARCID_PORT"):
        Settings.load()
    monkeypatch.delenv("ARCID_PORT")
    with pytest.raises(ConfigError, match="queue_size"):
        Settings.load(queue_size=2, max_images=3)

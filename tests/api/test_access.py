"""Who may call: keys, and on loopback without keys only this machine's own programs."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from arcid.errors import ConfigError, Overloaded
from arcid.server.app import create_app
from arcid.server.applicants import RUNS_AT_ONCE, Applicants
from arcid.server.settings import Settings, is_guessable
from arcid.server.throttle import CLIENTS, Throttle, client_of

KEY, OTHER = "correct-horse-battery", "another-key-for-a-camera"
PROTECTED = (
    "/v1/collections",
    "/v1/cameras",
    "/v1/system",
    "/v1/models",
    "/metrics",
    "/v2/unknown",
)
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
    for origin in ("http://[", "http://a]", "http://\u2100.example", "null", ""):
        odd = {"Origin": origin.encode("latin-1", "replace")}
        for path in ("/v1/collections", "/console/sign-in"):
            answer = client.post(path, json={"name": "x"}, headers=odd)
            assert (answer.status_code, "origin" in answer.text or answer.text) == (403, True)
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


@pytest.mark.parametrize(
    "key",
    [
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abababababababababab",
        "1234567890123456",
        "0123456789abcdef",
        "qwertyuiopasdfghjkl",
        "changemechangeme",
        "CHANGE-ME-CHANGE-ME",
        "changeme-1234567890",
        "your-api-key-here",
        "REPLACE_ME_PLEASE_NOW",
        "my-secret-api-key",
        "arcid-secret-key-1",
        "passwordpassword",
        "test-key-0000000000",
        "xxxxxxxxxxxxxxxxxxxx",
    ],
)
def test_keys_that_can_be_guessed_are_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=r"key 2 of 2 .*secrets.token_urlsafe") as caught:
        Settings.load(api_keys=[KEY, key])
    assert key not in str(caught.value)


def test_keys_made_at_random_are_taken() -> None:
    made = [secrets.token_urlsafe(16) for _ in range(50)] + [secrets.token_hex(16)]
    assert not any(map(is_guessable, made))
    assert is_guessable("Zq7-" * 5)


@pytest.mark.data
def test_wrong_keys_are_held_back_and_right_ones_are_not(start: Any) -> None:
    def ask(client: httpx.Client, key: str) -> httpx.Response:
        return client.get("/v1/collections", headers={"X-API-Key": key})

    with start(api_keys=f"{KEY}, {OTHER}", trusted_proxies="127.0.0.1") as client:
        assert ask(client, KEY).status_code == 200
        answers = [ask(client, f"guess {number}") for number in range(14)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 4
        assert answers[-1].json()["error"]["code"] == "too_many_attempts"
        assert 0 < int(answers[-1].headers["retry-after"]) <= 15
        assert ask(client, OTHER).status_code == 429, "a guess that is right is one, too"
        assert ask(client, KEY).status_code == 200, "shown rightly before the guesses"
        client.headers["X-Forwarded-For"] = "192.0.2.7"
        assert ask(client, OTHER).status_code == 200, "somebody else"


def test_what_is_remembered_of_guesses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("arcid.server.throttle.time.monotonic", lambda: now[0])
    guesses = Throttle(free=2)
    for number in range(CLIENTS * 2):
        guesses.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guesses._clients) == CLIENTS
    for address in ("2001:db8::1", "2001:db8::2:1"):  # one line's /64
        guesses.failed(address)
    assert guesses.wait_s("2001:db8::3") == 15 and guesses.wait_s("2001:db8:0:1::1") == 0
    guesses.failed("2001:db8::1")
    assert guesses.wait_s("2001:db8::3") == 30
    for _ in range(30):
        guesses.failed("2001:db8::1")
    assert guesses.wait_s("2001:db8::3") == 900
    now[0] += 901
    assert guesses.wait_s("2001:db8::3") == 0
    now[0] += 3600
    guesses.failed("2001:db8::1")
    assert guesses.wait_s("2001:db8::3") == 0, "an hour clears it"


def test_one_link_takes_one_camera_whatever_it_opens() -> None:
    applicants = Applicants()
    ended: list[int] = []
    with ExitStack() as cameras:
        for number in range(RUNS_AT_ONCE):
            cameras.enter_context(applicants.run("one", partial(ended.append, number)))
        assert ended == list(range(RUNS_AT_ONCE - 1)), "the newest stays"
        for link in range(RUNS_AT_ONCE - 1):
            cameras.enter_context(applicants.run(f"other {link}", lambda: ended.append(-1)))
        with pytest.raises(Overloaded), applicants.run("late", lambda: None):
            pass
        cameras.enter_context(applicants.run("one", lambda: None))
        assert ended == list(range(RUNS_AT_ONCE))
    with ExitStack() as cameras:
        for link in range(RUNS_AT_ONCE):
            cameras.enter_context(applicants.run(f"again {link}", lambda: ended.append(-1)))
    assert -1 not in ended


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),  # as a listener on :: names it
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
    ],
)
def test_a_client_is_an_address_or_a_line(address: str, client: str) -> None:
    assert client_of(address) == client


def test_settings_without_meaning_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_PORT", "eighty")
    with pytest.raises(ConfigError, match="ARCID_PORT"):
        Settings.load()
    monkeypatch.delenv("ARCID_PORT")
    with pytest.raises(ConfigError, match="queue_size"):
        Settings.load(queue_size=2, max_images=3)

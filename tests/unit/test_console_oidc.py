"""Signing in at a provider: who is let in as what, and everything that is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from tests.provider import CLIENT, SECRET, OpenIdProvider, providing

from arcid.errors import ConfigError
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.server.console.auth import oidc
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.errors import AccountRefused, SignInRefused
from arcid.server.console.auth.oidc import (
    Known,
    ProviderRefused,
    ProviderUnreachable,
    SingleSignOn,
    provider_of,
)
from arcid.server.settings import Settings

KEY = bytes(32)
GOOD = "correct horse battery"
ADA = {
    "sub": "ada-1", "name": "Ada Lovelace", "email": "Ada@example.org", "email_verified": True,
    "groups": ["staff", "face-admins"],
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[OpenIdProvider]:
    with providing() as found:
        yield found


@pytest.fixture
def provider(running: OpenIdProvider) -> OpenIdProvider:
    running.user, running.wrong, running.userinfo, running.fault = dict(ADA), {}, {}, ""
    running.asked.clear()
    return running


def settings(provider: OpenIdProvider, **more: Any) -> Settings:
    given: dict[str, Any] = {
        "oidc_issuer": provider.url, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET,
        "public_url": "http://localhost:8000", "oidc_roles": "face-admins=admin, staff=viewer",
    }  # fmt: skip
    return Settings.load(**(given | more))


def sso(provider: OpenIdProvider, **more: Any) -> SingleSignOn:
    made = provider_of(settings(provider, **more))
    assert made is not None
    return SingleSignOn(made)


def told(address: str) -> dict[str, str]:
    """What the provider puts into the address that a browser comes back with."""
    answer = httpx.get(address)
    assert answer.status_code == 302
    back = urlsplit(answer.headers["location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == (
        "http://localhost:8000/console/sign-in/oidc/return"
    )
    return {name: values[0] for name, values in parse_qs(back.query).items()}


def signed_in(one: SingleSignOn, after: str = "/") -> Known:
    address, cookie = one.leave(after, KEY)
    known, back = one.come_back(told(address), cookie, KEY)
    assert back == after
    return known


def test_somebody_comes_back_as_who_the_provider_says(provider: OpenIdProvider) -> None:
    one = sso(provider)
    known = signed_in(one, "/people?x=1")
    assert known == Known(provider.url, "ada-1", "admin", ("Ada Lovelace", "Ada@example.org"))
    provider.user["groups"] = ["staff"]
    assert signed_in(one).role == "viewer"
    provider.user["groups"] = "staff"
    assert signed_in(one).role == "viewer", "one group may be no list"
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert provider.asked.count("/jwks") == 1, "both are remembered"
    assert SECRET not in repr(one.provider)


def test_what_the_token_leaves_out_is_asked_for(provider: OpenIdProvider) -> None:
    del provider.user["groups"], provider.user["email"]
    provider.userinfo = {"groups": ["staff"], "email": "ada@example.org"}
    assert signed_in(sso(provider, oidc_emails="@example.org")).role == "viewer"
    provider.userinfo["sub"] = "eve-1"
    with pytest.raises(ProviderRefused):
        signed_in(sso(provider))


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"nonce": "another"}, ""),
        ({"nonce": None}, ""),
        ({"iss": "http://127.0.0.1:1"}, ""),
        ({"iss": None}, ""),
        ({"aud": "somebody-else"}, ""),
        ({"aud": ["somebody-else"], "azp": CLIENT}, ""),
        ({"aud": [CLIENT, "somebody-else"]}, ""),
        ({"aud": None}, ""),
        ({"exp": int(time.time()) - 3600}, ""),
        ({"exp": None}, ""),
        ({"iat": int(time.time()) + 3600}, ""),
        ({"sub": None}, ""),
        ({"sub": ""}, ""),
        ({"sub": 7}, ""),
        ({"sub": "a\0"}, ""),
        ({"sub": "a" * 256}, ""),
        ({}, "key"),
        ({}, "none"),
        ({}, "hs256"),
        ({}, "code"),
        ({}, "denied"),
    ],
)
def test_a_token_that_is_not_right_lets_nobody_in(
    provider: OpenIdProvider, wrong: dict[str, Any], fault: str
) -> None:
    provider.wrong, provider.fault = wrong, fault
    with pytest.raises(ProviderRefused):
        signed_in(sso(provider))


@pytest.mark.parametrize("fault", ["down", "no_json", "issuer", "plain"])
def test_a_provider_that_cannot_be_used_is_said_and_not_asked_by_everybody(
    provider: OpenIdProvider, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.fault = fault
    one = sso(provider)
    for _ in range(3):
        with pytest.raises(ProviderUnreachable):
            one.leave("/", KEY)
    assert len(provider.asked) == 1
    provider.fault = ""
    monkeypatch.setattr(one, "_down_until", 0.0)
    assert signed_in(one).subject == "ada-1", "it comes back by itself"
    gone = SingleSignOn(provider_of(settings(provider, oidc_issuer="http://127.0.0.1:9")))
    with pytest.raises(ProviderUnreachable):
        gone.leave("/", KEY)


def test_a_new_key_of_the_provider_is_found(
    provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sso(provider)
    signed_in(one)
    provider.turn_key()
    with pytest.raises(ProviderRefused):  # looked for once in half a minute, however many ask
        signed_in(one)
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)
    assert signed_in(one).subject == "ada-1"


def test_state_and_cookie_belong_together(
    provider: OpenIdProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sso(provider)
    (address, cookie), (_, other) = one.leave("/", KEY), one.leave("/", KEY)
    answer = told(address)
    for wrong in (other, "", "x", cookie[:-4] + "AAAA"):
        with pytest.raises(ProviderRefused):
            one.come_back(answer, wrong, KEY)
    with pytest.raises(ProviderRefused):
        one.come_back(answer, cookie, bytes(range(32)))
    with pytest.raises(ProviderRefused):
        one.come_back(answer | {"state": "x"}, cookie, KEY)
    with pytest.raises(ProviderRefused):
        one.come_back(answer | {"iss": "http://127.0.0.1:1"}, cookie, KEY)
    assert one.come_back(answer, cookie, KEY)[0].subject == "ada-1"
    with pytest.raises(ProviderRefused):  # a code counts once
        one.come_back(answer, cookie, KEY)
    address, cookie = one.leave("/", KEY)
    answer, later = told(address), time.time() + 601
    monkeypatch.setattr("arcid.server.console.auth.oidc.time.time", lambda: later)
    with pytest.raises(ProviderRefused):
        one.come_back(answer, cookie, KEY)
    assert "verifier" not in cookie


def test_only_those_who_were_named_get_a_role(provider: OpenIdProvider) -> None:
    provider.user["groups"] = ["guests"]
    with pytest.raises(ProviderRefused, match="no role"):
        signed_in(sso(provider))
    named = {"oidc_default_role": "viewer", "oidc_emails": "@example.org, bob@other.example"}
    one = sso(provider, **named)
    assert signed_in(one).role == "viewer"
    for email, verified in (
        ("ada@example.org.evil.example", True),
        ("ada@sub.example.org", True),
        ("eve@other.example", True),
        ("ada@example.org", False),
        ("ada@example.org", "true"),
        ("ada@example.org", None),
        (None, True),
    ):
        provider.wrong = {"email": email, "email_verified": verified}
        with pytest.raises(ProviderRefused, match="address"):
            signed_in(one)
    provider.wrong = {"email": "BOB@other.example"}
    assert signed_in(one).role == "viewer"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"oidc_roles": ""}, "nobody"),
        ({"oidc_roles": "", "oidc_default_role": "viewer"}, "everybody"),
        ({"oidc_roles": "staff=king"}, "king"),
        ({"oidc_roles": "staff"}, "group=role"),
        ({"oidc_default_role": "king", "oidc_emails": "@a.example"}, "king"),
        ({"oidc_issuer": "http://login.example"}, "https"),
        ({"public_url": None}, "ARCID_PUBLIC_URL"),
        ({"oidc_client_id": None}, "ARCID_OIDC_CLIENT_ID"),
    ],
)
def test_settings_that_let_nobody_or_everybody_in_are_refused(
    provider: OpenIdProvider, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        sso(provider, **given)
    assert provider_of(Settings.load()) is None


@pytest.fixture
def store(database_url: str) -> Iterator[Accounts]:
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    found = Accounts.open(database_url, hasher, "everybody")
    yield found
    found.close()


def test_accounts_are_made_at_the_first_sign_in_and_follow_the_provider(
    store: Accounts, database_url: str
) -> None:
    local = store.set_up("Ada", GOOD)
    first = Known("https://login.example", "ada-1", "viewer", ("Ada", "ada@example.org"))
    token, ada = store.entry.from_provider(first, "192.0.2.7", "Firefox, Linux")
    assert (ada.name, ada.role, ada.issuer) == ("ada@example.org", "viewer", first.issuer)
    assert ada.id != local.id, "a name alone makes nobody somebody who is here"
    found = store.sessions.find(token)
    assert found is not None and found.id == ada.id, "the provider asks for second factors"
    again, same = store.entry.from_provider(first, "192.0.2.8")
    assert same.id == ada.id and len(store.sessions.all(ada.id)) == 2
    promoted = Known(first.issuer, "ada-1", "admin", ("Countess",))
    newest, now = store.entry.from_provider(promoted, "192.0.2.8")
    assert (now.id, now.role, now.name) == (ada.id, "admin", "ada@example.org")
    assert store.sessions.find(token) is None and store.sessions.find(again) is None
    assert store.sessions.find(newest) is not None
    other = Known("https://evil.example", "ada-1", "viewer", ("Ada", "ada@example.org"))
    _, stranger = store.entry.from_provider(other, "192.0.2.9")
    assert stranger.id != ada.id and stranger.name == "Ada 2"
    for number, name in enumerate(("", "\0", "x" * 100)):
        one = Known("https://login.example", f"s{number}", "viewer", (name,))
        made = store.entry.from_provider(one, "a")[1]
        assert 1 <= len(made.name) <= 60
    for name in ("ada@example.org", "a\0b"):
        with pytest.raises(SignInRefused):
            store.entry.sign_in(name, "", "192.0.2.7")
    with pytest.raises(AccountRefused):
        store.change(ada.id, password=GOOD)
    with pytest.raises(AccountRefused):  # the last who can sign in while the provider is down
        store.delete(local.id)
    store.change(ada.id, enabled=False)
    with pytest.raises(SignInRefused):
        store.entry.from_provider(promoted, "192.0.2.8")
    with Gallery.open(database_url) as gallery:
        begun = Audit(gallery).find(verb="session.begin")
        assert {entry.details["by"] for entry in begun} == {"provider"}
        changed = Audit(gallery).find(verb="account.change", subject=f"account:{ada.id}")
        assert changed[-1].details["changed"] == ["role"]


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)],
                         indirect=True)  # fmt: skip
def test_what_was_erased_of_an_account_is_vacuumed_too(database_url: str) -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    accounts, said = Accounts.open(database_url, hasher), list[str]()
    accounts.set_up("Ada", GOOD)
    eve = accounts.add("Eve", GOOD, "viewer")
    engine = accounts._database._engine

    def listen(*given: Any) -> None:
        said.append(given[2])

    sa.event.listen(engine, "before_cursor_execute", listen)
    accounts.delete(eve.id)
    sa.event.remove(engine, "before_cursor_execute", listen)
    accounts.close()
    (vacuum,) = [one for one in said if one.startswith("VACUUM")]
    assert {"console_accounts", "console_sessions", "cameras", "embeddings"} <= set(
        vacuum.removeprefix("VACUUM ").split(", ")
    )

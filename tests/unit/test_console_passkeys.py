"""Passkeys, shown by a device made of software: what counts and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.requests import Request

from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.server.console.auth import account, attempts, entry, opened, passkeys, second
from arcid.server.console.auth.account import Account
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.door import Door, same_origin
from arcid.server.console.auth.errors import AccountRefused, SignInRefused, TooManyAttempts
from arcid.server.console.auth.first import FirstAccount
from arcid.server.console.auth.passkeys import MAX_PASSKEYS, Site
from arcid.server.throttle import Throttle

GOOD, KEY = "correct horse battery", bytes(32)
SITE = Site("faces.example", "https://faces.example")
UP, UV, ATTESTED = 1, 4, 64


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Device:
    """A security key: makes a passkey and signs with it, as CTAP2 and WebAuthn level 3 say."""

    def __init__(self, *, verifies: bool = True) -> None:
        self.id, self.count, self.verifies = os.urandom(16), 0, verifies
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, question: str, site: Site = SITE) -> str:
        point = self._key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
        made = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cbor2.dumps(public)
        told = {"fmt": "none", "attStmt": {}, "authData": self._data(site, ATTESTED) + made}
        said = self._said("webauthn.create", question, site)
        return self._answer(
            {"clientDataJSON": b64(said), "attestationObject": b64(cbor2.dumps(told))}
        )

    def get(self, question: str, site: Site = SITE) -> str:
        self.count += 1
        said, data = self._said("webauthn.get", question, site), self._data(site)
        signed = self._key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": b64(said),
                "authenticatorData": b64(data),
                "signature": b64(signed),
            }
        )

    def _said(self, kind: str, question: str, site: Site) -> bytes:
        said = {"type": kind, "challenge": json.loads(question)["challenge"], "origin": site.origin}
        return json.dumps(said).encode()

    def _data(self, site: Site, flags: int = 0) -> bytes:
        flags |= UP | (UV if self.verifies else 0)
        return hashlib.sha256(site.rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _answer(self, response: dict[str, str]) -> str:
        own = {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key"}
        return json.dumps(own | {"response": response})


class Clock:
    """Stands in for the time of day, in microseconds."""

    now_s = 1_800_000_000

    def __call__(self) -> int:
        return self.now_s * 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (account, attempts, entry, opened, second, passkeys):
        monkeypatch.setattr(module, "now_us", clock)
    return clock


@pytest.fixture
def path(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(path: str, clock: Clock) -> Iterator[Accounts]:
    found = Accounts.open(path, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    yield found
    found.close()


@pytest.fixture
def ada(store: Accounts) -> Account:
    return store.set_up("Ada", GOOD)


def registered(
    store: Accounts, account: Account, device: Device, name: str = "laptop"
) -> list[str]:
    question = store.passkeys.registration(account.id, SITE, KEY)
    return store.passkeys.register(account.id, name, device.create(question), SITE, KEY)


def shown(store: Accounts, device: Device, account: Account | None = None) -> str:
    account_id = account and account.id
    question = store.passkeys.question(SITE, KEY, account_id)
    return store.passkeys.check(device.get(question), SITE, KEY, "192.0.2.7", account_id)


def test_a_passkey_lets_in_alone_and_as_second_factor(
    store: Accounts, path: str, ada: Account
) -> None:
    device = Device()
    assert not store.passkeys.any()
    assert len(registered(store, ada, device)) == 10
    assert registered(store, ada, Device(), "blue key") == [], "the codes are there already"
    (one, other) = store.passkeys.of(ada.id)
    assert (one.name, one.used_at, other.name) == ("laptop", None, "blue key")
    assert store.named("Ada").factors.passkeys == 2
    assert shown(store, device) == ada.id
    assert store.passkeys.of(ada.id)[0].used_at is not None
    token, account = store.entry.begin(ada.id, "passkey", "192.0.2.7", "Firefox, Linux")
    assert account.id == ada.id and store.sessions.find(token) is not None
    waits, _ = store.entry.sign_in("Ada", GOOD, "192.0.2.7")
    assert store.sessions.find(waits) is None, "the password alone is not enough any more"
    assert shown(store, device, ada) == ada.id
    assert store.sessions.find(store.sessions.let_in(waits, "password+passkey")) is not None
    store.passkeys.remove(ada.id, one.id)
    with pytest.raises(SignInRefused):
        shown(store, device)
    store.change(store.add("Bob", GOOD, "admin").id)
    store.change(ada.id, enabled=False)
    with pytest.raises(SignInRefused):
        store.entry.begin(ada.id, "passkey", "192.0.2.7")
    with Gallery.open(path) as gallery:
        found = [(e.verb, e.details.get("kind")) for e in Audit(gallery).find(verb="factor")]
    assert found[::-1] == [
        ("factor.add", "passkey"), ("factor.add", "passkey"), ("factor.remove", "passkey"),
    ]  # fmt: skip


def test_an_answer_counts_once_in_time_and_for_what_was_asked(
    store: Accounts, ada: Account, clock: Clock
) -> None:
    device = Device()
    registered(store, ada, device)
    ask, check = store.passkeys.question, store.passkeys.check
    answer = device.get(ask(SITE, KEY))
    assert check(answer, SITE, KEY, "a") == ada.id
    with pytest.raises(SignInRefused):
        check(answer, SITE, KEY, "a")
    again = Device()  # the same, from a copy that was never counted up
    again.__dict__.update(device.__dict__ | {"count": 0})
    with pytest.raises(SignInRefused):
        check(again.get(ask(SITE, KEY)), SITE, KEY, "b")
    late = device.get(ask(SITE, KEY))
    clock.now_s += 301
    with pytest.raises(SignInRefused):
        check(late, SITE, KEY, "c")
    for wrong in (ask(SITE, bytes(range(32))), ask(SITE, KEY, ada.id), '{"challenge": "AAAA"}'):
        with pytest.raises(SignInRefused):  # another service's, the second step's, a made-up one
            check(device.get(wrong), SITE, KEY, "d")
    assert shown(store, device) == ada.id


def test_another_site_and_an_unverified_user_are_refused(store: Accounts, ada: Account) -> None:
    device = Device()
    registered(store, ada, device)
    ask, check = store.passkeys.question, store.passkeys.check
    for other in (
        Site("faces.example", "https://faces.example.evil"),
        Site("faces.example", "http://faces.example"),
        Site("evil.example", "https://faces.example"),
    ):
        with pytest.raises(SignInRefused):
            check(device.get(ask(SITE, KEY), other), SITE, KEY, other.origin)
    device.verifies = False
    with pytest.raises(SignInRefused):  # alone, the device has to make sure of its user
        check(device.get(ask(SITE, KEY)), SITE, KEY, "x")
    assert shown(store, device, ada) == ada.id, "after the password, a touch is enough"
    for broken in (
        "",
        "{}",
        "[]",
        '{"id": 7}',
        '{"response": {"clientDataJSON": "e30"}}',
        "\ud800",
        "[" * 15_000,
        '{"id": "AA", "response": {"clientDataJSON": "' + b64(b'{"challenge": "AA"}') + '"}}',
    ):
        with pytest.raises(SignInRefused):
            check(broken, SITE, KEY, "x")


def test_one_account_does_not_show_the_passkey_of_another(store: Accounts, ada: Account) -> None:
    eve, device = store.add("Eve", GOOD, "viewer"), Device()
    registered(store, ada, device)
    for one in (eve, ada):
        question = store.passkeys.question(SITE, KEY, eve.id)
        with pytest.raises(SignInRefused):
            store.passkeys.check(device.get(question), SITE, KEY, one.name, one.id)
    question = store.passkeys.registration(ada.id, SITE, KEY)
    with pytest.raises(AccountRefused):
        store.passkeys.register(eve.id, "mine", Device().create(question), SITE, KEY)
    with pytest.raises(AccountRefused):  # hers already
        registered(store, eve, device)
    store.passkeys.remove(eve.id, store.passkeys.of(ada.id)[0].id)
    assert len(store.passkeys.of(ada.id)) == 1


def test_what_is_registered_is_checked_and_bounded(store: Accounts, ada: Account) -> None:
    ask, register = store.passkeys.registration, store.passkeys.register
    with pytest.raises(AccountRefused):
        registered(store, ada, Device(), " ")
    other = Site("evil.example", "https://evil.example")
    with pytest.raises(AccountRefused):
        register(ada.id, "x", Device().create(ask(ada.id, SITE, KEY), other), SITE, KEY)
    for broken in ("", "{}", "null"):
        with pytest.raises(AccountRefused):
            register(ada.id, "x", broken, SITE, KEY)
    for number in range(MAX_PASSKEYS):
        registered(store, ada, Device(), f"key {number}")
    with pytest.raises(AccountRefused):
        registered(store, ada, Device())
    asked: dict[str, Any] = json.loads(ask(ada.id, SITE, KEY))
    assert len(asked["excludeCredentials"]) == MAX_PASSKEYS
    assert asked["rp"] == {"id": "faces.example", "name": "arcid"}


def test_where_there_is_a_factor_the_password_alone_adds_none(
    store: Accounts, ada: Account
) -> None:
    question = store.passkeys.registration(ada.id, SITE, KEY)
    late = store.passkeys.registration(ada.id, SITE, KEY)
    register = store.passkeys.register
    assert len(register(ada.id, "mine", Device().create(question), SITE, KEY, first=True)) == 10
    with pytest.raises(AccountRefused, match="meanwhile"):
        register(ada.id, "theirs", Device().create(late), SITE, KEY, first=True)


def test_who_guesses_waits(store: Accounts, ada: Account) -> None:
    device = Device()
    registered(store, ada, device)
    for _ in range(50):
        with pytest.raises(SignInRefused):
            store.passkeys.check("{}", SITE, KEY, "10.9.9.9")
    answer = device.get(store.passkeys.question(SITE, KEY))
    with pytest.raises(TooManyAttempts):
        store.passkeys.check(answer, SITE, KEY, "10.9.9.9")
    assert store.passkeys.check(answer, SITE, KEY, "10.9.9.8") == ada.id


@pytest.mark.parametrize(
    ("scheme", "origin", "same"),
    [
        ("http", "http://faces.example", True),
        ("https", "https://FACES.example", True),
        ("https", "http://faces.example", False),
        ("wss", "http://faces.example", False),
        ("ws", "http://[", False),
        ("http", "http://faces.example]", False),
        ("http", "", False),
        ("http", "null", False),
    ],
)
def test_a_page_is_ours_by_its_origin(scheme: str, origin: str, same: bool) -> None:
    sent = [(b"host", b"faces.example"), (b"origin", origin.encode())]
    assert same_origin({"type": "http", "scheme": scheme, "headers": sent}) is same


@pytest.mark.parametrize(
    ("public_url", "scheme", "host", "expected"),
    [
        (None, "http", "localhost:8000", Site("localhost", "http://localhost:8000")),
        (None, "http", "127.0.0.1:8000", None),
        (None, "http", "localhost:[", None),
        (None, "https", "faces.example", None),
        ("https://faces.example", "https", "Faces.example", SITE),
        ("https://faces.example", "http", "faces.example", None),
        ("https://faces.example", "https", "evil.example", None),
        ("https://faces.example", "http", "localhost:8000", None),
        ("https://192.0.2.7", "https", "192.0.2.7", None),
    ],
)
def test_the_site_is_the_public_address_or_localhost(
    path: str,
    tmp_path: Path,
    public_url: str | None,
    scheme: str,
    host: str,
    expected: Site | None,
) -> None:
    first = FirstAccount((), Throttle())
    door = Door(path, tmp_path, first, lambda token: None, public_url=public_url)
    scope = {
        "type": "http", "method": "GET", "scheme": scheme, "path": "/", "query_string": b"",
        "headers": [(b"host", host.encode())], "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    assert door.site(Request(scope)) == expected
    door.close()

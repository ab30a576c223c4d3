"""``arcid accounts``: the way in for whoever has the machine."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_console_second import code_at

from arcid import paths
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.errors import SignInRefused, TooManyAttempts

GOOD, OTHER = "correct horse battery", "another long secret"
Type = Callable[[str], None]


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    return lambda line: monkeypatch.setattr("sys.stdin", io.StringIO(line + "\n"))


@pytest.fixture
def store(cli: Any, environment: Path, type_in: Type) -> Any:
    """Ada, the only admin, who has a session; the store of a service that is running."""
    type_in(GOOD)
    assert cli("accounts", "add", "Ada Admin").code == 0
    found = Accounts.open(paths.database_url())
    found.entry.sign_in("Ada Admin", GOOD, "10.0.0.1")
    yield found
    found.close()


def test_the_only_admin_gets_back_in(cli: Any, store: Accounts, type_in: Type) -> None:
    for number in range(25):
        store.entry._attempts.count({"name": _key("Ada Admin"), "address": str(number)})
    with pytest.raises(TooManyAttempts):
        store.entry.sign_in("Ada Admin", GOOD, "10.0.0.9")
    ran = cli("accounts", "reset", "ada admin", "--generate", "--json")
    made = ran.json["password"]
    assert ran.code == 0 and len(made) >= 16
    assert store.sessions.all() == [], "every session has ended"
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Ada Admin", GOOD, "10.0.0.9")
    store.entry.sign_in("Ada Admin", made, "10.0.0.9")
    type_in(OTHER)
    ran = cli("accounts", "reset", "Ada Admin")
    assert ran.code == 0 and OTHER not in ran.out + ran.err
    store.entry.sign_in("Ada Admin", OTHER, "10.0.0.9")
    type_in("short")
    assert cli("accounts", "reset", "Ada Admin").code == 2
    store.entry.sign_in("Ada Admin", OTHER, "10.0.0.9")


def _key(name: str) -> str:
    from arcid.server.console.auth.attempts import attempt_keys

    return attempt_keys(name, "")["name"]


def test_accounts_are_listed_closed_and_opened(cli: Any, store: Accounts, type_in: Type) -> None:
    type_in(OTHER)
    ran = cli("accounts", "add", "Olga", "--role", "operator", "--json")
    assert ran.json["account"]["role"] == "operator" and "password" not in ran.json
    listed = cli("accounts", "list", "--json").json["accounts"]
    assert [(a["name"], a["enabled"], a["sessions"]) for a in listed] == [
        ("Ada Admin", True, 1),
        ("Olga", True, 0),
    ]
    assert "argon2" not in json.dumps(listed)
    assert "Olga" in cli("accounts", "list").out
    assert cli("accounts", "disable", "Olga").code == 0
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Olga", OTHER, "10.0.0.1")
    assert cli("accounts", "enable", "Olga").code == 0
    store.entry.sign_in("Olga", OTHER, "10.0.0.1")
    last = cli("accounts", "disable", "Ada Admin", "--json")
    assert last.code == 2 and "One admin" in last.json["error"]["message"]
    unknown = cli("accounts", "disable", "Nobody", "--json")
    assert unknown.code == 2 and "Nobody" in unknown.json["error"]["message"]


def test_sessions_are_listed_and_ended(cli: Any, store: Accounts) -> None:
    token, _ = store.entry.sign_in("Ada Admin", GOOD, "10.0.0.2")
    store.add("Olga", OTHER, "operator")
    kept, _ = store.entry.sign_in("Olga", OTHER, "10.0.0.3")
    found = cli("accounts", "sessions", "--json").json["sessions"]
    assert [s["account"] for s in found].count("Ada Admin") == 2 and len(found) == 3
    (one, _) = cli("accounts", "sessions", "Ada Admin", "--json").json["sessions"]
    assert one["id"] not in (token, kept) and "Olga" in cli("accounts", "sessions").out
    theirs = cli("accounts", "sign-out", "Olga", "--session", one["id"], "--json")
    assert theirs.json["ended"] == 0, "a session of somebody else"
    ended = cli("accounts", "sign-out", "Ada Admin", "--session", one["id"], "--json")
    assert ended.json["ended"] == 1
    assert cli("accounts", "sign-out", "Ada Admin", "--json").json["ended"] == 1
    assert store.sessions.find(token) is None and store.sessions.find(kept) is not None


def test_without_a_gallery_there_are_no_accounts(cli: Any) -> None:
    ran = cli("accounts", "list", "--json")
    assert ran.code == 0 and ran.json == {"accounts": []}


def test_a_second_factor_is_reset_after_a_yes(cli: Any, store: Accounts) -> None:
    ada = store.named("Ada Admin")
    secret, key = store.second.draft(ada.id, ada.name, bytes(32)), bytes(32)
    code = code_at(secret.secret, int(time.time()))
    store.second.add(ada.id, secret, code, key)
    assert cli("accounts", "list", "--json").json["accounts"][0]["factors"]["app"] is True
    assert cli("accounts", "reset-second-factor", "Ada Admin").code != 0, "nobody said yes"
    assert store.named("Ada Admin").factors
    ran = cli("accounts", "reset-second-factor", "Ada Admin", "--yes", "--json")
    assert ran.code == 0 and ran.json["removed"] is True
    assert not store.named("Ada Admin").factors and store.sessions.all() == []
    again = cli("accounts", "reset-second-factor", "Ada Admin", "--yes")
    assert again.code == 0 and "had no second factor" in again.out

"""Accounts, sessions and held-back attempts, in a real database."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from argon2 import PasswordHasher

from arcid.cameras.book import CameraBook
from arcid.errors import ConfigError, SchemaTooNew, UsageError
from arcid.events import Audit, acting
from arcid.gallery import Gallery
from arcid.gallery.database import Database
from arcid.server.console import strings as S
from arcid.server.console.auth import account, attempts, entry, opened, schema
from arcid.server.console.auth.account import KioskRules
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.browsers import browser_of
from arcid.server.console.auth.errors import AccountRefused, SignInRefused, TooManyAttempts
from arcid.server.console.auth.opened import HOUR, LIFETIME, SECOND, session_id
from arcid.server.console.auth.roles import MAY, ROLES, may, role_of
from arcid.server.console.auth.secret import load_secret, sign, unsign

GOOD, OTHER = "correct horse battery", "another long secret"


class Clock:
    """Stands in for the time of day, in microseconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (account, attempts, entry, opened):
        monkeypatch.setattr(module, "now_us", clock)
    return clock


@pytest.fixture
def path(fresh: Path) -> Path:
    return fresh


@pytest.fixture
def store(path: Path) -> Iterator[Accounts]:
    found = Accounts.open(path, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    yield found
    found.close()


def noted(store: Accounts) -> None:
    """Wait until the sessions that were asked for are written down as seen."""
    store.sessions._notes.submit(int).result()


def test_a_session_is_good_while_somebody_else_writes(clock: Clock, path: Path) -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    store = Accounts(Database(path, busy_s=1.0), hasher)
    store.set_up("Ada", GOOD)
    token, _ = store.entry.sign_in("Ada", GOOD, "192.0.2.7")
    clock.later(120)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    found = store.sessions.find(token)
    assert found is not None and found.name == "Ada"
    assert time.monotonic() - began < 0.5, "it waits for nobody"
    noted(store)
    other.close()
    store.sessions.find(token)
    noted(store)
    assert next(iter(store.sessions.all())).seen_at.timestamp() == clock.now / SECOND
    store.close()


def test_the_first_account_is_an_admin_and_there_is_one_first(store: Accounts) -> None:
    assert not store.exist()
    ada = store.set_up("Ada", GOOD)
    assert ada.role == "admin"
    assert store.exist()
    with pytest.raises(AccountRefused):
        store.set_up("Eve", GOOD)
    assert [account.name for account in store.all()] == ["Ada"]


def test_passwords_are_kept_as_argon2id_and_tokens_as_digests(store: Accounts, path: Path) -> None:
    store.set_up("Ada", GOOD)
    token, _ = store.entry.sign_in("ada", GOOD, "10.0.0.1")
    store.close()
    with sqlite3.connect(path) as connection:
        (kept,) = connection.execute("SELECT password FROM console_accounts").fetchone()
        (digest,) = connection.execute("SELECT token FROM console_sessions").fetchone()
    connection.close()
    assert kept.startswith("$argon2id$v=19$m=64,")
    assert digest != token and len(digest) == 64
    assert GOOD.encode() not in path.read_bytes()
    assert token.encode() not in path.read_bytes()


@pytest.mark.parametrize("password", ["short", "x" * 300, "aaaaaaaaaaaa", "ada the admin"])
def test_weak_passwords_are_refused(store: Accounts, password: str) -> None:
    with pytest.raises(AccountRefused):
        store.set_up("Ada  the Admin", password)
    assert not store.exist()


def test_names_that_differ_in_case_or_spacing_are_one(store: Accounts) -> None:
    store.set_up("Zoë  Muster", GOOD)
    with pytest.raises(AccountRefused):
        store.add("zoë muster", GOOD, "viewer")
    assert store.entry.sign_in("ZOË MUSTER", GOOD, "a")[1].name == "Zoë Muster"
    for name in ("", "  ", "x" * 61, "a\0b"):
        with pytest.raises(AccountRefused):
            store.add(name, GOOD, "viewer")
    with pytest.raises(UsageError):
        store.add("Root", GOOD, "root")


def test_a_session_ends_by_sign_out_change_closing_and_time(store: Accounts, clock: Clock) -> None:
    store.set_up("Ada", GOOD)
    op = store.add("Op", GOOD, "operator")

    def signed_in() -> str:
        token, _ = store.entry.sign_in("Op", store_password[0], "a")
        found = store.sessions.find(token)
        assert found is not None and found.role == "operator"
        return token

    store_password = [GOOD]
    token = signed_in()
    store.sessions.sign_out(token)
    assert store.sessions.find(token) is None
    token = signed_in()
    store.change(op.id, password=OTHER)
    assert store.sessions.find(token) is None
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Op", GOOD, "a")
    store_password[0] = OTHER
    token = signed_in()
    store.change(op.id, enabled=False)
    assert store.sessions.find(token) is None
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Op", OTHER, "a")
    store.change(op.id, enabled=True)
    idle = signed_in()
    clock.later(13 * 3600)
    assert store.sessions.find(idle) is None
    busy = signed_in()
    for _ in range(16):
        clock.later(11 * 3600)
        last = store.sessions.find(busy)
        noted(store)
    assert last is None, "a session must end after its whole life, however busy it is"
    assert store.sessions.find("made up") is None


@pytest.mark.parametrize("change", ["password", "closed", "deleted"])
def test_a_change_while_a_password_is_checked_leaves_no_session(
    store: Accounts, path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    store.set_up("Root", OTHER)
    ada = store.add("Ada", GOOD, "operator")
    check = store._passwords.verify

    def slow(hashed: str, password: str) -> bool:
        right = check(hashed, password)
        if change == "deleted":
            store.delete(ada.id)
        elif change == "closed":
            store.change(ada.id, enabled=False)
        else:
            store.change(ada.id, password=OTHER)
        return right

    monkeypatch.setattr(store._passwords, "verify", slow)
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Ada", GOOD, "1.2.3.4")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM console_sessions").fetchone() == (0,)
    database.close()


def test_attempts_are_held_back_by_name_and_address(store: Accounts, clock: Clock) -> None:
    store.set_up("Ada", GOOD)
    for _ in range(5):
        with pytest.raises(SignInRefused):
            store.entry.sign_in("Ada", "wrong password", "10.0.0.1")
    with pytest.raises(TooManyAttempts) as held:
        store.entry.sign_in("Ada", GOOD, "10.0.0.1")
    assert 0 < held.value.details["retry_after_s"] <= 15
    assert store.entry.sign_in("Ada", GOOD, "10.0.0.2")[1].name == "Ada", (
        "from elsewhere it goes on"
    )
    clock.later(16)
    with pytest.raises(SignInRefused):
        store.entry.sign_in("Ada", "wrong again", "10.0.0.1")
    with pytest.raises(TooManyAttempts) as longer:
        store.entry.sign_in("Ada", GOOD, "10.0.0.1")
    assert longer.value.details["retry_after_s"] > 15
    clock.later(31)
    store.entry.sign_in("Ada", GOOD, "10.0.0.1")
    with pytest.raises(SignInRefused):  # a right password clears the count
        store.entry.sign_in("Ada", "wrong password", "10.0.0.1")


def test_wrong_passwords_are_in_the_audit_and_cannot_fill_it(
    store: Accounts, clock: Clock, path: Path
) -> None:
    ada = store.set_up("Ada", GOOD)
    for number in range(9):
        for name in ("Ada", f"nobody {number}"):
            with acting("anybody", "192.0.2.7"), pytest.raises(SignInRefused):
                store.entry.sign_in(name, "wrong password", f"10.0.0.{number}")
    with acting(f"account:{ada.id}", "192.0.2.7"), pytest.raises(SignInRefused):
        store.entry.confirm("Ada", "wrong password", "10.0.1.1")
    with Gallery.open(path) as gallery:
        found = Audit(gallery).find(verb="session.refuse")
    assert {(row.subject, row.details["failures"]) for row in found} == {
        (f"account:{uid}", failures) for uid in (ada.id, "unknown") for failures in (1, 2, 4, 8)
    }
    assert {(row.actor, row.address) for row in found} == {("anybody", "192.0.2.7")}
    assert "nobody 1" not in str(found) and "wrong password" not in str(found)


def test_one_address_cannot_try_many_names(store: Accounts, clock: Clock) -> None:
    store.set_up("Ada", GOOD)
    for number in range(50):
        with pytest.raises(SignInRefused):
            store.entry._attempts.count(attempts.attempt_keys(f"name {number}", "10.9.9.9"))
            raise SignInRefused("counted")
    with pytest.raises(TooManyAttempts):
        store.entry.sign_in("somebody else", GOOD, "10.9.9.9")
    clock.later(HOUR / SECOND + 1)
    with pytest.raises(SignInRefused):
        store.entry.sign_in("somebody else", GOOD, "10.9.9.9")


def test_one_admin_remains(store: Accounts) -> None:
    ada = store.set_up("Ada", GOOD)
    for change in ({"role": "viewer"}, {"enabled": False}):
        with pytest.raises(AccountRefused):
            store.change(ada.id, **change)  # type: ignore[arg-type]
    with pytest.raises(AccountRefused):
        store.delete(ada.id)
    assert [(a.role, a.enabled) for a in store.all()] == [("admin", True)]
    bob = store.add("Bob", GOOD, "admin")
    store.delete(ada.id)
    assert [a.id for a in store.all()] == [bob.id]


def test_a_second_opening_finds_the_tables_and_a_newer_schema_is_left_alone(path: Path) -> None:
    first, second = Accounts.open(path), Accounts.open(path)
    first.set_up("Ada", GOOD)
    assert second.exist()
    with sqlite3.connect(path) as connection:
        (kept,) = connection.execute("SELECT password FROM console_accounts").fetchone()
    connection.close()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$"), "what the service itself uses"
    first.close()
    second.close()
    with Gallery.open(path) as gallery:
        assert gallery.check() == []
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE console_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaTooNew):
        Accounts.open(path)


def test_what_a_kiosk_asks_for_is_its_accounts_and_signs_nobody_out(store: Accounts) -> None:
    made = store.add("Front door", GOOD, "kiosk")
    assert made.kiosk == KioskRules(None, challenge=True), "turns are asked for unless an admin"
    token, _ = store.entry.sign_in("Front door", GOOD, "here")
    rules = KioskRules("f" * 32, challenge=False)
    assert store.set_kiosk(made.id, rules).kiosk == rules
    found = store.sessions.find(token)
    assert found is not None and found.kiosk == rules
    with pytest.raises(AccountRefused):
        store.set_kiosk("nobody", rules)


def test_tables_of_the_first_schema_are_taken_along(path: Path) -> None:
    with Gallery.open(path) as gallery:
        gallery.create_collection("staff")
        wanted = gallery.collection("staff").id
    first = Database(path)
    with first.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO console_accounts (uid, name, name_key, role, password, enabled,"
            " created_at) VALUES ('k', 'Door', 'door', 'kiosk', 'x', 1, 1)"
        )
        for name in ("staff", "gone"):
            connection.exec_driver_sql(
                "INSERT INTO console_cameras (uid, name, name_key, source, collection, place,"
                f" liveness, enabled, created_at) VALUES ('{name}', '{name}', '{name}', '0',"
                f" '{name}', '', 'off', 1, 1)"
            )
    first.close()
    opened = Accounts.open(path)
    (door,) = opened.all()
    assert door.kiosk == KioskRules(None, challenge=True)
    opened.close()
    with Gallery.open(path) as gallery:
        kept = CameraBook(gallery.database, path.parent).all()
        with gallery.database.read() as connection:
            assert not sa.inspect(connection).has_table("console_cameras")
    assert [(c.collection, c.collection_id) for c in kept] == [("gone", None), ("staff", wanted)]


def test_the_key_is_private_kept_and_checked(tmp_path: Path) -> None:
    home = tmp_path / "home"
    secret = load_secret(home)
    file = home / "console.key"
    assert len(secret) == 32 and file.stat().st_mode & 0o777 == 0o600
    assert load_secret(home) == secret
    file.chmod(0o644)
    load_secret(home)
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_secret(tmp_path / "other") != secret
    file.write_text("no key")
    with pytest.raises(ConfigError):
        load_secret(home)


def test_a_key_that_was_never_finished_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / f"console.key.{'a' * 16}", tmp_path / f"console.key.{'b' * 16}"
    other = tmp_path / "console.key.backup"
    for file in (old, young, other):
        file.write_text("ab" * 32)
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    load_secret(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "console.key",
        "console.key.backup",
        young.name,
    ]


def test_only_good_sessions_are_listed(store: Accounts, clock: Clock) -> None:
    ada = store.set_up("Ada", GOOD)
    first, _ = store.entry.sign_in("Ada", GOOD, "10.0.0.1")
    clock.later(6 * 3600)
    second, _ = store.entry.sign_in("Ada", GOOD, "10.0.0.1")
    assert [s.id for s in store.sessions.all()] == [session_id(second), session_id(first)]
    assert store.sessions.all(ada.id)[0].account == store.all()[0]
    clock.later(7 * 3600)  # the first was not used for more than 12 hours
    assert [s.id for s in store.sessions.all()] == [session_id(second)]
    store.sessions.end(session_id(second), ada.id)
    assert store.sessions.all() == [] and store.sessions.find(second) is None


def test_sessions_say_where_they_began_and_leave_rows(store: Accounts, path: Path) -> None:
    ada = store.set_up("Ada", GOOD)
    eve = store.add("Eve", GOOD, "viewer")
    first, _ = store.entry.sign_in("Ada", GOOD, "192.0.2.7", "Firefox, Linux")
    second, _ = store.entry.sign_in("Ada", GOOD, "2001:db8::1:2:3", "Safari, iPhone")
    third, _ = store.entry.sign_in("Ada", GOOD, "unix")
    hers, _ = store.entry.sign_in("Eve", GOOD, "192.0.2.8")
    assert {(s.address, s.browser) for s in store.sessions.all(ada.id)} == {
        ("192.0.2.7", "Firefox, Linux"), ("2001:db8::1:2:3", "Safari, iPhone"), (None, None),
    }  # fmt: skip
    assert store.sessions.alive([first, second, hers, "made up"]) == {first, second, hers}
    other = Accounts.open(path)  # another process would have one of its own
    with acting(f"account:{ada.id}", "192.0.2.9"):
        other.sessions.end(session_id(second), eve.id)  # a session of somebody else
        assert store.sessions.alive([second]) == {second}
        other.sessions.end(session_id(second))
        other.sessions.end(session_id(second))
        assert other.sessions.end_all(ada.id, but=first) == 1
        assert other.sessions.end_all(eve.id) == 1 and other.sessions.end_all(eve.id) == 0
    other.close()
    assert store.sessions.alive([first, second, third, hers]) == {first}
    with Gallery.open(path) as gallery:
        found = list(reversed(Audit(gallery).find(verb="session")))
    assert [(e.verb, e.subject, e.actor, e.address) for e in found[:4]] == [
        ("session.begin", f"account:{ada.id}", f"account:{ada.id}", "192.0.2.7"),
        ("session.begin", f"account:{ada.id}", f"account:{ada.id}", "2001:db8::1:2:3"),
        ("session.begin", f"account:{ada.id}", f"account:{ada.id}", None),
        ("session.begin", f"account:{eve.id}", f"account:{eve.id}", "192.0.2.8"),
    ]
    assert [(e.subject, e.actor, dict(e.details)) for e in found[4:]] == [
        (f"account:{ada.id}", f"account:{ada.id}", {"sessions": [session_id(second)]}),
        (f"account:{ada.id}", f"account:{ada.id}", {"sessions": [session_id(third)]}),
        (f"account:{eve.id}", f"account:{ada.id}", {"sessions": [session_id(hers)]}),
    ]


def test_one_line_of_addresses_is_held_back_as_one(store: Accounts, clock: Clock) -> None:
    store.set_up("Ada", GOOD)
    for number in range(5):
        with pytest.raises(SignInRefused):
            store.entry.sign_in("Ada", "wrong password", f"2001:db8::{number}")
    with pytest.raises(TooManyAttempts):
        store.entry.sign_in("Ada", GOOD, "2001:db8::77")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox, Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
            "like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        ("curl/8.5.0 <script>", ""),
    ],
)
def test_a_browser_is_known_by_two_words(agent: str, words: str) -> None:
    assert browser_of(agent) == words


def test_a_cookie_of_another_key_or_changed_by_a_letter_is_refused(tmp_path: Path) -> None:
    ours, theirs = load_secret(tmp_path / "a"), load_secret(tmp_path / "b")
    cookie = sign(ours, "token-1")
    assert unsign(ours, cookie) == "token-1"
    assert unsign(theirs, cookie) is None
    assert unsign(ours, cookie.replace("token-1", "token-2")) is None
    for broken in ("", ".", "token-1", "token-1.", "ü.ü", cookie[:-1]):
        assert unsign(ours, broken) is None


def test_roles_hold_what_they_are_for() -> None:
    assert may("admin", "accounts") and may("admin", "delete")
    assert not may("operator", "delete") and not may("operator", "accounts")
    assert not may("viewer", "enrol") and not may("viewer", "search")
    assert MAY["kiosk"] == {"kiosk"}
    assert MAY["viewer"] < MAY["operator"] < MAY["admin"]
    assert may("guard", "open_door") and not may("guard", "lists") and not may("guard", "people")
    assert may("reviewer", "cases") and not may("reviewer", "alerts")
    assert may("officer", "audit") and not may("officer", "open_door")
    assert not any(may("operator", what) for what in ("lists", "open_door", "cases", "audit"))
    assert all(own < MAY["admin"] for role, own in MAY.items() if role != "admin")
    assert set(LIFETIME) == set(S.ROLE_NAMES) == set(S.ROLE_TEXTS) == set(ROLES)
    assert [role_of(role) for role in ROLES] == list(ROLES)


def test_what_becomes_of_accounts_is_in_the_audit(store: Accounts, path: Path) -> None:
    ada = store.set_up("Ada", GOOD)
    with acting(f"account:{ada.id}", "192.0.2.7"):
        eve = store.add("Eve", GOOD, "viewer")
        store.change(eve.id, role="operator", password="another long secret")
        store.change(eve.id)
        with pytest.raises(AccountRefused):
            store.change(ada.id, role="viewer")  # the last admin
        store.delete(eve.id)
    with Gallery.open(path) as gallery:
        found = Audit(gallery).find(verb="account")
    assert [(e.verb, e.subject, e.actor, e.address) for e in reversed(found)] == [
        ("account.add", f"account:{ada.id}", "library", None),
        ("account.add", f"account:{eve.id}", f"account:{ada.id}", "192.0.2.7"),
        ("account.change", f"account:{eve.id}", f"account:{ada.id}", "192.0.2.7"),
        ("account.delete", f"account:{eve.id}", f"account:{ada.id}", "192.0.2.7"),
    ]
    assert found[1].details == {
        "role": "operator", "enabled": True, "changed": ["password", "role"],
    }  # fmt: skip
    assert GOOD not in str(found) and "Eve" not in str(found)

"""The second factor: codes of an app, recovery codes, who needs one, in a real database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from arcid.apps.doctor import examine
from arcid.cli import doctor
from arcid.events import Audit
from arcid.gallery import Gallery
from arcid.keys import load_key
from arcid.server.console.auth import account, attempts, entry, opened, second
from arcid.server.console.auth.accounts import Accounts
from arcid.server.console.auth.copies import doubt
from arcid.server.console.auth.errors import (
    AccountRefused,
    SignedOut,
    SignInRefused,
    TooManyAttempts,
)
from arcid.server.console.auth.schema import accounts as accounts_table
from arcid.server.console.auth.second import SecondFactors, demanded, qr_code
from arcid.server.console.auth.secret import NAME

GOOD, KEY, OTHER_KEY = "correct horse battery", bytes(32), bytes(range(32))
FAST = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
ADDRESS = "192.0.2.7"


class Clock:
    """Stands in for the time of day, in microseconds."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000

    def __call__(self) -> int:
        return self.now_s * 1_000_000


def code_at(secret: str, now_s: int) -> str:
    """RFC 6238 (SHA-1, six digits, 30 seconds) by itself, as a phone has it."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", now_s // 30), hashlib.sha1)
    at = digest.digest()[-1] & 15
    (number,) = struct.unpack(">I", digest.digest()[at : at + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (account, attempts, entry, opened, second):
        monkeypatch.setattr(module, "now_us", clock)
    return clock


@pytest.fixture
def path(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(path: str) -> Iterator[Accounts]:
    found = Accounts.open(path, FAST)
    yield found
    found.close()


def with_app(store: Accounts, clock: Clock, name: str = "Ada") -> tuple[str, list[str]]:
    """Ada has an app; its secret and her recovery codes."""
    ada = store.named(name)
    draft = store.second.draft(ada.id, ada.name, KEY)
    codes = store.second.add(ada.id, draft, code_at(draft.secret, clock.now_s), KEY)
    clock.now_s += 60
    return draft.secret, codes


def verbs(path: str, kind: str) -> list[str]:
    with Gallery.open(path) as gallery:
        return [entry.verb for entry in reversed(Audit(gallery).find(verb=kind))]


def test_codes_are_those_of_the_rfc(clock: Clock) -> None:
    secret = base64.b32encode(b"12345678901234567890").decode()
    # RFC 6238, appendix B, the last six of its eight digits
    for now_s, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        clock.now_s = now_s
        assert code_at(secret, now_s) == code
        assert second._step_of(secret, code) == now_s // 30


def test_a_password_alone_opens_nothing_where_there_is_an_app(
    store: Accounts, path: str, clock: Clock
) -> None:
    ada = store.set_up("Ada", GOOD)
    before, _ = store.entry.sign_in("Ada", GOOD, ADDRESS, "Firefox, Linux")
    assert store.sessions.find(before) is not None
    secret, codes = with_app(store, clock)
    assert len(codes) == len(set(codes)) == 10
    store.sessions.strengthen(before)
    token, account = store.entry.sign_in("Ada", GOOD, ADDRESS, "Firefox, Linux")
    assert account.factors.app and account.factors.recovery_left == 10
    assert store.sessions.find(token) is None and store.sessions.alive([token]) == set()
    assert len(store.sessions.all()) == 1, "one that waits is in no list"
    waiting = store.sessions.waiting(token)
    assert waiting is not None and (waiting.account.id, waiting.waits) == (ada.id, "second")
    assert store.second.check(ada.id, code_at(secret, clock.now_s), KEY) == "app"
    opened = store.sessions.let_in(token, "password+app")
    assert (
        opened != token
        and store.sessions.find(token) is None
        and store.sessions.waiting(token) is None
    )
    assert store.sessions.find(opened) is not None
    assert {(s.address, s.browser) for s in store.sessions.all()} == {(ADDRESS, "Firefox, Linux")}
    with pytest.raises(SignedOut):
        store.sessions.let_in(token, "password+app")
    waits, _ = store.entry.sign_in("Ada", GOOD, ADDRESS)
    clock.now_s += 601
    assert store.sessions.waiting(waits) is None
    with pytest.raises(SignedOut):
        store.sessions.let_in(waits, "password+app")
    assert verbs(path, "session") == ["session.begin", "session.begin"]
    assert verbs(path, "factor") == ["factor.add"]


def test_a_code_counts_once_and_for_a_minute_and_a_half(store: Accounts, clock: Clock) -> None:
    ada = store.set_up("Ada", GOOD)
    secret, _ = with_app(store, clock)
    check = store.second.check
    now = code_at(secret, clock.now_s)
    assert check(ada.id, f"{now[:3]} {now[3:]}", KEY) == "app"
    with pytest.raises(SignInRefused):
        check(ada.id, now, KEY)
    with pytest.raises(SignInRefused):  # one of before the last that was taken
        check(ada.id, code_at(secret, clock.now_s - 30), KEY)
    assert check(ada.id, code_at(secret, clock.now_s + 30), KEY) == "app", "a phone that is ahead"
    with pytest.raises(SignInRefused):
        check(ada.id, code_at(secret, clock.now_s + 90), KEY)
    clock.now_s += 120
    assert check(ada.id, code_at(secret, clock.now_s - 30), KEY) == "app", "a slow thumb"
    for wrong in ("", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "\ud800"):
        clock.now_s += 3601
        with pytest.raises(SignInRefused):
            check(ada.id, wrong, KEY)


def test_two_at_once_cannot_use_one_code(store: Accounts, path: str, clock: Clock) -> None:
    ada = store.set_up("Ada", GOOD)
    secret, codes = with_app(store, clock)
    other = Accounts.open(path, FAST)
    row_before = store.second
    with store._database.read() as connection:
        row = account.find_account(connection, ada.id)  # both read it before either writes
    code = code_at(secret, clock.now_s)
    assert row_before._take_step(row, code, KEY)
    assert not other.second._take_step(row, code, KEY)
    typed = codes[0].replace("-", "")
    assert store.second._take_code(row, typed) and not other.second._take_code(row, typed)
    other.close()


def test_a_recovery_code_counts_once_and_is_kept_as_a_hash(
    store: Accounts, path: str, clock: Clock
) -> None:
    ada = store.set_up("Ada", GOOD)
    secret, codes = with_app(store, clock)
    assert store.second.check(ada.id, codes[3].lower(), KEY) == "recovery"
    with pytest.raises(SignInRefused):
        store.second.check(ada.id, codes[3], KEY)
    assert store.second.of(ada.id).recovery_left == 9
    assert store.second.check(ada.id, codes[4].replace("-", " "), None) == "recovery", "no key"
    renewed = store.second.renew_codes(ada.id)
    with pytest.raises(SignInRefused):
        store.second.check(ada.id, codes[5], KEY)
    store.second.check(ada.id, renewed[0], KEY)
    assert verbs(path, "factor") == [
        "factor.add", "factor.recovery", "factor.refuse", "factor.recovery", "factor.codes",
        "factor.refuse", "factor.recovery",
    ]  # fmt: skip
    store.close()
    if "://" in path:
        return
    kept = Path(path).read_bytes()
    for hidden in (secret, *codes, *renewed):
        assert hidden.encode() not in kept and hidden.replace("-", "").encode() not in kept


def test_wrong_codes_are_held_back_wherever_they_come_from(store: Accounts, clock: Clock) -> None:
    ada = store.set_up("Ada", GOOD)
    secret, codes = with_app(store, clock)
    for _ in range(5):
        with pytest.raises(SignInRefused):
            store.second.check(ada.id, "000000", KEY)
    with pytest.raises(TooManyAttempts):
        store.second.check(ada.id, code_at(secret, clock.now_s), KEY)
    with pytest.raises(TooManyAttempts):
        store.second.check(ada.id, codes[0], KEY)
    clock.now_s += 16
    assert store.second.check(ada.id, code_at(secret, clock.now_s), KEY) == "app"
    with pytest.raises(SignInRefused):  # the count began anew
        store.second.check(ada.id, "000000", KEY)


def test_a_secret_is_sealed_for_its_account_and_with_the_consoles_key(
    store: Accounts, path: str, clock: Clock
) -> None:
    ada, eve = store.set_up("Ada", GOOD), store.add("Eve", GOOD, "viewer")
    secret, _codes = with_app(store, clock)
    for key in (OTHER_KEY, None):
        with pytest.raises(SignInRefused, match="reset-second-factor"):
            store.second.check(ada.id, code_at(secret, clock.now_s), key)
    hers, _ = with_app(store, clock, "Eve")
    with store._database.write() as connection:  # somebody who writes to the database swaps them
        query = sa.select(accounts_table.c.totp).where(accounts_table.c.uid == eve.id)
        sealed = connection.execute(query).scalar_one()
        mine = accounts_table.c.uid == ada.id
        connection.execute(accounts_table.update().where(mine).values(totp=sealed))
    with pytest.raises(SignInRefused):
        store.second.check(ada.id, code_at(hers, clock.now_s), KEY)
    draft = store.second.draft(eve.id, "Eve", KEY)
    assert store.second.drafted(eve.id, "Eve", draft.sealed, KEY).secret == draft.secret
    with pytest.raises(AccountRefused):
        store.second.drafted(ada.id, "Ada", draft.sealed, KEY)
    with pytest.raises(AccountRefused):
        store.second.add(eve.id, draft, "000000", KEY)


def test_the_lost_phone_is_reset_and_every_session_ends(
    store: Accounts, path: str, clock: Clock
) -> None:
    ada = store.set_up("Ada", GOOD)
    secret, codes = with_app(store, clock)
    waits, _ = store.entry.sign_in("Ada", GOOD, ADDRESS)
    opened = store.sessions.let_in(waits, "password+recovery")
    for _ in range(5):
        with pytest.raises(SignInRefused):
            store.second.check(ada.id, "000000", KEY)
    assert not store.reset_second(ada.id).factors
    assert store.sessions.find(opened) is None
    token, _ = store.entry.sign_in("Ada", GOOD, ADDRESS)
    assert store.sessions.find(token) is not None
    with pytest.raises(SignInRefused):
        store.second.check(ada.id, code_at(secret, clock.now_s), KEY)
    with pytest.raises(SignInRefused):
        store.second.check(ada.id, codes[0], KEY)
    assert verbs(path, "factor")[-3:] == ["factor.remove", "factor.refuse", "factor.refuse"]
    assert not store.reset_second(ada.id).factors, "and once more"


def test_where_one_is_demanded_old_sessions_and_passwords_are_not_enough(
    store: Accounts, path: str, clock: Clock
) -> None:
    _ada, _eve = store.set_up("Ada", GOOD), store.add("Eve", GOOD, "viewer")
    old, _ = store.entry.sign_in("Ada", GOOD, ADDRESS)
    hers, _ = store.entry.sign_in("Eve", GOOD, ADDRESS)
    strict = Accounts.open(path, FAST, "admins")
    assert strict.sessions.find(old) is None and strict.sessions.find(hers) is not None
    token, _ = strict.entry.sign_in("Ada", GOOD, ADDRESS)
    waiting = strict.sessions.waiting(token)
    assert waiting is not None and waiting.waits == "enrol" and strict.sessions.find(token) is None
    _secret, _ = with_app(strict, clock)
    assert strict.sessions.find(strict.sessions.let_in(token, "password+app")) is not None
    again, _ = strict.entry.sign_in("Ada", GOOD, ADDRESS)
    assert strict.sessions.waiting(again).waits == "second"
    strict.close()
    strictest = Accounts.open(path, FAST, "everybody")
    assert strictest.sessions.find(hers) is None
    token, _ = strictest.entry.sign_in("Eve", GOOD, ADDRESS)
    assert strictest.sessions.waiting(token).waits == "enrol"
    strictest.close()
    assert demanded("everybody", "kiosk") and not demanded("optional", "admin")
    assert not demanded("admins", "officer")


def test_of_two_who_know_the_password_one_sets_the_second_factor_up(
    store: Accounts, clock: Clock
) -> None:
    ada = store.set_up("Ada", GOOD)
    drafts = [store.second.draft(ada.id, ada.name, KEY) for _ in range(2)]
    codes = [code_at(draft.secret, clock.now_s) for draft in drafts]
    store.second.add(ada.id, drafts[0], codes[0], KEY, first=True)
    with pytest.raises(AccountRefused, match="meanwhile"):
        store.second.add(ada.id, drafts[1], codes[1], KEY, first=True)
    clock.now_s += 60
    assert store.second.check(ada.id, code_at(drafts[0].secret, clock.now_s), KEY) == "app"


def test_what_is_shown_of_a_draft_is_drawn_and_nothing_of_it_in_words(store: Accounts) -> None:
    ada = store.set_up("Ada Admin", GOOD)
    draft = SecondFactors(store._database).draft(ada.id, ada.name, KEY)
    assert draft.uri == f"otpauth://totp/arcid:Ada%20Admin?secret={draft.secret}&issuer=arcid"
    assert draft.secret not in repr(draft) and draft.secret not in draft.sealed
    assert qr_code(draft.uri).startswith("data:image/svg+xml")


def test_a_server_without_the_consoles_key_is_told_so(
    store: Accounts, path: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    key = load_key(first / NAME, "")
    monkeypatch.setattr("tests.unit.test_console_second.KEY", key)
    store.set_up("Ada", GOOD)
    assert store.key_doubt(other) is None, "nobody has signed in"
    store.entry.sign_in("Ada", GOOD, ADDRESS)
    with_app(store, clock)
    assert store.key_doubt(first) is None
    lacks = store.key_doubt(other)
    assert lacks is not None and f"has no {NAME}" in lacks.message and NAME in lacks.advice
    assert not other.exists(), "looking makes no key"
    load_key(other / NAME, "")
    strange = store.key_doubt(other)
    assert strange is not None and "opens none of the second factors" in strange.message
    monkeypatch.setenv("ARCID_HOME", str(other))
    report = examine(path, doctor._console_key)
    assert strange.message in [p.message for p in report.problems if not p.serious]
    (other / NAME).write_bytes((first / NAME).read_bytes())
    assert store.key_doubt(other) is None
    assert strange.message not in [p.message for p in examine(path, doctor._console_key).problems]


def test_a_gallery_without_a_console_has_nothing_to_lack(path: str, tmp_path: Path) -> None:
    with Gallery.open(path) as gallery:
        assert doubt(gallery.database, tmp_path / "nowhere") is None

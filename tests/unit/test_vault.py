"""Keys and what is sealed with them: roots, key store, vault. No gallery is involved."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from arcid.errors import ArcidError, ConfigError, KeyUnavailable, SealBroken
from arcid.vault import KeyStore, Vault, is_sealed, keystore, place, roots, rotation
from arcid.vault.vault import Erased

IDENTITY = "1" * 32
STAFF, GUESTS = "a" * 32, "b" * 32
WHERE = place("vector", 1, 2, 3, 4)
VALUE = bytes(range(256)) * 8


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    """Where the keys of a gallery go that has none yet."""
    if request.param == "sqlite":
        yield keystore.place_of(sa.URL.create("sqlite", database=str(tmp_path / "g.db")), None)
        return
    with request.getfixturevalue("postgres").database(migrated=False) as made:
        yield keystore.place_of(sa.make_url(made).set(drivername="postgresql+psycopg"), None)
        close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    for name in (roots.SETTING, keystore.SETTING):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "home"
    close()


OPEN: list[Vault] = []


def close() -> None:
    while OPEN:
        OPEN.pop().close()


def opened(
    url: sa.URL, *, create: bool = False, complete: bool = True, identity: str = IDENTITY
) -> Vault:
    """As another process would open it."""
    store = KeyStore(url, identity)
    if create:
        store.create(complete=complete)
    OPEN.append(Vault(store, roots.find))
    return OPEN[-1]


def test_what_is_sealed_opens_in_its_place_with_its_key_only(url: sa.URL) -> None:
    vault = opened(url, create=True)
    key, other = vault.new_key(STAFF), vault.new_key(STAFF)
    sealed = vault.seal(key, VALUE, WHERE)
    assert is_sealed(sealed) and VALUE[:16] not in sealed and len(sealed) == len(VALUE) + 38
    assert vault.unseal(sealed, WHERE) == VALUE
    assert vault.seal(key, VALUE, WHERE) != sealed
    again = opened(url)
    assert again.unseal(sealed, WHERE) == VALUE
    for elsewhere in [(1, 2, 3, 5), (1, 3, 2, 4), (12, 3, 4), (1, 2, 34)]:
        with pytest.raises(SealBroken):
            again.unseal(sealed, place("vector", *elsewhere))
    with pytest.raises(SealBroken):
        again.unseal(sealed, place("crop", 1, 2, 3, 4))
    renamed = sealed[:2] + other.to_bytes(8, "little") + sealed[10:]
    with pytest.raises(SealBroken):
        again.unseal(renamed, WHERE)
    for at in (10, 30, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SealBroken):
            again.unseal(bytes(changed), WHERE)


def test_places_are_told_apart_however_they_are_written() -> None:
    from arcid.gallery.seals import vector_place

    assert vector_place(1, 2, 3, 4) == WHERE == b"arcid/1/vector/1/2/3/4"


def test_what_is_not_sealed_is_refused_where_everything_is(url: sa.URL) -> None:
    vault = opened(url, create=True)
    for act in (lambda: vault.unseal(VALUE, WHERE), vault.allow_unsealed):
        with pytest.raises(SealBroken):
            act()


def test_a_gallery_under_way_reads_both_until_it_is_complete(url: sa.URL) -> None:
    vault = opened(url, create=True, complete=False)
    vault.allow_unsealed()
    vault.store.completed()
    with pytest.raises(SealBroken):
        opened(url).allow_unsealed()


def test_a_destroyed_key_opens_nothing_for_anybody_and_is_remembered(url: sa.URL) -> None:
    vault = opened(url, create=True)
    key, other = vault.new_key(STAFF), vault.new_key(STAFF)
    sealed, kept = vault.seal(key, VALUE, WHERE), vault.seal(other, VALUE, WHERE)
    vault.destroy([key])
    for reader in (vault, opened(url)):
        with pytest.raises(Erased):
            reader.unseal(sealed, WHERE)
        assert reader.unseal(kept, WHERE) == VALUE
    assert vault.destroyed(0).keys == (key,)
    assert vault.destroyed(vault.destroyed(0).last).keys == ()


def test_a_collection_goes_with_all_its_keys_and_no_other(url: sa.URL) -> None:
    vault = opened(url, create=True)
    staff, guests = (vault.seal(vault.new_key(c), VALUE, WHERE) for c in (STAFF, GUESTS))
    vault.destroy([], [STAFF])
    with pytest.raises(Erased):
        vault.unseal(staff, WHERE)
    assert vault.unseal(guests, WHERE) == VALUE
    assert vault.destroyed(0).collections == (STAFF,)
    assert vault.store.counts()["collection_keys"] == 1


def test_destroying_needs_no_root_key(url: sa.URL, home: Path) -> None:
    vault = opened(url, create=True)
    key = vault.new_key(STAFF)
    (home / "root.key").unlink()
    opened(url).destroy([key])
    assert vault.destroyed(0).keys == (key,)


def test_a_destroyed_key_is_in_no_byte_of_the_store(tmp_path: Path) -> None:
    place_ = keystore.place_of(sa.URL.create("sqlite", database=str(tmp_path / "g.db")), None)
    vault = opened(place_, create=True)
    keys = [vault.new_key(STAFF) for _ in range(40)]
    wrapped = {key.id: key.wrapped for key in vault.store.data_keys(keys)}

    def on_disk() -> bytes:
        return b"".join(f.read_bytes() for f in tmp_path.glob("g.db-keys*"))

    assert all(wrapped[key] in on_disk() for key in keys)
    vault.destroy(keys[:20])
    assert not any(wrapped[key] in on_disk() for key in keys[:20])
    assert all(wrapped[key] in on_disk() for key in keys[20:])
    assert [f.name for f in tmp_path.glob("g.db-keys*")] == ["g.db-keys"]
    assert (tmp_path / "g.db-keys").stat().st_mode & 0o777 == 0o600


def test_keys_are_made_ahead_and_two_processes_never_get_one(url: sa.URL) -> None:
    one, two = opened(url, create=True), opened(url)
    made = [vault.new_key(STAFF) for _ in range(150) for vault in (one, two)]
    assert len(set(made)) == 300
    assert one.store.counts()["data_keys"] == 2 * (4 + 16 + 64 + 256)


def lose(url: sa.URL) -> None:
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).unlink()
    else:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA arcid_keys CASCADE")
        engine.dispose()


def test_a_lost_key_store_and_that_of_another_gallery_are_said_in_words(url: sa.URL) -> None:
    vault = opened(url, create=True)
    sealed = vault.seal(vault.new_key(STAFF), VALUE, WHERE)
    with pytest.raises(KeyUnavailable, match="another gallery"):
        opened(url, identity="2" * 32).unseal(sealed, WHERE)
    lose(url)
    with pytest.raises(KeyUnavailable, match="newest backup"):
        opened(url).unseal(sealed, WHERE)


# root keys


def credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "arcid-root").write_text("ab" * 32 + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    return "credential:arcid-root"


def variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MY_ROOT", "cd" * 32)
    return "env:MY_ROOT"


SERVICE = """
    import base64, json, sys
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    asked = {k: base64.b64decode(v) for k, v in json.load(sys.stdin).items()}
    aes, nonce = AESGCM(b"k" * 32), b"n" * 12
    do = aes.encrypt if sys.argv[1] == "wrap" else aes.decrypt
    done = do(nonce, asked["data"], asked["context"])
    print(json.dumps({"data": base64.b64encode(done).decode()}))
"""


def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "kms.py").write_text(textwrap.dedent(SERVICE))
    return f"command:{sys.executable} {tmp_path / 'kms.py'}"


def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """SoftHSM's, with an AES key in it."""
    library = Path("/usr/lib/softhsm/libsofthsm2.so")
    if shutil.which("softhsm2-util") is None or importlib.util.find_spec("pkcs11") is None:
        pytest.skip("needs softhsm2 and python-pkcs11")
    import pkcs11

    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    pin = "123456"
    (tmp_path / "pin").write_text(pin + "\n")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "arcid", "--pin", pin,
         "--so-pin", pin], check=True, capture_output=True,
    )  # fmt: skip
    loaded = pkcs11.lib(str(library))
    loaded.reinitialize()  # it was loaded with another folder of tokens
    with loaded.get_token(token_label="arcid").open(rw=True, user_pin=pin) as session:
        session.generate_key(pkcs11.KeyType.AES, 256, label="root", store=True)
    return f"pkcs11:token=arcid;object=root?module-path={library}&pin-source={tmp_path / 'pin'}"


def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return f"file:{tmp_path / 'elsewhere' / 'root.key'}"


@pytest.mark.parametrize("make", [file, variable, credential, command, token])
def test_every_root_key_wraps_and_unwraps_for_its_context_only(
    make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = make(tmp_path, monkeypatch)
    one = roots.find(True, named)
    wrapped = one.wrap(b"k" * 32, b"context")
    assert b"k" * 32 not in wrapped
    assert roots.find(False, named).unwrap(wrapped, b"context") == b"k" * 32
    with pytest.raises((SealBroken, KeyUnavailable)):
        one.unwrap(wrapped, b"another context")
    assert "k" * 32 not in one.described and "ab" * 32 not in one.described


@pytest.mark.parametrize("make", [variable, credential, command, token])
def test_a_root_key_that_goes_away_is_said_in_words(
    make: object, url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = make(tmp_path, monkeypatch)
    monkeypatch.setenv(roots.SETTING, named)
    vault = opened(url, create=True)
    sealed = vault.seal(vault.new_key(STAFF), VALUE, WHERE)
    assert opened(url).unseal(sealed, WHERE) == VALUE
    monkeypatch.delenv("MY_ROOT", raising=False)
    for path in (tmp_path / "credentials", tmp_path / "tokens", tmp_path / "kms.py"):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    with pytest.raises(KeyUnavailable):
        opened(url).unseal(sealed, WHERE)


@pytest.mark.parametrize("named", ["root", "file:", "s3:bucket", "pkcs11:token=only"])
def test_a_place_that_is_none_is_refused(named: str) -> None:
    with pytest.raises((ConfigError, ArcidError)) as caught:
        roots.find(True, named)
    assert isinstance(caught.value, ConfigError) or "pkcs11" in caught.value.message


def test_a_lost_root_file_is_never_made_anew(url: sa.URL, home: Path) -> None:
    vault = opened(url, create=True)
    sealed = vault.seal(vault.new_key(STAFF), VALUE, WHERE)
    kept = (home / "root.key").read_bytes()
    assert (home / "root.key").stat().st_mode & 0o777 == 0o600
    (home / "root.key").unlink()
    lost = opened(url)
    for act in (lambda: lost.unseal(sealed, WHERE), lambda: lost.new_key(GUESTS), lost.check):
        with pytest.raises(KeyUnavailable, match="gone"):
            act()
    assert not (home / "root.key").exists()
    (home / "root.key").write_bytes(b"0" * 64)
    with pytest.raises(KeyUnavailable, match="another"):
        opened(url).check()
    (home / "root.key").write_bytes(kept)
    assert opened(url).unseal(sealed, WHERE) == VALUE


# changing keys


def test_rotation_makes_older_copies_of_the_store_worthless(tmp_path: Path, home: Path) -> None:
    where = keystore.place_of(sa.URL.create("sqlite", database=str(tmp_path / "g.db")), None)
    vault = opened(where, create=True)
    running = opened(where)
    sealed = [vault.seal(vault.new_key(c), VALUE, WHERE) for c in (STAFF, GUESTS)]
    assert running.unseal(sealed[0], WHERE) == VALUE
    before, root = (tmp_path / "g.db-keys").read_bytes(), (home / "root.key").read_bytes()
    assert rotation.rotate(opened(where)) == 2 * 4
    assert (home / "root.key").read_bytes() != root
    for reader in (opened(where), running):
        assert [reader.unseal(s, WHERE) for s in sealed] == [VALUE, VALUE]
    new = running.new_key("c" * 32)  # a process that began before uses the new root key
    assert opened(where).seal(new, VALUE, WHERE)
    (tmp_path / "g.db-keys").write_bytes(before)
    with pytest.raises(KeyUnavailable):
        opened(where).unseal(sealed[0], WHERE)


def test_keys_that_were_ready_before_a_change_of_keys_are_not_used_after_it(url: sa.URL) -> None:
    running = opened(url, create=True)
    running.new_key(STAFF)
    copied = {key.id for key in running.store.wrapped_by(
        [key.id for key in running.store.collection_keys()], 100)}  # fmt: skip
    assert len(copied) == 4
    rotation.rotate(opened(url))
    fresh = [running.new_key(STAFF) for _ in range(3)]
    assert not copied & set(fresh)
    assert running.store.counts()["data_keys"] == 4 + 16


def test_the_root_key_moves_to_another_place(
    url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = opened(url, create=True)
    sealed = vault.seal(vault.new_key(STAFF), VALUE, WHERE)
    named = variable(tmp_path, monkeypatch)
    rotation.rotate(opened(url), to=named)
    with pytest.raises(KeyUnavailable):
        opened(url).unseal(sealed, WHERE)
    monkeypatch.setenv(roots.SETTING, named)
    assert opened(url).unseal(sealed, WHERE) == VALUE


KILLED = """
    import os, sys, sqlalchemy as sa
    from arcid.vault import KeyStore, Vault, keystore, roots, rotation

    left = int(sys.argv[2])
    def count(real):
        def call(*args, **kwargs):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), 9)
            return real(*args, **kwargs)
        return call
    for name in ("add_collection_key", "rewrap", "drop_collection_keys"):
        setattr(KeyStore, name, count(getattr(KeyStore, name)))
    rotation.files.write_bytes = count(rotation.files.write_bytes)
    url = keystore.place_of(sa.URL.create("sqlite", database=sys.argv[1]), None)
    rotation.rotate(Vault(KeyStore(url, "1" * 32), roots.find))
"""


def test_killed_anywhere_everything_opens_and_the_next_try_finishes(
    tmp_path: Path, home: Path
) -> None:
    where = keystore.place_of(sa.URL.create("sqlite", database=str(tmp_path / "g.db")), None)
    vault = opened(where, create=True)
    sealed = [vault.seal(vault.new_key(c), VALUE, WHERE) for c in (STAFF, GUESTS)]
    environment = os.environ | {"ARCID_HOME": str(home)}
    for step in range(20):
        code = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "g.db"), str(step)]
        ran = subprocess.run(code, check=False, capture_output=True, env=environment)
        assert [opened(where).unseal(s, WHERE) for s in sealed] == [VALUE, VALUE]
        if ran.returncode == 0:
            break
        assert ran.returncode == -9, ran.stderr
    assert step > 4
    assert not (home / "root.key-next").exists()
    rotation.rotate(opened(where))
    assert opened(where).store.counts()["collection_keys"] == 2


def test_nothing_of_a_key_is_shown(url: sa.URL, home: Path) -> None:
    vault = opened(url, create=True)
    vault.new_key(STAFF)
    root = (home / "root.key").read_text()
    shown = json.dumps([repr(vault), vault.store.url, vault.store.described, vault.root.described])
    assert root not in shown and "password" not in shown.lower()


CRASH = """
    import ctypes, hashlib, os, resource, sys
    from arcid.vault import hardening
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    key = hashlib.sha256(b"a key in use").digest()
    if "hardened" in sys.argv:
        print(hardening.harden()["core_dumps_off"], end=" ")
    print(resource.getrlimit(resource.RLIMIT_CORE)[0] == 0,
          ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
    os.abort()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone")
def test_a_hardened_process_leaves_no_core(tmp_path: Path) -> None:
    said = {}
    for how in ("hardened", "as it is"):
        (tmp_path / how).mkdir()
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CRASH), how], check=False, capture_output=True,
            text=True, cwd=tmp_path / how,
        )  # fmt: skip
        assert ran.returncode == -6, ran.stderr
        said[how] = ran.stdout
    assert said["hardened"] == "True True 0\n"
    assert list((tmp_path / "hardened").iterdir()) == []
    # Where the system writes dumps as files, one of the other process gives its key away.
    pattern = Path("/proc/sys/kernel/core_pattern").read_text("ascii").strip()
    if said["as it is"] == "False 1\n" and not pattern.startswith(("|", "/")):
        (dump,) = (tmp_path / "as it is").iterdir()
        key = hashlib.sha256(b"a key in use").digest()
        assert key in dump.read_bytes()

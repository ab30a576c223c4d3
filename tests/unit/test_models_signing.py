"""arcid's own signature on bundles: made by a script, checked where a bundle is opened."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import sign_bundles
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from arcid import paths
from arcid.errors import ModelUnverified
from arcid.models import signing, trust, weights

INT8 = "arcid-face-s-int8"
SHIPPED = sorted(path.parent for path in paths.packaged_models_dir().glob("*/manifest.json"))


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Ed25519PrivateKey:
    """One that arcid knows in this test, and the maintainer has in the environment."""
    made = Ed25519PrivateKey.generate()
    monkeypatch.setitem(signing.KEYS, "of a test", sign_bundles.public_hex(made))
    monkeypatch.setenv(sign_bundles.VARIABLE, made.private_bytes_raw().hex())
    return made


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A quantised recogniser, which claims its float model's vectors, as somebody downloaded it."""
    monkeypatch.delenv("ARCID_DATA", raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "models" / "later"
    shutil.copytree(paths.packaged_models_dir() / INT8, folder)
    change(folder, name="later", description="published after this version")
    return folder


def change(folder: Path, **values: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), "utf-8")


@pytest.mark.parametrize("folder", SHIPPED, ids=[folder.name for folder in SHIPPED])
def test_every_bundle_that_ships_is_signed(folder: Path) -> None:
    name = json.loads((folder / "manifest.json").read_text("utf-8"))["name"]
    assert signing.signed(folder, name, trust.digest(folder)) is True
    assert signing.signed(folder, "another", trust.digest(folder)) is False


def test_a_bundle_signed_later_needs_nobody_else(bundle: Path, key: Ed25519PrivateKey) -> None:
    with pytest.raises(ModelUnverified):  # the signature of what it was made of is no signature
        weights.resolve("later")
    assert sign_bundles.main([str(bundle)]) == 0
    found = weights.resolve("later")
    assert found.trust == "signed" and found.vouched


@pytest.mark.parametrize("what", ["manifest", "calibration", "goldens", "signature", "rubbish"])
def test_whatever_is_changed_voids_it(bundle: Path, key: Ed25519PrivateKey, what: str) -> None:
    sign_bundles.main([str(bundle)])
    if what == "manifest":
        change(bundle, description="another")
    elif what == "signature":
        shutil.copy(SHIPPED[0] / signing.FILE, bundle)
    elif what == "rubbish":
        (bundle / signing.FILE).write_text("[" * 100_000, "utf-8")
    else:
        (bundle / f"{what}.json").write_bytes((bundle / f"{what}.json").read_bytes() + b" ")
    assert weights.resolve("later", judging=True).trust == "changed"
    with pytest.raises(ModelUnverified):
        weights.resolve("later")


def test_a_key_that_is_not_known_vouches_for_nothing(
    bundle: Path, key: Ed25519PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_bundles.main([str(bundle)])
    monkeypatch.delitem(signing.KEYS, "of a test")
    assert weights.resolve("later", judging=True).trust == "unverified"


def test_verify_says_who_signed(cli: Any, bundle: Path, key: Ed25519PrivateKey) -> None:
    assert "signed by arcid" in cli("models", "verify", "arcid-face-s").out
    sign_bundles.main([str(bundle)])
    (row,) = cli("models", "verify", "later", "--json").json["models"]
    assert row["signed"] is True
    change(bundle, description="another")
    ran = cli("models", "verify", "later")
    assert ran.code == 4 and "arcid's signature" in ran.out


def test_the_script_takes_the_key_from_the_environment_alone(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.delenv(sign_bundles.VARIABLE, raising=False)
    assert sign_bundles.main([str(bundle)]) == 2
    stranger = Ed25519PrivateKey.generate().private_bytes_raw().hex()
    monkeypatch.setenv(sign_bundles.VARIABLE, stranger)
    assert sign_bundles.main([str(bundle)]) == 2
    file = tmp_path / "key"
    assert sign_bundles.main(["--new-key", str(file)]) == 0
    assert sign_bundles.main(["--new-key", str(file)]) == 1
    said = capfd.readouterr()
    secret = file.read_text("utf-8").strip()
    assert len(bytes.fromhex(secret)) == 32 and secret not in said.out + said.err
    assert stranger not in said.out + said.err
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

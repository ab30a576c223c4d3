"""Evidence: every byte counts, and so does whose key it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arcid.apps.onboarding.evidence import KEY_NAME, Signer, verify
from arcid.errors import EvidenceInvalid

PAYLOAD = {"session": {"id": "5", "name": "Ada Ünsal"}, "pictures": {}, "not_checked": ["x"]}


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "home")


def test_what_was_signed_is_verified_by_anybody(signer: Signer, tmp_path: Path) -> None:
    data = signer.sign(PAYLOAD)
    found = verify(data, fingerprint=signer.fingerprint)
    assert found.payload["session"] == PAYLOAD["session"]
    assert found.fingerprint == signer.fingerprint == Signer(tmp_path / "home").fingerprint
    assert (tmp_path / "home" / KEY_NAME).stat().st_mode & 0o077 == 0
    assert "Ada" not in repr(found)


def test_every_changed_lost_or_added_byte_is_noticed(signer: Signer) -> None:
    data = signer.sign(PAYLOAD)
    for at in range(len(data)):
        for changed in (data[at] ^ 1, data[at] ^ 0x20, 0x20):
            if changed != data[at]:
                with pytest.raises(EvidenceInvalid):
                    verify(data[:at] + bytes([changed]) + data[at + 1 :])
        with pytest.raises(EvidenceInvalid):
            verify(data[:at] + data[at + 1 :])
    for longer in (data + b"\n", b" " + data, data.rstrip() + b" \n", b"\xef\xbb\xbf" + data):
        with pytest.raises(EvidenceInvalid):
            verify(longer)


def test_another_key_is_noticed_by_its_fingerprint_alone(signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path / "other")
    forged = other.sign(PAYLOAD | {"session": {"id": "6"}})
    assert verify(forged).fingerprint == other.fingerprint
    with pytest.raises(EvidenceInvalid):
        verify(forged, fingerprint=signer.fingerprint)
    with pytest.raises(EvidenceInvalid):  # too short to mean anything
        verify(forged, fingerprint=other.fingerprint[:15])
    verify(forged, fingerprint=other.fingerprint[:16].upper())


def test_a_key_put_in_the_place_of_another_does_not_pass(signer: Signer, tmp_path: Path) -> None:
    mine, theirs = (json.loads(s.sign(PAYLOAD)) for s in (signer, Signer(tmp_path / "other")))
    mixed = mine | {"public_key": theirs["public_key"]}
    with pytest.raises(EvidenceInvalid):
        verify(json.dumps(mixed, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{" * 5000, b"\xff"])
def test_what_is_no_evidence_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        verify(data)

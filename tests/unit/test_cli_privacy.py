"""``arcid gallery policy`` and ``arcid people``: what is demanded, recorded, taken back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from arcid import paths
from arcid.gallery import Gallery


def test_consent_is_demanded_of_one_and_of_a_folder(cli: Any, data_dir: Path) -> None:
    photo = str(data_dir / "data/deepface-pairs/img1.jpg")
    assert cli("gallery", "create", "staff").code == 0
    said = cli("gallery", "policy", "staff", "--purpose", "Doors", "--consent",
               "--unseen-days", "365", "--crops-for", "admin,key")  # fmt: skip
    assert said.code == 0, said.err
    assert "demanded; 0 of 0" in said.out and "365 days after they were seen" in said.out
    refused = cli("enrol", "Ann", photo, "--collection", "staff", "--json")
    assert refused.code == 1
    assert refused.json["rejected_by_reason"] == {"consent_missing": 1}
    told = cli("enrol", "Ann", photo, "--collection", "staff", "--consent", "2026-03",
               "--evidence", "form 1")  # fmt: skip
    assert told.code == 0, told.err
    kept = cli("people", "consents", "ann", "--collection", "staff", "--json").json["consents"]
    assert [(one["text"], one["evidence"]) for one in kept] == [("2026-03", "form 1")]
    assert cli("people", "consent", "Ann", "2026-04", "--collection", "staff").code == 0
    review = cli("gallery", "policy", "staff", "--on-withdrawal", "review", "--json")
    assert review.json["policy"]["on_withdrawal"] == "review"
    waits = cli("people", "withdraw", "Ann", "--collection", "staff")
    assert waits.code == 0 and "waits for a decision" in waits.out
    assert "withdrew, and waits" in cli("gallery", "policy", "staff").out
    assert cli("gallery", "policy", "staff", "--on-withdrawal", "erase").code == 0
    gone = cli("people", "withdraw", "Ann", "--collection", "staff", "--yes")
    assert gone.code == 0 and "is deleted" in gone.out
    assert cli("gallery", "person", "Ann", "--collection", "staff").code == 5


def test_consent_is_recorded_of_who_was_enrolled_before(
    cli: Any, data_dir: Path, tmp_path: Path
) -> None:
    photo = data_dir / "data/deepface-pairs/img1.jpg"
    (tmp_path / "people/Ann").mkdir(parents=True)
    (tmp_path / "people/Ann/1.jpg").write_bytes(photo.read_bytes())
    folder = str(tmp_path / "people")

    def texts() -> list[str]:
        listed = cli("people", "consents", "Ann", "--json").json["consents"]
        return [one["text"] for one in listed]

    assert cli("enrol", "--from", folder).code == 0
    again = cli("enrol", "--from", folder, "--consent", "2026-03", "--evidence", "form 1")
    assert again.code == 0 and "Consent was recorded of 1 person enrolled before" in again.out
    assert texts() == ["2026-03"]
    assert "Consent" not in cli("enrol", "--from", folder, "--consent", "2026-03").out
    assert cli("gallery", "policy", "default", "--on-withdrawal", "review").code == 0
    assert cli("people", "withdraw", "Ann").code == 0
    cli("import", "folder", folder, "--consent", "2026-03")  # whoever took it back, took it back
    assert texts() == ["2026-03"]
    cli("import", "folder", folder, "--consent", "2027-01")
    assert texts() == ["2027-01", "2026-03"]
    late = cli("enrol", "--from", folder, "--consent", "2028", "--agreed-at", "2090-01-01")
    assert late.code == 1 and "lies in the future" in late.err


def test_what_cannot_be_is_said(cli: Any) -> None:
    assert cli("gallery", "create", "staff").code == 0
    assert cli("gallery", "policy", "none").code == 5
    assert cli("gallery", "policy", "staff", "--keep-days", "soon").code == 2
    assert cli("gallery", "policy", "staff", "--strangers-hours", "9999").code == 3
    assert cli("gallery", "policy", "staff", "--crops-for", "boss").code == 2
    assert cli("enrol", "Ann", "a.jpg", "--evidence", "form 1").code == 2
    never = cli("gallery", "policy", "staff", "--keep-days", "never", "--crops-for", "none")
    assert never.code == 0 and "pictures of faces are for nobody" in never.out


def test_retention_shows_first_asks_and_tells_what_it_did(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("gallery", "create", "staff").code == 0
    assert "There was no turn yet." in cli("gallery", "retention", "--runs").out
    assert "Nothing is too old." in cli("gallery", "retention").out
    old = int((datetime.now(UTC) - timedelta(days=31)).timestamp() * 1e6)
    with Gallery.open(paths.database_url()) as gallery, monkeypatch.context() as patch:
        patch.setattr("arcid.gallery.store.journal.now_us", lambda: old)
        gallery.add_person("staff", "Ann")
    assert cli("gallery", "policy", "staff", "--keep-days", "30").code == 0
    due = cli("gallery", "retention", "--dry-run", "--json").json["due"]
    assert due["staff"] == {"people": 1, "strangers": 0, "event_faces": 0, "refused": 0}
    assert "staff" in cli("gallery", "retention", "--dry-run").out
    assert cli("gallery", "retention").code != 0  # nobody answers
    done = cli("gallery", "retention", "--yes", "--json").json["run"]
    assert done["total"] == 1 and done["ended_at"] is not None
    shown = cli("gallery", "retention", "--runs")
    assert "staff" in shown.out and "The last turn began" in shown.out
    assert cli("gallery", "people", "--collection", "staff", "--json").json["people"] == []


def test_receipts_are_listed_saved_and_verified_and_people_exported(
    cli: Any, tmp_path: Path
) -> None:
    assert cli("gallery", "create", "staff").code == 0
    with Gallery.open(paths.database_url()) as gallery:
        gallery.add_person("staff", "Ann Needle")
    data = tmp_path / "ann.zip"
    assert cli("people", "export", "Ann Needle", "-o", str(data), "--collection", "staff").code == 0
    assert data.read_bytes()[:2] == b"PK" and data.stat().st_mode & 0o077 == 0
    told = cli("people", "disclosures", "--json").json["disclosures"]
    assert [one["kind"] for one in told] == ["subject"]
    assert "the person" in cli("people", "disclosures").out
    gone = cli("gallery", "delete-person", "Ann Needle", "--collection", "staff", "--json").json
    (listed,) = cli("receipts", "list", "--json").json["receipts"]
    assert listed["id"] == gone["receipt"] and listed["destroyed"] == {"names": 1}
    assert "names: 1" in cli("receipts", "list").out
    file = tmp_path / "receipt.json"
    assert cli("receipts", "save", gone["receipt"], "-o", str(file)).code == 0
    key = cli("receipts", "key", "--json").json["fingerprint"]
    valid = cli("receipts", "verify", str(file), "--fingerprint", key)
    assert valid.code == 0 and f"signed by {key}" in valid.out and "Needle" not in valid.out
    assert cli("receipts", "verify", str(file), "--fingerprint", "0" * 64).code == 3
    file.write_bytes(file.read_bytes().replace(b'"names":1', b'"names":2'))
    assert cli("receipts", "verify", str(file), "--json").code == 3
    assert cli("receipts", "save", "0" * 32, "-o", str(file)).code == 5

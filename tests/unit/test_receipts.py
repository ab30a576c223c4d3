"""Receipts of erasures, who was told, and all that is held of one person."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from arcid.apps.attendance import Attendance, export
from arcid.apps.watchlists import Terms, Watchlists
from arcid.errors import EvidenceInvalid, GalleryDamaged, NotFound, UsageError
from arcid.events import Audit, Events, Outbox, Place, Question, Sightings, acting
from arcid.gallery import Gallery, NewConsent, NewFace
from arcid.gallery.schema import erasures, people
from arcid.gallery.store.erasures import digest
from arcid.gallery.store.policies import viewing
from arcid.protection import (
    Consents,
    Disclosures,
    Policies,
    Receipts,
    Retention,
    exported,
)
from arcid.protection.receipts import verify
from arcid.signing import Signer
from arcid.types import Embeddings, Match

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
DOOR = Place("door", "door")


def vector(seed: int) -> Embeddings:
    raw = np.random.default_rng(seed).standard_normal((1, 32))
    return Embeddings.normalised(raw, "c" * 64)


def crop(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (112, 112, 3)).astype(np.uint8)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff", keep_crops=True)
        yield gallery


@pytest.fixture
def ann(gallery: Gallery) -> str:
    """Two faces with pictures, a consent, and an arrival with a face and a note."""
    faces = [NewFace(vector(n), f"photo-{n}", crop=crop(n)) for n in (1, 2)]
    given = NewConsent("2026-03", "form 117")
    person, _ = gallery.enrol("staff", "Ann Needle", faces, consent=given)
    gallery.enrol("staff", "Ben Needle", [NewFace(vector(3))])
    (seen,) = Sightings(gallery).person(
        "staff", DOOR, person.id, NOW, cooldown_s=60, grounds={}, vector=vector(4), crop=crop(4)
    )
    Events(gallery).correct("staff", seen.id, "retime", actor="op", note="Ann was late", at=NOW)
    return person.id


def data_keys(gallery: Gallery) -> dict[str, int]:
    """Numbers of the keys that seal what is kept of people, by name."""
    with gallery.database.read() as connection:
        return dict(connection.execute(sa.select(people.c.name, people.c.key_id)).all())


def test_a_receipt_says_what_was_destroyed_and_no_name(
    gallery: Gallery, ann: str, tmp_path: Path
) -> None:
    keys = data_keys(gallery)
    with acting("account:7"):
        receipt = gallery.delete_person("staff", ann)
    book = Receipts(gallery, tmp_path)
    found = book.get(receipt)
    assert found.to_dict() == book.find(subject=f"person:{ann}")[0].to_dict()
    assert found.statement["destroyed"] == {
        "consents": 1, "event_faces": 1, "faces": 2, "names": 1, "notes": 1, "pictures": 2,
        "stays": 1, "vectors": 2,
    }  # fmt: skip
    assert (found.subject, found.statement["by"]) == (f"person:{ann}", "account:7")
    assert found.statement["data_keys"] == [keys["Ann Needle"]]
    (row,) = Audit(gallery).find(verb="person.delete")
    assert found.statement["audit"]["row"] == row.seq and row.details["receipt"] == receipt
    data = book.file(receipt)
    assert b"Needle" not in data and b"late" not in data and b"form 117" not in data
    assert data == book.file(receipt)  # signed once
    key = Signer(tmp_path).fingerprint
    said, signed_by = verify(data, fingerprint=key)
    assert signed_by == key and said["destroyed"]["faces"] == 2
    again = json.dumps(
        {k: v for k, v in said.items() if k not in ("format", "version")},
        sort_keys=True, separators=(",", ":"),
    )  # fmt: skip
    assert digest(again) == row.details["sha256"]
    assert Audit(gallery).verify().problem is None
    with pytest.raises(NotFound):
        book.file("0" * 32)


def test_no_byte_of_a_receipt_can_be_changed(gallery: Gallery, ann: str, tmp_path: Path) -> None:
    data = Receipts(gallery, tmp_path).file(gallery.delete_person("staff", ann))
    for wrong in (
        data.replace(b'"faces":2', b'"faces":3'), data[:-1], b" " + data, data[:200], b"{}", b"",
    ):  # fmt: skip
        with pytest.raises(EvidenceInvalid):
            verify(wrong)
    other = Signer(tmp_path / "elsewhere").fingerprint
    with pytest.raises(EvidenceInvalid, match="another key"):
        verify(data, fingerprint=other)


def test_what_was_changed_before_it_was_signed_is_not_signed(
    gallery: Gallery, ann: str, tmp_path: Path
) -> None:
    receipt = gallery.delete_person("staff", ann)
    book = Receipts(gallery, tmp_path)
    statement = json.dumps(
        book.get(receipt).statement | {"destroyed": {"faces": 9}}, sort_keys=True,
        separators=(",", ":"),
    )  # fmt: skip
    with gallery.database.write() as connection:
        connection.execute(erasures.update().values(statement=statement))
    with pytest.raises(GalleryDamaged, match="audit"):
        book.file(receipt)


def test_every_way_to_erase_leaves_a_receipt(gallery: Gallery, ann: str, tmp_path: Path) -> None:
    book = Receipts(gallery, tmp_path)
    led = Consents(gallery).withdraw("staff", ann)
    assert led.receipt is not None
    assert book.get(led.receipt).statement["reason"] == "consent was taken back"
    Policies(gallery).change("staff", keep_days=1.0)
    Retention(gallery).carry_out(datetime.now(UTC) + timedelta(days=2))
    (newest, before) = book.find()
    assert newest.statement["reason"] == "kept for 1 days" and before.id == led.receipt
    gallery.enrol("staff", "Cleo", [NewFace(vector(9))])
    whole = book.get(gallery.delete_collection("staff"))
    assert whole.subject == f"collection:{whole.collection_id}"
    assert (whole.statement["destroyed"]["people"], whole.statement["destroyed"]["faces"]) == (1, 1)
    assert verify(book.file(whole.id))[0]["erased"] == whole.subject
    page = book.find(limit=2)
    assert len(page) == 2 and len(book.find(limit=2, after=page.next)) == 1


def test_a_merge_leaves_none_and_what_was_merged_goes_with_the_kept(
    gallery: Gallery, ann: str, tmp_path: Path
) -> None:
    ben = gallery.find_person("staff", "Ben Needle")
    assert ben is not None
    keys = data_keys(gallery)
    gallery.merge_people("staff", ben.id, ann, reversible=True)
    assert Receipts(gallery, tmp_path).find() == []
    gone = Receipts(gallery, tmp_path).get(gallery.delete_person("staff", ben.id)).statement
    assert gone["destroyed"]["faces"] == 3 and gone["destroyed"]["merges"] == 1
    assert set(gone["data_keys"]) == set(keys.values())


def test_all_that_is_held_of_one_person_and_of_nobody_else(gallery: Gallery, ann: str) -> None:
    ends = datetime.now(UTC) + timedelta(days=9)
    terms = Terms(purpose="bans", legal_basis="house right", owner="Ada", expires_at=ends)
    bans = Watchlists(gallery).create("bans", "staff", terms, actor="op")
    Watchlists(gallery).add(bans.id, ann, actor="op", reason="threats")
    with acting("account:7"):
        data = exported(gallery, "staff", ann)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        told = json.loads(archive.read("person.json"))
        pictures = [archive.read(name) for name in names if name.startswith("pictures/")]
    assert told["person"]["name"] == "Ann Needle" and len(told["faces"]) == 2
    assert [one["text"] for one in told["consents"]] == ["2026-03"]
    assert [one["kind"] for one in told["events"]] == ["arrival"] and len(told["stays"]) == 1
    (place,) = told["places_on_watchlists"]
    assert (place["list"], place["reason"]) == ("bans", "threats")  # stored sealed, told open
    assert len(pictures) == 3 and all(picture[:4] == b"\x89PNG" for picture in pictures)
    own = np.array([one["vector"] for one in told["vectors"]], np.float32)
    assert np.allclose(sorted(own @ vector(1).vectors[0])[-1], 1.0, atol=1e-5)
    assert "Ben" not in json.dumps(told)
    assert {one["verb"] for one in told["looked_at"]} >= {"person.export", "consent.record"}
    assert [one["kind"] for one in told["disclosures"]] == ["subject"]
    (row,) = Audit(gallery).find(verb="person.export")
    assert (row.actor, row.subject) == ("account:7", f"person:{ann}")
    assert b"vector" not in exported_json(gallery, ann, vectors=False).replace(b"vectors", b"")
    Policies(gallery).change("staff", crops_for=[])
    with viewing("officer"), pytest.raises(UsageError, match="role"):
        exported(gallery, "staff", ann)


def test_what_was_taken_for_them_and_is_anothers_is_not_told_to_them(
    gallery: Gallery, ann: str
) -> None:
    ben = gallery.person_called("staff", "Ben Needle").id
    Sightings(gallery).depart("staff", "door", NOW + timedelta(hours=1), "gone")
    (seen,) = Sightings(gallery).person(
        "staff", DOOR, ann, NOW + timedelta(hours=2), cooldown_s=60, grounds={}, vector=vector(3),
        crop=crop(3),
    )  # fmt: skip
    Events(gallery).correct("staff", seen.id, "reassign", actor="op", person_id=ben)
    for person, theirs in ((ann, False), (ben, True)):
        with zipfile.ZipFile(io.BytesIO(exported(gallery, "staff", person))) as archive:
            told = json.loads(archive.read("person.json"))
            assert (f"pictures/event-{seen.id}.png" in archive.namelist()) == theirs
        assert (seen.id in {one["id"] for one in told["events"]}) == theirs
        assert (seen.id in {one["event"] for one in told["event_faces"]}) == theirs
        assert ({one["person_id"] for one in told["events"]}) == {person}
        assert ("Ben" in json.dumps(told)) == theirs


def exported_json(gallery: Gallery, person: str, *, vectors: bool) -> bytes:
    data = exported(gallery, "staff", person, vectors=vectors)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        told = json.loads(archive.read("person.json"))
    return json.dumps(told).encode()


def test_who_was_told_is_written_where_it_is_told(gallery: Gallery, ann: str) -> None:
    outbox, book = Outbox(gallery), Disclosures(gallery)
    outbox.subscribe({"hr": None})
    (left,) = Sightings(gallery).depart("staff", "door", NOW + timedelta(hours=1), "gone")
    assert book.find() == []  # it waits
    ((delivery, _, event),) = outbox.due("hr", datetime.now(UTC))
    outbox.delivered(delivery)
    (told,) = book.find()
    assert (told.kind, told.recipient, told.person_id, told.what) == ("told", "hr", ann, left.kind)
    assert event.id == left.id
    attendance = Attendance(gallery, "staff")
    with acting("account:7"):
        attendance.exported(export.day_table(attendance.day(NOW.date())), "csv")
    exports = book.find(since=told.at + timedelta(microseconds=1))
    assert {one.person_id for one in exports} >= {ann}
    assert {(one.kind, one.recipient, one.actor) for one in exports} == {
        ("export", "csv file", "account:7")
    }
    gallery.delete_person("staff", ann)
    assert len(book.find(person_id=ann)) == 2  # it outlives them
    page = book.find(limit=1)
    assert len(page) == 1 and page.next is not None
    assert len(book.find(limit=None, after=page.next)) == len(book.find(limit=None)) - 1
    assert book.forget(datetime.now(UTC) + timedelta(days=1)) == len(exports) + 1


def test_of_a_doubtful_face_everybody_it_may_be_is_disclosed(gallery: Gallery, ann: str) -> None:
    ben = gallery.person_called("staff", "Ben Needle").id
    matches = [
        Match(uid, name, 0.4, gallery.faces("staff", uid)[0].id, 1)
        for uid, name in ((ann, "Ann Needle"), (ben, "Ben Needle"))
    ]
    grounds = {"candidates": [{"person_id": uid, "cosine": 0.4} for uid in (ann, ben)]}
    Sightings(gallery).visitor(
        "staff", DOOR, NOW, NOW, "mark", cooldown_s=60, alike=0.9, grounds=grounds,
        vector=vector(9), targets=("hr",), question=Question(matches, None, 0.01),
    )  # fmt: skip
    outbox = Outbox(gallery)
    ((delivery, _, event),) = outbox.due("hr", datetime.now(UTC))
    assert event.told()["grounds"] == grounds
    outbox.delivered(delivery)
    told = Disclosures(gallery).find()
    assert {(one.person_id, one.recipient, one.what) for one in told} == {
        (ann, "hr", "review"), (ben, "hr", "review"),
    }  # fmt: skip

"""The gallery's own promises on a real database: collections, people, faces, photos, models.

Runs on SQLite files and on PostgreSQL.
Vectors are synthetic: no model is involved here.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from arcid.errors import (
    AlreadyExists,
    CollectionNotFound,
    ContractMismatch,
    CursorInvalid,
    FaceNotFound,
    GalleryError,
    IdempotencyKeyReused,
    InputError,
    InvalidArray,
    NoFaceFound,
    NotFound,
    NothingEnrolled,
    PersonNotFound,
    PossibleDuplicate,
    SamePhotoConflict,
)
from arcid.events import Events
from arcid.gallery import Enrolment, Gallery, NewFace, Once, Refused, StoredFace, pages
from arcid.gallery.store import receipts
from arcid.models import weights
from arcid.types import Crops, Decision, Embeddings, Image, Outcome

OLD, NEW = "a" * 64, "b" * 64
BOX, OTHER_BOX = (10.0, 10.0, 60.0, 70.0), (200.0, 10.0, 250.0, 70.0)


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def gallery(url: str) -> Iterator[Gallery]:
    with Gallery.open(url) as opened:
        opened.create_collection("staff")
        yield opened


def vectors(count: int, contract: str = OLD, seed: int = 0, dim: int = 64) -> Embeddings:
    noise = np.random.default_rng(seed).normal(size=(count, dim))
    return Embeddings.normalised(noise, contract)


def face(row: int, photo: str | None = None, box: tuple | None = BOX, **fields: object) -> NewFace:
    contract = str(fields.pop("contract", OLD))
    return NewFace(vectors(50, contract)[row], photo_id=photo, box=box, **fields)


def crop(value: int) -> Image:
    pixels = np.full((112, 112, 3), value, np.uint8)
    pixels[:, :, 1] = np.arange(112)
    return pixels


def names(gallery: Gallery, **options: object) -> list[str]:
    return [person.name for person in gallery.people("staff", **options)]


def unchanged(gallery: Gallery) -> tuple[object, ...]:
    """Everything a failed call must leave alone."""
    people = gallery.people("staff", limit=1000)
    faces = [gallery.faces("staff", person.id) for person in people]
    return gallery.collections(), people, faces, gallery.last_change()


# collections


def test_collections_are_created_listed_renamed_and_deleted(gallery: Gallery) -> None:
    made = gallery.create_collection("Visitors", keep_crops=True, metadata={"site": "Łódź"})
    assert (made.name, made.keep_crops, made.metadata) == ("Visitors", True, {"site": "Łódź"})
    assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=1)
    assert [c.name for c in gallery.collections()] == ["staff", "Visitors"]
    assert gallery.collection("VISITORS") == made

    renamed = gallery.update_collection("visitors", new_name="Guests", metadata={})
    assert (renamed.id, renamed.name, renamed.metadata) == (made.id, "Guests", {})
    assert renamed.keep_crops
    with pytest.raises(CollectionNotFound):
        gallery.collection("visitors")

    gallery.enrol("guests", "Ann", [face(0)])
    assert (gallery.collection("guests").people, gallery.collection("guests").faces) == (1, 1)
    gallery.delete_collection("guests")
    with pytest.raises(CollectionNotFound):
        gallery.search("guests", vectors(1))
    left = {table: rows for table, rows in gallery.stats()["rows"].items() if rows}
    del left["changes"]
    once = ("gallery", "serving", "collections", "contracts", "audit", "erasures")
    assert left == dict.fromkeys(once, 1)


def test_a_taken_collection_name_changes_nothing(gallery: Gallery) -> None:
    gallery.create_collection("guests")
    before = unchanged(gallery)
    with pytest.raises(AlreadyExists):
        gallery.create_collection(" STAFF ")
    with pytest.raises(AlreadyExists):
        gallery.update_collection("guests", new_name="Staff")
    assert unchanged(gallery) == before
    assert gallery.update_collection("staff", new_name="Staff").name == "Staff"


# people


def test_people_are_unique_by_name_whatever_case_space_or_composition(gallery: Gallery) -> None:
    person = gallery.add_person("staff", "  Zoë Straße ", metadata={"door": [1, 2]})
    assert person.name == "Zoë Straße"
    for same in ("zoë straße", "ZOE\u0308 STRASSE", "Zoe\u0308 Straße"):
        with pytest.raises(AlreadyExists) as caught:
            gallery.add_person("staff", same)
        assert caught.value.details["person_id"] == person.id
        assert gallery.find_person("staff", same) == person
    assert gallery.find_person("staff", "Zoe") is None
    gallery.create_collection("guests")
    assert gallery.add_person("guests", "Zoë Straße").id != person.id


@pytest.mark.parametrize(
    "name", ["", "   ", "a" * 201, "two\nlines", "nul\0", "\ud800", "sep\u2028x", None, 7]
)
def test_bad_names_are_refused(gallery: Gallery, name: str) -> None:
    before = unchanged(gallery)
    for call in (gallery.add_person, gallery.find_person):
        with pytest.raises(InputError):
            call("staff", name)
    with pytest.raises(InputError):
        gallery.create_collection(name)
    with pytest.raises(InputError):
        gallery.enrol("staff", name, [face(0)])
    assert unchanged(gallery) == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": "y" * 16_400},
        {"x": float("nan")},
        {"x": object()},
        {1: 2},
        [1],
        "text",
        {"x": b"1"},
        {"x": "\ud800"},
    ],
)
def test_bad_metadata_is_refused(gallery: Gallery, metadata: dict) -> None:
    with pytest.raises(InputError) as caught:
        gallery.add_person("staff", "Ann", metadata=metadata)
    assert not isinstance(caught.value, InvalidArray)
    assert names(gallery) == []


def test_metadata_comes_back_as_it_was(gallery: Gallery) -> None:
    metadata = {"text": "naïve \u0000 😀", "n": [1, 2.5, None, True], "deep": {"a": {}}}
    person = gallery.add_person("staff", "Ann", metadata=metadata)
    assert gallery.person("staff", person.id).metadata == metadata
    assert gallery.add_person("staff", "Big", metadata={"x": "y" * 16_000}).faces == 0


def test_people_page_by_name(gallery: Gallery) -> None:
    for name in ("delta", "Alpha", "charlie", "Bravo", "100%", "a_b"):
        gallery.add_person("staff", name)
    everyone = names(gallery)
    assert sorted(everyone) == sorted(["100%", "a_b", "Alpha", "Bravo", "charlie", "delta"])
    assert [p.name for p in pages(lambda a: gallery.people("staff", limit=4, after=a))] == everyone
    assert [p.name for p in gallery.everybody("staff")] == everyone
    assert names(gallery, search="ALPH") == ["Alpha"]
    assert names(gallery, search="%") == ["100%"]
    assert names(gallery, search="_") == ["a_b"]
    with pytest.raises(InputError):
        gallery.people("staff", limit=0)


def test_a_page_goes_on_after_its_last_row_was_deleted(gallery: Gallery) -> None:
    for n in range(6):
        gallery.add_person("staff", f"p{n}")
        gallery.create_collection(f"c{n}")
    ann, stored = gallery.enrol("staff", "Ann", [face(n) for n in range(6)])

    people = gallery.people("staff", limit=3)
    assert [p.name for p in people] == ["Ann", "p0", "p1"]
    faces = gallery.faces("staff", ann.id, limit=2)
    collections = gallery.collections(limit=2)
    assert [c.name for c in collections] == ["c0", "c1"]
    for person in people[1:]:
        gallery.delete_person("staff", person.id)
    gallery.delete_face("staff", faces[-1].id)
    gallery.delete_collection("c1")
    people = gallery.people("staff", limit=4, after=people.next)
    assert ([p.name for p in people], people.next) == (["p2", "p3", "p4", "p5"], None)
    faces = gallery.faces("staff", ann.id, limit=4, after=faces.next)
    assert ([f.id for f in faces], faces.next) == ([f.id for f in stored[2:]], None)
    collections = gallery.collections(limit=3, after=collections.next)
    assert [c.name for c in collections] == ["c2", "c3", "c4"] and collections.next is not None
    assert len(gallery.collections()) == 6 and len(gallery.faces("staff", ann.id)) == 5


def test_everybodys_faces_are_listed_and_their_vectors_read(gallery: Gallery) -> None:
    ann, _ = gallery.enrol("staff", "Ann", [face(row) for row in range(3)])
    gallery.enrol("staff", "Ben", [face(3)])
    gallery.add_faces("staff", ann.id, [face(4)])
    rows = [f.id for f in gallery.faces("staff")]
    assert len(rows) == 5
    first = gallery.faces("staff", limit=2, skip=1)
    assert [f.id for f in first] == rows[1:3]
    assert [f.id for f in gallery.faces("staff", limit=5, after=first.next)] == rows[3:]
    assert [f.id for f in gallery.faces("staff", skip=4)] == rows[4:]
    with pytest.raises(CursorInvalid):
        gallery.faces("staff", ann.id, limit=2, after=first.next)
    found = gallery.embedding("staff", rows[3], OLD)
    assert np.allclose(found.vectors, vectors(50, OLD)[3].vectors, atol=1e-6)
    for wrong in ((rows[3], NEW), ("nobody", OLD)):
        with pytest.raises(FaceNotFound):
            gallery.embedding("staff", *wrong)


@pytest.mark.parametrize("sign", ["\U0001f600", "\u0390", "\ufb03", "\u4e2d", '"'])
def test_a_page_may_end_at_the_longest_name(gallery: Gallery, sign: str) -> None:
    names = {gallery.add_person("staff", end + sign * 199).name for end in "abc"}
    page = gallery.people("staff", limit=2)
    rest = gallery.people("staff", limit=2, after=page.next)
    assert {person.name for person in [*page, *rest]} == names


def test_what_is_no_cursor_of_a_list_is_refused(gallery: Gallery) -> None:
    for name in ("other", "third"):
        gallery.create_collection(name)
    for name in ("Ann", "Bea", "Cleo"):
        gallery.add_person("staff", name)
        gallery.add_person("other", name)
    good = gallery.people("staff", limit=1).next
    elsewhere = gallery.people("other", limit=1).next
    collections = gallery.collections(limit=1).next
    assert good and elsewhere and collections
    own = json.loads(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    forged = [
        [], {}, None, own[:2], [*own, 1], [*own[:2], 5], [*own[:2], "a\0"], [*own[:2], "\ud800"],
        [own[0], "0" * 32, own[2]], ["faces", *own[1:]], [*own[:2], {"a": 1}],
    ]  # fmt: skip
    encoded = [base64.urlsafe_b64encode(json.dumps(f).encode()).decode() for f in forged]
    deep = base64.urlsafe_b64encode(b"[" * 1500).decode()
    for bad in (
        "", "x", "=", "ä", good[:-3], good + "A", "!" + good, good.swapcase(), "A" * 5000, deep,
        elsewhere, collections, *encoded,
    ):  # fmt: skip
        with pytest.raises(CursorInvalid, match="no cursor of this list of people"):
            gallery.people("staff", after=bad)
    with pytest.raises(CursorInvalid):
        gallery.collections(limit=1, after=good)
    huge = base64.urlsafe_b64encode(json.dumps(["events", own[1], 2**70, 1]).encode()).decode()
    with pytest.raises(CursorInvalid):
        Events(gallery).find("staff", after=huge)


def test_people_are_renamed_and_described(gallery: Gallery) -> None:
    ann = gallery.add_person("staff", "Ann", metadata={"a": 1})
    gallery.add_person("staff", "Bob")
    renamed = gallery.update_person("staff", ann.id, name="ANNA")
    assert (renamed.id, renamed.name, renamed.metadata) == (ann.id, "ANNA", {"a": 1})
    assert renamed.updated_at > ann.updated_at
    assert renamed.created_at == ann.created_at
    assert gallery.update_person("staff", ann.id, metadata={}).metadata == {}
    with pytest.raises(AlreadyExists):
        gallery.update_person("staff", ann.id, name="bob")
    assert gallery.find_person("staff", "Ann") is None


def test_unknown_ids_are_named_errors(gallery: Gallery) -> None:
    gallery.create_collection("guests")
    person, [stored] = gallery.enrol("guests", "Ann", [face(0)])
    for call in (gallery.person, gallery.faces, gallery.delete_person, gallery.search_person):
        with pytest.raises(PersonNotFound):
            call("staff", person.id)
    for of_face in (gallery.face, gallery.face_crop, gallery.delete_face):
        with pytest.raises(FaceNotFound):
            of_face("staff", stored.id)
    with pytest.raises(CollectionNotFound):
        gallery.people("nowhere")
    assert gallery.face("guests", stored.id) == stored


@pytest.mark.parametrize("text", ["half \ud83d a letter", "nothing\0"])
def test_an_id_that_is_no_text_is_a_named_error(gallery: Gallery, text: str) -> None:
    ann, _ = gallery.enrol("staff", "Ann", [face(0)])
    before = unchanged(gallery)
    for call in (
        lambda: gallery.person("staff", text),
        lambda: gallery.face("staff", text),
        lambda: gallery.person_called("staff", text),
        lambda: gallery.delete_person("staff", text),
        lambda: gallery.move_face("staff", gallery.faces("staff", ann.id)[0].id, text),
        lambda: gallery.search("staff", vectors(1), exclude_person=text),
        lambda: gallery.unmerge("staff", text),
        lambda: Events(gallery).get("staff", text),
    ):
        with pytest.raises((InputError, NotFound)):
            call()
    assert unchanged(gallery) == before


# faces


def test_enrol_makes_the_person_once_and_keeps_every_field(gallery: Gallery) -> None:
    new = face(
        0, "photo-1", score=0.93, quality={"sharpness": 0.5}, source="ann/1.jpg",
        provenance={"model": "tiny", "detector": "scrfd"},
    )  # fmt: skip
    ann, [stored] = gallery.enrol("staff", "Ann", [new], metadata={"team": "x"})
    assert (ann.name, ann.faces, ann.metadata) == ("Ann", 1, {"team": "x"})
    assert stored == gallery.face("staff", stored.id)
    assert stored == StoredFace(
        stored.id, ann.id, "photo-1", OLD, (OLD,), BOX, 0.93, {"sharpness": 0.5}, "ann/1.jpg",
        stored.created_at, False, {"model": "tiny", "detector": "scrfd"},
    )  # fmt: skip
    again, more = gallery.enrol("staff", "ann", [face(1), face(2)])
    assert (again.id, again.faces, again.metadata) == (ann.id, 3, {"team": "x"})
    assert [f.id for f in gallery.faces("staff", ann.id)] == [stored.id, *(f.id for f in more)]
    assert gallery.contracts("staff")[0].model_name == "tiny"
    assert gallery.enrol("staff", "Ann", [], metadata={"team": "y"})[0].metadata == {"team": "y"}


def test_stored_vectors_are_bit_exact(gallery: Gallery) -> None:
    given = vectors(50)
    _, stored = gallery.enrol("staff", "Ann", [face(i) for i in range(5)])
    [(face_ids, person_ids, rows)] = list(gallery.vectors("staff", OLD))
    assert face_ids == [f.id for f in stored]
    assert set(person_ids) == {stored[0].person_id}
    assert rows.dtype == np.float32
    assert np.array_equal(rows, given.vectors[:5])
    assert list(gallery.vectors("staff", NEW)) == []


@pytest.mark.parametrize(
    "bad",
    [
        lambda: NewFace(vectors(2)),
        lambda: NewFace(vectors(1)[[]]),
        lambda: face(1, box=(0, 0, 10)),
        lambda: face(1, box=(0, 0, float("inf"), 5)),
        lambda: face(1, box=(10, 10, 5, 5)),
        lambda: face(1, score=float("nan")),
        lambda: face(1, quality={"sharpness": "high"}),
        lambda: face(1, quality={"sharpness": float("nan")}),
        lambda: face(1, provenance={"x": object()}),
        lambda: face(1, source="x" * 1001),
        lambda: face(1, "x" * 129),
        lambda: face(1, "new\nline"),
        lambda: face(1, crop=np.zeros((112, 96, 3), np.uint8)),
        lambda: face(1, crop=np.zeros((112, 112, 3), np.float32)),
        lambda: NewFace(vectors(1, dim=32)),
        lambda: "not a face",
    ],
)
def test_one_bad_face_leaves_nothing_of_the_batch(gallery: Gallery, bad: object) -> None:
    gallery.enrol("staff", "Ann", [face(0, "photo-1")])
    before = unchanged(gallery)
    with pytest.raises(InputError):
        gallery.enrol("staff", "Bob", [face(2, "photo-2"), bad()])
    assert unchanged(gallery) == before


def test_two_faces_of_one_photo_are_never_one_person(gallery: Gallery) -> None:
    ann, [stored] = gallery.enrol("staff", "Ann", [face(0, "photo-1")])
    before = unchanged(gallery)
    for faces in (
        [face(1, "photo-1", OTHER_BOX)],
        [face(1, "photo-1", None)],
        [face(1, "photo-2"), face(2, "photo-2", OTHER_BOX)],
    ):
        with pytest.raises(SamePhotoConflict):
            gallery.add_faces("staff", ann.id, faces)
        with pytest.raises(SamePhotoConflict):
            gallery.enrol("staff", "Ann", faces)
    with pytest.raises(AlreadyExists) as caught:
        gallery.add_faces("staff", ann.id, [face(1, "photo-1")])
    assert caught.value.details["face_id"] == stored.id
    with pytest.raises(AlreadyExists):
        gallery.add_faces("staff", ann.id, [face(1, "photo-1", (11.0, 9.0, 61.0, 72.0))])
    assert unchanged(gallery) == before

    _, [other] = gallery.enrol("staff", "Bob", [face(1, "photo-1", OTHER_BOX)])
    assert {f.id for f in gallery.photo_known("staff", "photo-1")} == {stored.id, other.id}
    assert gallery.photo_known("staff", "photo-9") == []
    assert len(gallery.add_faces("staff", ann.id, [face(3), face(4)])) == 2  # no photo known


def test_a_known_face_gains_the_vector_of_another_model(gallery: Gallery) -> None:
    ann, [stored] = gallery.enrol("staff", "Ann", [face(0, "photo-1")])
    [again] = gallery.add_faces("staff", ann.id, [face(0, "photo-1", contract=NEW)])
    assert (again.id, again.contract_ids, again.contract_id) == (stored.id, (OLD, NEW), OLD)
    assert gallery.person("staff", ann.id).faces == 1
    with pytest.raises(AlreadyExists):
        gallery.add_faces("staff", ann.id, [face(0, "photo-1", contract=NEW)])


def test_moving_merging_splitting_and_deleting(gallery: Gallery) -> None:
    ann, ann_faces = gallery.enrol("staff", "Ann", [face(0, "p0"), face(1, "p1"), face(2)])
    bob, _ = gallery.enrol("staff", "Bob", [face(3, "p0", OTHER_BOX)], metadata={"b": 1})
    before = unchanged(gallery)
    with pytest.raises(SamePhotoConflict):
        gallery.move_face("staff", ann_faces[0].id, bob.id)
    with pytest.raises(SamePhotoConflict):
        gallery.merge_people("staff", bob.id, ann.id)
    for chosen, error in (
        ([], InputError),
        ([f.id for f in ann_faces], InputError),
        (["nothing"], FaceNotFound),
        ([gallery.faces("staff", bob.id)[0].id], FaceNotFound),
    ):
        with pytest.raises(error):
            gallery.split_person("staff", ann.id, chosen, "Cid")
    with pytest.raises(AlreadyExists):
        gallery.split_person("staff", ann.id, [ann_faces[0].id], "bob")
    assert unchanged(gallery) == before

    assert gallery.move_face("staff", ann_faces[1].id, bob.id).person_id == bob.id
    assert gallery.move_face("staff", ann_faces[1].id, bob.id).person_id == bob.id
    cid = gallery.split_person("staff", ann.id, [ann_faces[0].id], "Cid", metadata={"c": 1})
    assert (cid.faces, cid.metadata) == (1, {"c": 1})
    merged = gallery.merge_people("staff", ann.id, cid.id)
    assert (merged.id, merged.name, merged.faces) == (ann.id, "Ann", 2)
    assert gallery.merge_people("staff", ann.id, ann.id).faces == 2
    with pytest.raises(PersonNotFound):
        gallery.person("staff", cid.id)
    gallery.delete_face("staff", ann_faces[0].id)
    assert [f.id for f in gallery.faces("staff", ann.id)] == [ann_faces[2].id]
    gallery.delete_person("staff", bob.id)
    assert names(gallery) == ["Ann"]
    assert (gallery.collection("staff").faces, gallery.check()) == (1, [])


# crops and models


def test_crops_are_kept_only_where_the_collection_says_so(gallery: Gallery) -> None:
    gallery.create_collection("kept", keep_crops=True)
    _, [dropped] = gallery.enrol("staff", "Ann", [face(0, crop=crop(7))])
    _, [stored, bare] = gallery.enrol("kept", "Ann", [face(0, crop=crop(7)), face(1)])
    assert (dropped.has_crop, stored.has_crop, bare.has_crop) == (False, True, False)
    assert gallery.face_crop("staff", dropped.id) is None
    assert gallery.face_crop("kept", bare.id) is None
    assert np.array_equal(gallery.face_crop("kept", stored.id), crop(7))

    gallery.update_collection("kept", keep_crops=False)
    assert gallery.face_crop("kept", stored.id) is None
    assert gallery.stats()["rows"]["crops"] == 0
    assert gallery.face("kept", stored.id).has_crop is False
    gallery.update_collection("kept", keep_crops=True)
    assert gallery.face_crop("kept", stored.id) is None


def embedder(contract: str, dim: int = 64):
    """A stand-in model: a fixed random projection of the crop."""
    weights = np.random.default_rng(9).normal(size=(112 * 112 * 3, dim)).astype(np.float32)

    def embed(crops: Crops) -> Embeddings:
        return Embeddings.normalised(crops.pixels.reshape(len(crops), -1) @ weights, contract)

    return embed


def test_reembedding_resumes_and_the_old_model_can_go(gallery: Gallery) -> None:
    gallery.create_collection("kept", keep_crops=True)
    for i in range(7):
        gallery.enrol("kept", f"P{i}", [face(i, crop=crop(20 * i))])
    cropless, _ = gallery.enrol("kept", "Without", [face(8)])
    calls: list[int] = []

    def failing(crops: Crops) -> Embeddings:
        calls.append(len(crops))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embedder(NEW)(crops)

    with pytest.raises(KeyboardInterrupt):
        gallery.reembed("kept", failing, NEW, batch=2)
    usage = {u.contract_id: u for u in gallery.contracts("kept")}
    assert (usage[OLD].faces, usage[OLD].people, usage[OLD].missing_people) == (8, 8, 0)
    assert (usage[NEW].faces, usage[NEW].people, usage[NEW].missing_people) == (4, 4, 4)

    shown: list[tuple[int, int]] = []
    report = gallery.reembed(
        "kept", embedder(NEW), NEW, batch=2, model_name="new",
        progress=lambda done, total: shown.append((done, total)),
    )  # fmt: skip
    assert (report.done, report.without_crop, report.already) == (3, 1, 4)
    assert shown == [(2, 3), (3, 3)]
    probe = embedder(NEW)(Crops(crop(60)[None]))
    assert gallery.search("kept", probe)[0][0].name == "P3"
    assert gallery.search("kept", vectors(50)[3])[0][0].name == "P3"
    assert gallery.contracts("kept")[1].model_name == "new"

    with pytest.raises(InputError) as caught:
        gallery.drop_contract("kept", OLD)
    assert caught.value.details["people"] == 1
    gallery.enrol("kept", "Without", [face(8, contract=NEW, box=None)])
    assert gallery.drop_contract("kept", OLD) == 8
    assert [u.contract_id for u in gallery.contracts("kept")] == [NEW]
    assert gallery.person("kept", cropless.id).faces == 1
    assert gallery.check() == []


def test_a_search_with_another_model_says_which_one_enrolled_and_what_to_do(
    gallery: Gallery,
) -> None:
    gallery.create_collection("kept")
    assert list(gallery.search("kept", vectors(1, NEW))[0]) == []  # nobody is enrolled yet
    shipped = weights.resolve_default("recognition")
    gallery.enrol("kept", "Ann", [face(0)])
    with pytest.raises(ContractMismatch, match=f"contract {OLD[:12]}, not installed here"):
        gallery.search("kept", vectors(1, NEW))
    gallery.enrol("kept", "Bob", [face(1, contract=shipped.manifest.contract_id)])
    with pytest.raises(ContractMismatch) as caught:
        gallery.search("kept", vectors(1, NEW))
    assert shipped.name in caught.value.message
    assert "arcid gallery reembed --collection kept" in caught.value.message


def test_an_embedder_of_another_contract_is_refused(gallery: Gallery) -> None:
    gallery.create_collection("kept", keep_crops=True)
    gallery.enrol("kept", "Ann", [face(0, crop=crop(1)), face(1, crop=crop(2))])
    with pytest.raises(ContractMismatch):
        gallery.reembed("kept", embedder(OLD), NEW)
    with pytest.raises(InvalidArray):
        gallery.reembed("kept", lambda crops: embedder(NEW)(crops[[0]]), NEW)
    assert [u.contract_id for u in gallery.contracts("kept")] == [OLD]


def test_dropping_a_half_embedded_model_needs_force(gallery: Gallery) -> None:
    gallery.create_collection("kept", keep_crops=True)
    gallery.enrol("kept", "Ann", [face(0, "p", crop=crop(1)), face(1, crop=crop(2))])
    gallery.add_faces(
        "kept", gallery.find_person("kept", "Ann").id, [face(0, "p", contract=NEW)]
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        gallery.drop_contract("kept", OLD)
    assert (caught.value.details["people"], caught.value.details["faces"]) == (0, 1)
    assert gallery.drop_contract("kept", OLD, force=True) == 2
    assert gallery.collection("kept").faces == 1
    with pytest.raises(InputError):
        gallery.drop_contract("kept", "c" * 64)


# change log


def test_the_change_log_tells_what_happened(gallery: Gallery) -> None:
    start = gallery.last_change()
    ann, [one, two] = gallery.enrol("staff", "Ann", [face(0), face(1)])
    bob = gallery.add_person("staff", "Bob")
    gallery.move_face("staff", two.id, bob.id)
    gallery.merge_people("staff", ann.id, bob.id)
    gallery.delete_face("staff", one.id)
    gallery.delete_person("staff", ann.id)
    gallery.delete_collection("staff")
    log = gallery.changes(start)
    assert [(c.kind, c.person_id, c.face_id) for c in log] == [
        ("person_added", ann.id, None),
        ("face_added", ann.id, one.id),
        ("face_added", ann.id, two.id),
        ("person_added", bob.id, None),
        ("face_moved", bob.id, two.id),
        ("face_moved", ann.id, two.id),
        ("person_removed", bob.id, None),
        ("face_removed", ann.id, one.id),
        ("face_removed", ann.id, two.id),
        ("person_removed", ann.id, None),
        ("collection_removed", None, None),
    ]
    assert [c.contract_id for c in log if c.kind == "face_added"] == [OLD, OLD]
    assert [c.seq for c in log] == list(range(start + 1, gallery.last_change() + 1))
    assert gallery.changes(start, limit=2) == log[:2]
    assert gallery.changes(gallery.last_change()) == []


def test_a_failed_call_leaves_no_trace_in_the_log(gallery: Gallery) -> None:
    before = gallery.last_change()
    with pytest.raises(GalleryError):
        gallery.enrol("nowhere", "Ann", [face(0)])
    with pytest.raises(InputError):
        gallery.enrol("staff", "Ann", [face(0), face(1, score=float("inf"))])
    assert gallery.last_change() == before


# somebody twice


def alike(row: int, photo: str | None = None, box: tuple | None = BOX, seed: int = 9) -> NewFace:
    """Another photo of the person of ``face(row)``: cosine 0.9 or so."""
    noise = np.random.default_rng(seed).normal(size=64) * 0.05
    return NewFace(
        Embeddings.normalised(vectors(50).vectors[row : row + 1] + noise, OLD),
        photo_id=photo,
        box=box,
    )


def decide(cosine: float, size: int) -> Decision:
    """A search matches from 0.8 on."""
    assert size > 0
    outcome: Outcome = "match" if cosine >= 0.8 else "no_match"
    return Decision(
        outcome, cosine, 0.8, None, None, 0.01, "fpir", size, "test", extrapolated=False, reason=""
    )


def test_a_face_that_is_somebody_else_is_not_enrolled_under_a_second_name(
    gallery: Gallery,
) -> None:
    ann, [stored] = gallery.enrol("staff", "Ann", [face(0, "photo-1")], decide=decide)
    gallery.enrol("staff", "Bea", [face(1, "photo-2")], decide=decide)
    before = unchanged(gallery)
    for again, cosine in ((face(0, "photo-1"), 1.0), (alike(0, "photo-3"), 0.9)):
        with pytest.raises(PossibleDuplicate, match=r"'Ann' already.*allow_duplicate=true") as told:
            gallery.enrol("staff", "Second Ann", [face(5), again], decide=decide)
        assert told.value.details["person_id"] == ann.id
        assert told.value.details["face_id"] == stored.id
        assert told.value.details["cosine"] == pytest.approx(cosine, abs=0.1)
        assert told.value.details["image"] == 1
    bea = gallery.find_person("staff", "Bea")
    assert bea is not None
    with pytest.raises(PossibleDuplicate):
        gallery.add_faces("staff", bea.id, [alike(0)], decide=decide)
    assert unchanged(gallery) == before
    # the person's own next photo, and another person's, are taken
    gallery.enrol("staff", "ann", [alike(0, "photo-3")], decide=decide)
    gallery.enrol("staff", "Cleo", [face(7)], decide=decide)
    # accepted: nobody decides
    twin, _ = gallery.enrol("staff", "Twin", [alike(0, seed=4)])
    assert twin.faces == 1 and gallery.collection("staff").people == 4


def test_the_same_face_of_a_photo_is_known_whatever_model_embedded_it(gallery: Gallery) -> None:
    ann, _ = gallery.enrol("staff", "Ann", [face(0, "photo-1")])
    again = face(0, "photo-1", (11.0, 9.0, 61.0, 72.0), contract=NEW)
    with pytest.raises(PossibleDuplicate, match="this face of this photo") as told:
        gallery.enrol("staff", "Second", [again], decide=decide)
    assert told.value.details["person_id"] == ann.id and told.value.details["cosine"] is None
    # the other person in the photo, and Ann's own face by the new model
    gallery.enrol("staff", "Bea", [face(1, "photo-1", OTHER_BOX)], decide=decide)
    gallery.enrol("staff", "Ann", [again], decide=decide)
    # what cannot be decided is not refused
    gallery.enrol("staff", "Third", [alike(0)], decide=lambda cosine, size: None)


def test_two_who_enrol_one_face_at_once_cannot_both_win(gallery: Gallery) -> None:
    gallery.enrol("staff", "Somebody", [face(20)])
    start = threading.Barrier(6)

    def one(n: int) -> bool:
        start.wait()
        try:
            gallery.enrol("staff", f"name {n}", [alike(0, seed=n)], decide=decide)
        except PossibleDuplicate:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(one, range(6)))
    assert sum(won) == 1 and gallery.collection("staff").people == 2


# one request, once


def test_the_same_request_is_done_once_also_at_once(gallery: Gallery) -> None:
    once = Once("key", "1" * 64)
    assert gallery.answered("staff", once) is None
    start = threading.Barrier(5)

    def one(_: int) -> Enrolment:
        start.wait()
        return gallery.enrol_images("staff", [face(0), face(1)], name="Ann", once=once)

    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(one, range(5)))
    assert sum(not each.replayed for each in done) == 1
    assert all(
        (each.person, each.results, each.faces) == (done[0].person, done[0].results, done[0].faces)
        for each in done
    )
    assert gallery.collection("staff").faces == 2
    again = gallery.answered("staff", once)
    assert again is not None and again.results == done[0].results
    with pytest.raises(IdempotencyKeyReused):
        gallery.enrol_images("staff", [face(2)], name="Ann", once=Once("key", "2" * 64))
    gallery.create_collection("guests")
    assert gallery.answered("guests", once) is None


def test_in_parts_one_bad_image_undoes_nothing_but_itself(gallery: Gallery) -> None:
    wrong = face(3, crop=crop(1)[:, :50])  # found out only after the row was written
    images = [face(0, "p"), NoFaceFound("no face"), wrong, face(9, "p", OTHER_BOX), face(0, "p")]
    before = unchanged(gallery)
    with pytest.raises(NoFaceFound) as told:
        gallery.enrol_images("staff", images, name="Ann")
    assert told.value.details == {"image": 1}
    with pytest.raises(NothingEnrolled, match="1 no face found, 1 invalid array") as none:
        gallery.enrol_images("staff", images[1:3], name="Ann", partial=True)
    assert [r["code"] for r in none.value.details["results"]] == ["no_face_found", "invalid_array"]
    assert unchanged(gallery) == before
    done = gallery.enrol_images("staff", images, name="Ann", partial=True)
    codes = [r.code if isinstance(r, Refused) else r for r in done.results]
    assert codes == [
        done.faces[0].id, "no_face_found", "invalid_array", "same_photo_conflict", "already_exists"
    ]  # fmt: skip
    assert done.person.faces == 1 and gallery.check() == []
    changed = [change.kind for change in gallery.changes(before[3])]
    assert changed == ["person_added", "face_added"]


def test_receipts_name_nobody_who_is_gone(gallery: Gallery) -> None:
    bea, _ = gallery.enrol("staff", "Bea Unique", [face(1)])
    once = Once("key", "1" * 64)
    images = [face(0), alike(1)]
    first = gallery.enrol_images(
        "staff", images, name="Ann", partial=True, decide=decide, once=once
    )
    refused = first.results[1]
    assert isinstance(refused, Refused) and "Bea Unique" in refused.message
    keep, _ = gallery.enrol("staff", "Keep", [face(5)])
    gallery.merge_people("staff", keep.id, first.person.id)
    merged = gallery.answered("staff", once)
    assert merged is not None and merged.person.id == keep.id
    assert [f.id for f in merged.faces] == [f.id for f in first.faces]
    gallery.update_person("staff", bea.id, name="Bea B")
    assert gallery.answered("staff", once) is None
    gallery.enrol_images("staff", [face(7)], name="Cleo", once=once)
    gallery.delete_collection("staff")
    assert gallery.stats()["rows"]["receipts"] == 0


def test_receipts_go_after_a_day_though_nobody_enrols(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Once("key", "1" * 64)
    gallery.enrol_images("staff", [face(0)], name="Ann", once=once)
    gallery.settle()
    assert gallery.stats()["rows"]["receipts"] == 1
    monkeypatch.setattr(receipts, "KEPT_S", 0)
    gallery.settle()
    assert gallery.stats()["rows"]["receipts"] == 0

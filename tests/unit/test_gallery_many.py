"""Many people in one transaction: the same people, faces and refusals as one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from arcid.errors import AlreadyExists, ArcidError, ConsentMissing, InputError
from arcid.gallery import Gallery, NewConsent, NewFace, NewFaces, Policy
from arcid.gallery.schema import audit
from arcid.gallery.store import policies
from arcid.types import Decision, Embeddings, Outcome

OLD, NEW = "a" * 64, "b" * 64
BOX, OTHER_BOX = (10.0, 10.0, 60.0, 70.0), (200.0, 10.0, 250.0, 70.0)


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as opened:
        opened.create_collection("staff")
        yield opened


def face(row: int, photo: str | None = None, *, seed: int = 0, **given: Any) -> NewFace:
    """``seed`` 0: the face of that row; others: another photo of it, cosine about 0.9."""
    base = np.random.default_rng(1).normal(size=(60, 64))[row]
    noise = np.random.default_rng(seed).normal(size=64) * (0.45 if seed else 0)
    made = Embeddings.normalised((base + noise)[None], given.pop("contract", OLD))
    return NewFace(made, photo_id=photo, box=given.pop("box", BOX), **given)


def decide(cosine: float, size: int) -> Decision:
    """A search matches from 0.8 on."""
    assert size > 0
    outcome: Outcome = "match" if cosine >= 0.8 else "no_match"
    return Decision(
        outcome, cosine, 0.8, None, None, 0.01, "fpir", size, "test", extrapolated=False, reason=""
    )


#: Everything that is refused, and why, beside what is enrolled.
CROWD = [
    NewFaces("Ann", [face(0, "a1"), face(0, "a2", seed=1)], metadata={"site": "B"}),
    NewFaces("Ben", [face(1, "b1")], external_id="7"),
    NewFaces("Not Ann", [face(0, "a3", seed=2)]),  # Ann, of the same call
    NewFaces("Cleo", [face(2, "c1"), face(1, "c2", seed=3), face(2, "c3", seed=4)]),  # one is Ben
    NewFaces("Dan", [face(3, "a1", box=OTHER_BOX)]),  # another face of Ann's photo
    NewFaces("Eve", [face(4, "b1", contract=NEW)]),  # Ben's face of Ben's photo, by another model
    NewFaces("ann", [face(0, "a1"), face(0, "a4", seed=5)]),  # known, and a new one
    NewFaces("Fay", [face(5, "f1"), face(6, "f1", box=OTHER_BOX)]),  # two faces, one photo
    NewFaces("B\nd", [face(7, "x")]),
    NewFaces("Gus", [face(8, "g1")], external_id="7", metadata={"site": "A"}),  # Ben is 7
    NewFaces("Ann", [face(0, "a5", seed=6)], metadata={"site": "C"}),  # hers stays
]


def one_by_one(gallery: Gallery, person: NewFaces) -> list[ArcidError | None]:
    """As it was done before: a transaction each."""
    known = gallery.find_person("staff", person.name) if "\n" not in person.name else None
    new: dict[str, Any] = {}
    if known is None:
        new["external_id"] = person.external_id
        if not person.external_id or not gallery.person_with("staff", person.external_id):
            new["metadata"] = person.metadata
    try:
        gallery.enrol_images("staff", person.faces, name=person.name, decide=decide, **new)
    except (InputError, AlreadyExists) as error:
        if len(person.faces) == 1:
            return [error]
        return [
            outcome
            for one in person.faces
            for outcome in one_by_one(gallery, NewFaces(person.name, [one]))
        ]
    return [None] * len(person.faces)


def told(outcomes: Sequence[Sequence[ArcidError | None]]) -> list[list[Any]]:
    return [
        [one and (one.code, one.message, one.details.get("cosine")) for one in own]
        for own in outcomes
    ]


def held(gallery: Gallery) -> list[Any]:
    return [
        (p.name, p.metadata, p.external_id, f.photo_id, f.box, sorted(f.contract_ids))
        for p in gallery.everybody("staff")
        for f in gallery.faces("staff", p.id)
    ]


@pytest.mark.parametrize("parts", [[11], [4, 4, 3]], ids=["at once", "parts"])
def test_many_people_at_once_are_as_one_after_the_other(
    gallery: Gallery, tmp_path: Path, parts: list[int]
) -> None:
    crowd = iter(CROWD)
    found = [
        outcomes
        for count in parts
        for outcomes in gallery.enrol_people(
            "staff", list(itertools.islice(crowd, count)), decide=decide
        )
    ]
    with Gallery.open(tmp_path / "alone.db") as alone:
        alone.create_collection("staff")
        wanted = [one_by_one(alone, person) for person in CROWD]
        assert held(gallery) == held(alone)
        for probe in (face(0), face(1), face(2), face(3)):
            a, b = (g.search("staff", probe.embedding)[0] for g in (gallery, alone))
            assert [m.name for m in a] == [m.name for m in b]
            assert [m.cosine for m in a] == pytest.approx([m.cosine for m in b], abs=1e-6)
    for mine, theirs in zip(told(found), told(wanted), strict=True):
        for one, other in zip(mine, theirs, strict=True):
            assert (one and one[:2]) == (other and other[:2])
            assert one is None or one[2] == pytest.approx(other[2], abs=1e-6)
    assert [[one and one.code for one in own] for own in found] == [
        [None, None],
        [None],
        ["possible_duplicate"],
        [None, "possible_duplicate", None],
        [None],
        ["possible_duplicate"],
        ["already_exists", None],
        [None, "same_photo_conflict"],
        ["bad_input"],
        [None],
        [None],
    ]
    assert gallery.check() == []


def test_what_is_noted_belongs_to_the_faces_it_was_told_of(gallery: Gallery) -> None:
    seen: list[tuple[int, list[int]]] = []

    def noted(person: int, stored: Sequence[int], connection: Connection) -> None:
        assert connection.in_transaction()
        seen.append((person, list(stored)))
        if person == 1:
            raise InputError("gone meanwhile")

    crowd = [
        NewFaces("Ann", [face(0), face(1)]), NewFaces("Ben", [face(2)]), NewFaces("Cleo", [face(3)])
    ]  # fmt: skip
    found = gallery.enrol_people("staff", crowd, noted=noted)
    assert [[one and one.message for one in own] for own in found] == [
        [None, None], ["gone meanwhile"], [None],
    ]  # fmt: skip
    assert seen == [(0, [0, 1]), (1, [0]), (2, [0])]
    assert {p.name: p.faces for p in gallery.people("staff")} == {"Ann": 2, "Cleo": 1}
    # what stops everything changes nothing
    before = gallery.last_change()

    def lost(person: int, stored: Sequence[int], connection: Connection) -> None:
        if person == 1:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        gallery.enrol_people("staff", [NewFaces("Dan", [face(4)]), *crowd], noted=lost)
    assert gallery.last_change() == before and gallery.find_person("staff", "Dan") is None
    assert gallery.enrol_people("staff", []) == []


def test_consent_is_demanded_and_recorded_of_each(gallery: Gallery) -> None:
    with gallery.database.write() as connection:
        own = connection.execute(sa.text("SELECT * FROM collections")).mappings().one()
        policies.put(connection, own, Policy(purpose="doors", consent=True))
    agreed = NewConsent("v1")
    crowd = [NewFaces("Ann", [face(0)], consent=agreed), NewFaces("Ben", [face(1)]),
             NewFaces("Cleo", [face(2)], consent=agreed)]  # fmt: skip
    (ann,), (ben,), (cleo,) = gallery.enrol_people("staff", crowd)
    assert ann is None and cleo is None and isinstance(ben, ConsentMissing)
    assert [p.name for p in gallery.people("staff")] == ["Ann", "Cleo"]
    with gallery.database.read() as connection:
        rows = connection.execute(
            sa.select(audit.c.subject).where(audit.c.verb == "consent.record")
        )
        assert sorted(rows.scalars()) == sorted(f"person:{p.id}" for p in gallery.people("staff"))


def test_which_photos_of_whom_are_enrolled_is_asked_at_once(gallery: Gallery) -> None:
    gallery.enrol("staff", "Ann", [face(0, "a1"), face(0, "a2", seed=1)])
    gallery.enrol("staff", "Ben", [face(1, "b1", contract=NEW)])
    asked = [("ANN", "a1"), ("Ben", "a1"), ("Ann", "b1"), ("Ann", "a2"), ("B\nd", "a1"),
             ("Ben", "b1"), ("Nobody", "z")]  # fmt: skip
    assert gallery.enrolled("staff", asked, OLD) == [True, False, False, True, False, False, False]
    assert gallery.enrolled("staff", [("Ben", "b1")], NEW) == [True]
    assert gallery.enrolled("staff", [], OLD) == []

"""What a collection keeps and why: consent demanded by every door, withdrawn, carried by merges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from arcid.errors import ConsentMissing, InputError, PersonNotFound, UsageError
from arcid.events import Audit, Events, Place, Sightings, acting
from arcid.gallery import Gallery, NewConsent, NewFace, Policy
from arcid.gallery.store.policies import viewing
from arcid.protection import VIEWERS, Consents, Policies
from arcid.server.console.auth.roles import ROLES
from arcid.types import Embeddings

AGREED = NewConsent("2026-03", "form 117")
NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def vector(seed: int) -> Embeddings:
    raw = np.random.default_rng(seed).standard_normal((1, 32))
    return Embeddings.normalised(raw, "c" * 64)


def crop(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (112, 112, 3)).astype(np.uint8)


def face(seed: int) -> NewFace:
    return NewFace(vector(seed), photo_id=f"photo-{seed}", crop=crop(seed))


@pytest.fixture
def gallery(database_url: str) -> Iterator[Gallery]:
    with Gallery.open(database_url) as gallery:
        gallery.create_collection("staff", keep_crops=True)
        yield gallery


def test_a_policy_is_changed_kept_and_told_to_the_audit(gallery: Gallery) -> None:
    policies = Policies(gallery)
    assert policies.of("staff") == Policy() and policies.of("staff").strangers_hours == 24
    with acting("account:7"):
        made = policies.change("staff", purpose="Opening doors", unseen_days=365.0, consent=True)
        policies.change("staff", unseen_days=None, crops_for=["operator", "admin"])
        policies.change("staff", purpose="Opening doors")  # nothing new, nothing written
    assert made.unseen_days == 365
    found = policies.every()["staff"]
    assert (found.purpose, found.unseen_days, found.consent) == ("Opening doors", None, True)
    assert found.crops_for == ("admin", "operator")
    rows = Audit(gallery).find(verb="policy")
    assert [dict(row.details) for row in rows] == [
        {"unseen_days": None, "crops_for": ["admin", "operator"]},
        {"purpose": "Opening doors", "unseen_days": 365.0, "consent": True},
    ]
    assert {row.actor for row in rows} == {"account:7"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"strangers_hours": 0.0}, {"strangers_hours": 721.0}, {"strangers_hours": float("nan")},
        {"unseen_days": 0.0}, {"keep_days": -1.0}, {"event_faces_days": None},
        {"refused_days": float("inf")}, {"on_withdrawal": "nothing"}, {"purpose": "x" * 1001},
        {"purpose": "a\0b"}, {"legal_basis": "\ud800"},
    ],
)  # fmt: skip
def test_what_no_policy_may_say(gallery: Gallery, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Policies(gallery).change("staff", **wrong)
    assert Policies(gallery).of("staff") == Policy()


def test_pictures_are_for_roles_that_there_are(gallery: Gallery) -> None:
    assert set(VIEWERS) == {*ROLES, "key"}
    with pytest.raises(UsageError, match="viewer"):
        Policies(gallery).change("staff", crops_for=["boss"])


Door = Callable[[Gallery, NewConsent | None], object]


def by_event(gallery: Gallery, consent: NewConsent | None) -> object:
    Sightings(gallery).visitor(
        "staff", Place("gate", "gate"), NOW, NOW, "mark", cooldown_s=60, alike=0.9, grounds={},
        vector=vector(9),
    )  # fmt: skip
    (seen,) = Events(gallery).find("staff")
    return Events(gallery).enrol("staff", "Ann", {seen.id: face(9)}, actor="op", consent=consent)


DOORS: dict[str, Door] = {
    "enrol": lambda g, c: g.enrol("staff", "Ann", [face(1)], consent=c),
    "images": lambda g, c: g.enrol_images("staff", [face(1)], name="Ann", consent=c),
    "partial": lambda g, c: g.enrol_images("staff", [face(1)], name="Ann", partial=True, consent=c),
    "faces": lambda g, c: g.add_faces(
        "staff", g.add_person("staff", "Ann").id, [face(1)], consent=c
    ),
    "visitor": by_event,
}


@pytest.mark.parametrize("door", DOORS)
def test_nobody_is_enrolled_who_did_not_agree(gallery: Gallery, door: str) -> None:
    Policies(gallery).change("staff", consent=True, purpose="Opening doors")
    with pytest.raises(ConsentMissing, match="consent"):
        DOORS[door](gallery, None)
    assert gallery.collection("staff").faces == 0
    if door == "faces":
        gallery.delete_person("staff", gallery.people("staff")[0].id)
    with acting("key:1f8e22aa"):
        DOORS[door](gallery, AGREED)
    person = gallery.find_person("staff", "Ann")
    assert person is not None and person.faces == 1
    (kept,) = Consents(gallery).of("staff", person.id)
    assert (kept.text, kept.evidence, kept.by) == ("2026-03", "form 117", "themselves")
    assert (kept.what, kept.recorded_by) == ("Opening doors", "key:1f8e22aa")
    (row,) = Audit(gallery).find(verb="consent.record")
    assert row.subject == f"person:{person.id}" and "form" not in str(row.details)
    gallery.add_faces("staff", person.id, [face(2)])  # it stands
    gallery.add_faces("staff", person.id, [face(3)], consent=AGREED)  # said again: kept once
    assert len(Consents(gallery).of("staff", person.id)) == 1


def test_faces_go_to_nobody_who_did_not_agree(gallery: Gallery) -> None:
    ann, faces = gallery.enrol("staff", "Ann", [face(1), face(2)])
    ben = gallery.add_person("staff", "Ben")
    Policies(gallery).change("staff", consent=True)
    with pytest.raises(ConsentMissing):
        gallery.split_person("staff", ann.id, [faces[0].id], "Cid")
    with pytest.raises(ConsentMissing):
        gallery.move_face("staff", faces[0].id, ben.id)
    assert gallery.find_person("staff", "Cid") is None
    Consents(gallery).record("staff", ben.id, AGREED)
    gallery.move_face("staff", faces[0].id, ben.id)
    assert Policies(gallery).standing("staff").to_dict() == {
        "people": 2, "agreed": 1, "withdrawn": [],
    }  # fmt: skip


@pytest.mark.parametrize("led", ["erase", "review"])
def test_a_withdrawal_leads_to_what_the_policy_says(gallery: Gallery, led: str) -> None:
    Policies(gallery).change("staff", consent=True, on_withdrawal=led)
    ann, _ = gallery.enrol("staff", "Ann", [face(1)], consent=AGREED)
    with acting("account:7"):
        done = Consents(gallery).withdraw("staff", ann.id, reason="asked by letter")
    assert done.ended == 1
    assert [e.reason for e in Audit(gallery).find(verb="consent.withdraw")] == ["asked by letter"]
    if led == "erase":
        assert done.outcome == "erased" and gallery.collection("staff").people == 0
        with pytest.raises(PersonNotFound):
            Consents(gallery).of("staff", ann.id)
        return
    assert done.outcome == "review" and gallery.collection("staff").faces == 1
    assert Policies(gallery).standing("staff").withdrawn == (ann.id,)
    (kept,) = Consents(gallery).of("staff", ann.id)
    assert kept.withdrawn_by == "account:7" and kept.withdrawn_at is not None
    with pytest.raises(ConsentMissing):
        gallery.add_faces("staff", ann.id, [face(2)])
    gallery.add_faces("staff", ann.id, [face(2)], consent=AGREED)  # said anew
    assert Policies(gallery).standing("staff").withdrawn == ()


def test_of_two_that_are_merged_the_last_word_counts_and_is_given_back(gallery: Gallery) -> None:
    Policies(gallery).change("staff", consent=True, on_withdrawal="review")
    ann, _ = gallery.enrol("staff", "Ann", [face(1)], consent=AGREED)
    ben, _ = gallery.enrol("staff", "Ben", [face(2)], consent=AGREED)
    Consents(gallery).withdraw("staff", ben.id)
    gallery.merge_people("staff", ann.id, ben.id, reversible=True)
    with pytest.raises(ConsentMissing):
        gallery.add_faces("staff", ann.id, [face(3)])
    (merge,) = gallery.merges("staff")
    gallery.unmerge("staff", merge.id)
    gallery.add_faces("staff", ann.id, [face(3)])
    assert Policies(gallery).standing("staff").withdrawn == (ben.id,)


def test_a_consent_is_not_given_in_the_future_or_to_nothing(gallery: Gallery) -> None:
    ann = gallery.add_person("staff", "Ann")
    for wrong in (
        NewConsent("2026-03", at=datetime.now(UTC) + timedelta(hours=1)),
        NewConsent(" "),
        NewConsent("v", by=""),
        NewConsent("v", evidence="x" * 1001),
        NewConsent("v", evidence="\ud800"),
        NewConsent("v\0"),
    ):
        with pytest.raises(InputError):
            Consents(gallery).record("staff", ann.id, wrong)
    assert Consents(gallery).of("staff", ann.id) == []


def test_pictures_are_as_if_not_kept_for_whom_they_are_not(gallery: Gallery) -> None:
    _, (stored,) = gallery.enrol("staff", "Ann", [face(1)])
    (seen,) = Sightings(gallery).visitor(
        "staff", Place("gate", "gate"), NOW, NOW, "mark", cooldown_s=60, alike=0.9, grounds={},
        vector=vector(9), crop=crop(9),
    )  # fmt: skip
    Policies(gallery).change("staff", crops_for=["operator"])
    for role, shown in (("operator", True), ("viewer", False)):
        with viewing(role):
            trace = Events(gallery).trace("staff", seen.id)
            assert trace is not None and (trace.crop is not None) == shown
            assert (gallery.face_crop("staff", stored.id) is not None) == shown
    assert gallery.face_crop("staff", stored.id) is not None

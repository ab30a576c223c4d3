"""Every reason to reject or to ask a human: documented, tested, and the rarer ones reached here."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.test_onboarding import applicant, begun, codes, decided
from tests.unit.test_onboarding import document as document
from tests.unit.test_onboarding import gallery as gallery
from tests.unit.test_onboarding import people as people
from tests.unit.test_onboarding import pipeline as pipeline

from arcid.apps.onboarding import judging
from arcid.apps.onboarding.applicant import Applicant, Capture
from arcid.apps.onboarding.cases import Cases
from arcid.apps.onboarding.prints import distance, picture_print
from arcid.apps.onboarding.records import Check
from arcid.gallery import Gallery, NewFace
from arcid.pipeline import Pipeline
from arcid.types import Embeddings, Image

ROOT = Path(__file__).parents[2]
CODES = (
    "match_uncalibrated", "match_unsure", "different_people", "too_identical", "too_alike",
    "replayed", "repeated", "challenge_missing", "not_live", "passive_missing",
    "possible_duplicate", "duplicate_unknown", "document_expired", "zone_differs",
    "name_uncertain", "name_differs", "birth_date_differs", "too_many_tries",
)  # fmt: skip


def test_no_reason_is_unknown_undocumented_or_untested() -> None:
    source = "".join(
        p.read_text("utf-8") for p in (ROOT / "src/arcid/apps/onboarding").glob("*.py")
    )
    found = re.findall(r'Check\(\s*"(\w+)",\s*(?:"(?:review|reject)"|effect|"review" if)', source)
    assert set(found) == set(CODES)
    page = (ROOT / "docs/concepts/onboarding.md").read_text("utf-8")
    here = Path(__file__)
    tests = "".join(
        p.read_text("utf-8").replace(repr(CODES), "")
        for p in here.parent.glob("test_onboarding*.py")
    )
    for code in CODES:
        assert f"`{code}`" in page, f"{code} is not in docs/concepts/onboarding.md"
        assert tests.count(f'"{code}"') > 1, f"no test reaches {code}"


pytestmark = pytest.mark.data


def between(one: Applicant, start: Image, end: Image, signs: range, other: bytes) -> Capture:
    """Of two photos laid over one another, the first whose print is so far from another."""
    capture, far = one.capture(start), one.capture(end).face.crop
    for share in np.linspace(0, 1, 101):
        crop = ((1 - share) * capture.face.crop + share * far).astype(np.uint8)
        if distance(picture_print(crop), other) in signs:
            face = dataclasses.replace(capture.face, crop=crop)
            return dataclasses.replace(capture, face=face, actions=("turn_left",))
    raise AssertionError("no share of the two is so far away")


def test_a_face_much_like_the_portrait_is_left_to_a_human(
    gallery: Gallery, pipeline: Pipeline, document: Image, people: dict[str, Image]
) -> None:
    one = applicant(gallery, pipeline)
    portrait = one._reader.read(document).face.crop
    doubt = range(judging.IDENTICAL + 1, judging.ALIKE + 1)
    capture = between(one, people["a2"], people["a1"], doubt, picture_print(portrait))
    _, token = begun(gallery, one)
    one.document(token, document)
    session = one.finish(token, capture).session
    assert (session.state, codes(session)) == ("review", ["too_alike"])


def test_a_face_much_like_that_of_another_session_is_left_to_a_human(
    gallery: Gallery, pipeline: Pipeline, document: Image, people: dict[str, Image]
) -> None:
    one = applicant(gallery, pipeline)
    assert decided(gallery, one, document, people["a2"]).state == "accepted"
    used = picture_print(one.capture(people["a2"]).face.crop)
    doubt = range(judging.REPLAYED + 1, judging.REPEATED + 1)
    mirrored = np.ascontiguousarray(people["a2"][:, ::-1])
    capture = between(one, people["a2"], mirrored, doubt, used)
    _, token = begun(gallery, one)
    one.document(token, document)
    session = one.finish(token, capture).session
    assert (session.state, codes(session)) == ("review", ["repeated"])


def test_a_collection_of_another_recogniser_is_left_to_a_human(
    gallery: Gallery, pipeline: Pipeline, document: Image, people: dict[str, Image]
) -> None:
    other = np.zeros((1, 128), np.float32)
    other[0, 0] = 1
    gallery.enrol("members", "Older", [NewFace(Embeddings(other, "another-recogniser"))])
    session = decided(gallery, applicant(gallery, pipeline), document, people["a2"])
    assert (session.state, codes(session)) == ("review", ["duplicate_unknown"])


def test_somebody_enrolled_while_it_was_decided_is_left_to_a_human(
    gallery: Gallery, pipeline: Pipeline, document: Image, people: dict[str, Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    one = applicant(gallery, pipeline)
    _, token = begun(gallery, one, enrol=True)
    one.document(token, document)
    capture = dataclasses.replace(one.capture(people["a2"]), actions=("turn_left",))
    checks = one._examiner.checks

    def meanwhile(*given: Any) -> list[Check]:
        found = checks(*given)
        gallery.enrol("members", "Quicker", [NewFace(capture.face.embedding)])
        return found

    monkeypatch.setattr(one._examiner, "checks", meanwhile)
    session = one.finish(token, capture).session
    assert (session.state, codes(session)) == ("review", ["possible_duplicate"])
    assert [person.name for person in gallery.people("members")] == ["Quicker"]


def test_a_recogniser_changed_on_the_way_asks_for_the_document_again(
    gallery: Gallery, pipeline: Pipeline, document: Image, people: dict[str, Image]
) -> None:
    one = applicant(gallery, pipeline)
    session, token = begun(gallery, one, live=False)
    one.document(token, document)
    newer = applicant(gallery, Pipeline.from_models(recogniser="arcid-face-s-1"))
    attempt = newer.selfie(token, people["a2"])
    assert attempt.codes == ("contract_changed",) and attempt.session.state == "consented"
    assert newer.document(token, document).taken
    assert Cases(gallery).get(session.id).state == "documented"

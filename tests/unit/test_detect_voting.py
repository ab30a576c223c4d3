"""Detectors that vote: whose boxes are one face, who has to see it, where its points lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from arcid.detect import VotingDetector, once
from arcid.errors import InvalidArray, ModelNotFound, UsageError
from arcid.geometry import box_iou, template_points
from arcid.image import load_image
from arcid.models import weights
from arcid.pipeline import Pipeline, load_detector
from arcid.types import Detections, FloatArray, Image

PHOTO = np.zeros((200, 300, 3), np.uint8)
FACE, NEAR, OTHER = (10, 10, 60, 70), (14, 12, 66, 74), (150, 50, 200, 110)


class Says:
    """Finds the same everywhere."""

    def __init__(self, *faces: tuple[Sequence[float], float], points: bool = True) -> None:
        self.boxes = np.array([box for box, _ in faces], np.float32).reshape(-1, 4)
        self.scores = np.array([score for _, score in faces], np.float32)
        self.has_points, self.asked = points, 0

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        five: FloatArray | None = None
        if self.has_points:
            sides = self.boxes[:, 2:] - self.boxes[:, :2]
            five = self.boxes[:, None, :2] + template_points(1)[None] * sides[:, None]
        return [Detections(self.boxes, self.scores, five, one.shape[:2]) for one in images]

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        self.asked += 1
        return [one[:0] for one in self.detect(images)]


def vote(*members: Any, **options: Any) -> Detections:
    return VotingDetector(members, **options).detect([PHOTO])[0]


def test_a_face_is_where_its_boxes_weighed_by_score_are() -> None:
    found = vote(Says((FACE, 0.9), (OTHER, 0.8)), Says((NEAR, 0.3)))
    assert len(found) == 1 and found.points is not None
    np.testing.assert_allclose(found.boxes[0], (np.array(FACE) * 3 + NEAR) / 4, atol=1e-4)
    assert found.scores[0] == pytest.approx(0.6)
    first, second = (
        says.detect([PHOTO])[0].points for says in (Says((FACE, 0.9)), Says((NEAR, 0.3)))
    )
    assert first is not None and second is not None
    np.testing.assert_allclose(found.points, (first * 3 + second) / 4, atol=1e-4)


@pytest.mark.parametrize(("rule", "faces"), [("any", 3), ("majority", 2), ("all", 1)])
def test_a_rule_says_who_has_to_see_it(rule: Any, faces: int) -> None:
    alone = (220, 20, 280, 90)
    members = [Says((FACE, 0.9), (OTHER, 0.8)), Says((NEAR, 0.7), (alone, 0.5)),
               Says((OTHER, 0.6), (FACE, 0.4))]  # fmt: skip
    found = vote(*members, rule=rule)
    assert len(found) == faces
    assert (np.diff(found.scores) <= 0).all()


def test_two_boxes_of_one_member_are_two_faces() -> None:
    crowd = (24, 10, 74, 70)  # overlaps FACE by more than half
    found = vote(Says((FACE, 0.9), (crowd, 0.8)), Says((FACE, 0.9), (crowd, 0.8)), rule="all")
    assert sorted(found.boxes[:, 0].tolist()) == [10, 24]


def test_points_come_from_those_who_have_them() -> None:
    blind = Says((FACE, 0.9), (OTHER, 0.9), points=False)
    found = vote(blind, Says((NEAR, 0.5)), rule="any")
    assert len(found) == 1, "a face that only boxes were found for cannot be aligned"
    np.testing.assert_array_equal(found.points, Says((NEAR, 0.5)).detect([PHOTO])[0].points)
    nobody = VotingDetector([blind, blind], rule="any")
    assert not nobody.has_points and nobody.detect([PHOTO])[0].points is None


def test_nothing_found_is_an_answer_and_bad_input_is_refused() -> None:
    nothing = VotingDetector([Says(), Says()])
    found = nothing.detect([PHOTO])[0]
    assert len(found) == 0 and found.points is not None and found.image_size == (200, 300)
    assert nothing.detect([]) == []
    with pytest.raises(InvalidArray):
        nothing.detect([cast(Any, PHOTO.astype(float))])
    with pytest.raises(UsageError, match="from two on"):
        VotingDetector([Says()])
    with pytest.raises(UsageError, match="any, majority, all"):
        VotingDetector([Says(), Says()], rule=cast(Any, "most"))


def test_video_asks_every_member_once() -> None:
    members = [Says((FACE, 0.9)), Says((FACE, 0.9))]
    assert len(once(VotingDetector(members))([PHOTO])[0]) == 0
    assert [one.asked for one in members] == [1, 1]


# --- by name


@pytest.fixture
def models(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))


@pytest.mark.data
def test_detectors_named_with_a_plus_vote(
    models: None, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "arcid-detect-s+yunet"
    monkeypatch.setenv("ARCID_DETECTOR", name)
    pipeline = Pipeline.from_models()
    assert pipeline.provenance["detector"] == name
    bundle = weights.resolve_default("detection")
    assert (bundle.name, len(bundle.members)) == (name, 2) and bundle.manifest.files == {}
    assert bundle.manifest.description.startswith("faces that more than half of arcid-detect-s")
    image = load_image(data_dir / "data/photos/group/friends.jpg")
    found = pipeline.detect(image)
    for member in ("arcid-detect-s", "yunet"):
        own = load_detector(member).detect([image])[0]
        assert len(found) <= len(own)
        assert (box_iou(found.boxes, own.boxes).max(axis=1) > 0.5).all()
    either = load_detector(f"any:{name}").detect([image])[0]
    assert len(either) >= len(found) >= 3
    assert len(pipeline.faces(image)) == len(found)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("arcid-detect-s@2+yunet", "without weights"),
        ("any:arcid-detect-s+arcid-face-s", "arcid-face-s is none"),
        ("yunet+yunet", "twice"),
    ],
)
def test_what_cannot_vote_is_refused(models: None, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_detector(name)


def test_a_member_that_is_not_there_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFound, match="no model is called 'nobody'"):
        load_detector("arcid-detect-s+nobody")

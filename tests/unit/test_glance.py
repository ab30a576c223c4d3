"""A glance at a smaller picture: when it is enough, and that it finds the same face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.detect import choosing
from arcid.errors import SeveralFacesFound
from arcid.geometry import box_iou
from arcid.image import load_image
from arcid.pipeline import load_detector
from arcid.types import Detections, Selection


class Watched:
    """Notes the size of every look."""

    def __init__(self, detector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int | None] = []
        look = detector.detect_once

        def noting(images: Sequence[Any], *, size: int | None = None) -> list[Detections]:
            if len(images):
                self.sizes.append(size)
            found: list[Detections] = look(images, size=size)
            return found

        monkeypatch.setattr(detector, "detect_once", noting)


@pytest.fixture(scope="module")
def detector() -> Any:
    return load_detector()


@pytest.mark.parametrize("which", ["prominent", "one"])
def test_one_large_face_is_found_at_a_glance_and_is_the_same(
    detector: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch, which: Selection
) -> None:
    photo = load_image(data_dir / "data/deepface-pairs/img1.jpg")
    (whole,) = detector.detect([photo])
    watched = Watched(detector, monkeypatch)
    (found,) = choosing(detector, which)([photo])
    assert watched.sizes == [320]
    one, same = whole.select(which), found.select(which)
    assert box_iou(one.boxes, same.boxes)[0, 0] > 0.8
    off = np.abs(one.points[0] - same.points[0]).max() / one.sizes.max()
    assert off < 0.03


def test_small_faces_and_other_selections_are_looked_at_whole(
    detector: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    couple = load_image(data_dir / "data/photos/group/couple.jpg")
    small = np.zeros((1200, 1200, 3), np.uint8)
    photo = load_image(data_dir / "data/deepface-pairs/img1.jpg")
    step = -(-max(photo.shape) // 200)
    shrunk = photo[::step, ::step]
    small[500 : 500 + len(shrunk), 500 : 500 + shrunk.shape[1]] = shrunk
    expected = detector.detect([small])
    watched = Watched(detector, monkeypatch)
    (found,) = choosing(detector, "prominent")([small])
    assert watched.sizes[:2] == [320, None]
    np.testing.assert_array_equal(found.boxes, expected[0].boxes)
    assert choosing(detector, "all") == detector.detect
    assert choosing(detector, "largest") == detector.detect
    with pytest.raises(SeveralFacesFound):
        choosing(detector, "prominent")([couple])[0].select("prominent")
    assert choosing(detector, "one")([]) == []


def test_a_face_below_the_least_area_changes_no_selection() -> None:
    def faces(*sides: float) -> Detections:
        boxes = [[200 - s / 2, 200 - s / 2, 200 + s / 2, 200 + s / 2] for s in sides]
        return Detections(boxes, [0.9] * len(sides), None, (400, 400))

    for which in ("prominent", "one"):
        least = faces(100).least_area(which) ** 0.5
        assert faces(100, 0.99 * least).select(which).sizes[0, 0] == 100
        with pytest.raises(SeveralFacesFound):
            faces(100, 1.01 * least).select(which)
    assert faces(100).least_area("all") == faces(100).least_area("largest") == 0
    assert Detections.empty((400, 400)).least_area("one") == 0

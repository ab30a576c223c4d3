"""Many photos into a gallery: batched and overlapped, one bad photo costs no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.apps.enrol import enrol_photos, one_face_each
from arcid.batch import BATCH
from arcid.errors import ArcidError, CollectionNotFound
from arcid.gallery import Gallery
from arcid.pipeline import Pipeline
from arcid.results import Face, Prepared
from arcid.types import Detections, Image

pytestmark = pytest.mark.data
FaceBytes = Callable[[int], bytes]
PEOPLE = {"Ann": (5, 6, 10, 11), "Ben": (14,), "Cleo": (8, 9)}


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        yield gallery


def test_good_photos_go_in_and_bad_ones_are_reported(
    pipeline: Pipeline, gallery: Gallery, face: FaceBytes, data_dir: Path
) -> None:
    photos = data_dir / "data" / "photos"
    items: list[tuple[str, Any, str]] = [
        (name, face(n), f"img{n}") for name, numbers in PEOPLE.items() for n in numbers
    ]
    items[2:2] = [
        ("Ann", photos / "misc" / "no_face.png", "no face"),
        ("Ann", photos / "misc" / "blur.jpg", "blurred"),
        ("Ann", b"damaged", "damaged"),
        ("Ann", face(5), "twice"),
        ("A\nnn", face(12), "bad name"),
    ]
    items.append(("Dan", photos / "group" / "friends.jpg", "several"))
    seen: list[int] = []
    report = enrol_photos(pipeline, gallery, "staff", items, on_progress=seen.append)
    assert {(r.label, r.person, r.error.code) for r in report.rejected} == {
        ("no face", "Ann", "no_face_found"),
        ("blurred", "Ann", "quality_rejected"),
        ("damaged", "Ann", "image_unreadable"),
        ("twice", "Ann", "already_exists"),
        ("bad name", "A\nnn", "bad_input"),
        ("several", "Dan", "several_faces_found"),
    }
    assert all(r.error.message for r in report.rejected)
    assert (report.enrolled, report.people, report.photos) == (7, 3, len(items))
    assert report.photos_per_s > 0 and seen[-1] == len(items)
    counts = {person.name: person.faces for person in gallery.people("staff")}
    assert counts == {name: len(numbers) for name, numbers in PEOPLE.items()}
    for probe, name in ((7, "Ann"), (15, "Ben")):
        (found,) = pipeline.identify(face(probe), gallery, "staff")
        assert found.candidates[0].name == name and found.decision.matched


def test_quality_can_be_waived_and_the_collection_must_be_there(
    pipeline: Pipeline, gallery: Gallery, photo: Callable[[str], bytes]
) -> None:
    items = [("Ann", photo("photos/misc/blur.jpg"), "blurred")]
    with pytest.raises(CollectionNotFound):
        enrol_photos(pipeline, gallery, "guests", items)
    report = enrol_photos(pipeline, gallery, "staff", items, require_quality=False)
    assert report.enrolled == 1 and report.rejected == []


def test_answers_keep_their_order_and_equal_single_ones(
    pipeline: Pipeline, face: FaceBytes
) -> None:
    numbers = [5, 10, 12, 16, 17, 21, 25]
    photos: list[tuple[int, Any]] = [(n, face(n)) for n in numbers]
    photos.insert(3, (0, b""))
    answers = list(one_face_each(pipeline, photos))
    assert [key for key, _ in answers] == [key for key, _ in photos]
    for key, answer in answers:
        if key == 0:
            assert isinstance(answer, ArcidError) and answer.code == "image_unreadable"
            continue
        assert isinstance(answer, Face)
        alone = pipeline.one_face(face(key))
        assert answer.photo_id == alone.photo_id and answer.box == alone.box
        cosine = answer.embedding.cosine(alone.embedding)[0, 0]
        assert cosine > 0.99999


def test_reading_ahead_is_bounded(pipeline: Pipeline, face: FaceBytes) -> None:
    """Of an endless folder only a window is read ahead, and both workers work at once."""
    taken = 0
    crop = pipeline.one_face(face(5)).crop
    both = threading.Barrier(2, timeout=10)

    class Watched(Pipeline):
        met = False

        def prepare_together(self, *given: Any, **options: Any) -> list[Prepared | ArcidError]:
            if not self.met:
                both.wait()
                self.met = True
            return super().prepare_together(*given, **options)

    def endless() -> Iterator[tuple[int, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield taken, np.roll(crop, taken % 5, axis=0)

    watched = Watched(pipeline.detector, pipeline.embedder)
    answers = one_face_each(watched, endless(), aligned=True, workers=2)
    for wanted in range(1, 4 * BATCH):
        key, answer = next(answers)
        assert key == wanted and isinstance(answer, Face)
        assert taken - wanted <= 2 * BATCH
    answers.close()  # type: ignore[attr-defined]  # a generator, left in the middle
    assert watched.met


class Counting:
    """A detector that counts the pictures it is shown."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.name, self.has_points, self.shown = detector.name, detector.has_points, 0

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        self.shown += len(images)
        return self._detector.detect(images)


def test_a_second_run_looks_at_no_photo_again(
    pipeline: Pipeline, gallery: Gallery, face: FaceBytes
) -> None:
    counting = Counting(pipeline.detector)
    watched = Pipeline(counting, pipeline.embedder, calibration=pipeline.calibration)
    items = [("Ann", face(n), f"{n}") for n in (1, 2, 4)] + [("Ben", face(13), "13")]
    assert enrol_photos(watched, gallery, "staff", items).enrolled == 4
    assert counting.shown == 4
    again = enrol_photos(watched, gallery, "staff", [*items, ("Ann", face(5), "5")])
    assert again.enrolled == 1 and counting.shown == 5
    assert {r.error.code for r in again.rejected} == {"already_exists"}
    # under another name it is looked at, and found to be Ann
    other = enrol_photos(watched, gallery, "staff", [("Cleo", face(1), "1")])
    assert counting.shown == 6 and other.rejected[0].error.code == "possible_duplicate"
    assert {p.name: p.faces for p in gallery.people("staff")} == {"Ann": 4, "Ben": 1}

"""The second try at pictures that show no sure face: who makes it, and where it says faces are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from tests.toys import Squares, picture

from arcid.apps.attendance import Watcher
from arcid.apps.kiosk import Kiosk, State
from arcid.detect import RotationSearch, TiledDetector, once
from arcid.detect.second_try import AGAIN, LARGER, LEAST_SHARE, TriesTwice, bordered
from arcid.errors import UsageError
from arcid.gallery import Gallery
from arcid.geometry import box_iou
from arcid.image import load_image
from arcid.pipeline import Pipeline, load_detector
from arcid.types import Detections, Image
from arcid.video import Frame


class Marks(TriesTwice):
    """Finds the five red marks of a picture that has black on every side of them; the brighter
    they are, the surer."""

    def __init__(self, sure: float | None = 0.9) -> None:
        self.sure = sure
        self.asked: list[int] = []

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        self.asked.append(len(images))
        return [self._one(image) for image in images]

    @staticmethod
    def _one(image: Image) -> Detections:
        size = (image.shape[0], image.shape[1])
        if image[0].any() or image[:, 0].any():
            return Detections.empty(size)
        red, green = (image[..., channel].astype(np.float64) for channel in (0, 1))
        rows, columns = np.nonzero(green)
        top, left = rows.min(), columns.min()
        box = [left, top, columns.max() + 1, rows.max() + 1]
        y, x = np.mgrid[: size[0], : size[1]]
        points = []
        for number in range(5):
            fifth = np.floor((x - left) * 5 / (box[2] - left))
            weight = red * (fifth == number)
            points.append([(x * weight).sum(), (y * weight).sum()] / weight.sum())
        points.sort(key=lambda point: float(point[1]))
        return Detections([box], [0.95], [points], size)  # converted


def marked(width: int, height: int) -> tuple[Image, np.ndarray]:
    """A green picture with one soft red mark in each fifth of its width, and where those are."""
    image = np.zeros((height, width, 3), np.float64)
    image[..., 1] = 90
    y, x = np.mgrid[:height, :width]
    spread = width / 40
    places = np.array(
        [
            [(number + 0.5) * width / 5 + number - 2, height * (0.1 + 0.2 * number)]
            for number in range(5)
        ]
    )
    for column, row in places:
        image[..., 0] += 255 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * spread**2))
    return np.clip(image, 0, 255).astype(np.uint8), places


# where faces are


@pytest.mark.parametrize("size", [(120, 90), (64, 64), (500, 500), (1201, 877), (301, 999)])
def test_coordinates_are_those_of_the_original_picture(size: tuple[int, int]) -> None:
    image, places = marked(*size)
    (found,) = Marks().detect([image])
    assert found.image_size == image.shape[:2]
    pixel = max(1.0, max(size) / AGAIN.side)  # of the small picture, in pixels of the original
    np.testing.assert_allclose(found.boxes, [[0, 0, *size]], atol=1e-3)
    assert found.points is not None
    np.testing.assert_allclose(found.points[0], places, atol=0.1 * pixel)


def test_the_small_picture_stands_amid_black() -> None:
    image = np.full((400, 300, 3), 200, np.uint8)
    canvas, factor = bordered(image)
    assert canvas.shape == (320, 240, 3)
    assert (canvas[80:240, 60:180] == 200).all()
    assert canvas.astype(int).sum() == 200 * 160 * 120 * 3, "the border is black"
    np.testing.assert_allclose(factor, [2.5, 2.5])
    tiny, factor = bordered(image[:40, :30])
    assert tiny.shape == canvas.shape and (factor == 0.25).all(), "tiny pictures are enlarged"
    for odd in (image[:1, :1], image[:1], image[:, :1]):
        assert min(bordered(odd)[0].shape[:2]) >= 1


class Staged(TriesTwice):
    """Answers prepared ones: first those of the pictures, then those of their smaller copies."""

    def __init__(self, *answers: list[Detections], sure: float | None = 0.9) -> None:
        self.sure, self.answers = sure, list(answers)
        self.asked: list[int] = []

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        self.asked.append(len(images))
        return self.answers.pop(0)


def faces(size: int, *rows: tuple[float, ...]) -> Detections:
    """(score, left, top, right, bottom) each."""
    given = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(given[:, 1:], given[:, 0], None, (size, size))


def mirrored(seen: Detections) -> Detections:
    """The same faces on the canvas turned left to right."""
    left, top, right, bottom = seen.boxes.T
    boxes = np.stack([320 - right, top, 320 - left, bottom], axis=1)
    return Detections(boxes, seen.scores, None, (320, 320))


def test_only_pictures_without_a_sure_face_are_tried_again_in_one_batch() -> None:
    image = np.zeros((160, 160, 3), np.uint8)
    none, sure = faces(160), faces(160, (0.95, 40, 40, 120, 120))
    unsure = faces(160, (0.6, 50, 90, 100, 130))
    again = faces(320, (0.97, 90, 90, 230, 230))
    detector = Staged([sure, none, unsure, none], [again, faces(320), again])
    found = detector.detect([image] * 4)
    assert detector.asked == [4, 3]
    assert found[0] is sure
    np.testing.assert_allclose(found[1].boxes, [[10, 10, 150, 150]])
    assert found[2] is unsure and len(found[3]) == 1
    detector = Staged([sure, sure])
    assert detector.detect([image, image]) == [sure, sure] and detector.asked == [2]
    detector = Staged([unsure, none], sure=None)
    assert detector.detect([image, image]) == [unsure, none] and detector.asked == [2]
    detector = Staged([unsure, none], [again], sure=0.0)
    detector.detect([image, image])
    assert detector.asked == [2, 1], "0 tries again where nothing was found"


def test_what_still_shows_nobody_is_tried_once_more_and_larger() -> None:
    image = np.zeros((160, 160, 3), np.uint8)
    none, unsure = faces(160), faces(160, (0.6, 50, 90, 100, 130))
    face = faces(2 * LARGER.side, (0.97, 126, 126, 322, 322))
    detector = Staged([none, unsure, none], [faces(320)] * 3, [face, faces(2 * LARGER.side)])
    found = detector.detect([image] * 3)
    assert detector.asked == [3, 3, 2]
    assert found[1] is unsure and len(found[2]) == 0
    np.testing.assert_allclose(found[0].boxes, [[10, 10, 150, 150]], atol=1e-4)


def test_of_two_answers_for_one_face_the_surer_stays() -> None:
    image = np.zeros((160, 160, 3), np.uint8)

    def joined(first: Detections, again: Detections) -> list[list[float]]:
        (found,) = Staged([first], [again], [mirrored(again)]).detect([image])
        assert (np.diff(found.scores) <= 0).all()
        return [[round(float(s), 2), *map(float, b)] for s, b in zip(found.scores, found.boxes)]  # noqa: B905

    inside, whole = (0.6, 60, 90, 100, 130), (0.97, 90, 90, 230, 230)
    beside = (0.7, 0, 0, 12, 12)
    assert joined(faces(160, inside), faces(320, whole)) == [[0.97, 10, 10, 150, 150]]
    assert joined(faces(160, inside, beside), faces(320, whole)) == [
        [0.97, 10, 10, 150, 150], [0.7, 0, 0, 12, 12],
    ]  # fmt: skip
    doubtful = (0.55, 90, 90, 230, 230)
    assert joined(faces(160, inside), faces(320, doubtful)) == [[0.6, 60, 90, 100, 130]]


def test_small_faces_are_the_first_try_s_to_find() -> None:
    image, least = np.zeros((160, 160, 3), np.uint8), LEAST_SHARE * 160
    for side, count in ((least - 1, 0), (least + 1, 1)):
        again = faces(320, (0.97, 100, 100, 100 + side, 100 + side))
        (found,) = Staged([faces(160)], [again], [faces(448)]).detect([image])
        assert len(found) == count


def test_a_doubtful_face_must_be_seen_once_more() -> None:
    image = np.zeros((160, 160, 3), np.uint8)
    again = faces(320, (0.8, 90, 90, 170, 230))  # in the left half
    for check, count in (
        (mirrored(again), 1),
        (faces(320), 0),
        (again, 0),  # not in the mirror
    ):
        detector = Staged([faces(160)], [again], [check], [faces(448)])
        (found,) = detector.detect([image])
        assert len(found) == count and detector.asked == [1] * (4 - count)


def test_how_sure_is_sure_is_checked() -> None:
    for wrong in (-0.1, 1.5):
        with pytest.raises(UsageError, match="sure must lie between 0 and 1"):
            load_detector(sure=wrong)


# who asks for it


def test_searches_try_again_with_all_they_do() -> None:
    """Turned and tiled searches ask their detector once a look, and are tried again whole."""
    image, _ = marked(200, 200)
    for search in (RotationSearch(Marks(), angles_deg=(0, 180)), TiledDetector(Marks())):
        inner = search._detector
        (found,) = search.detect([image])
        assert len(found) == 1 and isinstance(inner, Marks)
        assert inner.asked == [1] * len(inner.asked), "never a second try within a look"
        assert once(search)([image])[0].boxes.shape == (0, 4)
    assert once(Squares())([picture(1)])[0].boxes.shape == (1, 4), "any class that detects"


# photographs


@pytest.fixture(scope="module")
def tight(data_dir: Path) -> Image:
    """A face that fills a picture of about 600 pixels."""
    photo = load_image(data_dir / "data/deepface-pairs/img11.jpg")
    crop = photo[72:445, 152:437]
    return np.asarray(Pil.fromarray(crop).resize((570, 746), Pil.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def pipeline(data_dir: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128")


@pytest.mark.data
def test_a_photo_is_tried_again_and_a_frame_is_not(pipeline: Pipeline, tight: Image) -> None:
    assert len(pipeline.detect(tight, second_try=False)) == 0
    assert len(pipeline.prepare(tight, second_try=False).crops) == 0
    found = pipeline.detect(tight)
    assert len(found) == 1
    assert pipeline.one_face(tight).embedding.dim == 128
    (batched,) = pipeline.detect_batch([tight])
    np.testing.assert_allclose(batched.get().boxes, found.boxes, atol=0.05)
    silent = Pipeline.from_models("scrfd_2.5g", "mobilefacenet_128", sure=None)
    assert len(silent.faces(tight)) == 0


@pytest.mark.data
def test_a_turned_file_answers_in_upright_pixels(pipeline: Pipeline, tight: Image) -> None:
    file = io.BytesIO()
    turned = Pil.fromarray(tight).transpose(Pil.Transpose.ROTATE_90)
    exif = Pil.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    turned.save(file, "JPEG", quality=95, exif=exif)
    found, upright = pipeline.detect(file.getvalue()), pipeline.detect(tight)
    assert found.image_size == tight.shape[:2]
    assert box_iou(found.boxes, upright.boxes)[0, 0] > 0.95


@pytest.mark.data
def test_an_enlarged_aligned_crop_is_the_same_person(pipeline: Pipeline, data_dir: Path) -> None:
    face = pipeline.one_face(data_dir / "data/deepface-pairs/img11.jpg")
    crop = Pil.fromarray(face.crop).resize((500, 500), Pil.Resampling.BILINEAR)
    again = pipeline.one_face(np.asarray(crop))
    assert float(face.embedding.cosine(again.embedding)[0, 0]) > 0.9


@pytest.mark.data
def test_cameras_never_try_again(
    pipeline: Pipeline, tight: Image, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a frame was tried again")

    monkeypatch.setattr("arcid.detect.second_try._again", refuse)
    with pytest.raises(AssertionError, match="tried again"):
        pipeline.detect(tight)
    frame = Frame(tight, 1e9, 0.0, 0)
    with Gallery.open(fresh) as gallery:
        collection = gallery.create_collection("staff")
        kiosk = Kiosk(pipeline, gallery, collection, "Kiosk", challenged=False)
        assert kiosk.look(frame).state is State.WAITING
        watcher = Watcher(pipeline, gallery, "staff", camera="door")
        assert watcher.see(frame).faces == ()
        watcher.close()

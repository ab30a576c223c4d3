"""Any detector and any embedder that keep their promises work in a pipeline; those that do not are
told so. Photos are hashed only where the hash is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

import arcid
from arcid import Crops, Detections, Embeddings, Pipeline
from arcid.apps.enrol import enrol_photos, new_face
from arcid.errors import (
    ContractMismatch,
    InvalidArray,
    ModelUnsupported,
    NoFaceFound,
    SeveralFacesFound,
    UsageError,
)
from arcid.gallery import Gallery
from arcid.geometry import ARCFACE_TEMPLATE
from arcid.types import Image

FACE = (200, 40, 40)


class Squares:
    """Finds every square of one colour, as a face of five points; has nothing but ``detect``."""

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        boxes = []
        mask = (image == FACE).all(axis=2)
        for left in range(0, image.shape[1], 100):
            ys, xs = np.nonzero(mask[:, left : left + 100])
            if len(ys):
                boxes.append([xs.min() + left, ys.min(), xs.max() + left + 1, ys.max() + 1])
        if not boxes:
            return Detections.empty(image.shape[:2])
        found = np.array(boxes, np.float32)
        scale = (found[:, 2] - found[:, 0])[:, None, None] / 112
        points = ARCFACE_TEMPLATE * scale + found[:, None, :2]
        return Detections(found, np.full(len(found), 0.9), points, image.shape[:2])


class Brightness:
    """A vector of five numbers from a crop of 48 pixels, cut by the box."""

    contract_id = "toy" * 10
    dim, size, template = 5, 48, "box"

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def embed(self, crops: Crops) -> Embeddings:
        self.seen.append(crops.pixels.shape)
        means = crops.pixels.reshape(len(crops), -1, 3).mean(axis=1)
        corner = crops.pixels[:, 0, 0, :2]
        return Embeddings.normalised(np.hstack([means, corner]) + 1, self.contract_id)


def picture(*faces: int, width: int = 300) -> Image:
    """Grey, with a square face in each of the named columns of 100 pixels."""
    image = np.full((120, width, 3), 90, np.uint8)
    for column in faces:
        image[30:80, column * 100 + 25 : column * 100 + 75] = FACE
    return image


@pytest.fixture
def toy() -> Pipeline:
    return Pipeline(Squares(), Brightness())


# any class


def test_any_embedder_and_detector_work(toy: Pipeline) -> None:
    faces = toy.faces(picture(0, 2))
    assert len(faces) == 2
    assert (faces.crops.size, faces.embeddings.dim) == (48, 5)
    assert faces.embeddings.contract_id == Brightness.contract_id
    assert faces[0].box == (25, 30, 75, 80) and faces[1].box == (225, 30, 275, 80)
    assert len(toy.detect(picture(1))) == 1
    assert toy.one_face(picture(1)).embedding.dim == 5
    assert len(toy.faces(picture())) == 0
    with pytest.raises(NoFaceFound):
        toy.one_face(picture())
    with pytest.raises(SeveralFacesFound):
        toy.one_face(picture(0, 2))
    assert toy.manifest is None
    assert toy.provenance == {
        "model": "Brightness", "detector": "Squares",
        "runtime": "unknown", "device": "unknown", "precision": "unknown",
    }  # fmt: skip


def test_an_embedder_is_given_crops_of_its_size_and_never_none(toy: Pipeline) -> None:
    toy.faces(picture())
    crops = [np.full((side, side, 3), 7, np.uint8) for side in (32, 48, 112)]
    prepared = [toy.prepare(crop, aligned=True) for crop in crops]
    together = toy.embed(prepared)
    assert toy.embedder.seen == [(3, 48, 48, 3)]  # type: ignore[attr-defined]
    assert [faces.crops.size for faces in together] == [32, 48, 112], "crops stay as they came"


def test_faces_of_any_embedder_are_enrolled_and_found(toy: Pipeline, tmp_path: Path) -> None:
    for name, columns in (("one", (1,)), ("none", ()), ("two", (0, 2))):
        Pil.fromarray(picture(*columns)).save(tmp_path / f"{name}.png")
    with Gallery.open(tmp_path / "gallery.db") as gallery:
        gallery.create_collection("staff")
        photos = [("Ada", tmp_path / f"{n}.png", n) for n in ("one", "none", "two")]
        report = enrol_photos(toy, gallery, "staff", photos, require_quality=False)
        assert report.enrolled == 1
        assert {r.label: r.error.code for r in report.rejected} == {
            "none": "no_face_found", "two": "several_faces_found",
        }  # fmt: skip
        (found,) = gallery.search("staff", toy.one_face(picture(1)).embedding)
        assert [match.name for match in found] == ["Ada"]
        (stored,) = gallery.faces("staff", found[0].person_id)
        assert stored.photo_id == toy.faces(tmp_path / "one.png").photo_id


@pytest.mark.parametrize("lacking", ["contract_id", "dim", "size", "template", "embed"])
def test_what_an_embedder_lacks_is_named(lacking: str) -> None:
    names = {"contract_id", "dim", "size", "template", "embed"} - {lacking}
    partial = type("Partial", (), dict.fromkeys(names, 1))
    with pytest.raises(UsageError, match=f"embedder Partial lacks {lacking}; arcid.Embedder says"):
        Pipeline(Squares(), partial())
    with pytest.raises(UsageError, match=r"detector int lacks detect; arcid\.Detector says"):
        Pipeline(7, Brightness())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda n: np.ones((n, 5)), ModelUnsupported, "must answer Embeddings, not ndarray"),
        (lambda n: Embeddings.empty(5, "toy" * 10), ModelUnsupported, "0 × 5 for 2 crops"),
        (
            lambda n: Embeddings.normalised(np.ones((n, 4)), "toy" * 10),
            ModelUnsupported,
            "2 × 4 for 2 crops; it promises 5 numbers",
        ),
        (
            lambda n: Embeddings.normalised(np.ones((n, 5)), "other" * 4),
            ContractMismatch,
            "contract otherotherot; it promises toytoytoytoy",
        ),
        (lambda n: Embeddings.normalised(np.zeros((n, 5)), "toy" * 10), InvalidArray, "zero"),
    ],
)
def test_embedders_that_break_their_word(answer: Any, error: Any, message: str) -> None:
    embedder = Brightness()
    embedder.embed = lambda crops: answer(len(crops))  # type: ignore[method-assign]
    with pytest.raises(error, match=message):
        Pipeline(Squares(), embedder).faces(picture(0, 1))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda images: None, "one Detections for each picture"),
        (lambda images: [], "one Detections for each picture"),
        (lambda images: [None], "one Detections for each picture"),
        (lambda images: Squares().detect([*images, *images]), "one Detections for each picture"),
        (lambda images: [Detections.empty((9, 9))], r"picture of \(9, 9\).*one of \(120, 300\)"),
    ],
)
def test_detectors_that_break_their_word(answer: Any, message: str) -> None:
    detector = Squares()
    detector.detect = answer  # type: ignore[method-assign]
    with pytest.raises(ModelUnsupported, match=f"detector Squares .*{message}"):
        Pipeline(detector, Brightness()).faces(picture(0))


# pictures


def test_arrays_state_their_channel_order(toy: Pipeline) -> None:
    rgb = picture(1)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    assert len(toy.detect(bgr)) == 0, "the toy is blind to channels"
    assert len(toy.detect(bgr, color="bgr")) == len(toy.faces(bgr, color="bgr")) == 1
    expected = toy.one_face(rgb)
    for found in (toy.one_face(bgr, color="bgr"), toy.one_face(Pil.fromarray(rgb))):
        assert np.array_equal(found.crop, expected.crop)
        assert found.photo_id == expected.photo_id
    crop = np.ascontiguousarray(expected.crop[..., ::-1])
    again = toy.faces(crop, aligned=True, color="bgr")
    assert np.array_equal(again.crops.pixels[0], expected.crop)


@pytest.mark.parametrize("wrong", [{"color": "RGB"}, {"select": "biggest"}])
def test_cheap_checks_come_before_the_photo_is_read(toy: Pipeline, wrong: Any) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        toy.faces("no such file.jpg", **wrong)


# photo ids


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    original = arcid.image.photo_id

    def counting(image: Image) -> str:
        calls.append(image.size)
        return original(image)

    monkeypatch.setattr("arcid.image.photo_id", counting)
    return calls


def test_a_photo_is_hashed_once_and_only_where_it_is_asked_for(
    toy: Pipeline, hashed: list[int]
) -> None:
    faces = toy.faces(picture(0, 2))
    one = toy.one_face(picture(1))
    one.embedding.cosine(faces.embeddings)
    f"{faces!r} {one!r}"
    assert not hashed
    assert len({faces.photo_id, faces[0].photo_id, faces[1].photo_id}) == 1
    new_face(faces[0], "", {})
    assert len(hashed) == 1


def test_a_buffer_that_is_painted_over_does_not_change_the_id(toy: Pipeline) -> None:
    buffer = picture(1)
    expected = arcid.image.photo_id(buffer)
    faces = toy.faces(buffer)
    buffer[:] = 0
    assert faces.photo_id == expected


def test_a_photo_may_be_let_go_at_once(toy: Pipeline, hashed: list[int]) -> None:
    (faces,) = toy.embed([toy.prepare(picture(1), keep_photo=False)])
    with pytest.raises(UsageError, match="let go before its photo_id was asked for"):
        _ = faces[0].photo_id
    (faces,) = toy.embed([toy.prepare(picture(1), image_id="known")])
    assert faces[0].photo_id == "known" and not hashed

"""Any detector and any embedder that keep their promises work in a pipeline; those that do not are
told so. Photos are hashed only where the hash is used."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from tests.toys import Brightness, Squares, picture

import arcid
from arcid import Calibration, Crops, Detections, Embeddings, Pipeline
from arcid.apps.enrol import enrol_photos, new_face, photos_by_person
from arcid.batch import BATCH
from arcid.errors import (
    CollectionNotFound,
    ContractMismatch,
    ImageUnreadable,
    InvalidArray,
    ModelNotFound,
    ModelUnsupported,
    NoFaceFound,
    RateUnsupported,
    SeveralFacesFound,
    UsageError,
)
from arcid.gallery import Gallery
from arcid.models import weights
from arcid.runtime import default_threads
from arcid.types import Image


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
    assert repr(toy) == "Pipeline(Squares → Brightness, contract toytoyto…)"
    assert toy.provenance == {
        "model": "Brightness", "detector": "Squares",
        "runtime": "unknown", "device": "unknown", "precision": "unknown",
    }  # fmt: skip


def test_faces_iterate_and_index_like_a_list(toy: Pipeline) -> None:
    faces = toy.faces(picture(0, 1, 2))
    boxes = [face.box for face in faces]
    assert [face.box for face in reversed(faces)] == boxes[::-1]
    assert [faces[i].box for i in (-1, np.int64(0))] == [boxes[2], boxes[0]]
    for index in (slice(1, None), [1, 2], np.array([False, True, True]), [False, True, True]):
        some = faces[index]
        assert [face.box for face in some] == boxes[1:]
        assert len(some.quality) == len(some.crops) == len(some.embeddings) == 2
    assert len(faces[:0]) == 0 and list(faces[:0]) == []
    for outside in (3, -4):
        with pytest.raises(IndexError, match=f"no row {outside} in a batch of 3"):
            faces[outside]
    first = faces[0]
    assert first in faces and first in faces[[0]] and first not in faces[1:]
    assert toy.one_face(picture(1)) not in faces and "Ada" not in faces
    aligned = toy.faces(faces[0].crop, aligned=True)
    assert [face.box for face in aligned[:1]] == [None] and aligned[0] in aligned


def test_an_embedder_is_given_crops_of_its_size_and_never_none(toy: Pipeline) -> None:
    toy.faces(picture())
    crops = [np.full((side, side, 3), 7, np.uint8) for side in (32, 48, 112)]
    prepared = [toy.prepare(crop, aligned=True) for crop in crops]
    together = toy.embed(prepared)
    assert toy.embedder.seen == [(3, 48, 48, 3)]  # type: ignore[attr-defined]
    assert [faces.crops.size for faces in together] == [32, 48, 112], "crops stay as they came"


def test_faces_of_any_embedder_are_enrolled_and_found(
    toy: Pipeline, fresh: Path, tmp_path: Path
) -> None:
    for name, columns in (("one", (1,)), ("none", ()), ("two", (0, 2))):
        Pil.fromarray(picture(*columns)).save(tmp_path / f"{name}.png")
    with Gallery.open(fresh) as gallery:
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


def test_models_are_given_by_name_or_by_path() -> None:
    named = Pipeline.from_models()
    assert named.bundle and named.detector_bundle
    found, looked = named.bundle.path.parent, named.detector_bundle.path.parent
    placed = Pipeline.from_models(looked, recogniser=found)
    assert placed.provenance == named.provenance
    with pytest.raises(ModelNotFound, match="no bundle and no model file at"):
        Pipeline.from_models(landmarks=looked / "gone")


def test_what_is_no_photo_to_enrol_is_refused(toy: Pipeline, fresh: Path) -> None:
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        one = picture(1)
        wrong: list[Any] = [("Ada", one), ("Ada", one, None), (None, one, "1"), "Ada", None]
        for item in wrong:
            with pytest.raises(UsageError, match=r"comes as \(person's name, picture, label\)"):
                enrol_photos(toy, gallery, "staff", [item], require_quality=False)
        named: Any = ("Ada", one, Path("ada.jpg"))
        assert enrol_photos(toy, gallery, "staff", [named], require_quality=False).enrolled == 1


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


@pytest.fixture(scope="module")
def calibrated() -> Pipeline:
    """The toy under the packaged calibration, whose numbers mean nothing for it."""
    packaged = weights.packaged_calibration(weights.resolve("arcid-face-s"))
    data = packaged.data | {"contract_id": Brightness.contract_id}
    return Pipeline(Squares(), Brightness(), calibration=Calibration(data))


def test_rates_and_places_are_looked_at_before_photos(
    calibrated: Pipeline, fresh: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "gone.jpg"
    with pytest.raises(UsageError, match="fmr must lie between 0 and 1"):
        calibrated.verify(missing, missing, fmr=7)
    with pytest.raises(RateUnsupported):
        calibrated.verify(missing, missing, fmr=1e-9)
    with Gallery.open(fresh) as gallery:
        for call in (calibrated.identify, calibrated.identify_batch):
            with pytest.raises(UsageError, match="fpir must lie between 0 and 1"):
                call(missing, gallery, "staff", fpir=0)
            with pytest.raises(CollectionNotFound):
                call(missing, gallery, "staff")


def test_every_way_in_takes_bgr(calibrated: Pipeline, fresh: Path) -> None:
    bgr = np.ascontiguousarray(picture(1)[..., ::-1])
    assert calibrated.verify(bgr, bgr, color="bgr").decision.matched
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        face = new_face(calibrated.one_face(bgr, color="bgr"), "", {})
        person = gallery.enrol("staff", "Ada", [face])[0].id
        assert calibrated.verify_person(bgr, gallery, "staff", person, color="bgr").decision.matched
        (found,) = calibrated.identify(bgr, gallery, "staff", color="bgr", aggregate="mean")
        assert found.candidates[0].name == "Ada"
        sources = [bgr, b"damaged", np.ascontiguousarray(picture()[..., ::-1])]
        items = list(calibrated.identify_batch(sources, gallery, "staff", color="bgr"))
    assert [item.name for item in items] == ["photo 1", "photo 2", "photo 3"]
    assert items[0].get()[0].candidates[0].name == "Ada"
    assert items[1].error is not None and items[1].error.code == "image_unreadable"
    assert items[2].get() == []


def test_photos_are_identified_as_they_come(calibrated: Pipeline, fresh: Path) -> None:
    photos = [calibrated.faces(picture(number)) for number in (1, 2)]
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        gallery.enrol("staff", "Ada", [new_face(photos[0][0], "", {})])
        found = calibrated.identify_photos((faces for faces in photos), gallery, "staff")
        assert [len(one) for one in found] == [len(faces) for faces in photos]
        assert found[0][0].candidates[0].name == "Ada"


def test_the_same_options_with_a_photo_and_with_faces() -> None:
    """What is asked of a photo may be asked of its faces, less what finds them."""
    finding = {"select", "aligned", "color", "source", "sources", "a", "b", "faces", "face"}
    for photo, faces in (
        ("verify", "verify_faces"),
        ("verify_person", "verify_person_face"),
        ("identify", "identify_faces"),
        ("identify_batch", "identify_faces"),
    ):
        options = [inspect.signature(getattr(Pipeline, n)).parameters for n in (photo, faces)]
        assert {"select", "aligned", "color"} <= set(options[0])
        assert set(options[0]) - finding == set(options[1]) - finding


# photo ids


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    original = arcid.image.photo_id

    def counting(image: Image) -> str:
        calls.append(image.size)
        return original(image)

    monkeypatch.setattr("arcid.image.identity.photo_id", counting)
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


# many photos


def files(folder: Path, **columns: tuple[int, ...] | None) -> list[Path]:
    """A picture for each name with faces in these columns; None makes a damaged file."""
    paths = []
    for name, faces in columns.items():
        paths.append(folder / f"{name}.png")
        if faces is None:
            paths[-1].write_bytes(b"damaged")
        else:
            Pil.fromarray(picture(*faces)).save(paths[-1])
    return paths


def test_hidden_files_are_nobodys_photos(tmp_path: Path) -> None:
    (tmp_path / "Ann").mkdir()
    for name in ("1.jpg", "._1.jpg", "notes.txt"):
        (tmp_path / "Ann" / name).touch()
    assert photos_by_person(tmp_path) == {"Ann": [tmp_path / "Ann" / "1.jpg"]}


def test_a_batch_gives_every_photo_a_result_or_an_error(toy: Pipeline, tmp_path: Path) -> None:
    paths = files(tmp_path, one=(1,), broken=None, none=(), two=(0, 2))
    sources = [*paths, tmp_path / "gone.png", picture(1), np.zeros(3)]
    items = list(toy.faces_batch(sources))
    names = [str(path) for path in [*paths, tmp_path / "gone.png"]]
    assert [item.name for item in items] == [*names, "photo 6", "photo 7"]
    assert [len(i.get()) if i.ok else i.error.code for i in items] == [
        1, "image_unreadable", 0, 2, "image_unreadable", 1, "invalid_array",
    ]  # fmt: skip
    assert np.array_equal(items[0].get().embeddings.vectors, toy.faces(paths[0]).embeddings.vectors)
    with pytest.raises(ImageUnreadable, match=r"broken\.png is not a picture"):
        items[1].get()
    assert repr(items[1]).startswith(f"BatchItem({names[1]}: image_unreadable: broken.png is not")
    found = {Path(i.name).stem: i.result for i in toy.detect_batch(paths, select="largest")}
    assert {n: f if f is None else len(f) for n, f in found.items()} == {
        "one": 1, "broken": None, "none": 0, "two": 1,
    }  # fmt: skip
    assert list(toy.faces_batch([])) == []


def test_a_photo_that_the_embedder_refuses_costs_no_other() -> None:
    class Picky(Brightness):
        def embed(self, crops: Crops) -> Embeddings:
            if (crops.pixels == 255).any():
                raise InvalidArray("the model returned a zero embedding")
            return super().embed(crops)

    crops = [np.full((48, 48, 3), value, np.uint8) for value in (1, 2, 255, 4)]
    items = Pipeline(Squares(), Picky()).faces_batch(crops, aligned=True)
    assert [item.ok for item in items] == [True, True, False, True]


def test_a_batch_takes_a_generator_as_it_comes(toy: Pipeline) -> None:
    taken = 0

    def endless() -> Iterator[Image]:
        nonlocal taken
        while True:
            taken += 1
            yield picture(1)

    items = toy.faces_batch(endless())
    assert taken == 0, "nothing is read before it is asked for"
    for _, item in zip(range(40), items, strict=False):
        assert len(item.get()) == 1
    assert taken <= 40 + BATCH + default_threads() + 1
    items.close()  # type: ignore[attr-defined]


def test_photos_of_a_batch_are_hashed_where_that_is_asked_for(
    toy: Pipeline, hashed: list[int]
) -> None:
    (item,) = toy.faces_batch([picture(1)])
    assert not hashed
    with pytest.raises(UsageError, match="photo_ids=True where a batch is made"):
        _ = item.get().photo_id
    (item,) = toy.faces_batch([picture(1)], photo_ids=True)
    assert item.get().photo_id == arcid.image.photo_id(picture(1))


@pytest.mark.parametrize("wrong", [{"color": "RGB"}, {"select": "biggest"}])
def test_what_is_wrong_for_every_photo_raises_at_once(toy: Pipeline, wrong: Any) -> None:
    for batch in (toy.faces_batch, toy.detect_batch, partial(arcid.embed_photos, pipeline=toy)):
        with pytest.raises(UsageError, match="is unknown"):
            batch([picture(1)], **wrong)


# embed_photos


def test_photos_and_folders_become_vectors_by_name(toy: Pipeline, tmp_path: Path) -> None:
    one, broken, none, two = files(tmp_path, one=(1,), broken=None, none=(), two=(0, 2))
    told: list[tuple[int, int | None]] = []
    vectors, errors = arcid.embed_photos(
        [tmp_path, picture(0)], pipeline=toy, progress=lambda *args: told.append(args)
    )
    assert list(vectors) == [str(one), "photo 5"]
    assert {name: error.code for name, error in errors.items()} == {
        str(broken): "image_unreadable",
        str(none): "no_face_found",
        str(two): "several_faces_found",
    }
    assert told == [(n, 5) for n in range(1, 6)]
    assert np.array_equal(vectors[str(one)].vectors, toy.one_face(one).embedding.vectors)
    assert len(Embeddings.concatenate(list(vectors.values()))) == 2
    vectors, errors = arcid.embed_photos(two, pipeline=toy, select="all", progress=False)
    assert len(vectors[str(two)]) == 2 and not errors
    told.clear()
    vectors, _ = arcid.embed_photos(
        (p for p in (one, two)), pipeline=toy, progress=lambda *args: told.append(args)
    )
    assert list(vectors) == [str(one)] and told == [(1, None), (2, None)]


def test_the_gate_of_a_pipeline_refuses(tmp_path: Path) -> None:
    gated = Pipeline(Squares(), Brightness(), gate=arcid.QualityGate())
    vectors, errors = arcid.embed_photos([picture(1)], pipeline=gated, progress=False)
    assert not vectors and errors["photo 1"].code == "quality_rejected"


def test_nothing_is_opened_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "from_models", lambda: pytest.fail("models were opened"))
    assert arcid.embed_photos([]) == ({}, {})
    (tmp_path / "empty").mkdir()
    for place, message in ((tmp_path / "empty", "holds no photos"), (tmp_path / "x", "no such")):
        with pytest.raises(ImageUnreadable, match=message):
            arcid.embed_photos(place)
    with pytest.raises(UsageError, match="put the single one into a list"):
        arcid.embed_photos(picture(1))

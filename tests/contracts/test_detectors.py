"""One contract for every detector, on real photographs.

The converted networks (RetinaFace, MTCNN) are made once a session and need torch and onnx; dlib and
MediaPipe need their packages, MediaPipe a model file in ``models/`` besides. What is absent skips.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from arcid.align import align
from arcid.detect import (
    FAMILIES,
    Detector,
    MediaPipe,
    RotationSearch,
    TiledDetector,
    create,
    model_files,
)
from arcid.detect.mediapipe import open_engine
from arcid.detect.rotated import turn
from arcid.errors import InvalidArray, MissingExtra, ModelHashMismatch, UsageError
from arcid.geometry import apply_affine, box_iou
from arcid.image import load_image
from arcid.models import catalogue
from arcid.models.manifest import Manifest
from arcid.runtime import Session, open_session
from arcid.types import Detections, Image

pytestmark = pytest.mark.data

REFERENCE = "scrfd_2.5g"
CONVERTED = ("retinaface_mnet025", "mtcnn")
NETWORKS = (REFERENCE, "yunet", "yunet_320", "yunet_640", *CONVERTED, "ultralight_rfb")
WITH_POINTS = tuple(n for n in NETWORKS if n != "ultralight_rfb")
OPTIONAL = ("dlib", "dlib_cnn", "mediapipe")
ALL = (*NETWORKS, *OPTIONAL)

GROUPS = ("2.jpg", "3.jpg", "8.jpg", "10.jpg", "20.jpg", "24.jpg", "friends.jpg", "couple.jpg")
#: What detectors are shown that take seconds a picture; groups by their place in GROUPS.
FEW_PHOTOS, FEW_GROUPS = ("img5.jpg", "img11.jpg", "img25.jpg"), (0, 6)
#: Least share of the faces (score ≥ 0.7, ≥ 24 px) of the reference that each finds in GROUPS.
#: MediaPipe's look at a picture once, on 128 pixels: faces far away are not theirs to find.
GROUP_SHARE = {"ultralight_rfb": 0.95, "dlib": 0.8, "dlib_cnn": 0.4, "mediapipe": 0.15}

GOLDEN_PHOTOS = ("img11.jpg", "img12.jpg", "img5.jpg", "img25.jpg")
#: score, box of the one face in each of GOLDEN_PHOTOS, as first measured and looked at.
GOLDEN: dict[str, list[tuple[float, ...]]] = {
    "scrfd_2.5g": [
        (0.8357, 152.5, 72.7, 437.6, 445.2),
        (0.7785, 225.5, 64.9, 362.9, 257.5),
        (0.8602, 86.2, 90.4, 268.6, 356.3),
        (0.8428, 127.1, 69.8, 286.8, 291.4),
    ],
    "yunet": [
        (0.9538, 148.2, 68.9, 435.9, 444.2),
        (0.9455, 223.5, 66.8, 365.6, 259.7),
        (0.9590, 80.9, 101.7, 271.1, 357.7),
        (0.9562, 130.5, 65.1, 284.9, 280.7),
    ],
    "yunet_320": [
        (0.9542, 157.7, 71.8, 431.1, 434.9),
        (0.9394, 229.4, 64.5, 362.7, 254.3),
        (0.9505, 89.3, 89.6, 275.8, 359.0),
        (0.9513, 126.2, 68.2, 287.9, 295.7),
    ],
    "yunet_640": [
        (0.9538, 148.2, 68.9, 435.9, 444.2),
        (0.9455, 223.5, 66.8, 365.6, 259.7),
        (0.9590, 80.9, 101.7, 271.1, 357.7),
        (0.9503, 132.5, 66.2, 290.9, 282.1),
    ],
    "retinaface_mnet025": [
        (1.0000, 138.3, 93.2, 437.3, 446.6),
        (0.9993, 223.9, 64.4, 364.2, 263.0),
        (1.0000, 93.4, 91.7, 270.8, 357.3),
        (0.9998, 129.4, 66.0, 289.6, 292.1),
    ],
    "mtcnn": [
        (0.9998, 162.7, 83.8, 419.0, 441.1),
        (0.9944, 222.2, 62.4, 359.1, 256.0),
        (0.9909, 87.6, 102.2, 272.0, 355.5),
        (0.9999, 121.5, 74.4, 287.9, 281.5),
    ],
    "ultralight_rfb": [
        (1.0000, 156.1, 81.7, 430.8, 435.6),
        (1.0000, 223.9, 63.4, 359.1, 262.6),
        (1.0000, 81.5, 83.5, 279.3, 361.4),
        (1.0000, 123.5, 68.5, 285.1, 277.6),
    ],
}
GOLDEN_TOLERANCE = 0.003  # mean of |score difference| + largest |corner difference| / face size

Make = Callable[..., Detector]


@pytest.fixture(scope="session")
def parts(data_dir: Path, bundles: Any) -> Callable[[str], tuple[Manifest, dict[str, Session]]]:
    """Manifest and open sessions of a network by name."""

    @cache
    def open_parts(name: str) -> tuple[Manifest, dict[str, Session]]:
        if name in CONVERTED:
            folder = bundles(name)
            manifest = Manifest.load(folder / "manifest.json")
        else:
            folder, manifest = data_dir / "models", catalogue.ENTRIES[name].manifest
        files = model_files(manifest)
        return manifest, {part: open_session(folder / file) for part, (file, _) in files.items()}

    return open_parts


@pytest.fixture(scope="session")
def make(data_dir: Path, parts: Any, request: pytest.FixtureRequest) -> Make:
    """Build a detector by name, options overriding its manifest's."""

    def build(name: str, **options: Any) -> Detector:
        if name == "dlib":
            pytest.importorskip("dlib", reason="optional: pip install 'arcid[dlib]'")
            return create("dlib", **options)
        if name == "dlib_cnn":
            try:
                return create("dlib_cnn", **options)
            except MissingExtra as error:
                pytest.skip(error.message)
        if name == "mediapipe":
            pytest.importorskip("mediapipe", reason="optional: pip install 'arcid[mediapipe]'")
            names = ("face_landmarker.task", "blaze_face_short_range.tflite")
            files = [data_dir / "models" / n for n in names if (data_dir / "models" / n).is_file()]
            if not files:
                pytest.skip(f"MediaPipe's package ships no model; put {names[0]} into models/")
            engine = open_engine(files[0])
            request.addfinalizer(engine.close)
            return MediaPipe(engine, **options)
        manifest, sessions = parts(name)
        return create(manifest, sessions, **options)

    return build


@pytest.fixture(scope="session")
def pairs(data_dir: Path) -> dict[str, Image]:
    folder = data_dir / "data/deepface-pairs"
    return {path.name: load_image(path) for path in sorted(folder.glob("*.jpg"))}


@pytest.fixture(scope="session")
def groups(data_dir: Path) -> list[Image]:
    return [load_image(data_dir / "data/photos/group" / name) for name in GROUPS]


@pytest.fixture(scope="session")
def found(make: Make, pairs: dict[str, Image]) -> Callable[[str], dict[str, Detections]]:
    """What a detector finds in the 25 photos, or in a few, computed once."""

    @cache
    def run(name: str) -> dict[str, Detections]:
        photos = FEW_PHOTOS if costly(name) else tuple(pairs)
        return dict(zip(photos, make(name).detect([pairs[p] for p in photos]), strict=True))

    return run


def costly(name: str) -> bool:
    """Whether a picture takes a detector seconds, so that it is shown few of them."""
    return bool(getattr(FAMILIES.get(name), "costly", False))


def best_iou(of: Detections, among: Detections) -> np.ndarray[Any, Any]:
    if len(among) == 0:
        return np.zeros(len(of), np.float32)
    return box_iou(of.boxes, among.boxes).max(axis=1, initial=0)


def eye_distance(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.linalg.norm(points[:, 0] - points[:, 1], axis=1)


def test_catalogue_and_bundles_agree(parts: Any) -> None:
    """What the script writes is what the catalogue says of the state dict."""
    for name in CONVERTED:
        manifest, _ = parts(name)
        entry = catalogue.ENTRIES[name].manifest
        assert (manifest.name, manifest.family) == (entry.name, entry.family)
        for key in ("colour", "mean", "std", "size", "layout"):
            assert getattr(manifest.input, key) == getattr(entry.input, key)


@pytest.mark.parametrize("name", ALL)
def test_the_main_face_of_every_photo_is_found(found: Any, pairs: Any, name: str) -> None:
    least = 0.45 if name in OPTIONAL else 0.6
    for photo, mine in found(name).items():
        theirs = found(REFERENCE)[photo]
        assert mine.image_size == pairs[photo].shape[:2]
        assert len(mine) >= 1, photo
        assert (np.diff(mine.scores) <= 0).all()
        assert best_iou(theirs.select("largest"), mine.select("largest"))[0] > least, photo
    count = sum(len(faces) for faces in found(name).values())
    assert count <= len(found(name)) + 2  # hardly anything else


@pytest.mark.parametrize("name", WITH_POINTS)
def test_points_lie_where_a_face_has_them(found: Any, name: str) -> None:
    for faces in found(name).values():
        face = faces.select("largest")
        low, high = face.boxes[0, :2], face.boxes[0, 2:]
        margin = 0.1 * (high - low)
        left_eye, right_eye, nose, left_mouth, right_mouth = face.points[0]
        assert (face.points[0] > low - margin).all() and (face.points[0] < high + margin).all()
        assert left_eye[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < min(left_mouth[1], right_mouth[1])
        assert min(left_eye[1], right_eye[1]) < nose[1] < max(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize("name", [n for n in WITH_POINTS if n != REFERENCE])
def test_points_agree_with_the_reference(found: Any, name: str) -> None:
    theirs = np.concatenate([faces.select("largest").points for faces in found(REFERENCE).values()])
    mine = np.concatenate([faces.select("largest").points for faces in found(name).values()])
    error = np.linalg.norm(mine - theirs, axis=2).mean(axis=1) / eye_distance(theirs)
    assert error.mean() < 0.08


@pytest.mark.parametrize("name", ALL)
def test_faces_of_group_photos(make: Make, groups: list[Image], name: str) -> None:
    overlaps = []
    shown = [groups[i] for i in FEW_GROUPS] if costly(name) else groups
    for theirs, mine in zip(make(REFERENCE).detect(shown), make(name).detect(shown), strict=True):
        clear = (theirs.scores >= 0.7) & (theirs.sizes.min(axis=1) >= 24)
        overlaps.append(best_iou(theirs[np.flatnonzero(clear)], mine))
    overlap = np.concatenate(overlaps)
    assert len(overlap) >= (10 if costly(name) else 51)
    assert (overlap > 0.4).mean() >= GROUP_SHARE.get(name, 0.98)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_found_where_there_is_no_face(make: Make, data_dir: Path, name: str) -> None:
    detector = make(name)
    empty = load_image(data_dir / "data/photos/misc/no_face.png")
    tiny = np.full((16, 16, 3), 127, np.uint8)
    for faces, image in zip(detector.detect([empty, tiny]), (empty, tiny), strict=True):
        assert len(faces) == 0 and faces.image_size == image.shape[:2]
        assert faces.boxes.shape == (0, 4)
        assert (faces.points is not None) == detector.has_points  # type: ignore[attr-defined]  # of arcid's own detectors
    assert detector.detect([]) == []


@pytest.mark.parametrize("name", ALL)
def test_boxes_follow_the_picture(make: Make, found: Any, pairs: Any, name: str) -> None:
    """The same pixels further right and down on a canvas of another shape."""
    photo = "img5.jpg"  # 512 × 330
    alone = found(name)[photo].select("largest")
    canvas = np.zeros((620, 900, 3), np.uint8)
    canvas[70 : 70 + 512, 410 : 410 + 330] = pairs[photo]
    moved = make(name).detect([canvas])[0].select("largest")
    shift = np.array([410, 70], np.float32)
    # dlib scans in steps of 8 pixels and 5/6 in size, so its boxes jump
    tolerance_px = (0.2 if name.startswith("dlib") else 0.08) * alone.sizes.max()
    assert np.abs(moved.boxes - np.tile(shift, 2) - alone.boxes).max() < tolerance_px
    if alone.points is not None:
        assert np.abs(moved.points - shift - alone.points).max() < tolerance_px


@pytest.mark.parametrize("name", ALL)
def test_a_batch_answers_as_singles_do(make: Make, pairs: Any, data_dir: Path, name: str) -> None:
    empty = load_image(data_dir / "data/photos/misc/no_face.png")
    images = [pairs["img5.jpg"], empty, pairs["img12.jpg"], pairs["img10.jpg"], pairs["img5.jpg"]]
    images = images[:2] if costly(name) else images
    detector = make(name)
    for together, image in zip(detector.detect(images), images, strict=True):
        alone = detector.detect([image])[0]
        assert len(together) == len(alone)
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.05)
        np.testing.assert_allclose(together.scores, alone.scores, atol=1e-3)
        if detector.has_points:  # type: ignore[attr-defined]  # of arcid's own detectors
            np.testing.assert_allclose(together.points, alone.points, atol=0.05)


@pytest.mark.parametrize("name", ALL)
def test_grey_pictures_work(make: Make, found: Any, pairs: Any, name: str) -> None:
    photos = ("img11.jpg", "img25.jpg")[: 1 if costly(name) else 2]
    grey = [np.repeat(pairs[p].mean(axis=2, keepdims=True), 3, 2).astype(np.uint8) for p in photos]
    for photo, faces in zip(photos, make(name).detect(grey), strict=True):
        coloured = found(name)[photo].select("largest")
        assert best_iou(coloured, faces)[0] > 0.75


@pytest.mark.parametrize("name", ALL)
def test_a_higher_threshold_keeps_a_part_of_the_same_faces(
    make: Make, groups: list[Image], name: str
) -> None:
    before: Detections | None = None
    for threshold in (0.9, 0.5) if costly(name) else (0.9, 0.7, 0.5):
        faces = make(name, threshold=threshold).detect(groups[-2:-1])[0]
        assert (faces.scores >= threshold).all()
        if before is not None:
            assert len(faces) >= len(before)
            assert (best_iou(before, faces) > 0.99).all()
        before = faces
    assert before is not None and len(before) >= (1 if name in ("dlib_cnn", "mediapipe") else 4)


def _deviation(detector: Detector, images: list[Image], golden: list[tuple[float, ...]]) -> float:
    """Mean difference to the golden faces; 1 for each photo without one."""
    values = []
    for faces, (score, *box) in zip(detector.detect(images), golden, strict=True):
        if len(faces) == 0:
            values.append(1.0)
            continue
        wanted = np.array(box, np.float32)
        corner = np.abs(faces.boxes[0] - wanted).max() / (wanted[2:] - wanted[:2]).max()
        values.append(float(abs(faces.scores[0] - score) + corner))
    return float(np.mean(values))


@pytest.mark.parametrize("name", NETWORKS)
def test_swapped_colours_and_skipped_normalisation_show(
    parts: Any, pairs: dict[str, Image], name: str
) -> None:
    manifest, sessions = parts(name)
    images = [pairs[photo] for photo in GOLDEN_PHOTOS]

    def deviation(photos: int, **wrong: Any) -> float:
        spec = dataclasses.replace(manifest.input, **wrong)
        detector = create(dataclasses.replace(manifest, input=spec), sessions)
        return _deviation(detector, images[:photos], GOLDEN[name][:photos])

    assert deviation(4) < GOLDEN_TOLERANCE
    other = "BGR" if manifest.input.colour == "RGB" else "RGB"
    assert deviation(4, colour=other) > 1.5 * GOLDEN_TOLERANCE
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    halved = {"mean": (127.5,) * 3, "std": (128.0,) * 3}
    unlike = halved if manifest.input.mean == plain["mean"] else plain
    assert deviation(1, **unlike) > 3 * GOLDEN_TOLERANCE


def test_yunet_answers_as_opencv_does(make: Make, pairs: dict[str, Image], data_dir: Path) -> None:
    """An independent decoder on the same network and the same pixels."""
    import cv2

    path = str(data_dir / "models/yunet_n_640_640.onnx")
    theirs = cv2.FaceDetectorYN.create(path, "", (640, 640), 0.6, 0.4, 5000)
    for photo in GOLDEN_PHOTOS:
        canvas = np.zeros((640, 640, 3), np.uint8)
        part = pairs[photo][:640, :640]
        canvas[: part.shape[0], : part.shape[1]] = part
        rows = theirs.detect(np.ascontiguousarray(canvas[..., ::-1]))[1]
        mine = make("yunet_640").detect([canvas])[0]
        assert len(mine) == len(rows)
        best = rows[rows[:, 14].argmax()]
        np.testing.assert_allclose(mine.boxes[0, :2], best[:2], atol=0.1)
        np.testing.assert_allclose(mine.boxes[0, 2:], best[:2] + best[2:4], atol=0.1)
        np.testing.assert_allclose(mine.points[0].ravel(), best[4:14], atol=0.1)
        assert abs(mine.scores[0] - best[14]) < 1e-3


@pytest.mark.parametrize("name", ALL)
def test_wrong_arrays_are_refused_with_the_reason(make: Make, name: str) -> None:
    detector, good = make(name), np.zeros((64, 48, 3), np.uint8)
    for wrong, said in (
        ([good.astype(np.float32)], "uint8"),
        ([good, good[..., 0]], "image 1 must have shape"),
        ([np.zeros((64, 48, 4), np.uint8)], "(H,W,3)"),
        ([np.zeros((0, 48, 3), np.uint8)], "(H,W,3)"),
        (good, "list of images"),
    ):
        with pytest.raises(InvalidArray) as error:
            detector.detect(wrong)
        assert said in error.value.message


def test_options_without_meaning_are_refused(make: Make, parts: Any) -> None:
    for options in ({"threshold": 1.2}, {"nms_iou": -0.1}, {"size": 8}, {"max_upscale": 0.5}):
        with pytest.raises(UsageError):
            make(REFERENCE, **options)
    with pytest.raises(UsageError, match=r"known: .*threshold"):
        make(REFERENCE, treshold=0.5)
    with pytest.raises(UsageError, match="leave size out"):
        make("yunet_320", size=640)
    manifest, _ = parts(REFERENCE)
    with pytest.raises(UsageError, match="known: arcid, scrfd, yunet, retinaface, mtcnn"):
        create(dataclasses.replace(manifest, family="blazing"), None)
    with pytest.raises(UsageError, match="needs a session"):
        create(manifest, None)


@pytest.mark.parametrize("package", OPTIONAL)
def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package.removesuffix("_cnn"), None)
    with pytest.raises(MissingExtra, match=rf"arcid\[{package.removesuffix('_cnn')}\]"):
        create(package, object() if package == "mediapipe" else None)


def test_several_threads_share_one_detector(make: Make, pairs: dict[str, Image]) -> None:
    detector = make(REFERENCE)
    images = [pairs[photo] for photo in GOLDEN_PHOTOS] * 3
    alone = [detector.detect([image])[0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        shared = list(pool.map(lambda image: detector.detect([image])[0], images))
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.05)


def test_small_pictures_are_not_blown_up(make: Make, data_dir: Path) -> None:
    """250 × 250 photos: the canvas stays near their own size and the face is found."""
    folder = data_dir / "data/lfw-dev/images"
    images = [load_image(path) for path in sorted(folder.rglob("*.jpg"))[:12]]
    for faces in make(REFERENCE).detect(images):
        assert len(faces) >= 1
        assert 60 < faces.select("center").sizes[0].max() < 190


# --- faces that fill the picture ------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_face_that_fills_a_large_picture_is_found(
    make: Make, pairs: dict[str, Image], found: Any, name: str
) -> None:
    """Cut out along the box and enlarged, as ID photos are and the crops of other systems."""
    import cv2

    detector = make(name)
    for photo in GOLDEN_PHOTOS:
        whole = found(REFERENCE)[photo].select("largest")
        left, top, right, bottom = whole.boxes[0].round().astype(int).clip(0)
        cut_out = pairs[photo][top:bottom, left:right]
        scale = 700 / max(cut_out.shape[:2])
        tight = np.asarray(cv2.resize(cut_out, None, fx=scale, fy=scale), np.uint8)
        (faces,) = detector.detect([tight])
        assert faces.image_size == tight.shape[:2]
        face = faces.select("largest")
        wanted = np.array([[0, 0, tight.shape[1], tight.shape[0]]], np.float32)
        assert box_iou(face.boxes, wanted)[0, 0] > 0.6, photo
        if face.points is not None:
            points = (whole.points - [left, top] + 0.5) * scale - 0.5
            error = np.linalg.norm(face.points - points, axis=2).mean() / eye_distance(points)[0]
            assert error < 0.2, photo


def test_without_the_second_try_it_is_not(make: Make, pairs: dict[str, Image]) -> None:
    tight = np.asarray(pairs["img11.jpg"][72:445, 152:437].repeat(2, 0).repeat(2, 1))
    assert len(make(REFERENCE, sure=None).detect([tight])[0]) == 0
    assert len(make(REFERENCE).detect_once([tight])[0]) == 0  # type: ignore[attr-defined]  # of arcid's own detectors
    assert len(make(REFERENCE).detect([tight])[0]) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_photos_with_a_sure_face_are_not_tried_again(
    make: Make, pairs: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    detector: Any = make(name)
    asked, look = [], detector.detect_once

    def counted(images: list[Image]) -> list[Detections]:
        asked.append([image.shape[:2] for image in images])
        found: list[Detections] = look(images)
        return found

    monkeypatch.setattr(detector, "detect_once", counted)
    empty = load_image(data_dir / "data/photos/misc/no_face.png")
    images = [pairs["img5.jpg"], empty, pairs["img12.jpg"], empty]
    detector.detect(images)
    first, again, larger = asked
    assert first == [image.shape[:2] for image in images]
    assert len(again) == 2 and max(again[0]) == 320, "only the empty ones, small, in one batch"
    assert len(larger) == 2 and max(larger[0]) == 448, "they still show nobody"


# --- turned photos --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [REFERENCE, "yunet", *CONVERTED, "ultralight_rfb", "dlib"])
def test_turned_photos_answer_in_their_own_coordinates(
    make: Make, data_dir: Path, name: str
) -> None:
    folder, search = data_dir / "data/photos/rotate", RotationSearch(make(name))
    upright_photo = load_image(folder / "rot_0.jpg")
    upright = make(name).detect([upright_photo])[0]
    for angle in (0, 90, 180, 270):
        photo = load_image(folder / f"rot_{angle}.jpg")
        faces = search.detect([photo])[0]
        assert len(faces) == 1 and faces.image_size == photo.shape[:2]
        _, matrix = turn(upright_photo, -angle)  # the photos are turned clockwise
        corners = apply_affine(matrix, upright.boxes.reshape(1, 2, 2))
        hull = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        assert box_iou(hull, faces.boxes)[0, 0] > 0.9
        if upright.points is not None:
            wanted = apply_affine(matrix, upright.points)
            error = np.linalg.norm(faces.points - wanted, axis=2).max() / eye_distance(wanted)[0]
            assert error < 0.06
            crop, expected = align(photo, faces), align(upright_photo, upright)
            difference = np.abs(crop.pixels.astype(int) - expected.pixels).mean()
            assert difference < 6  # grey levels; the files were compressed separately


def test_an_oblique_photo_needs_the_extra_turns(make: Make, data_dir: Path) -> None:
    photo = load_image(data_dir / "data/photos/rotate/rot_0.jpg")
    upright = make(REFERENCE).detect([photo])[0]
    oblique, matrix = turn(photo, 135)
    plain = RotationSearch(make(REFERENCE, threshold=0.7))
    assert len(plain.detect([oblique])[0]) == 0
    more = RotationSearch(make(REFERENCE, threshold=0.7), extra_deg=(45, 135, 225, 315))
    faces = more.detect([oblique])[0]
    assert len(faces) == 1
    wanted = apply_affine(matrix, upright.points)
    assert np.linalg.norm(faces.points - wanted, axis=2).max() < 0.06 * eye_distance(wanted)[0]


def test_upright_groups_are_left_as_they_are(make: Make, groups: list[Image]) -> None:
    detector = make(REFERENCE)
    for plain, searched in zip(
        detector.detect(groups[:3]), RotationSearch(detector).detect(groups[:3]), strict=True
    ):
        clear = plain[np.flatnonzero(plain.scores > 0.6)]
        assert (best_iou(clear, searched) > 0.8).all()
        assert len(searched) <= len(plain) + 1


# --- large group photos ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [REFERENCE, "yunet", "ultralight_rfb"])
def test_tiles_find_the_small_faces_of_a_crowd(make: Make, data_dir: Path, name: str) -> None:
    crowd = load_image(data_dir / "data/photos/group/25.jpg")  # about 190 people and more behind
    detector = make(name)
    plain, tiled = detector.detect([crowd])[0], TiledDetector(detector).detect([crowd])[0]
    assert len(tiled) > 1.2 * len(plain) > 120
    assert (best_iou(plain, tiled) > 0.4).mean() > 0.95
    overlap = box_iou(tiled.boxes, tiled.boxes) - np.eye(len(tiled), dtype=np.float32)
    assert overlap.max() <= 0.41  # one NMS over everything
    assert (np.diff(tiled.scores) <= 0).all()
    assert (tiled.points is not None) == detector.has_points  # type: ignore[attr-defined]  # of arcid's own detectors
    if tiled.points is not None:
        middle = (tiled.boxes[:, :2] + tiled.boxes[:, 2:]) / 2
        inside = np.abs(tiled.points.mean(axis=1) - middle) < tiled.sizes * 0.4
        assert inside.all(axis=1).mean() > 0.98


def test_tiles_lose_no_large_face_and_cut_none(make: Make, data_dir: Path) -> None:
    couple = load_image(data_dir / "data/photos/group/couple.jpg")  # two faces, 1588 × 2280
    detector = make(REFERENCE)
    plain, tiled = (
        d.detect([couple])[0] for d in (detector, TiledDetector(detector, scales=(0.5, 1)))
    )
    assert len(plain) == len(tiled) == 2
    assert (best_iou(plain, tiled) > 0.8).all()


def test_tiling_refuses_what_would_take_for_ever(make: Make) -> None:
    wide = np.zeros((2000, 6000, 3), np.uint8)
    with pytest.raises(UsageError, match="tiles"):
        TiledDetector(make("yunet_320"), scales=(2,), max_tiles=20).detect([wide])
    with pytest.raises(UsageError):
        TiledDetector(make("yunet_320"), overlap=0.9)
    with pytest.raises(UsageError):
        RotationSearch(make("yunet_320"), angles_deg=())


# --- converting -----------------------------------------------------------------------------------


def test_converting_checks_its_sources(script: ModuleType, data_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    wrong = bytearray((data_dir / "models/retinaface_mobilenet0.25.pth").read_bytes())
    wrong[-1] ^= 1
    (source / "retinaface_mobilenet0.25.pth").write_bytes(wrong)
    with pytest.raises(ModelHashMismatch):
        script.convert("retinaface_mnet025", source, tmp_path / "out")
    assert not (tmp_path / "out/retinaface_mnet025").exists()
    assert script.main(["--from", str(source), "--to", str(tmp_path), "--only", "mtcnn"]) == 4


@pytest.mark.parametrize("name", CONVERTED)
def test_a_bundle_states_where_it_comes_from(bundles: Any, name: str) -> None:
    folder = bundles(name)
    manifest = Manifest.load(folder / "manifest.json")
    assert manifest.licence.name == "MIT"
    assert max(manifest.provenance["max_abs_difference_to_torch"].values()) < 1e-4
    import hashlib

    for file, sha256 in model_files(manifest).values():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256

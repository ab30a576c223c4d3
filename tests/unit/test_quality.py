"""The quality gate on real photographs: normal ones pass, spoiled ones say what spoils them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from arcid.align import align
from arcid.detect import Detector
from arcid.errors import InvalidArray, UsageError
from arcid.geometry import ARCFACE_TEMPLATE, apply_affine, rotation_matrix
from arcid.image import load_image
from arcid.pipeline import load_detector
from arcid.quality import Quality, QualityGate, pose
from arcid.types import Crops, Detections, Image

Measured = tuple[Quality, Detections, Image]


@pytest.fixture(scope="module")
def detector(data_dir: Path) -> Detector:
    return load_detector(str(data_dir / "models/scrfd_2.5g_bnkps.onnx"), threshold=0.4)


@pytest.fixture(scope="module")
def portraits(data_dir: Path) -> list[Image]:
    """Photos of ten people of LFW and eight web portraits, one clear face in the middle."""
    lfw = sorted((data_dir / "data/lfw-dev/images").rglob("*.jpg"))[40::160]
    web = sorted((data_dir / "data/deepface-pairs").glob("*.jpg"))[::3]
    return [fit(load_image(path)) for path in (*lfw, *web)]


def fit(image: Image, side: int = 500) -> Image:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def measure(detector: Detector, image: Image, gate: QualityGate | None = None) -> Measured:
    face = detector.detect([image])[0].select("center")
    assert len(face) == 1, "no face was found"
    quality = (gate or QualityGate()).assess(image, face, align(image, face))
    assert len(quality) == 1
    return quality[0], face, image


@pytest.fixture(scope="module")
def normal(detector: Detector, portraits: list[Image]) -> list[Measured]:
    return [measure(detector, image) for image in portraits]


def codes(quality: Quality) -> set[str]:
    return {reason.code for reason in quality.reasons}


def respoil(case: Measured, image: Image) -> Quality:
    """The same face in a spoiled copy of its photo."""
    return QualityGate().assess(image, case[1], align(image, case[1]))[0]


@pytest.mark.data
def test_normal_photos_pass(normal: list[Measured]) -> None:
    assert len(normal) >= 18
    assert [quality.reasons for quality, _, _ in normal] == [()] * len(normal)
    for quality, face, _ in normal:
        assert quality.ok
        assert face.points is not None
        eyes = face.points[0, :2].astype(float)
        assert quality.inter_eye_px == pytest.approx(math.dist(*eyes), abs=1e-3)
        assert quality.detection_score == pytest.approx(float(face.scores[0]))
        assert quality.truncation == 0


@pytest.mark.data
def test_blurred_copies_are_blurred(normal: list[Measured]) -> None:
    for case in normal:
        assert case[0].inter_eye_px is not None
        sigma = case[0].inter_eye_px * 0.085  # 3 px on the crop
        blurred = respoil(case, np.asarray(cv2.GaussianBlur(case[2], (0, 0), sigma)))
        assert codes(blurred) >= {"blurred"}
        assert blurred.sharpness < case[0].sharpness * 0.75
    assert blurred.reasons[0].value == blurred.sharpness
    assert "hold still" in blurred.reasons[0].message


@pytest.mark.data
def test_noise_does_not_pass_for_sharpness(normal: list[Measured]) -> None:
    rng = np.random.default_rng(5)
    for case in normal:
        assert case[0].inter_eye_px is not None
        # About 8 grey levels on the crop, whatever the photo's size: what a phone adds at dusk.
        level = 8 * max(1.0, case[0].inter_eye_px / 35)
        noise = rng.normal(0, level, case[2].shape)
        blurred = cv2.GaussianBlur(case[2], (0, 0), case[0].inter_eye_px * 0.085)
        assert "blurred" in codes(respoil(case, np.clip(blurred + noise, 0, 255).astype(np.uint8)))
        noisy = respoil(case, np.clip(case[2] + noise, 0, 255).astype(np.uint8))
        assert "blurred" not in codes(noisy)
        assert noisy.sharpness < case[0].sharpness * 1.6


@pytest.mark.data
def test_a_tiny_face_stays_tiny_however_far_it_is_enlarged(
    detector: Detector, normal: list[Measured]
) -> None:
    for case in normal:
        eyes = case[0].inter_eye_px
        assert eyes is not None
        small = cv2.resize(case[2], None, fx=6 / eyes, fy=6 / eyes, interpolation=cv2.INTER_AREA)
        size = case[2].shape[1::-1]
        enlarged = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        assert "blurred" in codes(respoil(case, enlarged))
    # Left small, the same face is too small; both ways it is kept out.
    shrunk = np.asarray(
        cv2.resize(case[2], None, fx=18 / eyes, fy=18 / eyes, interpolation=cv2.INTER_AREA)
    )
    quality, _, _ = measure(detector, shrunk)
    assert "too_small" in codes(quality)
    message = next(reason for reason in quality.reasons if reason.code == "too_small").message
    assert message.startswith("The face is too small: 1")
    assert message.endswith("pixels between the eyes, at least 24 are needed; come closer.")


@pytest.mark.data
def test_sharpness_hardly_depends_on_the_size_of_the_photo(
    detector: Detector, data_dir: Path
) -> None:
    photo = load_image(data_dir / "data/deepface-pairs/img7.jpg")
    measured = [measure(detector, fit(photo, side))[0].sharpness for side in (2048, 1000, 500)]
    assert max(measured) / min(measured) < 1.15


@pytest.mark.data
def test_light(normal: list[Measured]) -> None:
    for case in normal:
        image = case[2].astype(np.float32)
        dark = respoil(case, (image * 0.2).astype(np.uint8))
        assert codes(dark) >= {"too_dark"}
        assert dark.brightness == pytest.approx(case[0].brightness * 0.2, abs=0.01)
        bright = respoil(case, np.clip(image * 3.2 + 20, 0, 255).astype(np.uint8))
        assert codes(bright) >= {"too_bright"}
        assert len([r for r in bright.reasons if r.code == "too_bright"]) == 1
        hazy = respoil(case, (image * 0.15 + 110).astype(np.uint8))
        assert codes(hazy) >= {"low_contrast"}
        assert not codes(hazy) & {"too_dark", "too_bright"}


@pytest.mark.data
def test_the_background_does_not_matter(normal: list[Measured]) -> None:
    for case in normal:
        crop = align(case[2], case[1]).pixels[0]
        black, white = crop.copy(), crop.copy()
        for copy, value in ((black, 0), (white, 255)):
            copy[:18] = value
            copy[:, :14] = value
            copy[:, -14:] = value
        answers = QualityGate().assess_crops(Crops(np.stack([crop, black, white])))
        for field in ("brightness", "contrast", "burnt_out"):
            values = [getattr(answer, field) for answer in answers]
            assert max(values) - min(values) < 1e-9
        assert answers[2].sharpness == pytest.approx(answers[0].sharpness, rel=0.15)


@pytest.mark.data
@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_faces_cut_by_the_border(detector: Detector, normal: list[Measured], side: str) -> None:
    found = cut = 0
    for _, face, image in normal:
        x0, y0, x1, y1 = (round(float(v)) for v in face.boxes[0])
        part = {
            "left": image[:, x0 + (x1 - x0) * 3 // 10 :],
            "right": image[:, : x1 - (x1 - x0) * 3 // 10],
            "top": image[y0 + (y1 - y0) * 3 // 10 :],
            "bottom": image[: y1 - (y1 - y0) * 3 // 10],
        }[side]
        part = np.ascontiguousarray(part)
        boxes = detector.detect([part])[0].select("largest")
        if len(boxes) == 0:
            continue
        quality = QualityGate().assess(part, boxes, align(part, boxes))[0]
        found += 1
        cut += "cut_off" in codes(quality)
        assert quality.truncation is not None
        assert quality.truncation < 0.7
    assert found >= len(normal) * 0.8
    assert cut >= found * 0.9


@pytest.mark.data
def test_the_blurred_photo_is_refused(detector: Detector, data_dir: Path) -> None:
    quality, _, _ = measure(detector, load_image(data_dir / "data/photos/misc/blur.jpg"))
    assert "blurred" in codes(quality)


@pytest.mark.data
def test_pose_signs_on_photos(detector: Detector, data_dir: Path) -> None:
    """Yaw + to the viewer's right, pitch + up, roll + clockwise as the viewer sees it."""
    folder = data_dir / "data/photos/pose"
    left, right, up, down, tilted_left, tilted_right = (
        measure(detector, load_image(folder / name))[0]
        for name in ("left_face.jpeg", "right_face.png", "rise_face.jpeg", "lower_face.jpeg",
                     "left_wryneck.png", "right_wryneck.png")
    )  # fmt: skip
    assert left.yaw_deg is not None
    assert right.yaw_deg is not None
    assert left.yaw_deg < -50
    assert right.yaw_deg > 35
    assert "turned_away" in codes(left)
    assert up.pitch_deg is not None
    assert down.pitch_deg is not None
    assert up.pitch_deg > 20
    assert down.pitch_deg < -25
    for quality in (up, down):
        strict = QualityGate(max_pitch_deg=15)
        assert quality.pitch_deg is not None
        assert abs(quality.pitch_deg) > (strict.max_pitch_deg or 0)
    assert tilted_left.roll_deg is not None
    assert tilted_right.roll_deg is not None
    assert -90 < tilted_left.roll_deg < -60
    assert 30 < tilted_right.roll_deg < 55
    assert "tilted" in codes(tilted_left)
    for quality in (up, down):
        assert quality.roll_deg is not None
        assert abs(quality.roll_deg) < 20


@pytest.mark.data
def test_looking_up_and_down_are_told_apart(detector: Detector, data_dir: Path) -> None:
    gate = QualityGate(max_pitch_deg=15)
    for name, word in (("rise_face.jpeg", " up "), ("lower_face.jpeg", " down ")):
        quality, _, _ = measure(detector, load_image(data_dir / "data/photos/pose" / name), gate)
        reason = next(r for r in quality.reasons if r.code == "looking_up_down")
        assert word in reason.message


@pytest.mark.data
def test_roll_follows_turned_photos(detector: Detector, data_dir: Path) -> None:
    image = load_image(data_dir / "data/photos/rotate/rot_0.jpg")
    upright, face, _ = measure(detector, image)
    assert upright.roll_deg is not None
    assert abs(upright.roll_deg) < 15
    assert face.points is not None
    for angle in (-150, -90, -45, 30, 90, 120):
        turned = apply_affine(rotation_matrix(*image.shape[:2], angle), face.points)  # type: ignore[call-arg]
        yaw, pitch, roll = pose(turned)[0]
        expected = (upright.roll_deg - angle + 180) % 360 - 180  # the matrix turns the other way
        assert (roll - expected + 180) % 360 - 180 == pytest.approx(0, abs=0.01)
        assert yaw == pytest.approx(upright.yaw_deg, abs=0.01)
        assert pitch == pytest.approx(upright.pitch_deg, abs=0.01)
    for name, expected in (("rot_90.jpg", 90), ("rot_270.jpg", -90)):
        quality, _, _ = measure(detector, load_image(data_dir / "data/photos/rotate" / name))
        assert quality.roll_deg == pytest.approx(expected, abs=25)
        assert "tilted" in codes(quality)


@pytest.mark.data
def test_pose_of_a_mirrored_face_is_mirrored(normal: list[Measured]) -> None:
    for quality, face, image in normal:
        assert face.points is not None
        mirrored = face.points[:, [1, 0, 2, 4, 3]].copy()
        mirrored[..., 0] = image.shape[1] - 1 - mirrored[..., 0]
        yaw, pitch, roll = pose(mirrored)[0]
        assert quality.yaw_deg is not None
        assert quality.roll_deg is not None
        assert yaw == pytest.approx(-quality.yaw_deg, abs=0.02)
        assert pitch == pytest.approx(quality.pitch_deg, abs=0.02)
        assert roll == pytest.approx(-quality.roll_deg, abs=0.02)


def head_seen(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """(5,2) points of a head built from millimetres, turned and projected without perspective."""
    head = np.array(
        [[-31.5, 0, 0], [31.5, 0, 0], [0, 39, 28], [-26, 73, -1], [26, 73, -1]], np.float64
    )
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    return np.asarray((head @ (about_z @ about_y @ about_x).T)[:, :2] * 1.7 + 200)


@pytest.mark.parametrize("yaw", [-60, -30, 0, 30, 60])
@pytest.mark.parametrize("pitch", [-30, 0, 30])
@pytest.mark.parametrize("roll", [-40, 0, 40])
def test_pose_of_a_known_head(yaw: float, pitch: float, roll: float) -> None:
    found = pose(head_seen(yaw, pitch, roll)[None])[0]
    assert found[0] == pytest.approx(yaw, abs=9)
    assert found[1] == pytest.approx(pitch, abs=9)
    straight = pose(head_seen(yaw, pitch, 0)[None])[0]
    assert found == pytest.approx(straight + np.array([0, 0, roll]), abs=1e-6)


def test_pose_of_many_is_pose_of_each() -> None:
    views = np.stack([head_seen(y, p, 10) for y in (-50, 0, 20) for p in (-20, 5)])
    assert pose(views) == pytest.approx(np.concatenate([pose(view[None]) for view in views]))
    assert pose(np.zeros((0, 5, 2))).shape == (0, 3)
    assert np.abs(pose(ARCFACE_TEMPLATE[None])[0]).max() < 12
    assert np.isfinite(pose(np.zeros((1, 5, 2)))).all()


@pytest.mark.data
def test_box_only_detections(normal: list[Measured]) -> None:
    for quality, face, image in normal:
        box_only = Detections(face.boxes, face.scores, None, face.image_size)
        crops = align(image, box_only, template="box")
        measured = QualityGate().assess(image, box_only, crops)[0]
        assert measured.ok
        assert measured.inter_eye_px is None
        assert (measured.yaw_deg, measured.pitch_deg, measured.roll_deg) == (None, None, None)
        assert measured.truncation == 0
        assert measured.detection_score == quality.detection_score
        numbers = list(measured.measured().values())
        assert len(numbers) == 6
        assert np.isfinite(numbers).all()
    beyond = face.boxes - np.array([face.boxes[0, 2] * 0.6, 0, 0, 0], np.float32)
    outside = Detections(beyond, face.scores, None, face.image_size)
    assert "cut_off" in codes(QualityGate().assess(image, outside, crops)[0])


@pytest.mark.data
def test_group_photo_in_one_batch(detector: Detector, data_dir: Path) -> None:
    image = load_image(data_dir / "data/photos/group/friends.jpg")
    faces = detector.detect([image])[0]
    assert len(faces) >= 3
    together = QualityGate().assess(image, faces, align(image, faces))
    alone = [QualityGate().assess(image, face, align(image, face))[0] for face in faces]
    assert together == alone


def flat(value: int = 128) -> tuple[Image, Detections, Crops]:
    image = np.full((200, 200, 3), value, np.uint8)
    points = (ARCFACE_TEMPLATE + 40)[None]
    face = Detections(np.array([[40, 40, 150, 150]]), np.array([0.9]), points, (200, 200))
    return image, face, align(image, face)


def test_a_flat_patch_is_no_face() -> None:
    quality = QualityGate().assess(*flat())[0]
    assert codes(quality) == {"blurred", "low_contrast"}
    assert quality.brightness == pytest.approx(128 / 255, abs=1e-3)
    assert codes(QualityGate().assess(*flat(0))[0]) >= {"too_dark"}
    assert codes(QualityGate().assess(*flat(255))[0]) >= {"too_bright"}


def test_nothing_found_is_ordinary() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    for points in (True, False):
        empty = Detections.empty((50, 60), points=points)
        assert QualityGate().assess(image, empty, Crops.empty()) == []
    assert QualityGate().assess_crops(Crops.empty()) == []


def test_what_does_not_belong_together_is_refused() -> None:
    image, face, crops = flat()
    with pytest.raises(InvalidArray, match=r"\(200, 200\).*\(100, 200\)"):
        QualityGate().assess(image[:100], face, crops)
    with pytest.raises(InvalidArray, match="1 detections came with 0 crops"):
        QualityGate().assess(image, face, Crops.empty())


def test_crops_of_any_size() -> None:
    image, face, _ = flat()
    rng = np.random.default_rng(3)
    image = np.asarray(cv2.GaussianBlur(rng.integers(0, 255, image.shape, np.uint8), (0, 0), 3))
    answers = [QualityGate().assess(image, face, align(image, face, size=s))[0] for s in (112, 224)]
    assert answers[1].brightness == pytest.approx(answers[0].brightness, abs=0.01)
    assert answers[1].sharpness == pytest.approx(answers[0].sharpness, rel=0.1)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "24", [1]])
def test_thresholds_are_checked(value: object) -> None:
    with pytest.raises(UsageError, match="min_inter_eye_px"):
        QualityGate(min_inter_eye_px=value)  # type: ignore[arg-type]


def test_every_threshold_can_be_moved_and_switched_off() -> None:
    image, face, crops = flat()
    names = [f.name for f in dataclasses.fields(QualityGate)]
    nothing = QualityGate(**dict.fromkeys(names))
    assert nothing.assess(image, face, crops)[0].ok
    strict = {name: (1e9 if name.startswith("min") else 0.0) for name in names}
    strict["min_brightness"] = 0.0
    face = face[0]
    tilted = Detections(face.boxes - 60, face.scores, head_seen(20, 20, 20)[None] - 170, (200, 200))
    everything = QualityGate(**strict).assess(image, tilted, crops)[0]
    assert codes(everything) == {
        "too_small", "cut_off", "blurred", "too_bright", "low_contrast", "turned_away",
        "looking_up_down", "tilted", "low_detection_score",
    }  # fmt: skip
    for reason in everything.reasons:
        assert reason.message.endswith(".")
        assert "{" not in reason.message


def test_to_dict_is_plain_and_rounded() -> None:
    quality = QualityGate().assess(*flat())[0]
    answer = json.loads(json.dumps(quality.to_dict(), allow_nan=False))
    assert answer["ok"] is False
    assert answer["measured"]["brightness"] == 0.502
    assert [reason["code"] for reason in answer["reasons"]] == ["blurred", "low_contrast"]
    assert set(answer["reasons"][0]) == {"code", "value", "threshold", "message"}
    crop_only = QualityGate().assess_crops(flat()[2])[0].to_dict()
    assert "yaw_deg" not in crop_only["measured"]
    assert "truncation" not in crop_only

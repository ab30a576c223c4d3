"""Augmentation on real crops: each does what its name says, and the same wherever it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from arcid.errors import ConfigError
from arcid.geometry import template_points
from arcid.quality import pose
from arcid.train.config.recipe import AUGMENTATIONS, AugmentConfig, SourceConfig, load_config
from arcid.train.data.augment import Augment
from arcid.train.data.crops import centre, decode_crop, fit_crop
from arcid.train.data.pose import turned
from arcid.train.data.sources import open_source
from arcid.types import Image

pytestmark = pytest.mark.data
OFF = AugmentConfig(flip=0.0)


@pytest.fixture(scope="module")
def crops(data_dir: Path) -> list[Image]:
    source = open_source(SourceConfig(path=str(data_dir / "data/train/vgg.tar")))
    return [fit_crop(decode_crop(source.read(i)), -1, 112) for i in range(0, 5200, 130)]


def only(**options: Any) -> Augment:
    return Augment(OFF.but(**options), seed=1)


def views(augment: Augment, crops: list[Image], epoch: int = 0) -> list[Image]:
    return [augment(crop, epoch=epoch, index=i) for i, crop in enumerate(crops)]


def sharpness(image: Image) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())


def test_without_any_the_view_is_the_template(crops: list[Image]) -> None:
    for view, crop in zip(views(only(), crops), crops, strict=True):
        assert (view == centre(crop, 112)).all()
        view[:] = 0
        assert crop.any()  # the canvas may be kept in memory; a view never is a part of it


def test_a_view_depends_on_seed_epoch_photo_and_repeat_alone(crops: list[Image]) -> None:
    every = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 0.5))
    augment = Augment(every, seed=4)
    before = [crop.copy() for crop in crops]
    first = views(augment, crops)
    backwards = [
        Augment(every, seed=4)(crops[i], epoch=0, index=i) for i in reversed(range(len(crops)))
    ]
    for a, b in zip(first, reversed(backwards), strict=True):
        assert (a == b).all()
        assert (a.shape, a.dtype) == ((112, 112, 3), np.uint8)
    assert all((a == b).all() for a, b in zip(before, crops, strict=True))
    others = [
        augment(crops[0], epoch=1, index=0), augment(crops[0], epoch=0, index=1),
        augment(crops[0], epoch=0, index=0, repeat=1),
        Augment(every, seed=5)(crops[0], epoch=0, index=0),
    ]  # fmt: skip
    assert all((other != first[0]).any() for other in others)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_is_applied_as_often_as_asked(crops: list[Image], name: str) -> None:
    crop = crops[0]
    plain = centre(crop, 112)
    augment = only(**{name: 0.3})
    changed = [(augment(crop, epoch=7, index=i) != plain).any() for i in range(400)]
    assert 0.22 < float(np.mean(changed)) < 0.38  # 0.3 ± 3.5 standard deviations
    always = only(**{name: 1.0})
    seen = {always(crop, epoch=7, index=i).tobytes() for i in range(12)}
    assert len(seen) == 1 if name in ("flip", "grey") else len(seen) >= 10


def test_switching_one_off_leaves_the_others_as_they_were(crops: list[Image]) -> None:
    both = views(only(flip=0.5, colour=1.0, mask=0.5), crops)
    fewer = views(only(colour=1.0, mask=0.5), crops)
    mirrored = 0
    for a, b in zip(both, fewer, strict=True):
        upper_a, upper_b = a[:40], b[:40]  # above any mask
        assert (upper_a == upper_b).all() or (upper_a[:, ::-1] == upper_b).all()
        mirrored += int((upper_a != upper_b).any())
    assert 10 < mirrored < 30


def test_jitter_moves_the_crop_within_the_rim(crops: list[Image]) -> None:
    augment = only(jitter=1.0, jitter_px=3.0)
    seen = set()
    for i in range(300):
        view = augment(crops[3], epoch=0, index=i)
        (at,) = [
            (x, y)
            for y in range(5, 12)
            for x in range(5, 12)
            if (crops[3][y : y + 112, x : x + 112] == view).all()
        ]
        seen.add(at)
    assert {x for x, _ in seen} == {y for _, y in seen} == set(range(5, 12))


def test_the_points_follow_the_face_through_warp_jitter_and_flip() -> None:
    canvas = np.zeros((128, 128, 3), np.uint8)
    marks = template_points(112) + 8
    for number, (x, y) in enumerate(marks):
        cv2.circle(
            canvas, (round(float(x) * 16), round(float(y) * 16)), 40, (0, 50 + 40 * number, 0), -1,
            cv2.LINE_AA, 4,
        )  # fmt: skip
    augment = only(warp=1.0, jitter=1.0, flip=0.5, warp_deg=15.0, warp_scale=0.1)
    turned = set()
    for index in range(60):
        draws = np.random.default_rng(index).random((len(AUGMENTATIONS), 8))
        on = dict(zip(AUGMENTATIONS, draws, strict=True))
        on.pop("pose")
        if index % 2:
            on.pop("flip")
        view, points = augment._placed(canvas, on)
        order = [1, 0, 2, 4, 3] if "flip" in on else range(5)
        for place, number in enumerate(order):
            spot = np.abs(view[..., 1].astype(int) - (50 + 40 * number)) <= 12
            ys, xs = np.nonzero(spot & _near(points[place], 8))
            assert np.hypot(xs.mean() - points[place][0], ys.mean() - points[place][1]) < 1.2
        assert points[0][0] < points[1][0]  # the viewer's left eye stays the first
        turned.add(round(float(np.degrees(np.arctan2(*(points[1] - points[0])[::-1])))))
    assert len(turned) > 12


def _near(point: Any, radius: float) -> Any:
    ys, xs = np.mgrid[:112, :112]
    return np.hypot(xs - point[0], ys - point[1]) <= radius


def test_a_head_not_turned_is_the_crop(crops: list[Image]) -> None:
    view, points = turned(crops[0], 0, 0, 112)
    assert np.abs(view.astype(int) - crops[0]).max() <= 8  # fixed-point interpolation
    np.testing.assert_allclose(points, template_points(112) + 8, atol=1e-3)


@pytest.mark.parametrize("yaw", [-60, -30, 30, 60])
@pytest.mark.parametrize("size", [112, 56])
def test_the_visible_points_follow_a_turned_head(yaw: float, size: int) -> None:
    side, scale = size * 128 // 112, size / 112
    five = template_points(size) + 8 * scale
    near = (0, 3) if yaw > 0 else (1, 4)  # of the cheek that comes forward
    for number in (*near, 2):
        marked = np.zeros((side, side, 3), np.uint8)
        x, y = (round(float(v) * 16) for v in five[number])
        cv2.circle(marked, (x, y), round(48 * scale), (255, 255, 255), -1, cv2.LINE_8, 4)
        view, points = turned(marked, yaw, 0, size)
        weight = view[..., 1] / view[..., 1].sum()
        ys, xs = np.mgrid[:side, :side]
        found = np.array([(xs * weight).sum(), (ys * weight).sum()])
        assert np.linalg.norm(found - points[number]) < 5 * scale  # its far half hides
    eyes = np.linalg.norm(points[1] - points[0])
    nose = points[2] - points[:2].mean(axis=0)
    assert np.sign(nose[0]) == np.sign(yaw) and abs(nose[0]) / eyes > (
        0.5 if abs(yaw) > 45 else 0.2
    )


def test_turned_left_is_the_mirror_of_turned_right(crops: list[Image]) -> None:
    one, points = turned(crops[2], 40, 10, 112)
    other, mirrored = turned(np.ascontiguousarray(crops[2][:, ::-1]), -40, 10, 112)
    gap = np.abs(one.astype(int) - other[:, ::-1])
    assert np.median(gap) <= 12 and gap.mean() < 12  # the template's own sides differ by a pixel
    flipped = mirrored[[1, 0, 2, 4, 3]]
    flipped[:, 0] = 127 - flipped[:, 0]
    np.testing.assert_allclose(flipped, points, atol=2.0)


def test_a_turned_head_looks_turned_to_the_measure_of_the_quality_gate(crops: list[Image]) -> None:
    for angle in (-45, -20, 20, 45):
        _, points = turned(crops[0], angle, 0, 112)
        assert abs(abs(pose(points[None])[0, 0]) - abs(angle)) < 12


def test_the_teacher_is_shown_the_head_before_it_was_turned(crops: list[Image]) -> None:
    augment = Augment(AugmentConfig(flip=0.5, pose=1.0), seed=3, clean=1.0)
    for i, crop in enumerate(crops[:8]):
        view = augment(crop, epoch=0, index=i)
        plain = augment.plain(crop, view, epoch=0, index=i, repeat=0)
        upright = centre(crop, 112)
        assert (plain == upright).all() or (plain == upright[:, ::-1]).all()
        assert (view != plain).any()


def test_angles_beyond_the_model_of_the_head_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most 75"):
        AugmentConfig(pose_yaw_deg=90)


def test_colour_keeps_grey_grey_and_stays_in_range(crops: list[Image]) -> None:
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, :, None] + 60, 128, axis=0)
    grey = np.repeat(ramp, 3, axis=2)
    tinted = only(
        colour=1.0, colour_brightness=0.0, colour_contrast=0.0, colour_hue_deg=40.0,
        colour_saturation=0.9,
    )  # fmt: skip
    for i in range(10):
        assert np.abs(tinted(grey, epoch=0, index=i).astype(int) - centre(grey, 112)).max() <= 2
    bright = only(colour=1.0, colour_contrast=0.0, colour_saturation=0.0, colour_hue_deg=0.0)
    ratios = [
        float(bright(c // 2, epoch=0, index=i).mean() / centre(c // 2, 112).mean())
        for i, c in enumerate(crops)
    ]
    assert 0.78 < min(ratios) < 0.9 and 1.1 < max(ratios) < 1.22


def test_gamma_bends_the_middle_and_pins_the_ends() -> None:
    ramp = np.tile(np.arange(128, dtype=np.uint8) * 2, (128, 1))
    ramp[:, -9:] = 255
    ramp[:, :9] = 0
    canvas = np.repeat(ramp[..., None], 3, axis=2)
    middles = []
    for i in range(30):
        row = only(gamma=1.0)(canvas, epoch=0, index=i)[0, :, 0].astype(int)
        assert (np.diff(row) >= 0).all() and row[0] == 0 and row[-1] == 255
        middles.append(row[56])
    assert min(middles) < 115 < 145 < max(middles)


def test_dark_is_darker_and_has_grain(crops: list[Image]) -> None:
    for view, crop in zip(views(only(dark=1.0), crops), crops, strict=True):
        plain = centre(crop, 112)
        assert 0.2 * plain.mean() < view.mean() < 0.75 * plain.mean() + 8
    flat = np.full((128, 128, 3), 120, np.uint8)
    spread = [
        float(only(dark=1.0, dark_noise=12.0)(flat, epoch=0, index=i).std()) for i in range(40)
    ]
    assert 0.5 < min(spread) < 3 and 6 < max(spread) < 13


@pytest.mark.parametrize("name", ["blur", "motion", "lowres"])
def test_detail_is_lost(crops: list[Image], name: str) -> None:
    loss = [
        sharpness(view) / sharpness(centre(crop, 112))
        for view, crop in zip(views(only(**{name: 1.0}), crops), crops, strict=True)
    ]
    if name != "lowres":
        assert max(loss) < 1.0
    assert float(np.median(loss)) < 0.6
    for view, crop in zip(views(only(**{name: 1.0}), crops), crops, strict=True):
        difference = view.astype(int).mean(axis=(0, 1)) - centre(crop, 112).mean(axis=(0, 1))
        assert np.abs(difference).max() < 4  # nothing but detail, each colour for itself


def test_jpeg_and_grey_keep_the_order_of_colours(crops: list[Image]) -> None:
    for view, crop in zip(views(only(jpeg=1.0), crops), crops, strict=True):
        plain = centre(crop, 112).astype(int)
        error = np.abs(view.astype(int) - plain).mean()
        assert 0 < error < 12
        assert error < np.abs(view[..., ::-1].astype(int) - plain).mean()
    for view, crop in zip(views(only(grey=1.0), crops), crops, strict=True):
        assert (view == view[..., :1]).all()
        luma = centre(crop, 112) @ np.array([0.299, 0.587, 0.114])
        assert np.abs(view[..., 0] - luma).max() <= 1


def test_occlusion_covers_no_more_than_its_share(crops: list[Image]) -> None:
    shares = []
    for i in range(200):
        crop = crops[i % len(crops)]
        view = only(occlusion=1.0, occlusion_share=0.2)(crop, epoch=1, index=i)
        changed = (view != centre(crop, 112)).any(axis=2)
        ys, xs = np.nonzero(changed)
        shares.append(float(changed.mean()))
        assert (np.ptp(ys) + 1) * (np.ptp(xs) + 1) <= 0.2 * 112 * 112 * 1.1
    assert max(shares) > 0.15 and float(np.median(shares)) > 0.05


def test_the_mask_hides_mouth_and_nose_and_leaves_the_eyes(crops: list[Image]) -> None:
    shapes, tones = set(), set()
    for i in range(80):
        crop = crops[i % len(crops)]
        view, plain = only(mask=1.0)(crop, epoch=0, index=i), centre(crop, 112)
        changed = (view != plain).any(axis=2)
        assert not changed[:53].any()
        for x, y in template_points(112)[2:].round().astype(int):
            assert changed[y - 1 : y + 2, x - 1 : x + 2].mean() > 0.5
        assert changed[75:105, 45:68].mean() > 0.9
        shapes.add(round(float(changed.mean()), 2))
        tones.add(tuple((view[85, 56] // 32).tolist()))
    assert len(shapes) > 8 and len(tones) > 8


def test_another_network_size_scales_everything(crops: list[Image]) -> None:
    small = Augment(OFF.but(mask=1.0), seed=1)(crops[0], epoch=0, index=0)
    canvas = np.asarray(cv2.resize(crops[0], (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)
    large = Augment(OFF.but(mask=1.0), seed=1, size=224)(canvas, epoch=0, index=0)
    assert large.shape == (224, 224, 3)
    shrunk = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 3


def test_people_stay_themselves_under_the_shipped_recipe(
    crops: list[Image], data_dir: Path
) -> None:
    """A published network still takes a view for its photo's person, and for nobody else."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(
        data_dir / "models/mobilefacenet_128.onnx", options, providers=["CPUExecutionProvider"]
    )

    def embed(images: list[Image]) -> Any:
        batch = (np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
        vectors = session.run(None, {session.get_inputs()[0].name: batch})[0]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    recipe = load_config(Path(__file__).parents[2] / "configs/small.yaml").augment
    photos = embed([centre(crop, 112) for crop in crops])
    cosine = embed(views(Augment(recipe, seed=3), crops)) @ photos.T
    own, others = np.diag(cosine), cosine[~np.eye(len(crops), dtype=bool)]
    assert float(np.median(own)) > 0.6
    assert float((own > np.quantile(others, 0.99)).mean()) >= 0.85
    masked = embed(views(only(mask=1.0), crops)) @ photos.T
    assert float(np.median(np.diag(masked))) > float(np.quantile(others, 0.9))

"""Geometry against independent computations and against pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from arcid.errors import InvalidArray
from arcid.geometry import (
    ARCFACE_TEMPLATE,
    apply_affine,
    box_iou,
    letterbox,
    nms,
    rotate_quarter,
    rotated_size,
    rotation_matrix,
    similarity_transform,
    template_points,
    warp,
)
from arcid.image import load_image
from arcid.types import Image

Matrix = npt.NDArray[np.float64]
steady = settings(derandomize=True, database=None, deadline=None)


def similarity(scale: float, angle_deg: float, shift: tuple[float, float]) -> Matrix:
    a, b = scale * np.cos(np.radians(angle_deg)), scale * np.sin(np.radians(angle_deg))
    return np.array([[a, -b, shift[0]], [b, a, shift[1]]])


def moved(matrix: Matrix, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2])


def by_least_squares(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> Matrix:
    """The same problem as a linear system in (a, b, tx, ty)."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows, np.float64), np.array(wanted), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


# template and transform


def test_template_scales_with_its_canvas() -> None:
    assert np.array_equal(template_points(112), ARCFACE_TEMPLATE)
    assert template_points(224) == pytest.approx(ARCFACE_TEMPLATE * 2)
    assert template_points(112).dtype == np.float32
    eye_left, eye_right, nose, mouth_left, mouth_right = ARCFACE_TEMPLATE
    assert eye_left[0] < nose[0] < eye_right[0]
    assert mouth_left[0] < mouth_right[0]
    assert eye_left[1] < nose[1] < mouth_left[1]


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("angle", [-170, -30, 0, 90])
def test_transform_is_exact_on_a_transformed_template(scale: float, angle: float) -> None:
    truth = similarity(scale, angle, (1200.5, -80.25))
    found = similarity_transform(moved(truth, ARCFACE_TEMPLATE)[None], ARCFACE_TEMPLATE)[0]
    back = np.linalg.inv(np.vstack([truth, [0, 0, 1]]))[:2]
    assert found == pytest.approx(back, rel=1e-6, abs=1e-4)


@steady
@given(arrays(np.float64, (3, 5, 2), elements=st.floats(-500, 500, width=32)))
def test_transform_against_least_squares(points: npt.NDArray[np.float64]) -> None:
    spread = np.abs(points - points.mean(axis=1, keepdims=True)).max(axis=(1, 2))
    if (spread < 1).any():
        points = points + np.arange(30).reshape(3, 5, 2) * 3
    found = similarity_transform(points, ARCFACE_TEMPLATE)
    assert found.shape == (3, 2, 3)
    for matrix, source in zip(found, points, strict=True):
        assert matrix == pytest.approx(by_least_squares(source, ARCFACE_TEMPLATE), abs=1e-6)
        assert np.linalg.det(matrix[:, :2]) >= 0  # never a reflection
        assert matrix[0, 0] == matrix[1, 1]
        assert matrix[0, 1] == -matrix[1, 0]


def test_transform_never_mirrors_a_mirrored_face() -> None:
    mirrored = ARCFACE_TEMPLATE * [-1, 1] + [112, 0]
    matrix = similarity_transform(mirrored[None], ARCFACE_TEMPLATE)[0]
    assert np.linalg.det(matrix[:, :2]) > 0


def test_transform_to_a_target_per_face() -> None:
    truths = [similarity(2, 10, (3, 4)), similarity(0.5, -80, (30, 90))]
    targets = np.stack([moved(truth, ARCFACE_TEMPLATE) for truth in truths])
    sources = np.stack([ARCFACE_TEMPLATE, ARCFACE_TEMPLATE])
    assert similarity_transform(sources, targets) == pytest.approx(np.stack(truths), abs=1e-9)
    assert similarity_transform(np.zeros((0, 5, 2)), ARCFACE_TEMPLATE).shape == (0, 2, 3)


def test_transform_refuses_what_has_no_answer() -> None:
    with pytest.raises(InvalidArray, match="coincide"):
        similarity_transform(np.full((2, 5, 2), 7.0), ARCFACE_TEMPLATE)
    with pytest.raises(InvalidArray, match=r"\(N,P,2\), got \(5, 2\)"):
        similarity_transform(ARCFACE_TEMPLATE, ARCFACE_TEMPLATE)
    with pytest.raises(InvalidArray, match=r"got \(1, 5, 3\)"):
        similarity_transform(np.zeros((1, 5, 3)), np.zeros((5, 3)))


def test_apply_affine() -> None:
    matrix = similarity(3, 25, (-4, 9))
    cloud = np.random.default_rng(0).normal(size=(4, 6, 2)) * 100
    answer = apply_affine(matrix, cloud)
    assert answer.dtype == np.float32
    assert answer == pytest.approx(moved(matrix, cloud), rel=1e-5, abs=1e-3)
    assert apply_affine(matrix, [1, 2]).shape == (2,)
    assert apply_affine(matrix, np.zeros((0, 2))).shape == (0, 2)


# warp


def drawn(height: int = 150, width: int = 170) -> Image:
    rng = np.random.default_rng(11)
    coarse = rng.integers(0, 255, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_warp_by_identity_and_whole_shifts_is_exact() -> None:
    image = drawn()
    assert np.array_equal(warp(image, np.eye(2, 3), 112), image[:112, :112])
    shift = np.array([[1.0, 0, -30], [0, 1, -20]])
    assert np.array_equal(warp(image, shift, 112), image[20:132, 30:142])


def test_warp_is_black_outside_the_photo() -> None:
    image = drawn() // 2 + 100
    canvas = warp(image, np.array([[1.0, 0, 40], [0, 1, 25]]), 112)
    assert np.array_equal(canvas[25:, 40:], image[:87, :72])
    assert (canvas[:25] == 0).all()
    assert (canvas[:, :40] == 0).all()
    away = warp(image, np.array([[1.0, 0, 5000], [0, 1, 0]]), 64)
    assert away.shape == (64, 64, 3)
    assert (away == 0).all()
    far = warp(image, np.array([[0.1, 0, 5000], [0, 0.1, 0]]), 64)  # by way of shrinking
    assert (far == 0).all()


@pytest.mark.parametrize("angle", [0, 33, 90, -120])
def test_warp_puts_the_points_where_the_matrix_says(angle: float) -> None:
    # Ten times the canvas: the photo is shrunk first, and the dots must not move by that.
    truth = similarity(10, angle, (900, 700))
    image = np.zeros((2400, 2600, 3), np.uint8)
    points = moved(truth, ARCFACE_TEMPLATE)
    if points.min() < 60 or (points > [2540, 2340]).any():
        truth[:, 2] += np.array([1300, 1200]) - points.mean(axis=0)
        points = moved(truth, ARCFACE_TEMPLATE)
    for x, y in points:
        cv2.circle(image, (round(x), round(y)), 25, (255, 255, 255), -1)
    crop = warp(image, similarity_transform(points[None], ARCFACE_TEMPLATE)[0], 112)
    for x, y in ARCFACE_TEMPLATE:
        window = crop[int(y) - 6 : int(y) + 8, int(x) - 6 : int(x) + 8, 0].astype(float)
        rows, columns = np.mgrid[int(y) - 6 : int(y) + 8, int(x) - 6 : int(x) + 8]
        assert (window * columns).sum() / window.sum() == pytest.approx(x, abs=0.2)
        assert (window * rows).sum() / window.sum() == pytest.approx(y, abs=0.2)


@pytest.mark.data
def test_the_size_of_the_photo_hardly_changes_the_crop(data_dir: Path) -> None:
    """One portrait rendered at several sizes: plain and antialiased branch meet at scale 2."""
    photo = load_image(data_dir / "data/deepface-pairs/img7.jpg")
    side = min(photo.shape[:2]) // 8 * 8
    photo = photo[:side, :side]
    crops = {}
    for scale in (1.0, 1.5, 1.99, 2.01, 2.5, 4.0, 8.0):
        size = round(112 * scale)
        rendered = cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)
        s = 112 / size
        matrix = np.array([[s, 0, (s - 1) / 2], [0, s, (s - 1) / 2]])  # pixel centres
        crops[scale] = warp(np.asarray(rendered, np.uint8), matrix, 112).astype(int)
    for scale, crop in crops.items():
        assert np.abs(crop - crops[1.0])[2:-2, 2:-2].mean() < 3.0, scale
    assert np.abs(crops[1.99] - crops[2.01])[2:-2, 2:-2].mean() < 2.0
    # Without the antialiasing an 8-fold photo would differ far more.
    plain = photo[:: side // 112, :: side // 112][:112, :112].astype(int)
    assert np.abs(plain - crops[1.0]).mean() > 3.0


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), np.nan)])
def test_warp_refuses_a_matrix_without_inverse(matrix: Matrix) -> None:
    with pytest.raises(InvalidArray, match="point or a line"):
        warp(drawn(), matrix, 112)


def test_warp_does_not_alias() -> None:
    fine = np.zeros((1200, 1200, 3), np.uint8)
    fine[:, ::2] = 255  # stripes far too fine for the canvas must become grey
    canvas = warp(fine, similarity(112 / 1200, 0, (0, 0)), 112)[4:-4, 4:-4]
    assert canvas.std() < 6
    assert canvas.mean() == pytest.approx(127.5, abs=3)


# letterbox


@pytest.mark.parametrize("shape", [(100, 300), (300, 100), (640, 640), (33, 47), (2000, 900)])
def test_letterbox_round_trip(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 40, np.uint8)
    y, x = shape[0] * 3 // 5, shape[1] * 2 // 5
    radius = max(3, min(shape) // 12)
    cv2.circle(image, (x, y), radius, (255, 255, 255), -1)
    canvas, scale = letterbox(image, 320, 352)
    assert canvas.shape == (320, 352, 3)
    assert canvas.dtype == np.uint8
    used_h, used_w = round(shape[0] * scale), round(shape[1] * scale)
    assert used_h == 320 or used_w == 352
    assert (canvas[used_h:] == 0).all()
    assert (canvas[:, used_w:] == 0).all()
    assert (canvas[:used_h, :used_w] > 0).all()
    rows, columns = np.nonzero(canvas[..., 0] > 150)
    tolerance = max(0.2, 1 / scale)
    assert (columns.mean() + 0.5) / scale - 0.5 == pytest.approx(x, abs=tolerance)
    assert (rows.mean() + 0.5) / scale - 0.5 == pytest.approx(y, abs=tolerance)


def test_letterbox_of_a_very_long_photo_keeps_a_pixel() -> None:
    canvas, scale = letterbox(np.full((16, 9000, 3), 255, np.uint8), 64, 64)
    assert (canvas[0] == 255).all()
    assert (canvas[1:] == 0).all()
    assert scale == 64 / 9000


# boxes


def naive_iou(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / either if either > 0 else 0.0


def naive_nms(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], limit: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(naive_iou(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    return kept


# Whole corners make ties and exact quotients common; thresholds off the grid of quotients keep
# float32 and float64 on one side.
corners = st.integers(0, 40)
boxes_strategy = st.lists(
    st.tuples(corners, corners, st.integers(1, 30), st.integers(1, 30), st.integers(0, 8)),
    max_size=25,
)


@steady
@given(boxes_strategy, st.sampled_from([0.0, 0.30001, 0.40001, 0.50001, 1.0]))
def test_nms_against_the_naive_one(found: list[tuple[int, ...]], limit: float) -> None:
    rows = np.array(found, np.float64).reshape(-1, 5)
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    scores = rows[:, 4] / 8
    kept = nms(boxes, scores, limit)
    assert kept.tolist() == naive_nms(boxes, scores, limit)
    assert (np.diff(scores[kept]) <= 0).all()


@steady
@given(boxes_strategy, boxes_strategy)
def test_iou_against_the_naive_one(
    first: list[tuple[int, ...]], second: list[tuple[int, ...]]
) -> None:
    a, b = (np.array(rows, np.float64).reshape(-1, 5) for rows in (first, second))
    a, b = (np.concatenate([r[:, :2], r[:, :2] + r[:, 2:4]], axis=1) for r in (a, b))
    iou = box_iou(a, b)
    assert iou.shape == (len(a), len(b))
    expected = np.array([[naive_iou(x, y) for y in b] for x in a]).reshape(iou.shape)
    assert iou == pytest.approx(expected, abs=1e-6)


def test_boxes_without_area_overlap_nothing() -> None:
    point, inverted, box = [5, 5, 5, 5], [9, 9, 2, 2], [0, 0, 10, 10]
    assert (box_iou([point, inverted], [point, inverted, box]) == 0).all()
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


# turning


@pytest.mark.parametrize("angle", [0, 15, 90, 137, 180, -60, 270, 360])
@pytest.mark.parametrize("shape", [(90, 140), (141, 90)])
def test_rotation_moves_points_as_it_moves_pixels(angle: float, shape: tuple[int, int]) -> None:
    height, width = shape
    dots = np.array([[20, 15], [width - 18, 30], [40, height - 16]], np.float64)
    matrix, (new_h, new_w) = rotation_matrix(*shape, angle), rotated_size(*shape, angle)
    for dot, (x, y) in zip(dots, apply_affine(matrix, dots), strict=True):
        image = np.zeros((*shape, 3), np.uint8)
        cv2.circle(image, (int(dot[0]), int(dot[1])), 4, (255, 255, 255), -1)
        turned = cv2.warpAffine(image, matrix, (new_w, new_h))
        rows, columns = np.nonzero(turned[..., 0] > 100)
        assert columns.mean() == pytest.approx(x, abs=0.4)
        assert rows.mean() == pytest.approx(y, abs=0.4)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3, 4, -1])
def test_quarters_agree_with_the_matrix(quarters: int) -> None:
    image = drawn(90, 140)
    turned = rotate_quarter(image, quarters)
    assert turned.flags.c_contiguous
    matrix, (new_h, new_w) = (
        rotation_matrix(90, 140, 90 * quarters),
        rotated_size(90, 140, 90 * quarters),
    )
    assert turned.shape == (new_h, new_w, 3)
    by_matrix = cv2.warpAffine(image, matrix, (new_w, new_h), borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(by_matrix.astype(int) - turned).max() <= 1


@pytest.mark.parametrize("angle", [10, 45, 100, 181])
def test_the_whole_photo_fits_on_the_turned_canvas(angle: float) -> None:
    corners_px = np.array([[0, 0], [139, 0], [0, 89], [139, 89]])
    turned = apply_affine(rotation_matrix(90, 140, angle), corners_px)
    new_h, new_w = rotated_size(90, 140, angle)
    assert (turned >= -0.5).all()
    assert (turned <= [new_w - 0.5, new_h - 0.5]).all()
    assert new_h <= np.hypot(90, 140) + 1
    assert new_w <= np.hypot(90, 140) + 1

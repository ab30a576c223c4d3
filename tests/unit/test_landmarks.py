"""68 landmarks: which is which, what they tell, and the network that finds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.geometry import apply_affine, template_points
from arcid.landmarks.points import JAW, LEFT_EYE, MIRRORED_68, MOUTH, RIGHT_EYE, Landmarks
from arcid.types import FloatArray


def drawn(eye: float = 0.3, mouth: float = 0.0) -> FloatArray:
    """(68,2) of a face drawn symmetrically about x = 50; ``eye`` and ``mouth``: height over width
    of the rings."""

    def ring(middle: tuple[float, float], width: float, height: float, count: int) -> FloatArray:
        angle = np.pi + np.arange(count) * 2 * np.pi / count
        at = np.stack([np.cos(angle) * width, np.sign(np.sin(angle).round(9)) * height], axis=1) / 2
        found: FloatArray = (np.array(middle) + at).astype(np.float32)
        return found

    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([50 + 40 * np.cos(turn), 40 + 50 * np.sin(turn)], axis=1)
    brows = np.stack([np.r_[np.linspace(18, 42, 5), np.linspace(58, 82, 5)], np.full(10, 25)], 1)
    bridge = np.stack([np.full(4, 50), np.linspace(40, 58, 4)], axis=1)
    base = np.stack([np.linspace(42, 58, 5), np.full(5, 62)], axis=1)
    eyes = [ring((30, 40), 16, 16 * eye, 6), ring((70, 40), 16, 16 * eye, 6)]
    lips = [ring((50, 75), 30, 12, 12), ring((50, 75), 24, 24 * mouth, 8)]
    return np.concatenate([jaw, brows, bridge, base, *eyes, *lips]).astype(np.float32)


def test_a_mirrored_face_keeps_its_order() -> None:
    face = drawn(mouth=0.4)
    mirrored = face * [-1, 1] + [100, 0]
    np.testing.assert_allclose(mirrored[MIRRORED_68], face, atol=1e-3)
    assert sorted(MIRRORED_68) == list(range(68))
    assert [MIRRORED_68[MIRRORED_68[i]] for i in range(68)] == list(range(68))
    assert MIRRORED_68[36] == 45 and MIRRORED_68[JAW.start] == 16


def test_openness_is_height_over_width() -> None:
    found = Landmarks(np.stack([drawn(0.3, 0.0), drawn(0.05, 0.5)]))
    np.testing.assert_allclose(found.openness("eyes"), [0.3, 0.05], atol=1e-3)
    np.testing.assert_allclose(found.openness("mouth"), [0.0, 0.5], atol=1e-3)
    large = Landmarks(found.points * 7 + 3)
    np.testing.assert_allclose(large.openness("eyes"), found.openness("eyes"), atol=1e-5)


def test_the_five_points_and_the_contour_are_among_the_68() -> None:
    found = Landmarks(drawn()[None])
    five = found.five[0]
    np.testing.assert_allclose(five[:2], [[30, 40], [70, 40]], atol=1e-3)
    assert five[3, 0] < five[2, 0] < five[4, 0] and five[2, 1] < five[3, 1]
    assert found.contour.shape == (1, 27, 2)
    assert len(Landmarks(np.zeros((0, 68, 2), np.float32)).openness("eyes")) == 0
    assert repr(found) == "Landmarks(1 face, 68 points each)"
    assert len(found[0]) == 1 and found[0] in found


@pytest.mark.parametrize("shape", [(68, 2), (1, 5, 2), (2, 68, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArray, match=r"landmarks must have shape \(N,68,2\)"):
        Landmarks(np.zeros(shape, np.float32))


# --- training ------------------------------------------------------------------------------------


def labelled(folder: Path, dense: bool = True) -> Any:
    """Twelve drawn crops of six people, and a run on them."""
    pytest.importorskip("torch", reason="training needs torch")
    import cv2

    from arcid.train.detector.labels import FORMAT, write_labels
    from arcid.train.detector.landmarks.config import parse_points_config

    five = template_points(112) + 8
    lines: list[dict[str, Any]] = [{"format": FORMAT, "detectors": ["a", "b"]}]
    for n in range(12):
        name = f"p{n // 2}/{n}.png"
        points = drawn(0.2 + 0.02 * n) + 14
        image = np.full((128, 128, 3), 40 + 10 * n, np.uint8)
        for x, y in points.round().astype(int).tolist():
            cv2.circle(image, (x, y), 2, (255, 200, 20 * n), -1)
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), image)
        face = {"box": [20, 20, 108, 118], "points": five.tolist(), "scores": [0.9, None]}
        if dense:
            face["dense"] = points.tolist()
        like = f"p{n // 2}/{n - 1}.png" if n % 2 else ""
        lines.append({"picture": name, "size": [128, 128], "like": like, "faces": [face]})
    write_labels(folder / "labels.jsonl", lines)
    return parse_points_config(
        json.dumps({
            "out": str(folder / "run"),
            "scenes": {"path": str(folder), "labels": str(folder / "labels.jsonl"),
                       "batch": 4, "reserve": 0.4},
            "network": {"points": 68, "side": 48, "width": 0.25},
            "schedule": {"steps": 2},
            "validation": {"minutes": 0},
        })
    )  # fmt: skip


@pytest.fixture
def recipe(tmp_path: Path) -> Any:
    return labelled(tmp_path)


def test_a_view_moves_the_68_points_with_the_face(recipe: Any) -> None:
    from arcid.train.detector.landmarks.views import FaceViews, crop_matrix
    from arcid.train.detector.scenes import split

    training, reserved = split(recipe.scenes)
    people = [{s.labels.picture.partition("/")[0] for s in part.scenes}
              for part in (training, reserved)]  # fmt: skip
    assert people[0] and people[1] and not people[0] & people[1]
    views = FaceViews(training, recipe)
    for view in (views(step, 0) for step in range(20)):
        assert view.image.shape == (48, 48, 3) and view.points.shape == (68, 2)
        left, right = view.points[LEFT_EYE].mean(axis=0), view.points[RIGHT_EYE].mean(axis=0)
        assert left[0] < right[0] < left[0] + 1  # in order whether mirrored or not
        assert view.points[MOUTH].mean(axis=0)[1] > left[1]
    labels = training.labels(0)
    matrix = crop_matrix(labels.boxes[0], labels.points[0], 48)
    assert labels.dense is not None
    placed = apply_affine(matrix, labels.dense[0])
    assert (placed > -5).all() and (placed < 53).all()


def test_it_trains_measures_and_comes_back(recipe: Any) -> None:
    import torch

    from arcid.train.detector.landmarks.job import PointsJob, restore_points, train_points

    assert train_points(recipe).steps == 2
    network, _ = restore_points(Path(recipe.out))
    with torch.inference_mode():
        assert network(torch.zeros(3, 3, 48, 48)).shape == (3, 136)
    assert PointsJob(recipe).measure(network)["faces"] >= 2


def test_labels_of_five_points_are_told(tmp_path: Path) -> None:
    from arcid.train.detector.landmarks.job import train_points

    with pytest.raises(DatasetInvalid, match="has no 68 points"):
        train_points(labelled(tmp_path, dense=False))

"""Pseudo-labels of two detectors: who agrees, what is set aside, and how files are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.train.detector.labels import (
    Agreement,
    agree,
    label,
    read_labels,
    reserved,
    summarise,
    write_labels,
)
from arcid.types import Detections, Image

PICTURE = np.zeros((100, 120, 3), np.uint8)


def faces(*rows: tuple[float, float, float, float, float], points: bool = True) -> Detections:
    """x, y, width, height, score of each."""
    found = np.array(rows, np.float32).reshape(-1, 5)
    boxes = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], axis=1)
    five = np.repeat(boxes[:, None, :2], 5, axis=1) + np.arange(10).reshape(5, 2)
    return Detections(boxes, found[:, 4], five.astype(np.float32) if points else None, (100, 120))


def test_one_face_seen_twice_is_a_label_and_the_rest_is_set_aside() -> None:
    first = faces((10, 10, 40, 50, 0.9), (70, 10, 20, 20, 0.35), (70, 60, 20, 20, 0.2))
    second = faces((0, 80, 20, 20, 0.7), (12, 12, 40, 50, 0.8))
    assert agree(first, second, Agreement()) == ([(0, 1)], [1], [0])


def test_what_the_first_is_sure_of_alone_is_a_label() -> None:
    first = faces((10, 10, 40, 50, 0.9), (70, 10, 20, 20, 0.5))
    second = faces((0, 80, 20, 20, 0.7), (12, 12, 40, 50, 0.8))
    assert agree(first, second, Agreement()) == ([(0, 1), (1, None)], [], [0])
    assert agree(first, second, Agreement(alone=1.1)) == ([(0, 1)], [1], [0])


def test_an_unsure_pair_is_no_label() -> None:
    weak, sure = faces((10, 10, 40, 50, 0.4)), faces((10, 10, 40, 50, 0.9))
    assert agree(weak, sure, Agreement(sure=0.5, alone=0.5)) == ([], [0], [])
    assert agree(sure, weak, Agreement(second=0.5, alone=1.1)) == ([], [0], [0])
    assert agree(sure, weak, Agreement(second=0.3)) == ([(0, 0)], [], [])


def test_two_faces_cannot_share_one_find() -> None:
    first = faces((10, 10, 40, 40, 0.9), (12, 12, 40, 40, 0.8))
    pairs, lone, other = agree(first, faces((10, 10, 40, 40, 0.9)), Agreement(alone=1.1))
    assert (pairs, lone, other) == ([(0, 0)], [1], [])


def written(tmp_path: Path, name: str = "group/a.jpg") -> Path:
    first = faces((10, 10, 40, 50, 0.9), (70, 10, 20, 20, 0.35))
    second = faces((12, 12, 40, 50, 0.8), (0, 80, 15, 15, 0.6))
    path = tmp_path / "labels.jsonl"

    def of(answer: Detections) -> object:
        return lambda images: [answer] * len(images)

    pictures: list[tuple[str, Image]] = [(name, PICTURE)]
    lines = label(pictures, {"one": of(first), "two": of(second)})  # type: ignore[dict-item]
    assert write_labels(path, lines) == 1
    return path


def test_the_first_detectors_geometry_is_kept(tmp_path: Path) -> None:
    (known,) = read_labels(written(tmp_path))
    assert (known.picture, known.folder, known.size) == ("group/a.jpg", "group", (100, 120))
    np.testing.assert_allclose(known.boxes, [[10, 10, 50, 60]])
    np.testing.assert_allclose(known.points[0], 10 + np.arange(10).reshape(5, 2))
    np.testing.assert_allclose(known.ignore, [[70, 10, 90, 30], [0, 80, 15, 95]])


def test_where_no_face_can_be_every_detection_is_a_false_positive(tmp_path: Path) -> None:
    path = written(tmp_path, "background/a.jpg")
    (known,) = read_labels(path)
    assert len(known.ignore) == len(known.boxes) == 0
    (row,) = summarise(path)
    assert (row.faces, dict(row.lone), row.disputed) == (0, {"one": 2, "two": 1}, 1)


def test_a_teacher_without_points_cannot_come_first() -> None:
    bare = faces((10, 10, 40, 50, 0.9), points=False)
    with pytest.raises(InvalidArray, match="no points"):
        list(label([("a/b", PICTURE)], {"one": lambda _: [bare], "two": lambda _: [bare]}))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("no json", "line 2 is no JSON"),
        ('{"picture": "a/b", "size": [1, 2]}', "line 2 lacks"),
        ('{"picture": "a/b", "size": [9, 9], "faces": [{"box": [1, 2, 3]}]}', "line 2 lacks"),
        ('{"picture": "a/b", "size": [9, 9], "faces": [{"box": [1, 2, NaN, 4], "points": '
         + json.dumps([[0, 0]] * 5) + "}]}", "NaN"),
    ],
)  # fmt: skip
def test_damaged_lines_are_named(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"format": 1, "detectors": ["a", "b"]}\n' + line + "\n")
    with pytest.raises(DatasetInvalid, match=what):
        read_labels(path)


def test_other_formats_and_missing_files_say_how_to_make_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    with pytest.raises(DatasetInvalid, match="arcid detector label"):
        read_labels(path)
    path.write_text('{"format": 7}\n')
    with pytest.raises(DatasetInvalid, match="format 7"):
        read_labels(path)


def test_the_split_is_by_name_and_as_large_as_asked() -> None:
    names = [f"single/{i:06d}.webp" for i in range(4000)]
    kept = {name for name in names if reserved(name, 0.15)}
    assert 0.13 < len(kept) / len(names) < 0.17
    assert kept <= {name for name in names if reserved(name, 0.3)}
    assert reserved("group/1.webp", 0.9999999) and not reserved("group/1.webp", 1e-9)

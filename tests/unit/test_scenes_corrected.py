"""The pictures corrected by eye: readable, reserved, never trained on; how lookalikes are met."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from arcid.errors import DatasetInvalid
from arcid.image import load_image
from arcid.train.data.sources import ImageSource
from arcid.train.detector.config import ScenesConfig
from arcid.train.detector.evaluate import compare, summarise
from arcid.train.detector.labels import (
    ALIKE_BITS,
    Lookalikes,
    PictureLabels,
    looks,
    read_labels,
    reserved,
)
from arcid.train.detector.scenes import open_scenes, read_picture, split
from arcid.types import Detections, Image

CORRECTED = Path(__file__).parents[2] / "benchmarks/data/scenes_corrected.jsonl"
SHARE = ScenesConfig().reserve
FOLDERS = {"group": 35, "masked": 30, "single": 20, "background": 15}
POINTS = [[20, 20], [40, 20], [30, 30], [22, 40], [38, 40]]


@pytest.fixture(scope="module")
def corrected() -> list[PictureLabels]:
    return read_labels(CORRECTED)


@pytest.fixture(scope="module")
def source(data_dir: Path) -> ImageSource:
    return open_scenes(str(data_dir / "data/scenes.tar"))


def test_the_pictures_are_a_hundred_reserved_ones(corrected: list[PictureLabels]) -> None:
    names = [one.picture for one in corrected]
    assert len(set(names)) == 100
    assert {f: sum(one.folder == f for one in corrected) for f in FOLDERS} == FOLDERS
    assert all(reserved(one.like or one.picture, SHARE) for one in corrected)
    roots = [one.like or one.picture for one in corrected]
    assert len(set(roots)) == 100


def test_the_boxes_lie_in_their_pictures(corrected: list[PictureLabels]) -> None:
    for one in corrected:
        height, width = one.size
        for boxes in (one.boxes, one.ignore):
            assert (boxes >= 0).all() and (boxes[:, 2:] <= (width, height)).all()
            assert (boxes[:, 2:] - boxes[:, :2] > 1).all()
        assert one.folder != "background" or not len(one.boxes)
    assert sum(len(one.boxes) for one in corrected) > 300


def test_points_are_whole_or_unknown(corrected: list[PictureLabels]) -> None:
    unknown = np.concatenate([np.isnan(one.points).reshape(-1, 10) for one in corrected])
    assert (unknown.all(axis=1) == unknown.any(axis=1)).all()
    assert 0 < unknown.all(axis=1).sum() < 20


@pytest.mark.data
def test_the_pictures_are_in_the_archive_as_labelled(
    corrected: list[PictureLabels], source: ImageSource
) -> None:
    index = {source.key(i): i for i in range(len(source))}
    assert {one.picture for one in corrected} <= index.keys()
    for one in corrected[::10]:
        assert read_picture(source, index[one.picture]).shape[:2] == one.size


@pytest.mark.data
def test_none_is_trained_on(
    corrected: list[PictureLabels], source: ImageSource, tmp_path: Path, data_dir: Path
) -> None:
    like = {one.picture: one.like for one in corrected}
    names = [source.key(i) for i in range(len(source))]
    path = tmp_path / "labels.jsonl"
    rows = [{"picture": n, "size": [9, 9], "like": like.get(n, ""), "faces": []} for n in names]
    path.write_text("\n".join(json.dumps(row) for row in [{"format": 1}, *rows]) + "\n")
    training, validation = split(
        ScenesConfig(path=str(data_dir / "data/scenes.tar"), labels=str(path))
    )
    trained = {training.labels(i).picture for i in range(len(training))}
    held_out = {validation.labels(i).picture for i in range(len(validation))}
    assert not trained & like.keys() and like.keys() <= held_out
    assert 0.8 < len(trained) / len(names) < 0.9


@pytest.mark.data
def test_a_face_without_points_cannot_be_trained_on(
    corrected: list[PictureLabels], data_dir: Path, tmp_path: Path
) -> None:
    bare = next(one for one in corrected if np.isnan(one.points).any())
    lines = CORRECTED.read_text(encoding="utf-8").splitlines()
    line = next(text for text in lines if f'"picture":"{bare.picture}"' in text)
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{lines[0]}\n{line}\n", encoding="utf-8")
    config = ScenesConfig(path=str(data_dir / "data/scenes.tar"), labels=str(path), reserve=1e-9)
    with pytest.raises(DatasetInvalid, match="no points"):
        split(config)


def test_points_nobody_knows_are_not_measured(tmp_path: Path) -> None:
    faces = [{"box": [10, 10, 50, 50], "points": None}, {"box": [60, 10, 99, 50], "points": POINTS}]
    row = {"picture": "a/b", "size": [100, 100], "faces": faces}
    path = tmp_path / "labels.jsonl"
    path.write_text('{"format": 1}\n' + json.dumps(row) + "\n")
    (known,) = read_labels(path)
    assert np.isnan(known.points[0]).all() and np.isfinite(known.points[1]).all()
    points = np.array([POINTS, POINTS], np.float32) + 2
    found = Detections(known.boxes, np.array([0.9, 0.8], np.float32), points, (100, 100))
    matched = compare(found, known)
    assert matched.hits.all() and np.isnan(matched.errors[0])
    metrics = summarise([matched])
    assert metrics.recall == 1
    assert metrics.point_error == pytest.approx(np.sqrt(8) / 20, abs=1e-4)


def test_half_known_points_are_refused(tmp_path: Path) -> None:
    face = {"box": [10, 10, 50, 50], "points": [[float("nan"), 1], *POINTS[1:]]}
    path = tmp_path / "labels.jsonl"
    row = {"picture": "a/b", "size": [100, 100], "faces": [face]}
    path.write_text('{"format": 1}\n' + json.dumps(row) + "\n")
    with pytest.raises(DatasetInvalid, match="NaN"):
        read_labels(path)


def _changed(image: Image, folder: Path) -> Image:
    """Mirrored, brightened and stored as a JPEG of quality 60."""
    from PIL import Image as Pillow

    bright = np.clip(image[:, ::-1].astype(np.float32) * 1.15 + 12, 0, 255).astype(np.uint8)
    Pillow.fromarray(bright).save(folder / "copy.jpg", quality=60)
    return load_image(folder / "copy.jpg")


@pytest.mark.data
def test_a_changed_copy_is_met_and_strangers_are_not(
    corrected: list[PictureLabels], source: ImageSource, tmp_path: Path
) -> None:
    index = {source.key(i): i for i in range(len(source))}
    rows = [one for one in corrected if one.folder in ("group", "single")][:30]
    images = {one.picture: read_picture(source, index[one.picture]) for one in rows}
    alike = Lookalikes()
    assert [alike.first(name, image) for name, image in images.items()] == [""] * 30
    for name in list(images)[::6]:
        assert alike.first("copy", _changed(images[name], tmp_path)) == name


@pytest.mark.data
def test_looks_move_little_with_exposure_and_turn_with_the_mirror(
    corrected: list[PictureLabels], source: ImageSource, tmp_path: Path
) -> None:
    index = {source.key(i): i for i in range(len(source))}
    image = read_picture(source, index[corrected[0].picture])
    own, other = looks(image), looks(_changed(image, tmp_path))
    assert (own[0] != other[1]).sum() <= ALIKE_BITS
    assert (own[0] != other[0]).sum() > ALIKE_BITS

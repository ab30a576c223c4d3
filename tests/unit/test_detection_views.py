"""Recipes, and canvases of real pictures whose faces are followed."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from arcid.detect import create
from arcid.errors import ConfigError, DatasetInvalid, UsageError
from arcid.geometry import apply_affine, box_iou, template_points
from arcid.image import load_image
from arcid.models import catalogue
from arcid.runtime import open_session
from arcid.train.config.file import differences, dump
from arcid.train.config.recipe import AugmentConfig, SourceConfig
from arcid.train.data.sources import open_source
from arcid.train.detector.config import (
    STRIDES,
    DetectConfig,
    FurtherConfig,
    ScenesConfig,
    ViewsConfig,
    load_detect_config,
    parse_detect_config,
)
from arcid.train.detector.faces import write_faces
from arcid.train.detector.labels import PictureLabels, label, write_labels
from arcid.train.detector.lettering import letter
from arcid.train.detector.scenes import Scenes, open_scenes, pictures, read_picture, split
from arcid.train.detector.views import Views, collate, moved_boxes, visible
from arcid.types import Image

CONFIGS = Path(__file__).parents[2] / "configs"
RECIPES = sorted(CONFIGS.glob("detect_s_*.yaml"))
PLAIN = ViewsConfig(
    sizes=(256,),
    mosaic=0,
    crowd=0,
    empty=0,
    face_px=40,
    face_share=0.5,
    rotate=1,
    rotate_deg=30,
    mask=0,
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_parse(path: Path) -> None:
    config = load_detect_config(path)
    assert parse_detect_config(dump(config)) == config
    assert config.schedule.length > 0
    assert config.out == f"runs/{path.stem}"
    assert all(size % STRIDES[-1] == 0 for size in config.views.sizes)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("views: {mosaik: 1}", "did you mean views.mosaic"),
        ("views: {sizes: [300]}", "a multiple of 32"),
        ("views: {mosaic: 0.7, crowd: 0.6}", "more than all"),
        ("views: {mosaic: 0.5, crowd: 0.3, tight: 0.3}", "more than all"),
        ("views: {photo: {mask: 0.5}}", "setting of its own"),
        ("views: {face_px: 4}", "views.face_px"),
        ("scenes: {reserve: 0}", "scenes.reserve"),
        ("scenes: {weights: {group: many}}", "scenes.weights.group"),
        ("network: {channels: 2}", "network.channels"),
        ("scenes: {further: [{path: crops.tar, labels: ''}]}", "scenes.further"),
        ("scenes: {further_share: 2}", "further_share"),
        ("teacher: {weight: -1}", "teacher.weight"),
        ("loss: {points_beta: 0}", "points_beta"),
        ("optim: {ema: 1}", "below 1"),
        ("validation: {fppi: 0}", "validation.fppi"),
        ("judge: {alarms: 0}", "validation.fppi"),
        ("{judge: {fppi: 1}, validation: {fppi: 1}}", "now called validation"),
        ("validation: {alarms: 0.1, fppi: 0.1}", "validation.alarms"),
        ("- 1", "mapping of sections"),
    ],
)
def test_settings_without_meaning_are_refused(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        parse_detect_config(text)


def test_what_makes_another_run() -> None:
    config = DetectConfig()
    other = parse_detect_config("{out: b, seed: 2, schedule: {minutes: 3}, network: {inner: 8}}")
    assert differences({}, config.to_dict(), ignore=DetectConfig.free)
    stored = parse_detect_config("{}")
    assert differences(stored.to_dict(), config.to_dict(), ignore=DetectConfig.free) == []
    found = differences(stored.to_dict(), other.to_dict(), ignore=DetectConfig.free)
    assert {line.split(":")[0] for line in found} == {
        "seed", "network.inner",
    }  # fmt: skip


def test_a_turned_box_holds_the_ellipse_not_the_corners() -> None:
    turn = np.array([[0.0, -1, 100], [1, 0, 50]])  # a quarter
    np.testing.assert_allclose(
        moved_boxes(turn, np.array([[10, 20, 30, 60]], np.float32)), [[40, 60, 80, 80]], atol=1e-4
    )
    c = np.sqrt(0.5)
    eighth = np.array([[c, -c, 0.0], [c, c, 0.0]])
    circle = moved_boxes(eighth, np.array([[-10, -10, 10, 10]], np.float32))
    np.testing.assert_allclose(circle, [[-10, -10, 10, 10]], atol=1e-4)
    angles = np.linspace(0, 2 * np.pi, 721)
    ellipse = np.stack([20 * np.cos(angles) + 5, 8 * np.sin(angles) - 3], 1)
    moved = apply_affine(eighth, ellipse)
    hull = np.concatenate([moved.min(0), moved.max(0)])
    box = moved_boxes(eighth, np.array([[-15, -11, 25, 5]], np.float32))[0]
    np.testing.assert_allclose(box, hull, atol=0.01)


def test_visible_share() -> None:
    boxes = np.array([[0, 0, 10, 10], [-5, -5, 5, 5], [30, 0, 40, 10]], np.float32)
    assert visible(boxes, (20, 30)).tolist() == [1.0, 0.25, 0.0]


def test_writing_covers_no_face_and_repeats() -> None:
    paper = np.random.default_rng(0).integers(60, 90, (192, 192, 3), dtype=np.uint8)
    faces = np.array([[60, 60, 130, 140], [10, 150, 40, 190]], np.float32)
    written = np.zeros((192, 192), np.int64)
    for seed in range(60):
        one, two = paper.copy(), paper.copy()
        letter(one, faces, np.random.default_rng(seed))
        letter(two, faces, np.random.default_rng(seed))
        np.testing.assert_array_equal(one, two)
        changed = (one != paper).any(axis=2)
        assert not changed[60:140, 60:130].any() and not changed[150:190, 10:40].any()
        written += changed
    assert (written > 0).mean() > 0.5 and written.max() < 45
    crowded = paper.copy()
    letter(crowded, np.array([[0, 0, 192, 192]], np.float32), np.random.default_rng(1))
    np.testing.assert_array_equal(crowded, paper)


@pytest.fixture(scope="module")
def labelled(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> ScenesConfig:
    """Pictures of the data folder with labels made here, by the two teachers."""
    folder = tmp_path_factory.mktemp("scenes")
    with tarfile.open(data_dir / "data/scenes.tar") as archive:
        archive.extractall(folder, archive.getmembers()[::60], filter="data")
    config = ScenesConfig(path=str(folder), labels=str(folder / "labels.jsonl"))
    finders = {}
    for name in ("scrfd_2.5g", "yunet"):
        entry = catalogue.ENTRIES[name]
        session = open_session(data_dir / "models" / entry.files[0].filename)
        finders[name] = create(entry.manifest, session, threshold=0.3).detect
    count, images = pictures(config)
    assert write_labels(folder / "labels.jsonl", label(images, finders)) == count == 64
    return config


@pytest.fixture(scope="module")
def scenes(labelled: ScenesConfig) -> tuple[Scenes, Scenes]:
    """The same for training and for validation."""
    return split(labelled)


@pytest.mark.data
def test_teachers_agree_on_most_faces_and_on_no_background(
    scenes: tuple[Scenes, Scenes],
) -> None:
    known = [part.labels(i) for part in scenes for i in range(len(part))]
    by = {f: [k for k in known if k.folder == f] for f in ("single", "background", "group")}
    assert sum(len(k.boxes) == 1 for k in by["single"]) >= 0.8 * len(by["single"]) > 10
    assert sum(len(k.boxes) for k in by["background"]) == 0
    assert all(len(k.ignore) == 0 for k in by["background"])
    assert max(len(k.boxes) for k in by["group"]) >= 2


@pytest.mark.data
def test_faces_are_where_the_labels_of_a_canvas_say(
    scenes: tuple[Scenes, Scenes], data_dir: Path
) -> None:
    """The teacher, shown the canvas alone, finds the same faces: boxes, points and no mirror."""
    views = Views(scenes[0], PLAIN, ScenesConfig(), seed=3)
    entry = catalogue.ENTRIES["scrfd_2.5g"]
    detector = create(
        entry.manifest, open_session(data_dir / "models" / entry.files[0].filename), threshold=0.3
    )
    overlaps, errors = [], []
    for row in range(24):
        view = views(0, row, 256)
        found = detector.detect([view.image])[0]
        clear = np.flatnonzero(visible(view.boxes, (256, 256)) > 0.95)
        for i in clear:
            overlap = box_iou(view.boxes[i : i + 1], found.boxes)[0]
            overlaps.append(overlap.max(initial=0))
            if overlaps[-1] > 0.5:
                side = np.sqrt((view.boxes[i, 2:] - view.boxes[i, :2]).prod())
                best = found.points[overlap.argmax()]
                errors.append(np.linalg.norm(best - view.points[i], axis=1).mean() / side)
    assert len(overlaps) >= 20
    assert np.mean(np.array(overlaps) > 0.6) >= 0.85
    assert np.median(errors) < 0.03 and np.mean(np.array(errors) < 0.1) > 0.85


@pytest.mark.data
def test_on_a_tight_canvas_one_face_fills_it_or_leaves_it(
    scenes: tuple[Scenes, Scenes], data_dir: Path
) -> None:
    tight = PLAIN.but(tight=1.0, rotate=0, mask=0)
    views = Views(scenes[0], tight, ScenesConfig(), seed=5)
    entry = catalogue.ENTRIES["scrfd_2.5g"]
    detector = create(entry.manifest, open_session(data_dir / "models" / entry.files[0].filename))
    sides, leaving, found_again = [], 0, []
    for row in range(24):
        view = views(0, row, 256)
        if not len(view.boxes):
            continue  # less of it is seen than may be asked for
        size = np.sqrt((view.boxes[:, 2:] - view.boxes[:, :2]).prod(axis=1))
        largest = view.boxes[size.argmax()]
        sides.append(size.max() / 256)
        leaving += bool((largest < 0).any() or (largest > 256).any())
        overlap = box_iou(largest[None], detector.detect([view.image])[0].boxes)[0]
        found_again.append(overlap.max(initial=0) > 0.5)
    assert len(sides) >= 18
    assert np.mean(np.array(sides) > 0.55) > 0.8  # else a neighbour of one that is cut too far
    assert max(sides) < 1.3
    assert leaving >= 5
    assert np.mean(found_again) > 0.8  # by the second try: where the labels say


@pytest.mark.data
def test_canvases_repeat_and_differ(scenes: tuple[Scenes, Scenes]) -> None:
    config = ViewsConfig(
        sizes=(128, 192),
        mosaic=0.5,
        crowd=0.3,
        mask=1.0,
        lettering=0.5,
        photo=AugmentConfig(flip=0, dark=0.5, blur=0.5, jpeg=0.5, grey=0.5),
    )
    views, again = (Views(scenes[0], config, ScenesConfig(), seed=5) for _ in range(2))
    for row in range(6):
        one, two = views(7, row, 192), again(7, row, 192)
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.boxes, two.boxes)
        assert (views(8, row, 192).image != one.image).any()
    batch = collate([views(1, row, 128) for row in range(12)])
    assert batch.images.shape == (12, 128, 128, 3) and batch.images.std() > 20
    assert len(batch.boxes) == len(batch.points) == len(batch.boxes_of) > 12
    assert batch.boxes_of.max() < 12 and (np.diff(batch.boxes_of) >= 0).all()
    sides = np.sqrt((batch.boxes[:, 2:] - batch.boxes[:, :2]).prod(axis=1))
    assert sides.min() >= config.ignore_px and sides.max() > 40


@pytest.mark.data
def test_further_pictures_are_drawn_as_often_as_asked_and_judge_nothing(
    labelled: ScenesConfig, scenes: tuple[Scenes, Scenes], data_dir: Path, tmp_path: Path
) -> None:
    archive = str(data_dir / "data/train/ukmp.tar")
    crops = open_scenes(archive)
    find = create(
        catalogue.ENTRIES["scrfd_2.5g"].manifest,
        open_session(data_dir / "models" / catalogue.ENTRIES["scrfd_2.5g"].files[0].filename),
    ).detect
    named = [(crops.key(i), read_picture(crops, i)) for i in range(40)]
    assert write_labels(tmp_path / "crops.jsonl", label(named, {"a": find, "b": find})) == 40
    config = labelled.but(
        further=(FurtherConfig(path=archive, labels=str(tmp_path / "crops.jsonl")),),
        further_share=0.5,
        weights={"ukmp": 0},
    )
    training, validation = split(config)
    assert len(training) == len(scenes[0]) + 40 and len(validation) == len(scenes[1])
    views = Views(training, PLAIN, config, seed=2)
    keys = {name for name, _ in named}
    drawn = [views.draw(np.random.default_rng(i)) for i in range(400)]
    share = np.mean([training.labels(row).picture in keys for row in drawn])
    assert 0.4 < share < 0.6
    view = Views(training, PLAIN, config.but(further_share=1.0), 2)(0, 0, 256)
    assert len(view.boxes) == 1 and view.image.std() > 10


@pytest.mark.data
def test_flips_swap_left_and_right(scenes: tuple[Scenes, Scenes]) -> None:
    for flip in (0.0, 1.0):
        views = Views(
            scenes[0],
            ViewsConfig(sizes=(256,), mosaic=0, crowd=0, empty=0, flip=flip, rotate=0, mask=0),
            ScenesConfig(weights={"group": 0, "masked": 0}),
            seed=1,
        )
        points = np.concatenate([views(0, row, 256).points for row in range(12)])
        ordered = (points[:, 0, 0] < points[:, 1, 0]) & (points[:, 3, 0] < points[:, 4, 0])
        assert ordered.mean() > 0.9


@pytest.mark.data
def test_pictures_that_are_not_the_labelled_ones_are_refused(
    data_dir: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.jsonl"
    line = '{"picture": "%s", "size": [7, 9], "faces": []}\n'
    config = ScenesConfig(path=str(data_dir / "data/scenes.tar"), labels=str(labels), reserve=0.5)
    names = [f"group/{i}.webp" for i in (1, 10, 100, 105)]

    def write(pictures: list[str]) -> None:
        head = '{"format": 1, "detectors": ["a", "b"]}\n'
        labels.write_text(head + "".join(line % name for name in pictures))

    write(names)
    training, validation = split(config)
    assert len(training) + len(validation) == 4
    with pytest.raises(DatasetInvalid, match="label the pictures again"):
        training.image(0)
    write([*names, "group/unknown.webp"])
    with pytest.raises(DatasetInvalid, match="not among"):
        split(config)
    write(["group/1.webp"])
    with pytest.raises(DatasetInvalid, match="both are needed"):
        split(config)


@pytest.mark.data
def test_cut_faces_lie_on_the_template(
    data_dir: Path, scenes: tuple[Scenes, Scenes], tmp_path: Path
) -> None:
    """SCRFD finds the five points of a cut face again where a crop has them."""
    training, _ = scenes
    path = tmp_path / "faces.tar"
    rows = range(len(training))
    assert write_faces(path, ((training.image(r), training.labels(r)) for r in rows), 60) > 15
    source = open_source(SourceConfig(path=str(path), labelled=False))
    entry = catalogue.ENTRIES["scrfd_2.5g"]
    session = open_session(data_dir / "models" / entry.files[0].filename)
    detector = create(entry.manifest, session, threshold=0.3)
    off = []
    for index in range(len(source)):
        crop = load_image(source.read(index))
        assert crop.shape == (128, 128, 3)
        found = detector.detect([np.pad(crop, ((64, 64), (64, 64), (0, 0)))])[0]
        if len(found):
            assert found.points is not None
            off.append(np.linalg.norm(found.points[0] - 64 - 8 - template_points(112), axis=1))
    assert len(off) >= 0.9 * len(source)
    assert np.median(off) < 4  # pixels; a face is no template, its points are matched as a whole


@pytest.mark.data
def test_faces_say_what_failed_and_leave_nothing_half_written(
    scenes: tuple[Scenes, Scenes], tmp_path: Path
) -> None:
    training, _ = scenes
    one = (training.image(0), training.labels(0))

    def broken() -> Iterator[tuple[Image, PictureLabels]]:
        yield one
        raise FileNotFoundError("a picture that went away")

    with pytest.raises(FileNotFoundError, match="went away"):
        write_faces(tmp_path / "faces.tar", broken(), 16)
    with pytest.raises(UsageError, match="cannot be written"):
        write_faces(Path("/dev/full/faces.tar"), [one], 16)
    with pytest.raises(DatasetInvalid, match="no labelled face"):
        write_faces(tmp_path / "faces.tar", [one], 10_000)
    assert list(tmp_path.iterdir()) == []


def test_former_names_of_settings_are_known() -> None:
    former = parse_detect_config("judge: {alarms: 0.4}")
    assert former == parse_detect_config("validation: {fppi: 0.4}")

"""Landmark refinement: cut, learned, exported, and used by the product."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from arcid.detect import ArcidDetect, create, model_files
from arcid.detect.landmarks import MAX_BATCH, LandmarkRefiner
from arcid.errors import CheckpointMismatch, ConfigError, DatasetInvalid, ManifestInvalid
from arcid.geometry import apply_affine, template_points, upright
from arcid.models.manifest import InputSpec, Licence, Manifest
from arcid.types import Detections, FloatArray, Image

SPEC = InputSpec("image", "RGB", (127.5,) * 3, (127.5,) * 3, None)
FACE = template_points(112) + np.float32(100)
BOX = np.array([110, 105, 202, 225], np.float32)


class Telling:
    """A session of a points' network that answers every crop with the same points."""

    runtime, device, precision = "none", "none", "f32"
    input_name = "image"
    output_names: tuple[str, ...] = ("points",)

    def __init__(self, points: FloatArray, shape: tuple[int | None, ...] = (None, 3, 64, 64)):
        self.points, self.input_shape = points.reshape(-1), shape
        self.fed: list[npt.NDArray[Any]] = []

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        self.fed.append(tensor)
        return {"points": np.tile(self.points, (len(tensor), 1))}


def found(boxes: FloatArray, points: FloatArray) -> Detections:
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(boxes, scores, points, (400, 400))


def turned(angle_deg: float) -> npt.NDArray[np.float64]:
    """About the middle of a 400-pixel picture."""
    a = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.column_stack([turn, 199.5 - turn @ [199.5, 199.5]])


def test_a_crop_is_upright_and_as_large_as_the_box() -> None:
    plain = upright(BOX[None], FACE[None], 64)[0][0]
    side = np.sqrt((BOX[2] - BOX[0]) * (BOX[3] - BOX[1]))
    assert np.sqrt(np.linalg.det(plain[:, :2])) == pytest.approx(64 / side)
    middle = (BOX[:2] + BOX[2:]) / 2
    np.testing.assert_allclose(apply_affine(plain, middle), [31.5, 31.5], atol=1e-4)
    wanted = apply_affine(plain, FACE)
    for angle in (30.0, -75.0, 180.0):
        matrix = turned(angle)
        centre = apply_affine(matrix, middle)
        half = (BOX[2:] - BOX[:2]) / 2
        box = np.concatenate([centre - half, centre + half])
        points = apply_affine(matrix, FACE)
        crop = upright(box[None], points[None], 64)[0][0]
        np.testing.assert_allclose(apply_affine(crop, points), wanted, atol=1e-3)


def test_what_cannot_be_cut_is_told_apart() -> None:
    boxes = np.stack([BOX, BOX, np.zeros(4, np.float32), BOX])
    points = np.stack([FACE, np.full((5, 2), 7, np.float32), FACE, FACE])
    assert upright(boxes, points, 64)[1].tolist() == [True, False, False, True]
    assert upright(boxes[:0], points[:0], 64)[1].tolist() == []


def test_answers_go_back_to_the_place_and_turn_of_each_face() -> None:
    crop = upright(BOX[None], FACE[None], 64)[0][0]
    right = ((apply_affine(crop, FACE) - 31.5) / 64).astype(np.float32)
    session = Telling(right)
    refiner = LandmarkRefiner(session, SPEC, name="x")
    picture: Image = np.zeros((400, 400, 3), np.uint8)
    noisy = FACE + np.array([3, 0], np.float32)  # shifted points: same turn, same box
    lost = np.full((5, 2), 7, np.float32)
    pictures = [
        found(np.stack([BOX, BOX]), np.stack([noisy, lost])),
        found(BOX[None][:0], FACE[None][:0]),
        found(np.stack([BOX] * MAX_BATCH), np.stack([noisy] * MAX_BATCH)),
    ]
    first, none, many = refiner([picture] * 3, pictures)
    assert first.points is not None and many.points is not None
    np.testing.assert_allclose(first.points[0], FACE, atol=1e-3)
    np.testing.assert_array_equal(first.points[1], lost)  # kept
    assert len(none) == 0
    np.testing.assert_allclose(many.points, np.stack([FACE] * MAX_BATCH), atol=1e-3)
    np.testing.assert_array_equal(many.scores, pictures[2].scores)
    np.testing.assert_array_equal(many.boxes, pictures[2].boxes)
    assert [len(tensor) for tensor in session.fed] == [MAX_BATCH, 1]


@pytest.mark.parametrize("shape", [(None, 3, None, None), (None, 3, 64, 48)])
def test_crops_have_one_square_size(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ManifestInvalid, match="square crops"):
        LandmarkRefiner(Telling(FACE, shape), SPEC, name="x")


def test_an_answer_of_another_shape_is_refused() -> None:
    refiner = LandmarkRefiner(Telling(np.zeros(8, np.float32)), SPEC, name="x")
    with pytest.raises(ManifestInvalid, match=r"\(1, 8\) for 1 faces"):
        refiner([np.zeros((400, 400, 3), np.uint8)], [found(BOX[None], FACE[None])])


def test_a_manifest_names_the_second_file_or_not() -> None:
    manifest = Manifest("x", "detection", "arcid", "0" * 64, SPEC, Licence("none"))
    assert list(model_files(manifest)) == ["model"]
    further = {"points": {"file": "points.onnx", "sha256": "1" * 64}}
    both = dataclasses.replace(manifest, options=further)
    assert model_files(both)["points"] == ("points.onnx", "1" * 64)
    broken = dataclasses.replace(manifest, options={"points": {"file": "points.onnx"}})
    with pytest.raises(ManifestInvalid, match=r"options\.points must be an object"):
        model_files(broken)


# training, on photographs

RECIPE = """
scenes: {{path: {scenes}, labels: {labels}, batch: 16, reserve: 0.3}}
views: {{shift: 0.02, scale: 0.02, turn_deg: 2, turned: 0, mask: 0}}
network: {{width: 0.5}}
optim: {{lr: 0.004, ema: 0.9}}
schedule: {{steps: {steps}, warmup: 3, final: 0.1}}
validation: {{minutes: 0}}
out: {out}
threads: 1
"""
STEPS = 200


@pytest.fixture(scope="module")
def labels(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty single portraits and what SCRFD says of them."""
    import tarfile

    from arcid.image import SUFFIXES, load_image
    from arcid.pipeline import load_detector
    from arcid.train.detector.labels import Agreement, label, write_labels

    folder = tmp_path_factory.mktemp("scenes")
    with tarfile.open(data_dir / "data/scenes.tar") as archive:
        members = [m for m in archive if m.name.startswith("single/")][:40]
        archive.extractall(folder, members, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        teachers = {name: load_detector(name).detect for name in ("scrfd_2.5g", "yunet")}
    files = sorted(f for f in folder.rglob("*") if f.suffix in SUFFIXES)
    images = ((f.relative_to(folder).as_posix(), load_image(f)) for f in files)
    write_labels(folder / "labels.jsonl", label(images, teachers, Agreement()))
    return folder / "labels.jsonl"


def recipe(labels: Path, out: Path, steps: int = STEPS, extra: str = "") -> Any:
    from arcid.train.detector.landmarks.config import parse_points_config

    text = RECIPE.format(scenes=labels.parent, labels=labels, out=out, steps=steps)
    return parse_points_config(text + extra)


@pytest.fixture(scope="module")
def run(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of half a minute, stopped and resumed once."""
    from arcid.train.detector.landmarks.job import train_points

    out = tmp_path_factory.mktemp("run") / "points"
    assert train_points(recipe(labels, out, steps=STEPS // 2)).steps == STEPS // 2
    assert train_points(recipe(labels, out)).steps == STEPS
    return out


@pytest.mark.data
def test_a_training_crop_is_the_product_s_and_wrong_by_what_is_asked(
    labels: Path, tmp_path: Path
) -> None:
    from arcid.train.detector.landmarks.views import FaceViews, _Wrong, crop_matrix
    from arcid.train.detector.scenes import split

    box, points = BOX, FACE
    product = upright(box[None], points[None], 64)[0][0]
    np.testing.assert_array_equal(crop_matrix(box, points, 64), product)
    wrong = crop_matrix(box, points, 64, _Wrong((0.1, -0.05), 1.2, np.deg2rad(10)))
    middle = apply_affine(wrong, (box[:2] + box[2:]) / 2)
    np.testing.assert_allclose(middle, 31.5 + np.array([6.4, -3.2]), atol=1e-3)
    moved = wrong[:, :2] @ np.linalg.inv(product[:, :2])
    assert np.sqrt(np.linalg.det(moved)) == pytest.approx(1.2)
    assert np.rad2deg(np.arctan2(moved[1, 0], moved[0, 0])) == pytest.approx(10)
    mirrored = apply_affine(crop_matrix(box, points, 64, _Wrong(mirrored=True)), points)
    np.testing.assert_allclose(mirrored[:, 0], 63 - apply_affine(product, points)[:, 0], atol=1e-3)

    config = recipe(labels, tmp_path)
    training, _ = split(config.scenes)
    views = FaceViews(training, config)
    one, again, other = views(5, 1), views(5, 1), views(5, 2)
    np.testing.assert_array_equal(one.image, again.image)
    assert one.image.shape == (64, 64, 3) and not np.array_equal(one.points, other.points)
    for view in (views(step, 0) for step in range(40)):
        left, right, nose, *mouth = view.points  # in order whether mirrored or not
        assert left[0] < right[0] and mouth[0][0] < mouth[1][0]
        assert (np.abs(view.points) < 0.6).all() and nose[1] > left[1]


@pytest.mark.training
@pytest.mark.data
def test_it_learns_and_goes_on_where_it_stood(run: Path, labels: Path, tmp_path: Path) -> None:
    import csv

    from arcid.train.detector.landmarks.job import PointsJob, restore_points, train_points

    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == list(range(10, STEPS + 1, 10))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    network, checkpoint = restore_points(run)
    assert (checkpoint.step, checkpoint.position) == (STEPS, STEPS * 16)
    job = PointsJob(recipe(labels, run))
    untrained = job.measure(job.network())
    assert job.measure(network)["median"] < 0.7 * untrained["median"]
    with pytest.raises(CheckpointMismatch, match=r"loss\.beta"):
        train_points(recipe(labels, run, extra="loss: {beta: 0.5}"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("views: {photo: {mask: 0.5}}", "setting of its own"),
        ("views: {turned_deg: 100}", "views.turned_deg"),
        ("views: {least_px: 2}", "views.least_px"),
        ("views: {shift_most: 2}", "views.shift_most"),
        ("network: {width: 0.1}", "network.width"),
        ("loss: {beta: 0}", "loss.beta"),
        ("validation: {faces: -1}", "validation.faces"),
    ],
)
def test_settings_without_meaning_are_refused(text: str, what: str) -> None:
    from arcid.train.detector.landmarks.config import parse_points_config

    with pytest.raises(ConfigError, match=what):
        parse_points_config(text)


def test_the_shipped_recipes_parse() -> None:
    from arcid.train.detector.landmarks.config import load_points_config

    configs = Path(__file__).parents[2] / "configs"
    assert load_points_config(configs / "detect_points.yaml").network.points == 5
    dense = load_points_config(configs / "landmarks_s.yaml")
    assert dense.network.points == 68 and dense.schedule.length > 0


@pytest.mark.data
def test_no_face_large_enough_is_told(labels: Path, tmp_path: Path) -> None:
    from arcid.train.detector.landmarks.config import PointViewsConfig
    from arcid.train.detector.landmarks.job import PointsJob

    config = recipe(labels, tmp_path)
    large = config.but(views=PointViewsConfig(least_px=4000))
    with pytest.raises(DatasetInvalid, match="4000 px"):
        PointsJob(large)


@pytest.fixture(scope="module")
def bundle(run: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that knows nothing, with a landmark refiner."""
    pytest.importorskip("onnx", reason="exporting needs onnx")
    from arcid.train.detector.config import parse_detect_config
    from arcid.train.detector.export import export_detector
    from arcid.train.detector.job import train_detector
    from arcid.train.detector.scenes import split

    folder = tmp_path_factory.mktemp("bundles")
    text = f"""
scenes: {{path: {labels.parent}, labels: {labels}, pictures: 8, batch: 4, reserve: 0.3}}
views: {{sizes: [128]}}
network: {{stem: 8, quarter: 16, channels: 16, inner: 16, blocks: 1, head: 1}}
schedule: {{steps: 2}}
validation: {{minutes: 0, pictures: 4}}
out: {folder / "detect"}
"""
    config = parse_detect_config(text)
    train_detector(config)
    _, validation = split(config.scenes)
    photos = [validation.image(0), validation.image(1)]
    return export_detector(
        folder / "detect", folder, photos, name="two-files", threshold=0.0, refiner=run
    )


@pytest.mark.training
@pytest.mark.data
def test_the_command_exports_on_one_reserved_picture_and_keeps_what_is_there(
    labels: Path, tmp_path: Path, cli: Any
) -> None:
    pytest.importorskip("onnx", reason="exporting needs onnx")
    from arcid.train.detector.config import parse_detect_config
    from arcid.train.detector.job import train_detector
    from arcid.train.detector.labels import read_labels, reserved

    head, *lines = labels.read_text("utf-8").splitlines()
    kept = [reserved(one.like or one.picture, 0.3) for one in read_labels(labels)]
    first = kept.index(True)
    few = [line for i, line in enumerate(lines) if i == first or not kept[i]][: first + 8]
    short = tmp_path / "labels.jsonl"
    short.write_text("\n".join([head, *few]) + "\n", "utf-8")
    text = f"""
scenes: {{path: {labels.parent}, labels: {short}, pictures: 4, batch: 2, reserve: 0.3}}
views: {{sizes: [128]}}
network: {{stem: 8, quarter: 16, channels: 16, inner: 16, blocks: 1, head: 1}}
schedule: {{steps: 1}}
validation: {{minutes: 0, pictures: 1, size: 192}}
out: {tmp_path / "runs/ours"}
"""
    train_detector(parse_detect_config(text))
    words = ("detector", "export", tmp_path / "runs/ours", "--name", "ours", "--to")
    ran = cli(*words, tmp_path / "models", "--json")
    assert (ran.code, ran.json["reserved"]["pictures"]) == (0, 1)
    again = cli(*words, tmp_path / "models")
    assert again.code == 2 and "ours is there already; choose" in again.err
    assert cli(*words, tmp_path / "models", "--replace").code == 0
    over = cli(*words, tmp_path / "runs", "--replace")
    assert over.code == 2 and "is no bundle; it stays as it is" in over.err
    assert list((tmp_path / "runs/ours/checkpoints").iterdir())


@pytest.mark.training
@pytest.mark.data
def test_the_bundle_holds_both_and_the_product_uses_both(
    bundle: Path, run: Path, labels: Path
) -> None:
    from arcid.pipeline import load_detector
    from arcid.train.detector.landmarks.job import points_session, restore_points
    from arcid.train.detector.scenes import split

    manifest = Manifest.load(bundle / "manifest.json")
    assert manifest.options["points"]["file"] == "points.onnx"
    assert manifest.provenance["points"]["steps"] == STEPS
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    assert f"| points again | {STEPS * 16:,} faces in {STEPS} steps" in card
    once = load_detector(str(bundle), size=128, sure=None, refine=False)
    twice = load_detector(str(bundle), size=128, sure=None)
    assert isinstance(twice, ArcidDetect)
    training, _ = split(recipe(labels, run).scenes)
    picture = training.image(0)
    raw, refined = once.detect([picture])[0], twice.detect([picture])[0]
    assert len(raw) and raw.points is not None and refined.points is not None
    np.testing.assert_array_equal(raw.boxes, refined.boxes)
    assert np.abs(raw.points - refined.points).max() > 1
    ours = LandmarkRefiner(points_session(restore_points(run)[0]), SPEC, name="torch")
    wanted = ours([picture], [raw])[0].points
    assert wanted is not None
    usable = upright(raw.boxes, raw.points, 64)[1]
    scale = np.sqrt(raw.sizes.prod(axis=1))[:, None, None]
    off = np.abs(refined.points - wanted) / np.maximum(scale, 1)
    assert usable.any() and off[usable].max() < 1e-3


@pytest.mark.training
@pytest.mark.data
def test_a_bundle_starts_another_run(bundle: Path, run: Path, labels: Path, tmp_path: Path) -> None:
    import torch

    from arcid.train.detector.initial import load_weights
    from arcid.train.detector.landmarks.config import PointNetworkConfig
    from arcid.train.detector.landmarks.job import restore_points
    from arcid.train.detector.landmarks.network import PointNetwork

    network, _ = restore_points(run)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    config = PointNetworkConfig(width=0.5)
    for source in (bundle, run):
        started = PointNetwork(config)
        total = load_weights(started, source, restore_points, "points")
        assert (total["steps"], total["pictures"]) == (STEPS, STEPS * 16)
        with torch.inference_mode():
            torch.testing.assert_close(started.eval()(x), network(x), atol=1e-3, rtol=1e-3)
    with pytest.raises(CheckpointMismatch, match="does not fit the network"):
        load_weights(PointNetwork(), bundle, restore_points, "points")


@pytest.mark.training
@pytest.mark.data
def test_a_damaged_second_file_is_refused(bundle: Path, tmp_path: Path) -> None:
    import shutil

    from arcid.errors import ModelHashMismatch
    from arcid.pipeline import load_detector

    copy = tmp_path / "two-files"
    shutil.copytree(bundle, copy)
    with (copy / "points.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelHashMismatch, match=r"points\.onnx"):
        load_detector(str(copy))


def test_no_refinement_without_its_session() -> None:
    from arcid.errors import UsageError

    manifest = Manifest("x", "detection", "arcid", "0" * 64, SPEC, Licence("none"))
    with pytest.raises(UsageError, match="session"):
        create(manifest, {"points": Telling(FACE)})

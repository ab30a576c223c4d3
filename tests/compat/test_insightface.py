"""insightface's Python interface: what it does, and what insightface 2.1 itself says to it."""

from __future__ import annotations

import copy
import json
import pickle
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.compat.judges import ask, judge, run_script, scripts
from tests.compat.packs import described, manifest, pack

import arcid.compat.insightface as insightface
from arcid.compat.insightface.app import Face, FaceAnalysis
from arcid.compat.insightface.model_zoo import get_model
from arcid.compat.insightface.utils import face_align
from arcid.errors import ModelError, ModelNotFound


@pytest.fixture(scope="module")
def models(data_dir: Path) -> Path:
    return data_dir / "models"


@pytest.fixture(scope="module")
def root(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("insightface")
    pack(models, root, "plain", own_norm=False)
    pack(models, root, "normed", own_norm=True)
    described(models, root, "described")
    (root / "models/empty").mkdir()
    return root


@pytest.fixture(scope="module")
def group(data_dir: Path) -> Any:
    photo = cv2.imread(str(data_dir / "data/deepface-pairs/img1.jpg"))
    assert photo is not None
    return photo


# the judge


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes", "every"),
    [
        pytest.param("plain", "640x640", 1, marks=pytest.mark.long),
        ("plain", "640x640", 5),
        ("normed", "auto", 4),
        ("plain", "320x480", 9),
        ("plain", "160x160,480x640", 9),
        ("described", "640x640", 9),
    ],
)
def test_insightface_finds_the_same(
    root: Path, data_dir: Path, tmp_path: Path, name: str, sizes: str, every: int
) -> None:
    data = data_dir / "data"
    photos = [
        *sorted(path for path in (data / "photos").rglob("*") if path.suffix in (".jpg", ".png")),
        *sorted((data / "deepface-pairs").glob("*.jpg")),
        *sorted((data / "lfw-dev/images").rglob("*.jpg"))[:40],
    ]
    assert len(photos) > 100
    photos = photos[::every]
    ask("insightface", "ask_insightface.py", str(root), name, sizes, str(tmp_path / "theirs.npz"),
        *map(str, photos))  # fmt: skip
    app = FaceAnalysis(name, root=str(root))
    pairs = [tuple(map(int, size.split("x"))) for size in sizes.split(",") if size != "auto"]
    app.prepare(-1, det_size=pairs or None)
    with np.load(tmp_path / "theirs.npz") as theirs:
        assert list(app.models) == list(theirs["tasks"])
        faces = sum(compare(app, photo, theirs, i) for i, photo in enumerate(photos))
    assert faces >= len(photos)


def compare(app: FaceAnalysis, photo: Path, theirs: Any, number: int) -> int:
    picture = cv2.imread(str(photo))
    ours = app.get(picture)
    assert len(ours) == theirs[f"{number}/count"], photo.name
    if f"{number}/most" in theirs:
        most = [face.bbox for face in app.get(picture, max_num=2)]
        assert np.allclose(most, theirs[f"{number}/most"], atol=0.5)
    for i, face in enumerate(ours):
        keys = [key.split("/")[2] for key in theirs.files if key.startswith(f"{number}/{i}/")]
        assert list(face) == [key for key in keys if key != "pose"]
        for key in face:
            one, other = np.asarray(face[key]), theirs[f"{number}/{i}/{key}"]
            assert (one.shape, one.dtype) == (other.shape, other.dtype), key
            if key == "embedding":
                assert cosine(one, other) > 0.9999, photo.name
            elif key in ("gender", "age"):
                assert abs(int(one) - int(other)) <= (key == "age")  # a half rounds either way
            else:
                assert np.abs(one - other).max() <= (1e-4 if key == "det_score" else 0.5), key
    return len(ours)


def cosine(a: Any, b: Any) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.slow
@pytest.mark.data
def test_a_script_changes_one_line_and_says_the_same(
    models: Path, data_dir: Path, tmp_path: Path
) -> None:
    before, after = scripts("insightface")
    changed = [one for one, other in zip(before, after, strict=True) if one != other]
    assert changed == ["from insightface.app import FaceAnalysis"]
    pack(models, tmp_path / ".insightface", "office", own_norm=False)
    pairs = data_dir / "data/deepface-pairs"
    for name, photo in (("ann", "img1"), ("ben", "img3"), ("door", "img2")):
        shutil.copyfile(pairs / f"{photo}.jpg", tmp_path / f"{name}.jpg")
    (tmp_path / "before.py").write_text("\n".join(before))
    (tmp_path / "after.py").write_text("\n".join(after))
    told = [
        run_script(python, tmp_path / file, home=tmp_path)
        for python, file in ((judge("insightface"), "before.py"), (sys.executable, "after.py"))
    ]
    assert told[0] == told[1]
    assert re.fullmatch(r"\[[ \d]+\] ann\n", told[1])


@pytest.mark.data
def test_a_manifest_of_version_2_says_what_a_pack_is(
    models: Path, root: Path, tmp_path: Path
) -> None:
    app = FaceAnalysis("described", root=str(root))
    assert list(app.models) == ["detection", "recognition"]
    assert (app.models["recognition"].input_mean, app.models["recognition"].input_std) == (
        127.5,
    ) * 2
    assert list(
        FaceAnalysis("described", root=str(root), allowed_modules=["detection"]).models
    ) == ["detection"]
    assert type(get_model("described", root=str(root), model_task="recognition")).__name__ == (
        "ArcFaceONNX"
    )
    with pytest.raises(ValueError, match="model_task"):
        get_model("described", root=str(root))
    folder = described(models, tmp_path, "own")
    said = manifest(folder)
    tasks = said["tasks"]
    for wrong, word in (
        ({**said, "model_id": "a/b"}, "model_id"),
        ({key: said[key] for key in said if key != "license"}, "license"),
        ({**said, "tasks": {"detection": {}}}, "file"),
        ({**said, "tasks": {"detection": {"file": "../../x.onnx"}}}, "detection"),
        ({**said, "tasks": {**tasks, "recognition": tasks["detection"]}}, "one file"),
        ({**said, "tasks": {"detection": {**tasks["detection"], "preprocessing": "own"}}}, "prep"),
        ({**said, "tasks": {"detection": {"file": "onnx/z.onnx", "sha256": "0" * 64}}}, "sha256"),
    ):
        (folder / "manifest.json").write_text(json.dumps(wrong))
        with pytest.raises(ModelError, match=word):
            FaceAnalysis("own", root=str(tmp_path))
    (folder / "manifest.json").write_text(json.dumps({**said, "manifest_version": 1}))
    with pytest.raises(AssertionError):  # read as a pack of old: no detector lies in the folder
        FaceAnalysis("own", root=str(tmp_path))


# a face


def test_keys_are_attributes() -> None:
    face = Face(bbox=np.zeros(4), tags=[{"a": 1}], at={"x": 2})
    assert face.at.x == 2
    assert isinstance(face["at"], Face)
    assert isinstance(face.tags[0], Face)
    assert isinstance(face.tags, list)
    face["age"] = 30
    assert face.age == 30
    assert face.nothing is None
    with pytest.raises(KeyError):
        face["nothing"]
    face.update({"gender": 1})
    assert face.gender is None
    face.pop("age")
    assert face.age == 30


def test_a_face_copies_and_pickles() -> None:
    face = Face(bbox=np.arange(4.0), liveness={"is_live": True})
    for twin in (copy.copy(face), copy.deepcopy(face), pickle.loads(pickle.dumps(face))):
        assert isinstance(twin, Face)
        assert twin.liveness.is_live is True
        assert np.array_equal(twin["bbox"], face.bbox)
    assert "0." not in repr(face)


def test_what_is_derived_of_a_face_is_no_key() -> None:
    face = Face(embedding=np.array([3, 4], np.float32), gender=np.int64(1))
    assert face.embedding_norm == np.float32(5)
    assert face.embedding_norm.dtype == face.normed_embedding.dtype == np.float32
    assert np.allclose(face.normed_embedding, [0.6, 0.8])
    assert face.sex == "M"
    assert Face(gender=0).sex == "F"
    assert "normed_embedding" not in face
    assert Face().sex is Face().embedding_norm is Face().normed_embedding is None


# packs


@pytest.mark.data
def test_a_pack_runs(root: Path, group: Any) -> None:
    app = insightface.app.FaceAnalysis("plain", root=str(root), providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1, det_size=(640, 640))
    faces = app.get(group)
    assert app.det_size == (640, 640)
    assert [face.det_score for face in faces] == sorted((f.det_score for f in faces), reverse=True)
    assert faces[0].kps.shape == (5, 2)
    assert faces[0].landmark_2d_106.shape == (106, 2)
    assert faces[0].landmark_3d_68.shape == (68, 3)
    drawn = app.draw_on(group, faces)
    assert drawn.shape == group.shape
    assert not np.array_equal(drawn, group)
    assert app.get(np.zeros((120, 80, 3), np.uint8)) == []
    app.prepare()
    assert app.det_size == [(128, 128), (640, 640)]
    assert len(app.get(group)) >= 1


@pytest.mark.data
def test_modules_and_sizes_that_mean_nothing_are_refused(root: Path, group: Any) -> None:
    with pytest.raises(AssertionError):
        FaceAnalysis("plain", root=str(root), allowed_modules=["recognition"])
    app = FaceAnalysis("plain", root=str(root), allowed_modules=["detection"])
    assert list(app.models) == ["detection"]
    with pytest.raises(ValueError, match="above 0"):
        app.prepare(det_size=(640, -1))
    with pytest.raises(AttributeError, match="was the file read"):
        app.get(None)
    with pytest.raises(ValueError, match="shape"):
        app.get(group[..., 0])


@pytest.mark.data
def test_a_pack_that_is_not_there_says_where_it_belongs(root: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"buffalo_l.*name='arcid'"):
        FaceAnalysis(root=str(root))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"addons": "liveness"}, TypeError),
        ({"addons": [3]}, TypeError),
        ({"addons": ["age"]}, ValueError),
        ({"addons": ["liveness", "liveness"]}, ValueError),
        ({"liveness_mode": "strict"}, ValueError),
        ({"liveness_threshold": True}, TypeError),
        ({"liveness_threshold": "0.8"}, TypeError),
        ({"liveness_threshold": 1.2}, ValueError),
    ],
)
def test_addons_are_checked(wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FaceAnalysis("arcid", **wrong)


@pytest.mark.data
def test_models_by_file(root: Path, group: Any) -> None:
    folder = root / "models/plain"
    recogniser: Any = get_model(str(folder / "mobilefacenet_128.onnx"))
    assert (recogniser.taskname, recogniser.input_size) == ("recognition", (112, 112))
    crop = np.full((100, 90, 3), 90, np.uint8)
    assert recogniser.get_feat(crop).shape == (1, 128)
    pair = recogniser.get_feat([crop, crop[::-1]])
    assert (pair.shape, pair.dtype) == ((2, 128), np.float32)
    assert recogniser.compute_sim(pair[0], pair[0]) == pytest.approx(1)
    assert recogniser.forward(np.zeros((3, 3, 112, 112), np.float32)).shape == (3, 128)
    detector: Any = get_model("plain", root=str(root))
    assert detector.taskname == "detection"
    found, points = detector.detect(group, input_size=(320, 320), max_num=1)
    assert (found.shape, points.shape) == ((1, 5), (1, 5, 2))
    assert get_model("empty", root=str(root)) is None
    assert get_model("absent", root=str(root)) is None
    with pytest.raises(AssertionError):
        get_model("absent.onnx")


@pytest.mark.data
def test_faces_that_are_not_live_get_no_vector(
    root: Path, data_dir: Path, liveness_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_MODELS", str(liveness_models))
    app = FaceAnalysis("plain", root=str(root), addons=["liveness"])
    app.prepare(det_size=(640, 640))
    spoof = data_dir / "data/spoof"
    real, shown = (
        max(app.get(cv2.imread(str(spoof / name))), key=lambda face: face.det_score)
        for name in ("image_T1.jpg", "image_F2.jpg")
    )
    assert (real.liveness.status, real.liveness.is_live) == ("ok", True)
    assert real.embedding is not None
    assert (shown.liveness.is_live, shown.embedding) == (False, None)
    half = cv2.imread(str(spoof / "image_T1.jpg"))
    x1, _, x2, _ = real.bbox.astype(int)
    cut = app.get(half[:, (x1 + x2) // 2 :])
    assert all(face.liveness.status == "input_rejected" for face in cut)
    watched = FaceAnalysis("plain", root=str(root), addons=["liveness"], liveness_mode="observe")
    watched.prepare(det_size=(640, 640))
    seen = watched.get(cv2.imread(str(spoof / "image_F2.jpg")))
    assert all(face.embedding is not None for face in seen)


# arcid's own models


@pytest.mark.data
def test_arcids_models_behind_the_same_calls(group: Any) -> None:
    app = FaceAnalysis("arcid")
    app.prepare(det_size=(640, 640))
    faces = app.get(group)
    assert len(faces) >= 1
    assert faces[0].embedding.dtype == np.float32
    assert faces[0].embedding_norm == pytest.approx(1, abs=1e-5)
    again = app.get(cv2.flip(group, 1))
    assert cosine(faces[0].embedding, again[0].embedding) > 0.7
    assert len(app.get(group, max_num=1)) == 1
    pair = np.stack([face_align.norm_crop(group, faces[0].kps)] * 2)
    vectors = app.models["recognition"].get_feat(list(pair))
    assert cosine(vectors[0], faces[0].embedding) > 0.9


# alignment


def test_alignment_meets_the_template() -> None:
    for size in (112, 224):
        points = face_align.arcface_dst * (size / 112)
        assert np.allclose(face_align.estimate_norm(points, size), np.eye(2, 3), atol=1e-5)
    beside = face_align.arcface_dst + np.array([8, 0])
    assert np.allclose(face_align.estimate_norm(beside, 128), np.eye(2, 3), atol=1e-5)
    with pytest.raises(AssertionError):
        face_align.estimate_norm(face_align.arcface_dst, 100)
    picture = np.random.default_rng(0).integers(0, 256, (150, 120, 3), dtype=np.uint8)
    crop, matrix = face_align.norm_crop2(picture, face_align.arcface_dst)
    assert np.array_equal(crop, picture[:112, :112])
    assert np.allclose(matrix, np.eye(2, 3), atol=1e-5)
    square, scale = face_align.square_crop(picture, 75)
    assert (square.shape, scale) == ((75, 75, 3), 0.5)


def test_points_follow_the_picture() -> None:
    picture = np.zeros((80, 100, 3), np.uint8)
    turned, matrix = face_align.transform(picture, (50, 40), 64, 0.8, 30)
    assert turned.shape == (64, 64, 3)
    assert np.allclose(face_align.trans_points(np.array([[50.0, 40.0]]), matrix), [[32, 32]])
    deep = face_align.trans_points(np.array([[50.0, 40.0, 10.0]]), matrix)
    assert deep.dtype == np.float32
    assert deep[0, 2] == pytest.approx(8)


def test_there_are_no_sample_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="t1 not found"):
        insightface.data.get_image("t1")
    cv2.imwrite("t1.png", np.full((40, 50, 3), (255, 0, 0), np.uint8))
    assert insightface.data.get_image("t1")[0, 0].tolist() == [255, 0, 0]
    assert insightface.data.get_image("t1", to_rgb=True)[0, 0].tolist() == [0, 0, 255]

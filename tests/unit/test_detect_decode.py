"""Decoders on outputs worked out by hand, and the geometry around them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from arcid.detect import SCRFD, Dlib, RetinaFace, UltraLight, YuNet, model_files
from arcid.detect._common import canvas_size
from arcid.detect.mediapipe import MediaPipe
from arcid.detect.mtcnn import _crop
from arcid.detect.rotated import turn
from arcid.detect.tiled import TiledDetector, cut, starts
from arcid.errors import ManifestInvalid
from arcid.geometry import apply_affine
from arcid.models import weights
from arcid.models.manifest import InputSpec
from arcid.types import Detections, FloatArray

SPEC = InputSpec("input", "RGB", (0.0,) * 3, (1.0,) * 3, None)
PICTURE = np.zeros((64, 96, 3), np.uint8)  # fits its canvas exactly: canvas pixels = image pixels


class Prepared:
    """A session that answers with given outputs and remembers what it was fed."""

    runtime, device, precision = "none", "none", "f32"
    input_name = "input"

    def __init__(self, outputs: dict[str, FloatArray], shape: tuple[int | None, ...]) -> None:
        self.outputs, self.input_shape = outputs, shape
        self.output_names = tuple(outputs)
        self.fed: list[tuple[int, ...]] = []

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        self.fed.append(tensor.shape)
        return self.outputs


OPEN = (1, 3, None, None)


def levels(anchors: int, strides: tuple[int, ...] = (8, 16, 32)) -> list[int]:
    return [(64 // s) * (96 // s) * anchors for s in strides]


def scrfd_outputs(anchors: int, *, points: bool, batched: bool) -> dict[str, FloatArray]:
    """One face at stride 16, row 2, column 3, last anchor; names say nothing."""
    outputs, row = {}, (2 * 6 + 3) * anchors + anchors - 1
    for level, count in enumerate(levels(anchors)):
        score, box = np.zeros((count, 1), np.float32), np.zeros((count, 4), np.float32)
        kps = np.zeros((count, 10), np.float32)
        if level == 1:
            score[row], box[row] = 0.9, (1, 0.5, 1.5, 2)
            kps[row] = np.arange(10) / 10
        found = [kps, box, score] if points else [box, score]
        for i, value in enumerate(found):
            outputs[f"{900 - level * 10 + i}"] = value[None] if batched else value
    return outputs


@pytest.mark.parametrize("anchors", [1, 2])
@pytest.mark.parametrize("points", [True, False])
@pytest.mark.parametrize("batched", [True, False])
def test_scrfd_distances(anchors: int, points: bool, batched: bool) -> None:
    session = Prepared(scrfd_outputs(anchors, points=points, batched=batched), OPEN)
    detector = SCRFD(session, SPEC)
    faces = detector.detect_once([PICTURE])[0]
    assert session.fed == [(1, 3, 64, 96)]
    np.testing.assert_allclose(faces.boxes, [[48 - 16, 32 - 8, 48 + 24, 32 + 32]])
    assert detector.has_points == points
    if points:
        wanted = np.array([48, 32]) + np.arange(10).reshape(5, 2) / 10 * 16
        np.testing.assert_allclose(faces.points, wanted[None], rtol=1e-6)


def test_scrfd_outputs_that_do_not_fit_are_refused() -> None:
    outputs = scrfd_outputs(2, points=True, batched=False)
    with pytest.raises(ManifestInvalid, match="strides"):
        SCRFD(Prepared(outputs, OPEN), SPEC, strides=(8, 16, 32, 64, 128))
    with pytest.raises(ManifestInvalid, match="grid"):
        SCRFD(Prepared(outputs, OPEN), SPEC, strides=(8, 20, 32)).detect_once([PICTURE])
    with pytest.raises(ManifestInvalid, match="names the input"):
        SCRFD(Prepared(outputs, OPEN), InputSpec("data", "RGB", (0.0,) * 3, (1.0,) * 3, None))


def test_networks_of_another_kind_are_refused() -> None:
    fitting = scrfd_outputs(2, points=True, batched=False)
    with pytest.raises(ManifestInvalid, match="5 axes"):
        SCRFD(Prepared(fitting, (1, 3, 8, None, None)), SPEC)
    boxes = {name: np.zeros((len(value), 4), np.float32) for name, value in fitting.items()}
    scores = {name: value[:, :1] for name, value in fitting.items()}
    odd = {name: value[:-1] for name, value in fitting.items()}
    for outputs in (boxes, scores, odd):
        with pytest.raises(ManifestInvalid, match="not those of the family scrfd"):
            SCRFD(Prepared(outputs, (2, 3, None, None)), SPEC).detect_once([PICTURE, PICTURE])


@pytest.mark.parametrize("file", ["../x.onnx", "", "..", "a/b.onnx"])
def test_a_further_model_file_has_a_plain_name(file: str) -> None:
    manifest = weights.resolve("arcid-detect-s").manifest
    options = {"points": {"file": file, "sha256": "0" * 64}}
    with pytest.raises(ManifestInvalid, match=r"points\.file must be a plain name"):
        model_files(dataclasses.replace(manifest, options=options))


def test_yunet_score_is_the_root_of_class_times_objectness() -> None:
    outputs: dict[str, FloatArray] = {}
    for stride, count in zip((8, 16, 32), levels(1), strict=True):
        for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{kind}_{stride}"] = np.zeros((1, count, width), np.float32)
    row = 1 * 3 + 2  # stride 32, row 1, column 2
    outputs["cls_32"][0, row], outputs["obj_32"][0, row] = 0.9, 0.4
    outputs["bbox_32"][0, row] = (0.5, 0.25, np.log(0.5), 0)
    outputs["kps_32"][0, row] = 0.5
    detector = YuNet(Prepared(outputs, OPEN), SPEC, threshold=0.5, max_upscale=1)
    faces = detector.detect_once([PICTURE])[0]
    np.testing.assert_allclose(faces.scores, [0.6], rtol=1e-6)
    np.testing.assert_allclose(faces.boxes, [[80 - 8, 40 - 16, 80 + 8, 40 + 16]], rtol=1e-6)
    np.testing.assert_allclose(faces.points[0], [[80, 48]] * 5, rtol=1e-6)
    with pytest.raises(ManifestInvalid, match="cells"):
        detector.detect_once([np.zeros((96, 96, 3), np.uint8)])
    del outputs["kps_16"]
    with pytest.raises(ManifestInvalid, match="kps_16"):
        YuNet(Prepared(outputs, OPEN), SPEC)


def test_retinaface_anchors() -> None:
    count = sum(levels(2))
    scores = np.zeros((1, count, 2), np.float32)
    boxes, points = np.zeros((1, count, 4), np.float32), np.zeros((1, count, 10), np.float32)
    row = levels(2)[0] + (1 * 6 + 4) * 2 + 1  # stride 16, row 1, column 4, the larger anchor
    scores[0, row, 1] = 0.8
    boxes[0, row] = (1, -0.5, np.log(2) / 0.2, 0)
    points[0, row] = 1
    session = Prepared({"c": points, "a": scores, "b": boxes}, OPEN)
    anchors = ((16, 32), (30, 40), (256, 512))
    faces = RetinaFace(session, SPEC, anchors_px=anchors).detect_once([PICTURE])[0]
    centre = np.array([4.5 * 16, 1.5 * 16])  # anchors of 40 pixels: offsets of 0.1 · 40
    x, y = centre + np.array([4, -2])
    np.testing.assert_allclose(faces.boxes, [[x - 40, y - 20, x + 40, y + 20]], rtol=1e-5)
    np.testing.assert_allclose(faces.points[0], [centre + 4] * 5, rtol=1e-6)
    with pytest.raises(ManifestInvalid, match="anchors make"):
        RetinaFace(session, SPEC, anchors_px=((16,), (64,), (256,))).detect_once([PICTURE])


def test_ultralight_corners_are_shares_of_a_fixed_input() -> None:
    scores = np.array([[[0.1, 0.9], [0.9, 0.1]]], np.float32)
    boxes = np.array([[[0.25, 0.5, 0.5, 0.75], [0, 0, 1, 1]]], np.float32)
    session = Prepared({"scores": scores, "boxes": boxes}, (1, 3, 240, 320))
    faces = UltraLight(session, SPEC).detect_once([np.zeros((480, 640, 3), np.uint8)])[0]
    np.testing.assert_allclose(faces.boxes, [[160, 240, 320, 360]])
    assert faces.points is None


def test_candidates_that_are_no_boxes_are_dropped() -> None:
    scores = np.array([[[0, 0.9]] * 4], np.float32)
    boxes = [[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.5, 0.9], [np.nan, 0, 1, 1], [0.9, 0.9, 0.8, 1]]
    session = Prepared({"scores": scores, "boxes": np.array([boxes], np.float32)}, (1, 3, 240, 320))
    assert len(UltraLight(session, SPEC).detect_once([PICTURE])[0]) == 1


@pytest.mark.parametrize(
    ("shape", "size_px", "max_upscale", "canvas"),
    [
        ((480, 640), 640, 1.0, (480, 640)),
        ((1000, 2000), 640, 1.0, (320, 640)),
        ((250, 250), 640, 1.0, (256, 256)),
        ((250, 250), 640, 2.0, (512, 512)),
        ((250, 250), 640, 9.0, (640, 640)),
        ((16, 16), 640, 1.0, (32, 32)),
        ((20000, 16), 640, 1.0, (640, 32)),
    ],
)
def test_canvas(
    shape: tuple[int, int], size_px: int, max_upscale: float, canvas: tuple[int, int]
) -> None:
    assert canvas_size(shape, size_px, max_upscale) == canvas


def test_pictures_of_one_canvas_share_a_pass() -> None:
    outputs = {
        "scores": np.zeros((11, 1, 2), np.float32),
        "boxes": np.zeros((11, 1, 4), np.float32),
    }

    class Counting(Prepared):
        def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
            super().run(tensor)
            return {name: value[: len(tensor)] for name, value in outputs.items()}

    session = Counting(outputs, (None, 3, None, None))
    images = [PICTURE] * 6 + [np.zeros((32, 32, 3), np.uint8)] + [PICTURE] * 5
    assert len(UltraLight(session, SPEC).detect_once(images)) == 12
    assert sorted(shape[0] for shape in session.fed) == [1, 3, 8]


def test_mtcnn_crop_is_black_outside() -> None:
    picture = np.full((20, 20, 3), 200, np.uint8)
    crop = _crop(picture, np.array([-10, 10, 10, 30], np.float32), 20)
    assert crop.shape == (20, 20, 3)
    assert (crop[:10, 10:] == 200).all()
    assert (crop[:, :10] == 0).all() and (crop[10:] == 0).all()
    away = _crop(picture, np.array([50, 50, 60, 60], np.float32), 24)
    assert away.shape == (24, 24, 3) and not away.any()


@pytest.mark.parametrize("angle", [0, 90, 180, 270, -90, 30, 135])
def test_turning_moves_pixels_where_the_matrix_says(angle: float) -> None:
    picture = np.zeros((41, 61, 3), np.uint8)
    picture[9:12, 49:52] = 255  # centred on (50, 10)
    turned, matrix = turn(picture, angle)
    rows, columns = np.nonzero(turned[..., 0] > 60)
    x, y = apply_affine(matrix, np.array([50, 10]))
    assert abs(columns.mean() - x) < 0.3 and abs(rows.mean() - y) < 0.3


def test_turning_is_counter_clockwise() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[:, -1] = 255  # the right edge goes to the top
    assert (turn(picture, 90)[0][0] == 255).all()


def test_tiles_cover_a_side_and_overlap() -> None:
    assert starts(640, 640, 0.25) == [0]
    for side in (641, 1000, 3200, 4321):
        first = starts(side, 640, 0.25)
        assert first[0] == 0 and first[-1] + 640 == side
        assert max(np.diff(first)) <= 480


def test_faces_cut_by_inner_edges_only() -> None:
    boxes = np.array(
        [[0, 50, 40, 90], [50, 0, 90, 40], [60, 50, 100, 90], [50, 60, 90, 100], [30, 30, 60, 60]],
        np.float32,
    )
    size = (300, 300)
    inner = [True, True, True, True, False]
    assert cut(boxes, (100, 100), 100, size).tolist() == inner
    assert cut(boxes, (0, 0), 100, size).tolist() == [False, False, True, True, False]
    assert cut(boxes, (200, 200), 100, size).tolist() == [True, True, False, False, False]


class OneFace:
    """Finds the white square of a picture."""

    name, has_points = "one", False

    def detect(self, images: Any) -> list[Detections]:
        found = []
        for image in images:
            rows, columns = np.nonzero(image[..., 0])
            if len(rows) == 0:
                found.append(Detections.empty(image.shape[:2], points=False))
                continue
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            boxes, scores = np.array([box], np.float32), np.ones(1, np.float32)
            found.append(Detections(boxes, scores, None, image.shape[:2]))
        return found


@pytest.mark.parametrize("scales", [(1.0,), (2.0,), (0.5, 1.5), None])
def test_tiled_coordinates(scales: tuple[float, ...] | None) -> None:
    picture = np.zeros((300, 500, 3), np.uint8)
    picture[210:230, 340:370] = 255
    faces = TiledDetector(OneFace(), tile=96, scales=scales).detect([picture])[0]
    assert len(faces) == 1
    np.testing.assert_allclose(faces.boxes, [[340, 210, 370, 230]], atol=2)


def test_mediapipe_mesh_to_five_points() -> None:
    """The mesh's own indices, on a result shaped as MediaPipe gives it."""

    class Point:
        def __init__(self, x: float, y: float) -> None:
            self.x, self.y = x, y

    mesh = [Point(0.5, 0.5) for _ in range(478)]
    eyes_nose_mouth = {468: (0.3, 0.3), 473: (0.7, 0.3), 4: (0.5, 0.55), 61: (0.4, 0.7)}
    for index, (x, y) in {**eyes_nose_mouth, 291: (0.6, 0.7), 152: (0.5, 0.9)}.items():
        mesh[index] = Point(x, y)
    result = type("Result", (), {"face_landmarks": [mesh]})()
    boxes, scores, points = MediaPipe._from_mesh(result, height=200, width=100)
    np.testing.assert_allclose(points[0], [[30, 60], [70, 60], [50, 110], [40, 140], [60, 140]])
    np.testing.assert_allclose(boxes, [[30, 60, 70, 180]])
    assert scores.tolist() == [1.0]


def test_dlib_threshold_is_its_own_cut_off_at_a_half(monkeypatch: pytest.MonkeyPatch) -> None:
    margins: list[float] = []

    class Engine:
        @staticmethod
        def get_frontal_face_detector() -> Engine:
            return Engine()

        def run(self, image: Any, upsample: int, margin: float) -> Any:
            margins.append(margin)
            return [], [], []

    monkeypatch.setattr("arcid.detect.dlib._import", lambda: Engine)
    for threshold in (0.5, 0.9, 0.1):
        assert len(Dlib(threshold=threshold).detect_once([PICTURE])[0]) == 0
    assert margins[0] == pytest.approx(0) and margins[1] > 1 > -1 > margins[2]

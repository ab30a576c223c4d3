"""YuNet as a teacher: its answers in this network's units, and parts that learn from its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from arcid.detect import once
from arcid.errors import ConfigError
from arcid.geometry import letterbox
from arcid.image import load_image
from arcid.pipeline import Pipeline
from arcid.train.detector.config import DetectLossConfig, NetworkConfig, parse_detect_config
from arcid.train.detector.job import step_loss
from arcid.train.detector.losses import Asked, forced_loss, imitation_loss
from arcid.train.detector.network import DetectorNetwork, cell_grid, decode
from arcid.train.detector.teacher import DetectorTeacher
from arcid.train.detector.views import ViewBatch
from arcid.types import Image

pytestmark = pytest.mark.data
CANVAS = (256, 320)


@pytest.fixture(scope="module")
def photos(data_dir: Path) -> Image:
    """Two portraits on one canvas size."""
    found = sorted((data_dir / "data/deepface-pairs").glob("img*.jpg"))[:2]
    return np.stack([letterbox(load_image(path), *CANVAS)[0] for path in found])


@pytest.fixture(scope="module")
def teacher(data_dir: Path) -> DetectorTeacher:
    pytest.importorskip("onnx", reason="maps are read by changing the teacher's graph")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCID_DATA", str(data_dir))
        return DetectorTeacher("yunet")


def test_its_answers_are_what_the_product_reads(
    teacher: DetectorTeacher, photos: Image, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    detector = Pipeline.from_models(detector="yunet", size=320).detector
    seen = teacher(photos)
    boxes, points = decode(seen.boxes, seen.points, *cell_grid(*CANVAS))
    for row, found in enumerate(once(detector)(list(photos))):
        best = int(seen.scores[row].argmax())
        assert found.points is not None
        assert float(seen.scores[row, best]) == pytest.approx(found.scores[0], abs=0.03)
        np.testing.assert_allclose(boxes[row, best].numpy(), found.boxes[0], atol=2)
        np.testing.assert_allclose(points[row, best].numpy(), found.points[0], atol=2)


def test_its_maps_fit_the_parts(teacher: DetectorTeacher, photos: Image) -> None:
    seen = teacher(photos)
    network = DetectorNetwork()
    images = torch.zeros(2, 3, *CANVAS)
    assert network.entry(images).shape == seen.entry.shape == (2, 64, 32, 40)
    for index, size in enumerate(((32, 40), (16, 20), (8, 10))):
        before = (seen.entry, *seen.levels)[index]
        assert network.level(index, before).shape == seen.levels[index].shape == (2, 64, *size)
        assert seen.pyramid[index].shape == (2, 64, *size)
    assert network.answers(seen.pyramid)[0].shape == seen.scores.shape


@pytest.mark.training
def test_parts_come_nearer_to_it_step_by_step(teacher: DetectorTeacher, photos: Image) -> None:
    torch.manual_seed(1)
    network = DetectorNetwork(NetworkConfig(inner=64, blocks=2, head=1)).train()
    optimizer = torch.optim.AdamW(network.parameters(), 0.005)
    seen = teacher(photos)
    images = torch.from_numpy(photos).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
    losses = []
    for _ in range(25):
        losses.append(forced_loss(network, images, seen, DetectLossConfig(), 4.0))
        optimizer.zero_grad()
        losses[-1].total.backward()
        optimizer.step()
    assert losses[-1].maps < 0.6 * losses[0].maps
    assert losses[-1].score < losses[0].score and losses[-1].points < losses[0].points


def test_answers_like_its_own_cost_no_more_than_its_doubt(
    teacher: DetectorTeacher, photos: Image
) -> None:
    seen = teacher(photos)
    sure = seen.scores.clamp(1e-6, 1 - 1e-6)
    same = imitation_loss((sure.logit(), seen.boxes, seen.points), seen, CANVAS, DetectLossConfig())
    doubt = torch.nn.functional.binary_cross_entropy(sure, seen.scores, reduction="sum")
    assert float(same.box) == pytest.approx(0, abs=1e-5)
    assert float(same.points) == pytest.approx(0, abs=1e-5)
    assert float(same.score) == pytest.approx(float(doubt / seen.scores.sum()), rel=1e-3)
    shifted = imitation_loss(
        (sure.logit(), seen.boxes, seen.points + 0.5), seen, CANVAS, DetectLossConfig()
    )
    assert float(shifted.points) > 0.1 and float(shifted.box) == float(same.box)


def test_joined_it_is_learned_from_beside_the_labels_but_for_the_points(
    teacher: DetectorTeacher, photos: Image
) -> None:
    nothing = np.zeros((0, 4), np.float32)
    none, five = np.zeros(0, np.int64), np.zeros((0, 5, 2), np.float32)
    batch = ViewBatch(photos, nothing, five, none, nothing, none)
    torch.manual_seed(1)
    network = DetectorNetwork(NetworkConfig(inner=64, blocks=2, head=1)).eval()
    losses = {}
    for weight in (0.5, 1.0):
        config = parse_detect_config(f"teacher: {{model: yunet, weight: {weight}}}")
        losses[weight] = float(step_loss(network, batch, teacher, config).total.detach())
    alone = float(step_loss(network, batch, None, parse_detect_config("{}")).total.detach())
    images = torch.from_numpy(photos).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
    without = DetectLossConfig().but(points=0.0)
    imitated = imitation_loss(network(images), teacher(photos), CANVAS, without).total.item()
    assert imitated > 0.1
    for weight, loss in losses.items():
        assert loss == pytest.approx(alone + weight * imitated, rel=1e-4)


def test_where_the_labels_ask_nothing_neither_does_the_teacher(
    teacher: DetectorTeacher, photos: Image
) -> None:
    seen = teacher(photos)
    cells = seen.scores.shape
    zero = torch.zeros(cells)
    raw = (zero.clone().requires_grad_(), seen.boxes, seen.points)
    some = torch.ones(cells, dtype=torch.bool)
    some[0] = False
    imitation_loss(raw, seen, CANVAS, DetectLossConfig(), Asked(some, zero)).total.backward()
    gradient = raw[0].grad
    assert gradient is not None and not gradient[0].any() and bool(gradient[1].all())


def test_a_face_the_teacher_misses_is_not_unlearned(
    teacher: DetectorTeacher, photos: Image
) -> None:
    seen = teacher(photos)
    cell = int(seen.scores[0].argmin())
    assert float(seen.scores[0, cell]) < 0.01
    quality = torch.zeros_like(seen.scores)
    quality[0, cell] = 0.8
    logits = torch.zeros_like(seen.scores).requires_grad_()
    raw = (logits, seen.boxes, seen.points)
    asked = Asked(torch.ones_like(quality, dtype=torch.bool), quality)
    imitation_loss(raw, seen, CANVAS, DetectLossConfig(), asked).total.backward()
    gradient = logits.grad
    assert gradient is not None and gradient[0, cell] < 0  # its score shall rise
    logits.grad = None
    imitation_loss(raw, seen, CANVAS, DetectLossConfig()).total.backward()
    assert logits.grad is not None and logits.grad[0, cell] > 0


@pytest.mark.parametrize("name", ["scrfd_2.5g", "mobilefacenet_128", "yunet_320"])
def test_other_models_are_refused_as_teachers(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    with pytest.raises(ConfigError, match="no YuNet with free input size"):
        DetectorTeacher(name)


def test_a_teacher_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="teacher nobody cannot be used"):
        DetectorTeacher("nobody")


def test_forcing_needs_a_teacher() -> None:
    with pytest.raises(ConfigError, match=r"teacher\.model"):
        parse_detect_config("teacher: {forced: true}")
    config = parse_detect_config("teacher: {model: yunet, forced: true}")
    assert config.teacher.weight == 1.0

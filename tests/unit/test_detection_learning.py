"""Which cells learn which face, what that costs, and how found faces are counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from arcid.detect import ArcidDetect
from arcid.errors import InvalidArray
from arcid.train.detector.assign import assign, candidates, ignored_cells, pair_iou
from arcid.train.detector.config import DetectLossConfig, NetworkConfig
from arcid.train.detector.evaluate import compare, main_faces, measure, point_error, summarise
from arcid.train.detector.job import INPUT
from arcid.train.detector.labels import PictureLabels
from arcid.train.detector.losses import (
    Targets,
    detection_loss,
    distance_iou_loss,
    quality_focal,
)
from arcid.train.detector.network import DetectorNetwork, cell_grid, decode
from arcid.types import Detections

CANVAS = (64, 96)
TINY = NetworkConfig(stem=8, quarter=8, channels=8, inner=8, blocks=1, head=1)


def test_the_grid_is_that_of_the_network() -> None:
    network = DetectorNetwork(TINY).eval()
    scores, boxes, points = network(torch.zeros(2, 3, *CANVAS))
    centres, strides = cell_grid(*CANVAS)
    assert scores.shape == (2, len(centres)) == (2, 96 + 24 + 6)
    assert boxes.shape == (2, 126, 4) and points.shape == (2, 126, 10)
    assert centres[:2].tolist() == [[4, 4], [12, 4]] and centres[12].tolist() == [4, 12]
    assert centres[-1].tolist() == [80, 48] and strides[-1] == 32


def test_a_cell_answers_for_its_own_place() -> None:
    """Light in one corner moves the answers there, not those of the far corner."""
    torch.manual_seed(0)
    network = DetectorNetwork(TINY).eval()
    for layer in network.heads[0].face:
        torch.nn.init.normal_(layer.weight)
    dark = torch.zeros(1, 3, 256, 512)
    light = dark.clone()
    light[..., 200:216, 440:456] = 2.0
    with torch.inference_mode():
        change = (network(light)[0] - network(dark)[0]).abs()[0]
    centres, strides = cell_grid(256, 512)
    strongest = change.where(strides == 8, 0).argmax()
    assert (centres[strongest] - torch.tensor([448.0, 208.0])).abs().max() < 40
    assert change[0] < 0.05 * change.max()


def test_decoding_by_hand() -> None:
    boxes = torch.tensor([0.5, -0.25, math.log(2), math.log(3)])
    points = torch.arange(10.0)
    box, five = decode(boxes, points, torch.tensor([24.0, 40.0]), torch.tensor(16.0))
    middle = (24 + 8, 40 - 4)
    assert box.tolist() == pytest.approx(
        [middle[0] - 16, middle[1] - 24, middle[0] + 16, middle[1] + 24], rel=1e-5
    )
    assert five[3].tolist() == [24 + 6 * 16, 40 + 7 * 16]


def test_the_product_decodes_as_the_trainer_does() -> None:
    """Two implementations, one in NumPy and one in torch, on the same made-up answers."""
    raw = torch.randn(1, 126, 14, generator=torch.Generator().manual_seed(4))
    centres, strides = cell_grid(*CANVAS)
    boxes, points = decode(raw[..., :4], raw[..., 4:], centres, strides)

    class Session:
        runtime, device, precision, input_name = "none", "none", "f32", "image"
        input_shape = (None, 3, None, None)
        output_names = ("scores", "boxes", "points")

        def run(self, tensor: np.ndarray) -> dict[str, np.ndarray]:
            scores = np.linspace(0, 1, 126, dtype=np.float32)[None]
            return {"scores": scores, "boxes": raw[..., :4].numpy(), "points": raw[..., 4:].numpy()}

    picture = np.zeros((*CANVAS, 3), np.uint8)
    found = ArcidDetect(Session(), INPUT, threshold=0, nms_iou=1).detect([picture])[0]
    assert len(found) == 126  # best score first: the last cell
    np.testing.assert_allclose(found.boxes[0], boxes[0, -1], rtol=1e-4)
    np.testing.assert_allclose(found.points, points[0].flip(0), rtol=1e-4, atol=1e-3)
    sure = ArcidDetect(Session(), INPUT, threshold=0.5, nms_iou=1, sure=None).detect([picture])[0]
    assert len(sure) == 63
    np.testing.assert_array_equal(sure.boxes, found.boxes[:63])
    np.testing.assert_array_equal(sure.points, found.points[:63])


def test_candidates_surround_the_middle_on_every_level() -> None:
    faces = torch.tensor([[30.0, 20.0, 50.0, 50.0]])  # middle 40, 35
    cells, inside = candidates(faces, torch.tensor([1]), CANVAS, 126)
    centres, strides = cell_grid(*CANVAS)
    used = cells[0][cells[0] >= 0] - 126  # all on canvas 1
    assert (used >= 0).all() and len(set(used.tolist())) == len(used)
    for stride, count in ((8, 9), (16, 9), (32, 6)):  # two rows of three at stride 32
        mine = centres[used[strides[used] == stride]]
        assert len(mine) == count
        assert ((mine - torch.tensor([40.0, 35.0])).abs() <= 1.5 * stride).all()
    flags = {
        tuple(centres[c - 126].tolist()): bool(i)
        for c, i in zip(cells[0], inside[0], strict=True)
        if c >= 0
    }
    assert flags[(36.0, 36.0)] and flags[(44.0, 28.0)] and not flags[(52.0, 28.0)]


def perfect(faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and boxes of a network that answers every cell with the nearest of the faces."""
    centres, _ = cell_grid(*CANVAS)
    middles = (faces[:, :2] + faces[:, 2:]) / 2
    nearest = torch.cdist(centres, middles).argmin(1)
    return torch.full((1, 126), 0.5), faces[nearest][None]


def test_each_face_is_learned_where_it_is_and_no_cell_learns_two() -> None:
    faces = torch.tensor([[4.0, 4.0, 20.0, 22.0], [40.0, 8.0, 88.0, 60.0]])
    taken = assign(*perfect(faces), faces, torch.zeros(2, dtype=torch.int64), CANVAS)
    assert set(taken.faces.tolist()) == {0, 1}
    assert len(set(taken.cells.tolist())) == len(taken.cells)
    assert (taken.faces == 1).sum() > (taken.faces == 0).sum()  # more good cells, more learn
    centres, _ = cell_grid(*CANVAS)
    x, y = centres[taken.cells].T
    own = faces[taken.faces]
    assert ((x > own[:, 0]) & (x < own[:, 2]) & (y > own[:, 1]) & (y < own[:, 3])).all()
    assert (taken.iou > 0.99).all()


def test_cells_go_to_the_level_that_answers_best() -> None:
    face = torch.tensor([[20.0, 10.0, 60.0, 50.0]])
    centres, strides = cell_grid(*CANVAS)
    boxes = torch.cat([centres - 3, centres + 3], 1)
    boxes[strides == 16] = face
    taken = assign(
        torch.full((1, 126), 0.5), boxes[None], face, torch.zeros(1, dtype=torch.int64), CANVAS
    )
    assert set(strides[taken.cells].tolist()) == {16.0}


def test_a_batch_without_faces_costs_its_scores_only() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    targets = Targets(torch.zeros(0, 4), torch.zeros(0, 5, 2), none, torch.zeros(0, 4), none)
    raw = (torch.zeros(2, 126), torch.zeros(2, 126, 4), torch.zeros(2, 126, 10))
    loss, asked = detection_loss(raw, targets, CANVAS, DetectLossConfig())
    assert loss.cells == 0 and bool(asked.cells.all()) and not bool(asked.quality.any())
    assert float(loss.total) == pytest.approx(252 * 0.25 * math.log(2), rel=1e-5)


def test_ignored_regions_cost_nothing_and_others_do() -> None:
    region = torch.tensor([[0.0, 0.0, 96.0, 64.0]])
    none, zero = torch.zeros(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    raw = (torch.zeros(2, 126), torch.zeros(2, 126, 4), torch.zeros(2, 126, 10))
    targets = Targets(torch.zeros(0, 4), torch.zeros(0, 5, 2), none, region, zero)
    loss, asked = detection_loss(raw, targets, CANVAS, DetectLossConfig())
    assert asked.cells.sum(1).tolist() == [0, 126]
    assert float(loss.total) == pytest.approx(126 * 0.25 * math.log(2), rel=1e-5)
    cells = ignored_cells(torch.tensor([[0.0, 0, 9, 9]]), zero, cell_grid(*CANVAS)[0], 2)
    assert cells.sum() == 2 and cells[0, 0] and cells[0, 96]  # one of stride 8, one of 16


def test_losses_against_their_formulas() -> None:
    logit, quality = torch.tensor([0.3, -2.0]), torch.tensor([0.8, 0.0])
    s = [1 / (1 + math.exp(-v)) for v in logit.tolist()]
    wanted = [
        (q - p) ** 2 * -(q * math.log(p) + (1 - q) * math.log(1 - p))
        for p, q in zip(s, quality.tolist(), strict=True)
    ]
    assert quality_focal(logit, quality).tolist() == pytest.approx(wanted, rel=1e-5)
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 0, 6, 4]])
    assert float(pair_iou(a, b)) == pytest.approx(8 / 24)
    assert float(distance_iou_loss(a, b)) == pytest.approx(1 - 8 / 24 + 4 / (36 + 16))


def known(*boxes: tuple[float, ...], ignore: tuple[tuple[float, ...], ...] = ()) -> PictureLabels:
    faces = np.array(boxes, np.float32).reshape(-1, 4)
    return PictureLabels(
        "group/x.jpg", (200, 200), faces, five(faces), np.array(ignore, np.float32).reshape(-1, 4)
    )


def five(boxes: np.ndarray) -> np.ndarray:
    at = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return boxes[:, None, :2] + at * (boxes[:, None, 2:] - boxes[:, None, :2])


def found(*rows: tuple[float, ...]) -> Detections:
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4], five(values[:, :4]), (200, 200))


def test_true_and_false_positives_and_what_is_spared() -> None:
    labels = known((10, 10, 60, 60), (100, 100, 110, 110), ignore=((150, 10, 190, 60),))
    matched = compare(
        found(
            (12, 10, 62, 60, 0.9),  # hit
            (11, 11, 60, 61, 0.8),  # the same face again: a false positive
            (152, 12, 188, 58, 0.7),  # in an ignored region
            (100, 100, 110, 110, 0.6),  # a face below 16 px
            (20, 120, 28, 128, 0.5),  # a find below 16 px
            (20, 120, 60, 160, 0.4),  # nothing there
        ),
        labels,
    )
    assert matched.faces == 1
    assert matched.scores.tolist() == pytest.approx([0.9, 0.8, 0.4])
    assert matched.hits.tolist() == [True, False, False]
    assert matched.errors[0] == pytest.approx(2 / 20, rel=1e-4) and np.isnan(matched.errors[1])


def test_recall_is_read_at_the_false_positives_allowed() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    labels = [known((10, 10, 60, 60)) for _ in range(9)] + [known()]
    answers = [found((10, 10, 60, 60, 0.9 - 0.05 * i)) for i in range(9)]
    answers.append(found((10, 10, 60, 60, 0.62), (100, 100, 150, 150, 0.4)))
    queue = iter(answers)
    result = measure(
        lambda images: [next(queue) for _ in images], [(picture, one) for one in labels], fppi=0.1
    )
    assert (result.pictures, result.faces) == (10, 9)
    assert result.recall == 1.0 and result.threshold == pytest.approx(0.5)
    assert result.recall_at[0.03] == pytest.approx(6 / 9)  # before the false positive at 0.62
    assert result.point_error_median == pytest.approx(0, abs=1e-6)
    assert result.empty_fppi == 1.0 and result.point_error == pytest.approx(0, abs=1e-6)
    assert dict(result.folders) == {"group": 1.0}
    with pytest.raises(InvalidArray, match="no face"):
        summarise([compare(found(), known())])


def test_equal_scores_count_together() -> None:
    labels = known((10, 10, 60, 60), (100, 100, 150, 150))
    both = found((10, 10, 60, 60, 0.7), (60, 100, 95, 150, 0.7), (100, 100, 150, 150, 0.5))
    result = summarise([compare(both, labels)], fppi=0.5)
    assert (
        result.recall == 0.0
    )  # the hit cannot be had without the false positive of the same score


def test_point_error_is_a_share_of_the_distance_of_the_eyes() -> None:
    wanted = five(np.array([[0, 0, 100, 100]], np.float32))
    assert point_error(wanted + np.array([3, 4], np.float32), wanted)[0] == pytest.approx(5 / 40)


def test_main_faces_are_those_in_the_middle() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    theirs = found((0, 0, 40, 40, 0.9), (70, 70, 130, 130, 0.8))
    result = main_faces(lambda _: [found((72, 70, 132, 130, 0.9))], lambda _: [theirs], [picture])
    assert (result.pictures, result.found) == (1, 1.0)
    assert result.point_error == pytest.approx(2 / 24, rel=1e-4)
    missed = main_faces(lambda _: [found((0, 0, 40, 40, 0.9))], lambda _: [theirs], [picture])
    assert missed.found == 0.0

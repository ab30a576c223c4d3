"""Whom a photo is near among those of the last steps: the term, what is remembered, going on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.test_train_taught import BASE, TEACHERS
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.objectives.neighbours import Neighbours
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import open_checkpoint


def unit(photos: int, dim: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(photos, dim, generator=torch.Generator().manual_seed(seed)))


def told(own: torch.Tensor, said: torch.Tensor, rows: int, temperature: float) -> float:
    """The divergence of the first ``rows`` photos from all others, in float64, photo by photo."""
    total = 0.0
    for a in range(rows):
        others = [m for m in range(len(own)) if m != a]
        p, q = (
            np.exp((v[others].double() @ v[a].double()).numpy() / temperature) for v in (said, own)
        )
        p, q = p / p.sum(), q / q.sum()
        total += float((p * np.log(p / q)).sum())
    return total / rows


def test_the_term_is_the_divergence_among_batch_and_memory() -> None:
    own, said = unit(12, 8, 0), unit(12, 6, 1)
    memory = Neighbours(32, 8, 6, 0.1)
    photos = torch.arange(12)
    first = memory(own[:4], said[:4], photos[:4])
    assert float(first) == pytest.approx(told(own[:4], said[:4], 4, 0.1), rel=1e-4)
    later = torch.arange(4, 12)
    found = memory(own[later], said[later], photos[later])
    order = torch.cat([later, photos[:4]])
    assert float(found) == pytest.approx(told(own[order], said[order], 8, 0.1), rel=1e-4)


def test_a_student_that_is_its_teacher_up_to_an_offset_of_cosines_has_nothing_to_learn() -> None:
    said = unit(16, 8, 2)
    same = torch.cat([said, torch.ones(16, 1)], dim=1)  # one more number, alike for all
    memory = Neighbours(8, 9, 8, 0.1)
    halved = F.normalize(same)
    wider = Neighbours(8, 9, 8, 0.1)
    assert float(memory(F.normalize(torch.cat([said, torch.zeros(16, 1)], 1)), said,
                        torch.arange(16))) == pytest.approx(0, abs=1e-6)  # fmt: skip
    # every cosine halved and raised by a half: the halving is told, the offset is not
    expected = told(np.sqrt(0.5) * said, said, 16, 0.1)
    assert float(wider(halved, said, torch.arange(16))) == pytest.approx(expected, rel=1e-4)


def test_another_view_of_a_photo_is_no_neighbour_of_it() -> None:
    own, said = unit(6, 8, 3), unit(6, 8, 4)
    memory = Neighbours(8, 8, 8, 0.1)
    memory(own[:3], said[:3], torch.tensor([0, 1, 2]))
    again = memory(own[3:4], said[:1], torch.tensor([0]))  # photo 0 seen anew
    rest, taught = torch.cat([own[3:4], own[1:3]]), torch.cat([said[:1], said[1:3]])
    assert float(again) == pytest.approx(told(rest, taught, 1, 0.1), rel=1e-3)


def test_the_oldest_are_forgotten() -> None:
    own, said = unit(10, 4, 5), unit(10, 4, 6)
    memory = Neighbours(4, 4, 4, 0.1)
    for start in range(0, 10, 2):
        memory(own[start : start + 2], said[start : start + 2], torch.arange(start, start + 2))
    assert memory.photo.tolist() == [8, 9, 6, 7]
    torch.testing.assert_close(memory.own, own[[8, 9, 6, 7]])


def test_the_gradient_goes_to_the_batch_alone() -> None:
    memory = Neighbours(8, 4, 4, 0.1)
    memory(unit(4, 4, 7), unit(4, 4, 8), torch.arange(4))
    own = unit(2, 4, 9).requires_grad_()
    memory(own, unit(2, 4, 10), torch.tensor([4, 5])).backward()
    assert own.grad is not None
    assert float(own.grad.norm()) > 0
    assert not memory.own.requires_grad


def config(folder: Path, *overrides: str) -> TrainConfig:
    base = [f"out={folder / 'run'}", f"distil.stored={folder / 'taught'}"]
    terms = ["distil.cosine=0", "distil.relational=0", "distil.neighbours=1", "distil.memory=128"]
    return parse_config(
        BASE, [*base, f"distil.teachers=[{', '.join(TEACHERS)}]", *terms, *overrides]
    )


@pytest.mark.data
@pytest.mark.training
@pytest.mark.usefixtures("one_thread")
def test_a_run_goes_on_with_whom_it_remembers(tmp_path: Path) -> None:
    half = train(config(tmp_path, "schedule.steps=6", "schedule.name=step"))
    stored = open_checkpoint(half.run).rank(0)["memory"]
    assert (stored["photo"] >= 0).sum() == 6 * config(tmp_path).data.batch
    whole = ["schedule.steps=12", "schedule.name=step"]
    went_on = train(config(tmp_path, *whole))
    unbroken = train(config(tmp_path, *whole, f"out={tmp_path / 'unbroken'}"))
    ended, expected = (open_checkpoint(run.run) for run in (went_on, unbroken))
    for name, weight in expected.shared()["backbone"].items():
        assert torch.equal(ended.shared()["backbone"][name], weight), name
    for name, row in expected.rank(0)["memory"].items():
        assert torch.equal(ended.rank(0)["memory"][name], row), name


def test_blended_photos_are_nobodys_neighbours() -> None:
    with pytest.raises(ConfigError, match="nobody's neighbours"):
        parse_config("distil: {teachers: [any], neighbours: 1, mix: 0.5}")

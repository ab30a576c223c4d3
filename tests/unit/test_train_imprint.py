"""Class centres that begin where a ready network already sees the identities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.clean.purify import restore_centres
from arcid.train.config.recipe import parse_config
from arcid.train.data.dataset import open_data
from arcid.train.data.features import embed, read_crops
from arcid.train.heads.imprint import means
from arcid.train.recogniser.job import train
from arcid.train.weights.checkpoint import open_checkpoint
from arcid.train.weights.restore import restore_backbone

DIM = 16
RECIPE = """
data:
  sources: ["${ARCID_DATA}/data/train/vgg.tar"]
  size: 32
  batch: 16
  identities: 8
  max_images: 12
model: {backbone: mobilefacenet_relu_x0.5, dim: 32, options: {width: 0.25}}
schedule: {steps: 1}
validation: {every: 0}
"""


def around(direction: int, count: int, seed: int) -> torch.Tensor:
    """Unit-norm vectors near one axis."""
    noise = torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)) * 0.05
    noise[:, direction] += 1
    return F.normalize(noise, dim=1)


def test_one_mean_is_the_direction_of_the_sum() -> None:
    vectors = around(0, 9, 1)
    assert torch.allclose(means(vectors, 1)[0], F.normalize(vectors.sum(0), dim=0), atol=1e-6)


def test_groups_are_found_and_the_largest_comes_first() -> None:
    vectors = torch.cat([around(3, 4, 1), around(0, 12, 2), around(7, 6, 3)])
    found = means(vectors, 3)
    assert found.abs().argmax(1).tolist() == [0, 7, 3]
    assert torch.allclose(found.norm(dim=1), torch.ones(3))
    assert torch.equal(found, means(vectors, 3))


def test_there_are_no_more_means_than_photos() -> None:
    assert means(around(2, 2, 1), 3).shape == (2, DIM)
    assert means(torch.zeros(0, DIM), 3).shape == (0, DIM)
    assert means(around(1, 1, 1).repeat(5, 1), 3).isfinite().all()


def test_imprinting_needs_a_network_to_begin_from() -> None:
    with pytest.raises(ConfigError, match="init_from"):
        parse_config("classifier: {start: imprint}")


@pytest.mark.data
def test_a_run_without_class_centres_refuses_to_lay_them(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    first = train(parse_config(RECIPE, [f"out={tmp_path / 'first'}"]))
    config = parse_config(
        RECIPE,
        [f"out={tmp_path / 'second'}", f"init_from={first.checkpoint}", "classifier.start=imprint",
         "loss.name=triplet_semihard", "data.per_identity=4"],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="no class centres"):
        train(config)


@pytest.mark.data
@pytest.mark.parametrize("loss", ["{name: subcenter_arcface, options: {k: 3}}", "{name: softmax}"])
def test_a_run_begins_at_the_means_of_its_photos(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    first = train(parse_config(RECIPE, [f"out={tmp_path / 'first'}"]))
    again = [f"init_from={first.checkpoint}", "classifier.start=imprint", f"loss={loss}"]
    config = parse_config(RECIPE, [f"out={tmp_path / 'second'}", *again, "optim.lr=0"])
    done = train(config)
    centres = restore_centres(open_checkpoint(done.checkpoint)).weight.detach()[..., :32]
    data = open_data(config.data)
    pixels, labels = read_crops(data.train)
    backbone = restore_backbone(first.checkpoint).backbone.eval()
    features = F.normalize(embed(backbone, pixels, torch.device("cpu")), dim=1)
    assert set(labels.tolist()) == set(range(len(data.classes)))
    for label in range(len(data.classes)):
        own = means(features[torch.from_numpy(np.flatnonzero(labels == label))], centres.shape[1])
        cosines = F.cosine_similarity(own, centres[label, : len(own)])
        assert cosines.min() > 0.9999
    lengths = centres.norm(dim=-1)
    assert torch.allclose(lengths, torch.full_like(lengths, 0.01 * 32**0.5), atol=1e-4)

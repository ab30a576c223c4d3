"""``parity: arcface_torch`` against twenty steps written down from that trainer's own equations."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcid.errors import ConfigError
from arcid.train.backbones.inputs import to_input
from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.data.loader import Batch
from arcid.train.engine.model import Model
from arcid.train.engine.schedule import Length
from arcid.train.heads.partial import PartialClassifier
from arcid.train.objectives.create import MarginObjective
from arcid.train.objectives.objective import create_classifier
from arcid.train.ranks import Ranks
from arcid.train.weights.restore import backbone_of

CLASSES, DIM, BATCH, STEPS, WARMUP = 40, 16, 12, 20, 4
FILTER = 0.25
ALONE = Ranks(0, 1, torch.device("cpu"))


def config(*more: str) -> TrainConfig:
    text = f"""
parity: arcface_torch
data: {{sources: [nowhere], size: 32, batch: {BATCH}}}
model: {{backbone: mobilefacenet_prelu_x0.5, dim: {DIM}, options: {{width: 0.25}}}}
classifier: {{kind: partial, rate: 0.4, filter_cosine: {FILTER}}}
optim: {{lr: 0.02, weight_decay: 0.05, clip: 0.5}}
schedule: {{name: poly, steps: {STEPS}, warmup: {WARMUP}}}
"""
    return parse_config(text, more)


def exact(images: Tensor) -> Tensor:
    return to_input(images).double()


class Reference:
    """Cosines, margin, cross-entropy, clipping and SGD as arcface_torch has them, on one rank."""

    def __init__(self, network: nn.Module, centres: Tensor, m2: float, m3: float) -> None:
        self.network, self.m2, self.m3 = network, m2, m3
        self.centres = nn.Parameter(centres.clone())
        self.optimizer = torch.optim.SGD(
            [*network.parameters(), self.centres], lr=1.0, momentum=0.9, weight_decay=0.05
        )

    def step(self, images: Tensor, labels: Tensor, rows: Tensor, rate: float) -> float:
        features = self.network(exact(images))
        logits = F.normalize(features) @ F.normalize(self.centres[rows]).T
        target = torch.searchsorted(rows, labels)[:, None]
        dirty = (logits > FILTER).scatter(1, target, False)
        logits = logits * ~dirty
        margin = torch.zeros_like(logits)
        own = logits.gather(1, target)
        if self.m2:
            shifted = torch.cos(torch.acos(own) + self.m2) - own
        else:
            shifted = torch.full_like(own, -self.m3)
        margin.scatter_(1, target, shifted.detach())
        loss = F.cross_entropy(64 * (logits + margin), target[:, 0])
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 0.5)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return float(loss.detach())


def rates() -> list[float]:
    """Linear to 0.02 and linear down to 0."""
    rising = [0.02 * (n + 1) / WARMUP for n in range(WARMUP)]
    return rising + [0.02 * (1 - (n - WARMUP) / (STEPS - WARMUP)) for n in range(WARMUP, STEPS)]


@pytest.mark.parametrize("name", ["arcface", "cosface"])
def test_twenty_steps_are_those_of_arcface_torch(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, so that what differs is not rounding."""
    monkeypatch.setattr("arcid.train.objectives.parts.to_input", exact)
    wanted = config(f"loss.name={name}")
    torch.manual_seed(3)
    backbone = backbone_of(wanted).double()
    data: Any = SimpleNamespace(train=None, classes=range(CLASSES))
    objective = MarginObjective(wanted, data, ALONE)
    centres = cast(PartialClassifier, objective.centres).double()
    twin = copy.deepcopy(backbone).train()
    model = Model(wanted, backbone, objective, ALONE)
    margins = (0.5, 0.0) if name == "arcface" else (0.0, 0.35)
    reference = Reference(twin, centres.weight[:, 0].detach(), *margins)
    length = Length(wanted.schedule, BATCH, 1, parity=True)
    rng = torch.Generator().manual_seed(5)
    filtered = untouched = 0
    for step, rate in enumerate(rates()):
        images = torch.randint(256, (BATCH, 3, 32, 32), generator=rng, dtype=torch.uint8)
        labels = torch.randint(CLASSES, (BATCH,), generator=rng)
        rows = centres._choose(labels)
        assert rows is not None
        untouched += CLASSES - len(rows)
        model.set_rate(length.rate(step, 0.0, step * BATCH))
        assert model.rate == pytest.approx(rate, rel=1e-9)
        batch = Batch(images, labels, np.arange(BATCH))
        facts = model.step(batch, step, tmp_path)
        with torch.no_grad():
            near = F.normalize(twin(exact(images))) @ F.normalize(reference.centres[rows]).T
            filtered += int((near > FILTER).sum())
        assert facts["loss"] == pytest.approx(reference.step(images, labels, rows, rate), rel=1e-6)
        assert facts["gradient"] > 0.5  # clipped
        assert "centre_gradient" not in facts
    assert filtered > 50 and untouched > 100
    torch.testing.assert_close(
        centres.weight[:, 0].detach(), reference.centres.detach(), rtol=1e-6, atol=1e-9
    )
    for mine, theirs in zip(backbone.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)


def test_each_difference_matters() -> None:
    """The same step without the switch: other gradients, other weights."""
    features = F.normalize(torch.randn(6, DIM, dtype=torch.float64)).requires_grad_()
    labels = torch.arange(6)
    found = []
    for parity in ("arcface_torch", ""):
        centres = create_classifier(
            config(f"parity={parity!r}", "classifier={kind: full, filter_cosine: 0.25}"),
            CLASSES,
            ALONE,
        ).double()
        out = centres.train()(features, labels)
        found.append(torch.autograd.grad(out.loss, features)[0])
        own = out.cosine.detach()
        logit = centres.loss.target(own, own).logit
        assert torch.allclose(logit, 64 * torch.cos(torch.acos(own) + 0.5))
    assert not torch.allclose(found[0], found[1], rtol=0.05)


def test_filtered_negatives_count_as_cosine_zero() -> None:
    features, labels = torch.randn(5, DIM, dtype=torch.float64), torch.arange(5)
    kept = (
        create_classifier(config("classifier={kind: full, filter_cosine: 0.25}"), CLASSES, ALONE)
        .double()
        .eval()
    )
    cosines = F.normalize(features) @ F.normalize(kept.weight[:, 0]).T
    own = cosines.gather(1, labels[:, None])
    clean = torch.where(cosines > FILTER, 0.0, cosines)
    clean = clean.scatter(1, labels[:, None], torch.cos(torch.acos(own) + 0.5))
    expected = F.cross_entropy(64 * clean, labels)
    assert bool((cosines > FILTER).any())
    for chunk in (0, 7):
        kept.chunk = chunk
        assert kept(features, labels).loss.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("loss.name=adaface", "has no adaface"),
        ("loss.name=sphereface", "one margin at a time"),
        ("loss.name=cm1", "one margin at a time"),
    ],
)
def test_what_arcface_torch_does_not_have_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_classifier(config(change), CLASSES, ALONE)


def test_without_it_nothing_changes() -> None:
    assert math.isinf(create_classifier(config("parity=''"), CLASSES, ALONE).filter_to)

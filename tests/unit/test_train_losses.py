"""Every loss against its equation written again, in float64, one sample and class at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from arcid.errors import ConfigError, DatasetInvalid, InvalidArray
from arcid.train.data.identities import PKSampler
from arcid.train.heads.margin import ANGLE_MARGIN, ClassificationLoss, margin_cosine
from arcid.train.heads.softmax import MarginSpec
from arcid.train.objectives.losses import LOSSES, loss_spec
from arcid.train.objectives.triplet import TripletLoss

FIXED = {
    "normface": (1, 0, 0, 20),
    "sphereface": (1.35, 0, 0, 64),
    "cosface": (1, 0, 0.35, 64),
    "arcface": (1, 0.5, 0, 64),
    "cm1": (1, 0.3, 0.2, 64),
    "cm2": (0.9, 0.4, 0.15, 64),
    "subcenter_arcface": (1, 0.5, 0, 64),
}
CLASSIFYING = [n for n in LOSSES if not n.startswith("triplet")]


def psi(phi: float) -> float:
    """The continued cosine, by walking down one half turn at a time."""
    drop = 0.0
    while phi > math.pi:
        phi, drop = phi - math.pi, drop + 2
    while phi < 0:
        phi, drop = phi + math.pi, drop - 2
    return math.cos(phi) - drop


def by_hand(name: str, cosine: np.ndarray, labels: np.ndarray, norms: np.ndarray) -> float:
    """Mean loss of a first training batch, from the papers' equations."""
    total = 0.0
    seen = np.clip(norms, 1e-3, 100)
    mean = 0.99 * 20 + 0.01 * seen.mean()
    std = 0.99 * 100 + 0.01 * seen.std(ddof=1)
    t = 0.01 * np.mean([cosine[i, y] for i, y in enumerate(labels)])
    for i, y in enumerate(labels):
        theta = math.acos(cosine[i, y])
        logits = [64 * c for c in cosine[i]]
        extra = 0.0
        if name == "softmax":
            logits = list(cosine[i])
        elif name in FIXED:
            m1, m2, m3, s = FIXED[name]
            logits = [s * c for c in cosine[i]]
            logits[y] = s * (psi(m1 * theta + m2) - m3)
        elif name == "adaface":
            q = min(1.0, max(-1.0, (seen[i] - mean) / (std + 1e-3) * 0.333))
            logits[y] = 64 * (psi(theta - 0.4 * q) - (0.4 * q + 0.4))
        elif name == "magface":
            a = min(110.0, max(10.0, norms[i]))
            logits[y] = 64 * psi(theta + 0.45 + 0.35 * (a - 10) / 100)
            extra = 35 * (a / 110**2 + 1 / a)
        elif name == "curricularface":
            own = psi(theta + 0.5)
            logits = [64 * (c if c <= own else c * (t + c)) for c in cosine[i]]
            logits[y] = 64 * own
        top = max(logits)
        total += top + math.log(sum(math.exp(z - top) for z in logits)) - logits[y] + extra
    return total / len(labels)


def batch(seed: int = 0, rows: int = 24, classes: int = 17) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    cosine = rng.uniform(-0.95, 0.95, (rows, classes))
    labels = rng.integers(0, classes, rows)
    norms = rng.uniform(2, 140, rows)
    return cosine, labels, norms


def tensors(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    cosine, labels, norms = batch(seed)
    return torch.tensor(cosine), torch.tensor(labels), torch.tensor(norms)


def classification(name: str, **options: Any) -> ClassificationLoss:
    loss = loss_spec(name, **options).build()
    assert isinstance(loss, ClassificationLoss)
    return loss


@pytest.mark.parametrize("name", CLASSIFYING)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-6), (torch.float32, 2e-6), (torch.bfloat16, 2e-6), (torch.float16, 2e-6)],
)
def test_value_is_that_of_the_equation(name: str, dtype: torch.dtype, tolerance: float) -> None:
    # the equation sees the cosines as that type rounds them; everything after is at least float32
    cosine, labels, norms = tensors()
    given = cosine.to(dtype)
    found = classification(name)(given, labels, norms)
    expected = by_hand(name, given.double().numpy(), labels.numpy(), norms.numpy())
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.item() == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("name", CLASSIFYING)
def test_gradient_is_that_of_the_value(name: str) -> None:
    cosine, labels, norms = tensors(1)
    loss = classification(name).double().eval()
    cosine = (cosine[:6, :5] * 0.98).requires_grad_()
    norms = norms[:6].clamp(15, 105)
    if name == "magface":
        norms.requires_grad_()
    assert torch.autograd.gradcheck(lambda c, n: loss(c, labels[:6] % 5, n), (cosine, norms))


@pytest.mark.parametrize("m2", [-0.4, 0.0, 0.3, 0.5, 1.2])
@pytest.mark.parametrize("m1", [0.9, 1.0, 1.35, 4.0])
def test_margin_falls_with_the_angle_and_never_jumps(m1: float, m2: float) -> None:
    theta = torch.linspace(0, math.pi, 20001, dtype=torch.float64)
    value = margin_cosine(torch.cos(theta), m1, m2, 0.1)
    steps = value.diff()
    assert (steps <= 1e-12).all()
    assert steps.abs().max() < 1.01 * m1 * math.pi / 20000


def test_margin_keeps_pushing_beyond_half_a_turn() -> None:
    """At θ + m > π a bare cos(θ+m) would reward moving away from the own class."""
    cosine = torch.tensor([math.cos(3.0)], dtype=torch.float64, requires_grad=True)
    margin_cosine(cosine, 1.0, 0.5).sum().backward()
    assert cosine.grad is not None
    assert cosine.grad.item() == pytest.approx(abs(math.sin(3.5)) / math.sin(3.0), rel=1e-9)
    assert math.sin(3.5) / math.sin(3.0) < 0


def test_gradient_runs_through_the_margin() -> None:
    """At 60° with m = 0.5 it is sin(θ+m)/sin(θ) = 1.15; a detached margin would give 1."""
    cosine = torch.tensor([0.5], requires_grad=True)
    margin_cosine(cosine, 1.0, 0.5).sum().backward()
    theta = math.acos(0.5)
    assert cosine.grad is not None
    assert cosine.grad.item() == pytest.approx(math.sin(theta + 0.5) / math.sin(theta), rel=1e-6)


@pytest.mark.parametrize("name", [n for n in CLASSIFYING if n != "softmax"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("edge", [1.0, -1.0, 1.0 + 1e-6, -1.0 - 1e-6])
def test_finite_and_bounded_at_the_edges(name: str, dtype: torch.dtype, edge: float) -> None:
    cosine = torch.full((4, 3), -edge, dtype=dtype)
    cosine[range(4), [0, 1, 2, 0]] = edge
    cosine.requires_grad_()
    loss = classification(name)
    labels = torch.tensor([0, 1, 2, 0])
    value = loss(cosine, labels, torch.tensor([1.0, 20.0, 50.0, 200.0]))
    value.backward()
    assert cosine.grad is not None
    assert torch.isfinite(value)
    assert torch.isfinite(cosine.grad).all()
    steepest = 64 * 1.35 / ANGLE_MARGIN / 4
    assert cosine.grad.abs().max() <= max(steepest, 64 * 3)
    assert (cosine.grad[range(4), labels] <= 0).all(), "a step must move towards the own class"


@pytest.mark.parametrize("gap", [0.0, 1e-5, 1e-4, 1e-3, 0.1])
@pytest.mark.parametrize("opposite", [False, True])
def test_feature_gradient_stays_small_next_to_its_centre(gap: float, opposite: bool) -> None:
    """∂ψ/∂cos is unbounded at ±1, but its product with ∂cos/∂x is sin φ: at most m1."""
    angle = math.pi - gap if opposite else gap
    centre = torch.tensor([1.0, 0.0, 0.0])
    x = torch.tensor([math.cos(angle), math.sin(angle), 0.0], requires_grad=True)
    margin_cosine((F.normalize(x, dim=0) @ centre)[None], 1.35, 0.5).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad.norm() <= 1.35 * 1.05


def test_gradient_reaches_each_samples_own_margin() -> None:
    cosine = torch.tensor([0.3, -0.8, 0.9], dtype=torch.float64, requires_grad=True)
    m2 = torch.tensor([0.5, 0.8, -0.7], dtype=torch.float64, requires_grad=True)
    m3 = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, a, b: margin_cosine(c, 1.2, a, b), (cosine, m2, m3))


def test_one_sub_centre_is_plain_arcface() -> None:
    cosine, labels, _ = tensors()
    plain = classification("arcface")(cosine, labels)
    assert classification("subcenter_arcface")(cosine[..., None], labels).item() == plain.item()


def test_the_nearest_sub_centre_counts() -> None:
    cosine, labels, norms = tensors()
    three = torch.stack([cosine - 0.3, cosine, cosine - 0.1], dim=2).requires_grad_()
    value = classification("subcenter_arcface")(three, labels)
    assert value.item() == pytest.approx(
        by_hand("arcface", cosine.numpy(), labels.numpy(), norms.numpy()), rel=1e-6
    )
    value.backward()
    assert three.grad is not None
    assert three.grad[..., [0, 2]].abs().max() == 0
    assert three.grad[..., 1].abs().min() > 0


def test_adaface_follows_the_norms_of_training_batches_only() -> None:
    loss = classification("adaface").double()
    mean, std = 20.0, 100.0
    for seed in range(3):
        cosine, labels, norms = tensors(seed)
        loss(cosine, labels, norms)
        seen = np.clip(norms.numpy(), 1e-3, 100)
        mean, std = 0.99 * mean + 0.01 * seen.mean(), 0.99 * std + 0.01 * seen.std(ddof=1)
    before = {k: v.item() for k, v in loss.state_dict().items()}
    assert before == {"mean": pytest.approx(mean), "std": pytest.approx(std)}
    loss.eval()(cosine, labels, norms)
    assert {k: v.item() for k, v in loss.state_dict().items()} == before


def test_adaface_gives_sharp_faces_the_angular_margin_and_poor_ones_the_additive() -> None:
    loss = classification("adaface").eval()
    loss.load_state_dict({"mean": torch.tensor(50.0), "std": torch.tensor(10.0)})
    angles = torch.tensor([0.6, 1.0, 1.4])

    def logit(norm: float) -> Tensor:
        return loss.target(torch.cos(angles), torch.full((3,), norm)).logit / 64

    torch.testing.assert_close(logit(95.0), torch.cos(angles - 0.4) - 0.8)  # q = 1
    torch.testing.assert_close(logit(5.0), torch.cos(angles + 0.4))  # q = −1: ArcFace
    torch.testing.assert_close(logit(50.0), torch.cos(angles) - 0.4)  # q = 0: CosFace


def test_curricularface_raises_hard_negatives_as_training_goes_on() -> None:
    loss = classification("curricularface").double()
    cosine = torch.tensor([[0.6, 0.5, -0.2]], dtype=torch.float64)  # ψ(θ_y+0.5) = 0.143 < 0.5
    label = torch.tensor([0])
    early = loss.eval()(cosine, label).item()
    loss.train()
    for _ in range(200):
        loss(cosine, label)
    assert loss.state_dict()["t"].item() == pytest.approx(0.6 * (1 - 0.99**200), rel=1e-6)
    assert loss.eval()(cosine, label).item() > early


def test_magface_pulls_a_short_feature_longer() -> None:
    loss = classification("magface").eval()
    norms = torch.tensor([15.0], requires_grad=True)
    loss(torch.tensor([[0.99, -0.9]]), torch.tensor([0]), norms).backward()
    assert norms.grad is not None
    assert norms.grad.item() == pytest.approx(35 * (1 / 110**2 - 1 / 15**2), rel=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("mining", ["hard", "semihard"])
def test_triplets_by_hand(mining: str, distance: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(14, 6)), rng.integers(0, 5, 14)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    d = 1 - unit @ unit.T
    if distance == "euclidean":
        d = np.array([[np.linalg.norm(a - b) for b in unit] for a in unit])
    terms = []
    for a in range(14):
        positives = [i for i in range(14) if labels[i] == labels[a] and i != a]
        negatives = [i for i in range(14) if labels[i] != labels[a]]
        if mining == "hard" and positives:
            terms.append(
                max(0, 0.35 + max(d[a, p] for p in positives) - min(d[a, n] for n in negatives))
            )
        elif mining == "semihard":
            for p in positives:
                beyond = [d[a, n] for n in negatives if d[a, n] > d[a, p]]
                other = min(beyond) if beyond else max(d[a, n] for n in negatives)
                terms.append(max(0, 0.35 + d[a, p] - other))
    loss = loss_spec(f"triplet_{mining}", distance=distance).build()
    features = torch.tensor(x, requires_grad=True)
    value = loss(features, torch.tensor(labels))
    assert value.item() == pytest.approx(np.mean(terms), rel=1e-9)
    assert torch.autograd.gradcheck(lambda f: loss(f, torch.tensor(labels)), (features,))
    low = loss(torch.tensor(x, dtype=torch.bfloat16), torch.tensor(labels))
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(np.mean(terms), rel=0.02)


def test_triplets_survive_equal_photos() -> None:
    features = torch.ones(4, 3, requires_grad=True)
    loss_spec("triplet_hard", distance="euclidean").build()(
        features, torch.tensor([0, 0, 1, 1])
    ).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_a_batch_without_triplets_is_refused() -> None:
    loss = loss_spec("triplet_hard").build()
    assert isinstance(loss, TripletLoss)
    for labels in ([0, 1, 2], [0, 0, 0]):
        with pytest.raises(InvalidArray, match="per_identity"):
            loss(torch.eye(3), torch.tensor(labels))


def test_pk_batches_hold_p_people_of_k_photos_on_every_rank() -> None:
    labels = np.repeat(np.arange(11), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    ranks = [PKSampler(labels, 2, 4, 7, rank, 2) for rank in range(2)]
    people = []
    for sampler in ranks:
        batches = list(sampler.batches(0))
        assert len(batches) == len(sampler) == 2
        for rows in batches:
            names, counts = np.unique(labels[rows], return_counts=True)
            assert len(names) == 2
            assert (counts == 4).all()
            for name in names:
                mine = [i for i in rows if labels[i] == name]
                assert len(set(mine)) == min(4, int((labels == name).sum()))
            people += names.tolist()
    assert len(people) == len(set(people)), "an identity comes once an epoch, on one rank"


def test_pk_batches_repeat_change_by_epoch_and_resume() -> None:
    labels = np.repeat(np.arange(30), 5)
    sampler = PKSampler(labels, 3, 2, seed=1)
    first = list(sampler.batches(0))
    assert first == list(PKSampler(labels, 3, 2, seed=1).batches(0))
    assert list(sampler.batches(1)) != first
    assert list(sampler.batches(0, 6)) == first[6:]


def test_wrong_settings_say_what_is_right() -> None:
    with pytest.raises(ConfigError, match="known: softmax, normface"):
        loss_spec("archface")
    with pytest.raises(ConfigError, match="margin: unknown key; known: k, m1, m2, m3, s"):
        loss_spec("arcface", margin=0.5)
    with pytest.raises(ConfigError, match="s: must be above 0"):
        MarginSpec(s=0)
    with pytest.raises(ConfigError, match=r"m2: must be at least 0 and below 3\.14159"):
        MarginSpec(m2=28.6)
    with pytest.raises(ConfigError, match="k: must be 1"):
        loss_spec("softmax", k=2)
    with pytest.raises(DatasetInvalid, match="lower p"):
        PKSampler(np.array([0, 0, 1, 1]), 3, 2, 1)
    with pytest.raises(InvalidArray, match=r"\(B,C\)"):
        classification("arcface")(torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64))


def test_presets_hold_the_papers_numbers() -> None:
    for name, numbers in FIXED.items():
        spec = loss_spec(name)
        assert isinstance(spec, MarginSpec)
        assert (spec.m1, spec.m2, spec.m3, spec.s) == numbers
    assert loss_spec("subcenter_arcface").k == 3
    assert loss_spec("arcface", m2=0.3) == MarginSpec(m2=0.3)

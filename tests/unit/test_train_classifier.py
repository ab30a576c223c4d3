"""The classifier against the dense loss, in chunks, sampled, filtered and on two ranks."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit import classifier_ranks as ranks
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from arcid.errors import ConfigError, InvalidArray, UsageError
from arcid.train.heads.classifier import (
    Classifier,
    class_range,
    initial_centres,
    reshard,
    reshard_state,
)
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.heads.partial import PartialClassifier, RowAdamW, RowSGD
from arcid.train.objectives.losses import LOSSES, loss_spec

CLASSES, DIM, BATCH = 29, 6, 10
CLASSIFYING = [n for n in LOSSES if not n.startswith("triplet")]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small work: threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loss_named(name: str, **options: Any) -> ClassificationLoss:
    loss = loss_spec(name, **options).build()
    assert isinstance(loss, ClassificationLoss)
    return loss


def batch(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(BATCH, DIM, generator=generator, dtype=torch.float64) * 8
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    labels[1] = labels[0]
    return features.to(dtype).requires_grad_(), labels


def dense(classifier: Classifier, features: Tensor, labels: Tensor) -> Tensor:
    """The loss from the whole cosine matrix, by ordinary autograd."""
    weight, loss = classifier.weight, classifier.loss
    if not loss.normalised:
        logits = features @ weight[:, 0, :-1].T + weight[:, 0, -1]
        return loss(logits, labels)
    cosine = torch.einsum("bd,ckd->bck", F.normalize(features), F.normalize(weight, dim=2))
    return loss(cosine, labels, features.norm(dim=1))


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    found = torch.autograd.grad(loss, of)
    return [g.to_dense() if g.is_sparse else g for g in found]


@pytest.mark.parametrize("chunk", [0, 1, 7])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", CLASSIFYING)
def test_chunks_give_the_dense_loss_and_its_gradients(name: str, k: int, chunk: int) -> None:
    if name == "softmax" and k > 1:
        pytest.skip("plain softmax has no sub-centres")
    features, labels = batch()
    classifier = Classifier(
        CLASSES, DIM, loss_named(name).double(), k=k, chunk=chunk, seed=3, dtype=torch.float64
    )
    reference = Classifier(CLASSES, DIM, loss_named(name).double(), k=k, seed=3,
                           dtype=torch.float64)  # fmt: skip
    out = classifier(features, labels)
    expected = dense(reference, features, labels)
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-10)
    assert out.losses.mean().item() == pytest.approx(expected.item(), rel=1e-10)
    found = gradients(out.loss, features, classifier.weight)
    for mine, theirs in zip(found, gradients(expected, features, reference.weight), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["softmax", "arcface", "curricularface", "magface"])
def test_gradcheck_through_the_classifier(name: str) -> None:
    features = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 5, 2, 5])
    k = 1 if name == "softmax" else 2
    loss = loss_named(name).double()
    classifier = Classifier(7, 3, loss, k=k, chunk=6, dtype=torch.float64).eval()
    weight = classifier.weight
    weight.data = torch.randn_like(weight)

    def value(x: Tensor, w: Tensor) -> Tensor:
        out = torch.func.functional_call(classifier, {"weight": w}, (x, labels))
        return out.loss

    assert torch.autograd.gradcheck(value, (features, weight.detach().requires_grad_()))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)]
)
@pytest.mark.parametrize("name", CLASSIFYING)
def test_low_precision_features_under_autocast(
    name: str, dtype: torch.dtype, tolerance: float
) -> None:
    features, labels = batch(4)
    exact = Classifier(CLASSES, DIM, loss_named(name).double(), dtype=torch.float64)
    expected = exact(features, labels).loss
    classifier = Classifier(CLASSES, DIM, loss_named(name))
    low = features.detach().to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = classifier(low, labels)
        out.loss.backward()
    assert out.loss.dtype == torch.float32
    assert out.loss.item() == pytest.approx(expected.item(), rel=tolerance)
    assert low.grad is not None
    towards = gradients(expected, features)[0]
    assert F.cosine_similarity(low.grad.double(), towards, dim=1).min() > 1 - 4 * tolerance


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_products_stay_close(dtype: torch.dtype) -> None:
    features, labels = batch(4, torch.float32)
    plain = Classifier(CLASSES, DIM, loss_named("arcface"))
    fast = Classifier(CLASSES, DIM, loss_named("arcface"), matmul_dtype=dtype, chunk=8)
    one, two = plain(features, labels), fast(features, labels)
    assert two.loss.item() == pytest.approx(one.loss.item(), rel=5e-3)
    for a, b in zip(
        gradients(one.loss, features, plain.weight),
        gradients(two.loss, features, fast.weight),
        strict=True,
    ):
        assert F.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.9995


@pytest.mark.parametrize("name", CLASSIFYING)
def test_photos_on_their_centre_or_opposite_stay_finite(name: str) -> None:
    classifier = Classifier(CLASSES, DIM, loss_named(name))
    labels = torch.arange(4)
    on = classifier.weight.detach()[:2, 0, :DIM] * 100
    against = -classifier.weight.detach()[2:4, 0, :DIM] * 100
    features = torch.cat([on, against]).requires_grad_()
    out = classifier(features, labels)
    out.loss.backward()
    assert torch.isfinite(out.losses).all()
    for grad in (features.grad, classifier.weight.grad):
        assert grad is not None
        assert torch.isfinite(grad).all()


def test_a_feature_of_zeros_makes_no_nan() -> None:
    classifier = Classifier(CLASSES, DIM, loss_named("arcface"))
    features = torch.zeros(2, DIM, requires_grad=True)
    classifier(features, torch.tensor([0, 1])).loss.backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


class _Sizes(TorchDispatchMode):
    """How many numbers each new tensor made inside the block has; views are not new."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not (func.is_view or func._schema.is_mutable):
            outs = out if isinstance(out, (tuple, list)) else (out,)
            self.made += [x.numel() for x in outs if isinstance(x, Tensor) and not x.is_sparse]
        return out


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_no_tensor_outgrows_the_centres_or_a_chunk(rate: float) -> None:
    classes, dim, rows, chunk = 4000, 8, 64, 100
    classifier = PartialClassifier(
        classes, dim, loss_named("arcface"), chunk=chunk, sample_rate=rate
    )
    features = torch.randn(rows, dim, requires_grad=True)
    labels = torch.arange(rows)
    with _Sizes() as sizes:
        classifier(features, labels).loss.backward()
    bound = max(rows * chunk, classes)
    centres = round(classes * rate) * dim
    assert max(sizes.made) <= max(centres, bound)
    if rate == 1:
        assert sizes.made.count(centres) == 1, "the gradient of the centres, once"


@pytest.mark.parametrize("k", [1, 3])
def test_partial_at_rate_one_is_full(k: int) -> None:
    features, labels = batch()
    whole = Classifier(CLASSES, DIM, loss_named("arcface"), k=k, dtype=torch.float64, seed=1)
    sampled = PartialClassifier(CLASSES, DIM, loss_named("arcface"), k=k, dtype=torch.float64,
                                seed=1, sample_rate=1.0)  # fmt: skip
    one, two = whole(features, labels), sampled(features, labels)
    assert one.loss.item() == two.loss.item()
    for a, b in zip(
        gradients(one.loss, features, whole.weight),
        gradients(two.loss, features, sampled.weight),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("chunk", [0, 4])
def test_partial_is_the_dense_loss_over_the_drawn_classes(chunk: int) -> None:
    features, labels = batch()
    sampled = PartialClassifier(CLASSES, DIM, loss_named("arcface"), k=2, dtype=torch.float64,
                                sample_rate=0.5, chunk=chunk)  # fmt: skip
    out = sampled(features, labels)
    out.loss.backward()
    grad = sampled.weight.grad
    assert grad is not None
    assert grad.is_sparse, "memory must follow the drawn rows"
    rows = grad.coalesce().indices()[0]
    assert len(rows) == max(round(0.5 * CLASSES), len(labels.unique()))
    assert set(labels.tolist()) <= set(rows.tolist()), "classes of the batch always take part"

    reference = Classifier(len(rows), DIM, loss_named("arcface"), k=2, dtype=torch.float64)
    reference.weight.data = sampled.weight.detach()[rows]
    expected = dense(reference, features, torch.searchsorted(rows, labels))
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-10)
    into_x, into_w = gradients(expected, features, reference.weight)
    assert features.grad is not None
    torch.testing.assert_close(features.grad, into_x)
    torch.testing.assert_close(grad.coalesce().values(), into_w)


def test_partial_draws_anew_each_step_and_the_same_after_a_restart() -> None:
    features, labels = batch()

    def rows(classifier: PartialClassifier) -> list[int]:
        classifier.weight.grad = None
        classifier(features, labels).loss.backward()
        assert classifier.weight.grad is not None
        found: list[int] = classifier.weight.grad.coalesce().indices()[0].tolist()
        return found

    first = PartialClassifier(200, DIM, loss_named("arcface"), sample_rate=0.2, seed=9)
    drawn = [rows(first), rows(first)]
    assert drawn[0] != drawn[1]
    state = copy.deepcopy(first.state_dict())
    third = rows(first)
    second = PartialClassifier(200, DIM, loss_named("arcface"), sample_rate=0.2, seed=9)
    second.load_state_dict(state)
    assert rows(second) == third


def test_every_class_is_drawn_about_as_often() -> None:
    sampled = PartialClassifier(50, 2, loss_named("arcface"), sample_rate=0.2)
    hits = torch.zeros(50)
    for step in range(400):
        sampled.steps = step
        rows = sampled._choose(torch.tensor([3]))
        assert rows is not None
        assert len(rows) == 10
        hits[rows] += 1
    assert hits[3] == 400
    others = torch.cat([hits[:3], hits[4:]])  # each 400·9/49 = 73 times, deviation 7.7
    assert others.min() > 40
    assert others.max() < 110


def test_partial_looks_at_every_class_when_evaluated() -> None:
    features, labels = batch()
    sampled = PartialClassifier(CLASSES, DIM, loss_named("arcface"), sample_rate=0.4).eval()
    whole = Classifier(CLASSES, DIM, loss_named("arcface")).eval()
    assert sampled(features, labels).loss.item() == whole(features, labels).loss.item()


@pytest.mark.parametrize("chunk", [0, 5])
def test_filter_leaves_out_negatives_that_are_too_close(chunk: int) -> None:
    features, labels = batch()
    classifier = Classifier(CLASSES, DIM, loss_named("arcface"), dtype=torch.float64,
                            filter_cosine=0.4, chunk=chunk)  # fmt: skip
    out = classifier(features, labels)
    cosine = F.normalize(features) @ F.normalize(classifier.weight[:, 0]).T
    own = F.one_hot(labels, CLASSES).bool()
    close = (cosine > 0.4) & ~own
    assert close.any(dim=1).sum() > 3
    logits = classifier.loss.negatives(cosine, None).masked_fill(close, -torch.inf)
    target = classifier.loss.target(cosine[own], features.norm(dim=1)).logit
    expected = F.cross_entropy(torch.where(own, target[:, None], logits), labels)
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-10)
    for a, b in zip(
        gradients(out.loss, features, classifier.weight),
        gradients(expected, features, classifier.weight),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


def test_a_sample_whose_negatives_are_all_filtered_costs_nothing() -> None:
    features, labels = batch()
    classifier = Classifier(CLASSES, DIM, loss_named("arcface"), filter_cosine=-1.0,
                            dtype=torch.float64)  # fmt: skip
    out = classifier(features, labels)
    out.loss.backward()
    assert out.loss.item() == 0
    assert features.grad is not None
    assert features.grad.abs().max() == 0
    assert classifier.weight.grad is not None
    assert torch.isfinite(classifier.weight.grad).all()


def test_correct_predict_and_sub_centre_cosines_agree_with_the_matrix() -> None:
    features, labels = batch()
    classifier = Classifier(CLASSES, DIM, loss_named("arcface"), k=3, chunk=8,
                            dtype=torch.float64)  # fmt: skip
    cosine = torch.einsum(
        "bd,ckd->bck", F.normalize(features), F.normalize(classifier.weight, dim=2)
    ).detach()
    nearest = cosine.amax(dim=2).argmax(dim=1)
    assert classifier.predict(features).tolist() == nearest.tolist()
    out = classifier(features, nearest)
    assert out.correct.all()
    assert not classifier(features, (nearest + 1) % CLASSES).correct.any()
    index = torch.arange(BATCH)
    torch.testing.assert_close(out.cosine, cosine.amax(dim=2)[index, nearest])
    torch.testing.assert_close(
        classifier.sub_centre_cosines(features, labels), cosine[index, labels]
    )


def test_training_separates_classes() -> None:
    """Sixty points around twelve directions: partial, sub-centres and filter, all at once."""
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(12, 16, generator=generator)
    labels = torch.arange(12).repeat(5)
    points = directions[labels] + 0.2 * torch.randn(60, 16, generator=generator)
    classifier = PartialClassifier(12, 16, loss_named("arcface"), k=2, sample_rate=0.5,
                                   filter_cosine=0.6)  # fmt: skip
    before = (classifier.predict(points) == labels).float().mean()
    optimizer = RowSGD([classifier.weight], lr=0.1)
    for step in range(60):
        part = torch.randperm(60, generator=torch.Generator().manual_seed(step))[:10]
        optimizer.zero_grad()
        classifier(points[part], labels[part]).loss.backward()
        optimizer.step()
    assert before < 0.5
    assert (classifier.predict(points) == labels).float().mean() > 0.98


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_row_optimisers_on_dense_gradients_are_torchs(kind: str) -> None:
    pairs: list[tuple[torch.nn.Parameter, torch.optim.Optimizer]] = []
    for mine in (True, False):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 24, dtype=torch.float64).view(6, 2, 2))
        if kind == "sgd":
            options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
            made: Any = RowSGD([p], **options) if mine else torch.optim.SGD([p], **options)
        else:
            options = {"lr": 0.1, "weight_decay": 0.02}
            made = RowAdamW([p], **options) if mine else torch.optim.AdamW([p], **options)
        pairs.append((p, made))
    for step in range(5):
        for p, optimizer in pairs:
            p.grad = torch.sin(p.detach() * (step + 1))
            optimizer.step()
    torch.testing.assert_close(pairs[0][0], pairs[1][0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [RowSGD, RowAdamW])
def test_row_optimisers_leave_other_rows_alone(kind: Any) -> None:
    p = torch.nn.Parameter(torch.ones(5, 1, 2))
    optimizer = kind([p], lr=0.1)
    values = torch.ones(3, 1, 2)
    p.grad = torch.sparse_coo_tensor(
        torch.tensor([[1, 3, 1]]), values, p.shape, check_invariants=True
    )
    optimizer.step()
    assert (p[[0, 2, 4]] == 1).all()
    assert (p[[1, 3]] < 1).all()
    state = optimizer.state[p]
    buffer = state["momentum_buffer"] if kind is RowSGD else state["exp_avg"]
    assert (buffer[[0, 2, 4]] == 0).all()
    assert (buffer[1] > buffer[3]).all(), "a row given twice gets the sum"


def test_sparse_updates_equal_dense_ones_when_every_row_is_given() -> None:
    features, labels = batch()
    results = []
    for rate in (1.0, 0.999):  # rounds to every class, through the sampling path
        classifier = PartialClassifier(CLASSES, DIM, loss_named("arcface"), sample_rate=rate,
                                       dtype=torch.float64)  # fmt: skip
        optimizer = RowSGD([classifier.weight], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            classifier(features, labels).loss.backward()
            assert classifier.weight.grad is not None
            assert classifier.weight.grad.is_sparse == (rate < 1)
            optimizer.step()
        results.append(classifier.weight.detach())
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-14)


def test_ranges_cover_every_class_once() -> None:
    for world_size in (1, 2, 3, 7):
        ranges = [class_range(23, r, world_size) for r in range(world_size)]
        assert [c for r in ranges for c in r] == list(range(23))
        assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_resharding_two_one_three_and_back() -> None:
    whole = torch.randn(23, 2, 4)
    two = [reshard([whole], r, 2) for r in range(2)]
    one = reshard(two, 0, 1)
    three = [reshard([one], r, 3) for r in range(3)]
    assert torch.equal(one, whole)
    assert torch.equal(reshard(three, 0, 1), whole)
    for r in range(2):
        assert torch.equal(reshard(three, r, 2), two[r])


def test_fresh_centres_do_not_depend_on_the_number_of_ranks() -> None:
    whole = initial_centres(range(9000), 2, 3, seed=4)
    parts = [initial_centres(class_range(9000, r, 4), 2, 3, seed=4) for r in range(4)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole[:100], initial_centres(range(100), 2, 3, seed=5))
    assert not torch.equal(whole[:4096], whole[1024:5120])
    assert whole.std().item() == pytest.approx(0.01, rel=0.02)


def test_a_state_of_another_shape_is_refused_by_name() -> None:
    classifier = Classifier(CLASSES, DIM, loss_named("arcface"))
    state = Classifier(CLASSES + 1, DIM, loss_named("arcface"), k=2).state_dict()
    with pytest.raises(UsageError, match="num_classes 30 instead of 29, k 2 instead of 1"):
        classifier.load_state_dict(state)
    lone = {**classifier.state_dict()}
    lone["_extra_state"] = {**lone["_extra_state"], "world_size": 2}
    with pytest.raises(UsageError, match=r"ranks 0\.\.1 in order, got ranks \[0\]"):
        reshard_state([lone], 0, 1)


def test_wrong_use_says_what_is_right() -> None:
    arcface = loss_named("arcface")
    with pytest.raises(ConfigError, match="at least 2 classes"):
        Classifier(1, DIM, arcface)
    with pytest.raises(ConfigError, match="no cosines"):
        Classifier(CLASSES, DIM, loss_named("softmax"), k=2)
    with pytest.raises(ConfigError, match=r"\(0, 1\]"):
        PartialClassifier(CLASSES, DIM, arcface, sample_rate=0)
    classifier = Classifier(CLASSES, DIM, arcface)
    features, labels = batch()
    with pytest.raises(InvalidArray, match=r"\(B,6\)"):
        classifier(features[:, :5], labels)
    with pytest.raises(InvalidArray, match="int64"):
        classifier(features, labels.int())
    with pytest.raises(InvalidArray, match=r"-1\.\.28, got .*another data set"):
        classifier(features, labels + 20)
    with pytest.raises(InvalidArray, match=r"-1\.\.28, got -2"):
        classifier(features, labels - 2 - labels.min())


@pytest.mark.parametrize(
    ("name", "k"), [(n, k) for n in CLASSIFYING for k in (1, 2) if n != "softmax" or k == 1]
)
def test_photos_without_identity_count_for_nothing(name: str, k: int) -> None:
    features, labels = batch()
    named = torch.arange(len(labels)) % 3 != 1
    some = torch.where(named, labels, -1)

    def ran(x: Tensor, y: Tensor) -> tuple[Classifier, Any, list[Tensor]]:
        classifier = Classifier(CLASSES, DIM, loss_named(name), k=k, chunk=5, dtype=torch.float64)
        x = x.clone().requires_grad_()
        for _ in range(2):  # losses with a memory use what the first step left
            out = classifier(x, y)
        return classifier, out, gradients(out.loss, x, classifier.weight)

    left_out, expected, (into_x, into_w) = ran(features[named], labels[named])
    kept, found, (all_x, all_w) = ran(features, some)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(all_x[named], into_x)
    torch.testing.assert_close(all_w, into_w)
    assert not all_x[~named].any()
    assert not found.losses[~named].any()
    assert not found.correct[~named].any()
    torch.testing.assert_close(found.losses[named], expected.losses)
    assert found.correct[named].equal(expected.correct)
    for key, value in left_out.loss.state_dict().items():
        torch.testing.assert_close(kept.loss.state_dict()[key], value)


def test_a_batch_of_nobody_costs_nothing() -> None:
    classifier = Classifier(CLASSES, DIM, loss_named("adaface"), dtype=torch.float64)
    features = batch()[0].requires_grad_()
    out = classifier(features, torch.full((len(features),), -1))
    assert out.loss.item() == 0
    assert not any(g.any() for g in gradients(out.loss, features, classifier.weight))


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("classifier_ranks.py")
    started = [
        subprocess.Popen(
            [sys.executable, str(script), str(r), "2", str(folder)], stderr=subprocess.PIPE
        )
        for r in range(2)
    ]
    for process in started:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()[-2000:]
    return [torch.load(folder / f"rank{r}.pt") for r in range(2)]


CASES = [
    "arcface", "arcface_float32", "softmax", "sub_centres", "adaface", "magface", "curricular",
    "partial_whole", "filtered", "nameless",
]  # fmt: skip


@pytest.mark.training
@pytest.mark.parametrize("name", CASES)
def test_two_ranks_equal_one(name: str, two_ranks: list[dict[str, Any]]) -> None:
    one = ranks.run(name, 0, 1)
    a, b = two_ranks[0][name], two_ranks[1][name]
    tolerance = 1e-5 if name.endswith("float32") else 1e-9

    def same(found: Any, expected: Any) -> None:
        difference = torch.linalg.vector_norm(found - expected)
        assert difference <= tolerance * torch.linalg.vector_norm(expected).clamp_min(1e-3)

    for step in range(ranks.STEPS):
        same(a["loss"][step], one["loss"][step])
        same(b["loss"][step], one["loss"][step])
        same(torch.cat([a["losses"][step], b["losses"][step]]), one["losses"][step])
        joined = torch.cat([a["correct"][step], b["correct"][step]])
        assert torch.equal(joined, one["correct"][step])
    same(a["backbone_gradient"], one["backbone_gradient"])
    same(torch.cat([a["centre_gradient"], b["centre_gradient"]]), one["centre_gradient"])
    same(a["backbone"], one["backbone"])
    same(b["backbone"], one["backbone"])
    assert torch.equal(torch.cat([a["predicted"], b["predicted"]]), one["predicted"])
    same(torch.cat([a["own_cosines"], b["own_cosines"]]), one["own_cosines"])

    state = reshard_state([a["state"], b["state"]], 0, 1)
    assert set(state) == set(one["state"])
    assert state["_extra_state"] == one["state"]["_extra_state"]
    for key in set(state) - {"_extra_state"}:
        same(state[key], one["state"][key])


def test_cases_are_all_compared() -> None:
    assert list(ranks.CASES) == CASES


@pytest.mark.training
def test_ranks_with_unequal_batches_are_told(two_ranks: list[dict[str, Any]]) -> None:
    assert all(rank["refuses_unequal_batches"] for rank in two_ranks)

"""Triton's softmax against the chunked one. ``test_train_fused.py`` runs this file by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from arcid.train.heads import fused
from arcid.train.heads.classifier import Classifier, ClassifierOutput
from arcid.train.heads.margin import ClassificationLoss
from arcid.train.heads.partial import PartialClassifier
from arcid.train.objectives.losses import loss_spec

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLASSES, DIM, BATCH = 1500, 24, 10  # more classes than a block of the kernel


def pair(name: str, **options: Any) -> tuple[Classifier, Classifier]:
    """The same classifier by the kernel and by chunks."""
    made = []
    for by_kernel in (True, False):
        loss = loss_spec(name).build()
        assert isinstance(loss, ClassificationLoss)
        kind: Any = PartialClassifier if "sample_rate" in options else Classifier
        classifier = kind(CLASSES, DIM, loss, seed=3, device=DEVICE, **options)
        classifier.fused = by_kernel
        made.append(classifier.train())
    return made[0], made[1]


def batch(near: Classifier) -> tuple[Tensor, Tensor]:
    """Features about their own centres, one without a label, two of one class."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator).to(DEVICE)
    labels[1], labels[4] = labels[0], -1
    centres = near.weight.detach()[labels.clamp_min(0), 0]
    noise = torch.randn(BATCH, DIM, generator=generator).to(DEVICE)
    return (centres * 300 + 2 * noise).requires_grad_(), labels


def run(
    classifier: Classifier, features: Tensor, labels: Tensor
) -> tuple[ClassifierOutput, Tensor, Tensor]:
    out = classifier(features, labels)
    into_x, into_w = torch.autograd.grad(3 * out.loss, (features, classifier.weight))
    return out, into_x, into_w.to_dense() if into_w.is_sparse else into_w


def alike(found: Any, expected: Any, tolerance: float) -> None:
    for mine, theirs in zip(found[1:], expected[1:], strict=True):
        size = float(theirs.abs().max())
        torch.testing.assert_close(mine / size, theirs / size, rtol=0, atol=tolerance)
    one, two = found[0], expected[0]
    torch.testing.assert_close(one.loss, two.loss, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(one.losses, two.losses, rtol=tolerance, atol=10 * tolerance)
    torch.testing.assert_close(one.cosine, two.cosine, rtol=tolerance, atol=tolerance)
    assert one.correct.equal(two.correct)


@pytest.mark.parametrize("part", [0, 3])
@pytest.mark.parametrize("name", ["arcface", "cosface", "cm1", "normface", "adaface", "magface"])
def test_the_kernel_gives_the_chunked_loss_and_gradients(
    name: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if part:
        monkeypatch.setattr(fused, "MAX_PART", part * CLASSES)
    kernel, chunked = pair(name)
    features, labels = batch(kernel)
    assert kernel._may_fuse(features)
    alike(run(kernel, features, labels), run(chunked, features, labels), 2e-5)
    assert kernel.steps == chunked.steps == 1


@pytest.mark.parametrize("filter_to", [0.0, -torch.inf])
def test_filtered_negatives(filter_to: float) -> None:
    options = {"filter_cosine": 0.3, "filter_to": filter_to}
    kernel, chunked = pair("arcface", **options)
    features, labels = batch(kernel)
    found = run(kernel, features, labels)
    alike(found, run(chunked, features, labels), 2e-5)
    plain = run(pair("arcface")[0], features, labels)
    assert not torch.allclose(found[1], plain[1], rtol=1e-3)


def test_sampled_classes() -> None:
    kernel, chunked = pair("cosface", sample_rate=0.2)
    features, labels = batch(kernel)
    for _ in range(2):
        alike(run(kernel, features, labels), run(chunked, features, labels), 2e-5)
    grad = torch.autograd.grad(kernel(features, labels).loss, kernel.weight)[0]
    assert grad.is_sparse and grad._nnz() == 300


def test_low_precision_products() -> None:
    kernel, chunked = pair("arcface", matmul_dtype=torch.bfloat16)
    features, labels = batch(kernel)
    alike(run(kernel, features, labels), run(chunked, features, labels), 3e-2)


def test_what_the_kernel_cannot_do_is_left_to_the_chunks() -> None:
    features = torch.zeros(2, DIM, device=DEVICE)
    for name, options in (("softmax", {}), ("curricularface", {}), ("arcface", {"k": 3})):
        assert not pair(name, **options)[0]._may_fuse(features)
    kernel = pair("arcface")[0]
    assert not kernel._may_fuse(features.double())
    with torch.no_grad():
        assert not kernel._may_fuse(features)


def test_without_any_label_the_loss_is_nothing() -> None:
    kernel, _ = pair("arcface")
    features, labels = batch(kernel)
    out, into_x, into_w = run(kernel, features, torch.full_like(labels, -1))
    assert out.loss.item() == 0
    assert not bool(into_x.any()) and not bool(into_w.any())

"""Two models on the same photos: told apart where they differ, not where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.evaluate.drift import compare, compare_embeddings
from arcid.evaluate.embeddings import EmbeddingSet, Failure
from arcid.evaluate.pairs import PairScores

RNG = np.random.default_rng(11)
PEOPLE = np.repeat(np.arange(80), 3)
CLEAN = RNG.standard_normal((80, 32))[PEOPLE] + 0.8 * RNG.standard_normal((240, 32))
NAMES = tuple(f"{p}/{i}.jpg" for i, p in enumerate(PEOPLE))


def model(noise: float, seed: int, failures: dict[int, Failure] | None = None) -> EmbeddingSet:
    """A model that sees the same photos through more or less noise."""
    rng = np.random.default_rng(seed)
    vectors = CLEAN + noise * rng.standard_normal(CLEAN.shape)
    return EmbeddingSet(NAMES, vectors.astype(np.float32), f"{seed:064x}", failures or {})


def test_the_better_model_is_named_with_its_margin() -> None:
    found = compare_embeddings(
        model(0.9, 1), model(0.1, 2), PEOPLE, names=("old", "new"), replicates=150
    )
    by_metric = {d.metric: d for d in found.differences}
    assert set(by_metric) == {"TAR@FMR=0.01", "TAR@FMR=0.001", "EER"} | (
        {"TAR@FMR=0.0001"} if "TAR@FMR=0.0001" in by_metric else set()
    )
    tar = by_metric["TAR@FMR=0.01"]
    assert tar.difference > 0
    assert by_metric["EER"].difference < 0
    assert found.better(tar) == "new"
    assert found.better(by_metric["EER"]) == "new"
    assert found.sentence.startswith("new is better by ")
    assert "±" in found.sentence
    data = found.to_dict()
    assert data["differences"][0]["better"] == "new"
    assert data["people"] == 80


def test_models_that_do_not_differ_are_not_told_apart() -> None:
    found = compare_embeddings(model(0.3, 3), model(0.3, 4), PEOPLE, replicates=150)
    assert all(found.better(d) is None for d in found.differences)
    assert found.sentence == f"No difference between A and B can be told on " \
        f"{len(found.differences)} metrics."  # fmt: skip


def test_pairing_tells_what_separate_intervals_cannot() -> None:
    base = model(0.5, 5)
    slightly = EmbeddingSet(
        NAMES,
        base.vectors + 0.06 * np.random.default_rng(6).standard_normal(base.vectors.shape),
        "cd" * 32,
    )
    found = compare_embeddings(base, slightly, PEOPLE, rates=(0.01,), replicates=200)
    tar = found.differences[0]
    own = found.differences[0].a
    half = (tar.high - tar.low) / 2
    alone = 1.96 * np.sqrt(own * (1 - own) / 80)  # were the people the trials
    assert half < 1.4 * alone
    assert tar.low < tar.difference < tar.high


def test_a_failed_photo_costs_accept_rate() -> None:
    failures = {i: Failure("no_face_found", "") for i in range(0, 60, 3)}
    found = compare_embeddings(model(0.2, 7), model(0.2, 7, failures), PEOPLE, replicates=100)
    tar = found.differences[0]
    assert tar.difference < -0.1
    assert found.better(tar) == "A"


def test_accuracy_of_pair_lists_and_its_own_decisions() -> None:
    rng = np.random.default_rng(0)
    first = np.repeat(np.arange(200), 2)
    second = np.where(np.arange(400) % 2 == 0, first, (first + 7) % 200)
    same = first == second
    signal = np.where(same, 1.0, 0.0)
    a = PairScores(signal + 0.8 * rng.standard_normal(400), same, first, second)
    b = PairScores(signal + 0.3 * rng.standard_normal(400), same, first, second)
    found = compare(a, b, rates=(0.1, 1e-4), replicates=150)
    assert found.unsupported == (1e-4,)
    accuracy = found.differences[-1]
    assert accuracy.metric == "accuracy"
    assert accuracy.difference > 0.1
    assert found.better(accuracy) == "B"
    right = np.asarray(same)
    own = compare(a, b, rates=(), accepted=(right, ~right), replicates=100).differences[-1]
    assert (own.a, own.b) == (1, 0)


def test_different_pairs_or_photos_are_refused() -> None:
    first, second = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 3])
    a = PairScores.from_labels([0.9, 0.1, 0.8, 0.2], first, second)
    b = PairScores.from_labels([0.9, 0.1, 0.8, 0.2], first, second[[0, 1, 3, 2]])
    with pytest.raises(InvalidArray, match="same pairs"):
        compare(a, b, rates=(), replicates=20)
    less = EmbeddingSet(NAMES[1:], CLEAN[1:].astype(np.float32), "ef" * 32)
    with pytest.raises(DatasetInvalid, match="hold no photo"):
        compare_embeddings(model(0.1, 8), less, PEOPLE)
    with pytest.raises(InvalidArray, match="240 photos but 3 people"):
        compare_embeddings(model(0.1, 8), model(0.1, 9), PEOPLE[:3])

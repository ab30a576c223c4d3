"""What is said of a run that is not wrong, and what is not said of one that is well."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from arcid.train.config.recipe import TrainConfig, parse_config
from arcid.train.engine.advice import STEPS, Watch, advice

BF16 = parse_config("precision: {autocast: bf16}")


@pytest.mark.parametrize(
    ("config", "device", "sets", "said"),
    [
        (BF16, "cpu", ["avx2", "avx512_vnni"], True),
        (BF16, "cpu", ["avx512f", "avx512_bf16"], False),
        (BF16, "cpu", ["amx_int8", "amx_bf16"], False),
        (BF16, "cpu", ["asimd", "bf16"], False),
        (BF16, "cpu", [], False),  # nobody knows
        (BF16, "cuda", ["avx2"], False),
        (TrainConfig(), "cpu", ["avx2"], False),
    ],
)
def test_bf16_is_advised_against_where_it_is_slow(
    config: TrainConfig, device: str, sets: list[str], said: bool
) -> None:
    assert any("autocast=fp32" in line for line in advice(config, 1000, device, sets)) is said


def test_a_batch_larger_than_the_data_is_said_with_both_numbers() -> None:
    (line,) = advice(parse_config("data: {batch: 512}"), 96, "cpu")
    assert "data.batch=512" in line and "96 photos" in line
    assert advice(parse_config("data: {batch: 96}"), 96, "cpu") == []


def told_of(
    losses: Iterable[float], rights: Iterable[float] | None = None, classes: int = 1000
) -> list[str]:
    """What is said of a run with these means, ``STEPS`` steps each, noisy."""
    told: list[str] = []
    means = list(losses)
    named = [None] * len(means) if rights is None else list(rights)
    watch, rng = Watch(classes, told.append), np.random.default_rng(1)
    for i, (loss, right) in enumerate(zip(means, named, strict=True)):
        for j in range(STEPS):
            facts = {"loss": loss * rng.uniform(0.5, 1.5)}
            facts |= {} if right is None else {"train_accuracy": right}
            step = i * STEPS + j + 1
            watch.step(step, facts, step / (STEPS * len(means)))
    return told


def test_a_loss_that_rises_for_good_is_said_once() -> None:
    (line,) = told_of([20, 8, 4, 5, 30, 60, 90, 200, 200])
    assert line.startswith("advice: step 700: the loss has been above 3 times its lowest mean")
    assert "optim.lr" in line
    falling = list(np.geomspace(20, 0.5, 30))
    assert told_of(falling) == []
    assert told_of([20, 8, 4, 30, 4, 4, 3, 3]) == []  # a spike is over
    assert told_of([20, 0.01, 0.05, 0.06, 0.05, 0.05]) == []  # a loss of nothing triples easily
    assert told_of([5, 6, 8, 9, 9, 8, 6, 4, 3]) == []


def test_a_classifier_that_guesses_is_said_once() -> None:
    flat = [7.0] * 12
    (line,) = told_of(flat, [0.1, 0.3, 0.5, 0.5, 0.001, 0.001, 0.001, 0.001, 0, 0, 0, 0])
    assert "step 700: the classifier guesses again" in line and "of 1000 identities" in line
    (line,) = told_of(flat, [0.001] * 12)
    assert "step 1000: the classifier still guesses" in line
    learning = [0.001, 0.001, 0.002, 0.004, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert told_of(flat, learning) == []
    assert told_of([7.0] * 200, [0.001] * 30 + [0.1] * 170) == []  # long runs begin slowly
    assert told_of(flat, [0.25] * 12, classes=4) == []
    assert told_of(flat, classes=0) == told_of(flat) == []

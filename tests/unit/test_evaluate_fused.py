"""What an ensemble brings, measured on people whom no weight was fitted on."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.evaluate.fused import WAYS, evaluate_fusion

A, B = "mobilefacenet_128", "face_reid_retail_0095"
PEOPLE, EACH = 60, 4


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def vectors(seed: int, noise: float, dim: int = 24) -> np.ndarray:
    """Of 60 people, four photos each: a direction a person, and noise a photo."""
    rng = np.random.default_rng(seed)
    own = np.repeat(unit(rng.normal(size=(PEOPLE, dim))), EACH, axis=0)
    return unit(own + noise * rng.normal(size=own.shape) / np.sqrt(dim))


LABELS = np.repeat(np.arange(PEOPLE), EACH)


def test_two_that_err_apart_are_better_than_the_best_of_them() -> None:
    found = evaluate_fusion(["a", "b"], [vectors(1, 1.6), vectors(2, 1.6)], LABELS, replicates=100)
    assert [way.name for way in found.ways] == list(WAYS)
    assert found.people == PEOPLE and found.genuine_pairs == PEOPLE * EACH * (EACH - 1) // 2
    assert found.impostor_pairs == 3 * (20 * 19 // 2) * EACH**2  # of people of one fold
    for way in found.ways:
        gain = way.gains[1e-2]
        assert gain.low > 0 and gain.b > gain.a > 0.1, way.name
        assert sum(way.weights) == pytest.approx(1, abs=1e-3)
    assert found.best[1e-2] in ("a", "b") and 1e-3 in found.best
    told = found.to_dict()
    assert told["ways"][0]["gains"][0]["best_member"] in ("a", "b")


def test_one_that_knows_nothing_spoils_the_mean_and_gets_no_weight() -> None:
    blind = unit(np.random.default_rng(9).normal(size=(len(LABELS), 24)))
    found = evaluate_fusion(["sees", "blind"], [vectors(1, 1.6), blind], LABELS, replicates=100)
    ways = {way.name: way for way in found.ways}
    assert found.best[1e-2] == "sees"
    assert ways["equal"].gains[1e-2].high < 0
    assert ways["logistic"].weights[1] < 0.1
    assert abs(ways["logistic"].gains[1e-2].difference) < 0.05


def test_what_cannot_be_judged_says_so() -> None:
    some = vectors(1, 1.0)
    with pytest.raises(InvalidArray, match="2 members"):
        evaluate_fusion(["a", "b"], [some], LABELS)
    with pytest.raises(InvalidArray, match="photos"):
        evaluate_fusion(["a"], [some[:-1]], LABELS)
    with pytest.raises(DatasetInvalid, match="too few people"):
        evaluate_fusion(["a", "b"], [some, some[::-1]], np.arange(len(LABELS)))


@pytest.mark.data
def test_the_command(
    cli: Callable[..., Any], data_dir: Path, environment: Path, opened_models: None, tmp_path: Path
) -> None:
    people = tmp_path / "people"
    several = (
        folder for folder in sorted((data_dir / "data/lfw-dev/images").iterdir())
        if len(list(folder.iterdir())) >= 2
    )  # fmt: skip
    for folder in itertools.islice(several, 24):
        (people / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:2]:
            (people / folder.name / photo.name).symlink_to(photo)
    base = ("evaluate", "fusion", "--data", people, "--select", "center")
    ran = cli(*base, "--model", f"{A}+{B}", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert set(ran.json["members"]) == {A, B} and ran.json["people"] == 24
    assert ran.json["named"]["equal"].count("@0.5") == 2
    shown = cli(*base, "--model", f"{A}+{B}")
    assert "whom no weight was fitted on" in shown.out and "logistic: " in shown.out
    alone = cli(*base, "--model", A)
    assert alone.code == 2 and "--model a+b" in alone.err


def test_pairs_are_scored_without_a_copy_of_both_photos_of_each() -> None:
    photos = unit(np.random.default_rng(4).normal(size=(len(LABELS), 512)))
    tracemalloc.start()
    evaluate_fusion(["a"], [photos], LABELS, rates=[1e-1], replicates=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pairs = len(LABELS) * (len(LABELS) - 1) // 2
    assert peak < 512 * 4 * pairs / 2

"""Two kinds of photos: rates of one against the other, re-derived on vectors that are known."""

from __future__ import annotations

import numpy as np
import pytest

from arcid.calibration import Calibration
from arcid.errors import InvalidArray, RateUnsupported
from arcid.evaluate.calibrate import Provenance
from arcid.evaluate.cross import Cross, calibrate_cross
from arcid.types import Embeddings

CONTRACT = "c" * 64
MADE = Provenance("m", "d", "r", "made up", "0" * 64, 0, "")


def two_kinds(people: int, noise: float, seed: int = 0) -> tuple[Embeddings, Embeddings, list[int]]:
    """A document and a selfie of each: a direction of their own, and noise of each picture."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(people, 32))
    sides = [
        Embeddings.normalised(
            (own + noise * rng.normal(size=own.shape)).astype(np.float32), CONTRACT
        )
        for _ in range(2)
    ]
    return sides[0], sides[1], list(range(people))


def made(people: int = 400, noise: float = 0.6, seed: int = 0) -> Cross:
    documents, selfies, labels = two_kinds(people, noise, seed)
    return Cross(documents, labels, selfies, labels, bootstraps=60)


def test_rates_are_those_of_every_document_with_every_selfie_of_another() -> None:
    documents, selfies, labels = two_kinds(120, 0.6)
    found = Cross(documents, labels, selfies, labels, bootstraps=20)
    cosines = documents.vectors @ selfies.vectors.T
    others = cosines[~np.eye(120, dtype=bool)]
    assert found.impostors == len(others) and len(found.genuine) == 120
    threshold = found.threshold(0.01)
    value, low, high = found.fmr(threshold)
    assert value == pytest.approx((others >= threshold).mean(), abs=2e-4) and value <= 0.01
    assert low <= value <= high
    np.testing.assert_allclose(np.sort(found.genuine), np.sort(np.diag(cosines)), atol=1e-6)


def test_a_document_says_nothing_of_the_photo_it_was_made_of() -> None:
    documents, selfies, labels = two_kinds(50, 0.3)
    both = Embeddings(np.concatenate([selfies.vectors, documents.vectors]), CONTRACT)
    found = Cross(
        documents, labels, both, [*labels, *labels], one_photo=[(n, 50 + n) for n in labels]
    )
    assert len(found.genuine) == 50 and found.genuine.max() < 0.9999
    with pytest.raises(InvalidArray):
        Cross(documents, labels, documents, labels, one_photo=[(n, n) for n in labels])


def test_a_calibration_holds_on_other_people() -> None:
    calibration = calibrate_cross(made(), CONTRACT, MADE)
    rate = calibration.smallest_supported_fmr
    assert rate <= 1e-2
    with pytest.raises(RateUnsupported):
        calibration.threshold_at_fmr(rate / 10)
    there = made(seed=1)
    value, low, high = there.fmr(calibration.threshold_at_fmr(1e-2).cosine)
    assert low <= 1e-2 * 1.1 and value < 2e-2 and high > 0
    for cosine in (-0.3, 0.0, 0.2):  # also where most strangers are
        everything = np.concatenate([there.top, there._below])
        assert calibration.fmr(cosine) == pytest.approx((everything >= cosine).mean(), rel=0.15)


def test_no_rate_falls_below_the_floors() -> None:
    strict = calibrate_cross(made(), CONTRACT, MADE)
    data = dict(strict.data)
    data["fmr_table"] = [
        row | {"fmr": min(1.0, row["fmr"] * 3), "fmr_high": 1.0} for row in data["fmr_table"]
    ]
    floor = Calibration(data | {"smallest_supported_fmr": 5e-3})
    raised = calibrate_cross(made(), CONTRACT, MADE, floor=floor)
    assert raised.smallest_supported_fmr == 5e-3
    for rate in (1e-1, 1e-2, 5e-3):
        assert raised.threshold_at_fmr(rate).cosine >= floor.threshold_at_fmr(rate).cosine - 1e-4
        assert raised.threshold_at_fmr(rate).cosine > strict.threshold_at_fmr(rate).cosine


def test_too_few_people_are_refused() -> None:
    with pytest.raises(RateUnsupported):
        calibrate_cross(made(people=8), CONTRACT, MADE)
    documents, selfies, labels = two_kinds(1, 0.1)
    with pytest.raises(InvalidArray):
        Cross(documents, labels, selfies, labels)

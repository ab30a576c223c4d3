"""What other systems' similarities say here, and the rates that their pages state."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import arcid
from arcid.calibration import Calibration, fpir_for_fmr
from arcid.server.compat.adapter import likeness

DOCS = Path(__file__).parents[2] / "docs/compat"
DEFAULT = Path(arcid.__file__).parent / "models/default/arcid-face-s/calibration.json"
COSINES = np.linspace(-1, 1, 2001)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return Calibration.load(DEFAULT)


def test_it_rises_with_the_cosine_and_falls_with_the_gallery(calibration: Calibration) -> None:
    for among in (1, 10, 10_000):
        told = [likeness(calibration, cosine, among) for cosine in COSINES]
        assert told == sorted(told) and 0 <= told[0] < told[-1] < 1
        larger = [likeness(calibration, cosine, 2 * among) for cosine in COSINES]
        assert all(b <= a for a, b in zip(told, larger, strict=True))
    assert likeness(calibration, 0.4) == pytest.approx(calibration.probability(0.4), abs=1e-6)
    assert likeness(calibration, 0.4, 0) == likeness(calibration, 0.4, 1)  # an empty gallery


def test_odds_are_multiplied(calibration: Calibration) -> None:
    one = calibration.probability(0.35)
    many = calibration.probability(0.35, among=50)
    assert many / (1 - many) == pytest.approx(one / (1 - one) / 50)


@pytest.mark.parametrize("page", ["compreface.md", "rekognition.md"])
def test_the_rates_on_the_pages_are_those_of_the_calibration(
    calibration: Calibration, page: str
) -> None:
    """Of the lowest cosine that is told so high a similarity."""
    text = (DOCS / page).read_text("utf-8")
    head, *rows = re.findall(r"^\| (similarity from .*|[\d.]+(?: \|.*)) \|$", text, re.MULTILINE)
    sizes = [int(size.replace(",", "").removeprefix("N = ")) for size in head.split(" | ")[1:]]
    scale = 100 if "(of 100)" in head else 1
    assert sizes == [1, 100, 1000, 10_000] and len(rows) >= 5
    for row in rows:
        least, *stated = row.split(" | ")
        for size, said in zip(sizes, stated, strict=True):
            reached = [c for c in COSINES if likeness(calibration, c, size) * scale >= float(least)]
            if not reached:
                assert said == "never reached", row
                continue
            rate = fpir_for_fmr(calibration.fmr(reached[0]), size)
            assert float(said) == pytest.approx(rate, rel=0.06), (row, size)

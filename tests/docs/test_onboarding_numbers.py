"""What docs/concepts/onboarding.md promises is of the calibration that ships, and was measured."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from arcid.apps.onboarding import calibrating
from arcid.models import weights

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks/results").glob("onboarding-*.csv"))
PAGE = (ROOT / "docs/concepts/onboarding.md").read_text("utf-8")


def rows() -> list[dict[str, str]]:
    (newest,) = RESULTS
    with newest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_rates_were_measured_at_the_thresholds_that_ship() -> None:
    contract = weights.resolve_default("recognition").manifest.contract_id
    shipped = calibrating.find(contract)
    measured = {row["target"]: row["threshold"] for row in rows() if row["target"]}
    assert set(measured) == {"0.01", "0.001", "0.0001"}
    for target, threshold in measured.items():
        found = shipped.threshold_at_fmr(float(target)).cosine
        assert float(threshold) == pytest.approx(found, abs=5e-5), target


@pytest.mark.parametrize("target", ["0.01", "0.001", "0.0001"])
def test_the_page_tells_what_was_measured(target: str) -> None:
    for row in rows():
        if row["what"] != "FNMR" or row["target"] != target:
            continue
        value, low, high = (
            f"{float(row[name]):.1%}".rstrip("%") for name in ("value", "low", "high")
        )
        assert f"{value} % [{low}, {high}]" in PAGE, row["kind"]

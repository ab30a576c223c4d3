"""Calibration: what a file must hold, and rates turned into thresholds and back."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from arcid.calibration import SCHEMA_PATH, Calibration, fmr_for_fpir, fpir_for_fmr
from arcid.errors import CalibrationInvalid, ContractMismatch, RateUnsupported, UsageError
from arcid.evaluate.calibrate import Provenance, calibrate
from arcid.models import weights
from arcid.types import Embeddings

CONTRACT = "ab" * 32
PROVENANCE = Provenance("m", "d", "r", "synthetic", "0" * 64, 0, "test")


@pytest.fixture(scope="module")
def clustered() -> tuple[Embeddings, np.ndarray]:
    """Sixty people with five noisy vectors each: scores with overlap, as from photographs."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((60, 24))
    people = np.repeat(np.arange(60), 5)
    vectors = centres[people] + 0.9 * rng.standard_normal((300, 24))
    return Embeddings.normalised(vectors, CONTRACT), people


@pytest.fixture(scope="module")
def calibration(clustered: tuple[Embeddings, np.ndarray]) -> Calibration:
    return calibrate(*clustered, PROVENANCE, bootstraps=50)


def test_follows_its_schema(calibration: Calibration) -> None:
    jsonschema.validate(calibration.data, json.loads(SCHEMA_PATH.read_text("utf-8")))


def test_threshold_keeps_the_rate_it_was_asked_for(
    calibration: Calibration, clustered: tuple[Embeddings, np.ndarray]
) -> None:
    embeddings, people = clustered
    scores = embeddings.vectors @ embeddings.vectors.T
    impostor = scores[people[:, None] != people[None, :]]
    for fmr in (0.1, 0.01, 0.002):
        threshold = calibration.threshold_at_fmr(fmr)
        assert not threshold.extrapolated
        assert (impostor >= threshold.cosine).mean() == pytest.approx(fmr, rel=0.15)


def test_rates_and_thresholds_are_inverse(calibration: Calibration) -> None:
    for fmr in (0.1, 0.01, 0.002):
        cosine = calibration.threshold_at_fmr(fmr).cosine
        assert calibration.fmr(cosine) == pytest.approx(fmr, rel=1e-3)


def test_fnmr_counts_the_genuine_pairs_below(
    calibration: Calibration, clustered: tuple[Embeddings, np.ndarray]
) -> None:
    embeddings, people = clustered
    first, second = np.triu_indices(len(people), k=1)
    scores = (embeddings.vectors @ embeddings.vectors.T)[first, second]
    genuine = scores[people[first] == people[second]]
    assert calibration.fnmr(0.5) == pytest.approx((genuine < 0.5).mean(), abs=0.01)


def test_probability_rises_and_is_calibrated(calibration: Calibration) -> None:
    probabilities = [calibration.probability(c) for c in np.linspace(-0.5, 1, 30)]
    assert probabilities == sorted(probabilities)
    assert probabilities[0] < 0.01
    assert probabilities[-1] > 0.99


def test_intervals_hold_the_estimate(calibration: Calibration) -> None:
    for row in calibration.data["fmr_table"]:
        assert row["fmr_low"] <= row["fmr"] * 1.0001
        assert row["fmr"] <= row["fmr_high"] * 1.0001


def test_unsupported_rate_is_refused_unless_allowed_by_name(calibration: Calibration) -> None:
    rate = calibration.smallest_supported_fmr / 5
    with pytest.raises(RateUnsupported, match="support no less than"):
        calibration.threshold_at_fmr(rate)
    allowed = calibration.threshold_at_fmr(rate, allow_extrapolation=True)
    assert allowed.extrapolated
    measured = calibration.threshold_at_fmr(calibration.smallest_supported_fmr)
    assert allowed.cosine > measured.cosine
    with pytest.raises(RateUnsupported, match="below the end of the table"):
        calibration.threshold_at_fmr(1e-12, allow_extrapolation=True)


def test_fpir_follows_the_gallery(calibration: Calibration) -> None:
    cosines = [calibration.threshold_at_fpir(0.1, n).cosine for n in (1, 10, 100)]
    assert cosines == sorted(cosines)
    assert cosines[0] == pytest.approx(calibration.threshold_at_fmr(0.1).cosine)
    with pytest.raises(RateUnsupported, match="over 1,000,000 templates needs an FMR of"):
        calibration.threshold_at_fpir(0.1, 1_000_000)


def test_measured_gallery_table_comes_first(calibration: Calibration) -> None:
    data = copy.deepcopy(dict(calibration.data))
    data["gallery_table"] = [
        {"fpir": 0.01, "gallery_size": 10, "cosine": 0.61, "extrapolated": False},
        {"fpir": 0.01, "gallery_size": 1000, "cosine": 0.81, "extrapolated": False},
        {"fpir": 0.01, "gallery_size": 100000, "cosine": 0.9, "extrapolated": True},
    ]
    table = Calibration(data)
    assert table.threshold_at_fpir(0.01, 100).cosine == pytest.approx(0.71)
    assert table.threshold_at_fpir(0.01, 10_000, allow_extrapolation=True).extrapolated
    with pytest.raises(RateUnsupported):
        table.threshold_at_fpir(0.01, 10_000)


def test_independent_comparisons() -> None:
    assert fmr_for_fpir(0.01, 1) == pytest.approx(0.01)
    assert fpir_for_fmr(fmr_for_fpir(0.01, 12345), 12345) == pytest.approx(0.01)
    assert fpir_for_fmr(1e-5, 1000) == pytest.approx(1 - (1 - 1e-5) ** 1000)


@pytest.mark.parametrize("rate", [0, 1, -0.1, math.inf])
def test_rates_without_meaning(calibration: Calibration, rate: float) -> None:
    with pytest.raises(UsageError):
        calibration.threshold_at_fmr(rate)
    with pytest.raises(UsageError):
        calibration.threshold_at_fpir(rate, 10)


def _drop(key: str) -> Any:
    return lambda data: data.pop(key)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("fmr_table"), "keys are missing: fmr_table"),
        (lambda d: d.update(schema_version=9), "schema_version 9"),
        (lambda d: d["fmr_table"].reverse(), "must rise in cosine"),
        (lambda d: d["fmr_table"][-1].update(fmr=0.9), "must fall with the cosine"),
        (lambda d: d["fmr_table"][-1].update(fmr=0), "before the rate reaches 0"),
        (lambda d: d["fmr_table"][0].pop("fmr"), "does not follow the schema"),
        (lambda d: d.update(fnmr_table=[]), "at least two rows"),
        (lambda d: d["probability"].update(kind="magic"), "probability kind"),
        (lambda d: d.update(gallery_table=[{"fpir": 0.1}]), "gallery_table rows need"),
    ],
)
def test_a_damaged_file_is_named(
    calibration: Calibration, tmp_path: Path, damage: Any, message: str
) -> None:
    data = copy.deepcopy(dict(calibration.data))
    damage(data)
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(CalibrationInvalid, match=message):
        Calibration.load(path)


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("{", "utf-8")
    with pytest.raises(CalibrationInvalid, match="cannot be read as JSON"):
        Calibration.load(path)


def test_round_trip_keeps_the_id(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    assert Calibration.load(path).calibration_id == calibration.calibration_id


def test_other_contract_is_refused(calibration: Calibration) -> None:
    calibration.check_contract(CONTRACT)
    with pytest.raises(ContractMismatch):
        calibration.check_contract("cd" * 32)


def test_every_packaged_calibration_is_sound() -> None:
    schema = json.loads(SCHEMA_PATH.read_text("utf-8"))
    files = sorted(weights.CALIBRATIONS.glob("*.json"))
    assert files
    for file in files:
        calibration = Calibration.load(file)
        jsonschema.validate(calibration.data, schema)
        assert calibration.data["impostor_pairs"] > 1_000_000
        assert calibration.data["command"].startswith("arcid calibrate")

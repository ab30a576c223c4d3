"""Calibration: what a file must hold, and rates turned into thresholds and back."""

from __future__ import annotations

import contextlib
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
    cosines = [calibration.threshold_at_fpir(0.1, n).cosine for n in (1, 10, 50)]
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


def test_a_larger_gallery_or_a_smaller_rate_never_lowers_the_threshold(
    calibration: Calibration,
) -> None:
    sizes = [1, 7, 30, 60, 99, 100, 101, 200, 294, 295, 296, 700, 5000, 10**5, 10**6, 10**7]
    rates = [0.3, 0.1, 0.05, 0.01, 0.004, 0.001]
    for allow in (False, True):
        found = np.full((len(rates), len(sizes)), np.nan)
        for i, rate in enumerate(rates):
            for j, size in enumerate(sizes):
                with contextlib.suppress(RateUnsupported):
                    found[i, j] = calibration.threshold_at_fpir(
                        rate, size, allow_extrapolation=allow
                    ).cosine
        assert np.isfinite(found).sum() > (60 if allow else 15)
        for axis in (0, 1):
            steps = np.diff(found, axis=axis)
            assert (steps[np.isfinite(steps)] >= 0).all()
        refused = np.isnan(found)
        assert (refused[:, 1:] >= refused[:, :-1]).all()  # once refused, refused for all larger


def test_outside_the_gallery_table_comparisons_are_independent_within_its_rows(
    calibration: Calibration,
) -> None:
    data = copy.deepcopy(dict(calibration.data))
    independent = calibration.threshold_at_fpir(0.1, 5).cosine
    data["gallery_table"] = []
    plain = Calibration(data)
    data["gallery_table"] = [
        {"fpir": 0.1, "gallery_size": 10, "cosine": independent + 0.2, "extrapolated": False}
    ]
    wide = Calibration(copy.deepcopy(data))
    assert wide.threshold_at_fpir(0.1, 5).cosine == plain.threshold_at_fpir(0.1, 5).cosine
    assert wide.threshold_at_fpir(0.1, 20).cosine == pytest.approx(independent + 0.2)  # not below
    data["gallery_table"][0]["cosine"] = independent - 0.2
    narrow = Calibration(data)
    assert narrow.threshold_at_fpir(0.1, 5).cosine == pytest.approx(independent - 0.2)
    assert narrow.threshold_at_fpir(0.2, 10).cosine <= independent - 0.2


def test_extrapolated_rows_count_only_when_allowed(calibration: Calibration) -> None:
    assert not calibration.threshold_at_fpir(0.1, 50).extrapolated
    with pytest.raises(RateUnsupported):
        calibration.threshold_at_fpir(0.001, 1_000_000)
    far = calibration.threshold_at_fpir(0.1, 100_000, allow_extrapolation=True)
    assert far.extrapolated
    assert far.cosine > calibration.threshold_at_fpir(0.1, 50).cosine


def test_likelihood_ratio_is_the_odds(calibration: Calibration) -> None:
    for cosine in (0.2, 0.5, 0.7):
        p = calibration.probability(cosine)
        assert calibration.likelihood_ratio(cosine) == pytest.approx(p / (1 - p))
    assert calibration.likelihood_ratio(0.9) > 10 > 1 > calibration.likelihood_ratio(0.1)


def test_independent_comparisons() -> None:
    assert fmr_for_fpir(0.01, 1) == pytest.approx(0.01)
    assert fpir_for_fmr(fmr_for_fpir(0.01, 12345), 12345) == pytest.approx(0.01)
    assert fpir_for_fmr(1e-5, 1000) == pytest.approx(1 - (1 - 1e-5) ** 1000)


@pytest.mark.parametrize("rate", [0, 1, -0.1, math.inf, "1e-4", None, [1e-4, 1e-3]])
def test_rates_without_meaning(calibration: Calibration, rate: Any) -> None:
    with pytest.raises(UsageError):
        calibration.threshold_at_fmr(rate)
    with pytest.raises(UsageError):
        calibration.threshold_at_fpir(rate, 10)


def _drop(key: str) -> Any:
    return lambda data: data.pop(key)


def isotonic(cosine: Any, probability: Any) -> dict[str, Any]:
    return {"kind": "isotonic", "cosine": cosine, "probability": probability}


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
        (lambda d: d["gallery_table"][1].update(cosine=-0.5), "must not fall as the gallery grows"),
        (
            lambda d: d.update(probability=isotonic([0, 1], [1, 0])),
            "probability must not fall",
        ),
        (lambda d: d["fmr_table"][0].update(cosine="abc"), "fmr_table: cosine must be numbers"),
        (lambda d: d["fnmr_table"][-1].update(cosine=10**400), "cosine must be numbers"),
        (lambda d: d["fmr_table"][3].update(fmr_high=math.nan), "fmr_high must be numbers"),
        (lambda d: d["gallery_table"][0].update(gallery_size=0), "gallery_size must lie"),
        (lambda d: d["gallery_table"][0].update(fpir=None), "fpir must be numbers"),
        (lambda d: d["gallery_table"][-1].update(cosine=math.inf), "cosine must be numbers"),
        (lambda d: d["probability"].update(kind=["logistic"]), "probability kind"),
        (lambda d: d.update(probability=isotonic([0, 1], [0, 0.5, 1])), "each with its"),
        (lambda d: d.update(probability=isotonic([0, 1], [0, 7])), "between 0 and 1"),
        (lambda d: d.update(probability=isotonic([0, [1]], [0, 1])), "does not follow"),
        (lambda d: d.update(smallest_supported_fmr="abc"), "smallest_supported_fmr must"),
        (lambda d: d.update(smallest_measured_fmr=0), "smallest_supported_fmr must"),
        (lambda d: d.update(impostor_pairs="many"), "impostor_pairs must be numbers"),
        (lambda d: d.update(dataset="mine"), "does not follow"),
        (lambda d: d.update(contract_id=7), "must be text"),
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


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_not_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, "utf-8")
    with pytest.raises(CalibrationInvalid, match="cannot be read as JSON"):
        Calibration.load(path)


def test_round_trip_keeps_the_id(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    for either in (path, str(path)):
        calibration.save(either)
        assert Calibration.load(either).calibration_id == calibration.calibration_id


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
        sizes = {r["gallery_size"] for r in calibration.data["gallery_table"]}
        assert sizes >= {100, 500, 1000, 10_000, 100_000, 1_000_000}
        assert [r["fmr"] for r in calibration.data["thresholds"]][-1] == 1e-6
        if "--aligned" in calibration.data["command"]:  # of crops nothing was refused
            assert "quality" not in calibration.data
            continue
        assert {r["reason"] for r in calibration.data["quality"]["reasons"]} >= {"any", "blurred"}

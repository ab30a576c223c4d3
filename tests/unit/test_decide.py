"""Decisions: outcome, threshold and reason follow the calibration and the gallery's size."""

from __future__ import annotations

import pytest

from arcid import decide
from arcid.calibration import Calibration
from arcid.errors import RateUnsupported


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    """FMR falls tenfold per 0.1 of cosine from 0.1 at 0.1; measured to 1e-5, then extrapolated."""
    return Calibration(
        {
            "schema_version": 1,
            "status": "measured",
            "model": "ruler",
            "contract_id": "ab" * 32,
            "detector": "none",
            "dataset": {"name": "ruler", "sha256": "0" * 64},
            "people": 10,
            "photos": 100,
            "failed_photos": 0,
            "genuine_pairs": 100,
            "impostor_pairs": 3_000_000,
            "fmr_table": [
                {
                    "cosine": i / 10,
                    "fmr": 10.0**-i,
                    "fmr_low": 10.0**-i,
                    "fmr_high": 10.0**-i,
                    "extrapolated": i > 5,
                }
                for i in range(0, 9)
            ],
            "fnmr_table": [
                {"cosine": c, "fnmr": c, "fnmr_low": c, "fnmr_high": c} for c in (0.0, 1.0)
            ],
            "smallest_supported_fmr": 1e-5,
            "gallery_table": [],
            "probability": {"kind": "logistic", "intercept": -8.0, "slope": 20.0},
            "date": "2026-01-01",
            "command": "by hand",
            "notes": "",
        }
    )


def test_verify_at_the_threshold(calibration: Calibration) -> None:
    at = decide.verify(0.4, calibration, fmr=1e-4)
    below = decide.verify(0.399, calibration, fmr=1e-4)
    assert (at.outcome, below.outcome) == ("match", "no_match")
    assert at.threshold == pytest.approx(0.4)
    assert at.fmr == pytest.approx(1e-4)
    assert at.probability == pytest.approx(0.5)
    assert at.matched
    assert not below.matched
    assert "0.400" in at.reason
    assert "0.0001" in at.reason
    assert at.calibration_id == calibration.calibration_id


def test_between_two_rates_a_human_decides(calibration: Calibration) -> None:
    for cosine, outcome in ((0.45, "match"), (0.35, "review"), (0.25, "no_match")):
        decision = decide.verify(cosine, calibration, fmr=1e-4, review_fmr=1e-3)
        assert decision.outcome == outcome


def test_verify_below_the_data_raises(calibration: Calibration) -> None:
    with pytest.raises(RateUnsupported):
        decide.verify(0.9, calibration, fmr=1e-6)
    decision = decide.verify(0.9, calibration, fmr=1e-6, allow_extrapolation=True)
    assert decision.extrapolated
    assert "extrapolated" in decision.reason


def test_the_same_cosine_stops_matching_as_the_gallery_grows(calibration: Calibration) -> None:
    small = decide.identify(0.35, calibration, 10, fpir=0.01)
    large = decide.identify(0.35, calibration, 500, fpir=0.01)
    assert (small.outcome, large.outcome) == ("match", "no_match")
    assert large.threshold > small.threshold
    assert large.gallery_size == 500


def test_empty_gallery_matches_nobody(calibration: Calibration) -> None:
    decision = decide.identify(None, calibration, 0)
    assert decision.outcome == "no_match"
    assert decision.cosine is None
    assert "no faces" in decision.reason


def test_no_candidate_left(calibration: Calibration) -> None:
    decision = decide.identify(None, calibration, 5)
    assert decision.outcome == "no_match"
    assert "nobody is left" in decision.reason


def test_somebody_given_to_another_face_is_never_the_match(calibration: Calibration) -> None:
    rules: list[tuple[float, int, decide.Unsupported]] = [
        (0.9, 10, "review"),
        (0.9, 1_000_000, "review"),
        (0.9, 1_000_000, "extrapolate"),
        (0.1, 10, "raise"),
    ]
    for cosine, size, unsupported in rules:
        free = decide.identify(cosine, calibration, size, unsupported=unsupported)
        taken = decide.identify(cosine, calibration, size, unsupported=unsupported, given_away=True)
        assert taken.outcome == "no_match"
        assert taken.reason == f"{free.reason}; another face of this photo was given that person"
        assert (taken.cosine, taken.threshold) == (free.cosine, free.threshold)


def test_gallery_beyond_the_calibration(calibration: Calibration) -> None:
    with pytest.raises(RateUnsupported):
        decide.identify(0.9, calibration, 1_000_000, unsupported="raise")
    review = decide.identify(0.9, calibration, 1_000_000)
    assert review.outcome == "review"
    assert "a human decides" in review.reason
    assert decide.identify(0.49, calibration, 1_000_000).outcome == "no_match"
    beyond = decide.identify(0.9, calibration, 100_000, unsupported="extrapolate")
    assert beyond.outcome == "match"
    assert beyond.extrapolated

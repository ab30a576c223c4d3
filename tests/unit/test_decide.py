"""Decisions: outcome, threshold and reason follow the calibration and the gallery's size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from arcid import decide
from arcid.calibration import Calibration
from arcid.errors import RateUnsupported, UsageError
from arcid.gallery import Gallery, NewFace
from arcid.pipeline.identifier import NOBODY_ELSE, Identifier
from arcid.types import Embeddings


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return ruler()


def ruler(smallest_supported_fmr: float = 1e-5) -> Calibration:
    """FMR falls tenfold per 0.1 of cosine from 0.1 at 0.1; extrapolated from 1e-6 on."""
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
            "smallest_supported_fmr": smallest_supported_fmr,
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
    assert at.cosine_threshold == pytest.approx(0.4)
    assert at.fmr == pytest.approx(1e-4)
    assert at.probability == pytest.approx(0.5)
    assert at.matched
    assert not below.matched
    assert "0.400" in at.reason
    assert "0.0001" in at.reason
    assert at.calibration_id == calibration.calibration_id


def test_a_person_of_several_templates_is_let_in_no_oftener_than_asked(
    calibration: Calibration,
) -> None:
    """The table says FMR(c) = 10^(-10c): what reaches the cosine asked for, times N/r, is 1e-4."""
    few = decide.verify_templates([0.7, 0.1], calibration, fmr=1e-4)
    assert few.matched and few.cosine == 0.7 and few.gallery_size == 2
    assert few.cosine_threshold == pytest.approx(0.4 + math.log10(2) / 10)
    assert "the best of 2 templates" in few.reason and few.target_fmr == 1e-4
    # thirty need 3.3e-6 of their best one, which is not supported: the third does, at 1e-5
    many = decide.verify_templates([0.9, 0.8, 0.45] + [0.0] * 27, calibration, fmr=1e-4)
    assert (many.outcome, many.cosine, many.gallery_size) == ("no_match", 0.45, 30)
    assert many.cosine_threshold == pytest.approx(0.5)
    assert "number 3 from the best of 30 templates" in many.reason
    one = decide.verify_templates([0.45], calibration, fmr=1e-4)
    assert one == decide.verify(0.45, calibration, fmr=1e-4)
    with pytest.raises(RateUnsupported):
        decide.verify_templates([0.9] * 5, calibration, fmr=1e-6)
    assert decide.verify_templates([0.9] * 5, calibration, fmr=1e-6, allow_extrapolation=True)
    with pytest.raises(UsageError):
        decide.verify_templates([], calibration)
    with pytest.raises(UsageError, match="between 0 and 1, got 7"):
        decide.verify_templates([0.9] * 30, calibration, fmr=7)


def test_where_a_share_of_the_rate_is_below_the_table_further_templates_are_asked(
    calibration: Calibration,
) -> None:
    """The end of the table itself can be asked for, however many templates there are."""
    end = min(row["fmr"] for row in calibration.data["fmr_table"])
    found = decide.verify_templates([0.99] * 4, calibration, fmr=2 * end, allow_extrapolation=True)
    assert found.extrapolated and "number 2 from the best of 4 templates" in found.reason
    with pytest.raises(RateUnsupported, match=f"{end / 2:.1e}"):
        decide.verify_templates([0.99] * 4, calibration, fmr=end / 2, allow_extrapolation=True)


@pytest.mark.parametrize("alike", [0.0, 0.7, 0.99])
@pytest.mark.parametrize(("count", "smallest_supported_fmr"), [(3, 1e-5), (30, 1e-5), (30, 5e-3)])
def test_the_rate_holds_however_alike_the_templates_are(
    alike: float, count: int, smallest_supported_fmr: float
) -> None:
    """Simulated impostors whose cosines follow the table exactly; their dependence is a factor."""
    rng = np.random.default_rng(count)
    common = rng.standard_normal((4000, 1)) * math.sqrt(alike)
    own = rng.standard_normal((4000, count)) * math.sqrt(1 - alike)
    rates = special.ndtr(-(common + own))  # uniform, as the rates of impostors' cosines are
    cosines = np.sort(-np.log10(rates) / 10, axis=1)[:, ::-1]
    told = ruler(smallest_supported_fmr)
    accepted = sum(decide.verify_templates(row, told, fmr=0.01).matched for row in cosines)
    assert accepted / 4000 <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 4000)


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
    assert large.cosine_threshold > small.cosine_threshold
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
        assert (taken.cosine, taken.cosine_threshold) == (free.cosine, free.cosine_threshold)


def test_what_an_index_misses_adds_to_the_stated_fnir(calibration: Calibration) -> None:
    exact = decide.identify(0.9, calibration, 100)
    assert exact.fnir == pytest.approx(exact.cosine_threshold)  # the ruler's FNMR
    assert exact.index_miss_rate == 0
    assert "missed by the index" not in exact.reason
    some = decide.identify(0.9, calibration, 100, index_miss_rate=0.026)
    assert (some.outcome, some.index_miss_rate) == ("match", 0.026)
    assert some.fnir == pytest.approx(exact.fnir + 0.026)
    assert some.reason == f"{exact.reason}; up to 2.6 % of people may be missed by the index"
    none = decide.identify(0.9, calibration, 100, index_miss_rate=0.9)
    assert none.fnir == 1
    unknown = decide.identify(None, calibration, 100, index_miss_rate=None)
    assert (unknown.fnir, unknown.index_miss_rate) == (None, None)
    assert "not measured yet: run arcid gallery index --sample" in unknown.reason
    for decision in (decide.identify(None, calibration, 0), decide.verify(0.9, calibration)):
        assert (decision.fnir, decision.index_miss_rate) == (None, None)


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


def test_a_misspelt_way_out_is_refused_where_it_would_not_be_needed_too(
    calibration: Calibration,
) -> None:
    wrong: Any = "maybe"
    for size in (0, 1, 10**9):
        with pytest.raises(UsageError, match="use raise, review or extrapolate"):
            decide.identify(0.9, calibration, size, unsupported=wrong)


def test_a_person_searched_for_among_nobody_else_is_not_told_of_an_empty_gallery(
    calibration: Calibration, fresh: Path
) -> None:
    decider = Identifier("ab" * 32, calibration)
    faces = [NewFace(Embeddings.normalised([row], "ab" * 32)) for row in np.eye(3)]
    with Gallery.open(fresh) as gallery:
        gallery.create_collection("staff")
        ann, _ = gallery.enrol("staff", "Ann", faces[:2])
        alone = decider.identify_person(ann.id, gallery, "staff").decision
        assert (alone.outcome, alone.gallery_size) == ("no_match", 0)
        assert alone.reason == NOBODY_ELSE
        gallery.enrol("staff", "Bea", faces[2:])
        among = decider.identify_person(ann.id, gallery, "staff").decision
        assert among.gallery_size == 2 and "2 comparisons" in among.reason
        new = gallery.add_person("staff", "Cas")
        assert decider.identify_person(new.id, gallery, "staff").decision.reason == NOBODY_ELSE

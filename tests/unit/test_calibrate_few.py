"""Few people: support counts people, nothing is refused that was answered, nothing is lost."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from arcid import decide
from arcid.calibration import SCHEMA_PATH, Calibration
from arcid.errors import CalibrationMissing, ContractMismatch, RateUnsupported, StorageFull
from arcid.evaluate.calibrate import Provenance, calibrate
from arcid.evaluate.measured import Measured
from arcid.evaluate.tail import TailBootstrap, effective_matches
from arcid.evaluate.transfer import Transfer, student_975
from arcid.models import calibrations
from arcid.types import Embeddings

CONTRACT = "ab" * 32
PROVENANCE = Provenance("m", "d", "r", "synthetic", "0" * 64, 0, "test")


def people(
    seed: int, count: int, photos: int = 4, *, alike: float = 0.0
) -> tuple[Embeddings, np.ndarray]:
    """``alike``: how much all people share, which moves their impostor scores up."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((count, 48))
    centres[:, 0] += alike
    labels = np.repeat(np.arange(count), photos)
    noise = 0.7 * rng.standard_normal((len(labels), 48))
    return Embeddings.normalised(centres[labels] + noise, CONTRACT), labels


@pytest.fixture(scope="module")
def packaged() -> Calibration:
    return calibrate(*people(0, 500, 2), PROVENANCE, bootstraps=40)


# --- support ---------------------------------------------------------------------------------


def test_a_pair_of_people_counts_once_however_many_photos_it_has() -> None:
    exposure = np.ones(400)
    first, second = np.arange(0, 100), np.arange(100, 200)
    assert effective_matches(first, second, exposure) == pytest.approx(100)
    again = effective_matches(np.repeat(first, 9), np.repeat(second, 9), exposure)
    assert again == pytest.approx(100)
    one = effective_matches(
        np.append(first, [7] * 900), np.append(second, [7 + 100] * 900), exposure
    )
    assert one < 2  # one pair of people made nine tenths of the matches
    wolf = effective_matches(np.zeros(100, np.int64), np.arange(1, 101), exposure)
    assert wolf < 2  # one person made all of them
    assert effective_matches(first[:0], second[:0], exposure) == 0


def test_more_photos_of_the_same_people_support_no_more() -> None:
    embeddings, labels = people(3, 60, 3)
    twice = Embeddings(np.repeat(embeddings.vectors, 3, axis=0), CONTRACT)
    once, thrice = Measured(embeddings, labels), Measured(twice, np.repeat(labels, 3))
    assert once.supported is not None
    assert thrice.supported is not None
    assert thrice.impostors == 9 * once.impostors
    assert thrice.supported == pytest.approx(once.supported, rel=0.3)
    assert once.supported > 30 / once.impostors  # what photos alone would have claimed


@pytest.mark.parametrize(
    ("photos", "least"),
    [([100] * 10, 10), ([450] + [3] * 9, 10), ([20] * 60, 60), ([3] * 600, 199)],
)
def test_very_many_photos_leave_out_photos_before_people(
    photos: list[int], least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.evaluate.measured.BODY_PHOTOS", 400)
    labels = np.repeat(np.arange(len(photos)), photos)
    vectors = np.random.default_rng(1).standard_normal((len(labels), 8))
    found = Measured(Embeddings.normalised(vectors, CONTRACT), labels, bootstraps=2)
    kept = np.bincount(found.subset[1])
    assert least <= len(kept)
    assert kept.min() >= 2
    assert 300 < kept.sum() <= 400


def test_pairs_of_one_person_stay_left_out_of_very_many_photos(
    packaged: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcid.evaluate.measured.BODY_PHOTOS", 200)
    embeddings, labels = people(6, 9, 30)
    labels[labels == 0] = np.where(np.arange(30) % 2, 0, 9)  # one person under two names
    twice = [(a, b) for a in range(0, 30, 2) for b in range(1, 30, 2)]
    said, unsaid = (Measured(embeddings, labels, exclude=pairs) for pairs in (twice, []))
    least, most = (found.transfer(packaged) for found in (said, unsaid))
    assert least is not None
    assert most is not None
    assert least.at_rate(0.01)[1] < most.at_rate(0.01)[1] - 0.05


def test_replicates_without_the_highest_pairs_are_dropped_and_counted() -> None:
    cosines = np.linspace(0.6, 0.4, 200)
    first = np.where(np.arange(200) % 2, 0, 2)  # two pairs of people made all of them
    weights = np.array([[0, 0, 2, 2, 4.0], [1, 1, 0, 1, 5], [0, 3, 3, 0, 2], [2, 2, 1, 1, 2]])
    arguments = (cosines, first, first + 1, 15_000)
    found = TailBootstrap(*arguments, weights, np.full(4, 15_000.0), np.ones(5))
    assert (found.dropped, len(found.replicates)) == (1, 3)
    with pytest.raises(RateUnsupported, match="3 of 4 draws of people hold none"):
        TailBootstrap(*arguments, weights[[2, 2, 2, 3]], np.full(4, 15_000.0), np.ones(5))


@pytest.mark.parametrize("seed", range(10))
def test_eight_people_never_fail_and_no_question_is_lost(seed: int, packaged: Calibration) -> None:
    made = calibrate(*people(seed, 8, 20), PROVENANCE, packaged=packaged, bootstraps=60)
    assert_answers_all(made, packaged)


# --- together with the packaged calibration --------------------------------------------------


def assert_answers_all(made: Calibration, packaged: Calibration) -> None:
    jsonschema.validate(made.data, json.loads(SCHEMA_PATH.read_text("utf-8")))
    supported = packaged.smallest_supported_fmr
    cosines = [made.threshold_at_fmr(fmr).cosine for fmr in np.geomspace(0.5, supported, 40)]
    assert cosines == sorted(cosines)
    for row in packaged.data["gallery_table"]:
        for size in {1, row["gallery_size"] // 2, row["gallery_size"]} - {0}:
            allow = row["extrapolated"]
            made.threshold_at_fpir(row["fpir"], size, allow_extrapolation=allow)
    for fmr in (1e-6, 1e-9):
        assert made.threshold_at_fmr(fmr, allow_extrapolation=True).extrapolated


def test_combined_thresholds_stand_at_the_upper_end(packaged: Calibration) -> None:
    same = people(11, 40)
    made = calibrate(*same, PROVENANCE, packaged=packaged, bootstraps=60)
    assert_answers_all(made, packaged)
    assert made.combined
    assert packaged.smallest_supported_fmr < made.smallest_measured_fmr < 0.2
    deep = made.threshold_at_fmr(packaged.smallest_supported_fmr)
    assert deep.combined
    assert not deep.extrapolated
    assert deep.cosine > packaged.threshold_at_fmr(packaged.smallest_supported_fmr).cosine
    measured = made.threshold_at_fmr(0.2)
    assert not measured.combined
    own = calibrate(*same, PROVENANCE, bootstraps=60)
    highest = next(r for r in own.data["thresholds"] if r["fmr"] == 0.1)["cosine_high"]
    assert made.threshold_at_fmr(0.001).cosine > highest
    sources = {row["source"] for row in made.data["fmr_table"]}
    assert sources == {"measured", "combined"}
    assert {r["source"] for r in own.data["fmr_table"]} == {"measured", "extrapolated"}


def test_thresholds_follow_people_who_are_more_or_less_alike(packaged: Calibration) -> None:
    fmr = packaged.smallest_supported_fmr
    before = packaged.threshold_at_fmr(fmr).cosine
    alike = people(12, 120, alike=4.0)
    higher = calibrate(*alike, PROVENANCE, packaged=packaged, bootstraps=40)
    vectors, labels = alike
    scores = vectors.vectors @ vectors.vectors.T
    impostor = scores[labels[:, None] != labels[None, :]]
    assert (impostor >= before).mean() > 20 * fmr  # the packaged threshold is wrong for them
    assert (impostor >= higher.threshold_at_fmr(fmr).cosine).mean() <= fmr
    apart = Embeddings.normalised(people(13, 120)[0].vectors - vectors.vectors.mean(0), CONTRACT)
    lower = calibrate(apart, labels, PROVENANCE, packaged=packaged, bootstraps=40)
    assert lower.threshold_at_fmr(0.01).cosine < higher.threshold_at_fmr(0.01).cosine


def test_more_people_lower_what_uncertainty_costs(packaged: Calibration) -> None:
    fmr = packaged.smallest_supported_fmr
    means = []
    for count in (8, 30, 120):
        made = [calibrate(*people(s, count), PROVENANCE, packaged=packaged, bootstraps=20)
                for s in range(4)]  # fmt: skip
        means.append(np.mean([c.threshold_at_fmr(fmr).cosine for c in made]))
    assert means == sorted(means, reverse=True)
    assert means[-1] == pytest.approx(packaged.threshold_at_fmr(fmr).cosine, abs=0.04)


def test_people_who_support_more_than_the_packaged_stand_alone(packaged: Calibration) -> None:
    made = calibrate(*people(0, 500, 2), PROVENANCE, packaged=packaged, bootstraps=20)
    assert not made.combined
    assert made.smallest_measured_fmr == made.smallest_supported_fmr


def test_too_few_to_say_anything_of_strangers(packaged: Calibration) -> None:
    with pytest.raises(RateUnsupported, match="4 people are too few"):
        calibrate(*people(1, 4), PROVENANCE, packaged=packaged)
    with pytest.raises(RateUnsupported, match="support no rate worth a threshold"):
        calibrate(*people(1, 8), PROVENANCE)
    foreign = dict(packaged.data) | {"contract_id": "cd" * 32}
    with pytest.raises(ContractMismatch):
        calibrate(*people(1, 8), PROVENANCE, packaged=Calibration(foreign))


def test_label_errors_are_left_out_of_the_moved_tail_too(packaged: Calibration) -> None:
    embeddings, labels = people(5, 12)
    vectors = np.concatenate([embeddings.vectors, embeddings.vectors[:1]])
    labels = np.append(labels, 11)  # person 0's photo under another name
    wrong = [(48, row) for row in range(4)]

    def transfer(excluded: list[tuple[int, int]]) -> float:
        made = Transfer(vectors, labels, packaged, supported=None, excluded=excluded)
        return made.at_rate(1e-3)[1]

    assert transfer(wrong) < transfer([])


def test_students_quantile() -> None:
    for degrees, known in ((4, 2.776), (7, 2.365), (19, 2.093), (199, 1.972)):
        assert student_975(degrees) == pytest.approx(known, abs=0.01)


# --- what is said where a default is not supported -------------------------------------------


def test_unanswered_defaults_are_named(packaged: Calibration) -> None:
    weak = calibrate(*people(3, 40), PROVENANCE, bootstraps=20)
    largest = decide.largest_gallery(weak)
    found = decide.unanswered(weak, {"staff": 5000, "door": largest})
    assert [u.gallery for u in found] == [None, "staff"]
    assert "default false match rate of 0.0001" in found[0].message
    assert f"supports up to {largest:,} templates" in found[1].message or not largest
    with pytest.raises(RateUnsupported):
        weak.threshold_at_fpir(decide.DEFAULT_FPIR, largest + 1)
    assert "--undo" in found[0].advice
    assert "extrapolation" in found[1].advice


# --- in force, kept and back -----------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCID_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def noted(calibration: Calibration, note: str) -> Calibration:
    data = copy.deepcopy(dict(calibration.data))
    data["notes"] = note
    return Calibration(data)


def notes(path: Path) -> str | None:
    return str(Calibration.load(path).data["notes"]) if path.is_file() else None


def kept(models: Path) -> dict[str, Any]:
    """File suffix → note, of everything there."""
    found = sorted((models / "calibrations").glob("*.json"))
    return {path.name.removeprefix(CONTRACT): notes(path) for path in found}


def test_undo_goes_back_and_comes_back_and_nothing_is_lost(
    models: Path, packaged: Calibration
) -> None:
    with pytest.raises(CalibrationMissing, match="nothing to undo"):
        calibrations.undo(CONTRACT)
    one, two, three = (noted(packaged, n) for n in ("one", "two", "three"))
    assert calibrations.install(one) is None
    assert calibrations.in_force(CONTRACT).stat().st_mode & 0o777 == 0o600
    assert calibrations.undo(CONTRACT) == calibrations.before(CONTRACT)
    assert kept(models) == {".before.json": "one"}  # the packaged one is in force
    assert calibrations.undo(CONTRACT) is None
    assert kept(models) == {".json": "one"}
    calibrations.install(two)
    calibrations.install(two)  # again: nothing changes
    assert kept(models) == {".json": "two", ".before.json": "one"}
    calibrations.undo(CONTRACT)
    assert kept(models) == {".json": "one", ".before.json": "two"}
    calibrations.undo(CONTRACT)
    calibrations.install(three)
    assert kept(models) == {".json": "three", ".before.json": "two", ".1.json": "one"}


@pytest.mark.parametrize("step", range(4))
def test_an_undo_that_is_cut_off_is_ended_by_the_next(
    models: Path, packaged: Calibration, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    calibrations.install(noted(packaged, "one"))
    calibrations.install(noted(packaged, "two"))
    replace, done = Path.replace, []

    def cut(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) > step:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    if step < 3:
        with pytest.raises(KeyboardInterrupt):
            calibrations.undo(CONTRACT)
    else:
        calibrations.undo(CONTRACT)
    monkeypatch.setattr(Path, "replace", replace)
    calibrations.undo(CONTRACT)
    calibrations.undo(CONTRACT)
    assert sorted(kept(models).values()) == ["one", "two"]
    assert set(kept(models)) == {".json", ".before.json"}


def test_a_full_disk_changes_nothing(
    models: Path, packaged: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrations.install(noted(packaged, "one"))
    calibrations.install(noted(packaged, "two"))

    def full(*_: Any, **__: Any) -> None:
        raise StorageFull("no space left")

    monkeypatch.setattr("arcid.files.write_text", full)
    with pytest.raises(StorageFull):
        calibrations.install(noted(packaged, "three"))
    assert kept(models) == {".json": "two", ".before.json": "one"}

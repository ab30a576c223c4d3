"""Models and calibrations chosen on a machine: kept, undone, deleted, written down first."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from arcid import paths
from arcid.apps import model_choice
from arcid.apps.model_choice import Choices
from arcid.calibration import Calibration
from arcid.errors import CalibrationMissing, ModelNotFound, UsageError
from arcid.gallery import Gallery, NewFace
from arcid.models import calibrations, chosen, weights
from arcid.models.manifest import Task
from arcid.models.weights import Bundle
from arcid.server.console import strings
from arcid.types import Embeddings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ARCID_DETECTOR", "ARCID_RECOGNISER", "ARCID_DATA", "ARCID_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCID_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def bundle() -> Bundle:
    return weights.resolve("arcid-face-s")


def own(bundle: Bundle, notes: str) -> Calibration:
    """One measured here, as far as its file says."""
    data = weights.packaged_calibration(bundle).data
    return Calibration({**data, "notes": notes})


class Told:
    """Keeps what the audit is told, and what was in force then."""

    def __init__(self, bundle: Bundle) -> None:
        self.rows: list[dict[str, Any]] = []
        self.bundle = bundle

    def __call__(self, **row: Any) -> None:
        now = weights.find_calibration(self.bundle).calibration_id
        self.rows.append(row | {"now": now, "chosen": chosen.chosen("recognition")})


def in_force(bundle: Bundle) -> list[tuple[str, bool]]:
    return [
        (str(one.calibration.data.get("notes")), one.packaged)
        for one in model_choice.known(bundle)
        if one.in_force
    ]


def test_own_calibrations_come_and_go_and_the_packaged_one_stays(bundle: Bundle) -> None:
    told = Told(bundle)
    choices = Choices(told)
    packaged = weights.packaged_calibration(bundle)
    first, second, third = (own(bundle, word) for word in ("one", "two", "three"))
    for one in (first, second, third):
        calibrations.install(one)
    current = calibrations.in_force(bundle.manifest.contract_id)
    text = current.read_text("utf-8").replace('"cosine": ', '"cosine": "high", "was": ', 1)
    current.with_suffix(".9.json").write_text(text, "utf-8")  # damaged: no other one suffers
    assert in_force(bundle) == [("three", False)]
    assert len(model_choice.known(bundle)) == 4

    choices.use(bundle, first.calibration_id)
    assert in_force(bundle) == [("one", False)]
    assert told.rows[-1]["now"] == third.calibration_id  # written down before it was done
    assert len(model_choice.known(bundle)) == 4
    calibrations.undo(bundle.manifest.contract_id)
    assert in_force(bundle) == [("three", False)]

    assert choices.use(bundle, None).packaged
    assert weights.find_calibration(bundle).calibration_id == packaged.calibration_id
    calibrations.undo(bundle.manifest.contract_id)
    assert in_force(bundle) == [("three", False)]

    with pytest.raises(UsageError, match="in force"):
        choices.delete(bundle, third.calibration_id)
    with pytest.raises(UsageError, match="came with the model"):
        choices.delete(bundle, packaged.calibration_id)
    with pytest.raises(UsageError, match="in force"):
        calibrations.delete(bundle.manifest.contract_id, third.calibration_id)
    rows = len(told.rows)
    choices.delete(bundle, second.calibration_id)
    with pytest.raises(CalibrationMissing):
        choices.delete(bundle, second.calibration_id)
    assert [row["verb"] for row in told.rows[rows:]] == ["calibration.delete"]
    left = {one.calibration_id for one in model_choice.known(bundle)}
    assert left == {first.calibration_id, third.calibration_id, packaged.calibration_id}
    with pytest.raises(CalibrationMissing):
        choices.use(bundle, "0" * 16)
    kept = model_choice.known(bundle)[0].to_dict()
    assert kept["people"] == packaged.data["people"] and kept["in_force"] is True


def test_a_choice_counts_from_the_next_start_unless_one_is_named(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told(bundle)
    choices = Choices(told)
    assert choices.next_start("recognition").why == "packaged"
    choices.choose("arcid-face-s-int8")
    assert told.rows[-1]["chosen"] is None and told.rows[-1]["subject"] == "model:arcid-face-s-int8"
    found = choices.next_start("recognition")
    assert (found.name, found.why) == ("arcid-face-s-int8", "chosen")
    assert weights.resolve_default("recognition").name == "arcid-face-s-int8"
    with pytest.raises(ModelNotFound):
        choices.choose("none_such")
    assert weights.resolve_default("recognition").name == "arcid-face-s-int8"

    monkeypatch.setenv("ARCID_RECOGNISER", "arcid-face-s-1")
    assert weights.resolve_default("recognition").name == "arcid-face-s-1"
    for refused in (choices, Choices(told, {"recognition": "arcid-face-s-1"})):
        with pytest.raises(UsageError, match="arcid-face-s-1"):
            refused.choose("arcid-face-s")
        monkeypatch.delenv("ARCID_RECOGNISER", raising=False)

    chosen.choose("recognition", "went_away")
    with pytest.raises(ModelNotFound, match="--packaged recognition"):
        weights.resolve_default("recognition")
    assert "went_away" in (choices.next_start("recognition").problem or "")
    assert choices.choose_packaged("recognition").name == bundle.name
    assert choices.next_start("recognition").why == "packaged"


def test_what_finds_no_points_or_decides_nothing_is_no_choice(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCID_DATA", str(data_dir))
    with pytest.raises(Exception, match="points"):
        Choices().choose("ultralight_rfb")
    assert chosen.chosen("detection") is None
    Choices().choose("scrfd_2.5g")
    assert weights.resolve_default("detection").name == "scrfd_2.5g"


def test_every_task_has_a_name_in_the_console() -> None:
    assert set(strings.MODEL_TASKS) == set(get_args(Task))


def test_a_choice_that_cannot_be_read_is_said(home: Path) -> None:
    (home / "chosen-models.json").write_text("[]")
    with pytest.raises(Exception, match=r"chosen-models\.json"):
        weights.resolve_default("recognition")


def test_what_a_change_means_is_counted_for_each_collection(bundle: Bundle, home: Path) -> None:
    with Gallery.open(home / "gallery.db") as gallery:
        gallery.create_collection("staff", keep_crops=True)
        gallery.create_collection("empty")
        vectors = np.random.default_rng(5).standard_normal((2, 4)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        crop = np.zeros((112, 112, 3), np.uint8)
        for index, kept in enumerate((crop, None)):
            face = NewFace(Embeddings(vectors[index : index + 1], "f" * 64), crop=kept)
            gallery.enrol("staff", f"person {index}", [face])
        (found,) = model_choice.ahead(gallery, bundle)
    assert found.to_dict() == {
        "collection": "staff", "done": 0, "waiting": 1, "stuck": 1, "problem": None,
    }  # fmt: skip


def test_nothing_is_pulled_or_written_down_before_the_licence_is_accepted(bundle: Bundle) -> None:
    told = Told(bundle)
    with pytest.raises(Exception, match="accept"):
        Choices(told).pull("buffalo_l", accept_licence=False)
    assert told.rows == [] and not paths.models_dir().exists()


def test_a_service_takes_the_packaged_recogniser_in_eight_bits_where_those_are_fast(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "instruction_sets", lambda: ["avx2"])
    assert weights.fast_form() is None
    monkeypatch.setattr(weights, "instruction_sets", lambda: ["avx2", "avx_vnni"])
    fast = weights.fast_form()
    assert fast is not None
    taken = weights.resolve(fast)
    assert taken.manifest.precision == "int8"
    assert taken.manifest.contract_id == bundle.manifest.contract_id
    assert Choices(fast=True).next_start("recognition").name == fast
    assert Choices().next_start("recognition").name == bundle.name
    given = Choices(given={"recognition": "arcid-face-s-1"}, fast=True)
    assert given.next_start("recognition").name == "arcid-face-s-1"
    chosen.choose("recognition", bundle.name)
    assert weights.fast_form() is None, "who chose the float form gets it"
    assert Choices(fast=True).next_start("recognition").name == bundle.name

"""The best state of a run as a calibrated bundle, and the verdict on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arcid.calibration import Calibration
from arcid.errors import CalibrationError, ExportRefused, InvalidArray, RateUnsupported
from arcid.evaluate import calibrate as measured
from arcid.models import trust, weights
from arcid.models.manifest import Manifest
from arcid.train.engine.loop import BEST
from arcid.train.export import ExportRequest, ExportResult, export
from arcid.train.export.crops import LabelledCrops, held_out_crops
from arcid.train.export.measure import accuracy
from arcid.train.export.tolerance import file_embedder, torch_vectors
from arcid.train.finetune.people import PHOTOS, joined, judging_crops
from arcid.train.finetune.plan import Plan
from arcid.train.finetune.verdict import Verdict
from arcid.train.weights.initial import open_initial


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a run came to. Nothing uses the new model until somebody says so."""

    bundle: Path
    name: str
    contract_id: str
    step: int  # of the best state
    verdict: Verdict
    calibration: Calibration | None
    uncalibrated: str  # why there is none

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.calibration
        return {
            "bundle": str(self.bundle),
            "name": self.name,
            "from": self.verdict.original,
            "contract_id": self.contract_id,
            "best_step": self.step,
            **self.verdict.to_dict(),
            "calibration": None if found is None else {
                "status": found.data["status"],
                "people": found.data["people"],
                "smallest_measured_fmr": found.smallest_measured_fmr,
                "smallest_supported_fmr": found.smallest_supported_fmr,
                "thresholds": found.data["thresholds"],
            },
            "uncalibrated": self.uncalibrated or None,
        }  # fmt: skip


def finish(plan: Plan) -> Outcome:
    """Export the best state to ``RUN/models/NAME``, calibrate it, and judge it.

    Calibrated on the people who stop the run and those who judge it, moved from the original's
    calibration where they are too few. Judged on the latter alone, network beside network. Raises
    ``CheckpointInvalid``, ``ExportRefused`` and ``DatasetInvalid``.
    """
    config, original = plan.config, plan.original
    judging = judging_crops(config.data, plan.groups.judges, plan.judges_list)
    given = original.manifest
    flip = given is not None and given.flip
    best = open_initial(plan.run / BEST if config.validation.patience else plan.run)
    request = _request(plan, judging, flip)
    try:
        written = export(best, plan.run / "models", request)
    except ExportRefused:  # half precision can be coarser than what a few steps changed
        written = export(best, plan.run / "models", replace(request, precision="fp32"))
    assert written.measured is not None
    before = accuracy(torch_vectors(original.backbone.eval(), judging.crops, flip=flip), judging)
    verdict = Verdict.of(original.label, before, plan.name, written.measured.before)
    stopping = held_out_crops(config.data, PHOTOS)
    people = judging if stopping is None else joined([stopping, judging], "people held out")
    calibration, reason = None, ""
    try:
        calibration = _calibrated(plan, written, people)
    except (RateUnsupported, InvalidArray) as error:
        reason = error.message
    else:
        calibration.save(written.path / trust.CALIBRATION)
        trust.accept_own(plan.name, written.path)
    return Outcome(
        written.path, plan.name, written.contract_id, best.step, verdict, calibration, reason
    )


def _request(plan: Plan, judging: LabelledCrops, flip: bool) -> ExportRequest:
    given = plan.original.manifest
    sources = ", ".join(
        source.name or Path(source.path).name for source in plan.config.data.sources
    )
    earlier = given.training_data if given else ""
    request = ExportRequest(
        name=plan.name,
        precision="fp16" if given is not None and given.precision == "fp16" else "fp32",
        evaluate=judging,
        flip=flip,
        training_data=f"{earlier or plan.original.label}; then {plan.groups.learnt} people of "
        f"{sources}",
        description=f"{plan.original.label}, fine-tuned on {plan.groups.learnt} people.",
        replace=True,
    )
    if given is None:
        return request
    terms = given.licence
    return replace(
        request,
        licence=terms.name,
        licence_url=terms.url or "",
        commercial_use=terms.commercial_use,
    )


def _calibrated(plan: Plan, written: ExportResult, people: LabelledCrops) -> Calibration:
    manifest = Manifest.load(written.path / "manifest.json")
    embedder = file_embedder(written.path / manifest.file, manifest, None)
    base = _calibration_of(plan)
    moved = base and Calibration({**base.data, "contract_id": written.contract_id})
    digests = b"".join(sorted(people.digests()))
    found = measured.calibrate(
        embedder.embed(people.crops),
        people.labels,
        measured.Provenance(
            model=plan.name,
            detector="none (aligned photos)",
            runtime=f"{embedder.session.runtime} {embedder.session.precision}",
            dataset=people.name,
            dataset_sha256=hashlib.sha256(digests).hexdigest(),
            failed_photos=0,
            command="arcid finetune",
        ),
        packaged=moved,
    )
    if base is None or not found.combined:
        return found
    return Calibration(
        {
            **found.data,
            "status": "provisional",
            "notes": f"Combined with the calibration of {plan.original.label}, which this model "
            "began as.",
            "combined_with": {
                **found.data["combined_with"], "calibration_id": base.calibration_id,
            },
        }
    )  # fmt: skip


def _calibration_of(plan: Plan) -> Calibration | None:
    """What came with the original."""
    if plan.original.bundle is None:
        return None
    try:
        return weights.packaged_calibration(plan.original.bundle)
    except CalibrationError:
        return None


__all__ = ["Outcome", "finish"]

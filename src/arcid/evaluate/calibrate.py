"""Labelled embeddings → ``calibration.json``: score → FMR, FNMR, probability, search thresholds.

Intervals resample people. A rate is measured where thirty independent false matches were seen (rule
of 30), counted in people, not photos (``tail.effective_matches``). Below that the packaged
calibration is moved to these people (``transfer``), marked ``combined``; without one the tables go
on by a tail fitted to the highest impostors, marked ``extrapolated``.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration
from arcid.evaluate.discard import quality_block
from arcid.evaluate.measured import BOOTSTRAPS, Measured
from arcid.evaluate.sources import Progress
from arcid.types import Embeddings

QUALITY_FMR = 1e-4  # the threshold at which quality reasons are judged, where supported


@dataclass(frozen=True, slots=True)
class Provenance:
    """What stands beside the numbers."""

    model: str
    detector: str
    runtime: str
    dataset: str
    dataset_sha256: str
    failed_photos: int
    command: str
    status: str = "measured"
    notes: str = ""


def calibrate(
    embeddings: Embeddings,
    people: npt.ArrayLike,
    provenance: Provenance,
    *,
    exclude: Sequence[tuple[int, int]] = (),
    measures: Mapping[str, npt.ArrayLike] | None = None,
    reasons: Sequence[Sequence[str]] = (),
    packaged: Calibration | None = None,
    bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """(N,D) unit-norm embeddings and N person labels in, a checked ``Calibration`` out.

    ``exclude``: pairs of rows that are label errors, left out of the impostors. ``measures`` and
    ``reasons``: the quality of each photo, as ``discard.quality_block`` takes it. ``packaged``: the
    calibration that came with the model; rates that it supports and these people do not are
    answered by both together.

    Raises ``InvalidArray`` where there is nothing to measure (fewer than two people, or no person
    with two photos) and ``RateUnsupported`` where the people are too few for any rate.
    """
    found = Measured(embeddings, people, exclude=exclude, bootstraps=bootstraps, seed=seed,
                     progress=progress)  # fmt: skip
    if packaged is not None:
        packaged.check_contract(embeddings.contract_id)
    transfer = found.transfer(packaged)
    fmr_table = found.fmr_table(transfer)
    fnmr_table = found.fnmr_table([row["cosine"] for row in fmr_table])
    data: dict[str, Any] = {
        "schema_version": 2,
        "status": provenance.status,
        "model": provenance.model,
        "contract_id": embeddings.contract_id,
        "detector": provenance.detector,
        "runtime": provenance.runtime,
        "dataset": {"name": provenance.dataset, "sha256": provenance.dataset_sha256},
        "people": int(found.labels.max()) + 1,
        "photos": len(found.labels),
        "failed_photos": provenance.failed_photos,
        "genuine_pairs": len(found.genuine),
        "impostor_pairs": found.impostors,
        "person_pairs": found.person_pairs,
        "replicates_dropped": found.dropped,
        "label_errors_removed": len(found.excluded),
        "label_errors_suspected": len(found.suspects()),
        "smallest_supported_fmr": found.supported or 1.0,
        "smallest_measured_fmr": found.supported or 1.0,
        "thresholds": found.thresholds(fmr_table, fnmr_table, transfer),
        "fmr_table": fmr_table,
        "fnmr_table": fnmr_table,
        "gallery_table": found.gallery_table(transfer),
        "probability": found.probability(transfer),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": provenance.command,
        "notes": provenance.notes,
    }
    if transfer is not None:
        data["smallest_supported_fmr"] = transfer.packaged.smallest_supported_fmr
        data["combined_with"] = transfer.to_dict()
    elif found.tail is not None:
        data["tail"] = found.tail.to_dict()
    if measures is not None or reasons:
        fmr = max(QUALITY_FMR, data["smallest_supported_fmr"])
        cosine = Calibration(data).threshold_at_fmr(fmr).cosine
        data["quality"] = {"fmr": fmr} | quality_block(
            found.genuine, found.first, found.second, found.labels, cosine,
            measures or {}, reasons, replicates=bootstraps,
        )  # fmt: skip
    return Calibration(rounded(data))


def dataset_sha256(root: Path, files: Iterable[Path]) -> str:
    """sha256 over the sorted relative paths and file hashes: names the photographs exactly."""
    lines = []
    for file in sorted(files):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        lines.append(f"{file.relative_to(root).as_posix()} {digest}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def rounded(value: Any) -> Any:
    """The same with every float brought to six digits."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    return int(value) if isinstance(value, np.integer) else value

"""What arcid itself measured of recognisers: ``measured.json``, by name and contract.

A quantised file has the contract of its float model and numbers of its own, hence the name; a model
retrained under its old name has another contract, and the old numbers are not its.

``benchmarks/catalogue.py`` writes the file; ``arcid models list``, ``info`` and the table in
docs/catalogue.md are made from it, so a number stands in one place. It is kept apart from the
manifests: a new measurement changes no bundle.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcid.models.manifest import Manifest

FILE = Path(__file__).parent / "measured.json"
FMR = 1e-4  # of the TAR that lists show


@dataclass(frozen=True, slots=True)
class Measured:
    """One recogniser behind one detector on labelled photographs; shares, 95 % intervals."""

    model: str
    contract_id: str
    detector: str
    dataset: str
    photos: int
    genuine_pairs: int
    impostor_pairs: int
    accuracy: float  # of the listed pairs, every fold decided by a threshold of the others
    accuracy_low: float
    accuracy_high: float
    tar: float  # over all pairs of photos, at FMR
    tar_low: float
    tar_high: float
    date: str

    def to_dict(self) -> dict[str, Any]:
        """For lists and JSON."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        return {"target_fmr": FMR, **shown}


def of(manifest: Manifest) -> Measured | None:
    """What was measured of a recogniser; None of other models and where nothing was."""
    if manifest.output is None:
        return None
    return _known().get((manifest.name, manifest.contract_id))


@functools.cache
def _known() -> Mapping[tuple[str, str], Measured]:
    rows = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
    return {(row["model"], row["contract_id"]): Measured(**row) for row in rows}


__all__ = ["FILE", "FMR", "Measured", "of"]

"""Presentation-attack detection: APCER per species and BPCER from liveness scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import InvalidArray
from arcid.evaluate import metrics
from arcid.evaluate.metrics import Array, AttackRates
from arcid.evaluate.protocols._common import jsonable
from arcid.evaluate.readers.pad import PadList


@dataclass(frozen=True, eq=False)
class PadResult:
    """Attack rates at the product's threshold, and the trade-off about it."""

    name: str
    rates: AttackRates
    bona_fide: Array
    attacks: dict[str, Array]
    unusable: int  # presentations without a usable face

    def bpcer_at_apcer(self, target: float) -> dict[str, float | None]:
        """BPCER of each species at the threshold that holds its APCER to ``target``."""
        found: dict[str, float | None] = {}
        for species, scores in self.attacks.items():
            if species in self.rates.refused:
                found[species] = None
                continue
            threshold = metrics.threshold_at_fmr(scores, target)
            found[species] = float((self.bona_fide < threshold).mean())
        return found

    def to_dict(self) -> dict[str, Any]:
        worst = self.rates.worst_apcer
        found: dict[str, Any] = jsonable(
            {
                "protocol": "pad",
                "name": self.name,
                "threshold": self.rates.threshold,
                "apcer": {s: r.to_dict() for s, r in self.rates.apcer.items()},
                "apcer_worst": None if worst is None else worst.to_dict(),
                "refused_species": {
                    s: f"{n} attacks; {metrics.MIN_ATTACKS} are needed to state an APCER"
                    for s, n in self.rates.refused.items()
                },
                "bpcer": self.rates.bpcer.to_dict(),
                "bpcer_at_apcer_0.1": self.bpcer_at_apcer(0.1),
                "bona_fide": len(self.bona_fide),
                "attacks": {s: len(v) for s, v in self.attacks.items()},
                "unusable": self.unusable,
                "unusable_rule": "an attack without a usable face is stopped, a live person turned "
                "away",
            }
        )
        return found


def evaluate_pad(
    pad: PadList, threshold: float, scores: Sequence[float | None] | None = None
) -> PadResult:
    """Liveness scores (higher is live; None: no usable face) against the species of the list.

    ``scores`` replace those of the list, in its order.
    """
    given = scores if scores is not None else pad.scores
    if given is None or len(given) != len(pad.photos):
        raise InvalidArray(
            f"{pad.name}: {len(pad.photos)} presentations need a score each, "
            f"got {0 if given is None else len(given)}"
        )
    values = np.array([metrics.FAILED if s is None else s for s in given], np.float64)
    species = np.array([s if s is not None else "" for s in pad.species])
    attacks = {s: values[species == s] for s in sorted(set(species.tolist()) - {""})}
    live = values[species == ""]
    return PadResult(
        pad.name,
        metrics.attack_rates(live, attacks, threshold),
        live,
        attacks,
        int((values == metrics.FAILED).sum()),
    )

"""What an ensemble brings over the best of its members, on people no weight was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.evaluate import fusion
from arcid.evaluate.bootstrap import REPLICATES
from arcid.evaluate.differences import Difference, compare_tar
from arcid.evaluate.metrics import Array, Mask, support
from arcid.evaluate.pairs import PairScores

FOLDS = 3
RATES = (1e-3, 1e-2, 1e-1)
WAYS = ("equal", "sum", "logistic")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of weighing the members; ``gains`` are over the best member at each FMR."""

    name: str  # of ``WAYS``
    weights: tuple[float, ...]  # fitted on everybody, for use elsewhere
    gains: dict[float, Difference]  # a: the best member, b: the ensemble on held-out people


@dataclass(frozen=True, slots=True)
class FusedResult:
    """Every way, beside the members."""

    members: tuple[str, ...]
    best: dict[float, str]  # FMR → the member with the highest TAR there
    ways: tuple[Way, ...]
    people: int
    genuine_pairs: int  # judged: both photos of people of one fold
    impostor_pairs: int
    folds: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "protocol": "fusion",
            "members": list(self.members),
            "people": self.people,
            "genuine_pairs": self.genuine_pairs,
            "impostor_pairs": self.impostor_pairs,
            "folds": self.folds,
            "ways": [
                {
                    "name": way.name,
                    "weights": dict(zip(self.members, way.weights, strict=True)),
                    "gains": [
                        {"target_fmr": rate, "best_member": self.best[rate], **gain.to_dict()}
                        for rate, gain in way.gains.items()
                    ],
                }
                for way in self.ways
            ],
        }


def evaluate_fusion(
    members: Sequence[str],
    vectors: Sequence[npt.NDArray[np.float32]],
    labels: npt.ArrayLike,
    *,
    rates: Sequence[float] = RATES,
    folds: int = FOLDS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> FusedResult:
    """Members' (N,D) unit vectors of the same photos, and whose they are.

    People are dealt into folds. Pairs of people of one fold are judged by weights fitted to all the
    others'; pairs across folds judge nothing. Differences draw the same people for both, and the
    best member is the one that is best on these very pairs. Rates that the impostors cannot support
    are left out. Raises ``InvalidArray`` for shapes, ``DatasetInvalid`` for too few people.
    """
    names = np.asarray(labels)
    if len(members) != len(vectors) or any(len(v) != len(names) for v in vectors):
        raise InvalidArray(f"{len(members)} members need vectors of each of {len(names)} photos")
    people = np.unique(names, return_inverse=True)[1]
    count = int(people.max(initial=-1)) + 1
    dealt = np.random.default_rng(seed).permutation(count) % folds
    first, second = np.triu_indices(len(people), k=1)
    cosines = np.stack([(v @ v.T)[first, second] for v in vectors])
    a, b = people[first], people[second]
    same = a == b
    inside = dealt[a] == dealt[b]
    scores = {way: np.zeros(len(first)) for way in WAYS}
    for fold in range(folds):
        judged = inside & (dealt[a] == fold)
        others = (dealt[a] != fold) & (dealt[b] != fold)
        _require_both(same[others], "to fit on")
        for way, fitted in _fits(cosines[:, others], same[others]).items():
            scores[way][judged] = fitted(cosines[:, judged])
    _require_both(same[inside], "to judge by")
    kept = _supported(rates, int((~same & inside).sum()))

    def pairs(values: Array) -> PairScores:
        return PairScores.from_labels(values[inside], a[inside], b[inside])

    alone = [pairs(one) for one in cosines]
    ways, best = [], {}
    for way, fitted in _fits(cosines, same).items():
        gains = {}
        for rate in kept:
            found = [
                compare_tar(one, pairs(scores[way]), rate, replicates=replicates, seed=seed)
                for one in alone
            ]
            top = max(range(len(found)), key=lambda i: found[i].a)
            gains[rate], best[rate] = found[top], members[top]
        ways.append(Way(way, fitted.weights, gains))
    return FusedResult(
        tuple(members), best, tuple(ways), count,
        int((same & inside).sum()), int((~same & inside).sum()), folds,
    )  # fmt: skip


def _fits(cosines: Array, same: Mask) -> dict[str, fusion.Fusion]:
    equal = fusion.Fusion(0.0, (1.0,) * len(cosines))
    return {
        "equal": equal,
        "sum": fusion.fit_each(cosines, same),
        "logistic": fusion.fit_together(cosines, same),
    }


def _supported(rates: Sequence[float], impostors: int) -> list[float]:
    return [rate for rate in rates if support(rate, impostors).supported]


def _require_both(same: Mask, what: str) -> None:
    if not same.any() or same.all():
        raise DatasetInvalid(
            f"too few people have several photos: no pairs of one person and of two are left {what}"
        )


__all__ = ["FusedResult", "Way", "evaluate_fusion"]

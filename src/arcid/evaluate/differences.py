"""Two models on the same pairs: the difference and its interval, from the same people drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import InvalidArray
from arcid.evaluate.bootstrap import REPLICATES, PairBootstrap, interval
from arcid.evaluate.metrics import Array, Mask, require_support, tar_at_fmr
from arcid.evaluate.pairs import PairScores


@dataclass(frozen=True, slots=True)
class Difference:
    """B − A of one number, from replicates that drew the same people for both."""

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    share_b_higher: float  # of the replicates; ties count half

    @property
    def significant(self) -> bool:
        """The 95 % interval of the difference leaves out zero."""
        return self.low > 0 or self.high < 0

    def describe(self, *, higher_is_better: bool = True) -> str:
        """One sentence: which is better and by how much."""
        half = (self.high - self.low) / 2
        amount = f"{abs(self.difference):.4f} ± {half:.4f} ({self.metric})"
        if not self.significant:
            return f"no difference can be told: B − A = {self.difference:+.4f} ± {half:.4f} " + (
                f"({self.metric})"
            )
        better = "B" if (self.difference > 0) == higher_is_better else "A"
        return f"{better} is better by {amount}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "a": self.a,
            "b": self.b,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "share_b_higher": self.share_b_higher,
            "significant": self.significant,
        }


def paired_difference(
    metric: str,
    a: PairBootstrap,
    b: PairBootstrap,
    value: Callable[[PairScores], float],
    samples: Callable[[PairBootstrap], Array],
) -> Difference:
    """Compare two models on the same pairs, any metric.

    ``value`` gives the number of all pairs, ``samples`` the (B,) replicates of a bootstrap. Raises
    ``InvalidArray`` unless both scored the same pairs of the same people.
    """
    same_pairs = len(a.pairs) == len(b.pairs) and all(
        np.array_equal(getattr(a.pairs, name), getattr(b.pairs, name))
        for name in ("same", "first", "second")
    )
    if not same_pairs or not np.array_equal(a.weights, b.weights):
        raise InvalidArray(
            "a paired comparison needs both models' scores of the same pairs, in one order, and "
            "the same seed"
        )
    left, right = value(a.pairs), value(b.pairs)
    gap = samples(b) - samples(a)
    low, high = interval(gap)
    higher = float(((gap > 0) + 0.5 * (gap == 0))[np.isfinite(gap)].mean())
    return Difference(metric, left, right, right - left, low, high, higher)


def compare_tar(
    a: PairScores,
    b: PairScores,
    rate: float,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    allow_unsupported: bool = False,
) -> Difference:
    """TAR at a target FMR of two models, each at its own threshold."""
    require_support(rate, int((~a.same).sum()), allow_unsupported=allow_unsupported)
    return paired_difference(
        f"TAR@FMR={rate:g}",
        PairBootstrap(a, replicates, seed),
        PairBootstrap(b, replicates, seed),
        lambda p: tar_at_fmr(p.genuine, p.impostor, rate, allow_unsupported=True),
        lambda boot: boot.tar_at_fmr([rate])[:, 0],
    )


def compare_accuracy(
    a: PairScores,
    b: PairScores,
    accepted_a: Mask,
    accepted_b: Mask,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Difference:
    """Accuracy of two models' decisions on the same pairs (for example k-fold decisions)."""
    boots = PairBootstrap(a, replicates, seed), PairBootstrap(b, replicates, seed)
    accepted = {id(boots[0]): accepted_a, id(boots[1]): accepted_b}
    pairs = {id(a): accepted_a, id(b): accepted_b}
    return paired_difference(
        "accuracy",
        *boots,
        lambda p: float((np.asarray(pairs[id(p)]).astype(bool) == p.same).mean()),
        lambda boot: boot.accuracy(accepted[id(boot)]),
    )

"""Is B better than A? Two models, or two runs, on the same photos.

Both are resampled with the same people, so what is hard about the photos cancels out and a small
difference can be told where two separate intervals would overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import InvalidArray
from arcid.evaluate import metrics
from arcid.evaluate.bootstrap import REPLICATES, PairBootstrap
from arcid.evaluate.differences import Difference, paired_difference
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.metrics import Mask, kfold_accuracy, support
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols._common import pair_cosines, stratified_folds

RATES = (1e-2, 1e-3, 1e-4)
MAX_IMPOSTORS = 1_000_000
MIN_SHARE = 0.1  # of either kind of pairs, below which accuracy says nothing
_LOWER_IS_BETTER = ("EER",)


@dataclass(frozen=True, slots=True)
class Comparison:
    """B − A of every metric that the pairs support."""

    a: str
    b: str
    pairs: int
    people: int
    differences: tuple[Difference, ...]
    unsupported: tuple[float, ...]  # target FMRs that the impostors are too few for

    def better(self, difference: Difference) -> str | None:
        """The name of the better one; None where no difference can be told."""
        if not difference.significant:
            return None
        higher_wins = difference.metric not in _LOWER_IS_BETTER
        return self.b if (difference.difference > 0) == higher_wins else self.a

    def sentences(self) -> list[str]:
        """One sentence for each metric: "B is better by x ± y"."""
        lines = []
        for d in self.differences:
            half = (d.high - d.low) / 2
            better = self.better(d)
            if better is None:
                lines.append(
                    f"{d.metric}: no difference can be told, {self.b} − {self.a} = "
                    f"{d.difference:+.4f} ± {half:.4f}"
                )
            else:
                lines.append(
                    f"{d.metric}: {better} is better by {abs(d.difference):.4f} ± {half:.4f}"
                )
        return lines

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        won = dict.fromkeys((self.a, self.b), 0)
        for d in self.differences:
            if (better := self.better(d)) is not None:
                won[better] += 1
        total = len(self.differences)
        ahead = [name for name, count in won.items() if count]
        if not ahead:
            return f"No difference between {self.a} and {self.b} can be told on {total} metrics."
        if len(ahead) == 2:
            return (
                f"Neither is better throughout: {self.a} on {won[self.a]} and {self.b} on "
                f"{won[self.b]} of {total} metrics."
            )
        first = next(d for d in self.differences if self.better(d) is not None)
        half = (first.high - first.low) / 2
        return (
            f"{ahead[0]} is better by {abs(first.difference):.4f} ± {half:.4f} ({first.metric}), "
            f"and on {won[ahead[0]]} of {total} metrics."
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "pairs": self.pairs,
            "people": self.people,
            "sentence": self.sentence,
            "differences": [d.to_dict() | {"better": self.better(d)} for d in self.differences],
            "unsupported_fmr": list(self.unsupported),
        }


def compare(
    a: PairScores,
    b: PairScores,
    *,
    names: tuple[str, str] = ("A", "B"),
    rates: Sequence[float] = RATES,
    accepted: tuple[Mask, Mask] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """TAR at each target FMR, EER and accuracy of both on the same pairs in one order.

    Each is judged at its own thresholds. ``accepted``: decisions on each pair for the accuracy;
    default: ten folds, the threshold chosen on the other nine, and no accuracy where under a tenth
    of the pairs is of one kind. Rates that the impostors cannot support (rule of 3) are left out
    and listed. Raises ``InvalidArray`` where the pairs differ.
    """
    left, right = PairBootstrap(a, replicates, seed), PairBootstrap(b, replicates, seed)
    impostors = int((~a.same).sum())
    kept = [r for r in rates if support(r, impostors).supported]
    found: list[Difference] = []
    for rate in kept:
        found.append(
            paired_difference(
                f"TAR@FMR={rate:g}",
                left,
                right,
                lambda p, r=rate: metrics.tar_at_fmr(  # type: ignore[misc]
                    p.genuine, p.impostor, r, allow_unsupported=True
                ),
                lambda boot, r=rate: boot.tar_at_fmr([r])[:, 0],  # type: ignore[misc]
            )
        )
    found.append(
        paired_difference(
            "EER", left, right, lambda p: metrics.eer(p.genuine, p.impostor)[0], PairBootstrap.eer
        )
    )
    if accepted is not None or MIN_SHARE <= a.same.mean() <= 1 - MIN_SHARE:
        decisions = accepted or (_decisions(a), _decisions(b))
        by_pairs = {id(a): decisions[0], id(b): decisions[1]}
        found.append(
            paired_difference(
                "accuracy",
                left,
                right,
                lambda p: float((np.asarray(by_pairs[id(p)], bool) == p.same).mean()),
                lambda boot: boot.accuracy(by_pairs[id(boot.pairs)]),
            )
        )
    return Comparison(
        *names, len(a), a.people, tuple(found), tuple(r for r in rates if r not in kept)
    )


def compare_embeddings(
    a: EmbeddingSet,
    b: EmbeddingSet,
    people: npt.ArrayLike,
    *,
    names: tuple[str, str] = ("A", "B"),
    rates: Sequence[float] = RATES,
    max_impostors: int = MAX_IMPOSTORS,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Comparison:
    """``compare`` over all pairs of the photos; ``people`` (N,) says who is on each of ``a``'s.

    Above ``max_impostors`` a random subset of the impostor pairs is taken, the same for both.
    Failed photos stay in: their pairs are non-matches. Raises ``DatasetInvalid`` where ``b`` lacks
    a photo of ``a``.
    """
    other = b.select(a.names)
    labels = np.unique(np.asarray(people), return_inverse=True)[1]
    if len(labels) != len(a):
        raise InvalidArray(f"{len(a)} photos but {len(labels)} people")
    first, second = _pairs(labels, max_impostors, seed)
    scored = [
        PairScores(
            pair_cosines(e.vectors, e.failed, first, second),
            labels[first] == labels[second],
            labels[first],
            labels[second],
        )
        for e in (a, other)
    ]
    return compare(*scored, names=names, rates=rates, replicates=replicates, seed=seed)


def _pairs(
    labels: npt.NDArray[np.int64], max_impostors: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    count = len(labels)
    if count * (count - 1) // 2 <= 4 * max_impostors:
        first, second = np.triu_indices(count, 1)
        same = labels[first] == labels[second]
        rows = np.flatnonzero(~same)
        if len(rows) > max_impostors:
            rows = np.random.default_rng(seed).choice(rows, max_impostors, replace=False)
        keep = np.sort(np.concatenate([np.flatnonzero(same), rows]))
        return first[keep], second[keep]
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.integers(0, count, (2 * max_impostors, 2)), axis=1)
    drawn = np.unique(drawn[labels[drawn[:, 0]] != labels[drawn[:, 1]]], axis=0)
    drawn = drawn[rng.permutation(len(drawn))[:max_impostors]]
    order = np.argsort(labels, kind="stable")
    own = [
        rows[np.stack(np.triu_indices(len(rows), 1), axis=1)]
        for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    ]
    pairs = np.concatenate([*own, drawn])
    return pairs[:, 0], pairs[:, 1]


def _decisions(pairs: PairScores) -> Mask:
    return kfold_accuracy(pairs.scores, pairs.same, stratified_folds(pairs.same, 10)).accepted

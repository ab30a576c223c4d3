"""Who may be called better than whom, and who only happened to come out ahead.

One rate decides (0 to 1, higher is better). Its uncertainty has two sources, resampled together:
other held-out people would have been harder or easier, other seeds would have trained better or
worse.
In replicate b, with S seeds and L losses,

    M_lb     mean over all seeds of loss l's number on the people of replicate b (all losses are
             judged on the same people)
    e_lsb    what seed s of loss l deviates from it, times √(S / (S − 1))
    value    M_lb + c · mean of S deviations drawn from those of all L·S runs

Three seeds say little about how much seeds matter, so deviations are pooled over the losses, which
takes them to be about equally steady; the root undoes that deviations from a mean of S are too
small, and c = t(L(S − 1)) / 1.96 that so few runs estimate their own spread badly (Student).
Resampling each loss's own three seeds instead separates equal losses in two rounds of three.
With one seed the interval is about people only.

**The rule.** A is placed above B where the interval of A − B leaves out zero; the intervals of all
pairs of a round hold together with 95 % (max-t: half-widths are t times each difference's standard
error, t the 95th percentile over replicates of the largest standardised deviation). The winner is
placed above every other; where nobody is, there is none, and the leaders are those whom nobody is
placed above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arcid.errors import InvalidArray
from arcid.evaluate.bootstrap import interval
from arcid.evaluate.metrics import Array

LEVEL = 95.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A value between its 95 % bounds."""

    value: float
    low: float
    high: float

    @property
    def separate(self) -> bool:
        """Leaves out zero."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Ranking:
    """One round's result. ``names`` best value first."""

    names: tuple[str, ...]
    values: Mapping[str, Interval]
    differences: Mapping[tuple[str, str], Interval]  # (a, b), a before b in names: a − b
    winner: str | None
    leaders: tuple[str, ...]

    def above(self, name: str) -> tuple[str, ...]:
        """Those placed above ``name``."""
        return tuple(a for (a, b), gap in self.differences.items() if b == name and gap.low > 0)

    def below(self, name: str) -> tuple[str, ...]:
        """Those ``name`` is placed above."""
        return tuple(other for other in self.names if name in self.above(other))

    def places(self, name: str) -> tuple[int, int]:
        """The best and worst place ``name`` can have, counted from 1."""
        return 1 + len(self.above(name)), len(self.names) - len(self.below(name))

    def to_dict(self) -> dict[str, Any]:
        return {
            "order": list(self.names),
            "values": {name: self.values[name].to_dict() for name in self.names},
            "places": {name: list(self.places(name)) for name in self.names},
            "differences": [
                {"better": a, "than": b, **gap.to_dict(), "separate": gap.separate}
                for (a, b), gap in self.differences.items()
            ],
            "winner": self.winner,
            "leaders": list(self.leaders),
        }


def seed_bootstrap(samples: Mapping[str, Sequence[Array]], seed: int = 0) -> dict[str, Array]:
    """For every name (B,) replicates of its mean over seeds, from each seed's (B,) over people.

    Raises ``InvalidArray`` where names differ in seeds or replicates.
    """
    shapes = {np.shape(own) for own in samples.values()}
    if len(shapes) != 1 or len(shape := next(iter(shapes))) != 2 or 0 in shape:
        raise InvalidArray(f"every name needs the same (seeds, replicates), got {sorted(shapes)}")
    table = np.stack([np.asarray(own, np.float64) for own in samples.values()])
    names, seeds, replicates = table.shape
    whole = table.mean(axis=1)
    if seeds == 1:
        return dict(zip(samples, whole, strict=True))
    apart = (table - whole[:, None]) * math.sqrt(seeds / (seeds - 1))
    pooled = apart.reshape(names * seeds, replicates)
    rng = np.random.default_rng((seed, 7))
    drawn = rng.integers(names * seeds, size=(names * seeds, replicates))
    moved = np.take_along_axis(pooled, drawn, axis=0).reshape(table.shape).mean(axis=1)
    values = whole + student_factor(names * (seeds - 1)) * moved
    return dict(zip(samples, values, strict=True))


def student_factor(freedom: int) -> float:
    """The 97.5th percentile of Student's t over that of the normal distribution.

    By its expansion in 1/freedom (Abramowitz & Stegun 26.7.5); 3 % low at 2, exact to 0.1 % from 6.
    """
    z, n = 1.959964, float(freedom)
    terms = (
        (z**3 + z) / (4 * n),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3),
    )
    return 1 + sum(terms) / z


def rank(values: Mapping[str, float], samples: Mapping[str, Array]) -> Ranking:
    """Apply the rule to each name's rate and its (B,) replicates, drawn alike for all.

    Replicates in which a number is missing (NaN) count for none. Raises ``InvalidArray``.
    """
    if len(values) < 2 or set(values) != set(samples):
        raise InvalidArray("ranking needs two names or more, each with a value and replicates")
    names = sorted(values, key=lambda name: (-values[name], name))
    table = np.stack([np.asarray(samples[name], np.float64) for name in names])
    table = table[:, np.isfinite(table).all(axis=0)]
    if table.shape[1] < 2:
        raise InvalidArray("fewer than two replicates hold numbers for every name")
    own = {}
    for name, row in zip(names, table, strict=True):
        low, high = interval(row)
        low, high = max(low, 0.0), min(high, 1.0)  # seeds' deviations may lead out of what can be
        own[name] = Interval(values[name], min(low, values[name]), max(high, values[name]))
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    gaps = np.stack([table[i] - table[j] for i, j in pairs])
    found = np.array([values[names[i]] - values[names[j]] for i, j in pairs])
    error = gaps.std(axis=1, ddof=1)
    deviation = np.abs(gaps - gaps.mean(axis=1, keepdims=True))
    scaled = np.divide(deviation, error[:, None], out=np.zeros_like(gaps), where=error[:, None] > 0)
    half = np.percentile(scaled.max(axis=0), LEVEL) * error
    differences = {
        (names[i], names[j]): Interval(float(gap), float(gap - h), float(gap + h))
        for (i, j), gap, h in zip(pairs, found, half, strict=True)
    }
    beaten = {b for (_, b), gap in differences.items() if gap.low > 0}
    first = names[0]
    alone = all(gap.low > 0 for (a, _), gap in differences.items() if a == first)
    return Ranking(
        names=tuple(names),
        values=own,
        differences=differences,
        winner=first if alone else None,
        leaders=tuple(name for name in names if name not in beaten),
    )


__all__ = ["Interval", "Ranking", "rank", "seed_bootstrap", "student_factor"]

"""Few people and a packaged calibration → thresholds at rates that few people cannot measure.

The method is that of regional frequency analysis (Hosking & Wallis, 1997), which hydrology uses to
state the flood of a thousand years at a gauge twenty years old: the shape of the tail is taken from
where there is much data, its place and scale from the site. With Q₀(r) the packaged cosine at a
false match rate r, and the tail beginning at the rate p,

    Q(r) = u + g^w · (Q₀(r) − Q₀(p))

u is the user's own cosine at p; g is the mean excess of the user's impostor scores over u, as a
multiple of the packaged one. A few people say little about g, so it is weighed against the packaged
value 1 by credibility (Bühlmann, ASTIN Bulletin 1967): w = τ² / (τ² + s²), s the standard error of
log g and τ how far log g lies from 0 between sets of photographs (docs/decisions/0006).

The threshold is the upper end of the 95 % interval of Q(r), never its middle: it lies below the
packaged one only where the user's people show that it may. The variance adds the jackknife over
people, which is never too small on average (Efron & Stein, Annals of Statistics 1981), what is left
of τ, and the packaged calibration's own interval; its quantile is Student's with a degree of
freedom less than there are people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration
from arcid.errors import RateUnsupported
from arcid.evaluate.identification import gallery_row
from arcid.evaluate.metrics import Array, IndexArray
from arcid.types import FloatArray

MIN_PEOPLE = 5
STARTS = (1e-2, 0.5)  # where the tail may begin: as deep as the people support
GROWTH_SPREAD = 0.2  # τ: median |log g| of five sets of photographs, benchmarks/few_people.py
_BINS_PER_UNIT = 1024
_STEP = 1e-5  # between two cosines of a table


class Transfer:
    """The packaged calibration moved to where the user's impostor scores lie.

    ``vectors`` (N,D) unit norm and ``people`` (N,): the user's photos; ``excluded`` pairs of rows
    count as no impostors; ``supported``: the smallest rate the user's people support by themselves,
    None where there is none. Raises ``RateUnsupported`` below five people.
    """

    def __init__(
        self,
        vectors: FloatArray,
        people: IndexArray,
        packaged: Calibration,
        *,
        supported: float | None,
        excluded: Iterable[tuple[int, int]] = (),
    ) -> None:
        count = int(people.max()) + 1
        if count < MIN_PEOPLE:
            raise RateUnsupported(
                f"{count} people are too few to say anything about strangers: {MIN_PEOPLE} are the "
                "least, and the packaged calibration serves them better; use more people"
            )
        self.packaged = packaged
        low, high = STARTS
        self.start = float(np.clip(high if supported is None else supported, low, high))
        rows = packaged.data["fmr_table"]
        self._rates = np.array([row["fmr"] for row in rows])
        self._cosines = np.array([row["cosine"] for row in rows])
        self._upper = np.interp(
            -np.log(self._rates),
            -np.log([max(row["fmr_high"], 1e-300) for row in rows]),
            self._cosines,
        )
        self._origin = float(self._quantile(self.start))
        each = _scores_by_person(vectors, people, excluded)
        every = each.sum(axis=0) / 2
        self._place, excess = _tail_of(every, self.start)
        without = [_tail_of(every - own, self.start) for own in each]
        self._places = np.array([place for place, _ in without])
        growths = np.log([max(e, 1e-9) for _, e in without]) - math.log(self._packaged_excess())
        self._growth = math.log(max(excess, 1e-9) / self._packaged_excess())
        self._error = _jackknife_error(growths)
        self.weight = GROWTH_SPREAD**2 / (GROWTH_SPREAD**2 + self._error**2)
        self._growths = np.exp(self.weight * growths)
        self._grown = math.exp(self.weight * self._growth)
        self._quantile_of_t = student_975(count - 1)

    def interval(self, cosine: float, upper: float) -> tuple[float, float]:
        """95 % interval of the user's cosine where the packaged one is ``cosine``.

        ``upper`` is the upper end of the packaged cosine's own interval. The second number is the
        threshold to use.
        """
        beyond = cosine - self._origin
        best = self._place + self._grown * beyond
        own = _jackknife_error(self._places + self._growths * beyond)
        prior = self._grown * beyond * (1 - self.weight) * GROWTH_SPREAD
        packaged = self._grown * max(upper - cosine, 0.0) / 1.96
        half = self._quantile_of_t * math.sqrt(own**2 + prior**2 + packaged**2)
        return best - half, best + half

    def at_rate(self, fmr: float) -> tuple[float, float]:
        """95 % interval of the user's cosine at an FMR."""
        upper = np.interp(-math.log(fmr), -np.log(self._rates), self._upper)
        return self.interval(float(self._quantile(fmr)), float(upper))

    def fmr_rows(self, *, below: float = 2.0, above: float = -1.0) -> list[dict[str, Any]]:
        """Rows of the FMR table at the packaged rates less than ``below``, their cosines higher
        than ``above``; each states the rate that the upper end of the interval keeps."""
        rates = self._rates[self._rates < below * (1 - 1e-6)]
        ends = [self.at_rate(float(rate)) for rate in rates]
        lows = np.maximum.accumulate([low for low, _ in ends])
        rows: list[dict[str, Any]] = []
        for rate, (_, cosine) in zip(rates, ends, strict=True):
            if above >= 1.0:
                break  # lower rates have this threshold too, which nobody reaches
            first = not rows and below > 1
            held = above if first else min(max(cosine, above + _STEP), 1.0)
            likely = math.exp(np.interp(held, lows, np.log(rates)))
            rows.append(
                {
                    "cosine": held,
                    "fmr": float(rate),
                    "fmr_low": min(likely, float(rate)),
                    "fmr_high": float(rate),
                    "source": "combined",
                    "extrapolated": self.beyond(float(rate)),
                }
            )
            above = held
        return rows

    def gallery_rows(
        self, measured: Sequence[dict[str, Any]], *, below: float = 2.0, floor: float = -1.0
    ) -> list[dict[str, Any]]:
        """The packaged rows of the gallery table, moved, where no row is measured; thresholds at
        FMRs less than ``below`` are at least ``floor``."""
        rows = []
        for row in self.packaged.data["gallery_table"]:
            fpir, size = float(row["fpir"]), int(row["gallery_size"])
            if any(r["fpir"] == fpir and r["gallery_size"] >= size for r in measured):
                continue
            cosine = float(row["cosine"])
            ends = self.interval(cosine, float(row.get("cosine_high", cosine)))
            held = floor if self.packaged.fmr(cosine) < below else -1.0
            low, high = (min(max(end, held), 1.0) for end in ends)
            rows.append(gallery_row(fpir, size, high, low, high, "combined", row["extrapolated"]))
        return rows

    def probability(self) -> dict[str, Any]:
        """The packaged map from score to probability, moved as the thresholds are."""
        spec = self.packaged.data["probability"]
        x = np.asarray(spec["cosine"]) if "cosine" in spec else np.linspace(-1.0, 1.0, 201)
        moved = [self.interval(float(c), float(c))[1] for c in x]
        return {
            "kind": "isotonic",
            "cosine": np.clip(np.maximum.accumulate(moved), -1.0, 1.0).tolist(),
            "probability": [self.packaged.probability(float(c)) for c in x],
        }

    def to_dict(self) -> dict[str, Any]:
        """The ``combined_with`` block of ``calibration.json``."""
        data = self.packaged.data
        half = self._quantile_of_t * self._error
        return {
            "calibration_id": self.packaged.calibration_id,
            "dataset": data["dataset"]["name"],
            "people": data["people"],
            "smallest_supported_fmr": self.packaged.smallest_supported_fmr,
            "start_fmr": self.start,
            "shift": self._place - self._origin,
            "growth": math.exp(self._growth),
            "growth_low": math.exp(self._growth - half),
            "growth_high": math.exp(min(self._growth + half, 50.0)),
            "growth_weight": self.weight,
        }

    def _quantile(self, fmr: float) -> Any:
        return np.interp(-math.log(fmr), -np.log(self._rates), self._cosines)

    def _packaged_excess(self) -> float:
        rates = np.geomspace(self.start, min(self._rates[-1], self.start / 10), 2000)
        excess = np.interp(-np.log(rates), -np.log(self._rates), self._cosines) - self._origin
        return float(-np.trapezoid(excess, rates) / self.start)

    def beyond(self, fmr: float) -> bool:
        """Whether not even the packaged calibration's people support the rate."""
        return fmr < self.packaged.smallest_supported_fmr * (1 - 1e-9)


def student_975(degrees: int) -> float:
    """97.5 % quantile of Student's t, to 0.01 from four degrees of freedom up (Abramowitz & Stegun
    26.7.5)."""
    z, n = 1.959964, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def _jackknife_error(values: Array) -> float:
    """Standard error from (P,) values, each without one person."""
    people = len(values)
    return math.sqrt((people - 1) / people * float(((values - values.mean()) ** 2).sum()))


def _scores_by_person(
    vectors: FloatArray, people: IndexArray, excluded: Iterable[tuple[int, int]]
) -> Array:
    """(P,bins) how many impostor scores of each person lie in each bin of 1/1024 of cosine."""
    count, bins = int(people.max()) + 1, 2 * _BINS_PER_UNIT + 1

    def binned(scores: FloatArray) -> npt.NDArray[np.int64]:
        return np.clip(np.rint((scores + 1) * _BINS_PER_UNIT), 0, bins - 1).astype(np.int64)

    found = np.zeros((count, bins))
    for person in range(count):
        own = people == person
        found[person] = np.bincount(binned(vectors[own] @ vectors[~own].T).ravel(), minlength=bins)
    for a, b in excluded:
        place = binned(vectors[a] @ vectors[b])
        for person in (people[a], people[b]):
            found[person, place] = max(found[person, place] - 1, 0)
    return found


def _tail_of(counts: Array, rate: float) -> tuple[float, float]:
    """The cosine that a share ``rate`` of the scores exceeds, and their mean excess over it."""
    edges = (np.arange(len(counts) + 1) - 0.5) / _BINS_PER_UNIT - 1
    above = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    share = above / max(above[0], 1.0)
    start = float(np.interp(-rate, -share, edges))
    area = np.interp(start, edges, np.append(0.0, np.cumsum((share[1:] + share[:-1]) / 2)))
    whole = ((share[1:] + share[:-1]) / 2).sum()
    return start, float((whole - area) / _BINS_PER_UNIT / rate)

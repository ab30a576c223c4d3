"""Thresholds for searches: FPIR as a function of how many templates are searched.

Every photo is a probe that is not enrolled, searched among random galleries of other people's
photos. With M photos of others, k of them at or above the threshold, a random gallery of n misses
all k with probability C(M − k, n) / C(M, n), so the mean over all galleries needs no drawing:
FPIR(t, n) is the mean of one minus that over the probes. N counts searched templates; FPIR is per
probe. Beyond the photos at hand the tail of FMR goes on, comparisons taken as independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from arcid.calibration import Source, fmr_for_fpir
from arcid.errors import InvalidArray
from arcid.evaluate.metrics import RULE_OF_30, Array, IndexArray
from arcid.evaluate.tail import TailBootstrap, shrinkage

FPIRS = (0.1, 0.01, 0.001)
MEASURED_SIZES = (100, 500, 1000)
EXTRAPOLATED_SIZES = (10_000, 100_000, 1_000_000)


class OpenSet:
    """Searches by people who are not enrolled, among all random galleries of the others.

    ``cosines`` (K,), ``first``, ``second``: the highest pairs of photos of two people, highest
    first, with the photos' rows; ``people`` (N,) the person of each photo; ``weights`` (B,P) how
    often each person was drawn in each replicate.
    """

    def __init__(
        self,
        cosines: Array,
        first: IndexArray,
        second: IndexArray,
        people: IndexArray,
        weights: Array,
    ) -> None:
        if (np.diff(cosines) > 0).any():
            raise InvalidArray("the highest pairs must come highest first")
        self.cosines, self.first, self.second = cosines, first, second
        self.people, self.weights = people, weights
        self.photos = np.bincount(people)

    @property
    def largest(self) -> int:
        """Photos of all other people, on average over the probes."""
        return int(len(self.people) - (self.photos**2).sum() / len(self.people))

    def fpir(self, threshold: float, size: int) -> float:
        """Share of searches among ``size`` templates that reach the threshold; exact above the
        lowest pair kept."""
        return self._fpir(self._accepted(threshold), size, np.ones(len(self.photos)))

    def fpir_interval(self, threshold: float, size: int) -> tuple[float, float]:
        """95 % interval of ``fpir`` over people, centred on the estimate."""
        count = self._accepted(threshold)
        best = self.fpir(threshold, size)
        samples = np.array([self._fpir(count, size, w) for w in self.weights])
        middle = np.median(samples)
        factor = self._shrinkage(count, size) * (best / middle if middle > 0 else 1.0)
        low, high = best + factor * (np.percentile(samples, [2.5, 97.5]) - middle)
        return float(np.clip(low, 0, best)), float(np.clip(high, best, 1))

    def threshold(self, fpir: float, size: int) -> float | None:
        """The lowest threshold that keeps FPIR; None where it lies below the pairs kept."""
        count = self._count_within(fpir, size, np.ones(len(self.photos)))
        return None if count >= len(self.cosines) else self._above(count)

    def threshold_interval(self, fpir: float, size: int) -> tuple[float, float]:
        """95 % interval of ``threshold`` over people.

        A resampled gallery holds copies, so its maxima are lower: the interval is centred on the
        estimate, and narrowed by ``shrinkage``.
        """
        count = self._count_within(fpir, size, np.ones(len(self.photos)))
        best = self._above(count)
        samples = np.array(
            [self._above(self._count_within(fpir, size, w, near=count)) for w in self.weights]
        )
        low, high = np.percentile(samples, [2.5, 97.5]) - np.median(samples)
        factor = self._shrinkage(count, size)
        return best + factor * min(low, 0.0), best + factor * max(high, 0.0)

    def false_matches(self, threshold: float) -> int:
        """How many pairs of two people reach the threshold."""
        return self._accepted(threshold)

    def _accepted(self, threshold: float) -> int:
        return int(np.searchsorted(-self.cosines, -threshold, side="right"))

    def _above(self, count: int) -> float:
        row = min(count, len(self.cosines) - 1)
        return float(np.nextafter(self.cosines[row], np.inf))

    def _shrinkage(self, count: int, size: int) -> float:
        """As ``tail.shrinkage`` for small galleries; none where everybody is searched, since a
        resampled gallery holds copies and its maxima vary too little by as much."""
        rows = slice(0, max(count, RULE_OF_30))
        first, second = self.people[self.first[rows]], self.people[self.second[rows]]
        photos = self.photos.astype(np.float64)
        narrow = shrinkage(first, second, np.ones(len(first)), photos)
        return narrow + (1 - narrow) * min(1.0, size / self.largest)

    def _count_within(self, fpir: float, size: int, weights: Array, near: int | None = None) -> int:
        """How many of the highest pairs may be accepted."""
        low, high = 0, len(self.cosines)
        if near is not None:
            wide = min(high, 2 * near + RULE_OF_30)
            high = wide if self._fpir(wide, size, weights) > fpir else high
        while low < high:
            middle = (low + high + 1) // 2
            if self._fpir(middle, size, weights) <= fpir:
                low = middle
            else:
                high = middle - 1
        return low

    def _fpir(self, count: int, size: int, weights: Array) -> float:
        first, second, people = self.first[:count], self.second[:count], self.people
        hits = np.bincount(first, weights[people[second]], minlength=len(people))
        hits += np.bincount(second, weights[people[first]], minlength=len(people))
        probes = np.flatnonzero(hits)
        if not len(probes):
            return 0.0
        k = hits[probes].astype(np.int64)
        drawn = int(weights @ self.photos)
        own = people[probes]
        others = (drawn - weights[own] * self.photos[own]).astype(np.int64)
        found = 1.0 - self._missed(k, others, size)
        return float((weights[own] * found).sum() / drawn)

    def _missed(self, k: IndexArray, others: IndexArray, size: int) -> Array:
        """Chance that a random gallery of ``size`` of the others holds none of k templates."""
        table = self._log_factorials(int(others.max()))
        n = np.minimum(size, others) if size < self.largest else others
        rest = others - k - n
        logs = table[others - k] + table[others - n] - table[others] - table[np.maximum(rest, 0)]
        return np.where(rest >= 0, np.exp(logs), 0.0)

    def _log_factorials(self, top: int) -> Array:
        if top >= len(self._table):
            self._table = np.append(0.0, np.cumsum(np.log(np.arange(1, 2 * top + 2))))
        return self._table

    _table: Array = np.zeros(0)

    # people who are enrolled

    @cached_property
    def _hits_by_probe(self) -> Array:
        probe = np.concatenate([self.first, self.second])
        return np.sort(4.0 * probe - np.concatenate([self.cosines, self.cosines]))

    def fnir(
        self,
        threshold: float,
        size: int,
        genuine: Array,
        first: IndexArray,
        second: IndexArray,
        *,
        ranked: bool = True,
    ) -> tuple[float, float, float]:
        """(FNIR, low, high) of a person enrolled with one photo among ``size`` templates.

        ``genuine`` (G,) are the cosines of pairs of photos ``first`` and ``second`` of one person;
        each is a search both ways. A search fails below the threshold and, with ``ranked``, where a
        template of somebody else comes first.
        """
        probe = np.concatenate([first, second])
        cosine = np.concatenate([genuine, genuine])
        found = (cosine >= threshold).astype(np.float64)
        if ranked:
            keys = self._hits_by_probe
            starts = np.searchsorted(keys, 4.0 * probe - 2)
            ahead = np.searchsorted(keys, 4.0 * probe - cosine, side="right") - starts
            others = len(self.people) - self.photos[self.people[probe]]
            found *= self._missed(ahead, others, max(size - 1, 0))
        people = self.people[probe]
        missed = np.bincount(people, 1 - found, minlength=len(self.photos))
        trials = np.bincount(people, minlength=len(self.photos))
        drawn = self.weights @ trials
        samples = (self.weights @ missed)[drawn > 0] / drawn[drawn > 0]
        best = float(missed.sum() / trials.sum())
        low, high = np.percentile(samples, [2.5, 97.5])
        low, high = np.clip([low, high], 0.0, 1.0)  # sums of shares end a rounding beyond
        return best, min(float(low), best), max(float(high), best)


def gallery_table(
    searches: OpenSet,
    tail: TailBootstrap | None,
    genuine: Array,
    first: IndexArray,
    second: IndexArray,
    *,
    fpirs: Sequence[float] = FPIRS,
    sizes: Sequence[int] = MEASURED_SIZES,
    extrapolated_sizes: Sequence[int] = EXTRAPOLATED_SIZES,
    least: int = RULE_OF_30,
) -> list[dict[str, Any]]:
    """Rows of ``calibration.json``: threshold and FNIR at each FPIR and gallery size.

    A row is measured where ``least`` or more pairs of strangers reach its threshold; the largest
    such size is a row of its own. Other rows come from the tail, marked ``extrapolated``; without a
    tail they are left out. Thresholds never fall as galleries grow or FPIR shrinks.
    """
    rows: list[dict[str, Any]] = []
    for fpir in sorted(fpirs, reverse=True):
        for size in _sizes(searches, fpir, sizes, extrapolated_sizes, least):
            row = _row(searches, tail, fpir, size, least)
            if row is not None:
                rows.append(row)
    return finished(rows, searches, genuine, first, second)


def finished(
    rows: Sequence[dict[str, Any]],
    searches: OpenSet,
    genuine: Array,
    first: IndexArray,
    second: IndexArray,
) -> list[dict[str, Any]]:
    """The rows in order, their thresholds never falling, each with its FNIR."""
    done: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda r: (-r["fpir"], r["gallery_size"])):
        lower = [r for r in done if r["gallery_size"] <= row["gallery_size"]]
        held = {
            key: max([row[key], *(r[key] for r in lower)])
            for key in ("cosine", "cosine_low", "cosine_high")
        }
        fnir = searches.fnir(
            held["cosine"], row["gallery_size"], genuine, first, second,
            ranked=row["source"] == "measured",
        )  # fmt: skip
        done.append(row | held | dict(zip(("fnir", "fnir_low", "fnir_high"), fnir, strict=True)))
    return done


def _sizes(
    searches: OpenSet, fpir: float, measured: Sequence[int], extrapolated: Sequence[int], least: int
) -> Iterator[int]:
    largest = searches.largest
    wanted = {n for n in (*measured, largest) if n <= largest}
    wanted |= {n for n in (*measured, *extrapolated) if n > largest}
    supported = _largest_supported(searches, fpir, least)
    if supported is not None:
        wanted.add(supported)
    return iter(sorted(wanted))


def _largest_supported(searches: OpenSet, fpir: float, least: int) -> int | None:
    low, high = 0, searches.largest
    while low < high:
        middle = (low + high + 1) // 2
        threshold = searches.threshold(fpir, middle)
        if threshold is None or searches.false_matches(threshold) >= least:
            low = middle
        else:
            high = middle - 1
    return low or None


def _row(
    searches: OpenSet, tail: TailBootstrap | None, fpir: float, size: int, least: int
) -> dict[str, Any] | None:
    if size <= searches.largest:
        cosine = searches.threshold(fpir, size)
        if cosine is None:
            return None
        matches = searches.false_matches(cosine)
        if matches >= least:
            low, high = searches.threshold_interval(fpir, size)
            return gallery_row(fpir, size, cosine, low, high) | {"false_matches": matches}
    if tail is None:
        return None
    fmr = fmr_for_fpir(fpir, size)
    if fmr >= tail.tail.rate:
        return None
    cosine = float(tail.tail.cosine(fmr))
    if cosine >= 1:
        return None
    low, high = tail.cosine_interval(fmr)
    return gallery_row(fpir, size, cosine, low, min(high, 1.0), "extrapolated", True)


def gallery_row(
    fpir: float,
    size: int,
    cosine: float,
    low: float,
    high: float,
    source: Source = "measured",
    extrapolated: bool = False,
) -> dict[str, Any]:
    """A row of the gallery table but for its FNIR; ``extrapolated``: beyond anybody's data."""
    return {
        "fpir": fpir,
        "gallery_size": size,
        "cosine": cosine,
        "cosine_low": low,
        "cosine_high": high,
        "source": source,
        "extrapolated": extrapolated,
    }

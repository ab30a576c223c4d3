"""The scores of all pairs of labelled embeddings, and the tables a calibration is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.calibration import Calibration, Source
from arcid.errors import InvalidArray, RateUnsupported, UsageError
from arcid.evaluate import probability
from arcid.evaluate.bootstrap import PairBootstrap, identity_weights
from arcid.evaluate.identification import OpenSet, finished, gallery_table
from arcid.evaluate.metrics import RULE_OF_3, RULE_OF_30, Array, IndexArray, wilson
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols.all_pairs import BINS_PER_UNIT, AllPairs, TopPairs, all_pairs
from arcid.evaluate.review import Suspect
from arcid.evaluate.sources import Progress
from arcid.evaluate.tail import TailBootstrap, effective_matches, exceedance_count, shrinkage
from arcid.evaluate.transfer import Transfer
from arcid.types import Embeddings

EXTRAPOLATE_TO = 1e-9
BOOTSTRAPS = 300
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
BODY_PHOTOS = 4000  # above this, what goes through all pairs again takes a random part
_TOP = 20_000
_SUPPORT_TOP = 1_000_000  # the highest pairs, in which support is counted


class Measured:
    """The scores of all pairs and what is drawn from them, each once."""

    def __init__(
        self,
        embeddings: Embeddings,
        people: npt.ArrayLike,
        *,
        exclude: Sequence[tuple[int, int]] = (),
        bootstraps: int = BOOTSTRAPS,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.vectors = embeddings.vectors
        self.labels = np.unique(np.asarray(people), return_inverse=True)[1].astype(np.int64)
        if len(self.labels) != len(embeddings):
            raise InvalidArray(f"{len(embeddings)} embeddings but {len(self.labels)} labels")
        photos = np.bincount(self.labels, minlength=1)
        if len(photos) < 2 or photos.max() < 2:
            raise InvalidArray(
                "calibrating needs at least two people, and at least one person with two photos"
            )
        self.person_pairs = len(photos) * (len(photos) - 1) // 2
        pairs = (len(self.labels) ** 2 - int((photos**2).sum())) // 2
        kept = max(_TOP, exceedance_count(pairs) + 1 + len(exclude))
        most = max(kept, min(pairs, _SUPPORT_TOP) + len(exclude))
        counted = all_pairs(self.vectors, self.labels, top=most, progress=progress)
        self.excluded = _impostor_pairs(exclude, self.labels)
        self.stats = _without(counted, self.excluded, self.vectors)
        self.top = _highest(self.stats.highest_impostors, kept)
        self.impostors = self.stats.impostor.total
        self.genuine, self.first, self.second = _genuine(self.vectors, self.labels)
        self.seed = seed
        self.exposure = (photos * (len(self.labels) - photos)).astype(np.float64)
        weights = identity_weights(len(photos), bootstraps, seed)
        totals = ((weights @ photos) ** 2 - weights**2 @ photos**2) / 2
        self.weights, self.totals = weights[totals > 0], totals[totals > 0]
        self._one_person = int((totals == 0).sum())

    @property
    def dropped(self) -> int:
        """Draws of people that say nothing of strangers, or nothing of the tail."""
        return self._one_person + (0 if self.tail is None else self.tail.dropped)

    @cached_property
    def supported(self) -> float | None:
        """The smallest FMR, in tenths of a decade from 0.5 down, at which thirty independent false
        matches were seen (``tail.effective_matches``); None where 0.1 is not."""
        top = self.stats.highest_impostors
        a, b = self.labels[top.first], self.labels[top.second]
        found = None
        for tenth in range(3, 100):
            rate = 10.0 ** (-tenth / 10)
            count = int(rate * self.impostors)
            if count > len(a):
                continue
            if effective_matches(a[:count], b[:count], self.exposure) < RULE_OF_30:
                break
            found = rate
        return found and float(f"{found:.6g}")

    def transfer(self, packaged: Calibration | None) -> Transfer | None:
        """The packaged calibration moved to these people; None where they support as much alone.

        Raises ``RateUnsupported`` where there is none and these people support no rate.
        """
        if packaged is None:
            if self.supported is None or self.supported > 0.1:
                raise RateUnsupported(
                    f"{len(self.exposure)} people with {self.impostors} impostor pairs support no "
                    "rate worth a threshold: thirty independent false matches at an FMR of 0.1 are "
                    "the least, which takes about twenty people; use more people"
                )
            return None
        if self.supported is not None and self.supported <= packaged.smallest_supported_fmr:
            return None
        place = {row: new for new, row in enumerate(self._kept.tolist())}
        excluded = [(place[a], place[b]) for a, b in self.excluded if a in place and b in place]
        return Transfer(*self.subset, packaged, supported=self.supported, excluded=excluded)

    @cached_property
    def tail(self) -> TailBootstrap | None:
        """The fitted tail; None where the pairs are too few, or too much alike."""
        top = self.top
        try:
            return TailBootstrap(
                top.cosines,
                self.labels[top.first],
                self.labels[top.second],
                self.impostors,
                self.weights,
                self.totals,
                self.exposure,
            )
        except (RateUnsupported, UsageError):
            return None

    @cached_property
    def searches(self) -> OpenSet:
        """Searches by people who are not enrolled."""
        top = self.top
        return OpenSet(top.cosines, top.first, top.second, self.labels, self.weights)

    def gallery_table(self, transfer: Transfer | None = None) -> list[dict[str, Any]]:
        """``identification.gallery_table``, its unmeasured rows from ``transfer`` where given."""
        measured, genuine = self.supported or 1.0, (self.genuine, self.first, self.second)
        rows = gallery_table(
            self.searches, None if transfer else self.tail, *genuine,
            least=max(RULE_OF_30, math.ceil(measured * self.impostors * (1 - 1e-6))),
        )  # fmt: skip
        if transfer is None:
            return rows
        moved = transfer.gallery_rows(rows, below=measured, floor=self._upper_end)
        return finished([*rows, *moved], self.searches, *genuine)

    def probability(self, transfer: Transfer | None = None) -> dict[str, Any]:
        """The map from score to probability: the packaged one, moved, where fewer than thirty
        people have two photos."""
        if transfer is not None and len(np.unique(self.labels[self.first])) < RULE_OF_30:
            return transfer.probability()
        return probability.choose(*self.subset, seed=self.seed).to_dict()

    @cached_property
    def subset(self) -> tuple[npt.NDArray[np.float32], IndexArray]:
        """All photos, or those of ``_kept``."""
        kept = self._kept
        return self.vectors[kept], np.unique(self.labels[kept], return_inverse=True)[1]

    @cached_property
    def _kept(self) -> IndexArray:
        """Rows of all photos; of a random part of each person's where there are very many; where
        two of each are still too many, of a random part of the people."""
        if len(self.labels) <= BODY_PHOTOS:
            return np.arange(len(self.labels))
        photos, rng = np.bincount(self.labels), np.random.default_rng(self.seed)
        mixed = rng.permutation(len(self.labels))
        mixed = mixed[np.argsort(self.labels[mixed], kind="stable")]
        turn = np.empty(len(mixed), np.int64)  # of each photo among its person's
        turn[mixed] = np.arange(len(mixed)) - np.repeat(np.cumsum(photos) - photos, photos)
        most = max(2, int(np.partition(turn, BODY_PHOTOS)[BODY_PHOTOS]))
        order = rng.permutation(len(photos))
        people = order[np.cumsum(np.minimum(photos, most)[order]) <= BODY_PHOTOS]
        return np.flatnonzero((turn < most) & np.isin(self.labels, people))

    @cached_property
    def _body(self) -> PairBootstrap:
        vectors, labels = self.subset
        first, second = np.triu_indices(len(labels), 1)
        scores = (vectors @ vectors.T)[first, second].astype(np.float64)
        a, b = labels[first], labels[second]
        return PairBootstrap(
            PairScores(scores, a == b, a, b), replicates=len(self.weights), seed=self.seed
        )

    def suspects(self, count: int | None = None) -> list[tuple[int, int, float]]:
        """(photo, photo, cosine) of the highest impostors: ``count`` of them, or all that reach the
        median of the genuine pairs, as two photos of one person under two names do."""
        top = self.top
        if count is None:
            count = int((top.cosines >= self.genuine_median).sum())
        rows = zip(top.first[:count], top.second[:count], top.cosines[:count], strict=True)
        return [(int(a), int(b), float(c)) for a, b, c in rows]

    @property
    def genuine_median(self) -> float:
        return float(np.median(self.genuine))

    @cached_property
    def _upper_end(self) -> float:
        """Upper end of the interval of the last measured threshold; −1 where none is measured."""
        if self.supported is None:
            return -1.0
        rows = self._measured_rows
        highs = -np.log([max(row["fmr_high"], 1e-12) for row in rows])
        return float(np.interp(-math.log(self.supported), highs, [row["cosine"] for row in rows]))

    def fmr_table(self, transfer: Transfer | None = None) -> list[dict[str, Any]]:
        """Measured rows in tenths of a decade down to what is supported, then those of ``transfer``
        or the tail."""
        if self.supported is None:
            return transfer.fmr_rows() if transfer else []
        rows = self._measured_rows
        last = rows[-1]
        if transfer is not None:
            above = max(last["cosine"], self._upper_end)
            return rows + transfer.fmr_rows(below=last["fmr"], above=above)
        return rows + self._tail_rows(last["cosine"], last["fmr"])

    @cached_property
    def _measured_rows(self) -> list[dict[str, Any]]:
        assert self.supported is not None
        decades = np.arange(0, -np.log10(self.supported), 0.1)
        rates = np.append(10.0**-decades, self.supported)
        cosines = np.maximum(
            [self.stats.threshold_at_fmr(r) if r < 1 else -1.0 for r in rates], -1.0
        )
        cosines = np.unique(cosines)
        values = self.stats.fmr(cosines)
        falls = np.append(True, np.diff(values) < 0) & (values > 0)
        cosines, values = cosines[falls], values[falls]
        rows = []
        for cosine, value, (low, high) in zip(
            cosines, values, self.fmr_intervals(cosines), strict=True
        ):
            rows.append(_fmr_row(cosine, value, min(low, value), max(high, value)))
        return rows

    def _tail_rows(self, cosine: float, fmr: float) -> list[dict[str, Any]]:
        if self.tail is None:
            return []
        rows: list[dict[str, Any]] = []
        lowest = round(-4 * np.log10(EXTRAPOLATE_TO))
        for quarter in range(1, lowest + 1):
            rate = 10.0 ** (-quarter / 4)
            if rate >= fmr * 0.9:
                continue
            found = float(self.tail.tail.cosine(rate))
            if found > 1 or found <= cosine + 1e-5:
                continue
            cosine = found
            low, high = self.tail.fmr_interval(found)
            rows.append(_fmr_row(found, rate, min(low, rate), max(high, rate), "extrapolated"))
        return rows

    def fmr_intervals(self, cosines: Array) -> list[tuple[float, float]]:
        """95 % intervals of FMR over people; exact where all pairs above are kept."""
        top = self.top
        kept_all = len(top.cosines) >= self.impostors
        inside = (cosines > top.cosines[-1]) | kept_all
        body = self._body.fmr(cosines) if not inside.all() else None
        counts = np.searchsorted(-top.cosines, -cosines, side="right")
        a, b = self.labels[top.first], self.labels[top.second]
        shares = np.empty((len(self.weights), len(cosines)))
        for row, (weights, total) in enumerate(zip(self.weights, self.totals, strict=True)):
            summed = np.append(0.0, np.cumsum(weights[a] * weights[b]))
            shares[row] = summed[counts] / total
        out = []
        for i, count in enumerate(counts):
            if not inside[i] and body is not None:
                low, high = np.nanpercentile(body[:, i], [2.5, 97.5])
            else:
                value = count / self.impostors
                factor = shrinkage(a[:count], b[:count], np.ones(count), self.exposure)
                ends = np.percentile(shares[:, i], [2.5, 97.5])
                low, high = value * (np.maximum(ends, 1e-15) / value) ** factor
                if ends[0] == 0:  # a handful of pairs: replicates without any say nothing
                    low = wilson(int(count), self.impostors)[0]
            out.append((float(low), float(min(high, 1.0))))
        return out

    def fnmr_table(self, cosines: Sequence[float]) -> list[dict[str, Any]]:
        """FNMR on an even grid and at the given cosines.

        Where few or no errors were seen the upper end is at least 3 over the people with genuine
        pairs (rule of 3), and only then narrower intervals of the bootstrap count.
        """
        grid = np.unique(np.round(np.concatenate([np.linspace(-0.2, 1, 121), cosines]), 6))
        ordered = np.sort(self.genuine)
        values = np.searchsorted(ordered, grid, side="left") / len(ordered)
        own = self.labels[self.first]
        size = self.weights.shape[1]
        drawn = np.maximum(self.weights @ np.bincount(own, minlength=size), 1)
        floor = min(1.0, RULE_OF_3 / len(np.unique(own)))
        bins = np.searchsorted(grid, self.genuine, side="right")
        cells = np.bincount(bins * size + own, minlength=(len(grid) + 1) * size)
        wrong = np.cumsum(self.weights @ cells.reshape(-1, size).T.astype(np.float64), axis=1)
        shares = wrong[:, : len(grid)] / drawn[:, None]
        low, high = np.percentile(shares, [2.5, 97.5], axis=0)
        return [
            {"cosine": c, "fnmr": f, "fnmr_low": min(lo, f), "fnmr_high": max(hi, f, floor)}
            for c, f, lo, hi in zip(grid, values, low, high, strict=True)
        ]

    def thresholds(
        self,
        fmr_table: Sequence[Mapping[str, Any]],
        fnmr_table: Sequence[Mapping[str, Any]],
        transfer: Transfer | None = None,
    ) -> list[dict[str, Any]]:
        """The rows that people read: threshold and FNMR at FMR 1e-1 … 1e-6."""
        cosines = np.array([row["cosine"] for row in fmr_table])
        grid = [row["cosine"] for row in fnmr_table]
        rows = []
        for rate in RATES:
            source, beyond = "measured", False
            if self.supported is not None and rate >= self.supported * (1 - 1e-9):
                cosine = self.stats.threshold_at_fmr(rate)
                low, high = (
                    float(np.interp(-np.log(rate), -np.log([max(r[k], 1e-12) for r in fmr_table]),
                                    cosines))
                    for k in ("fmr_low", "fmr_high")
                )  # fmt: skip
            elif transfer is not None:
                source, beyond = "combined", transfer.beyond(rate)
                rates = -np.log([row["fmr"] for row in fmr_table])
                cosine = float(np.interp(-math.log(rate), rates, cosines))
                low, high = transfer.at_rate(rate)[0], cosine
            elif self.tail is not None and (found := float(self.tail.tail.cosine(rate))) <= 1:
                source, beyond, cosine = "extrapolated", True, found
                low, high = self.tail.cosine_interval(rate)
            else:
                continue
            row = {
                "fmr": rate,
                "cosine": cosine,
                "cosine_low": max(min(low, cosine), -1.0),
                "cosine_high": min(max(high, cosine), 1.0),
                "source": source,
                "extrapolated": beyond,
            }
            for key in ("fnmr", "fnmr_low", "fnmr_high"):
                row[key] = float(np.interp(cosine, grid, [r[key] for r in fnmr_table]))
            rows.append(row)
        return rows


def suspects_of(measured: Measured, names: Sequence[str], count: int = 50) -> list[Suspect]:
    """The highest impostors with their photos' names, for ``review.write_review``."""
    return [Suspect(names[a], names[b], c) for a, b, c in measured.suspects(count)]


def _genuine(
    vectors: npt.NDArray[np.float32], labels: IndexArray
) -> tuple[Array, IndexArray, IndexArray]:
    """Cosines and photo rows of all pairs of one person."""
    order = np.argsort(labels, kind="stable")
    first, second = [], []
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        a, b = np.triu_indices(len(rows), 1)
        first.append(rows[a])
        second.append(rows[b])
    i, j = np.concatenate(first), np.concatenate(second)
    cosines = np.empty(len(i))
    for start in range(0, len(i), 65536):
        part = slice(start, start + 65536)
        cosines[part] = np.einsum("md,md->m", vectors[i[part]], vectors[j[part]])
    return cosines, i, j


def _impostor_pairs(pairs: Sequence[tuple[int, int]], labels: IndexArray) -> set[tuple[int, int]]:
    ordered = {(min(a, b), max(a, b)) for a, b in pairs}
    if any(not 0 <= a < b < len(labels) for a, b in ordered):
        raise InvalidArray(f"excluded pairs must be two of the {len(labels)} rows")
    return {(a, b) for a, b in ordered if labels[a] != labels[b]}


def _without(
    stats: AllPairs, pairs: set[tuple[int, int]], vectors: npt.NDArray[np.float32]
) -> AllPairs:
    """The statistics less these impostor pairs."""
    if not pairs:
        return stats
    counts = stats.impostor.counts.copy()
    rows = np.array(sorted(pairs))
    cosines = np.einsum("md,md->m", vectors[rows[:, 0]], vectors[rows[:, 1]])
    bins = np.rint((cosines - stats.impostor.centres[0]) * BINS_PER_UNIT).astype(int)
    np.subtract.at(counts, bins, 1)
    top = stats.highest_impostors
    keep = np.array(
        [
            (min(a, b), max(a, b)) not in pairs
            for a, b in zip(top.first.tolist(), top.second.tolist(), strict=True)
        ]
    )
    return AllPairs(
        stats.genuine,
        type(stats.impostor)(np.maximum(counts, 0)),
        TopPairs(top.cosines[keep], top.first[keep], top.second[keep]),
        stats.lowest_genuine,
        stats.people,
    )


def _highest(pairs: TopPairs, count: int) -> TopPairs:
    return TopPairs(pairs.cosines[:count], pairs.first[:count], pairs.second[:count])


def _fmr_row(
    cosine: float, fmr: float, low: float, high: float, source: Source = "measured"
) -> dict[str, Any]:
    return {
        "cosine": float(cosine),
        "fmr": float(fmr),
        "fmr_low": float(low),
        "fmr_high": float(high),
        "source": source,
        "extrapolated": source == "extrapolated",
    }

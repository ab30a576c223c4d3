"""Error rates by group at one threshold, on the user's own labels.

FMR of a group counts pairs of two people who are both of it: look-alikes are found there. Intervals
resample people; the ratio worst : best compares the groups that are large enough.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import DatasetInvalid, InvalidArray
from arcid.evaluate.bootstrap import identity_weights, interval
from arcid.evaluate.metrics import (
    RULE_OF_3,
    RULE_OF_30,
    Array,
    IndexArray,
    Mask,
    Rate,
    wilson,
)
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.tail import shrinkage
from arcid.types import FloatArray

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class GroupRates:
    """One group; ``warnings`` say why its rates should not be leant on."""

    group: str
    photos: int | None  # None where only scored pairs were handed in
    people: int
    fmr: Rate | None  # None without impostor pairs
    fnmr: Rate | None  # None without genuine pairs
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "photos": self.photos,
            "people": self.people,
            "fmr": None if self.fmr is None else self.fmr.to_dict(),
            "fnmr": None if self.fnmr is None else self.fnmr.to_dict(),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Ratio:
    """Worst group over best, of those that are large enough."""

    rate: str  # fmr or fnmr
    worst: str
    best: str
    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "worst": self.worst,
            "best": self.best,
            "ratio": self.value,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True, slots=True)
class FairnessResult:
    """Rates of all groups at one threshold, largest FMR first."""

    threshold: float
    groups: tuple[GroupRates, ...]
    ratios: tuple[Ratio, ...]
    unlabelled: int  # photos or pairs without a group
    set_aside: int  # pairs taken for one person, though not labelled so

    def to_dict(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "groups": [g.to_dict() for g in self.groups],
            "ratios": [r.to_dict() for r in self.ratios],
            "unlabelled": self.unlabelled,
            "set_aside": self.set_aside,
        }

    def describe(self) -> list[str]:
        """One sentence for each ratio and each warning."""
        lines = [
            f"{r.rate.upper()} is {r.value:.1f} times as high for {r.worst} as for {r.best} "
            f"(95 % interval {r.low:.1f} to {r.high:.1f})"
            for r in self.ratios
        ]
        return lines + [f"{g.group}: {w}" for g in self.groups for w in g.warnings]


def read_groups(path: Path, column: str = "group") -> dict[str, str]:
    """Photo → group from a CSV with the columns ``photo`` and ``column``.

    Raises ``DatasetInvalid`` that names the line: a missing column or value, a photo named twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = sorted({"photo", column} - set(reader.fieldnames or ()))
            if missing:
                raise DatasetInvalid(
                    f"{path.name} line 1: no column {', '.join(missing)}; it has "
                    f"{', '.join(reader.fieldnames or ()) or 'none'}"
                )
            found: dict[str, str] = {}
            for row in reader:
                photo, group = (row["photo"] or "").strip(), (row[column] or "").strip()
                if not photo or not group:
                    raise DatasetInvalid(f"{path.name} line {reader.line_num}: a value is missing")
                if photo in found:
                    raise DatasetInvalid(
                        f"{path.name} line {reader.line_num}: {photo!r} is there twice"
                    )
                found[photo] = group
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path.name} cannot be read as CSV: {error}") from None
    if not found:
        raise DatasetInvalid(f"{path.name} labels no photo")
    return found


def labels_for(
    names: Sequence[str], labels: Mapping[str, str] | Callable[[str], str | None]
) -> list[str | None]:
    """The group of each photo, by name; None where it has no label."""
    look_up = labels.get if isinstance(labels, Mapping) else labels
    found = [look_up(name) for name in names]
    if not any(g is not None for g in found):
        raise DatasetInvalid("no photo has a group label; photo names must be those of the data")
    return found


def fairness(
    vectors: FloatArray,
    groups: Sequence[str | None],
    threshold: float,
    *,
    people: npt.ArrayLike | None = None,
    failed: Mask | None = None,
    same_person_above: float | None = None,
    replicates: int = 300,
    seed: int = 0,
) -> FairnessResult:
    """(N,D) unit-norm vectors, the group of each photo, and the product's threshold.

    ``people``: (N,) identities; without them every photo is taken for another person's and FNMR is
    not measured. ``failed``: (N,) photos without an embedding: their genuine pairs are false
    non-matches, they can match nobody falsely. ``same_person_above`` sets pairs at or above that
    cosine aside as the same person, where there are no identities; the count is reported.
    """
    if len(groups) != len(vectors):
        raise InvalidArray(f"{len(vectors)} photos but {len(groups)} groups")
    named = people is not None
    ids = np.unique(np.arange(len(vectors)) if people is None else people, return_inverse=True)[1]
    lost = np.zeros(len(vectors), bool) if failed is None else np.asarray(failed, bool)
    measured: dict[str, _Counts] = {}
    set_aside = 0
    for name in sorted({g for g in groups if g is not None}):
        rows = np.array([g == name for g in groups])
        good = np.flatnonzero(rows & ~lost)
        accepted = _accepted(vectors[good], ids[good], threshold, same_person_above)
        set_aside += accepted.set_aside
        genuine = _genuine(vectors, ids, np.flatnonzero(rows), lost) if named else None
        measured[name] = _Counts(
            photos=np.bincount(ids[good], minlength=int(ids.max()) + 1),
            first=ids[good][accepted.first],
            second=ids[good][accepted.second],
            dropped=accepted.set_aside,
            genuine=genuine,
            total_photos=int(rows.sum()),
        )
    weights = identity_weights(int(ids.max()) + 1, replicates, seed)
    return _result(measured, threshold, weights, sum(g is None for g in groups), set_aside)


def fairness_of_scores(
    pairs: PairScores,
    groups: Sequence[str | None],
    threshold: float,
    *,
    replicates: int = 300,
    seed: int = 0,
) -> FairnessResult:
    """As ``fairness`` for scored pairs; ``groups`` gives each pair's, None where its photos differ
    or have none."""
    if len(groups) != len(pairs):
        raise InvalidArray(f"{len(pairs)} pairs but {len(groups)} groups")
    weights = identity_weights(pairs.people, replicates, seed)
    measured: dict[str, _Counts] = {}
    for name in sorted({g for g in groups if g is not None}):
        rows = np.array([g == name for g in groups])
        other, own = rows & ~pairs.same, rows & pairs.same
        hits = other & (pairs.scores >= threshold)
        measured[name] = _Counts(
            photos=None,
            first=pairs.first[hits],
            second=pairs.second[hits],
            dropped=0,
            genuine=(pairs.scores[own], pairs.first[own]),
            pairs=(pairs.first[other], pairs.second[other]),
            total_photos=None,
        )
    return _result(measured, threshold, weights, sum(g is None for g in groups), 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    photos: IndexArray | None  # (P,) of each person in the group
    first: IndexArray  # people of the accepted impostor pairs
    second: IndexArray
    dropped: int
    genuine: tuple[Array, IndexArray] | None  # scores and people of the genuine pairs
    total_photos: int | None
    pairs: tuple[IndexArray, IndexArray] | None = None  # all impostor pairs, where listed

    def trials(self, weights: Array) -> Array:
        """(B,) weight of all impostor pairs."""
        if self.photos is None:
            return _products(weights, *(self.pairs or (self.first, self.second)))
        n = self.photos
        return np.asarray(((weights @ n) ** 2 - weights**2 @ (n**2)) / 2 - self.dropped, np.float64)

    def exposure(self, size: int) -> Array:
        """(P,) impostor pairs of each person."""
        if self.photos is None:
            listed = np.concatenate(self.pairs or (self.first, self.second))
            return np.bincount(listed, minlength=size).astype(np.float64)
        others = self.photos.sum() - self.photos
        return np.asarray(self.photos * others, np.float64)

    def people(self) -> int:
        if self.photos is not None:
            return int((self.photos > 0).sum())
        listed = list(self.pairs or ())
        if self.genuine is not None:
            listed.append(self.genuine[1])
        return len(np.unique(np.concatenate(listed))) if listed else 0


@dataclass(frozen=True, slots=True, eq=False)
class _Accepted:
    first: IndexArray
    second: IndexArray
    set_aside: int


def _accepted(
    vectors: FloatArray, ids: IndexArray, threshold: float, same_above: float | None
) -> _Accepted:
    first: list[IndexArray] = []
    second: list[IndexArray] = []
    aside = 0
    for start in range(0, len(vectors), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(vectors)))
        scores = vectors[rows] @ vectors[start:].T
        a, b = np.nonzero(scores >= threshold)
        keep = (b > a) & (ids[rows[a]] != ids[start + b])
        a, b = a[keep], b[keep]
        if same_above is not None:
            same = scores[a, b] >= same_above
            aside += int(same.sum())
            a, b = a[~same], b[~same]
        first.append(rows[a])
        second.append(start + b)
    empty = np.zeros(0, np.int64)
    return _Accepted(np.concatenate([*first, empty]), np.concatenate([*second, empty]), aside)


def _genuine(
    vectors: FloatArray, ids: IndexArray, rows: IndexArray, lost: Mask
) -> tuple[Array, IndexArray]:
    scores: list[Array] = []
    owners: list[IndexArray] = []
    order = rows[np.argsort(ids[rows], kind="stable")]
    for own in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        a, b = np.triu_indices(len(own), 1)
        if not len(a):
            continue
        found = (vectors[own] @ vectors[own].T)[a, b].astype(np.float64)
        found[lost[own[a]] | lost[own[b]]] = -np.inf
        scores.append(found)
        owners.append(np.full(len(a), ids[own[0]]))
    if not scores:
        return np.zeros(0), np.zeros(0, np.int64)
    return np.concatenate(scores), np.concatenate(owners)


def _result(
    measured: Mapping[str, _Counts],
    threshold: float,
    weights: Array,
    unlabelled: int,
    set_aside: int,
) -> FairnessResult:
    if not measured:
        raise DatasetInvalid("no group has a photo; label at least two groups")
    size = weights.shape[1]
    once = np.ones((1, size))
    drawn: dict[str, dict[str, tuple[Rate, Array]]] = {"fmr": {}, "fnmr": {}}
    for name, counts in measured.items():
        trials = round(float(counts.trials(once)[0]))
        if trials > 0:
            hits = len(counts.first)
            samples = _products(weights, counts.first, counts.second)
            totals = counts.trials(weights)
            shares = np.divide(
                samples, totals, out=np.full(len(totals), math.nan), where=totals > 0
            )
            factor = shrinkage(counts.first, counts.second, np.ones(hits), counts.exposure(size))
            drawn["fmr"][name] = _rate(hits, trials, _shrunk(shares, hits / trials, factor))
        if counts.genuine is not None and len(counts.genuine[0]):
            scores, owners = counts.genuine
            wrong = scores < threshold
            totals = weights @ np.bincount(owners, minlength=size)
            errors = weights @ np.bincount(owners[wrong], minlength=size)
            shares = np.divide(errors, totals, out=np.full(len(totals), math.nan), where=totals > 0)
            drawn["fnmr"][name] = _rate(int(wrong.sum()), len(scores), shares)
    warnings = {
        name: _warnings(measured[name], name, {kind: drawn[kind] for kind in drawn})
        for name in measured
    }
    groups = tuple(
        GroupRates(
            name,
            counts.total_photos,
            counts.people(),
            drawn["fmr"][name][0] if name in drawn["fmr"] else None,
            drawn["fnmr"][name][0] if name in drawn["fnmr"] else None,
            tuple(text for _, text in warnings[name]),
        )
        for name, counts in measured.items()
    )
    ratios = []
    for kind, found in drawn.items():
        large = {n: v for n, v in found.items() if kind not in {k for k, _ in warnings[n]}}
        if (ratio := _ratio(kind, large)) is not None:
            ratios.append(ratio)
    ordered = sorted(groups, key=lambda g: -(g.fmr.value if g.fmr else 0.0))
    return FairnessResult(threshold, tuple(ordered), tuple(ratios), unlabelled, set_aside)


def _rate(count: int, trials: int, samples: Array) -> tuple[Rate, Array]:
    value = count / trials
    low, high = interval(samples)
    if count == 0:
        low, high = 0.0, min(1.0, RULE_OF_3 / trials)
    elif count == trials or not math.isfinite(low):
        low, high = wilson(count, trials)
    elif low == 0:  # a handful of errors: replicates without any say nothing
        low = wilson(count, trials)[0]
    return Rate(value, min(low, value), max(high, value), count, trials), samples


def _shrunk(samples: Array, value: float, factor: float) -> Array:
    """Narrowed about the estimate on the log scale, so that rates stay above zero."""
    if value <= 0:
        return samples
    return np.asarray(value * (samples / value) ** factor, np.float64)


def _warnings(
    counts: _Counts, name: str, drawn: Mapping[str, Mapping[str, tuple[Rate, Array]]]
) -> list[tuple[str, str]]:
    """(rate, sentence) where thirty errors would not be expected at the rate of all groups, and
    where none was seen though they would."""
    found: list[tuple[str, str]] = []
    for kind, rates in drawn.items():
        if name not in rates:
            continue
        every = [r for r, _ in rates.values()]
        overall = sum(r.count for r in every) / sum(r.trials for r in every)
        expected = overall * rates[name][0].trials
        if counts.people() < RULE_OF_30:
            text = f"{counts.people()} people are too few to state an {kind.upper()}"
        elif expected < RULE_OF_30:
            text = (
                f"{rates[name][0].trials:,} pairs are too few to state an {kind.upper()}: "
                f"{expected:.1f} errors are expected at the rate of all groups, {RULE_OF_30} needed"
            )
        elif rates[name][0].count == 0:
            text = (
                f"no error was seen in {rates[name][0].trials:,} pairs; a ratio of its "
                f"{kind.upper()} has no upper end and is left out"
            )
        else:
            continue
        found.append((kind, text))
    return found


def _ratio(kind: str, found: Mapping[str, tuple[Rate, Array]]) -> Ratio | None:
    if len(found) < 2:
        return None
    worst = max(found, key=lambda n: found[n][0].value)
    best = min(found, key=lambda n: found[n][0].value)
    value = found[worst][0].value / found[best][0].value
    rate, samples = found[best]  # a replicate without any of a handful of errors says nothing
    low, high = interval(found[worst][1] / np.where(samples == 0, rate.low, samples))
    return Ratio(kind, worst, best, value, min(low, value), max(high, value))


def _products(weights: Array, first: IndexArray, second: IndexArray) -> Array:
    return np.array([float(row[first] @ row[second]) for row in weights])

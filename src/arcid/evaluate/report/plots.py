"""The plots of a report, from scores: each a ``Figure`` with its numbers in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arcid.evaluate import metrics
from arcid.evaluate.bootstrap import PairBootstrap, interval
from arcid.evaluate.metrics import Array, Rate, Roc
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.protocols.all_pairs import Histogram
from arcid.evaluate.report.document import Figure, Table, number, rate, share
from arcid.evaluate.report.svg import Plot, Role, count_tick, linear, logarithmic, probit

Marks = Sequence[tuple[float, str]]  # (cosine, label)
BAND_PAIRS = 200_000  # beyond this many pairs intervals of whole curves cost too long
MARKED_RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True, eq=False)
class Counted:
    """Scores as counts between edges: what a histogram plot needs of either kind."""

    edges: Array  # (K+1,)
    counts: Array  # (K,)

    @classmethod
    def of(cls, scores: npt.ArrayLike, edges: Array) -> Counted:
        finite = np.asarray(scores, np.float64)
        finite = finite[np.isfinite(finite)]
        return cls(edges, np.histogram(finite, edges)[0].astype(np.float64))

    @classmethod
    def of_histogram(cls, histogram: Histogram, edges: Array) -> Counted:
        counts, _ = np.histogram(histogram.centres, edges, weights=histogram.counts)
        return cls(edges, counts.astype(np.float64))

    @property
    def shares(self) -> Array:
        return np.asarray(self.counts / max(self.counts.sum(), 1), np.float64)


def edges_for(*scores: npt.ArrayLike, bins: int | None = None) -> Array:
    """Common bins from the lowest to the highest finite score; as many as the fewest can fill."""
    if bins is None:
        fewest = min(np.isfinite(np.asarray(s, np.float64)).sum() for s in scores)
        bins = int(np.clip(4 * np.sqrt(fewest), 16, 60))
    both = np.concatenate([np.asarray(s, np.float64).ravel() for s in scores])
    both = both[np.isfinite(both)]
    if not len(both):
        return np.linspace(-1, 1, bins + 1)
    low, high = float(both.min()), float(both.max())
    pad = max((high - low) * 0.02, 1e-3)
    return np.linspace(low - pad, high + pad, bins + 1)


def score_histogram(
    mated: Counted,
    other: Counted,
    marks: Marks = (),
    *,
    names: tuple[str, str] = ("one person", "two people"),
    title: str = "Scores",
    label: str = "cosine",
    caption: str = "",
) -> Figure:
    """Both kinds of scores, each as shares of its own kind, with thresholds."""
    top = max(mated.shares.max(initial=0), other.shares.max(initial=0), 1e-9)
    plot = Plot(
        title,
        f"Distribution of scores of {names[0]} and of {names[1]}, with thresholds",
        linear(label, float(mated.edges[0]), float(mated.edges[-1])),
        linear("share of its kind", 0, top * 1.12, share=True),
    )
    plot.area(other.edges, other.shares, "impostor", names[1])
    plot.area(mated.edges, mated.shares, "genuine", names[0])
    for at, text in marks:
        plot.vertical(at, text)
    centres = (mated.edges[:-1] + mated.edges[1:]) / 2
    step = max(1, len(centres) // 15)
    rows = [
        (
            f"{mated.edges[i]:.3f} – {mated.edges[min(i + step, len(centres))]:.3f}",
            f"{int(mated.counts[i : i + step].sum()):,}",
            f"{int(other.counts[i : i + step].sum()):,}",
        )
        for i in range(0, len(centres), step)
    ]
    words = caption or (
        "How far the two kinds lie apart. Dashed: thresholds at the false match rate beside them."
    )
    return Figure(title, plot.svg(), words, Table(title, (label, *names), rows))


def error_rates(pairs: PairScores, marks: Marks = (), boot: PairBootstrap | None = None) -> Figure:
    """FMR and FNMR by threshold, log scale, with the intervals over people."""
    floor = 0.5 / max(int((~pairs.same).sum()), int(pairs.same.sum()), 1)
    finite = pairs.scores[np.isfinite(pairs.scores)]
    grid = np.linspace(finite.min(), finite.max(), 121)
    fmr, fnmr = metrics.fmr(pairs.impostor, grid), metrics.fnmr(pairs.genuine, grid)
    plot = Plot(
        "Error rates by threshold",
        "False match rate falls and false non-match rate rises with the threshold",
        linear("threshold (cosine)", float(grid[0]), float(grid[-1])),
        logarithmic("error rate", max(floor, 1e-8), 1.0),
    )
    for name, values, samples, role in (
        ("FMR", fmr, boot.fmr(grid) if boot else None, "impostor"),
        ("FNMR", fnmr, boot.fnmr(grid) if boot else None, "genuine"),
    ):
        kind: Role = "impostor" if role == "impostor" else "genuine"
        seen = np.where(values > 0, values, np.nan)
        if samples is not None:
            bounds = np.array([interval(samples[:, i]) for i in range(len(grid))])
            low = np.where(values > 0, bounds[:, 0], np.nan)
            plot.band(grid, low, np.maximum(bounds[:, 1], seen), kind)
        plot.line(grid, seen, kind, name)
    for at, text in marks:
        plot.vertical(at, text)
    rows = [
        (number(float(grid[i])), share(float(fmr[i])), share(float(fnmr[i])))
        for i in range(0, len(grid), 8)
    ]
    return Figure(
        "Error rates by threshold",
        plot.svg(),
        "Choose the threshold by the error you can bear. Shaded: 95 % intervals that resample "
        "people. A line ends where no error is left to be seen.",
        Table("Error rates", ("threshold", "FMR", "FNMR"), rows),
    )


def det(curve: Roc, eer: float, impostors: int, genuine: int) -> Figure:
    """Detection error trade-off on normal-deviate axes."""
    low = max(1e-7, 0.5 / max(impostors, 1))
    low_y = max(1e-7, 0.5 / max(genuine, 1))
    top = 0.5 if eer < 0.2 and max(low, low_y) < 0.5 else 0.95  # one pair of a kind reaches 0.5
    thin = curve.thinned()
    plot = Plot(
        "DET",
        f"False non-match rate over false match rate; equal at {share(eer)}",
        probit("false match rate", low, top),
        probit("false non-match rate", low_y, top),
    )
    plot.diagonal()
    inside = (thin.fmr > 0) & (thin.fmr <= top) & (thin.fnmr <= top)
    x, y = thin.fmr[inside], np.maximum(thin.fnmr[inside], low_y)
    plot.line(x, y, "neutral", step=True)
    if shown := max(low, low_y) < eer < top:
        plot.point(eer, eer, "third", note=f"equal error rate {share(eer)}")
    return Figure(
        "Detection error trade-off",
        plot.svg(),
        "Nearer the lower left corner is better. Both axes are scaled as normal deviates. "
        + (
            f"Dot: the equal error rate, {share(eer)}." if shown else f"Equal errors: {share(eer)}."
        ),
        _curve_table(curve),
    )


def roc(curve: Roc, impostors: int, points: Sequence[tuple[float, Rate]] = ()) -> Figure:
    """TAR over FMR on a log axis, stated operating points with their whiskers."""
    low = 10.0 ** np.floor(np.log10(max(1e-7, 1 / max(impostors, 1))))
    thin = curve.thinned()
    inside = thin.fmr >= low
    floor = float(min(thin.tar[inside].min(initial=1.0), *(r.low for _, r in points), 1.0))
    floor = max(0.0, floor - 0.15 * (1 - floor) - 0.005)
    plot = Plot(
        "ROC",
        "True accept rate over false match rate on a logarithmic axis",
        logarithmic("false match rate", float(low), 1.0),
        linear("true accept rate", floor, 1.0, share=True),
    )
    plot.line(thin.fmr[inside], thin.tar[inside], "neutral", step=True)
    for target, found in points:
        value, between, counts = rate(found)
        note = f"TAR {value} at FMR {target:g} ({between}; {counts})"
        plot.point(target, found.value, "third", low=found.low, high=found.high, note=note)
    return Figure(
        "True accepts at low false match rates",
        plot.svg(),
        "Share of true pairs accepted while strangers are accepted at the rate below. Whiskers: "
        "95 % intervals at rates the data supports.",
        _curve_table(curve),
    )


def _curve_table(curve: Roc) -> Table:
    rows = []
    for target in MARKED_RATES:
        inside = np.flatnonzero(curve.fmr <= target)
        if len(inside) and curve.fmr[inside[-1]] > 0:
            i = inside[-1]
            rows.append((f"{target:g}", share(float(curve.tar[i])), share(float(curve.fnmr[i]))))
    return Table("Operating points of the curve", ("FMR at most", "TAR", "FNMR"), rows)


def cmc(curves: Mapping[str, Array], people: int) -> Figure:
    """Share of probes found among the first k candidates."""
    longest = max(len(c) for c in curves.values())
    floor = min(float(c[0]) for c in curves.values())
    floor = max(0.0, min(floor - 0.25 * (1 - floor), 0.9))
    plot = Plot(
        "CMC",
        f"Share of probes whose person is among the first k of {people} people",
        linear("rank k", 1, max(longest, 2)),
        linear("found", floor, 1.0, share=True),
    )
    roles: tuple[Role, ...] = ("genuine", "impostor", "third", "fourth")
    for (name, values), role in zip(curves.items(), roles, strict=False):
        ranks = np.arange(1, len(values) + 1)
        plot.line(ranks, values, role, name if len(curves) > 1 else "")
        for k, value in zip(ranks, values, strict=True):
            plot.point(float(k), float(value), role, note=f"rank {k}: {share(float(value))}")
    rows = [
        (str(k), *(share(float(c[k - 1])) if k <= len(c) else "" for c in curves.values()))
        for k in range(1, longest + 1)
    ]
    return Figure(
        "Found by rank",
        plot.svg(),
        "Share of probes whose own person is among the first k candidates.",
        Table("CMC", ("rank", *curves), rows),
    )


def by_gallery_size(
    title: str,
    caption: str,
    series: Mapping[str, Sequence[tuple[int, float, float, float]]],
    label: str,
    *,
    log_y: bool = True,
    size_label: str = "people enrolled",
) -> Figure:
    """(size, value, low, high) over gallery size, a line for every series."""
    points = [p for s in series.values() for p in s]
    sizes = [p[0] for p in points]
    seen = [v for p in points for v in p[1:] if v > 0]
    low, high = min(seen, default=1e-3), max(seen, default=1.0)
    y = (
        logarithmic(label, max(low / 1.5, 1e-7), min(1.0, high * 1.5))
        if log_y
        else linear(label, max(0.0, low - 0.2 * (1 - low)), 1.0, share=True)
    )
    x = logarithmic(size_label, min(sizes) / 1.15, max(sizes) * 1.15, rate=False)
    if len(x.ticks) < 2:
        shown = dict.fromkeys(sorted(sizes))
        ticks = tuple((float(s), count_tick(s)) for s in shown)
        x = type(x)(x.label, x.low, x.high, "log", ticks)
    if len(y.ticks) < 2 and log_y:
        y = linear(label, 0.0, min(1.0, high * 1.1), share=True)
    plot = Plot(title, caption, x, y)
    roles: tuple[Role, ...] = ("impostor", "genuine", "third", "fourth")
    rows = []
    for (name, found), role in zip(series.items(), roles, strict=False):
        table = np.array(found, np.float64)
        plot.band(table[:, 0], np.maximum(table[:, 2], y.low), table[:, 3], role)
        plot.line(table[:, 0], table[:, 1], role, name)
        for size, value, lo, hi in found:
            plot.point(size, value, role, note=f"{size:,}: {share(value)}")
            rows.append((name, f"{size:,}", share(value), f"{share(lo)} – {share(hi)}"))
    columns = ("", size_label, label, "95 % interval")
    return Figure(title, plot.svg(), caption, Table(title, columns, rows))


def discard(curves: Mapping[str, metrics.DiscardCurve], threshold: float) -> Figure:
    """FNMR of what is kept as the pairs of lowest quality are left out."""
    top = max(float(np.nanmax(c.fnmr)) for c in curves.values())
    last = max(float(c.discarded[-1]) for c in curves.values())
    plot = Plot(
        "Error versus discard",
        "False non-match rate as photos of low quality are left out, by kind of quality",
        linear("share of pairs left out", 0, last, share=True),
        linear("FNMR of the rest", 0, max(top * 1.1, 1e-6), share=True),
    )
    roles: tuple[Role, ...] = ("genuine", "impostor", "third", "fourth")
    for (name, curve), role in zip(curves.items(), roles, strict=False):
        plot.line(curve.discarded, curve.fnmr, role, name, step=True)
    some = next(iter(curves.values()))
    rows = [
        (share(float(some.discarded[i])), *(share(float(c.fnmr[i])) for c in curves.values()))
        for i in range(0, len(some.discarded), 5)
    ]
    return Figure(
        "Does quality foretell errors?",
        plot.svg(),
        f"FNMR at cosine {threshold:.3f} as the pairs with the worst photo are left out. A kind of "
        "quality whose line falls fast is a good reason to refuse a photo.",
        Table("Error versus discard", ("left out", *curves), rows),
    )


def folds(accuracies: Array) -> Figure:
    """Accuracy of each fold."""
    low = float(accuracies.min())
    floor = max(0.0, low - 0.3 * (1 - low) - 0.005)
    plot = Plot(
        "Accuracy of each fold",
        "Share of right decisions in each fold, its threshold chosen on the others",
        linear("fold", 0.5, len(accuracies) + 0.5),
        linear("accuracy", floor, 1.0, share=True),
    )
    mean = float(accuracies.mean())
    plot.line(
        [0.5, len(accuracies) + 0.5], [mean, mean], "neutral", f"mean {share(mean)}", dashed=True
    )
    for i, value in enumerate(accuracies, start=1):
        plot.point(i, float(value), "genuine", note=f"fold {i}: {share(float(value))}")
    rows = [(str(i), share(float(v))) for i, v in enumerate(accuracies, start=1)]
    return Figure(
        "Accuracy of each fold",
        plot.svg(),
        "Each fold is decided by the threshold that was best on the other folds.",
        Table("Folds", ("fold", "accuracy"), rows),
    )

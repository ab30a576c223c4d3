"""From the result of each protocol to the report that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arcid.evaluate import metrics, protocols
from arcid.evaluate.bootstrap import OperatingPoint, PairBootstrap, PairScores
from arcid.evaluate.metrics import Array
from arcid.evaluate.readers import PairList
from arcid.evaluate.report import identification, plots
from arcid.evaluate.report.document import (
    Card,
    Document,
    Figure,
    Gallery,
    PicturePair,
    Table,
    cosine,
    interval,
    number,
    rate,
    rate_card,
    share,
)
from arcid.evaluate.sources import EmbeddingSet

PICTURES = 12  # pairs of pictures of a kind
REPLICATES = 200  # for the bands of curves


@dataclass(frozen=True, eq=False)
class Qualities:
    """What was measured on each photo; NaN where nothing could be.

    ``values`` (N,K) follow ``measures``: higher is better in every column.
    """

    photos: tuple[str, ...]
    measures: tuple[str, ...]
    values: Array


@dataclass(frozen=True, eq=False)
class Extras:
    """What a report shows beside the result itself."""

    marks: plots.Marks = ()  # thresholds in force, with a short label
    qualities: Qualities | None = None
    embeddings: EmbeddingSet | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


def document(result: Any, extras: Extras | None = None) -> Document:
    """The report of any protocol's result, fairness report or comparison."""
    found = extras or Extras()
    for kind, write in WRITERS.items():
        if isinstance(result, kind):
            return write(result, found)
    raise TypeError(f"no report is known for {type(result).__name__}")


# --- verification ----------------------------------------------------------------------------


def _verification(result: protocols.VerificationResult, extras: Extras) -> Document:
    pairs, points = result.pairs, result.points
    boot = _boot(pairs)
    threshold = float(result.folds.thresholds.mean())
    marks = [*extras.marks, (threshold, "best accuracy"), *_marks(points)]
    curve = metrics.roc(pairs.genuine, pairs.impostor)
    figures = [
        _histogram(pairs, marks),
        plots.error_rates(pairs, [*extras.marks, *_marks(points)], boot),
        plots.det(curve, result.eer.value, len(pairs.impostor), len(pairs.genuine)),
        plots.roc(curve, len(pairs.impostor), [(p.target_fmr, p.tar) for p in points]),
    ]
    if len(result.folds.accuracies) > 1:
        figures.append(plots.folds(result.folds.accuracies))
    figures += _discard(result.pair_list, pairs, points, extras)
    where = (
        f"each fold at the threshold that was best on the other {len(result.folds.thresholds) - 1}"
        if result.fixed_threshold is None
        else f"at cosine {result.fixed_threshold:.3f}, chosen on other pairs"
    )
    strictest = points[-1] if points else None
    cards = [
        rate_card("Accuracy", result.accuracy),
        rate_card("Equal error rate", result.eer),
    ]
    if strictest is not None:
        cards.append(rate_card(f"TAR at FMR {strictest.target_fmr:g}", strictest.tar))
    return Document(
        title=f"Verification on {result.name}",
        lede=f"{len(pairs):,} pairs of photos, {int(pairs.same.sum()):,} of one person. "
        f"{share(result.accuracy.value)} were decided rightly, {where}.",
        cards=[*cards, _failed_card(result.photos)],
        figures=figures,
        tables=[
            _points_table(points, len(pairs.impostor)),
            Table(
                "In short",
                ("", "value", "95 % interval", "counts"),
                [
                    ("accuracy", *rate(result.accuracy)),
                    ("equal error rate", *rate(result.eer)),
                    ("area under the ROC", number(result.auc, 5), "", ""),
                    ("d′", number(result.d_prime, 2), "", ""),
                    ("accuracy, in-sample threshold", share(result.in_sample_accuracy), "", ""),
                    ("deviation over folds", share(result.folds.std), "", ""),
                    ("mean threshold (cosine)", number(threshold), "", ""),
                ],
            ),
        ],
        galleries=_pair_galleries(result.pair_list, pairs),
        warnings=_pair_warnings(pairs),
        facts=extras.facts,
    )


def _pair_list(result: protocols.PairListResult, extras: Extras) -> Document:
    pairs = result.pairs
    mine = result.distances["cosine"]
    genuine, impostor = metrics.split_scores(pairs.scores, pairs.same)
    curve = metrics.roc(genuine, impostor)
    points = metrics_points(pairs)
    data = result.to_dict()
    rows: list[tuple[str, ...]] = []
    for name, one in data["distances"].items():
        for how, label in (
            ("in_sample", "in-sample"),
            ("leave_identity_out", "identity left out"),
        ):
            found = one[how]
            rows.append(
                (
                    f"{name}, {label}",
                    number(one["threshold"]),
                    *(number(found[k], 3) for k in ("precision", "recall", "f1", "accuracy")),
                    interval(*found["accuracy_interval"]),
                    str(len(pairs)),
                )
            )
        if name in data["published"]:
            known = data["published"][name]
            figures = (number(known[k], 2) for k in ("precision", "recall", "f1", "accuracy"))
            rows.append((f"{name}, published", "", *figures, "", str(known["pairs"])))
    threshold = 1 - mine.stump.threshold
    eer, _ = metrics.eer(genuine, impostor)
    right = mine.in_sample.tp + mine.in_sample.tn
    left = mine.left_out.tp + mine.left_out.tn
    return Document(
        title=f"Pair list {result.name}",
        lede=f"{len(pairs):,} pairs, {int(pairs.same.sum()):,} of one person. The threshold is the "
        "split with the most information, on the same pairs as in published tables, and again "
        "without any pair of the people it decides.",
        cards=[
            Card("Accuracy, in-sample", share(mine.in_sample.accuracy), f"{right} of {len(pairs)}"),
            Card("Accuracy, identity left out", share(mine.left_out.accuracy), f"{left} of {len(pairs)}"),
            Card("F1, in-sample", number(mine.in_sample.f1, 3)),
            _failed_card(result.photos),
        ],
        figures=[
            _histogram(pairs, [*extras.marks, (threshold, "best split")]),
            plots.error_rates(pairs, [*extras.marks, (threshold, "best split")], _boot(pairs)),
            plots.det(curve, eer, len(impostor), len(genuine)),
            plots.roc(curve, len(impostor), [(p.target_fmr, p.tar) for p in points]),
            *_discard(result.pair_list, pairs, points, extras),
        ],
        tables=[
            Table(
                "Ours and the published table",
                (
                    *("distance", "threshold", "precision", "recall", "F1", "accuracy"),
                    *("95 % interval", "pairs"),
                ),
                rows,
                "Intervals of this table are Wilson's over pairs. Embeddings are unit norm, so both "
                "Euclidean distances order pairs as the cosine does.",
            ),
            _points_table(points, len(impostor)),
        ],
        galleries=_pair_galleries(result.pair_list, pairs),
        warnings=_pair_warnings(pairs),
        facts=extras.facts,
    )


def metrics_points(pairs: PairScores) -> list[OperatingPoint]:
    """TAR at the rates that the impostors support."""
    from arcid.evaluate.bootstrap import operating_points

    return operating_points(PairBootstrap(pairs, REPLICATES), plots.MARKED_RATES)


# --- identification --------------------------------------------------------------------------


def _gallery(result: protocols.GalleryResult, extras: Extras) -> Document:
    searches = result.searches
    strangers = len(searches.nonmated_scores) > 0
    other = searches.nonmated_scores if strangers else searches.mated_best_other
    edges = plots.edges_for(searches.mated_scores, other)
    points = [p for p in result.points if p.rank == 1]
    marks = [*extras.marks, *((p.threshold, f"FPIR {p.target_fpir:g}") for p in points)]
    figures = [
        plots.cmc({"found": result.cmc}, searches.gallery_people),
        plots.score_histogram(
            plots.Counted.of(searches.mated_scores, edges),
            plots.Counted.of(other, edges),
            marks,
            names=("own person", "best stranger" if not strangers else "stranger's best"),
            title="Scores of searches",
            caption="Score of each probe's own person, and the best score "
            + ("of people who are not enrolled." if strangers else "of anybody else."),
        ),
    ]
    if extras.embeddings is not None:
        figures += identification.fpir_figure(result, extras.embeddings, marks)
    tops = [(f"Top-{k}", *rate(r)) for k, r in result.top.items()]
    tables = [Table("Found among the first k", ("", "share", "95 % interval", "counts"), tops)]
    if points:
        tables.append(
            Table(
                "With people who are not enrolled",
                ("FPIR at most", "threshold", "found (DIR)", "95 % interval", "counts", "FNIR"),
                [
                    (f"{p.target_fpir:g}", number(p.threshold), *rate(p.dir), share(p.fnir.value))
                    for p in points
                ],
                "FPIR: share of searches by people not enrolled that name somebody.",
            )
        )
    data = result.to_dict()
    reads = data["failed_reads"]
    tables.append(
        Table(
            "Failed reads",
            ("", "failed", "of"),
            [
                ("photos to enrol", str(reads["enrolled"]), str(data["enrolled_photos"])),
                ("probes", str(reads["probes"]), str(data["probes"])),
                ("photos of strangers", str(reads["strangers"]), str(data["strangers"])),
            ],
            f"{data['failed_reads_rule'].capitalize()}.",
        )
    )
    warnings = [] if strangers else ["Nobody outside the gallery was searched: how often a stranger "
                                     "is named (FPIR) is not measured. Add --strangers."]  # fmt: skip
    if len(set(result.mated_people)) < 30:
        warnings.append(f"Only {len(set(result.mated_people))} people: the intervals are wide.")
    return Document(
        title=f"Gallery of {searches.gallery_people} people from {result.name}",
        lede=f"{len(result.split.enrolled):,} photos enrolled, {len(searches.mated_scores):,} "
        f"other photos of the same people searched, {len(searches.nonmated_scores):,} photos of "
        f"people not enrolled. {share(result.top[1].value)} were found first.",
        cards=[
            *(rate_card(f"Top-{k}", r) for k, r in result.top.items()),
            Card(
                "Failed reads of probes",
                f"{result.failed_probes}",
                f"of {len(result.split.probes):,} probes; each counts as a miss",
            ),
        ],
        figures=figures,
        tables=tables,
        galleries=_confusions(result),
        warnings=warnings,
        facts=extras.facts,
    )


def _confusions(result: protocols.GalleryResult) -> list[Gallery]:
    folder = result.split.folder
    example: dict[str, str] = {}
    for i in result.split.enrolled:
        example.setdefault(folder.people[int(i)], folder.photos[int(i)].name)
    pairs = [
        PicturePair(name, example[best], f"{name} was taken for {best}")
        for name, _, best in result.confusions()
        if best is not None and best in example
    ][:PICTURES]
    if not pairs:
        return []
    return [
        Gallery(
            "Probes taken for somebody else",
            "Left the probe, right a photo of the person it was taken for.",
            pairs,
        )
    ]


def _folder(result: protocols.FolderResult, extras: Extras) -> Document:
    stats = result.statistics
    ends = [
        float(h.centres[h.counts > 0][e]) for h in (stats.genuine, stats.impostor) for e in (0, -1)
    ]
    edges = plots.edges_for(np.array(ends), bins=80)
    marks = [*extras.marks, *((p.threshold, f"FMR {p.target_fmr:g}") for p in result.points)]
    t = stats.genuine.edges
    t = t[(t >= edges[0]) & (t <= edges[-1])][::-4]
    curve = metrics.Roc(t, stats.fmr(t), 1 - stats.fnmr(t))
    eer, at = stats.eer
    data = result.to_dict()
    loose = [
        (p.target_fmr, metrics.Rate(p.tar, p.tar, p.tar, 0, 0)) for p in result.points
    ]
    rows = []
    for p in result.points:
        value, between, counts = rate(p.fmr)
        rows.append(
            (f"{p.target_fmr:g}", number(p.threshold), share(p.tar), value, between, counts, p.support)
        )
    suspects = [
        PicturePair(a, b, f"{a} and {b}, cosine {cosine(c)}") for a, b, c in result.suspects(PICTURES)
    ]
    low = stats.lowest_genuine
    far = [
        PicturePair(
            result.names[int(a)],
            result.names[int(b)],
            f"{result.names[int(a)]} and {result.names[int(b)]}, cosine {cosine(float(c))}",
        )
        for a, b, c in zip(
            low.first[:PICTURES], low.second[:PICTURES], low.cosines[:PICTURES], strict=True
        )
    ]
    last = result.points[-1] if result.points else None
    return Document(
        title=f"All pairs of {result.name}",
        lede=f"{data['photos']:,} photos of {data['people']:,} people, every photo against every "
        f"other: {stats.genuine.total:,} pairs of one person, {stats.impostor.total:,} of two.",
        cards=[
            Card("Equal error rate", share(eer), f"at cosine {at:.3f}"),
            *([] if last is None else [Card(
                f"TAR at FMR {last.target_fmr:g}", share(last.tar), f"at cosine {last.threshold:.3f}"
            )]),
            Card("d′", number(stats.d_prime, 2), "distance of the kinds in deviations"),
            _failed_card(result.photos),
        ],  # fmt: skip
        figures=[
            plots.score_histogram(
                plots.Counted.of_histogram(stats.genuine, edges),
                plots.Counted.of_histogram(stats.impostor, edges),
                marks,
            ),
            plots.roc(curve, stats.impostor.total, loose),
            plots.det(curve, eer, stats.impostor.total, stats.genuine.total),
        ],
        tables=[
            Table(
                "True accepts at target rates",
                (
                    *("FMR at most", "threshold", "TAR", "FMR reached", "95 % interval"),
                    *("false matches", "support"),
                ),
                rows,
            )
        ],
        galleries=[
            Gallery(
                "Highest pairs of two people",
                "Look at these first: two names may stand for one person, or a photo may lie in "
                "the wrong folder. Such errors make every model look worse than it is.",
                suspects,
            ),
            Gallery("Lowest pairs of one person", "Where the model fails, or the label is wrong.", far),
        ],
        facts=extras.facts,
    )  # fmt: skip


def _ijb(result: protocols.IjbResult, extras: Extras) -> Document:
    pairs, points = result.pairs, result.points
    curve = metrics.roc(pairs.genuine, pairs.impostor)
    figures = [
        _histogram(pairs, [*extras.marks, *_marks(points)]),
        plots.roc(curve, len(pairs.impostor), [(p.target_fmr, p.tar) for p in points]),
        plots.det(curve, result.eer, len(pairs.impostor), len(pairs.genuine)),
    ]
    if result.galleries:
        people = max(g.searches.gallery_people for g in result.galleries)
        figures.append(plots.cmc({g.name: g.cmc for g in result.galleries}, people))
    rows = [
        (g.name, label, *rate(found))
        for g in result.galleries
        for label, found in (
            *(("rank 1", g.rank_1), ("rank 5", g.rank_5), ("rank 10", g.rank_10)),
            *((f"DIR at FPIR {p.target_fpir:g}", p.dir) for p in g.points),
        )
    ]
    tables = [_points_table(points, len(pairs.impostor))]
    if rows:
        columns = ("gallery", "", "share", "95 % interval", "counts")
        tables.append(Table("Identification", columns, rows))
    card = [rate_card(f"TAR at FMR {points[-1].target_fmr:g}", points[-1].tar)] if points else []
    return Document(
        title=f"Templates of {result.name}",
        lede=f"{result.templates:,} templates, {len(pairs):,} pairs of them compared.",
        cards=[
            *card,
            *(rate_card(f"Rank 1, gallery {g.name}", g.rank_1) for g in result.galleries),
            Card("Equal error rate", share(result.eer)),
            _failed_card(result.photos),
        ],
        figures=figures,
        tables=tables,
        facts=extras.facts,
    )


def _megaface(result: protocols.MegafaceResult, extras: Extras) -> Document:
    points = [(size, r.value, r.low, r.high) for size, r in result.rank_1.items()]
    ends = [float(result.impostor.centres[result.impostor.counts > 0][e]) for e in (0, -1)]
    edges = plots.edges_for(result.genuine, np.array(ends))
    rank = result.rank_1[max(result.rank_1)]
    data = result.to_dict()
    return Document(
        title="MegaFace",
        lede=f"{result.probes:,} probes among {result.distractors:,} distractors. With all of them "
        f"{share(rank.value)} of the mates are found first.",
        cards=[
            rate_card(f"Rank 1 among {max(result.rank_1):,}", rank),
            *(rate_card(f"TAR at FMR {k:g}", r) for k, r in result.tar.items()),
            Card(
                "Failed photos",
                f"{result.failed_probes + result.failed_distractors:,}",
                f"{result.failed_probes:,} probes, {result.failed_distractors:,} distractors",
            ),
        ],
        figures=[
            plots.by_gallery_size(
                "Rank 1 by number of distractors",
                "Share of mates found first as the gallery grows. Shaded: 95 % intervals.",
                {"rank 1": points},
                "found first",
                log_y=False,
                size_label="distractors",
            ),
            plots.score_histogram(
                plots.Counted.of(result.genuine, edges),
                plots.Counted.of_histogram(result.impostor, edges),
                [*extras.marks, *((t, f"FMR {k:g}") for k, t in result.thresholds.items())],
            ),
        ],
        tables=[
            Table(
                "Identification",
                ("distractors", "rank 1", "95 % interval", "counts"),
                [(f"{k:,}", *rate(r)) for k, r in result.rank_1.items()],
            ),
            Table(
                "Verification",
                ("FMR at most", "threshold", "TAR", "95 % interval", "counts"),
                [
                    (f"{p['target_fmr']:g}", number(p["threshold"]), *rate(p["tar"]))
                    for p in data["tar_at_fmr"]
                ],
            ),
        ],
        facts=extras.facts,
    )


def _pad(result: protocols.PadResult, extras: Extras) -> Document:
    rates = result.rates
    every = np.concatenate(list(result.attacks.values()))
    edges = plots.edges_for(result.bona_fide, every, bins=40)
    at = result.bpcer_at_apcer(0.1)
    rows = [
        (
            species,
            *(
                rate(rates.apcer[species])
                if species in rates.apcer
                else ("refused", "", f"{len(scores)} attacks; {metrics.MIN_ATTACKS} are needed")
            ),
            share(at[species]),
        )
        for species, scores in result.attacks.items()
    ]
    worst = rates.worst_apcer
    return Document(
        title=f"Presentation attacks of {result.name}",
        lede=f"{len(result.bona_fide):,} bona fide presentations and {len(every):,} attacks of "
        f"{len(result.attacks)} species, live at a score of {rates.threshold:g} or more.",
        cards=[
            Card("Worst APCER", "not stated", "too few attacks of every species")
            if worst is None
            else rate_card("Worst APCER", worst),
            rate_card("BPCER", rates.bpcer),
            Card("Without a usable face", f"{result.unusable:,}", "attack stopped, person turned away"),
        ],
        figures=[
            plots.score_histogram(
                plots.Counted.of(result.bona_fide, edges),
                plots.Counted.of(every, edges),
                [(rates.threshold, "live")],
                names=("bona fide", "attacks"),
                label="liveness score",
                caption="Scores of live people and of attacks; at or above the dashed line is live.",
            )
        ],
        tables=[
            Table(
                "By species",
                ("species", "APCER", "95 % interval", "counts", "BPCER at APCER 10 %"),
                rows,
                "APCER: attacks taken for live. BPCER: live people taken for attacks.",
            )
        ],
        warnings=[
            f"{species}: {count} attacks, no APCER is stated below {metrics.MIN_ATTACKS}"
            for species, count in rates.refused.items()
        ],
        facts=extras.facts,
    )  # fmt: skip


# --- shared ----------------------------------------------------------------------------------


def _boot(pairs: PairScores) -> PairBootstrap | None:
    return PairBootstrap(pairs, REPLICATES) if len(pairs) <= plots.BAND_PAIRS else None


def _histogram(pairs: PairScores, marks: plots.Marks) -> Figure:
    edges = plots.edges_for(pairs.scores)
    return plots.score_histogram(
        plots.Counted.of(pairs.genuine, edges), plots.Counted.of(pairs.impostor, edges), marks
    )


def _marks(points: Sequence[OperatingPoint]) -> list[tuple[float, str]]:
    return [(p.threshold, f"FMR {p.target_fmr:g}") for p in points if p.target_fmr < 0.05]


def _points_table(points: Sequence[OperatingPoint], impostors: int) -> Table:
    rows = []
    for p in points:
        value, between, counts = rate(p.tar)
        spread = f"{p.threshold_low:.3f} – {p.threshold_high:.3f}"
        rows.append(
            (f"{p.target_fmr:g}", value, between, counts, number(p.threshold), spread, p.tar.support)
        )
    return Table(
        "True accepts at target rates",
        ("FMR at most", "TAR", "95 % interval", "accepted", "threshold", "interval", "support"),
        rows,
        f"{impostors:,} pairs of two people can state an FMR down to "
        f"{share(min(1.0, metrics.RULE_OF_3 / impostors))}, and measure it well down to "
        f"{share(min(1.0, metrics.RULE_OF_30 / impostors))}; lower ones are left out. Intervals "
        "resample people.",
    )


def _failed_card(photos: Mapping[str, Any]) -> Card:
    failed, total = photos["failed_photos"], photos["photos"]
    return Card("Failed photos", f"{failed:,}", f"of {total:,}; their pairs count as non-matches")


def _pair_warnings(pairs: PairScores) -> list[str]:
    found = []
    if len(pairs.impostor) < 1000 or len(pairs.genuine) < 100:
        found.append(
            f"A small set ({len(pairs.genuine):,} pairs of one person, {len(pairs.impostor):,} of "
            "two): read the intervals, not the numbers."
        )
    if pairs.failed:
        found.append(f"{pairs.failed:,} pairs have a failed photo and count as non-matches.")
    return found


def _pair_galleries(listed: PairList, pairs: PairScores) -> list[Gallery]:
    """The pairs furthest on the wrong side, whether an error or not."""

    def taken(same: bool) -> list[PicturePair]:
        rows = np.flatnonzero((pairs.same == same) & np.isfinite(pairs.scores))
        order = rows[np.argsort(pairs.scores[rows] * (1 if same else -1), kind="stable")]
        found: dict[tuple[str, str], PicturePair] = {}
        for i in order:
            a, b = int(listed.first[i]), int(listed.second[i])
            pictures = [listed.photos[listed.units[u][0]].name for u in (a, b)]
            names = f"{listed.unit_names[a]} and {listed.unit_names[b]}"
            caption = f"{names}, cosine {cosine(float(pairs.scores[i]))}"
            key = (min(pictures), max(pictures))
            found.setdefault(key, PicturePair(pictures[0], pictures[1], caption))
            if len(found) == PICTURES:
                break
        return list(found.values())

    return [
        Gallery(
            "Highest pairs of two people",
            "The strangers that look most alike to the model. Is a label wrong?",
            taken(False),
        ),
        Gallery(
            "Lowest pairs of one person",
            "One person, told apart: turned away, covered, aged, badly lit, or a wrong label.",
            taken(True),
        ),
    ]


def _discard(
    listed: PairList, pairs: PairScores, points: Sequence[OperatingPoint], extras: Extras
) -> list[Figure]:
    """Error versus discard, a line for each kind of quality."""
    measured = extras.qualities
    if measured is None or not points or not all(len(u) == 1 for u in listed.units):
        return []
    threshold = points[-1].threshold
    genuine = pairs.genuine
    if not (genuine < threshold).any():
        return []
    row_of = {name: i for i, name in enumerate(measured.photos)}
    rows = np.array([row_of.get(listed.photos[u[0]].name, -1) for u in listed.units])
    curves: dict[str, metrics.DiscardCurve] = {}
    for k, name in enumerate(measured.measures):
        values = np.append(measured.values[:, k], np.nan)[rows]
        if np.isfinite(values).mean() < 0.5:
            continue
        values = np.where(np.isfinite(values), values, -np.inf)
        curves[name] = metrics.error_versus_discard(
            genuine,
            values[listed.first[pairs.same]],
            values[listed.second[pairs.same]],
            threshold=threshold,
        )
    best = dict(sorted(curves.items(), key=lambda c: c[1].area)[:4])
    return [plots.discard(best, threshold)] if best else []


WRITERS: dict[type, Callable[[Any, Extras], Document]] = {
    protocols.VerificationResult: _verification,
    protocols.PairListResult: _pair_list,
    protocols.GalleryResult: _gallery,
    protocols.FolderResult: _folder,
    protocols.IjbResult: _ijb,
    protocols.MegafaceResult: _megaface,
    protocols.PadResult: _pad,
}

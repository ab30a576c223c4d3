"""Reports of pairs: verification in folds, and pair lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcid.evaluate import intervals, metrics, protocols
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.intervals import OperatingPoint
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.readers import PairList
from arcid.evaluate.report import common, plots
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


def verification(result: protocols.VerificationResult, extras: common.Extras) -> Document:
    pairs, points = result.pairs, result.points
    boot = common.boot(pairs)
    threshold = float(result.folds.thresholds.mean())
    marks = [*extras.marks, (threshold, "best accuracy"), *common.marks(points)]
    curve = metrics.roc(pairs.genuine, pairs.impostor)
    figures = [
        common.histogram(pairs, marks),
        plots.error_rates(pairs, [*extras.marks, *common.marks(points)], boot),
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
        cards=[*cards, common.failed_card(result.photos)],
        figures=figures,
        tables=[
            common.points_table(points, len(pairs.impostor)),
            *common.product_table(pairs, extras),
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


def pair_list(result: protocols.PairListResult, extras: common.Extras) -> Document:
    pairs = result.pairs
    mine = result.distances["cosine"]
    genuine, impostor = metrics.split_scores(pairs.scores, pairs.same)
    curve = metrics.roc(genuine, impostor)
    points = _operating_points(pairs)
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
            Card(
                "Accuracy, identity left out",
                share(mine.left_out.accuracy),
                f"{left} of {len(pairs)}",
            ),
            Card("F1, in-sample", number(mine.in_sample.f1, 3)),
            common.failed_card(result.photos),
        ],
        figures=[
            common.histogram(pairs, [*extras.marks, (threshold, "best split")]),
            plots.error_rates(
                pairs, [*extras.marks, (threshold, "best split")], common.boot(pairs)
            ),
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
                "Intervals of this table are Wilson's over pairs. Embeddings are unit norm, so "
                "both Euclidean distances order pairs as the cosine does.",
            ),
            common.points_table(points, len(impostor)),
            *common.product_table(pairs, extras),
        ],
        galleries=_pair_galleries(result.pair_list, pairs),
        warnings=_pair_warnings(pairs),
        facts=extras.facts,
    )


def _operating_points(pairs: PairScores) -> list[OperatingPoint]:
    """TAR at the rates that the impostors support."""
    return intervals.operating_points(PairBootstrap(pairs, common.REPLICATES), plots.MARKED_RATES)


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
            if len(found) == common.PICTURES:
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
    listed: PairList, pairs: PairScores, points: Sequence[OperatingPoint], extras: common.Extras
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

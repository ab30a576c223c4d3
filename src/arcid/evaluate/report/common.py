"""What the reports of several protocols share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arcid.evaluate import intervals, metrics
from arcid.evaluate.bootstrap import PairBootstrap
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.intervals import OperatingPoint
from arcid.evaluate.metrics import Array
from arcid.evaluate.pairs import PairScores
from arcid.evaluate.report import plots
from arcid.evaluate.report.document import (
    Card,
    Figure,
    Table,
    number,
    rate,
    share,
)

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

    product: tuple[float, float] | None = None  # (cosine, FMR) of the product's threshold
    qualities: Qualities | None = None
    embeddings: EmbeddingSet | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """The threshold in force, to be drawn."""
        return [] if self.product is None else [(self.product[0], "product")]


def boot(pairs: PairScores) -> PairBootstrap | None:
    return PairBootstrap(pairs, REPLICATES) if len(pairs) <= plots.BAND_PAIRS else None


def histogram(pairs: PairScores, marks: plots.Marks) -> Figure:
    edges = plots.edges_for(pairs.genuine, pairs.impostor)
    return plots.score_histogram(
        plots.Counted.of(pairs.genuine, edges), plots.Counted.of(pairs.impostor, edges), marks
    )


def marks(points: Sequence[OperatingPoint]) -> list[tuple[float, str]]:
    return [(p.threshold, f"FMR {p.target_fmr:g}") for p in points if p.target_fmr < 0.05]


def points_table(points: Sequence[OperatingPoint], impostors: int) -> Table:
    rows = []
    for p in points:
        value, between, counts = rate(p.tar)
        spread = f"{p.threshold_low:.3f} – {p.threshold_high:.3f}"
        rows.append(
            (
                f"{p.target_fmr:g}",
                value,
                between,
                counts,
                number(p.threshold),
                spread if math.isfinite(p.threshold_low) else "",
                *rate(p.fmr),
                p.tar.support,
            )
        )
    narrow = [f"{p.target_fmr:g}" for p in points if p.tar.resampled == "trials"]
    return Table(
        "True accepts at target rates",
        (
            *("FMR at most", "TAR", "95 % interval", "accepted", "threshold", "interval"),
            *("FMR reached", "95 % interval", "false matches", "support"),
        ),
        rows,
        f"{impostors:,} pairs of two people can state an FMR down to "
        f"{share(min(1.0, metrics.RULE_OF_3 / impostors))}, and measure it well down to "
        f"{share(min(1.0, metrics.RULE_OF_30 / impostors))}; lower ones are left out. Intervals "
        "resample people, and choose every threshold anew"
        + (f"; those at {', '.join(narrow)} do not and are too narrow." if narrow else "."),
    )


def at_product_threshold(
    pairs: PairScores | None, product: tuple[float, float] | None, seed: int = 0
) -> dict[str, Any]:
    """FMR and FNMR measured at the product's threshold; empty without one."""
    if pairs is None or product is None:
        return {}
    boot = PairBootstrap(pairs, REPLICATES, seed)
    return {
        "at_product_threshold": {
            "threshold": product[0],
            "calibrated_fmr": product[1],
            "fmr": intervals.fmr_rate(boot, product[0]).to_dict(),
            "fnmr": intervals.fnmr_rate(boot, product[0]).to_dict(),
        }
    }


def product_table(pairs: PairScores, extras: Extras) -> list[Table]:
    found = at_product_threshold(pairs, extras.product).get("at_product_threshold")
    if found is None:
        return []
    return [
        Table(
            "At the product's threshold",
            ("", "value", "95 % interval", "counts"),
            [("FMR", *rate(found["fmr"])), ("FNMR", *rate(found["fnmr"]))],
            f"Cosine {found['threshold']:.3f}, which the model's calibration gives for an FMR of "
            f"{found['calibrated_fmr']:g}.",
        )
    ]


def failed_card(photos: Mapping[str, Any]) -> Card:
    failed, total = photos["failed_photos"], photos["photos"]
    return Card("Failed photos", f"{failed:,}", f"of {total:,}; their pairs count as non-matches")

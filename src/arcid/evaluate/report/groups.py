"""Reports that set kinds side by side: attacks, groups of people, two models."""

from __future__ import annotations

import numpy as np

from arcid.evaluate import drift, fairness, metrics, protocols
from arcid.evaluate.report import common, plots
from arcid.evaluate.report.document import (
    Card,
    Document,
    Figure,
    Table,
    number,
    rate,
    rate_card,
    share,
)
from arcid.evaluate.report.svg import Role, forest, signed


def pad(result: protocols.PadResult, extras: common.Extras) -> Document:
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
            Card("Without a usable face", f"{result.unusable:,}", "attack stopped, person refused"),
        ],
        figures=[
            plots.score_histogram(
                plots.Counted.of(result.bona_fide, edges),
                plots.Counted.of(every, edges),
                [(rates.threshold, "live")],
                names=("bona fide", "attacks"),
                label="liveness score",
                caption="Live people and attacks; at or above the dashed line is live.",
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
    )


def by_group(result: fairness.FairnessResult, extras: common.Extras) -> Document:
    figures = []
    columns = ("group", "people", "rate", "95 % interval", "counts")
    tables = []
    kinds: tuple[tuple[str, str, Role], ...] = (
        ("fmr", "False match rate", "impostor"),
        ("fnmr", "False non-match rate", "genuine"),
    )
    for kind, long, role in kinds:
        found = [(g, getattr(g, kind)) for g in result.groups if getattr(g, kind) is not None]
        if not found:
            continue
        rows = [
            (g.group, r.value, r.low, r.high, f"{g.group}: {' · '.join(rate(r))}") for g, r in found
        ]
        table = Table(
            f"{long} by group",
            columns,
            [(g.group, f"{g.people:,}", *rate(r)) for g, r in found],
            "Pairs of two people who are both of the group." if kind == "fmr" else "",
        )
        figures.append(
            Figure(
                f"{long} by group",
                forest(f"{long} by group", "With 95 % intervals", rows, long.lower(), role=role),
                "Dots: measured; lines: 95 % intervals that resample people. Where lines overlap "
                "widely no difference is shown.",
            )
        )
        tables.append(table)
    cards = [
        Card(
            f"{r.rate.upper()}, worst to best",
            f"{r.value:.1f}×",
            f"{r.worst} against {r.best} · {r.low:.1f} – {r.high:.1f}",
        )
        for r in result.ratios
    ] or [Card("Worst to best", "not stated", "fewer than two groups are large enough")]
    warnings = [f"{g.group}: {w}" for g in result.groups for w in g.warnings]
    if result.unlabelled:
        warnings.append(f"{result.unlabelled:,} photos have no group and are left out.")
    if result.set_aside:
        warnings.append(
            f"{result.set_aside:,} pairs were taken for one person though nothing says so."
        )
    return Document(
        title="Error rates by group",
        lede=f"{len(result.groups)} groups at cosine {result.threshold:.3f}, the same for all.",
        cards=[*cards, Card("Threshold", number(result.threshold), "cosine, the same for all")],
        figures=figures,
        tables=tables,
        warnings=warnings,
        facts=extras.facts,
    )


def comparison(result: drift.Comparison, extras: common.Extras) -> Document:
    rows = []
    for d in result.differences:
        note = f"{d.difference:+.4f} ({d.low:+.4f} to {d.high:+.4f})"
        rows.append((d.metric, d.difference, d.low, d.high, note))
    figure = Figure(
        "B − A",
        forest(
            "B − A",
            f"Differences of {result.b} and {result.a} with 95 % intervals",
            rows,
            f"{result.b} − {result.a}",
            role="third",
            axis=signed,
        ),
        "A line that crosses zero: no difference can be told. EER is better where it is lower, "
        "all others where they are higher.",
    )
    table = Table(
        "Differences",
        ("metric", "A", "B", "B − A", "95 % interval", "better"),
        [
            (
                d.metric,
                share(d.a),
                share(d.b),
                f"{100 * d.difference:+.3f} %",
                f"{100 * d.low:+.3f} to {100 * d.high:+.3f} %",
                result.better(d) or "cannot be told",
            )
            for d in result.differences
        ],
        "Both are judged on the same pairs and resampled with the same people.",
    )
    warnings = [
        f"FMR {r:g} cannot be stated from these pairs and is left out." for r in result.unsupported
    ]
    return Document(
        title=f"{result.b} against {result.a}",
        lede=f"{result.sentence} {result.pairs:,} pairs of {result.people:,} people.",
        cards=[
            Card(
                d.metric,
                f"{100 * d.difference:+.2f} %",
                f"{share(d.a)} → {share(d.b)} · {result.better(d) or 'no difference told'}",
            )
            for d in result.differences
        ],
        figures=[figure],
        tables=[table],
        warnings=warnings,
        facts=extras.facts,
    )

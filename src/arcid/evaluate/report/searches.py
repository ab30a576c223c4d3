"""Reports of searches and of whole sets: galleries, folders, templates, distractors."""

from __future__ import annotations

import numpy as np

from arcid.evaluate import metrics, protocols
from arcid.evaluate.embeddings import EmbeddingSet
from arcid.evaluate.report import common, identification, plots
from arcid.evaluate.report.document import (
    Card,
    Document,
    Gallery,
    PicturePair,
    Table,
    cosine,
    number,
    rate,
    rate_card,
    share,
)
from arcid.types import counted


def gallery(result: protocols.GalleryResult, extras: common.Extras) -> Document:
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
    warnings = []
    if not strangers:
        warnings.append(
            "Nobody outside the gallery was searched: how often a stranger is named (FPIR) is not "
            "measured. Add --strangers."
        )
    if len(set(result.mated_people)) < 30:
        warnings.append(f"Only {len(set(result.mated_people))} people: the intervals are wide.")
    warnings += _copies(extras.embeddings)
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


def _copies(embeddings: EmbeddingSet | None) -> list[str]:
    """Said where a photo is there twice: any model finds one of such a pair by the other."""
    if embeddings is None:
        return []
    rows = embeddings.vectors[~embeddings.failed]
    twice = len(rows) - len({row.tobytes() for row in rows})
    if not twice:
        return []
    return [
        f"{counted(twice, 'photo')} {'is a copy' if twice == 1 else 'are copies'} of another: any "
        "model finds one by the other, so the figures flatter. Take copies out and measure again."
    ]


def _confusions(result: protocols.GalleryResult) -> list[Gallery]:
    folder = result.split.folder
    example: dict[str, str] = {}
    for i in result.split.enrolled:
        example.setdefault(folder.people[int(i)], folder.photos[int(i)].name)
    pairs = [
        PicturePair(name, example[best], f"{name} was taken for {best}")
        for name, _, best in result.confusions()
        if best is not None and best in example
    ][: common.PICTURES]
    if not pairs:
        return []
    return [
        Gallery(
            "Probes taken for somebody else",
            "Left the probe, right a photo of the person it was taken for.",
            pairs,
        )
    ]


def folder(result: protocols.FolderResult, extras: common.Extras) -> Document:
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
    points = [(p.target_fmr, p.tar) for p in result.points]
    suspects = [
        PicturePair(a, b, f"{a} and {b}, cosine {cosine(c)}")
        for a, b, c in result.suspects(common.PICTURES)
    ]
    low = stats.lowest_genuine
    far = [
        PicturePair(
            result.names[int(a)],
            result.names[int(b)],
            f"{result.names[int(a)]} and {result.names[int(b)]}, cosine {cosine(float(c))}",
        )
        for a, b, c in zip(
            low.first[: common.PICTURES],
            low.second[: common.PICTURES],
            low.cosines[: common.PICTURES],
            strict=True,
        )
    ]
    tar = [rate_card(f"TAR at FMR {p.target_fmr:g}", p.tar) for p in result.points[-1:]]
    return Document(
        title=f"All pairs of {result.name}",
        lede=f"{data['photos']:,} photos of {data['people']:,} people, every photo against every "
        f"other: {stats.genuine.total:,} pairs of one person, {stats.impostor.total:,} of two.",
        cards=[
            Card("Equal error rate", share(eer), f"at cosine {at:.3f}"),
            *tar,
            Card("d′", number(stats.d_prime, 2), "distance of the kinds in deviations"),
            common.failed_card(result.photos),
        ],
        figures=[
            plots.score_histogram(
                plots.Counted.of_histogram(stats.genuine, edges),
                plots.Counted.of_histogram(stats.impostor, edges),
                marks,
            ),
            plots.roc(curve, stats.impostor.total, points),
            plots.det(curve, eer, stats.impostor.total, stats.genuine.total),
        ],
        tables=[common.points_table(result.points, stats.impostor.total)],
        galleries=[
            Gallery(
                "Highest pairs of two people",
                "Look at these first: two names may stand for one person, or a photo may lie in "
                "the wrong folder. Such errors make every model look worse than it is.",
                suspects,
            ),
            Gallery(
                "Lowest pairs of one person", "Where the model fails, or the label is wrong.", far
            ),
        ],
        warnings=_copies(extras.embeddings),
        facts=extras.facts,
    )


def ijb(result: protocols.IjbResult, extras: common.Extras) -> Document:
    pairs, points = result.pairs, result.points
    curve = metrics.roc(pairs.genuine, pairs.impostor)
    figures = [
        common.histogram(pairs, [*extras.marks, *common.marks(points)]),
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
    tables = [common.points_table(points, len(pairs.impostor))]
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
            common.failed_card(result.photos),
        ],
        figures=figures,
        tables=tables,
        facts=extras.facts,
    )


def megaface(result: protocols.MegafaceResult, extras: common.Extras) -> Document:
    points = [(size, r.value, r.low, r.high) for size, r in result.rank_1.items()]
    ends = [float(result.impostor.centres[result.impostor.counts > 0][e]) for e in (0, -1)]
    edges = plots.edges_for(result.genuine, np.array(ends), bins=60)
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

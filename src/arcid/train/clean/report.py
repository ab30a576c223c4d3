"""The report of ``arcid clean``: numbers and plots, no pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcid.evaluate.report import Document, write
from arcid.evaluate.report.document import Card, Figure, Table, number, share
from arcid.evaluate.report.plots import Counted, score_histogram
from arcid.evaluate.report.svg import Plot, linear
from arcid.train.clean.result import CleanResult

SUSPICIOUS = 0.5  # dropped share beyond which the network rather than the labels is to blame
LISTED = 50


def write_report(result: CleanResult) -> dict[str, str]:
    """``report.html``, ``.md`` and ``.json`` in the result's folder; returns their paths."""
    return write(result.folder, document(result), record(result))


def record(result: CleanResult) -> dict[str, Any]:
    """The numbers, for machines."""
    v = result.verdict
    return {
        "kind": "clean",
        "checkpoint": result.checkpoint.name,
        "step": result.step,
        "rule": {"angle_deg": result.rule.angle_deg, "min_photos": result.rule.min_photos},
        "sub_centres": result.centres,
        "identities": len(result.classes),
        "judged_identities": result.judged_identities,
        "untouched_identities": len(result.classes) - result.judged_identities,
        "photos": len(result.keys),
        "judged_photos": result.judged_photos,
        "untouched_photos": len(result.keys) - result.judged_photos,
        "other_photos": result.other_photos,
        "unreadable_photos": len(result.unreadable),
        "dropped_photos": result.dropped,
        "dropped_share": result.dropped / max(result.judged_photos, 1),
        "dominant_share": result.dominant_share,
        "dominant_share_by_identity": v.share[v.judged],
        "emptied_identities": list(result.emptied),
        "kept_list": str(result.kept_list),
    }


def document(result: CleanResult) -> Document:
    """The same for people."""
    facts = record(result)
    rule = result.rule
    untouched = facts["untouched_identities"]
    cards = [
        Card("Dropped", f"{result.dropped:,}", f"of {result.judged_photos:,} photos judged: "
             f"{share(facts['dropped_share'])}"),
        Card("Nearest to the dominant sub-centre", share(result.dominant_share),
             f"of the judged photos; {result.centres} sub-centres an identity"),
        Card("Identities judged", f"{result.judged_identities:,}", f"of {len(result.classes):,}"),
        Card("Left alone", f"{untouched:,}",
             f"identities below {rule.min_photos} photos ({facts['untouched_photos']:,} photos)"),
    ]  # fmt: skip
    angle = f"{rule.angle_deg:g}°"
    return Document(
        title="Photos that may show somebody else",
        lede=(
            f"Of every identity with at least {rule.min_photos} photos, the sub-centre most of "
            f"them are nearest to is dominant; photos more than {angle} from it are dropped. "
            "Look at the contact sheets before you believe it."
        ),
        cards=cards,
        figures=[_angles(result), _shares(result)] if result.judged_photos else [],
        tables=[_places(result, facts), _worst(result)],
        warnings=_warnings(result, facts),
        facts={
            "checkpoint": f"{result.checkpoint.name} (step {result.step:,})",
            "sub-centres an identity": str(result.centres),
            "rule": f"at least {rule.min_photos} photos, {angle}",
            "list to train on": str(result.kept_list),
            "contact sheets": str(len(result.sheets)),
        },
        failed=result.unreadable,
    )


def _warnings(result: CleanResult, facts: dict[str, Any]) -> list[str]:
    found = []
    if facts["dropped_share"] > SUSPICIOUS:
        found.append(
            f"{share(facts['dropped_share'])} of the judged photos lie beyond the angle. More "
            "likely than so many wrong labels is a network that has not learned its identities "
            "yet: train longer before you drop anything."
        )
    if result.emptied:
        names = ", ".join(result.emptied[:5])
        found.append(f"{len(result.emptied)} identities lost every photo: {names}.")
    if not result.judged_identities:
        found.append(
            f"No identity has {result.rule.min_photos} photos, so nothing was judged or dropped."
        )
    return found


def _angles(result: CleanResult) -> Figure:
    v, rule = result.verdict, result.rule
    seen = np.isfinite(v.angle_deg)
    dominant = seen & (v.nearest == v.dominant[result.labels])
    edges = np.arange(0, 181, 3, dtype=np.float64)
    top = max(v.angle_deg[seen].max(), rule.angle_deg) + 6
    edges = edges[: int(np.searchsorted(edges, top)) + 1]
    return score_histogram(
        Counted.of(v.angle_deg[dominant], edges),
        Counted.of(v.angle_deg[seen & ~dominant], edges),
        [(rule.angle_deg, f"dropped beyond {rule.angle_deg:g}°")],
        names=("nearest to the dominant", "nearest to another"),
        title="Angle to the dominant sub-centre",
        label="degrees",
        caption="Photos that gather about another sub-centre of their identity lie farther off. "
        "Where both kinds lie alike, the network tells no noise apart.",
    )


def _shares(result: CleanResult) -> Figure:
    values = result.verdict.share[result.verdict.judged]
    edges = np.linspace(0, 1, 21)
    counts = np.histogram(values, edges)[0]
    plot = Plot(
        "Share of the dominant sub-centre",
        "How many identities have which share of their photos at the dominant sub-centre",
        linear("share of an identity's photos", 0, 1, share=True),
        linear("identities", 0, max(int(counts.max()), 1) * 1.12),
    )
    plot.area(edges, counts, "genuine")
    rows = [
        (f"{share(edges[i])} – {share(edges[i + 1])}", f"{counts[i]:,}")
        for i in range(len(counts))
        if counts[i]
    ]
    return Figure(
        "Share of the dominant sub-centre",
        plot.svg(),
        "One bar for every twentieth. Identities to the left are divided among their sub-centres: "
        "two people under one name, or one at two ages.",
        Table("Dominant shares", ("share of its photos", "identities"), rows),
    )


def _places(result: CleanResult, facts: dict[str, Any]) -> Table:
    kept = result.judged_photos - result.dropped
    rows = [
        ("judged and kept", f"{kept:,}"),
        ("judged and dropped", f"{result.dropped:,}"),
        (f"of identities below {result.rule.min_photos} photos, kept unseen",
         f"{facts['untouched_photos']:,}"),
        ("could not be read, kept unseen", f"{facts['unreadable_photos']:,}"),
        ("not trained on (held out, not chosen, of nobody), kept unseen",
         f"{result.other_photos:,}"),
    ]  # fmt: skip
    return Table("Where every photo went", ("", "photos"), rows)


def _worst(result: CleanResult) -> Table:
    v = result.verdict
    lost = np.bincount(result.labels[~v.keep], minlength=len(result.classes))
    order = np.argsort(-lost / np.maximum(v.photos, 1), kind="stable")[:LISTED]
    rows = [
        (
            result.classes[i],
            f"{lost[i]:,}",
            f"{v.photos[i]:,}",
            share(float(v.share[i])),
            number(float(np.nanmedian(v.angle_deg[result.labels == i])), 1),
        )
        for i in order.tolist()
        if lost[i]
    ]
    return Table(
        "Identities that lost most",
        ("identity", "dropped", "photos", "dominant share", "median angle"),
        rows,
        f"At most {LISTED}; identities.csv has all.",
    )


__all__ = ["document", "record", "write_report"]

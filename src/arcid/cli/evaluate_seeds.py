"""``arcid evaluate seeds``: ArcFace's published figures, and ours on the sets that are here."""

from __future__ import annotations

import typer

from arcid.cli.measuring import Data, How, begin, given, measures_without
from arcid.cli.output import print_json, print_table


def register(app: typer.Typer) -> None:
    app.command("seeds")(seeds)


@measures_without("aligned", "embeddings", "save_embeddings", "masked", "margin", select="center")
def seeds(how: How, data: Data = None) -> None:
    """What was published of ArcFace, and this model on every one of those sets that is here.

    Every set lies in a folder of its own below --data: lfw, lfw-dev, deepface-pairs, cfp, agedb,
    calfw, cplfw, xqlfw, ytf, rfw, rmfrd, casia-masks, celeba-masks, ijbc, ijbs, megaface,
    trillion-pairs, gallery (a folder a person), bin (InsightFace's files). Their layouts:
    docs/concepts/evaluation.md. Photos of 112×112 pixels are taken as aligned. A set that cannot be
    measured says why, and the others go on.

    Example: arcid evaluate seeds --data sets/ -o report/
    """
    from arcid.apps.evaluate_seeds import evaluate_seeds

    root = given(data, "--data FOLDER")
    rows = evaluate_seeds(root, how, begin)
    if how.json:
        print_json({"model": how.model, "rows": [row.to_dict() for row in rows]})
        return
    print_table(
        ("set", "", "ours", "95 % interval", "published", "whose"),
        [
            (
                row.name,
                row.metric,
                "–" if row.ours is None else f"{row.ours.value:.2%}",
                row.note if row.ours is None else f"{row.ours.low:.2%}–{row.ours.high:.2%}",
                "\n".join(f"{p.value:.2%}" for p in row.published),
                "\n".join(p.whose + (f" ({p.note})" if p.note else "") for p in row.published),
            )
            for row in rows
        ],
    )

"""``arcid evaluate fusion``: is an ensemble better than its best member, and how weighed?"""

from __future__ import annotations

from typing import Annotated

import typer

from arcid.cli.measuring import Data, How, begin, given, measures_without
from arcid.cli.output import print_json, print_table, say


def register(app: typer.Typer) -> None:
    app.command("fusion")(fusion)


@measures_without("embeddings", "save_embeddings", "masked", "margin", "output", "no_pictures")
def fusion(
    how: How,
    data: Data = None,
    folds: Annotated[
        int, typer.Option("--folds", min=2, max=20, help="Parts that people are dealt into.")
    ] = 3,
) -> None:
    """An ensemble (--model a+b) beside its members on labelled photos, one folder per person.

    The members' cosines are weighed equally, by their own calibrations' log-likelihood ratios
    (sum), and by logistic fusion, always on people whom no weight was fitted on. The gain is over
    the member that is best on these very photos; its 95 % interval resamples people. Shown last:
    the name of the ensemble with the weights that everybody together gives.

    Example: arcid evaluate fusion --data people/ --model mobilefacenet_128+face_reid_retail_0095
    """
    from arcid.apps.evaluate_photos import member_vectors
    from arcid.evaluate.fused import evaluate_fusion
    from arcid.evaluate.readers import read_people

    folder = read_people(given(data, "--data FOLDER"))
    run = begin(how, data)
    members, vectors, people = member_vectors(run, folder)
    found = evaluate_fusion(members, vectors, people, folds=folds, seed=how.seed)
    named = {
        way.name: "+".join(
            f"{name}@{weight:g}"
            for name, weight in zip(members, way.weights, strict=True)
            if weight
        )
        for way in found.ways
    }
    if how.json:
        print_json({**found.to_dict(), "named": named})
        return
    say(
        f"{found.people} people; judged: {found.genuine_pairs:,} pairs of one person, "
        f"{found.impostor_pairs:,} of two, all of people whom no weight was fitted on"
    )
    print_table(
        ("weights", "FMR", "best member", "its TAR", "ensemble", "gain", "95 % interval"),
        [
            (
                way.name, f"{rate:g}", found.best[rate], f"{g.a:.2%}", f"{g.b:.2%}",
                f"{100 * g.difference:+.2f}", f"{100 * g.low:+.2f} to {100 * g.high:+.2f}",
            )
            for way in found.ways
            for rate, g in way.gains.items()
        ],
    )  # fmt: skip
    for name, ensemble in named.items():
        say(f"{name}: {ensemble}")

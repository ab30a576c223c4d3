"""``arcid evaluate pad`` and ``fairness``: error rates of each kind of attack, of each group."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.measuring import (
    Data,
    How,
    begin,
    finish,
    given,
    measures_without,
)

if TYPE_CHECKING:
    from arcid.evaluate.sources import Photo


def register(app: typer.Typer) -> None:
    app.command("pad")(pad)
    app.command("fairness")(fairness)


@measures_without(
    *("model", "detector", "select", "aligned", "margin", "masked", "background"),
    *("embeddings", "save_embeddings", "cache", "no_cache", "workers", "ray", "seed"),
    "no_pictures",
)
def pad(
    how: How,
    data: Data = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Live at this score or above.")
    ] = 0.5,
) -> None:
    """Presentation attacks: APCER of each species of attack, and BPCER.

    The data is a CSV with the columns file, species (bona_fide or the kind of attack) and score
    (higher is live; empty where no face could be used). Species of fewer than 30 attacks are
    refused.

    Example: arcid evaluate pad --data attacks.csv --threshold 0.6 -o report/
    """
    from arcid.evaluate.protocols import evaluate_pad
    from arcid.evaluate.readers import read_pad

    found = read_pad(given(data, "--data FILE.csv"))
    finish(how, begin(how, data), evaluate_pad(found, threshold))


@measures_without("no_pictures")
def fairness(
    how: How,
    data: Data = None,
    groups: Annotated[
        Path | None,
        typer.Option("--groups", help="CSV with a column photo and one of groups."),
    ] = None,
    column: Annotated[str, typer.Option("--column", help="Column of --groups to go by.")] = "group",
    name_field: Annotated[
        int | None,
        typer.Option(
            "--name-field",
            min=1,
            help="Instead of --groups: which part of the file name, split at _, is the group.",
        ),
    ] = None,
    fmr: Annotated[
        float, typer.Option("--fmr", help="False match rate of the product's threshold.")
    ] = 1e-4,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="A cosine, instead of --fmr.")
    ] = None,
    same_person_above: Annotated[
        float | None,
        typer.Option(
            "--same-person-above",
            help="Photos without people: leave pairs at or above this cosine out.",
        ),
    ] = None,
) -> None:
    """False matches and false non-matches of each group, at the product's one threshold.

    With intervals, and the ratio of the worst group to the best. Groups are your own labels: a CSV
    with the column photo (as the path below --data) and one of groups, or a part of the file names.
    Photos that lie in the folder without folders of people are taken for as many people; only false
    matches are measured then.

    Example: arcid evaluate fairness --data photos/ --groups groups.csv --column age -o report/
    """
    from arcid.evaluate import fairness as measure

    root = given(data, "--data FOLDER")
    photos, people = _people_or_photos(root)
    run = begin(how, root)
    run.target_fmr = fmr
    labels = _labels(groups, column, name_field)
    named = measure.labels_for([p.name for p in photos], labels)
    vectors = run.embed(photos)
    at = threshold if threshold is not None else run.product_threshold()
    result = measure.fairness(
        vectors.vectors,
        named,
        at,
        people=people,
        failed=vectors.failed,
        same_person_above=same_person_above,
        seed=how.seed,
    )
    photo_counts = {
        "photos": len(vectors),
        "failed_photos": int(vectors.failed.sum()),
        "target_fmr": fmr if threshold is None else None,
    }
    head = {"protocol": "fairness", "name": root.name, "contract_id": vectors.contract_id}
    finish(how, run, result, more=head | photo_counts)


def _people_or_photos(root: Path) -> tuple[list[Photo], list[str] | None]:
    """Photos with their people; a folder of photos alone has none."""
    from arcid.errors import DatasetInvalid
    from arcid.evaluate.readers import read_people
    from arcid.evaluate.sources import Photo
    from arcid.image import is_photo

    alone = sorted(p for p in root.glob("*") if is_photo(p, root) and p.is_file())
    if alone:
        return [Photo(p.name, p) for p in alone], None
    if not root.is_dir():
        raise DatasetInvalid(f"{root} is not a folder of photos")
    found = read_people(root)
    return list(found.photos), list(found.people)


def _labels(
    groups: Path | None, column: str, name_field: int | None
) -> dict[str, str] | Callable[[str], str | None]:
    from arcid.errors import UsageError
    from arcid.evaluate.fairness import read_groups

    if (groups is None) == (name_field is None):
        raise UsageError("say where the groups are: --groups FILE.csv, or --name-field N")
    if groups is not None:
        return read_groups(groups, column)
    position = (name_field or 1) - 1

    def field(name: str) -> str | None:
        parts = Path(name).stem.split("_")
        return parts[position] if position < len(parts) and parts[position] else None

    return field

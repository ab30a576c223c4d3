"""``arcid compare A B``: is B better than A, and by how much?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.measuring import Data, How, begin, measures_without, print_report
from arcid.cli.output import say

if TYPE_CHECKING:
    from arcid.evaluate.drift import Comparison
    from arcid.evaluate.embeddings import EmbeddingSet
    from arcid.evaluate.readers import PairList, PeopleFolder


RATES = (1e-1, 1e-2, 1e-3, 1e-4)


def register(app: typer.Typer) -> None:
    app.command("compare")(compare)


@measures_without("model", "embeddings", "save_embeddings", "no_pictures")
def compare(
    how: How,
    a: Annotated[
        str,
        typer.Argument(
            help="A report.json, a file of embeddings (.npz, .npy), or a model's name.", metavar="A"
        ),
    ],
    b: Annotated[str, typer.Argument(help="The other, of the same kind.", metavar="B")],
    data: Data = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs", help="Embeddings or models: judge on these pairs (LFW, CSV, .bin)."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of the photos; default: found beside.")
    ] = None,
) -> None:
    """Two runs or two models on the same photos: "B is better by x ± y".

    Both are resampled with the same people, so that what is hard about the photos cancels out. A
    and B are two reports (their pairs must be the same), two files of embeddings, or two models;
    the latter need photos: --data with one folder per person (all pairs), or --pairs.

    Example: arcid compare before/report.json after/report.json
    """
    from arcid.errors import UsageError

    kinds = {_kind(a), _kind(b)}
    if "report" in kinds:
        if len(kinds) > 1:
            raise UsageError("a report can only be compared with another report")
        _show(_reports(Path(a), Path(b), how.seed), how)
        return
    listed = _read(data, pairs, images)
    _show(_measured(a, b, listed, how), how)


def _kind(name: str) -> str:
    path = Path(name)
    if path.suffix == ".json" or (path / "report.json").is_file():
        return "report"
    return "embeddings" if path.suffix in (".npz", ".npy") else "model"


def _reports(a: Path, b: Path, seed: int) -> Comparison:
    from arcid.errors import DatasetInvalid
    from arcid.evaluate import drift, report

    left, right = report.read(a), report.read(b)
    if left.record["pairs_sha256"] != right.record["pairs_sha256"]:
        raise DatasetInvalid(
            f"the reports are of different pairs ({left.record['name']}, {len(left.pairs):,} and "
            f"{right.record['name']}, {len(right.pairs):,}); measure both on the same pairs"
        )
    accepted = None
    if left.accepted is not None and right.accepted is not None:
        accepted = (left.accepted, right.accepted)
    names = _names(_title(left.record, a), _title(right.record, b))
    return drift.compare(
        left.pairs, right.pairs, names=names, accepted=accepted, seed=seed, rates=RATES
    )


def _title(record: dict[str, Any], path: Path) -> str:
    measured = record.get("measured", {})
    return str(measured.get("model") or measured.get("embeddings") or path)


def _names(a: str, b: str) -> tuple[str, str]:
    """Names to tell them by; the letters where they are the same."""
    return (a, b) if a != b else ("A", "B")


def _read(data: Path | None, pairs: Path | None, images: Path | None) -> PairList | PeopleFolder:
    from arcid.errors import UsageError
    from arcid.evaluate import readers

    if pairs is None and data is not None and data.suffix == ".bin":
        pairs = data
    if pairs is None:
        if data is None:
            raise UsageError(
                "models and embeddings are compared on photos: --data FOLDER with one folder per "
                "person, or --pairs FILE --images FOLDER"
            )
        return readers.read_people(data)
    if pairs.suffix == ".bin":
        return readers.read_bin(pairs)
    root = images or data or pairs.parent
    if pairs.suffix.lower() == ".csv":
        return readers.read_pairs_csv(pairs, root)
    return readers.read_lfw(pairs, root)


def _measured(a: str, b: str, listed: PairList | PeopleFolder, how: How) -> Comparison:
    from arcid.evaluate import drift
    from arcid.evaluate.protocols import verify
    from arcid.evaluate.readers import PeopleFolder

    aligned = how.aligned or any(isinstance(p.source, bytes) for p in listed.photos[:1])

    def embedded(name: str) -> EmbeddingSet:
        given: dict[str, Any] = {"aligned": aligned}
        given |= {"model": name} if _kind(name) == "model" else {"embeddings": Path(name)}
        return begin(replace(how, **given), name).embed(listed.photos)

    one, other = embedded(a), embedded(b)
    names = _names(Path(a).name, Path(b).name) if Path(a).name != Path(b).name else _names(a, b)
    if isinstance(listed, PeopleFolder):
        return drift.compare_embeddings(
            one, other, listed.people, names=names, seed=how.seed, rates=RATES
        )
    left, right = verify(listed, one, replicates=2), verify(listed, other, replicates=2)
    accepted = (left.folds.accepted, right.folds.accepted)
    return drift.compare(
        left.pairs, right.pairs, names=names, accepted=accepted, seed=how.seed, rates=RATES
    )


def _show(result: Comparison, how: How) -> None:
    from arcid.evaluate import report

    found = report.document(result)
    record = {"schema_version": report.SCHEMA_VERSION, "protocol": "compare", **result.to_dict()}
    files: dict[str, str] = {}
    if how.output is not None:
        files = report.write(how.output, found, record)
    print_report(found, record, files, json=how.json)
    if how.json:
        return
    for sentence in result.sentences():
        say(sentence)

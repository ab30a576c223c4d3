"""``arcid evaluate …``: how good is a model, on a public data set or on your own photos?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arcid.cli.measuring import (
    Data,
    How,
    begin,
    finish,
    given,
    measures,
    measures_published,
    measures_without,
)

if TYPE_CHECKING:
    from arcid.apps.evaluate_photos import Run
    from arcid.evaluate.readers import PairList

app = typer.Typer(
    help="Measure a model: error rates with intervals, and a report to look at.\n\n"
    "Headline numbers are printed; -o FOLDER writes report.html, report.json, report.md and, of "
    "pairs, scores.npz for arcid compare. What they mean: docs/concepts/evaluation.md.",
    no_args_is_help=True,
)
Images = Annotated[
    Path | None, typer.Option("--images", help="Folder of the photos; default: found beside.")
]


@app.command("lfw")
@measures_published
def lfw(
    how: How,
    data: Data = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", help="pairs.txt, or a pairsDev list of View 1.")
    ] = None,
    images: Images = None,
    train_pairs: Annotated[
        Path | None,
        typer.Option("--train-pairs", help="View 1: choose the threshold on these pairs."),
    ] = None,
) -> None:
    """LFW: 6,000 pairs in ten folds, the threshold of each fold chosen on the other nine.

    With the lists of View 1 (pairsDevTest.txt), which have no folds, pairs are dealt over ten, or
    all decided by the threshold that is best on --train-pairs. --data may hold the list and
    images/, lfw/, lfw-deepfunneled/ or lfw_funneled/.

    Example: arcid evaluate lfw --pairs pairs.txt --images lfw-deepfunneled -o report/
    """
    from arcid.evaluate.metrics import best_accuracy
    from arcid.evaluate.protocols import verify
    from arcid.evaluate.readers import read_lfw

    names = ("pairs.txt", "pairsDevTest.txt")
    pairs = pairs or _inside(data, names, "--pairs FILE")
    folders = ("images", "lfw", "lfw-deepfunneled", "lfw_funneled", "")
    images = images or _folder(data or pairs.parent, folders)
    listed = read_lfw(pairs, images)
    run = begin(how, pairs)
    threshold = None
    if train_pairs is not None:
        train = read_lfw(train_pairs, images, name="train")
        chosen = verify(train, run.embed(train.photos), replicates=2)
        threshold = best_accuracy(chosen.pairs.scores, chosen.pairs.same)[1]
    _verify(how, run, listed, threshold)


@app.command("pairs")
@measures
def pairs_(
    how: How,
    data: Data = None,
    images: Images = None,
    layout: Annotated[
        Literal["auto", "csv", "labels", "two-line"],
        typer.Option(
            "--layout",
            help="csv: photo,photo,yes; labels: photo photo 1 (AgeDB-30); "
            "two-line: photo fold, twice a pair (CALFW, CPLFW).",
        ),
    ] = "auto",
) -> None:
    """A list of pairs.

    A CSV (file_x,file_y,Decision, as deepface's master.csv) is judged as such tables are published:
    the threshold with the most information, found on the same pairs; and again with every pair
    decided by a threshold that saw neither of its people. The published figures stand beside ours.
    Lists of AgeDB-30, CALFW and CPLFW are judged in folds, as LFW.

    Example: arcid evaluate pairs --data master.csv --images photos/ -o report/
    """
    from arcid.evaluate import readers
    from arcid.evaluate.protocols import evaluate_pair_list

    listed_in = data if data is None or not data.is_dir() else data / "master.csv"
    listed_in = given(listed_in, "--data FILE.csv")
    images = images or listed_in.parent
    if layout == "auto":
        layout = "csv" if listed_in.suffix.lower() == ".csv" else _list_layout(listed_in)
    run = begin(how, listed_in)
    if layout == "labels":
        _verify(how, run, readers.read_labelled_list(listed_in, images, name=listed_in.stem))
    elif layout == "two-line":
        _verify(how, run, readers.read_two_line_list(listed_in, images, name=listed_in.stem))
    else:
        listed = readers.read_pairs_csv(listed_in, images)
        result = evaluate_pair_list(listed, run.embed(listed.photos))
        finish(how, run, result, listed=listed)


@app.command("bin")
@measures_without("detector", "select", "aligned")
def bin_(how: How, data: Data = None) -> None:
    """An InsightFace .bin file (lfw.bin, cfp_fp.bin, agedb_30.bin …), aligned pictures inside.

    The file is read without running what a pickle may hold.

    Example: arcid evaluate bin --data agedb_30.bin -o report/
    """
    from dataclasses import replace

    from arcid.evaluate.readers import read_bin

    listed = read_bin(given(data, "--data FILE.bin"))
    _verify(how, begin(replace(how, aligned=True), data), listed)


@app.command("cfp")
@measures_published
def cfp(
    how: How,
    data: Data = None,
    protocol: Annotated[
        Literal["FF", "FP"],
        typer.Option("--protocol", help="Frontal to frontal, or frontal to profile."),
    ] = "FP",
) -> None:
    """Celebrities in Frontal-Profile, in its ten folds.

    --data is the data set's own folder, with Data/ and Protocol/.

    Example: arcid evaluate cfp --data cfp-dataset --protocol FP -o report/
    """
    from arcid.evaluate.readers import read_cfp

    listed = read_cfp(given(data, "--data FOLDER"), protocol)
    _verify(how, begin(how, data), listed)


@app.command("ytf")
@measures_published
def ytf(
    how: How,
    data: Data = None,
    splits: Annotated[
        Path | None, typer.Option("--splits", help="List of video pairs; default: splits.txt.")
    ] = None,
    images: Images = None,
    max_frames: Annotated[
        int | None,
        typer.Option("--max-frames", min=1, help="Frames of each video, evenly; default: all."),
    ] = None,
) -> None:
    """YouTube Faces: pairs of videos.

    The vector of a video is the mean of its frames'; frames without a face are left out of the
    mean.

    Example: arcid evaluate ytf --data YouTubeFaces --max-frames 20 -o report/
    """
    from arcid.evaluate.readers import read_ytf

    splits = splits or _inside(data, ("splits.txt",), "--splits FILE")
    folders = ("frame_images_DB", "aligned_images_DB", "")
    images = images or _folder(data or splits.parent, folders)
    _verify(how, begin(how, splits), read_ytf(splits, images, max_frames=max_frames))


def _verify(how: How, run: Run, listed: PairList, threshold: float | None = None) -> None:
    from arcid.evaluate.protocols import verify

    result = verify(listed, run.embed(listed.photos), threshold=threshold, seed=how.seed)
    finish(how, run, result, listed=listed)


def _inside(data: Path | None, names: tuple[str, ...], what: str) -> Path:
    """The first of these files that is in the folder."""
    from arcid.errors import DatasetInvalid

    root = given(data, f"{what}, or --data FOLDER with {names[0]} inside")
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DatasetInvalid(f"{root} holds no {' or '.join(names)}; name the list with {what}")


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    return next((root / name for name in names if (root / name).is_dir()), root)


def _list_layout(path: Path) -> Literal["labels", "two-line"]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            first = next((line for line in file if line.strip()), "")
    except OSError:
        return "labels"  # the reader says what is wrong
    return "two-line" if len(first.split()) == 2 else "labels"

"""``arcid evaluate …``: how good is a model, on a public data set or on your own photos?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from arcid.cli.measuring import (
    Data,
    How,
    begin,
    finish,
    measures,
    measures_published,
    measures_without,
)
from arcid.progress import progress_bar

if TYPE_CHECKING:
    from arcid.apps.evaluate_photos import Run
    from arcid.evaluate.readers import PairList
    from arcid.evaluate.sources import Photo

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
    listed_in = _given(listed_in, "--data FILE.csv")
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

    listed = read_bin(_given(data, "--data FILE.bin"))
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

    listed = read_cfp(_given(data, "--data FOLDER"), protocol)
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


@app.command("ijb")
@measures_without("detector", "select", "aligned", "no_pictures")
def ijb(
    how: How,
    data: Data = None,
    target: Annotated[
        Literal["IJBB", "IJBC"], typer.Option("--target", help="Which set the folder holds.")
    ] = "IJBC",
    weights: Annotated[
        Literal["faceness", "none"],
        typer.Option("--weights", help="Weigh photos by the detector score of the list, or not."),
    ] = "faceness",
) -> None:
    """IJB-B and IJB-C: templates of photos and video frames, compared 1:1 and searched 1:N.

    The folder holds meta/ and loose_crop/ as InsightFace passes them around. With --embeddings
    (rows in the order of the photo list) the photos are not needed.

    Example: arcid evaluate ijb --data IJBC --embeddings ijbc.npy -o report/
    """
    from dataclasses import replace

    import numpy as np

    from arcid.evaluate.protocols import evaluate_ijb
    from arcid.evaluate.readers import read_ijb

    meta = read_ijb(_given(data, "--data FOLDER"), target)
    run = begin(replace(how, aligned=True), data)
    result = evaluate_ijb(
        meta,
        run.embed(meta.photos),
        weights=None if weights == "faceness" else np.ones(len(meta.photos)),
        seed=how.seed,
    )
    finish(how, run, result)


@app.command("megaface")
@measures_without("no_pictures", select="center")
def megaface(
    how: How,
    data: Data = None,
    probes: Annotated[
        Path | None, typer.Option("--probes", help="List of probes, text or the devkit's JSON.")
    ] = None,
    distractors: Annotated[
        Path | None, typer.Option("--distractors", help="List of distractors, text or JSON.")
    ] = None,
    probe_noises: Annotated[
        Path | None, typer.Option("--probe-noises", help="Refined set: probes to leave out.")
    ] = None,
    distractor_noises: Annotated[
        Path | None,
        typer.Option("--distractor-noises", help="Refined set: distractors to leave out."),
    ] = None,
    distractor_embeddings: Annotated[
        Path | None,
        typer.Option(
            "--distractor-embeddings", help="Vectors of the distractors; default: --embeddings."
        ),
    ] = None,
) -> None:
    """MegaFace: is the mate found first among up to a million distractors?

    The paths of both lists are looked up below --data, or in the files of embeddings.

    Example: arcid evaluate megaface --probes probes.json --distractors far.json --data megaface -o
    report/
    """
    from arcid.evaluate.protocols import evaluate_megaface
    from arcid.evaluate.readers import read_megaface
    from arcid.evaluate.sources import Photo

    lists = read_megaface(
        _given(probes, "--probes FILE"),
        _given(distractors, "--distractors FILE"),
        probe_noises=probe_noises,
        distractor_noises=distractor_noises,
    )
    root = data or Path()
    if how.embeddings is None:
        root = _given(data, "--data FOLDER of the photos, or --embeddings FILE")
    run = begin(how, probes)
    near = run.embed([Photo(p, root / p) for p in lists.probes])
    far = run.embed(
        [Photo(p, root / p) for p in lists.distractors],
        file=distractor_embeddings,
        contract_id=near.contract_id,
    )
    with _counting("searching", quiet=how.json) as progress:
        result = evaluate_megaface(near, lists.people, far, seed=how.seed, progress=progress)
    left_out = {
        "name": Path(probes).stem if probes else "megaface",
        "noisy_probes_left_out": lists.noisy_probes,
        "noisy_distractors_left_out": lists.noisy_distractors,
    }
    finish(how, run, result, more=left_out)


@app.command("gallery")
@measures
def gallery(
    how: How,
    data: Data = None,
    people: Annotated[int, typer.Option("--people", min=2, help="People enrolled.")] = 50,
    enrol: Annotated[int, typer.Option("--enrol", min=1, help="Photos enrolled of each.")] = 5,
    probe: Annotated[
        int, typer.Option("--probe", min=1, help="Other photos searched of each.")
    ] = 5,
    strangers: Annotated[
        int,
        typer.Option(
            "--strangers", min=-1, help="People searched who are not enrolled; -1: everybody left."
        ),
    ] = 0,
    pool: Annotated[
        Literal["best", "mean"],
        typer.Option("--pool", help="A person scores their best photo, or the mean of them."),
    ] = "best",
) -> None:
    """Enrol some photos of each of n people and search with others: Top-1, Top-3 and Top-5.

    Failed reads count as misses. With --strangers also how often somebody who is not enrolled is
    named (FPIR), and how that grows with the gallery. The folder holds one folder per person;
    --seed draws people and photos.

    Example: arcid evaluate gallery --data staff/ --enrol 5 --probe 5 --people 50 --strangers -1 -o
    report/
    """
    from arcid.evaluate.protocols import evaluate_gallery, split
    from arcid.evaluate.readers import read_people

    folder = read_people(_given(data, "--data FOLDER"))
    chosen = split(
        folder, people=people, enrol=enrol, probe=probe, strangers=strangers, seed=how.seed
    )
    used = sorted({*chosen.enrolled.tolist(), *chosen.probes.tolist(), *chosen.strangers.tolist()})
    run = begin(how, data)
    vectors = run.embed([folder.photos[i] for i in used])
    finish(how, run, evaluate_gallery(chosen, vectors, pool=pool, seed=how.seed))


@app.command("folder")
@measures
def folder(how: How, data: Data = None) -> None:
    """Every photo of a labelled folder against every other.

    The folder holds one folder per person. The highest pairs of two people are shown: look at them
    for wrong labels before you believe the numbers.

    Example: arcid evaluate folder --data photos/ -o report/
    """
    from arcid.evaluate.protocols import evaluate_folder
    from arcid.evaluate.readers import read_people

    found = read_people(_given(data, "--data FOLDER"))
    run = begin(how, data)
    vectors = run.embed(found.photos)
    with _counting("comparing", quiet=how.json) as progress:
        result = evaluate_folder(found, vectors, seed=how.seed, progress=progress)
    finish(how, run, result)


@app.command("pad")
@measures_without(
    *("model", "detector", "select", "aligned", "margin", "masked", "embeddings"),
    *("save_embeddings", "cache", "no_cache", "seed", "no_pictures"),
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

    found = read_pad(_given(data, "--data FILE.csv"))
    finish(how, begin(how, data), evaluate_pad(found, threshold))


@app.command("fairness")
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

    root = _given(data, "--data FOLDER")
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


# --- shared ----------------------------------------------------------------------------------


def _verify(how: How, run: Run, listed: PairList, threshold: float | None = None) -> None:
    from arcid.evaluate.protocols import verify

    result = verify(listed, run.embed(listed.photos), threshold=threshold, seed=how.seed)
    finish(how, run, result, listed=listed)


def _people_or_photos(root: Path) -> tuple[list[Photo], list[str] | None]:
    """Photos with their people; a folder of photos alone has none."""
    from arcid.errors import DatasetInvalid
    from arcid.evaluate.readers import read_people
    from arcid.evaluate.sources import Photo
    from arcid.image import SUFFIXES

    alone = sorted(p for p in root.glob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
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


def _given(path: Path | None, what: str) -> Path:
    from arcid.errors import UsageError

    if path is None:
        raise UsageError(f"say where the data is: {what}")
    return path


def _inside(data: Path | None, names: tuple[str, ...], what: str) -> Path:
    """The first of these files that is in the folder."""
    from arcid.errors import DatasetInvalid

    root = _given(data, f"{what}, or --data FOLDER with {names[0]} inside")
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


class _counting:  # noqa: N801
    """A progress bar for functions that report (done, total)."""

    def __init__(self, description: str, *, quiet: bool) -> None:
        self._bar = progress_bar(description, None, quiet=quiet)
        self._done = 0

    def __enter__(self) -> Any:
        advance = self._bar.__enter__()

        def progress(done: int, total: int) -> None:
            advance(done - self._done)
            self._done = done

        return progress

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)

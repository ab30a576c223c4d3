"""``arcid evaluate ijb``, ``megaface``, ``gallery``, ``folder``: one against many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from arcid.cli.measuring import (
    Data,
    How,
    begin,
    finish,
    given,
    measures,
    measures_without,
)
from arcid.progress import progress_bar, steps


def register(app: typer.Typer) -> None:
    app.command("ijb")(ijb)
    app.command("megaface")(megaface)
    app.command("gallery")(gallery)
    app.command("folder")(folder)


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

    meta = read_ijb(given(data, "--data FOLDER"), target)
    run = begin(replace(how, aligned=True), data)
    result = evaluate_ijb(
        meta,
        run.embed(meta.photos),
        weights=None if weights == "faceness" else np.ones(len(meta.photos)),
        seed=how.seed,
    )
    finish(how, run, result)


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
        given(probes, "--probes FILE"),
        given(distractors, "--distractors FILE"),
        probe_noises=probe_noises,
        distractor_noises=distractor_noises,
    )
    root = data or Path()
    if how.embeddings is None:
        root = given(data, "--data FOLDER of the photos, or --embeddings FILE")
    run = begin(how, probes)
    near = run.embed([Photo(p, root / p) for p in lists.probes])
    far = run.embed(
        [Photo(p, root / p) for p in lists.distractors],
        file=distractor_embeddings,
        contract_id=near.contract_id,
    )
    with progress_bar("searching", None, quiet=how.json) as advance:
        result = evaluate_megaface(near, lists.people, far, seed=how.seed, progress=steps(advance))
    left_out = {
        "name": Path(probes).stem if probes else "megaface",
        "noisy_probes_left_out": lists.noisy_probes,
        "noisy_distractors_left_out": lists.noisy_distractors,
    }
    finish(how, run, result, more=left_out)


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

    folder = read_people(given(data, "--data FOLDER"))
    chosen = split(
        folder, people=people, enrol=enrol, probe=probe, strangers=strangers, seed=how.seed
    )
    used = sorted({*chosen.enrolled.tolist(), *chosen.probes.tolist(), *chosen.strangers.tolist()})
    run = begin(how, data)
    vectors = run.embed([folder.photos[i] for i in used])
    finish(how, run, evaluate_gallery(chosen, vectors, pool=pool, seed=how.seed))


@measures
def folder(how: How, data: Data = None) -> None:
    """Every photo of a labelled folder against every other.

    The folder holds one folder per person. The highest pairs of two people are shown: look at them
    for wrong labels before you believe the numbers.

    Example: arcid evaluate folder --data photos/ -o report/
    """
    from arcid.evaluate.protocols import evaluate_folder
    from arcid.evaluate.readers import read_people

    found = read_people(given(data, "--data FOLDER"))
    run = begin(how, data)
    vectors = run.embed(found.photos)
    with progress_bar("comparing", None, quiet=how.json) as advance:
        result = evaluate_folder(found, vectors, seed=how.seed, progress=steps(advance))
    finish(how, run, result)

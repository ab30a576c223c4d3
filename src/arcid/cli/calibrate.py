"""``arcid calibrate``: measure what a recogniser's scores mean on labelled photos."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.options import Aligned
from arcid.cli.output import Json, note, print_json, print_table, say
from arcid.progress import progress_bar
from arcid.types import Selection

if TYPE_CHECKING:
    from arcid.calibration import Calibration
    from arcid.models.weights import Bundle

RESTART = "a running service keeps the calibration it started with: restart it"


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    folder: Annotated[
        Path | None, typer.Argument(help="One folder per person, photos inside.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Recogniser; default: the default.")] = None,
    detector: Annotated[str | None, typer.Option(help="Detector; default: the default.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write; default: beside your own models."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the photographs.")] = None,
    select: Annotated[
        Selection, typer.Option(help="Which face of a photo is the labelled one.")
    ] = "prominent",
    aligned: Aligned = False,
    review: Annotated[
        Path | None,
        typer.Option(
            help="Write the highest impostor pairs here as pictures, to look for label errors "
            "first; calibrates nothing.",
            metavar="DIR",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(help="CSV of pairs marked as label errors, as --review writes it."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Return to the calibration in force before this one; twice comes back."
        ),
    ] = False,
    alone: Annotated[
        bool,
        typer.Option(
            "--alone",
            help="Leave the packaged calibration out: rates these people cannot support by "
            "themselves are refused.",
        ),
    ] = False,
    provisional: Annotated[bool, typer.Option(help="Mark the result provisional.")] = False,
    notes: Annotated[str, typer.Option(help="A sentence kept in the file.")] = "",
    json: Json = False,
) -> None:
    """Measure thresholds, error rates and probabilities on a folder of labelled photos.

    What is measured: docs/concepts/thresholds.md. At rates that these people cannot support by
    themselves they are combined with the calibration that came with the model, so that every
    question is still answered; the last table shows the thresholds before and after. The
    calibration in force before is kept.

    Example: arcid calibrate people/ --dataset "our doors, May"
    """
    from arcid.apps import calibrate_photos as photos
    from arcid.errors import UsageError
    from arcid.evaluate.readers.folder import read_people
    from arcid.evaluate.review import read_exclusions, rows_of
    from arcid.files import require_folder, require_place
    from arcid.models import calibrations, weights
    from arcid.pipeline import Pipeline
    from arcid.types import counted

    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    if undo:
        _undo(bundle, json)
        return
    if folder is None:
        raise UsageError("name a folder with one folder per person, photos inside; or say --undo")
    if review is not None:
        require_folder(review)
    elif not dry_run:
        require_place(output or calibrations.in_force(bundle.manifest.contract_id))
    pairs = [] if exclude is None else read_exclusions(exclude)
    people = read_people(folder, allow_empty=True)
    pipeline = Pipeline.from_models(detector, model)
    with progress_bar("embedding", len(people.photos), quiet=json) as advance:
        read = photos.embed_folder(
            pipeline, folder, people, select=select, aligned=aligned, advance=advance
        )
    excluded = rows_of(pairs, read.names)
    if len(excluded) < len(pairs):
        note(f"{len(pairs) - len(excluded)} excluded pairs name photos that are not in {folder}")
    if copies := read.copies():
        are = "is a copy" if copies == 1 else "are copies"
        note(
            f"{counted(copies, 'photo')} {are} of another: people seem easier to recognise than "
            "they are; take copies out"
        )
    if review is not None:
        _say_review(folder, *photos.review(read, review, exclude=excluded), json)
        return
    result = photos.calibrate(
        read,
        bundle,
        exclude=excluded,
        alone=alone,
        dataset=dataset,
        status="provisional" if provisional else "measured",
        notes=notes,
        command=shlex.join(["arcid", *sys.argv[1:]]),
    )
    now = photos.in_force(bundle)
    path, kept = output or calibrations.in_force(result.contract_id), None
    if output is not None and not dry_run:
        result.save(output)
    elif not dry_run:
        kept = calibrations.install(result)
    _report(result, path, json, changes=photos.changes(now, result), kept=kept, dry_run=dry_run)
    if not json and output is None:
        _say_in_force(now, kept, dry_run)


def _say_review(folder: Path, page: Path, table: Path, suspected: int, json: bool) -> None:
    if json:
        print_json({"page": str(page), "pairs": str(table), "suspected": suspected})
    else:
        say(f"look at {page}, mark label errors in {table.name}, then calibrate with")
        say(f"  arcid calibrate {shlex.quote(str(folder))} --exclude {shlex.quote(str(table))}")


def _undo(bundle: Bundle, json: bool) -> None:
    from arcid.errors import ArcidError
    from arcid.models import calibrations, weights

    contract_id = bundle.manifest.contract_id
    kept = calibrations.undo(contract_id)
    own = calibrations.in_force(contract_id)
    try:
        now = weights.find_calibration(bundle)
        data: dict[str, Any] = {"calibration_id": now.calibration_id, **now.data}
        problem = None
    except ArcidError as error:  # a model without a packaged one, or a file spoilt by hand
        data, problem = {}, error.message
    if json:
        keys = ("calibration_id", "status", "dataset", "people", "photos", "date")
        print_json(
            {
                "path": str(own) if own.is_file() else None,
                "kept": None if kept is None else str(kept),
                **{key: data[key] for key in keys if key in data},
                "problem": problem,
            }
        )
        return
    if problem is not None:
        say(f"in force: none that can be used: {problem}")
    else:
        measured = f"{data['people']} people of {data['dataset']['name']}, {data['date']}"
        say(f"in force: {'yours' if own.is_file() else 'the packaged one'}, measured on {measured}")
    say(f"the other is {'the packaged one' if kept is None else f'kept in {kept}'}; --undo again "
        "returns to it")  # fmt: skip
    say(RESTART)


def _print_changes(changes: Sequence[dict[str, Any]]) -> None:
    def cosine(value: float | None) -> str:
        return "not answered" if value is None else f"{value:.3f}"

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}"

    print_table(
        ("asked", "before", "after", "your people missed", "then", "from"),
        [
            (
                f"FPIR {r['rate']:g}, {r['gallery_size']:,} templates" if r["kind"] == "fpir"
                else f"FMR {r['rate']:g}",
                cosine(r["before"]), cosine(r["after"]), share(r["fnmr_before"]),
                share(r["fnmr_after"]), r["source"],
            )
            for r in changes
        ],
    )  # fmt: skip
    lost = [r for r in changes if r["before"] is not None and r["after"] is None]
    if lost:
        note(
            f"warning: {len(lost)} of these questions were answered before and are not any more: "
            "more people are needed, or leave out --alone"
        )


def _say_in_force(now: Calibration | None, kept: Path | None, dry_run: bool) -> None:
    say("")
    if dry_run:
        say("nothing was written; the same command without --dry-run puts it in force")
        return
    if kept is not None:
        say(f"in force now; the one before is kept in {kept}")
    else:
        say(f"in force now, in place of {'none' if now is None else 'the packaged one'}")
    say("return to the one before with: arcid calibrate --undo")
    say(RESTART)


def _report(
    result: Calibration,
    path: Path,
    json: bool,
    *,
    changes: Sequence[dict[str, Any]],
    kept: Path | None,
    dry_run: bool,
) -> None:
    data = result.data
    shown = ("people", "photos", "failed_photos", "genuine_pairs", "impostor_pairs",
             "person_pairs", "label_errors_removed", "label_errors_suspected",
             "replicates_dropped")  # fmt: skip
    summary = {
        "path": str(path),
        "calibration_id": result.calibration_id,
        **{key: data[key] for key in shown},
        "smallest_measured_fmr": result.smallest_measured_fmr,
        "smallest_supported_fmr": result.smallest_supported_fmr,
    }
    if suspected := data["label_errors_suspected"]:
        note(
            f"warning: {suspected} pairs of two people score above half of the genuine pairs, as "
            "label errors do; look at them with --review DIR, then leave them out with --exclude"
        )
    if json:
        keys = ("thresholds", "gallery_table", "quality", "probability", "combined_with")
        found = {key: data[key] for key in keys if key in data}
        written = {"written": not dry_run, "kept": None if kept is None else str(kept)}
        print_json(summary | written | found | {"changes": changes})
        return
    for key, value in summary.items():
        say(f"{key.replace('_', ' ')}: {value}")
    if result.combined:
        own = result.smallest_measured_fmr
        say(
            ("these people alone support no rate" if own >= 1 else
             f"these people alone support FMR {own:.2g} and above")
            + "; what is marked combined rests on them and on the packaged calibration "
            f"({data['combined_with']['dataset']}): its thresholds are upper ends of intervals, "
            "which narrow as people are added"
        )  # fmt: skip
    say(f"probability: {data['probability']['kind']}")
    say("")
    print_table(
        ("FMR", "cosine", "95 % interval", "FNMR", ""),
        [
            (f"{r['fmr']:g}", f"{r['cosine']:.3f}", f"{r['cosine_low']:.3f}–{r['cosine_high']:.3f}",
             f"{r['fnmr']:.4f}", _source(r))
            for r in data["thresholds"]
        ],
    )  # fmt: skip
    say("")
    print_table(
        ("FPIR", "templates", "cosine", "95 % interval", "FNIR", ""),
        [
            (f"{r['fpir']:g}", f"{r['gallery_size']:,}", f"{r['cosine']:.3f}",
             f"{r['cosine_low']:.3f}–{r['cosine_high']:.3f}", f"{r['fnir']:.4f}", _source(r))
            for r in data["gallery_table"]
        ],
    )  # fmt: skip
    if "quality" in data:
        say("")
        _quality(data["quality"])
    say("")
    _print_changes(changes)


def _source(row: Mapping[str, Any]) -> str:
    beyond = row["extrapolated"] and row["source"] != "extrapolated"
    return f"{row['source']}{', beyond all data' if beyond else ''}"


def _quality(block: dict[str, Any]) -> None:
    say(f"FNMR at FMR {block['fmr']:g} is {block['fnmr']:.4f}; with the worst photos turned away:")
    measures = block["measures"]
    shares = [point["discarded"] for point in measures[0]["curve"]] if measures else []
    print_table(
        ("measure", *(f"{share:.0%}" for share in shares)),
        [(m["measure"], *(f"{p['fnmr']:.4f}" for p in m["curve"])) for m in measures],
    )
    if block["reasons"]:
        say("")
        print_table(
            ("reason", "photos", "pairs", "their FNMR", "FNMR without"),
            [
                (r["reason"], r["photos"], r["genuine_pairs"],
                 f"{r['rejected']['fnmr']:.3f}" if "rejected" in r else "–",
                 f"{r['kept']['fnmr']:.4f}" if "kept" in r else "–")
                for r in block["reasons"]
            ],
        )  # fmt: skip

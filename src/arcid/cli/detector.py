"""``arcid detector``: label pictures, train arcid's own face detector, export and measure it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid import extras
from arcid.cli.output import Json, note, print_json, print_table, say, tracked
from arcid.cli.training import Overrides, prepare, report, told
from arcid.types import Detections, Image

if TYPE_CHECKING:
    from arcid.train.detector.evaluate import DetectionMetrics

app = typer.Typer(
    help="Train and measure arcid's own face detector.\n\n"
    "Needs the extra train, and export also convert. How it works: "
    "docs/concepts/detector-training.md.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Argument(help="Recipe, such as configs/detect_s_2.yaml.")]
PointsRecipe = Annotated[Path, typer.Argument(help="Recipe, such as configs/detect_points.yaml.")]
LOW = (
    0.05  # threshold at which detectors are measured, so that the curve reaches its false positives
)


@app.command()
def label(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON-lines file to write.")],
    scenes: Annotated[
        str, typer.Option("--scenes", help="Pictures named folder/picture: .tar or folder.")
    ] = "${ARCID_DATA}/data/scenes.tar",
    first: Annotated[
        str, typer.Option("--first", help="Detector whose boxes and points are kept.")
    ] = "scrfd_2.5g",
    second: Annotated[str, typer.Option("--second", help="Detector that agrees or not.")] = "yunet",
    tile: Annotated[
        list[str] | None,
        typer.Option("--tile", help="Folder also looked at in tiles; default: group."),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option("--negative", help="Folder without faces; default: background."),
    ] = None,
    json: Json = False,
) -> None:
    """Find the faces that two detectors agree on, or that the first is sure of.

    Pictures are named folder/picture. What else one alone finds is set aside: neither face nor
    background.

    Example: arcid detector label --out runs/detect_labels.jsonl
    """
    from arcid.files import require_place
    from arcid.train.detector.config import ScenesConfig
    from arcid.train.detector.labels import Agreement, summarise, write_labels
    from arcid.train.detector.labels import label as look
    from arcid.train.detector.scenes import pictures

    require_place(out)
    rule = Agreement(negatives=tuple(negative or ["background"]))
    count, images = pictures(ScenesConfig(path=scenes))
    teachers = {name: _Tiling(name, rule.lone, set(tile or ["group"])) for name in (first, second)}
    watched = _watched(tracked(images, "labelling", count, quiet=json), teachers.values())
    write_labels(out, look(watched, {name: t.detect for name, t in teachers.items()}, rule))
    rows = summarise(out)
    if json:
        found = [{**_fields(row), "lone": dict(row.lone)} for row in rows]
        print_json({"labels": str(out), "folders": found})
        return
    columns = ("folder", "pictures", "faces", *(f"{name} alone" for name in teachers), "disputed")
    print_table(
        columns,
        [(r.folder, r.pictures, r.faces, *r.lone.values(), r.disputed) for r in rows],
    )


@app.command()
def faces(
    labels: Annotated[Path, typer.Option("--labels", help="Label file of the pictures.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Archive (.tar) to write.")],
    scenes: Annotated[
        str, typer.Option("--scenes", help="The pictures the labels are for.")
    ] = "${ARCID_DATA}/data/scenes.tar",
    least: Annotated[
        float, typer.Option("--least", help="Smallest face in pixels; smaller ones are left out.")
    ] = 40.0,
    json: Json = False,
) -> None:
    """Cut the labelled faces out of the pictures that are not reserved.

    They go into one archive of aligned crops without identity, to train a recogniser on
    (data.sources, labelled: false).

    Example: arcid detector faces --labels runs/detect_labels.jsonl --out runs/scene_faces.tar
    """
    from arcid.files import require_place
    from arcid.train.detector.config import ScenesConfig
    from arcid.train.detector.faces import write_faces
    from arcid.train.detector.scenes import split

    require_place(out)
    training, _ = split(ScenesConfig(path=scenes, labels=str(labels)))
    pictures = ((training.image(row), training.labels(row)) for row in range(len(training)))
    count = write_faces(out, tracked(pictures, "cutting", len(training), quiet=json), least)
    if json:
        print_json({"archive": str(out), "pictures": len(training), "faces": count})
        return
    say(f"{out}: {count} faces of {len(training)} pictures")


@app.command()
def train(config: Config, overrides: Overrides = None, json: Json = False) -> None:
    """Train by a recipe; the same command goes on with a run that was stopped.

    Data and start are told first, then a bar with speed and the running numbers. After Ctrl-C a
    checkpoint is stored and the exit code is 130.

    Example: arcid detector train configs/detect_s_2.yaml schedule.minutes=30
    """
    prepare()
    from arcid.train.detector.config import load_detect_config
    from arcid.train.detector.job import train_detector

    wanted = load_detect_config(config, overrides or ())
    report(train_detector(wanted, **told(json)), {}, json=json)


@app.command()
def points(config: PointsRecipe, overrides: Overrides = None, json: Json = False) -> None:
    """Train the landmark refiner by a recipe; a stopped run goes on.

    It is a small network that is fed a crop of each face. Tells and stops as arcid detector train.

    Example: arcid detector points configs/detect_points.yaml schedule.minutes=30
    """
    prepare()
    from arcid.train.detector.landmarks.config import load_points_config
    from arcid.train.detector.landmarks.job import train_points

    wanted = load_points_config(config, overrides or ())
    report(train_points(wanted, **told(json)), {}, json=json)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder the run was written to.")],
    to: Annotated[Path, typer.Option("--to", help="Folder that gets the bundle NAME/.")],
    points: Annotated[
        Path | None,
        typer.Option("--points", help="Run of a landmark refiner, to go with it."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the bundle.")] = "arcid-detect-s",
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Score from which a detection counts; default: measured."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="Licence of the weights; default: research only."),
    ] = None,
    commercial: Annotated[
        bool | None,
        typer.Option("--commercial/--no-commercial", help="Whether it allows commercial use."),
    ] = None,
    training_data: Annotated[
        str | None, typer.Option("--training-data", help="What it was trained on, for the card.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an older one of that name.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure a run's averaged weights on all reserved pictures and write them as a bundle.

    Example: arcid detector export runs/detect_s_5 --points runs/detect_points --to out
    """
    extras.require("exporting a detector", "convert")
    from arcid.models.install import require_place
    from arcid.models.manifest import Licence
    from arcid.train.detector.export import DATA, LICENCE, export_detector
    from arcid.train.detector.job import measure_network, restore_network
    from arcid.train.detector.landmarks.job import points_session, restore_points
    from arcid.train.detector.scenes import split

    require_place(to / name, replace=replace)
    network, checkpoint = restore_network(run)
    config = checkpoint.config
    config = config.but(validation=config.validation.but(pictures=0))
    _, validation = split(config.scenes)
    refiner = points_session(restore_points(points)[0]) if points else None
    metrics = measure_network(network, validation, config, refiner)
    folder = export_detector(
        run,
        to,
        [validation.image(row) for row in range(min(3, len(validation)))],
        name=name,
        threshold=metrics.threshold if threshold is None else threshold,
        metrics=metrics,
        licence=Licence(licence, None, commercial) if licence else LICENCE,
        data=training_data or DATA,
        refiner=points,
        replace=replace,
    )
    size = sum(file.stat().st_size for file in folder.glob("*.onnx"))
    if json:
        print_json({"bundle": str(folder), "bytes": size, "reserved": _rounded(metrics)})
        return
    say(f"{folder}: {size / 1e6:.2f} MB")
    _show([(name, metrics)])


@app.command()
def evaluate(
    detector: Annotated[
        list[str], typer.Argument(help="Detectors by name or bundle folder.", metavar="DETECTOR")
    ],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Label file; its reserved pictures are measured on."),
    ] = None,
    scenes: Annotated[
        str, typer.Option("--scenes", help="The pictures the labels are for.")
    ] = "${ARCID_DATA}/data/scenes.tar",
    all_pictures: Annotated[
        bool, typer.Option("--all", help="Every labelled picture, not only the reserved ones.")
    ] = False,
    fppi: Annotated[
        float,
        typer.Option(
            "--fppi", "--alarms", help="False positives per image at which recall is read."
        ),
    ] = 0.1,
    refine: Annotated[
        bool,
        typer.Option("--refine/--no-refine", help="With the landmark refiner, if any."),
    ] = True,
    photos: Annotated[
        Path | None,
        typer.Option("--photos", help="Folder of photos whose main face is compared instead."),
    ] = None,
    reference: Annotated[
        str, typer.Option("--reference", help="Detector the main faces are compared with.")
    ] = "scrfd_2.5g",
    json: Json = False,
) -> None:
    """Measure detectors on labelled pictures, or against another one on any photos.

    Recall is read where there are --fppi false positives per image. The second try at pictures
    without a sure face is left out: it is the network that is measured.

    Example: arcid detector evaluate yunet scrfd_2.5g --labels runs/detect_labels.jsonl
    """
    from arcid.detect import once
    from arcid.errors import UsageError

    if (labels is None) == (photos is None):
        raise UsageError("give either --labels, or --photos to compare main faces")
    options: dict[str, Any] = {} if refine else {"refine": False}
    if photos is not None:
        _compare_main(detector, reference, photos, options, json)
        return
    from arcid.pipeline import load_detector
    from arcid.train.detector.config import ScenesConfig
    from arcid.train.detector.evaluate import measure
    from arcid.train.detector.scenes import Scenes, labelled

    training, validation = labelled(ScenesConfig(path=scenes, labels=str(labels)))
    parts: list[Scenes] = [training, validation] if all_pictures else [validation]

    def pictures() -> Iterator[tuple[Image, Any]]:
        return ((part.image(row), part.labels(row)) for part in parts for row in range(len(part)))

    total = sum(map(len, parts))
    if not total:
        raise UsageError("no picture of the labels is reserved; --all takes every one")
    found = []
    for name in detector:
        find = once(load_detector(_located(name), threshold=LOW, **options))
        items = tracked(pictures(), Path(name).name, total, quiet=json)
        found.append((Path(name).name, measure(find, items, fppi=fppi)))
    if json:
        print_json({"detectors": {name: _rounded(result) for name, result in found}})
        return
    _show(found)


def _compare_main(
    names: Sequence[str], reference: str, photos: Path, options: dict[str, Any], json: bool
) -> None:
    from arcid.detect import once
    from arcid.errors import DatasetInvalid
    from arcid.image import is_photo, load_image
    from arcid.pipeline import load_detector
    from arcid.train.detector.evaluate import main_faces

    files = sorted(f for f in photos.rglob("*") if is_photo(f, photos) and f.is_file())
    if not files:
        raise DatasetInvalid(f"{photos.name} holds no photos", path=str(photos))
    against = once(load_detector(_located(reference)))
    rows = []
    for name in names:
        images = (load_image(f) for f in tracked(files, name, len(files), quiet=json))
        find = once(load_detector(_located(name), **options))
        rows.append((Path(name).name, main_faces(find, against, images)))
    if json:
        print_json({"reference": reference, "detectors": {n: _fields(row) for n, row in rows}})
        return
    print_table(
        ("detector", "photos", "main faces found %", "point error %", "95 % below"),
        [
            (n, r.pictures, f"{100 * r.found:.2f}", f"{100 * r.point_error:.2f}",
             f"{100 * r.point_error_95:.2f}")
            for n, r in rows
        ],
    )  # fmt: skip


class _Tiling:
    """A detector that also looks at tiles while pictures of some folders come."""

    def __init__(self, name: str, threshold: float, folders: set[str]) -> None:
        from arcid.detect import TiledDetector
        from arcid.pipeline import load_detector

        self._whole = load_detector(_located(name), threshold=threshold)
        self._tiled = TiledDetector(self._whole, scales=(2.0,))
        self._folders = folders
        self.folder = ""

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        from arcid.detect import once

        chosen = self._tiled if self.folder in self._folders else self._whole
        return once(chosen)(images)


def _watched(
    images: Iterable[tuple[str, Image]], teachers: Iterable[_Tiling]
) -> Iterator[tuple[str, Image]]:
    told = list(teachers)
    for name, image in images:
        for teacher in told:
            teacher.folder = name.partition("/")[0]
        yield name, image


def _located(name: str) -> str:
    """A bundle folder in the working folder is meant as a path, not as a name."""
    return str(Path(name).resolve()) if (Path(name) / "manifest.json").is_file() else name


def _show(found: Sequence[tuple[str, DetectionMetrics]]) -> None:
    first = found[0][1]
    note(f"{first.pictures} pictures, {first.faces} faces of 16 px and more")
    levels = sorted(first.recall_at)
    print_table(
        (
            "detector",
            *(f"recall % at {level:g} FPPI" for level in levels),
            f"threshold at {first.fppi:g}",
            "point error %",
            "median %",
            "FPPI on empty",
        ),
        [
            (
                name,
                *(f"{100 * result.recall_at[level]:.1f}" for level in levels),
                f"{result.threshold:.3f}",
                f"{100 * result.point_error:.2f}",
                f"{100 * result.point_error_median:.2f}",
                f"{result.empty_fppi:.3f}",
            )
            for name, result in found
        ],
    )


def _rounded(metrics: DetectionMetrics) -> dict[str, Any]:
    fields = _fields(metrics)
    return {
        name: {str(k): round(v, 4) for k, v in value.items()}
        if isinstance(value, dict)
        else round(value, 4)
        for name, value in fields.items()
    }


def _fields(value: Any) -> dict[str, Any]:
    import dataclasses

    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}

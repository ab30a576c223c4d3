"""``arcid enrol``: put people into the gallery, and measure how well they are found again."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.gallery import metadata_from, open_gallery
from arcid.cli.options import Aligned, Collection, Database, Detector, Model, SelectOne
from arcid.cli.output import (
    REJECTED,
    Exit,
    Json,
    error_dict,
    message_of,
    note,
    print_json,
    progress_bar,
    say,
)
from arcid.errors import by_reason, in_words

if TYPE_CHECKING:
    from arcid.apps.enrol import EnrolReport
    from arcid.gallery import Gallery
    from arcid.pipeline import Pipeline
    from arcid.types import Selection

RANKS = (1, 3, 5)
KNOWN = "already_exists"  # of a photo that was enrolled by an earlier call


@dataclass(frozen=True, slots=True)
class Holdout:
    """How the photos kept back were found. Top-k counts every probe, failed reads as not found."""

    probes: int
    top: dict[int, int]  # k → probes whose person is among the first k
    failed_reads: list[dict[str, Any]]  # probes without a face, and why
    already_enrolled: int  # photos enrolled earlier; they would find themselves and are left out
    gallery_people: int
    gallery_faces: int

    def by_reason(self) -> dict[str, int]:
        """Failed reads by error code."""
        return by_reason(failure["code"] for failure in self.failed_reads)

    def to_dict(self) -> dict[str, Any]:
        rates = {f"top{k}": round(n / self.probes, 4) for k, n in self.top.items() if self.probes}
        counts = {f"top{k}_count": n for k, n in self.top.items()}
        values = {k: v for k, v in asdict(self).items() if k not in ("top", "failed_reads")}
        return {
            **values,
            **rates,
            **counts,
            "failed_reads": len(self.failed_reads),
            "failed_by_reason": self.by_reason(),
            "failed": self.failed_reads,
        }


def register(app: typer.Typer) -> None:
    app.command()(enrol)


def enrol(
    name: Annotated[str | None, typer.Argument(help="Name of the person.", metavar="NAME")] = None,
    photos: Annotated[
        list[Path] | None, typer.Argument(help="Photos of them.", metavar="PHOTO")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="A folder with one folder per person.")
    ] = None,
    collection: Collection = "default",
    holdout: Annotated[
        int, typer.Option("--holdout", min=0, help="Keep so many photos back and look them up.")
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Keep photos back by lot; default: the last ones by name."),
    ] = None,
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Refuse photos of poor quality.")
    ] = True,
    select: SelectOne = "prominent",
    allow_duplicate: Annotated[
        bool,
        typer.Option("--allow-duplicate", help="Enrol faces that are somebody else already."),
    ] = False,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="KEY=VALUE to keep with NAME.")
    ] = None,
    detector: Detector = None,
    model: Model = None,
    aligned: Aligned = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Enrol one person from photos, or many from a folder with one folder per person.

    Every photo that is refused is reported with its reason. Exit code 0 when at least one photo
    was enrolled, or all were enrolled before; 1 when none was.
    """
    from arcid.apps.enrol import enrol_photos
    from arcid.errors import UsageError
    from arcid.pipeline import Pipeline

    if select == "all":
        raise UsageError("a photo enrols one person: --select prominent, one, largest or center")
    notes = metadata_from(metadata)
    if notes and folder is not None:
        raise UsageError("--metadata belongs to one person; leave it out with --from")
    people = _from_folder(name, folder) if folder is not None else _one_person(name, photos)
    kept, probes = hold_back(people, holdout, seed)
    pipeline = Pipeline.from_models(detector, model)
    with open_gallery(database, create=True) as gallery:
        _collection(gallery, collection)
        items = [(person, photo, str(photo)) for person, files in kept.items() for photo in files]
        with progress_bar("enrolling", len(items), quiet=json) as advance:
            report = enrol_photos(
                pipeline,
                gallery,
                collection,
                items,
                require_quality=quality,
                select=select,
                aligned=aligned,
                allow_duplicate=allow_duplicate,
                on_progress=_steps(advance),
            )
        if notes and (person := gallery.find_person(collection, next(iter(kept)))):
            gallery.update_person(collection, person.id, metadata={**person.metadata, **notes})
        measured = None
        if holdout:
            measured = _look_up(pipeline, gallery, collection, probes, select, aligned, json)
    known = sum(r.error.code == KNOWN for r in report.rejected)
    if json:
        print_json(_report_dict(report, collection, known, measured))
    else:
        _print_report(report, collection, known, measured)
    if report.enrolled == 0 and known < len(items):
        raise Exit(REJECTED)


def _one_person(name: str | None, photos: Sequence[Path] | None) -> dict[str, list[Path]]:
    from arcid.errors import UsageError

    if name is None or not photos:
        raise UsageError("enrol what? arcid enrol NAME PHOTO…, or arcid enrol --from FOLDER")
    return {name: list(photos)}


def _from_folder(name: str | None, folder: Path) -> dict[str, list[Path]]:
    from arcid.errors import InputError, UsageError
    from arcid.image import SUFFIXES

    if name is not None:
        raise UsageError("with --from the names are those of the folders; leave NAME out")
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; it needs one folder per person inside")
    people: dict[str, list[Path]] = {}
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        photos = sorted(p for p in inner.iterdir() if p.suffix.lower() in SUFFIXES)
        if photos:
            people[inner.name] = photos
    if not people:
        raise InputError(f"{folder} has no photos; it needs one folder per person, photos inside")
    return people


def hold_back(
    people: Mapping[str, Sequence[Path]], holdout: int, seed: int | None
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Split each person's photos into those enrolled, at least one, and those kept back."""
    lot = None if seed is None else random.Random(seed)  # noqa: S311
    kept: dict[str, list[Path]] = {}
    probes: dict[str, list[Path]] = {}
    for person, photos in people.items():
        order = list(photos)
        if lot is not None:
            lot.shuffle(order)
        back = set(order[max(len(order) - holdout, 1) :])
        kept[person] = [photo for photo in photos if photo not in back]
        probes[person] = [photo for photo in photos if photo in back]
    return kept, probes


def _collection(gallery: Gallery, name: str) -> None:
    """Make the collection unless it is there; another process may make it meanwhile."""
    from arcid.errors import AlreadyExists, CollectionNotFound

    try:
        gallery.collection(name)
    except CollectionNotFound:
        try:
            gallery.create_collection(name)
        except AlreadyExists:
            gallery.collection(name)


def _look_up(
    pipeline: Pipeline,
    gallery: Gallery,
    collection: str,
    probes: Mapping[str, Sequence[Path]],
    select: Selection,
    aligned: bool,
    quiet: bool,
) -> Holdout:
    """Search for every photo kept back; the quality gate is off, as in ``arcid search``."""
    from arcid.apps.enrol import embed_photos
    from arcid.errors import ArcidError

    keyed = [((person, str(photo)), photo) for person, files in probes.items() for photo in files]
    top: dict[int, int] = dict.fromkeys(RANKS, 0)
    failed: list[dict[str, Any]] = []
    known = 0
    ids: dict[str, str | None] = defaultdict(lambda: None)
    for person in probes:
        if found := gallery.find_person(collection, person):
            ids[person] = found.id
    with progress_bar("looking up", len(keyed), quiet=quiet) as advance:
        answers = embed_photos(pipeline, keyed, select=select, aligned=aligned)
        for (person, label), face in answers:
            advance(1)
            if isinstance(face, ArcidError):
                failed.append({"photo": label, "person": person, **error_dict(face)})
            elif gallery.photo_known(collection, face.photo_id):
                known += 1
            else:
                matches = gallery.search(collection, face.embedding, k=max(RANKS))[0]
                names = [match.person_id for match in matches]
                for k in RANKS:
                    top[k] += ids[person] in names[:k]
    size = gallery.collection(collection)
    return Holdout(len(keyed) - known, top, failed, known, size.people, size.faces)


def _steps(advance: Any) -> Any:
    """A callback told the total done, over one that takes increments."""
    last = 0

    def progress(done: int) -> None:
        nonlocal last
        advance(done - last)
        last = done

    return progress


def _report_dict(
    report: EnrolReport, collection: str, known: int, measured: Holdout | None
) -> dict[str, Any]:
    return {
        "collection": collection,
        "photos": report.photos,
        "enrolled": report.enrolled,
        "people": report.people,
        "already_enrolled": known,
        "rejected_by_reason": by_reason(r.error.code for r in report.rejected),
        "rejected": [
            {"photo": r.label, "person": r.person, **error_dict(r.error)} for r in report.rejected
        ],
        "seconds": round(report.seconds, 3),
        "photos_per_second": round(report.photos_per_s, 2),
        "holdout": None if measured is None else measured.to_dict(),
    }


def _print_report(
    report: EnrolReport, collection: str, known: int, measured: Holdout | None
) -> None:
    refused = [r for r in report.rejected if r.error.code != KNOWN]
    people = "1 person" if report.people == 1 else f"{report.people} people"
    say(
        f"Enrolled {report.enrolled} of {report.photos} photos, {people}, into {collection}: "
        f"{report.photos_per_s:.1f} photos per second"
    )
    if known:
        say(f"{known:,} were enrolled before; they were skipped")
    if refused:
        reasons = by_reason(r.error.code for r in refused)
        say(f"{len(refused):,} were refused: {in_words(reasons)}")
    if measured is not None:
        _print_holdout(measured)
    for r in refused:
        message = message_of(r.error)
        lead = "" if Path(r.label).name in message else f"{r.label}: "
        note(f"refused: {lead}{message}")
    for failure in [] if measured is None else measured.failed_reads:
        note(f"failed read: {failure['photo']}: {failure['message']}")


def _print_holdout(measured: Holdout) -> None:
    say(
        f"Held-out probes: {measured.probes}, searched among {measured.gallery_people} people "
        f"with {measured.gallery_faces} faces"
    )
    for k, count in measured.top.items():
        share = count / measured.probes if measured.probes else 0.0
        say(f"Top-{k}: {share:.2%} ({count} / {measured.probes})")
    reasons = f": {in_words(measured.by_reason())}" if measured.failed_reads else ""
    say(f"Failed reads: {len(measured.failed_reads)} / {measured.probes}{reasons}")
    if measured.already_enrolled:
        say(f"Left out, enrolled earlier: {measured.already_enrolled}")

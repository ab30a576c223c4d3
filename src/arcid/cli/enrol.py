"""``arcid enrol``: put people into the gallery, and measure how well they are found again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcid.cli.enrol_words import (
    known_before,
    note_passed_over,
    print_report,
    report_dict,
    telling_what_is_kept,
)
from arcid.cli.opening import open_gallery
from arcid.cli.options import (
    AgreedAt,
    AgreedBy,
    Aligned,
    Collection,
    ConsentText,
    Database,
    Detector,
    Evidence,
    Metadata,
    Model,
    SelectOne,
    consent_from,
    metadata_from,
    require_photos,
)
from arcid.cli.output import REJECTED, Exit, Json, print_json
from arcid.progress import progress_bar, steps

if TYPE_CHECKING:
    from arcid.gallery import Gallery


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
    metadata: Metadata = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Their id in another system.")
    ] = None,
    consent: ConsentText = None,
    evidence: Evidence = "",
    agreed_by: AgreedBy = "themselves",
    agreed_at: AgreedAt = None,
    detector: Detector = None,
    model: Model = None,
    aligned: Aligned = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Enrol one person from photos, or many from a folder with one folder per person.

    A folder's name is the person's. The collection and the gallery are made when missing. Photos
    that are refused are counted by reason, then listed with theirs; the rest is enrolled. So is
    counted who is somebody else already, unless --allow-duplicate takes them all the same. Photos
    that the person was enrolled with before, by the same model, are skipped before any face is
    looked for, so a run that was stopped can be started again. Exit code 0 when at least one photo
    was enrolled, or all were enrolled before; 1 when none was.

    --holdout N keeps the last N photos by name of every person back (by lot with --seed), always
    enrolling at least one, and then searches for each: Top-1, Top-3 and Top-5 say how often the
    person was the first, among the first three, among the first five of the collection. Photos in
    which no face could be found are failed reads and count as not found. Photos that were enrolled
    before would find themselves; they are left out and counted apart.

    --consent records that everybody enrolled here agreed to the text of that version, whoever was
    enrolled before included, unless they took that back. A collection whose policy demands consent
    takes nobody without (arcid gallery policy).

    Example: arcid enrol --from people/ --collection staff --holdout 1
    """
    from arcid.apps.enrol import enrol_photos, photos_by_person
    from arcid.apps.enrol_writing import Keeping, Outcome
    from arcid.apps.holdout import hold_back, look_up
    from arcid.errors import UsageError
    from arcid.gallery.opening import require_place
    from arcid.pipeline import Pipeline

    if select == "all":
        raise UsageError("a photo enrols one person: --select prominent, one, largest or center")
    notes = metadata_from(metadata)
    given = consent_from(consent, evidence, agreed_by, agreed_at)
    if notes and folder is not None:
        raise UsageError("--metadata belongs to one person; leave it out with --from")
    if external_id is not None and folder is not None:
        raise UsageError("--external-id belongs to one person; leave it out with --from")
    if name is not None and folder is not None:
        raise UsageError("with --from the names are those of the folders; leave NAME out")
    people = photos_by_person(folder) if folder is not None else _one_person(name, photos)
    if folder is not None:
        note_passed_over(folder, people)
    kept, probes = hold_back(people, holdout, seed)
    require_photos([photo for files in kept.values() for photo in files])
    require_place(database)
    pipeline = Pipeline.from_models(detector, model, many=True)
    with open_gallery(database, create=True) as gallery:
        gallery.ensure_collection(collection)
        if external_id is not None:
            _require_theirs(gallery, collection, next(iter(kept)), external_id)
        items = [(person, photo, str(photo)) for person, files in kept.items() for photo in files]
        stored: list[Outcome] = []
        keeping = Keeping(
            consent=lambda _: given, external_id=lambda _: external_id, outcomes=stored.extend
        )
        bar = progress_bar("enrolling", len(items), quiet=json)
        with bar as advance, telling_what_is_kept(stored):
            report = enrol_photos(
                pipeline,
                gallery,
                collection,
                items,
                require_quality=quality,
                select=select,
                aligned=aligned,
                allow_duplicate=allow_duplicate,
                keeping=keeping,
                on_progress=steps(advance),
            )
        known = known_before(report)
        theirs = report.enrolled + known > 0  # else nothing is changed of whoever has that name
        person = gallery.find_person(collection, str(name)) if theirs and folder is None else None
        if notes and person is not None:
            gallery.update_person(collection, person.id, metadata={**person.metadata, **notes})
        if external_id is not None and person is not None and person.external_id is None:
            gallery.update_person(collection, person.id, external_id=external_id)
        measured = None
        if holdout:
            total = sum(map(len, probes.values()))
            with progress_bar("looking up", total, quiet=json) as advance:
                measured = look_up(
                    pipeline,
                    gallery,
                    collection,
                    probes,
                    select=select,
                    aligned=aligned,
                    advance=advance,
                )
    if json:
        print_json(report_dict(report, collection, measured))
    else:
        print_report(report, collection, measured)
    if report.enrolled == 0 and known < len(items):
        raise Exit(REJECTED)


def _require_theirs(gallery: Gallery, collection: str, name: str, external_id: str) -> None:
    """Before any photo is read: an external id is of one person, and a person has one."""
    from arcid.errors import AlreadyExists

    holder, person = (
        gallery.person_with(collection, external_id),
        gallery.find_person(collection, name),
    )
    if holder is not None and (person is None or holder.id != person.id):
        raise AlreadyExists(f"the external id {external_id!r} is {holder.name}'s")
    if person is not None and person.external_id not in (None, external_id):
        raise AlreadyExists(
            f"{person.name} has the external id {person.external_id!r}; change it with arcid "
            "gallery external-id"
        )


def _one_person(name: str | None, photos: Sequence[Path] | None) -> dict[str, list[Path]]:
    from arcid.errors import UsageError

    if name is None or not photos:
        raise UsageError("enrol what? arcid enrol NAME PHOTO…, or arcid enrol --from FOLDER")
    return {name: list(photos)}

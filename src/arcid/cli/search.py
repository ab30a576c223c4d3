"""``arcid search``: who of the gallery is this?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.answers import (
    Extrapolate,
    calibration_keys,
    calibration_of,
    note_provisional,
    read_npz,
)
from arcid.cli.options import (
    Aligned,
    Collection,
    Database,
    Detector,
    Model,
    SelectFaces,
    Where,
)
from arcid.cli.output import (
    OK,
    REJECTED,
    Exit,
    Json,
    about,
    end_with,
    error_dict,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from arcid.batch import BatchItem
    from arcid.errors import ArcidError
    from arcid.gallery import Gallery, Person
    from arcid.pipeline import Identifier, Pipeline
    from arcid.results import Identification, Identified
    from arcid.types import Image


def register(app: typer.Typer) -> None:
    app.command()(search)


def search(
    photo: Annotated[
        Path | None,
        typer.Argument(
            help="Photo of the people looked for, or a folder of them.", metavar="PHOTO"
        ),
    ] = None,
    collection: Collection = "default",
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Candidates per face.")] = 5,
    fpir: Annotated[
        float, typer.Option("--fpir", help="Target false positive identification rate.")
    ] = 0.01,
    allow_extrapolation: Extrapolate = False,
    select: SelectFaces = "all",
    embedding: Annotated[
        Path | None, typer.Option("--embedding", help="Search by the vectors of an NPZ file.")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--person", help="Search for duplicates of an enrolled person, by id or name."
        ),
    ] = None,
    where: Where = None,
    detector: Detector = None,
    model: Model = None,
    aligned: Aligned = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Who of the gallery is this?

    Exit code 0: somebody was found, 1: nobody. Every face gets its candidates, best first, and a
    decision on the first one at a target false positive identification rate; the threshold follows
    the number of templates searched. Two faces of one photo are never given the same person. A
    search whose rate the calibration cannot support ends in review, for a human to decide (exit
    code 1), unless --allow-extrapolation is given.

    With --where only people with that metadata are searched, and the decision counts their
    templates alone.

    Of a folder every photo is searched by; one that cannot be used is reported (exit code 3) and
    costs no other.

    Search by a PHOTO or a folder, by the vectors of arcid embed (--embedding), or look for
    duplicates of somebody who is enrolled (--person).

    Example: arcid search visitors.jpg --collection staff --k 3
    """
    from arcid.calibration import check_rate
    from arcid.cli.opening import open_gallery
    from arcid.errors import UsageError
    from arcid.events import Audit, searches
    from arcid.gallery.rules import where_of
    from arcid.image import find_photos, load_image
    from arcid.pipeline import Pipeline
    from arcid.progress import progress_bar

    if sum(given is not None for given in (photo, embedding, person)) != 1:
        raise UsageError("search by one thing: a PHOTO, --embedding FILE.npz or --person PERSON")
    check_rate("fpir", fpir)
    if where and person is not None:
        raise UsageError("--where narrows a search by photo or by vector, not --person")
    only = where_of(where or ())
    started = time.perf_counter()
    options: dict[str, Any] = {
        "k": k, "fpir": fpir, "unsupported": "extrapolate" if allow_extrapolation else "review",
    }  # fmt: skip
    answer: dict[str, Any] = {"collection": collection}
    decider: Identifier
    found: Sequence[Identified]
    names: list[str] = []  # of each answer's photo, where there are several
    failed: list[ArcidError] = []
    with open_gallery(database, collection) as gallery:
        about_whom = f"collection:{gallery.collection(collection).id}"
        if photo is not None and photo.is_dir():
            files = list(find_photos([photo]))
            decider = pipeline = Pipeline.from_models(detector, model)
            options |= {"select": select, "aligned": aligned}
            batch = pipeline.identify_batch(files, gallery, collection, where=only, **options)
            with progress_bar("searching", len(files), quiet=json) as advance:
                answer["photos"], found, names, failed = _of_photos(batch, advance)
        elif photo is not None:
            image = load_image(photo)
            decider = pipeline = Pipeline.from_models(detector, model)
            options |= {"select": select, "aligned": aligned}
            found = _of_photo(pipeline, image, photo, gallery, collection, where=only, **options)
            answer["faces"] = [one.to_dict() for one in found]
        elif embedding is not None:
            probes = read_npz(embedding)
            decider = _identifier(probes.contract_id)
            found = decider.identify_embeddings(probes, gallery, collection, where=only, **options)
            answer["probes"] = [one.to_dict() for one in found]
        else:
            known = gallery.person_called(collection, str(person))
            decider = _identifier(_contract_of(gallery, collection, known, model))
            found = [decider.identify_person(known.id, gallery, collection, **options)]
            answer |= {"person_id": known.id, "name": known.name, **found[0].to_dict()}
            about_whom = f"person:{known.id}"
        if searches.noted():
            by = "photo" if photo is not None else "vector" if embedding is not None else "person"
            Audit(gallery).record(
                verb=f"search.{by}", subject=about_whom, collection=collection,
                details=searches.details(found, fpir),
            )  # fmt: skip
    if json:
        answer |= {
            "contract_id": decider.contract_id,
            "calibration": calibration_keys(decider.calibration),
            "time": round(time.perf_counter() - started, 3),
        }
        print_json(answer)
    else:
        _print_found(found, names)
        extrapolated = any(one.decision.extrapolated for one in found)
        note_provisional(decider.calibration, extrapolated)
    end_with(failed, json)
    raise Exit(OK if any(one.decision.matched for one in found) else REJECTED)


def _of_photos(
    batch: Iterable[BatchItem[list[Identification]]], advance: Callable[[int], object]
) -> tuple[list[dict[str, Any]], list[Identification], list[str], list[ArcidError]]:
    """Of many photos: what JSON tells, every face, its photo, and what was wrong with others."""
    told: list[dict[str, Any]] = []
    found: list[Identification] = []
    names: list[str] = []
    failed: list[ArcidError] = []
    for item in batch:
        if item.error is not None:
            failed.append(about(item.error, item.name))
            told.append({"photo": item.name, "error": error_dict(item.error)})
        else:
            faces = item.get()
            found += faces
            names += [item.name] * len(faces)
            told.append({"photo": item.name, "faces": [one.to_dict() for one in faces]})
        advance(1)
    return told, found, names, failed


def _of_photo(
    pipeline: Pipeline, image: Image, photo: Path, *place: Any, **options: Any
) -> list[Identification]:
    from arcid.errors import ArcidError, NoFaceFound

    try:
        found = pipeline.identify(image, *place, **options)
        if not found:
            raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
    except ArcidError as error:
        raise about(error, photo) from None
    return found


def _contract_of(gallery: Gallery, collection: str, person: Person, model: str | None) -> str:
    """The model that a person's faces are compared by: the one asked for, else the default, else
    the one that embedded them."""
    from arcid.errors import ContractMismatch, FaceNotFound
    from arcid.models import weights

    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    contract = bundle.manifest.contract_id
    known = [c for face in gallery.faces(collection, person.id) for c in face.contract_ids]
    if not known:
        raise FaceNotFound(f"{person.name} has no faces to search by")
    if contract in known:
        return contract
    if model:
        raise ContractMismatch(
            f"no face of {person.name} was embedded by {bundle.name}; "
            f"see: arcid gallery status --collection {collection}"
        )
    return known[0]


def _identifier(contract_id: str) -> Identifier:
    """Decides about vectors of a contract; no network is opened."""
    from arcid.pipeline import Identifier

    return Identifier(contract_id, calibration_of(contract_id))


def _print_found(found: Sequence[Identified], names: Sequence[str]) -> None:
    words = {"match": "match", "no_match": "nobody", "review": "review"}
    photos = names or [""] * len(found)
    seen: Counter[str] = Counter()
    table: list[tuple[object, ...]] = []
    reasons = []
    for photo, one in zip(photos, found, strict=True):
        i, outcome = seen[photo], words[one.decision.outcome]
        seen[photo] += 1
        reasons.append(f"{photo} face {i}: {one.decision.reason}".lstrip())
        if not one.candidates:
            table.append((photo, i, outcome, "", "", ""))
        for rank, match in enumerate(one.candidates, 1):
            name = match.name
            if match.given_to is not None:
                name += f" (given to face {match.given_to})"
            decided = outcome if rank == 1 else ""
            table.append((photo, i, decided, rank, name, f"{match.cosine:.3f}"))
    skipped = 0 if names else 1
    columns = ("photo", "face", "decision", "rank", "candidate", "cosine")
    print_table(columns[skipped:], [row[skipped:] for row in table])
    for reason in reasons:
        say(reason)

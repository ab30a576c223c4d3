"""``arcid search``: who of the gallery is this?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.answers import Extrapolate, decision_keys, note_provisional, read_npz, rounded
from arcid.cli.options import (
    Aligned,
    Collection,
    Database,
    Detector,
    Model,
    SelectFaces,
)
from arcid.cli.output import (
    OK,
    REJECTED,
    Exit,
    Json,
    about,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from arcid.calibration import Calibration
    from arcid.gallery import Gallery
    from arcid.results import Face
    from arcid.types import Decision, Embeddings, Match, Selection


def register(app: typer.Typer) -> None:
    app.command()(search)


def search(
    photo: Annotated[
        Path | None, typer.Argument(help="Photo of the people looked for.", metavar="PHOTO")
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
        str | None, typer.Option("--person", help="Search for doubles of a person, by id or name.")
    ] = None,
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

    Search by a PHOTO, by the vectors of arcid embed (--embedding), or look for doubles of somebody
    who is enrolled (--person).

    Example: arcid search visitors.jpg --collection staff --k 3
    """
    from arcid.cli.opening import open_gallery
    from arcid.decide import Unsupported
    from arcid.errors import UsageError

    if sum(given is not None for given in (photo, embedding, person)) != 1:
        raise UsageError("search by one thing: a PHOTO, --embedding FILE.npz or --person PERSON")
    started = time.perf_counter()
    unsupported: Unsupported = "extrapolate" if allow_extrapolation else "review"
    with open_gallery(database) as gallery:
        gallery.collection(collection)
        if photo is not None:
            rows, calibration = _search_photo(
                gallery, collection, photo, k, fpir, unsupported, select, detector, model, aligned
            )
        elif embedding is not None:
            rows, calibration = _search_vectors(
                gallery, collection, read_npz(embedding), k, fpir, unsupported
            )
        else:
            rows, calibration = _search_person(
                gallery, collection, str(person), k, fpir, unsupported, model
            )
    if json:
        print_json(
            {
                "collection": collection,
                "gallery_size": rows[0][2].gallery_size if rows else 0,
                "fpir": fpir,
                "faces": [
                    place
                    | {
                        "candidates": [asdict(match) for match in candidates],
                        "decision": decision_keys(decision, calibration),
                    }
                    for place, candidates, decision in rows
                ],
                "time": round(time.perf_counter() - started, 3),
            }
        )
    else:
        _print_found(rows, calibration)
    raise Exit(OK if any(decision.matched for _, _, decision in rows) else REJECTED)


Row = tuple[dict[str, Any], "list[Match]", "Decision"]  # where the face is, candidates, decision


def _search_photo(
    gallery: Gallery,
    collection: str,
    photo: Path,
    k: int,
    fpir: float,
    unsupported: Any,
    select: Selection,
    detector: str | None,
    model: str | None,
    aligned: bool,
) -> tuple[list[Row], Calibration]:
    from arcid.errors import ArcidError, NoFaceFound
    from arcid.image import load_image
    from arcid.pipeline import Pipeline

    image = load_image(photo)
    pipeline = Pipeline.from_models(detector, model)
    try:
        found = pipeline.identify(
            image,
            gallery,
            collection,
            fpir=fpir,
            k=k,
            select=select,
            aligned=aligned,
            unsupported=unsupported,
        )
        if not found:
            raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
    except ArcidError as error:
        raise about(error, photo) from None
    rows = [(_place(answer.face), answer.candidates, answer.decision) for answer in found]
    return rows, pipeline.calibration


def _search_vectors(
    gallery: Gallery,
    collection: str,
    probes: Embeddings,
    k: int,
    fpir: float,
    unsupported: Any,
) -> tuple[list[Row], Calibration]:
    calibration = _calibration_of(probes.contract_id)
    size = gallery.size(collection, probes.contract_id)
    found = gallery.search(collection, probes, k=k)
    rows = [_decided(matches, size, calibration, fpir, unsupported) for matches in found]
    return rows, calibration


def _search_person(
    gallery: Gallery,
    collection: str,
    reference: str,
    k: int,
    fpir: float,
    unsupported: Any,
    model: str | None,
) -> tuple[list[Row], Calibration]:
    from arcid.errors import ContractMismatch, FaceNotFound
    from arcid.models import weights

    person = gallery.person_called(collection, reference)
    bundle = weights.resolve(model) if model else weights.resolve_default("recognition")
    contract = bundle.manifest.contract_id
    faces = gallery.faces(collection, person.id)
    known = [contract for face in faces for contract in face.contract_ids]
    if not known:
        raise FaceNotFound(f"{person.name} has no faces to search by")
    if contract not in known:
        if model:
            raise ContractMismatch(
                f"no face of {person.name} was embedded by {bundle.name}; "
                f"see: arcid gallery status --collection {collection}"
            )
        contract = known[0]
    calibration = _calibration_of(contract)
    matches = gallery.search_person(collection, person.id, contract, k=k)
    others = gallery.size(collection, contract) - known.count(contract)
    _, _, decision = _decided(matches, others, calibration, fpir, unsupported)
    if not matches:
        decision = replace(decision, reason="nobody else is enrolled with this model")
    return [({"person_id": person.id, "name": person.name}, matches, decision)], calibration


def _calibration_of(contract_id: str) -> Calibration:
    from arcid.errors import CalibrationMissing
    from arcid.models import weights

    bundle = weights.of_contract(contract_id)
    if bundle is None:
        raise CalibrationMissing(
            f"no installed recogniser makes vectors of contract {contract_id[:12]}, so no "
            "threshold is known for them; see: arcid models list"
        )
    return weights.find_calibration(bundle)


def _decided(
    matches: list[Match], size: int, calibration: Calibration, fpir: float, unsupported: Any
) -> Row:
    from arcid import decide

    best = matches[0].cosine if matches else None
    decision = decide.identify(best, calibration, size, fpir=fpir, unsupported=unsupported)
    return {}, matches, decision


def _place(face: Face) -> dict[str, Any]:
    return {
        "box": None if face.box is None else rounded(face.box),
        "score": None if face.score is None else round(face.score, 4),
        "quality": None if face.quality is None else face.quality.to_dict(),
    }


def _print_found(rows: Sequence[Row], calibration: Calibration) -> None:
    words = {"match": "match", "no_match": "nobody", "review": "review"}
    table: list[tuple[object, ...]] = []
    for i, (_, candidates, decision) in enumerate(rows):
        if not candidates:
            table.append((i, words[decision.outcome], "", "", ""))
        for rank, match in enumerate(candidates, 1):
            outcome = words[decision.outcome] if rank == 1 else ""
            name = match.name
            if match.given_to is not None:
                name += f" (given to face {match.given_to})"
            table.append((i, outcome, rank, name, f"{match.cosine:.3f}"))
    print_table(("face", "decision", "rank", "candidate", "cosine"), table)
    for i, (_, _, decision) in enumerate(rows):
        say(f"face {i}: {decision.reason}")
    note_provisional(calibration, any(decision.extrapolated for _, _, decision in rows))

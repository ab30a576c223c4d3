"""``arcid verify``: are two photos of one person?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.answers import Extrapolate, Fmr, calibration_keys, note_provisional
from arcid.cli.options import (
    Aligned,
    Collection,
    Database,
    Detector,
    Model,
    SelectOne,
    require_photos,
)
from arcid.cli.output import (
    OK,
    REJECTED,
    Exit,
    Json,
    about,
    print_json,
    say,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from arcid.calibration import Calibration
    from arcid.pipeline import Pipeline
    from arcid.results import Face, PersonVerification, Verification
    from arcid.types import Decision, Image, Selection


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    a: Annotated[Path, typer.Argument(help="One photo.", metavar="A")],
    b: Annotated[
        Path | None, typer.Argument(help="The other photo, unless --person.", metavar="B")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Compare with this enrolled person, by id or name."),
    ] = None,
    collection: Collection = "default",
    database: Database = None,
    fmr: Fmr = 1e-4,
    select: SelectOne = "prominent",
    detector: Detector = None,
    model: Model = None,
    aligned: Aligned = False,
    allow_extrapolation: Extrapolate = False,
    json: Json = False,
) -> None:
    """Are these two photos of one person, or is A the enrolled PERSON?

    Exit code 0: yes, 1: no. The threshold comes from the model's calibration and the false match
    rate asked for; there is no other one. With --person the photo is compared with all faces of
    somebody who is enrolled, the rate holds however many they are, and the audit gets a row.

    With --json the answer has the keys that deepface's users know: verified, distance (1 − cosine),
    threshold (the largest distance that is a match, 1 − cosine threshold), similarity_metric,
    model, detector_backend, facial_areas (left_eye and right_eye are the person's own) and time in
    seconds. Beside them: cosine, cosine_threshold, probability (of one person, at equal prior
    odds), fmr (of a single comparison at this cosine), target_fmr, gallery_size, outcome, reason,
    extrapolated, the faces a and b (or face and person), and calibration with its id, dataset and
    whether it is provisional.

    Example: arcid verify passport.jpg camera.jpg --fmr 1e-4
    """
    from concurrent.futures import ThreadPoolExecutor

    from arcid.calibration import check_rate
    from arcid.cli.opening import open_gallery
    from arcid.errors import UsageError
    from arcid.image import load_image
    from arcid.pipeline import Pipeline

    if select == "all":
        raise UsageError(
            "verify compares one face with one: --select prominent, one, largest or center"
        )
    if (b is None) == (person is None):
        raise UsageError("compare photo A with one thing: a photo B or --person PERSON")
    check_rate("fmr", fmr)
    started = time.perf_counter()
    photos = [a] if b is None else [a, b]
    for photo in photos:
        require_photos([photo])
    with ExitStack() as stack:
        if person is not None:
            gallery = stack.enter_context(open_gallery(database, collection))
            known = gallery.person_called(collection, person)
            from arcid.events import Audit, searches
        pool = stack.enter_context(ThreadPoolExecutor(1))
        reading = [pool.submit(load_image, photo) for photo in photos]
        pipeline = Pipeline.from_models(detector, model)
        images = [_read(photo, future) for photo, future in zip(photos, reading, strict=True)]
        faces = [
            _one_face(pipeline, photo, image, select, aligned)
            for photo, image in zip(photos, images, strict=True)
        ]
        answer: Verification | PersonVerification
        if person is not None:
            answer = pipeline.verify_person_face(
                faces[0], gallery, collection, known.id, fmr=fmr,
                allow_extrapolation=allow_extrapolation,
            )  # fmt: skip
            if searches.noted():
                Audit(gallery).record(
                    verb="verify.photo", subject=f"person:{known.id}", collection=collection,
                    details=searches.compared([answer.decision]),
                )  # fmt: skip
        else:
            answer = pipeline.verify_faces(*faces, fmr=fmr, allow_extrapolation=allow_extrapolation)
    decision, calibration = answer.decision, pipeline.calibration
    if json:
        print_json(
            {
                **_deepface_keys(decision, pipeline.provenance["detector"], faces, images),
                "model": pipeline.provenance["model"],
                **answer.to_dict(),
                "calibration": calibration_keys(calibration),
                "time": round(time.perf_counter() - started, 3),
            }
        )
    else:
        _print_verdict(decision, calibration)
    raise Exit(OK if decision.matched else REJECTED)


def _read(photo: Path, reading: Future[Image]) -> Image:
    from arcid.errors import ArcidError

    try:
        return reading.result()
    except ArcidError as error:
        raise about(error, photo) from None


def _one_face(
    pipeline: Pipeline, photo: Path, image: Image, select: Selection, aligned: bool
) -> Face:
    from arcid.errors import ArcidError

    try:
        return pipeline.one_face(image, select=select, aligned=aligned)
    except ArcidError as error:
        raise about(error, photo) from None


def _deepface_keys(
    decision: Decision, detector: str, faces: Sequence[Face], images: Sequence[Image]
) -> dict[str, Any]:
    """What deepface's users look for; distances are 1 − cosine."""
    return {
        "verified": decision.matched,
        "distance": round(1 - (decision.cosine or 0.0), 6),
        "threshold": round(1 - decision.cosine_threshold, 6),
        "similarity_metric": "cosine",
        "detector_backend": detector,
        "facial_areas": {
            f"img{i}": _facial_area(face, image)
            for i, (face, image) in enumerate(zip(faces, images, strict=True), 1)
        },
    }


def _facial_area(face: Face, image: Image) -> dict[str, Any]:
    """x, y, w, h in pixels; left and right eye are the person's own."""
    x1, y1, x2, y2 = face.box or (0, 0, image.shape[1], image.shape[0])
    x, y = round(x1), round(y1)
    points = None if face.points is None else [[round(float(v)) for v in p] for p in face.points]
    return {
        "x": x,
        "y": y,
        "w": round(x2) - x,
        "h": round(y2) - y,
        "left_eye": points[1] if points else None,
        "right_eye": points[0] if points else None,
    }


def _print_verdict(decision: Decision, calibration: Calibration) -> None:
    heading = "Same person" if decision.matched else "Different people"
    say(
        f"{heading}: cosine {decision.cosine:.2f}, threshold {decision.cosine_threshold:.2f} at "
        f"FMR {decision.target_fmr:g}"
    )
    say(
        f"probability {decision.probability:.4f}; at most {decision.fmr:.2g} of comparisons "
        "of two different people reach this cosine"
    )
    note_provisional(calibration, decision.extrapolated)

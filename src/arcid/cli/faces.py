"""``arcid detect``, ``embed`` and ``verify``: photos in, faces and answers out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.options import (
    Aligned,
    Detector,
    Model,
    Photos,
    SelectFaces,
    require_photos,
)
from arcid.cli.output import (
    Json,
    about,
    each_photo,
    end_with,
    error_dict,
    note,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from arcid import detect as detectors
    from arcid.errors import ArcidError
    from arcid.results import Faces
    from arcid.types import Image, Selection


def register(app: typer.Typer) -> None:
    for command in (detect, embed):
        app.command()(command)


# detect


def detect(
    photos: Photos,
    detector: Detector = None,
    select: SelectFaces = "all",
    tiled: Annotated[
        bool, typer.Option("--tiled", help="Also look at tiles: for small faces in large photos.")
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Also look at the photo turned by quarters.")
    ] = False,
    crops: Annotated[
        Path | None, typer.Option("--crops", help="Write the aligned faces here, as PNG.")
    ] = None,
    json: Json = False,
) -> None:
    """Find faces: boxes, five points, scores and quality.

    Boxes are x1 y1 x2 y2 in pixels; quality gives the reasons why a face should not be used. A
    photo without faces is an answer, not an error.

    In JSON, points are the viewer's left eye, right eye, nose, and the corners of the mouth. Crops
    are named after their photo and the number of the face.

    Example: arcid detect family.jpg --crops faces/
    """
    from arcid.detect import name_of
    from arcid.errors import ArcidError
    from arcid.files import require_folder
    from arcid.image import find_photos
    from arcid.pipeline import load_detector

    started = time.perf_counter()
    files = list(find_photos(photos))
    require_photos(files)
    if crops is not None:
        require_folder(crops)
    finder = _wrapped(load_detector(detector), tiled=tiled, rotate=rotate)

    def work(numbered: tuple[int, Path]) -> dict[str, Any]:
        number, photo = numbered
        return _detected(finder, photo, select, crops, number if len(files) > 1 else None)

    found: list[dict[str, Any]] = []
    failed: list[ArcidError] = []
    for photo, answer in each_photo(files, work, "detecting", quiet=json):
        if isinstance(answer, ArcidError):
            failed.append(answer)
            found.append({"photo": str(photo), "error": error_dict(answer)})
        else:
            found.append(answer)
    if json:
        seconds = round(time.perf_counter() - started, 3)
        print_json({"detector": name_of(finder), "photos": found, "time": seconds})
    else:
        _print_detected(found)
    end_with(failed, json)


def _wrapped(finder: detectors.Detector, *, tiled: bool, rotate: bool) -> detectors.Detector:
    from arcid.detect import RotationSearch, TiledDetector

    if tiled:
        finder = TiledDetector(finder)
    return RotationSearch(finder) if rotate else finder


def _detected(
    finder: detectors.Detector,
    photo: Path,
    select: Selection,
    crops: Path | None,
    index: int | None,
) -> dict[str, Any]:
    from arcid.align import align
    from arcid.image import load_image
    from arcid.quality import QualityGate
    from arcid.results import photo_dict

    image = load_image(photo)
    found = finder.detect([image])[0].select(select)
    cut = align(image, found, template="box" if found.points is None else "arcface")
    quality = QualityGate().assess(image, found, cut)
    told = {"photo": str(photo), **photo_dict(found, cut, quality)}
    if crops is not None:
        stem = photo.stem if index is None else f"{index:04d}-{photo.stem}"
        for i, face in enumerate(told["faces"]):
            face["crop"] = str(_write_png(crops / f"{stem}-{i}.png", cut.pixels[i]))
    return told


def _print_detected(found: Sequence[dict[str, Any]]) -> None:
    rows: list[tuple[object, ...]] = []
    for entry in found:
        faces = entry.get("faces", ())
        if "faces" in entry and not faces:
            rows.append((entry["photo"], "", "", "no face found", ""))
        for i, face in enumerate(faces):
            reasons = " ".join(reason["message"] for reason in face["quality"]["reasons"])
            box = " ".join(f"{v:.0f}" for v in face["box"].values())
            rows.append((entry["photo"], i, f"{face['score']:.3f}", box, reasons or "good"))
    if rows:
        print_table(("photo", "face", "score", "box (x1 y1 x2 y2)", "quality"), rows)


# embed


def embed(
    photos: Photos,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write the vectors to: .npz, or .npy of vectors alone."
        ),
    ] = None,
    model: Model = None,
    detector: Detector = None,
    select: SelectFaces = "all",
    aligned: Aligned = False,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Print the vectors themselves; needs --json.")
    ] = False,
    json: Json = False,
) -> None:
    """Turn faces into vectors.

    An .npz holds vectors (N,D), contract_id, model, files (N,), boxes (N,4) and scores (N,); boxes
    and scores are NaN for aligned photos. An .npy holds the vectors alone, in the order of the
    photos, and is written only where every photo gave one. Vectors of two models, told apart by
    contract_id, cannot be compared. A photo without a face is reported as an error; where no photo
    gives a face, nothing is written.

    --json lists counts; the vectors themselves are printed with --vectors only. They are personal
    data: keep them as you would keep the photos.

    Example: arcid embed ann.jpg bob.jpg -o faces.npz
    """
    from arcid import files
    from arcid.errors import ArcidError, NoFaceFound, UsageError
    from arcid.image import find_photos
    from arcid.pipeline import Pipeline
    from arcid.progress import progress_bar

    if output is None and not vectors:
        raise UsageError("say where the vectors go: -o FILE.npz, or --vectors --json")
    if vectors and not json:
        raise UsageError("--vectors needs --json")
    if output is not None:
        if output.suffix.lower() not in (".npz", ".npy"):
            raise UsageError(f"vectors are written as .npz or .npy, not as {output.name}")
        files.require_place(output)
    started = time.perf_counter()
    places = list(find_photos(photos))
    require_photos(places)
    pipeline = Pipeline.from_models(detector, model)
    found: list[tuple[str, Faces]] = []
    failed: list[tuple[str, ArcidError]] = []
    with progress_bar("embedding", len(places), quiet=json) as advance:
        for item in pipeline.faces_batch(places, select=select, aligned=aligned):
            try:
                faces = item.get()
                if len(faces) == 0:
                    raise NoFaceFound("no face was found in the photo; use one that shows a face")
                found.append((item.name, faces))
            except ArcidError as error:
                failed.append((item.name, about(error, item.name)))
            advance(1)
    contract = pipeline.embedder.contract_id
    name = pipeline.provenance["model"]
    count = sum(len(faces) for _, faces in found)
    kept = _write_vectors(output, found, failed, contract, name) if output is not None else None
    if json:
        listed = [
            {"photo": photo, "faces": len(faces)}
            | ({"vectors": faces.embeddings.vectors.tolist()} if vectors else {})
            for photo, faces in found
        ]
        errors = [{"photo": photo, "error": error_dict(error)} for photo, error in failed]
        print_json(
            {
                "model": name,
                "contract_id": contract,
                "dim": pipeline.embedder.dim,
                "faces": count,
                "photos": listed + errors,
                "output": None if kept is None else str(kept),
                "time": round(time.perf_counter() - started, 3),
            }
        )
    elif kept is not None:
        say(f"{count} faces of {len(found)} photos embedded by {name} into {kept}")
    else:
        note(f"{output} was not written: {_unwritten(found, failed)}")
    end_with([error for _, error in failed], json)


def _write_vectors(
    path: Path,
    found: Sequence[tuple[str, Faces]],
    failed: Sequence[object],
    contract: str,
    model: str,
) -> Path | None:
    """Where they went; None where there is nothing to put there, and what was there stays."""
    import numpy as np

    from arcid import files

    if not found or (failed and path.suffix.lower() == ".npy"):
        return None
    vectors = np.concatenate([faces.embeddings.vectors for _, faces in found])
    if path.suffix.lower() == ".npy":
        with files.replacing(path, private=True) as stream:
            np.save(stream, vectors)
        return path
    empty = np.full((1, 5), np.nan, np.float32)
    places = [
        np.repeat(empty, len(faces), axis=0)
        if faces.detections is None
        else np.column_stack([faces.detections.boxes, faces.detections.scores])
        for _, faces in found
    ]
    table = np.concatenate(places).astype(np.float32)
    names = [photo for photo, faces in found for _ in range(len(faces))]
    with files.replacing(path, private=True) as stream:
        np.savez(
            stream,
            vectors=vectors,
            contract_id=np.array(contract),
            model=np.array(model),
            files=np.array(names, np.str_),
            boxes=table[:, :4],
            scores=table[:, 4],
        )
    return path


def _unwritten(found: Sequence[object], failed: Sequence[object]) -> str:
    if not found:
        return "nothing was embedded"
    return f"rows of an .npy have no names, and {len(failed)} photos gave none; use .npz"


# verify


# shared


def _write_png(path: Path, pixels: Image) -> Path:
    from PIL import Image as Pil

    from arcid import files

    with files.replacing(path, private=True) as stream:
        Pil.fromarray(pixels).save(stream, "PNG")
    return path

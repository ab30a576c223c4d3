"""``arcid liveness``: living faces or pictures of faces, one photo at a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcid.cli.options import Detector, Photos, SelectFaces, require_photos
from arcid.cli.output import (
    OK,
    REJECTED,
    Exit,
    Json,
    each_photo,
    end_with,
    error_dict,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from arcid import detect as detectors
    from arcid.errors import ArcidError
    from arcid.liveness import PassiveLiveness
    from arcid.types import Selection


def register(app: typer.Typer) -> None:
    app.command()(liveness)


def liveness(
    photos: Photos,
    detector: Detector = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Liveness network; repeatable. Default: the MiniFASNet pair."),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", min=0, max=1, help="Score from which a face counts as live, 0–1."
        ),
    ] = 0.5,
    select: SelectFaces = "all",
    json: Json = False,
) -> None:
    """Is each face alive, or a print or screen held before the camera?

    Two small networks look at the face with its surroundings; score is the mean of their
    probabilities, 0–1, higher is live. Hand in whole photos as the camera took them, not crops.
    Exit code 1 where a face is judged not to be live. What the scores are worth, and how to get the
    networks: docs/concepts/liveness.md.

    Example: arcid liveness entrance.jpg --select largest
    """
    from arcid.detect import name_of
    from arcid.errors import ArcidError
    from arcid.image import find_photos
    from arcid.liveness import passive
    from arcid.pipeline import load_detector

    started = time.perf_counter()
    files = list(find_photos(photos))
    require_photos(files)
    check = passive.load(model or passive.PAIR, threshold=threshold)
    finder = load_detector(detector)
    found: list[dict[str, Any]] = []
    failed: list[ArcidError] = []

    def work(numbered: tuple[int, Path]) -> list[dict[str, Any]]:
        return _faces(finder, check, numbered[1], select)

    for photo, answer in each_photo(files, work, "checking", quiet=json):
        if isinstance(answer, ArcidError):
            failed.append(answer)
            found.append({"photo": str(photo), "error": error_dict(answer)})
        else:
            found.append({"photo": str(photo), "faces": answer})
    if json:
        seconds = round(time.perf_counter() - started, 3)
        print_json(
            {
                "model": check.name,
                "threshold": check.threshold,
                "detector": name_of(finder),
                "photos": found,
                "time": seconds,
            }
        )
    else:
        _print(found, check)
    end_with(failed, json)
    verdicts = [face["live"] for entry in found for face in entry["faces"]]
    raise Exit(OK if all(verdicts) else REJECTED)


def _faces(
    finder: detectors.Detector, check: PassiveLiveness, photo: Path, select: Selection
) -> list[dict[str, Any]]:
    from arcid.errors import NoFaceFound
    from arcid.image import load_image

    image = load_image(photo)
    faces = finder.detect([image])[0].select(select)
    if len(faces) == 0:
        raise NoFaceFound("no face was found in the photo; use one that shows a face clearly")
    (each,) = check.each([image], [faces])
    return [
        {
            "box": [round(float(v), 1) for v in faces.boxes[i]],
            "live": bool(score >= check.threshold),
            "score": round(float(score), 4),
            "scores": {
                net.manifest.name: round(float(value), 4)
                for net, value in zip(check.nets, each[:, i], strict=True)
            },
        }
        for i, score in enumerate(each.mean(axis=0))
    ]


def _print(found: list[dict[str, Any]], check: PassiveLiveness) -> None:
    rows: list[tuple[object, ...]] = []
    for entry in found:
        for i, face in enumerate(entry.get("faces", ())):
            verdict = "live" if face["live"] else "not live"
            single = ", ".join(f"{name} {value:.3f}" for name, value in face["scores"].items())
            rows.append((entry["photo"], i, f"{face['score']:.3f}", verdict, single))
    if rows:
        columns = (
            "photo",
            "face",
            f"score (live from {check.threshold:g})",
            "decision",
            "networks",
        )
        print_table(columns, rows)

"""Who of a folder's pictures is in a picture, or stands before a camera."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import Any

import numpy as np

from arcid.compat.deepface import distances, models, pictures
from arcid.compat.deepface.distances import Metric
from arcid.compat.deepface.faces import find_faces, refuse_spoofs, vectors
from arcid.compat.deepface.folder import FolderIndex
from arcid.compat.deepface.streaming import Screen, Seen, Steady, drawn, frames_of
from arcid.compat.deepface.tables import Answer, answer


def find(
    img_path: Any,
    db_path: str,
    model_name: str = "VGG-Face",
    distance_metric: Metric = "cosine",
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: bool = True,
    similarity_search: bool = False,
    k: int | None = None,
    expand_percentage: int = 0,
    threshold: float | None = None,
    normalization: str = "base",
    silent: bool = False,
    refresh_database: bool = True,
    anti_spoofing: bool = False,
    datastore_format: str = "npz",
    return_type: Answer | None = None,
    batched: bool = False,
    credentials: Any = None,
) -> Any:
    """Who of the pictures below ``db_path`` is in a picture: for each of its faces a table, nearest
    first, of all within ``threshold`` (``similarity_search``: of the ``k`` nearest).

    The folder's faces are kept in a gallery inside it, ``arcid-faces.db``; what is new, changed or
    gone since is all that is looked at again. Tables are pandas frames where pandas is installed,
    else lists of dicts; ``return_type`` "pandas" or "dict" chooses. ``batched``, as before version
    0.0.101: dicts without ``confidence``. ``datastore_format`` changes nothing; pickles are never
    read.
    """
    if credentials is not None:
        raise ValueError("arcid's galleries are sealed by keys of their own; leave credentials out")
    model = models.recogniser(model_name)
    distances.check_metric(distance_metric, threshold)
    if similarity_search and k is None:
        raise ValueError("similarity_search needs k, the number of pictures wanted")
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    index = FolderIndex.of(db_path, model, detector_backend, by_points=align)
    if refresh_database:
        index.refresh()
    index.check_filled(db_path)
    if pictures.is_batch(img_path):
        again = functools.partial(
            find, db_path=db_path, model_name=model_name, distance_metric=distance_metric,
            enforce_detection=enforce_detection, detector_backend=detector_backend, align=align,
            similarity_search=similarity_search, k=k, threshold=threshold,
            refresh_database=False, anti_spoofing=anti_spoofing, return_type=return_type,
            batched=batched,
        )  # fmt: skip
        return [again(one) for one in img_path]
    found, live = find_faces(
        img_path, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
    )
    refuse_spoofs(live, "Spoof detected in the given image.")
    if threshold is None:
        threshold = distances.threshold_of(model.name, model.calibration, str(distance_metric))
    embedded = vectors(found, model, by_points=align)[0]
    tables = []
    within = math.inf if similarity_search else float(threshold)
    near_each = index.nearest(embedded, distance_metric, within=within, k=k)
    for area, near in zip(found.areas, near_each, strict=True):
        rows = [
            {
                "identity": face.path(db_path),
                "hash": face.hash,
                **{f"target_{side}": face.area[side] for side in "xywh"},
                "threshold": float(threshold),
                **{f"source_{side}": area[side] for side in "xywh"},
                "distance": value,
                "confidence": distances.confidence(
                    value, threshold, distance_metric, model.calibration
                ),
            }
            for face, value in near
        ]
        if batched:
            for row in rows:
                del row["confidence"]
        tables.append(answer(rows, FIND_COLUMNS, "dict" if batched else return_type))
    return tables


FIND_COLUMNS = (
    "identity", "hash", "target_x", "target_y", "target_w", "target_h", "threshold", "source_x",
    "source_y", "source_w", "source_h", "distance", "confidence",
)  # fmt: skip


def stream(
    db_path: str = "",
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str = "cosine",
    enable_face_analysis: bool = True,
    source: Any = 0,
    time_threshold: int = 5,
    frame_threshold: int = 5,
    anti_spoofing: bool = False,
    output_path: str | None = None,
    debug: bool = False,
) -> None:
    """Watch a camera or a video until it ends or ``q`` is pressed in its window. A face in
    ``frame_threshold`` frames in a row: the picture stands for ``time_threshold`` seconds and names
    the nearest picture of ``db_path`` that is within the threshold.

    ``output_path``: an .mp4 of what the window shows; a machine without windows writes that alone.
    ``enable_face_analysis`` changes nothing: arcid has no models that guess traits.
    """
    if time_threshold < 1 or frame_threshold < 1:
        raise ValueError("time_threshold and frame_threshold must be at least 1")
    model = models.recogniser(model_name)
    distances.check_metric(distance_metric, None)
    threshold = distances.threshold_of(model.name, model.calibration, distance_metric)
    index = FolderIndex.of(db_path, model, detector_backend, by_points=True)
    index.refresh()
    index.check_filled(db_path)
    steady = Steady(frame_threshold)
    with frames_of(source) as (frames, fps), contextlib.closing(Screen(output_path, fps)) as screen:
        for image in frames:
            picture = np.ascontiguousarray(image[..., ::-1])
            found, live = find_faces(
                picture, detector_backend, enforce=False, anti_spoofing=anti_spoofing
            )
            areas = [] if found.whole else found.areas
            seen: list[Seen] = [(area, None) for area in areas]
            if still := steady.of(len(areas)):
                embedded = vectors(found, model, by_points=True)[0]
                near = index.nearest(embedded, distance_metric, within=threshold, k=1)
                real = [one[0] for one in live] or [True] * len(areas)
                seen = [
                    (area, rows[0][0].path(db_path) if rows and alive else None)
                    for area, rows, alive in zip(areas, near, real, strict=True)
                ]
            if not screen.show(drawn(image, seen), time_threshold if still else 0):
                return


__all__ = ["FIND_COLUMNS", "find", "stream"]

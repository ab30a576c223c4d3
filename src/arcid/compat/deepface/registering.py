"""Faces that are kept in a gallery under a name, and looked for in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from arcid.compat.deepface import distances, models, pictures
from arcid.compat.deepface.comparing import detector_name, verify
from arcid.compat.deepface.faces import find_faces, refuse_spoofs, vectors
from arcid.compat.deepface.store import Store, number_of, refuse_known
from arcid.compat.deepface.tables import Answer, Row, answer


def register(
    img: Any,
    img_name: str | None = None,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
) -> dict[str, int]:
    """Keep every face of a picture, or of several, under a name in a gallery.

    ``connection_details``: the gallery's path or URL, None for the default one; ``database_type``
    changes nothing. No picture is kept. A picture that is stored already inserts 0; among several
    it raises ``DuplicateEntryError``.
    """
    with _store(connection_details, connection, model_name, detector_backend, align) as store:
        several = pictures.is_batch(img)
        inserted = 0
        for number, one in enumerate(img if several else [img]):
            found, live = find_faces(
                one, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
            )
            refuse_spoofs(live, "Spoof detected in the given image.")
            embedded = vectors(found, store.model, by_points=align)[0]
            new = store.add(found, embedded, img_name, one)
            if several:
                refuse_known(new, number)
            inserted += new
    return {"inserted": inserted}


def search(
    img: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str = "cosine",
    enforce_detection: bool = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    similarity_search: bool = False,
    k: int | None = None,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
    search_method: str = "exact",
    return_type: Answer | None = None,
) -> Any:
    """Who of those registered is in a picture: for each of its faces a table, nearest first, one
    row a person. Always exact, whatever ``search_method`` says."""
    distances.check_metric(distance_metric, None)
    if search_method not in ("exact", "ann"):
        raise ValueError(f"search_method is exact or ann, got {search_method!r}")
    with _store(connection_details, connection, model_name, detector_backend, align) as store:
        model = store.model
        found, live = find_faces(
            img, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
        )
        refuse_spoofs(live, "Spoof detected in the given image.")
        near = store.nearest(vectors(found, model, by_points=align)[0])
    threshold = distances.threshold_of(model.name, model.calibration, distance_metric)
    tables = []
    for area, matches in zip(found.areas, near, strict=True):
        rows = []
        for match in matches[: k if similarity_search or k else None]:
            value = distances.between(match.cosine, distance_metric)
            if value > threshold and not similarity_search:
                continue
            rows.append(
                {
                    "id": number_of(match.face_id),
                    "img_name": match.name,
                    "model_name": model.name,
                    "detector_backend": detector_name(detector_backend),
                    "aligned": align,
                    "l2_normalized": True,
                    "search_method": "exact",
                    **{f"target_{side}": area[side] for side in "xywh"},
                    "threshold": threshold,
                    "distance_metric": distance_metric,
                    "distance": value,
                    "confidence": distances.confidence(
                        value, threshold, distance_metric, model.calibration
                    ),
                }
            )
        tables.append(answer(rows, SEARCH_COLUMNS, return_type))
    return tables


SEARCH_COLUMNS = (
    "id", "img_name", "model_name", "detector_backend", "aligned", "l2_normalized",
    "search_method", "target_x", "target_y", "target_w", "target_h", "threshold",
    "distance_metric", "distance", "confidence",
)  # fmt: skip


def identify(
    img: Any,
    identity_id: int,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: str = "cosine",
    enforce_detection: bool = True,
    align: bool = True,
    l2_normalize: bool = False,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    database_type: str = "postgres",
    connection_details: Any = None,
    connection: Any = None,
) -> Row:
    """Whether a picture is of the face that ``search`` gave that ``id``: ``verify``'s keys, ``id``
    and ``img_name``."""
    if pictures.is_batch(img):
        raise ValueError("identify compares one picture with one stored face")
    with _store(connection_details, connection, model_name, detector_backend, align) as store:
        name, vector = store.stored(identity_id)
    done = verify(
        img, vector.tolist(), model_name, detector_backend, distance_metric, enforce_detection,
        align, expand_percentage, normalization, anti_spoofing=anti_spoofing,
    )  # fmt: skip
    areas = {"img1": done["facial_areas"]["img1"], "img2": None}
    took = done.pop("time")
    return done | {"id": identity_id, "img_name": name, "facial_areas": areas, "time": took}


def build_index(
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    align: bool = True,
    l2_normalize: bool = False,
    database_type: str = "postgres",
    connection: Any = None,
    connection_details: Any = None,
    max_neighbors_per_node: int = 32,
) -> None:
    """Nothing is left to do: a gallery keeps its own index, which is exact. ``ValueError`` where
    nobody is stored."""
    with _store(connection_details, connection, model_name, detector_backend, align) as store:
        store.nearest(np.eye(1, store.model.embedder.dim, dtype=np.float32))


def _store(place: Any, connection: Any, model_name: str, backend: str, by_points: bool) -> Store:
    if connection is not None:
        raise ValueError(
            "arcid opens its galleries itself; pass connection_details, not connection"
        )
    return Store(place, models.recogniser(model_name), backend, by_points=by_points)


__all__ = ["SEARCH_COLUMNS", "build_index", "identify", "register", "search"]

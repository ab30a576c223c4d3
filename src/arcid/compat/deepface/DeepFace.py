"""deepface's calls. Arrays are BGR, as deepface takes them."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.compat.deepface import distances, models, pictures
from arcid.compat.deepface.distances import Metric
from arcid.compat.deepface.faces import Area, cut_out, find_faces, refuse_spoofs, vectors
from arcid.compat.deepface.folder import FolderIndex
from arcid.compat.deepface.modules.exceptions import (
    DataTypeError,
    DimensionMismatchError,
    UnimplementedError,
)
from arcid.compat.deepface.store import Store, number_of, refuse_known
from arcid.compat.deepface.tables import Answer, answer
from arcid.types import FloatArray

Row = dict[str, Any]
__version__ = "0.0.103"
ACTIONS = ("emotion", "age", "gender", "race")


def build_model(model_name: str, task: str = "facial_recognition") -> Any:
    """arcid's embedder or detector that answers to a name of deepface's."""
    if task == "facial_recognition":
        return models.recogniser(model_name).embedder
    if task == "face_detector":
        return models.detector(model_name)[1]
    raise UnimplementedError(f"unimplemented task - {task}")


def verify(
    img1_path: Any,
    img2_path: Any,
    model_name: str = "VGG-Face",
    detector_backend: str = "opencv",
    distance_metric: Metric = "cosine",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    silent: bool = False,
    threshold: float | None = None,
    anti_spoofing: bool = False,
) -> Row:
    """Whether two pictures, or two vectors, are of one person; of several faces the closest pair.

    ``threshold`` None: at one false match in 10,000 comparisons by the model's calibration.
    ``normalization`` and ``expand_percentage`` change nothing: faces are laid on the model's
    template. Raises ``ValueError`` as deepface does, with its cause.
    """
    began = time.perf_counter()
    model = models.recogniser(model_name)
    distances.check_metric(distance_metric, threshold)
    sides: list[tuple[FloatArray, list[Area]]] = []
    for name, source in (("img1_path", img1_path), ("img2_path", img2_path)):
        if pictures.is_vector(source):
            sides.append(_given(source, name, model.name, model.embedder.dim, len(sides) + 1))
            continue
        try:
            found, live = find_faces(
                source, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
            )
            refuse_spoofs(live, "Spoof detected in given image.")
            sides.append((vectors(found, model, by_points=align)[0], found.areas))
        except ValueError as error:
            raise ValueError(f"Exception while processing {name}") from error
    (first, areas1), (second, areas2) = sides
    pairs = [
        (distances.distance(a, b, distance_metric), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
    ]
    found_distance, i, j = min(pairs)
    if threshold is None:
        threshold = distances.threshold_of(model.name, model.calibration, str(distance_metric))
    return {
        "verified": found_distance <= threshold,
        "distance": found_distance,
        "threshold": threshold,
        "confidence": distances.confidence(
            found_distance, threshold, distance_metric, model.calibration
        ),
        "model": model.name,
        "detector_backend": detector_name(detector_backend),
        "similarity_metric": _name(distance_metric),
        "facial_areas": {"img1": areas1[i], "img2": areas2[j]},
        "time": round(time.perf_counter() - began, 2),
    }


def represent(
    img_path: Any,
    model_name: str = "VGG-Face",
    enforce_detection: bool = True,
    detector_backend: str = "opencv",
    align: bool = True,
    expand_percentage: int = 0,
    normalization: str = "base",
    anti_spoofing: bool = False,
    max_faces: int | None = None,
    l2_normalize: bool = False,
    minmax_normalize: bool = False,
    return_face: bool = False,
) -> Any:
    """A vector of every face, of length 1, with its area; for several pictures a list of lists.

    ``return_face``: the crop the model saw as well, (S,S,3) float32 RGB in 0 to 1.
    """  # fmt: skip
    if pictures.is_batch(img_path):
        settings = (model_name, enforce_detection, detector_backend, align, expand_percentage,
                    normalization, anti_spoofing, max_faces, l2_normalize, minmax_normalize,
                    return_face)  # fmt: skip
        return [represent(one, *settings) for one in img_path]
    model = models.recogniser(model_name)
    found, live = find_faces(
        img_path, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing,
        max_faces=max_faces,
    )  # fmt: skip
    refuse_spoofs(live, "Spoof detected in the given image.")
    embedded, crops = vectors(found, model, by_points=align)
    if minmax_normalize:
        low, high = embedded.min(axis=1, keepdims=True), embedded.max(axis=1, keepdims=True)
        embedded = (embedded - low) / (high - low)
    rows = []
    for i, vector in enumerate(embedded):
        row = {
            "embedding": vector.tolist(),
            "facial_area": found.areas[i],
            "face_confidence": found.confidences[i],
        }
        if return_face:
            row["face"] = crops.pixels[i].astype(np.float32) / 255
        rows.append(row)
    return rows


def extract_faces(
    img_path: Any,
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
    expand_percentage: int = 0,
    grayscale: bool = False,
    color_face: str = "rgb",
    normalize_face: bool = True,
    anti_spoofing: bool = False,
) -> Any:
    """Every face as a picture of its own, float64 in 0 to 1 or uint8, with its area; for several
    pictures a list of such lists. ``color_face``: rgb, bgr or gray."""
    if pictures.is_batch(img_path):
        settings = (detector_backend, enforce_detection, align, expand_percentage, grayscale,
                    color_face, normalize_face, anti_spoofing)  # fmt: skip
        return [extract_faces(one, *settings) for one in img_path]
    found, live = find_faces(
        img_path, detector_backend, enforce=enforce_detection, anti_spoofing=anti_spoofing
    )
    rows = []
    cut = cut_out(found, upright=align, expand=expand_percentage)
    for i, (face, area) in enumerate(cut):
        picture = _coloured(face, "gray" if grayscale else color_face)
        row = {
            "face": picture / 255 if normalize_face else picture,
            "facial_area": area,
            "confidence": found.confidences[i],
        }
        if anti_spoofing:
            row["is_real"], row["antispoof_score"] = live[i]
        rows.append(row)
    return rows


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
    index.check_filled()
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
                "identity": face.identity,
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


def analyze(img_path: Any, actions: Sequence[str] = ACTIONS, *more: Any, **settings: Any) -> Any:
    """Refused: arcid says who somebody is, and has no model that guesses what they feel or how old
    they are, of which sex or of what descent."""
    asked = [actions] if isinstance(actions, str) else list(actions)
    if unknown := [action for action in asked if action not in ACTIONS]:
        known = ", ".join(f"`{action}`" for action in ACTIONS)
        raise UnimplementedError(
            f"Invalid action passed ({unknown[0]!r})). Valid actions are {known}."
        )
    raise UnimplementedError(
        f"arcid has no model for {', '.join(asked)}: it says who a face is, not what it is like"
    )


def detectFace(
    img_path: Any,
    target_size: tuple[int, int] = (224, 224),
    detector_backend: str = "opencv",
    enforce_detection: bool = True,
    align: bool = True,
) -> npt.NDArray[Any]:
    """The first face, (H,W,3) float RGB in 0 to 1, fitted into ``target_size`` on black."""
    import cv2

    face = extract_faces(img_path, detector_backend, enforce_detection, align)[0]["face"]
    height, width = target_size
    scale = min(height / face.shape[0], width / face.shape[1])
    new = (max(1, int(face.shape[1] * scale)), max(1, int(face.shape[0] * scale)))
    canvas = np.zeros((height, width, 3))
    top, left = (height - new[1]) // 2, (width - new[0]) // 2
    canvas[top : top + new[1], left : left + new[0]] = cv2.resize(face, new)
    return canvas


def detector_name(backend: str) -> str:
    """The detector that answers to a name of deepface's."""
    return backend if backend == models.SKIP else models.detector(backend)[0]


def _given(
    source: Sequence[Any], argument: str, name: str, dim: int, number: int
) -> tuple[FloatArray, list[Area]]:
    if not all(isinstance(one, (float, int, np.floating)) for one in source):
        raise DataTypeError(
            f"When passing {argument} as a list, ensure that all its items are of type float."
        )
    if len(source) != dim:
        raise DimensionMismatchError(
            f"embeddings of {name} should have {dim} dimensions, but {number}-th image has "
            f"{len(source)} dimensions input"
        )
    nowhere = dict.fromkeys(("x", "y", "w", "h", "left_eye", "right_eye"))
    return np.asarray([source], np.float32), [nowhere]


def _coloured(face: Any, colour: str) -> Any:
    import cv2

    if colour == "gray":
        return cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    if colour not in ("rgb", "bgr"):
        raise ValueError(f"The color_face can be rgb, bgr or gray, but it is {colour}.")
    return face if colour == "rgb" else face[..., ::-1]


def _name(metric: str | Callable[..., Any]) -> str:
    return metric if isinstance(metric, str) else getattr(metric, "__name__", "custom")


__all__ = [
    "analyze",
    "build_index",
    "build_model",
    "detectFace",
    "extract_faces",
    "find",
    "identify",
    "register",
    "represent",
    "search",
    "verify",
]

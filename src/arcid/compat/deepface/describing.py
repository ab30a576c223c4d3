"""Faces of a picture: their vectors, their cut-outs. Arrays are BGR, as deepface takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.compat.deepface import models, pictures
from arcid.compat.deepface.faces import cut_out, find_faces, refuse_spoofs, vectors
from arcid.compat.deepface.modules.exceptions import (
    UnimplementedError,
)


def build_model(model_name: str, task: str = "facial_recognition") -> Any:
    """arcid's embedder or detector that answers to a name of deepface's."""
    if task == "facial_recognition":
        return models.recogniser(model_name).embedder
    if task == "face_detector":
        return models.detector(model_name)[1]
    raise UnimplementedError(f"unimplemented task - {task}")


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


ACTIONS = ("emotion", "age", "gender", "race")


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


def _coloured(face: Any, colour: str) -> Any:
    import cv2

    if colour == "gray":
        return cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    if colour not in ("rgb", "bgr"):
        raise ValueError(f"The color_face can be rgb, bgr or gray, but it is {colour}.")
    return face if colour == "rgb" else face[..., ::-1]


__all__ = ["analyze", "build_model", "detectFace", "extract_faces", "represent"]

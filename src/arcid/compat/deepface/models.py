"""deepface's names of models and detectors, and which of arcid's answer to them."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

from arcid import detect
from arcid.calibration import Calibration
from arcid.compat.deepface.modules.exceptions import UnimplementedError
from arcid.detect import Detector
from arcid.embed import Embedder
from arcid.errors import CalibrationMissing, ModelError, UsageError
from arcid.models import weights
from arcid.pipeline import load_detector, load_embedder

#: deepface's recognisers, and what the same network is called here where somebody installed it.
RECOGNISERS: dict[str, str | None] = {
    "VGG-Face": None, "Facenet": None, "Facenet512": None, "OpenFace": None,
    "DeepFace": None, "DeepID": None, "ArcFace": None, "Dlib": "dlib_resnet_v1", "SFace": "sface",
    "GhostFaceNet": None, "Buffalo_L": "w600k_r50",
}  # fmt: skip
#: deepface's detectors, and arcid's of the same kind.
DETECTORS: dict[str, str | None] = {
    "opencv": None, "ssd": None, "centerface": None, "yolov8n": None, "yolov8m": None,
    "yolov8l": None, "yolov11n": None, "yolov11s": None, "yolov11m": None, "yolov11l": None,
    "yolov12n": None, "yolov12s": None, "yolov12m": None, "yolov12l": None,
    "mtcnn": "mtcnn", "fastmtcnn": "mtcnn", "dlib": "dlib", "retinaface": "retinaface_mnet025",
    "mediapipe": "mediapipe", "yunet": "yunet",
}  # fmt: skip
SKIP = "skip"


@dataclass(frozen=True)
class Recogniser:
    """An opened recogniser with what its scores mean."""

    name: str
    embedder: Embedder
    calibration: Calibration | None


@functools.cache
def recogniser(name: str) -> Recogniser:
    """By arcid's name or deepface's. One of deepface's that is not installed is answered by arcid's
    default, which a warning says once. ``UnimplementedError`` for what neither knows."""
    known = RECOGNISERS.get(name, name)
    try:
        bundle = weights.resolve(known) if known else None
    except ModelError as error:
        if name not in RECOGNISERS:
            raise UnimplementedError(
                f"Invalid model_name passed - facial_recognition/{name}"
            ) from error
        bundle = None
    if bundle is None:
        bundle = weights.resolve_default("recognition")
        _tell(name, bundle.name, "recogniser")
    try:
        calibration = weights.find_calibration(bundle)
    except CalibrationMissing:
        calibration = None
    return Recogniser(bundle.name, load_embedder(bundle), calibration)


@functools.cache
def detector(name: str) -> tuple[str, Detector]:
    """As ``recogniser``: the name of the one that answers, and it."""
    known = DETECTORS.get(name, name)
    if known is not None:
        try:
            return known, load_detector(known)
        except (ModelError, UsageError) as error:
            if name not in DETECTORS:
                raise UnimplementedError(
                    f"Invalid model_name passed - face_detector/{name}"
                ) from error
    found = default_detector()
    _tell(name, detect.name_of(found), "detector")
    return detect.name_of(found), found


@functools.cache
def default_detector() -> Detector:
    """arcid's own, opened once."""
    return load_detector()


def _tell(asked: str, answers: str, kind: str) -> None:
    warnings.warn(
        f"{asked} is not installed; arcid's {kind} {answers} answers instead", stacklevel=4
    )


__all__ = [
    "DETECTORS",
    "RECOGNISERS",
    "SKIP",
    "Recogniser",
    "default_detector",
    "detector",
    "recogniser",
]

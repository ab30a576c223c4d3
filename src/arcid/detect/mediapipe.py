"""MediaPipe's face detectors, from the optional package: ``pip install 'arcid[mediapipe]'``.

The package has shipped no model files since 0.10.30, so the file is handed in (``open_engine``):

- ``face_landmarker.task``: a mesh of 478 points a face. The five points come from it: the irises,
  the nose tip and the mouth corners.
- ``blaze_face_short_range.tflite``: BlazeFace gives eyes, nose tip, middle of the mouth and ears.
  The middle of a mouth says nothing of its corners, so its detections are boxes only.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from arcid.detect._common import CANVAS_STEP, check_images, check_share, check_side, finish
from arcid.detect.second_try import TriesTwice, check_sure
from arcid.errors import MissingExtra, ModelNotFound, ModelUnsupported, UsageError
from arcid.geometry import letterbox
from arcid.types import Detections, FloatArray, Image

# Mesh indices: iris centres, nose tip, mouth corners, each time the viewer's left first.
_MESH_FIVE = (468, 473, 4, 61, 291)
_FACES_AT_MOST = 100


class MediaPipe(TriesTwice):
    """(H,W,3) uint8 RGB in; boxes out, with points where the engine is a face landmarker.

    ``threshold``: lowest score kept. A landmarker reports no score: its faces count 1.0, and its
    own limit is set in ``open_engine``. ``size``: larger pictures are scaled down to this side.
    ``sure``: as in ``TriesTwice``.
    """

    family: ClassVar[str] = "mediapipe"
    files: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(
        self,
        engine: Any,
        *,
        name: str = "mediapipe",
        threshold: float = 0.5,
        nms_iou: float = 0.4,
        size: int | None = None,
        sure: float | None = 0.0,
    ) -> None:
        self._mp = _import()
        self.name = name
        self.threshold = check_share("threshold", threshold)
        self.nms_iou = check_share("nms_iou", nms_iou)
        self.size = check_side("size", size or 1024)
        self.sure = check_sure(sure)
        vision = self._mp.tasks.vision
        if not isinstance(engine, (vision.FaceLandmarker, vision.FaceDetector)):
            raise UsageError("MediaPipe takes an engine made by open_engine(path)")
        self.has_points = isinstance(engine, vision.FaceLandmarker)
        self._engine = engine
        self._lock = threading.Lock()  # MediaPipe's graphs are not re-entrant

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        return [self._detect_one(image) for image in check_images(images)]

    def close(self) -> None:
        """Free the engine; one still open when the interpreter ends fails in its destructor."""
        self._engine.close()

    def _detect_one(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        shrink = min(1.0, self.size / max(height, width))
        side = [max(CANVAS_STEP, round(v * shrink)) for v in (height, width)]
        fitted, scale = letterbox(image, side[0], side[1])
        picture = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=fitted)
        with self._lock:
            result = self._engine.detect(picture)
        read = self._from_mesh if self.has_points else self._from_boxes
        boxes, scores, points = read(result, side[0], side[1])
        return finish(
            boxes / scale,
            scores,
            None if points is None else points / scale,
            image_size=(height, width),
            threshold=self.threshold,
            nms_iou=self.nms_iou,
        )

    @staticmethod
    def _from_mesh(
        result: Any, height: int, width: int
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        meshes = [[(p.x * width, p.y * height) for p in face] for face in result.face_landmarks]
        if not meshes:
            return _no_boxes(), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        mesh = np.asarray(meshes, np.float32)
        boxes = np.concatenate([mesh.min(axis=1), mesh.max(axis=1)], axis=1)
        return boxes, np.ones(len(mesh), np.float32), mesh[:, _MESH_FIVE]

    @staticmethod
    def _from_boxes(
        result: Any, height: int, width: int
    ) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        frames = [d.bounding_box for d in result.detections]
        boxes = [
            (f.origin_x, f.origin_y, f.origin_x + f.width, f.origin_y + f.height) for f in frames
        ]
        scores = [d.categories[0].score for d in result.detections]
        return (
            np.asarray([*_no_boxes(), *boxes], np.float32).reshape(-1, 4),
            np.asarray(scores, np.float32),
            None,
        )


def open_engine(path: Path, *, threshold: float = 0.5) -> Any:
    """A MediaPipe face landmarker (``.task``) or face detector (``.tflite``) from its model file.

    Raises ``MissingExtra``, ``ModelNotFound``, ``ModelUnsupported``.
    """
    mp = _import()
    if not path.is_file():
        raise ModelNotFound(
            f"MediaPipe model {path} does not exist; its package ships none: fetch "
            "face_landmarker.task (points) or blaze_face_short_range.tflite (boxes only)",
            path=str(path),
        )
    vision = mp.tasks.vision
    base = mp.tasks.BaseOptions(model_asset_buffer=path.read_bytes())
    try:
        if path.suffix == ".task":
            engine = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=base,
                    num_faces=_FACES_AT_MOST,
                    min_face_detection_confidence=threshold,
                )
            )
        else:
            engine = vision.FaceDetector.create_from_options(
                vision.FaceDetectorOptions(base_options=base, min_detection_confidence=threshold)
            )
    except (RuntimeError, ValueError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelUnsupported(f"MediaPipe cannot read {path.name}: {reason}") from None
    return engine


def _no_boxes() -> FloatArray:
    return np.zeros((0, 4), np.float32)


def _import() -> Any:
    try:
        return importlib.import_module("mediapipe")
    except ImportError:
        raise MissingExtra("the MediaPipe detector", "mediapipe") from None

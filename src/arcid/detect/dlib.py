"""dlib's two face detectors (King, "Max-Margin Object Detection", 2015), from the optional package
``dlib-bin``.

The one over HOG features is built into dlib: ``pip install 'arcid[dlib]'``. The network needs the
file ``mmod_human_face_detector.dat`` (CC0), which the package ``face-recognition-models`` ships:
``pip install 'arcid[dlib-models]'``. With a landmark file of the 68-point kind (``open_landmarks``)
the five points are filled in; without one there are boxes only. That package ships such a file too,
trained on iBUG 300-W, whose terms exclude commercial use; so it is never taken by itself.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from arcid.detect._common import check_images, check_share, check_side, finish
from arcid.detect.second_try import TriesTwice, check_sure
from arcid.errors import MissingExtra, ModelNotFound, ModelUnsupported
from arcid.geometry import letterbox
from arcid.types import Detections, FloatArray, Image

SCORE_AT_ZERO = 0.5  # dlib's margin is squashed by a logistic, so its own cut-off 0 becomes 0.5


class Dlib(TriesTwice):
    """(H,W,3) uint8 RGB in; boxes of upright frontal faces of about 40 pixels or more out.

    ``threshold``: on the logistic of dlib's margin; 0.5 is dlib's own cut-off. ``size``: larger
    pictures are scaled down to this longer side. ``upsample``: how often a picture is doubled
    first, to find faces half as large. ``sure``: as in ``TriesTwice``.
    """

    family: ClassVar[str] = "dlib"
    files: ClassVar[tuple[str, ...]] = ()
    costly: ClassVar[bool] = False  # seconds a picture without a GPU

    def __init__(
        self,
        landmarks: Any = None,
        *,
        name: str = "dlib",
        threshold: float = SCORE_AT_ZERO,
        nms_iou: float = 0.4,
        size: int | None = None,
        upsample: int = 1,
        sure: float | None = 0.0,
    ) -> None:
        self.name = name
        self.threshold = check_share("threshold", threshold)
        self.nms_iou = check_share("nms_iou", nms_iou)
        self.size = check_side("size", size or 640)
        self.upsample = max(0, int(upsample))
        self.sure = check_sure(sure)
        self.has_points = landmarks is not None
        self._landmarks = landmarks
        self._dlib = _import()
        self._detector = self._open()

    def _open(self) -> Any:
        return self._dlib.get_frontal_face_detector()

    def _look(self, image: Image) -> tuple[list[Any], list[float]]:
        """Rectangles, and dlib's margins of those that reach the threshold."""
        margin = float(np.log(max(self.threshold, 1e-6) / max(1 - self.threshold, 1e-6)))
        found, margins, _ = self._detector.run(image, self.upsample, margin)
        return list(found), list(margins)

    def detect_once(self, images: Sequence[Image]) -> list[Detections]:
        """``detect`` without the second try."""
        return [self._detect_one(image) for image in check_images(images)]

    def _detect_one(self, image: Image) -> Detections:
        height, width = image.shape[:2]
        shrink = min(1.0, self.size / max(height, width))
        fitted, scale = np.ascontiguousarray(image), 1.0
        if shrink < 1:
            fitted, scale = letterbox(image, round(height * shrink), round(width * shrink))
        found, margins = self._look(fitted)
        boxes = [(r.left(), r.top(), r.right() + 1, r.bottom() + 1) for r in found]
        points = None
        if self.has_points:
            shapes = [_five(self._landmarks(fitted, r)) for r in found]
            points = np.asarray(shapes, np.float32).reshape(-1, 5, 2) / scale
        return finish(
            np.asarray(boxes, np.float32).reshape(-1, 4) / scale,
            (1 / (1 + np.exp(-np.asarray(margins)))).astype(np.float32),
            points,
            image_size=(height, width),
            threshold=self.threshold,
            nms_iou=self.nms_iou,
        )


class DlibNetwork(Dlib):
    """(H,W,3) uint8 RGB in; boxes out, of faces in any pose and of about 80 pixels or more.

    Options as ``Dlib``, without a doubled picture unless asked for. dlib gives no detection below
    its own cut-off, so a ``threshold`` below 0.5 finds nothing more. ``model``: the file; None
    takes that of the package ``face-recognition-models``.
    """

    family: ClassVar[str] = "dlib_cnn"
    costly: ClassVar[bool] = True

    def __init__(
        self,
        landmarks: Any = None,
        *,
        name: str = "dlib_cnn",
        threshold: float = SCORE_AT_ZERO,
        nms_iou: float = 0.4,
        size: int | None = None,
        upsample: int = 0,
        sure: float | None = 0.0,
        model: str | None = None,
    ) -> None:
        self._model = Path(model) if model else None
        super().__init__(
            landmarks,
            name=name,
            threshold=threshold,
            nms_iou=nms_iou,
            size=size,
            upsample=upsample,
            sure=sure,
        )

    def _open(self) -> Any:
        path = self._model or packaged("mmod_human_face_detector.dat")
        return _opened(self._dlib.cnn_face_detection_model_v1, path)

    def _look(self, image: Image) -> tuple[list[Any], list[float]]:
        found = self._detector(image, self.upsample)
        return [one.rect for one in found], [float(one.confidence) for one in found]


def packaged(filename: str) -> Path:
    """A file of the package ``face-recognition-models``, which is not imported.

    Raises ``MissingExtra``.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("dlib's network", "dlib-models")
    return Path(spec.submodule_search_locations[0]) / "models" / filename


def open_landmarks(path: Path) -> Any:
    """A dlib landmark predictor of 68 points, for ``Dlib(landmarks=...)``.

    Raises ``MissingExtra``, ``ModelNotFound``, ``ModelUnsupported``.
    """
    return _opened(_import().shape_predictor, path)


def _opened(kind: Any, path: Path) -> Any:
    if not path.is_file():
        raise ModelNotFound(f"dlib's file {path} does not exist", path=str(path))
    try:
        return kind(str(path))
    except RuntimeError as error:
        raise ModelUnsupported(f"dlib cannot read {path.name}: {error}") from None


def _five(shape: Any) -> FloatArray:
    if shape.num_parts != 68:
        raise ModelUnsupported(
            f"the landmark file gives {shape.num_parts} points; the 68-point kind is needed, "
            "which has mouth corners"
        )
    xy = np.array([(p.x, p.y) for p in shape.parts()], np.float32)
    return np.stack([xy[36:42].mean(axis=0), xy[42:48].mean(axis=0), xy[30], xy[48], xy[54]])


def _import() -> Any:
    try:
        return importlib.import_module("dlib")
    except ImportError:
        raise MissingExtra("the dlib detector", "dlib") from None

"""arcid's own detector and recognisers in the shape of a pack's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arcid.align import align
from arcid.compat.insightface.face import Face
from arcid.compat.insightface.model_zoo.detection import Size, largest, sizes
from arcid.compat.insightface.model_zoo.network import Array, device_of
from arcid.compat.insightface.model_zoo.recognition import ArcFaceONNX
from arcid.models import weights
from arcid.pipeline.opening import load_detector, load_embedder
from arcid.types import Crops, Detections

OWN = "arcid"


def own_models(recogniser: str | None, providers: Sequence[Any] | None) -> list[Any]:
    """Detector and recogniser; None takes the default one. Raises ``ModelError``."""
    device = device_of(providers)
    return [OwnDetector(device), OwnRecogniser(recogniser, device)]


class OwnDetector:
    """arcid's detector chooses its input by the picture; one size that is asked for is its longest
    side."""  # fmt: skip

    taskname = "detection"

    def __init__(self, device: str | None) -> None:
        self._device = device
        self.det_thresh = 0.5
        self.nms_thresh = 0.4
        self.input_sizes: list[Size] = []
        self.prepare()

    def prepare(
        self,
        ctx_id: int = 0,
        *,
        input_size: Any = None,
        det_thresh: float = 0.5,
        nms_thresh: float = 0.4,
        **more: Any,
    ) -> None:
        """As for a pack's detector."""
        self.input_sizes = sizes(input_size)
        self.det_thresh, self.nms_thresh = det_thresh, nms_thresh
        longest = max(max(size) for size in self.input_sizes)
        self._detector = load_detector(
            device=self._device, size=longest, threshold=det_thresh, nms_iou=nms_thresh
        )

    def detect(
        self, img: Array, input_size: Any = None, max_num: int = 0, metric: str = "default"
    ) -> tuple[Array, Array]:
        """(N,5) and (N,5,2) float32, best score first."""
        if input_size is not None and sizes(input_size) != self.input_sizes:
            self.prepare(
                input_size=input_size, det_thresh=self.det_thresh, nms_thresh=self.nms_thresh
            )
        found = self._detector.detect([np.ascontiguousarray(img[..., ::-1])])[0]
        rows = largest(found.boxes, img.shape, max_num, metric)
        boxes = np.hstack([found.boxes, found.scores[:, None]])
        assert found.points is not None
        return boxes[rows].copy(), found.points[rows].copy()


class OwnRecogniser:
    """Vectors of length 1."""

    taskname = "recognition"

    def __init__(self, name: str | None, device: str | None) -> None:
        bundle = weights.resolve(name) if name else weights.resolve_default("recognition")
        self._embedder = load_embedder(bundle, device=device)
        self.input_size = (self._embedder.size, self._embedder.size)

    def get(self, img: Array, face: Face) -> Array:
        """(D,) float32, set as ``face.embedding`` as well."""
        return self.get_all(img, [face])[0]

    def get_all(self, img: Array, faces: Sequence[Face]) -> list[Array]:
        """As ``get`` for all faces of a picture, in one go."""
        if not faces:
            return []
        found = Detections(
            np.stack([face.bbox for face in faces]),
            np.ones(len(faces), np.float32),
            np.stack([face.kps for face in faces]),
            (img.shape[0], img.shape[1]),
        )
        embedder = self._embedder
        crops = align(img[..., ::-1], found, size=embedder.size, template=embedder.template)
        vectors = list(embedder.embed(crops).vectors.copy())
        for face, vector in zip(faces, vectors, strict=True):
            face.embedding = vector
        return vectors

    def get_feat(self, imgs: Array | Sequence[Array]) -> Array:
        """(N,D) float32 of one crop or N crops, (S,S,3) uint8 BGR."""
        crops = np.stack(imgs if isinstance(imgs, (list, tuple)) else [imgs])[..., ::-1]
        return self._embedder.embed(Crops(np.ascontiguousarray(crops))).vectors.copy()

    compute_sim = staticmethod(ArcFaceONNX.compute_sim)


__all__ = ["OWN", "own_models"]

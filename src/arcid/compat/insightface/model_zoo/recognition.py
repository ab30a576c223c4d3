"""Recognisers: an aligned crop in, a vector out that is not normalised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arcid.compat.insightface.face import Face
from arcid.compat.insightface.model_zoo.network import Array, Network
from arcid.compat.insightface.utils.face_align import norm_crop
from arcid.runtime import Session


class ArcFaceONNX(Network):
    """``get`` aligns by a face's points and sets ``embedding``; ``get_feat`` takes crops, many at
    once as well."""

    taskname = "recognition"
    _plain_std = 127.5

    def __init__(self, path: Path, session: Session) -> None:
        super().__init__(path, session)
        self.input_shape = list(session.input_shape)

    def get(self, img: Array, face: Face) -> Array:
        """(D,) float32, set as ``face.embedding`` as well."""
        return self.get_all(img, [face])[0]

    def get_all(self, img: Array, faces: Sequence[Face]) -> list[Array]:
        """As ``get`` for all faces of a picture, in one go."""
        crops = [norm_crop(img, face.kps, self.input_size[0]) for face in faces]
        vectors = list(self.get_feat(crops)) if crops else []
        for face, vector in zip(faces, vectors, strict=True):
            face.embedding = vector
        return vectors

    def get_feat(self, imgs: Array | Sequence[Array]) -> Array:
        """(N,D) float32 of one crop or N crops, (S,S,3) uint8 BGR; another size is resized."""
        import cv2

        crops: list[Any] = list(imgs) if isinstance(imgs, (list, tuple)) else [imgs]
        sized = [
            crop if crop.shape[1::-1] == self.input_size else cv2.resize(crop, self.input_size)
            for crop in crops
        ]
        return self.run(self.blob(sized))[0]

    def forward(self, batch_data: Array) -> Array:
        """(N,3,S,S) RGB pixels, 0–255, in; (N,D) float32 out."""
        tensor = (np.asarray(batch_data, np.float32) - self.input_mean) / self.input_std
        return self.run(np.asarray(tensor, np.float32))[0]

    @staticmethod
    def compute_sim(feat1: Any, feat2: Any) -> Any:
        """Cosine of two vectors."""
        a, b = np.ravel(feat1), np.ravel(feat2)
        return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


__all__ = ["ArcFaceONNX"]

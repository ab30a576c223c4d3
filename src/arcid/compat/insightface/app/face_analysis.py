"""Detection and everything that is known of each face, in one call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arcid.compat.insightface.app.own import OWN, own_models
from arcid.compat.insightface.face import Face
from arcid.compat.insightface.model_zoo import (
    DEFAULT_ROOT,
    described,
    pack_files,
    pack_folder,
    route,
)
from arcid.compat.insightface.model_zoo.manifest import parts_of
from arcid.compat.insightface.model_zoo.network import Array
from arcid.errors import ModelNotFound
from arcid.liveness import passive
from arcid.types import Detections

ADDONS = ("liveness",)
OUTSIDE = 0.3  # share of a face's square beyond the picture above which liveness says nothing


class FaceAnalysis:
    """The models of a pack, the first of each task by file name, or those that its manifest of
    version 2 names; ``get`` finds and describes faces.

    ``name``: a folder below ``root``/models, a folder's path, or "arcid" for the models that arcid
    brings along ("arcid:NAME" for another recogniser of ``arcid models list``). Nothing is
    downloaded: ``ModelNotFound`` says where a pack belongs. ``allowed_modules``: the tasks to
    load; without detection an ``AssertionError``. ``addons``: ("liveness",) judges every face by
    arcid's models; in ``liveness_mode`` "normal" faces that fail get no embedding.
    ``providers``: on a GPU where one is named; ``provider_options`` and ``sess_options`` change
    nothing.
    """

    def __init__(
        self,
        name: str = "buffalo_l",
        root: str = DEFAULT_ROOT,
        allowed_modules: Collection[str] | None = None,
        *,
        addons: Sequence[str] | None = None,
        liveness_mode: str = "normal",
        liveness_threshold: float = 0.8,
        providers: Sequence[Any] | None = None,
        provider_options: Any = None,
        sess_options: Any = None,
    ) -> None:
        self.addons = _checked_addons(addons)
        self.liveness_mode, self.liveness_threshold = liveness_mode, liveness_threshold
        _check_liveness(liveness_mode, liveness_threshold)
        self.models: dict[str, Any] = {}
        if name.partition(":")[0] == OWN:
            self.model_dir = ""
            loaded: Iterable[Any] = own_models(name.partition(":")[2] or None, providers)
        else:
            folder, files = pack_folder(name, root), pack_files(name, root)
            parts = parts_of(folder)
            there = bool(files) or parts is not None
            self.model_dir = str(folder if there else Path(root).expanduser() / "models")
            if not there:
                raise ModelNotFound(
                    f"there are no ONNX files of the pack {name!r} in {self.model_dir}; put the "
                    f"unpacked pack there, or take arcid's own models: FaceAnalysis(name={OWN!r})"
                )
            if parts is None:
                loaded = (route(file, providers) for file in files)
            else:  # only what is asked for is opened
                loaded = (
                    described(part, providers)
                    for part in parts
                    if allowed_modules is None or part.task in allowed_modules
                )
        for model in loaded:
            if model is None or model.taskname in self.models:
                continue
            if allowed_modules is None or model.taskname in allowed_modules:
                self.models[model.taskname] = model
        if "detection" not in self.models:
            raise AssertionError("a pack needs a detector, and allowed_modules its task")
        self.det_model = self.models["detection"]
        self.det_thresh = 0.5
        self.det_size: Any = None
        self._liveness: passive.PassiveLiveness | None = None
        if "liveness" in self.addons:
            self._liveness = passive.load()

    def prepare(self, ctx_id: int = 0, det_thresh: float = 0.5, det_size: Any = None) -> None:
        """``det_size``: (width, height) of the detector's input, several pairs, or None for both of
        128 and 640. ``ctx_id`` changes nothing."""  # fmt: skip
        self.det_thresh = det_thresh
        self.det_model.prepare(ctx_id, input_size=det_size, det_thresh=det_thresh)
        found = self.det_model.input_sizes
        self.det_size = found[0] if len(found) == 1 else found

    def get(self, img: Array, max_num: int = 0, det_metric: str = "default") -> list[Face]:
        """The faces of a (H,W,3) uint8 BGR picture, best score first; none is an empty list.

        ``max_num`` above 0 keeps the largest, by ``det_metric`` "default" those near the middle.
        """
        if img is None or np.ndim(img) != 3:
            raise (AttributeError if img is None else ValueError)(
                "get takes a (H,W,3) uint8 BGR picture, got "
                + ("None: was the file read?" if img is None else f"shape {np.shape(img)}")
            )
        boxes, points = self.det_model.detect(img, max_num=max_num, metric=det_metric)
        faces = [
            Face(bbox=row[:4], kps=None if points is None else points[i], det_score=row[4])
            for i, row in enumerate(boxes)
        ]
        self._judge(img, faces)
        for task, model in self.models.items():
            if task == "recognition":
                model.get_all(img, [face for face in faces if self._may_be_embedded(face)])
            elif task != "detection":
                for face in faces:
                    model.get(img, face)
        return faces

    def draw_on(self, img: Array, faces: Sequence[Face]) -> Array:
        """A copy of the picture with boxes, points and what is known of sex and age."""
        import cv2

        drawn = img.copy()
        for face in faces:
            x1, y1, x2, y2 = (int(value) for value in face.bbox)
            cv2.rectangle(drawn, (x1, y1), (x2, y2), (0, 0, 255), 2)
            for i, (x, y) in enumerate([] if face.kps is None else face.kps.astype(int)):
                colour = (0, 255, 0) if i in (0, 3) else (0, 0, 255)
                cv2.circle(drawn, (int(x), int(y)), 1, colour, 2)
            if face.gender is not None and face.age is not None:
                text, at = f"{face.sex},{face.age}", (x1 - 1, y1 - 4)
                cv2.putText(drawn, text, at, cv2.FONT_HERSHEY_COMPLEX, 0.7, (0, 255, 0), 1)
        return drawn

    def _judge(self, img: Array, faces: Sequence[Face]) -> None:
        if self._liveness is None or not faces:
            return
        boxes = np.stack([face.bbox for face in faces])
        found = Detections(
            boxes, np.stack([face.det_score for face in faces]), None, (img.shape[0], img.shape[1])
        )
        scores = self._liveness.scores(img[..., ::-1], found)
        for face, score in zip(faces, scores, strict=True):
            if _outside(face.bbox, img.shape) > OUTSIDE:
                face.liveness = Face(
                    status="input_rejected",
                    is_live=None,
                    live_score=None,
                    reason="too much of the face lies outside the picture",
                )
            else:
                live = bool(score >= self.liveness_threshold)
                face.liveness = Face(status="ok", is_live=live, live_score=float(score))

    def _may_be_embedded(self, face: Face) -> bool:
        if face.kps is None:
            return False
        live = face.liveness is None or bool(face.liveness.is_live)
        return live or self.liveness_mode == "observe"


def _checked_addons(addons: Any) -> tuple[str, ...]:
    if addons is None:
        return ()
    if isinstance(addons, (str, bytes)) or not isinstance(addons, Iterable):
        raise TypeError(f"addons is a sequence of names, got {addons!r}")
    names = tuple(addons)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"addons is a sequence of names, got {addons!r}")
    if unknown := [name for name in names if name not in ADDONS]:
        raise ValueError(f"addon {unknown[0]!r} is unknown; known: {', '.join(ADDONS)}")
    if len(set(names)) < len(names):
        raise ValueError(f"an addon is named twice: {', '.join(names)}")
    return names


def _check_liveness(mode: str, threshold: Any) -> None:
    if mode not in ("normal", "observe"):
        raise ValueError(f"liveness_mode is normal or observe, got {mode!r}")
    if isinstance(threshold, (bool, str)):
        raise TypeError(f"liveness_threshold is a number, got {threshold!r}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"liveness_threshold lies between 0 and 1, got {threshold}")


def _outside(box: Array, shape: tuple[int, ...]) -> float:
    """The share of a box's area that lies beyond the picture."""
    x1, y1, x2, y2 = (float(value) for value in box)
    width = max(0.0, min(x2, shape[1]) - max(x1, 0.0))
    height = max(0.0, min(y2, shape[0]) - max(y1, 0.0))
    return 1 - width * height / max((x2 - x1) * (y2 - y1), 1e-9)


__all__ = ["FaceAnalysis"]

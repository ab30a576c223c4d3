"""Ready models whose embeddings, and feature maps where asked for, a student learns from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arcid.errors import ArcidError, ConfigError, MissingExtra, UsageError
from arcid.models.manifest import Manifest
from arcid.models.weights import Bundle, resolve
from arcid.runtime import Session, open_session
from arcid.train.config.recipe import expand_path
from arcid.types import FloatArray, Image

_CHUNK = 32  # photos a call


class Teacher:
    """(B,3,S,S) uint8 RGB in; (B,D) float32 embeddings, not unit-norm, and its maps out.

    ``name`` is a model's name or the folder of a bundle. ``tensors`` names further outputs of its
    graph. With ``flip``, or where its manifest says so, an embedding is the sum over the photo and
    its mirror image; maps are the photo's. ``precision`` is taken where the runtime has a choice.
    Raises ``ConfigError``, with the reason, for a teacher that cannot be used.
    """

    def __init__(
        self,
        name: str,
        size: int,
        tensors: Sequence[str] = (),
        *,
        flip: bool = False,
        precision: str = "f32",
    ) -> None:
        with usable(name, "distil.teachers"):
            bundle = find(name)
            self.manifest: Manifest = bundle.manifest
            if self.manifest.output is None or self.manifest.input.size is None:
                raise ConfigError(f"it is a {self.manifest.task} model")
            if self.manifest.input.size[0] != size:
                raise ConfigError(f"it takes {self.manifest.input.size[0]} px, data.size is {size}")
            if self.manifest.template != "arcface":
                raise ConfigError("it wants faces cut by their box, crops are aligned")
            if self.manifest.input.batch is not None:
                raise ConfigError(
                    f"it takes batches of {self.manifest.input.batch} only; export it with a free "
                    "batch"
                )
            self.session = open_with_tensors(bundle.path, self.manifest, tensors, precision)
        self.name = self.manifest.name
        self.dim = self.manifest.output.dim
        self.flip = flip or self.manifest.flip
        self._tensors = tuple(tensors)
        self._output = self.manifest.output.name or self.session.output_names[0]

    def __call__(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embeddings and, in the order asked for, the maps (B,C,H,W)."""
        pixels = _pixels(images)
        found = self._run(pixels)
        vectors = found[self._output]
        if self.flip:
            vectors = vectors + self._run(np.ascontiguousarray(pixels[:, :, ::-1]))[self._output]
        embeddings = torch.from_numpy(vectors).to(images.device).reshape(len(pixels), -1).float()
        return embeddings, self._maps(found, images.device)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The maps alone; the mirror image is not looked at."""
        return self._maps(self._run(_pixels(images)), images.device)

    def _maps(self, found: dict[str, FloatArray], device: torch.device) -> list[Tensor]:
        return [
            torch.from_numpy(found[name]).to(device).contiguous(memory_format=torch.channels_last)
            for name in self._tensors
        ]

    def _run(self, pixels: Image) -> dict[str, FloatArray]:
        parts = [
            self.session.run(self.manifest.input.prepare(pixels[i : i + _CHUNK]))
            for i in range(0, len(pixels), _CHUNK)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _pixels(images: Tensor) -> Image:
    return images.permute(0, 2, 3, 1).contiguous().numpy(force=True)


def find(name: str) -> Bundle:
    """The bundle of a teacher: a model's name, or a folder with variables and ``~`` in its path."""
    is_path = "/" in name or "$" in name or name.startswith("~")
    return resolve(str(expand_path(name)) if is_path else name)


@contextmanager
def usable(name: str, key: str) -> Iterator[None]:
    """What goes wrong with a teacher as ``ConfigError`` about ``key``; ``MissingExtra`` stays."""
    try:
        yield
    except MissingExtra:
        raise
    except ArcidError as error:
        raise ConfigError(f"the teacher {name} cannot be used: {error.message}", key=key) from None


def open_with_tensors(
    path: Path, manifest: Manifest, tensors: Sequence[str], precision: str = "f32"
) -> Session:
    """A session of the file that also gives these tensors of its graph. Raises ``ConfigError``,
    ``MissingExtra``."""
    if not tensors:
        return _opened(path, manifest, precision)
    try:
        import onnx
    except ImportError:
        raise MissingExtra("distillation of feature maps", "train") from None
    model: Any = onnx.load(path)
    known = {name for node in model.graph.node for name in node.output}
    unknown = [name for name in tensors if name not in known]
    if unknown:
        like = [name for name in known if name.endswith(unknown[0].rsplit("/", 1)[-1])]
        hint = f"; among its tensors are {', '.join(sorted(like)[:4])}" if like else ""
        raise ConfigError(f"its graph has no tensor {unknown[0]!r}{hint}")
    have = {output.name for output in model.graph.output}
    for name in tensors:
        if name not in have:
            model.graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
    with tempfile.TemporaryDirectory(prefix="arcid-teacher-") as folder:
        changed = Path(folder) / "teacher.onnx"
        onnx.save(model, changed)
        return _opened(changed, manifest, precision)


def _opened(path: Path, manifest: Manifest, precision: str) -> Session:
    try:
        return open_session(path, input_name=manifest.input.name, precision=precision)
    except UsageError:  # ONNX Runtime has no choice
        return open_session(path, input_name=manifest.input.name)


__all__ = ["Teacher", "find", "open_with_tensors", "usable"]

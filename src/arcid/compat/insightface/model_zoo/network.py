"""What the networks of a pack have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arcid.embed import CHUNK
from arcid.errors import ModelUnsupported
from arcid.models.manifest import InputSpec
from arcid.runtime import Session, open_session
from arcid.runtime.modelfile import first_nodes

Array = npt.NDArray[Any]
_GPU = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}


class Network:
    """One ONNX file: its task, and how its input is made."""

    taskname: str = ""
    _plain_std: ClassVar[float] = 128.0

    def __init__(self, path: Path, session: Session) -> None:
        self.model_file = str(path)
        self.session = session
        self.input_name, self.output_names = session.input_name, list(session.output_names)
        self.input_mean, self.input_std = 127.5, self._plain_std
        if normalises_itself(path):
            self.input_mean, self.input_std = 0.0, 1.0
        height, width = session.input_shape[2:4]
        self.input_size = (width or 640, height or 640)

    def prepare(self, ctx_id: int = 0, **more: Any) -> None:
        """Nothing is left to do: the device was chosen when the file was opened."""

    def blob(self, pictures: Sequence[Array]) -> Array:
        """(N,3,H,W) float32 of (H,W,3) uint8 BGR pictures of one size."""
        spec = InputSpec(
            None, "RGB", (self.input_mean,) * 3, (self.input_std,) * 3, None
        )  # the pictures are turned to RGB here
        return spec.prepare(np.stack(pictures)[..., ::-1])

    def run(self, tensor: Array) -> list[Array]:
        """Every output of a tensor, in the file's order; a fixed batch is filled up."""
        fixed = self.session.input_shape[0]
        size, parts = fixed or CHUNK, []
        for start in range(0, len(tensor), size):
            part = tensor[start : start + size]
            filler = np.repeat(part[-1:], fixed - len(part) if fixed else 0, axis=0)
            found = self.session.run(np.concatenate([part, filler]))
            parts.append([found[name][: len(part)] for name in self.output_names])
        return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def device_of(providers: Sequence[Any] | None) -> str | None:
    """arcid's device where ONNX Runtime's provider of a GPU is named, else its own choice."""
    names = (one if isinstance(one, str) else one[0] for one in providers or ())
    return next((_GPU[name] for name in names if name in _GPU), None)


def opened(path: Path, providers: Sequence[Any] | None) -> tuple[Session, list[int]]:
    """A file's session, and the width of each output where the input has a size of its own."""
    session = open_session(path, device=device_of(providers))
    shape = session.input_shape
    if len(shape) != 4 or shape[1] != 3:
        raise ModelUnsupported(f"{path.name} takes input {shape}, expected (N,3,H,W)")
    if None in shape[2:]:
        return session, []
    probe = session.run(np.zeros([shape[0] or 1, *map(int, filter(None, shape[1:]))], np.float32))
    return session, [probe[name].shape[-1] for name in session.output_names]


def normalises_itself(path: Path) -> bool:
    """Whether the graph begins with subtracting and multiplying: it takes pixels as they are."""
    names = first_nodes(path, 8)
    return any(name.startswith(("Sub", "_minus")) for name in names) and any(
        name.startswith(("Mul", "_mul")) for name in names
    )


__all__ = ["Network", "device_of", "opened"]

"""What every runtime's session has, and what they refuse alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

from arcid.errors import ConfigError, ModelUnsupported

RuntimeName = Literal["auto", "openvino", "onnxruntime"]
RUNTIMES = ("openvino", "onnxruntime")


class Session(Protocol):
    """One loaded model; ``run`` may be called from several threads at once."""

    runtime: str  # "openvino" or "onnxruntime"
    device: str  # as the runtime names it, e.g. "CPU", "CUDAExecutionProvider"
    precision: str  # arithmetic asked of the runtime: "f32", "bf16", ...
    input_name: str
    input_shape: tuple[int | None, ...]  # None where any size is taken
    output_names: tuple[str, ...]

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """One input tensor in; every output by name. Arrays are the caller's own.

        Raises ``ModelUnsupported`` for a tensor the model does not take or cannot compute,
        ``UsageError`` where it cannot run because the process was forked since it was opened."""
        ...


def default_threads() -> int:
    """``ARCID_THREADS``, else the cores this process may use."""
    text = os.environ.get("ARCID_THREADS")
    if text is None:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else (os.cpu_count() or 1)
        )
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"ARCID_THREADS must be a whole number of at least 1, got {text!r}")
    return int(text)


def check_inputs(path: Path, types: Mapping[str, str]) -> None:
    """Refuse a model that takes anything but one float32 input; ``types`` by input name."""
    if len(types) != 1:
        raise ModelUnsupported(
            f"{path.name} has {len(types)} inputs ({', '.join(list(types)[:8])}); models here take "
            "one, the picture"
        )
    for name, kind in types.items():
        if kind not in ("f32", "tensor(float)"):
            raise ModelUnsupported(f"input {name!r} of {path.name} is {kind}, expected float32")


def check_shape(session: Session, tensor: npt.NDArray[Any]) -> None:
    """Refuse a tensor that the model's input cannot take, naming both shapes."""
    wanted = session.input_shape
    if len(wanted) != tensor.ndim or any(
        w is not None and w != have for w, have in zip(wanted, tensor.shape, strict=False)
    ):
        shape = ",".join("any" if w is None else str(w) for w in wanted)
        raise ModelUnsupported(f"the model takes input ({shape}), got {tensor.shape}")


def cannot_run(tensor: npt.NDArray[Any], error: Exception, line: int) -> ModelUnsupported:
    """What a runtime meets within a model: shapes that do not fit in there, no memory left.

    ``line`` of its message says which."""
    shape = ",".join(map(str, tensor.shape))
    reason = (str(error).strip() or type(error).__name__).splitlines()[line]
    return ModelUnsupported(f"the model cannot compute an input of ({shape}): {reason}")


__all__ = [
    "RUNTIMES",
    "RuntimeName",
    "Session",
    "cannot_run",
    "check_inputs",
    "check_shape",
    "default_threads",
]

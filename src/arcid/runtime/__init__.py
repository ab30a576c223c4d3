"""Running ONNX models: one ``Session`` protocol, OpenVINO first, ONNX Runtime as the portable
fallback and for CUDA/TensorRT. What was chosen is logged and visible on the session; asking for a
device that is not there raises instead of quietly using another.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

from arcid.errors import ConfigError, ModelNotFound, ModelUnsupported, UsageError
from arcid.runtime.onnxfile import read_model

log = logging.getLogger(__name__)
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
        """One input tensor in; every output by name. Arrays are the caller's own."""
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


def open_session(
    path: Path,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    precision: str = "f32",
    threads: int | None = None,
    input_name: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    sha256: str | None = None,
) -> Session:
    """Load an ONNX file; it is read once, and with ``sha256`` those very bytes are checked.

    ``runtime``: None takes ``ARCID_RUNTIME``, else "auto": OpenVINO where it is installed, else
    ONNX Runtime. ``device``: None takes ``ARCID_DEVICE``, else "cpu"; "cuda" and "tensorrt" need
    ONNX Runtime's GPU build, any OpenVINO device name ("GPU", "NPU") needs OpenVINO.
    ``precision``: arithmetic, "f32" unless asked otherwise. ``input_shape`` fixes a dynamic input.

    Raises ``ModelNotFound``, ``ModelHashMismatch``, ``ModelUnsupported``, ``UsageError``.
    """
    if not path.is_file():
        raise ModelNotFound(f"model file {path} does not exist", path=str(path))
    model = read_model(path, sha256)
    chosen = runtime or os.environ.get("ARCID_RUNTIME", "auto")
    device = (device or os.environ.get("ARCID_DEVICE", "cpu")).lower()
    if chosen == "auto":
        needs_ort = device in ("cuda", "tensorrt") or not importlib.util.find_spec("openvino")
        chosen = "onnxruntime" if needs_ort else "openvino"
    threads = threads or default_threads()
    session: Session
    if chosen == "openvino":
        from arcid.runtime.openvino import OpenVinoSession

        session = OpenVinoSession(path, model, device, precision, threads, input_name, input_shape)
    elif chosen == "onnxruntime":
        from arcid.runtime.onnxruntime import OnnxRuntimeSession

        session = OnnxRuntimeSession(
            path, model, device, precision, threads, input_name, input_shape
        )
    else:
        raise UsageError(f"runtime {chosen!r} is unknown; use auto, {' or '.join(RUNTIMES)}")
    log.info(
        "model loaded",
        extra={
            "model": path.name,
            "runtime": session.runtime,
            "device": session.device,
            "precision": session.precision,
            "threads": threads,
        },
    )
    return session


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


__all__ = ["RUNTIMES", "RuntimeName", "Session", "default_threads", "open_session"]

"""Running models, ONNX or OpenVINO's own: one ``Session`` protocol, OpenVINO first, ONNX Runtime as
the portable fallback and for CUDA/TensorRT. What was chosen is logged and visible on the session;
asking for a device that is not there raises instead of quietly using another.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path

from arcid.errors import ModelNotFound, ModelUnsupported, UsageError
from arcid.runtime.modelfile import is_openvino, read_model, read_pair
from arcid.runtime.onnxruntime import OnnxRuntimeSession
from arcid.runtime.openvino import OpenVinoSession
from arcid.runtime.session import RUNTIMES, RuntimeName, Session, default_threads

log = logging.getLogger(__name__)


def open_session(
    path: Path,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    precision: str = "f32",
    threads: int | None = None,
    streams: int = 1,
    input_name: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    sha256: str | None = None,
    weights_sha256: str | None = None,
) -> Session:
    """Load a model; it is read once, and with ``sha256`` those very bytes are checked.

    An ``.xml`` is OpenVINO's own format: its weights lie in the ``.bin`` beside it, whose sha256 is
    ``weights_sha256``, and no other runtime takes it.

    ``runtime``: None takes ``ARCID_RUNTIME``, else "auto": OpenVINO where it is installed, else
    ONNX Runtime. ``device``: None takes ``ARCID_DEVICE``, else "cpu"; "cuda" and "tensorrt" need
    ONNX Runtime's GPU build, any OpenVINO device name ("GPU", "NPU") needs OpenVINO.
    ``precision``: arithmetic, "f32" unless asked otherwise. ``streams``: calls at a time that share
    the ``threads``; where it is 1, one call has them all. ONNX Runtime has no such choice.
    ``input_shape`` fixes a dynamic input.

    Raises ``ModelNotFound``, ``ModelHashMismatch``, ``ModelUnsupported``, ``UsageError``.
    """
    if not path.is_file():
        raise ModelNotFound(f"model file {path} does not exist", path=str(path))
    own = is_openvino(path)
    beside: bytes | None = None
    if own:
        model, beside = read_pair(path, sha256, weights_sha256)
    else:
        model = read_model(path, sha256)
    chosen = runtime or os.environ.get("ARCID_RUNTIME", "auto")
    device = (device or os.environ.get("ARCID_DEVICE", "cpu")).lower()
    if chosen == "auto":
        needs_ort = device in ("cuda", "tensorrt") or not importlib.util.find_spec("openvino")
        chosen = "onnxruntime" if needs_ort else "openvino"
    if own and (chosen == "onnxruntime" or not importlib.util.find_spec("openvino")):
        raise ModelUnsupported(
            f"{path.name} is an OpenVINO model, which ONNX Runtime and CUDA cannot run; install "
            "OpenVINO (pip install openvino), and leave ARCID_RUNTIME and ARCID_DEVICE unset or "
            "name OpenVINO and a device of it"
        )
    threads = threads or default_threads()
    session: Session
    if chosen == "openvino":
        session = OpenVinoSession(
            path, model, device, precision, threads, input_name, input_shape,
            weights=beside, streams=streams,
        )  # fmt: skip
    elif chosen == "onnxruntime":
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


__all__ = ["RUNTIMES", "RuntimeName", "Session", "default_threads", "open_session"]

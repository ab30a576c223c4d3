"""ONNX Runtime sessions: the portable fallback, and CUDA/TensorRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import ManifestInvalid, ModelUnsupported, UsageError
from arcid.runtime.session import cannot_run, check_inputs, check_shape

_PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}


class OnnxRuntimeSession:
    """One ONNX Runtime session; ``run`` is thread-safe."""

    runtime = "onnxruntime"

    def __init__(
        self,
        path: Path,
        model: bytes,
        device: str,
        precision: str,
        threads: int,
        input_name: str | None = None,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        import onnxruntime as ort

        if precision != "f32":
            raise UsageError("ONNX Runtime computes in the model's own precision; ask for f32")
        if device not in _PROVIDERS:
            raise UsageError(f"device {device!r} is unknown; use {', '.join(_PROVIDERS)}")
        wanted = _PROVIDERS[device]
        if wanted[0] not in ort.get_available_providers():
            raise ModelUnsupported(
                f"ONNX Runtime here has no {wanted[0]}; it has "
                f"{', '.join(ort.get_available_providers())}. Install onnxruntime-gpu, "
                "or use device cpu"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=wanted)
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise ModelUnsupported(
                f"ONNX Runtime cannot load {path.name}: {str(error).strip().splitlines()[0]}"
            ) from None
        self.device = self._session.get_providers()[0]
        if self.device != wanted[0]:
            raise ModelUnsupported(f"{wanted[0]} was asked for but {self.device} was loaded")
        self.precision = precision
        check_inputs(path, {i.name: i.type for i in self._session.get_inputs()})
        source = self._session.get_inputs()[0]
        self.input_name = source.name
        if input_name is not None and input_name != source.name:
            raise ManifestInvalid(
                f"{path.name} has input {source.name!r}, its manifest says {input_name!r}"
            )
        declared = tuple(d if isinstance(d, int) and d > 0 else None for d in source.shape)
        self.input_shape: tuple[int | None, ...] = input_shape or declared
        self.output_names = tuple(o.name for o in self._session.get_outputs())

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        check_shape(self, tensor)
        try:
            outputs = self._session.run(None, {self.input_name: np.ascontiguousarray(tensor)})
        except Exception as error:
            raise cannot_run(tensor, error, 0) from None
        return dict(zip(self.output_names, outputs, strict=True))

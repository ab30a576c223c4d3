"""OpenVINO sessions: the first choice on CPUs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import ManifestInvalid, ModelUnsupported, UsageError
from arcid.runtime import check_shape

_PRECISIONS = {"f32", "bf16", "f16"}


class OpenVinoSession:
    """One compiled model with an infer request per calling thread."""

    runtime = "openvino"

    def __init__(
        self,
        path: Path,
        device: str,
        precision: str,
        threads: int,
        input_name: str | None = None,
        input_shape: tuple[int, ...] | None = None,
    ) -> None:
        import openvino as ov

        if precision not in _PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; use {sorted(_PRECISIONS)}")
        core = ov.Core()
        self.device = device.upper()
        if self.device.split(".")[0].split(":")[0] not in {*core.available_devices, "AUTO"}:
            raise ModelUnsupported(
                f"OpenVINO has no device {self.device}; here: {', '.join(core.available_devices)}"
            )
        try:
            model = core.read_model(path)
            if input_shape is not None:
                model.reshape({model.inputs[0]: list(input_shape)})
            # The file's own names; compiling adds aliases of merged tensors.
            self.output_names = tuple(
                o.any_name if o.names else f"output_{i}" for i, o in enumerate(model.outputs)
            )
            # Left alone, OpenVINO may choose bf16: the precision is always set.
            config: dict[str, Any] = {
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
            }
            if self.device == "CPU":
                config["INFERENCE_NUM_THREADS"] = threads
            self._compiled = core.compile_model(model, self.device, config)
        except RuntimeError as error:
            raise ModelUnsupported(
                f"OpenVINO cannot load {path.name}: {str(error).strip().splitlines()[-1]}"
            ) from None
        self.precision = str(self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        source = self._compiled.inputs[0]
        self.input_name = source.any_name
        if input_name is not None and input_name not in source.names:
            raise ManifestInvalid(
                f"{path.name} has input {self.input_name!r}, its manifest says {input_name!r}"
            )
        self.input_shape = tuple(
            int(d.get_length()) if d.is_static else None for d in source.partial_shape
        )
        self._local = threading.local()

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        check_shape(self, tensor)
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer({0: np.ascontiguousarray(tensor)}, share_inputs=True)
        return {name: np.asarray(results[i]) for i, name in enumerate(self.output_names)}

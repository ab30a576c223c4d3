"""OpenVINO sessions: the first choice on CPUs."""

from __future__ import annotations

import functools
import importlib
import io
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from arcid.errors import ManifestInvalid, ModelUnsupported, UsageError
from arcid.runtime import compiled, hardware
from arcid.runtime.session import cannot_run, check_inputs, check_shape

log = logging.getLogger(__name__)
_PRECISIONS = {"f32", "bf16", "f16"}


def import_openvino() -> Any:
    """OpenVINO without its model converter, which takes most of the time of importing it and
    brings a telemetry client along. The converter can still be imported by itself."""
    converter = "openvino.tools.ovc"
    with _importing:
        if "openvino" in sys.modules or converter in sys.modules:
            return importlib.import_module("openvino")
        sys.modules[converter] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("openvino")
        finally:
            del sys.modules[converter]


_importing = threading.Lock()


def shared_core() -> Any:
    """The one ``openvino.Core`` of this process, never let go.

    The CPU plugin of every Core gives the calling thread an alternate signal stack and puts the one
    before it back when the Core goes. Cores that go in another order than they came leave the
    thread with a stack that is no longer mapped; the next signal with a Python handler (SIGTERM to
    a service, the end of a child) is then a segmentation fault.
    """
    with _opening:
        return _core()


@functools.cache
def _core() -> Any:
    openvino = import_openvino()
    # Its table of types is made at first use, under a lock that does not let Python's go: two
    # threads that use it first at once wait for each other for good.
    openvino.Type.f32.to_dtype()
    return openvino.Core()


_opening = threading.Lock()


class OpenVinoSession:
    """One compiled model with an infer request per calling thread."""

    runtime = "openvino"

    def __init__(
        self,
        path: Path,
        model: bytes,
        device: str,
        precision: str,
        threads: int,
        input_name: str | None = None,
        input_shape: tuple[int, ...] | None = None,
        *,
        weights: bytes | None = None,
        streams: int = 1,
    ) -> None:
        if precision not in _PRECISIONS:
            raise UsageError(f"precision {precision!r} is unknown; use {sorted(_PRECISIONS)}")
        core = shared_core()
        self.device = device.upper()
        if self.device not in ("CPU", "AUTO") and (  # asking takes a while
            self.device.split(".")[0].split(":")[0] not in {*core.available_devices, "AUTO"}
        ):
            raise ModelUnsupported(
                f"OpenVINO has no device {self.device}; here: {', '.join(core.available_devices)}"
            )
        # Left alone, OpenVINO may choose bf16: the precision is always set.
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        }
        if self.device == "CPU":
            config["INFERENCE_NUM_THREADS"] = threads
            config["NUM_STREAMS"] = min(streams, threads)
        kept = None
        if self.device == "CPU" and len(model) + len(weights or b"") >= compiled.LEAST_BYTES:
            made_by = (core.get_versions("CPU")["CPU"].build_number, hardware.cpu_name())
            kept = compiled.name_of(model, weights, *made_by, input_shape, sorted(config.items()))
        try:
            if kept is None or not self._recall(core, kept, config):
                self._compile(core, path, model, weights, input_shape, config, kept)
        except RuntimeError as error:
            raise ModelUnsupported(
                f"OpenVINO cannot load {path.name}: {str(error).strip().splitlines()[-1]}"
            ) from None
        self.precision = str(self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        source = self._compiled.inputs[0]
        if input_name is not None and input_name != self.input_name:
            raise ManifestInvalid(
                f"{path.name} has input {self.input_name!r}, its manifest says {input_name!r}"
            )
        self.input_shape = tuple(
            int(d.get_length()) if d.is_static else None for d in source.partial_shape
        )
        self._local = threading.local()
        self._process = os.getpid()

    def _recall(self, core: Any, name: str, config: dict[str, Any]) -> bool:
        """Whether it was compiled before, and is as it was then."""
        found = compiled.find(name)
        if found is None:
            return False
        try:
            self._compiled = core.import_model(found.blob, self.device, config)
        except RuntimeError as error:  # of another build, say
            log.warning("a compiled model cannot be used", extra={"cause": type(error).__name__})
            return False
        self.input_name, self.output_names = found.input_name, found.output_names
        return True

    def _compile(
        self,
        core: Any,
        path: Path,
        model: bytes,
        weights: bytes | None,
        input_shape: tuple[int, ...] | None,
        config: dict[str, Any],
        name: str | None,
    ) -> None:
        """Read and compile it, and keep what that made under the name."""
        network = core.read_model(*((model,) if weights is None else (model, weights)))
        check_inputs(
            path, {i.any_name: i.get_element_type().get_type_name() for i in network.inputs}
        )
        if input_shape is not None:
            network.reshape({network.inputs[0]: list(input_shape)})
        # The file's own names; compiling adds aliases of merged tensors.
        self.input_name = network.inputs[0].any_name
        self.output_names = tuple(
            o.any_name if o.names else f"output_{i}" for i, o in enumerate(network.outputs)
        )
        self._compiled = core.compile_model(network, self.device, config)
        if name is not None:
            blob = io.BytesIO()
            self._compiled.export_model(blob)
            names = self.input_name, self.output_names
            compiled.keep(name, compiled.Compiled(*names, blob.getvalue()))

    def run(self, tensor: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        check_shape(self, tensor)
        if os.getpid() != self._process:  # its threads stayed there: waiting would never end
            raise UsageError(
                "this model was opened before the process was forked; open models and pipelines in "
                "the process that uses them, or start it by spawn: "
                'multiprocessing.get_context("spawn")'
            )
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        tensor = np.ascontiguousarray(tensor)
        # Asynchronously, on the runtime's own pinned threads: infer() computes on the caller's,
        # several times slower beside other busy threads.
        try:
            request.start_async({0: tensor}, share_inputs=True)
            request.wait()
        except RuntimeError as error:
            raise cannot_run(tensor, error, -1) from None
        return {
            name: np.array(request.get_output_tensor(i).data)
            for i, name in enumerate(self.output_names)
        }

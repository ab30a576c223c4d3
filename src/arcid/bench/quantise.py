"""Int8 files of a float ONNX model for timing: NNCF's, and ONNX Runtime's own."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from arcid.errors import MissingExtra

IMAGES = 4  # made-up pictures; ranges that fit photographs take no other time


def with_nncf(source: Path, target: Path) -> Path:
    """Post-training quantisation as OpenVINO likes it, saved as ONNX (Q/DQ pairs)."""
    try:
        import nncf
    except ImportError:
        raise MissingExtra("int8 timing", "bench") from None
    logging.getLogger("nncf").setLevel(logging.ERROR)
    dataset = nncf.Dataset(_images(), lambda image: {"input": image})
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        quantised = nncf.quantize(onnx.load(str(source)), dataset, subset_size=IMAGES)
    onnx.save_model(quantised, str(target))
    return target


def with_onnxruntime(source: Path, target: Path) -> Path:
    """ONNX Runtime's static quantisation at its recommended CPU settings: per channel, u8 × s8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantise
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(_images())

        def get_next(self) -> dict[str, Any] | None:
            image = next(self._left, None)
            return None if image is None else {"input": image}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns of every vector without channels
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantise(
                str(prepared),
                str(target),
                Images(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
    finally:
        root.setLevel(level)
    return target


def _images() -> list[Any]:
    random = np.random.default_rng(0)
    return [random.normal(0, 0.5, (1, 3, 112, 112)).astype(np.float32) for _ in range(IMAGES)]

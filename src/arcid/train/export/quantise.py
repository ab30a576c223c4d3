"""Int8 by NNCF: post-training quantisation on photographs, saved as ONNX with Q/DQ pairs."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

from arcid.errors import ExportRefused, MissingExtra
from arcid.models.manifest import InputSpec
from arcid.types import Crops

PHOTOS = 300  # NNCF's own default; more changed nothing measurable
MINIMUM_PHOTOS = 16


def quantise(model: Any, crops: Crops, spec: InputSpec, *, transformer: bool = False) -> Any:
    """Quantise a folded float graph; ``crops`` (N,S,S,3) uint8 RGB set the activation ranges.

    Weights are symmetric per channel; activations asymmetric, since PReLU and GELU leave few
    negative numbers. All layers keep eight bits: NNCF's guard against overflow on processors
    without VNNI halves the first one's precision, while ``arcid models verify`` shows where a
    processor overflows. Raises ``MissingExtra`` without NNCF, ``ExportRefused`` for too few photos.
    """
    if len(crops) < MINIMUM_PHOTOS:
        raise ExportRefused(
            f"{len(crops)} photos to calibrate with; ranges need at least {MINIMUM_PHOTOS}, "
            f"better {PHOTOS}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import nncf
        except ImportError:
            raise MissingExtra("quantising to int8", "int8") from None
        logging.getLogger("nncf").setLevel(logging.ERROR)
        tensors = [spec.prepare(crops.pixels[i : i + 1]) for i in range(len(crops))]
        dataset = nncf.Dataset(tensors, lambda tensor: {spec.name: tensor})
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
            return nncf.quantize(
                model,
                dataset,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(tensors),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.OverflowFix.DISABLE
                ),
                model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            )


__all__ = ["MINIMUM_PHOTOS", "PHOTOS", "quantise"]

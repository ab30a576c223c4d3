"""From a trained network to a bundle the product runs: ``export("runs/small", out, request)``.

``onnx``       the graph: weights under their own names, or folded for quantising and devices
``tolerance``  how close a file must come to the network it was made from
``crops``      photographs to quantise with and to measure on
``quantise``   int8 by NNCF
``measure``    accuracy of the float and of the exported file on the same pairs
``card``       MODEL_CARD.md
``luxonis``    NN Archive for OAK devices
``bundle``     the one function that puts these together
"""

from __future__ import annotations

from arcid.train.export.bundle import ExportRequest, ExportResult, export

__all__ = ["ExportRequest", "ExportResult", "export"]

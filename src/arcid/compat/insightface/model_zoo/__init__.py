"""One network of a pack: ``get_model`` tells by an ONNX file's inputs and outputs what it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arcid.compat.insightface.model_zoo.detection import SCRFD
from arcid.compat.insightface.model_zoo.inside import Attribute, Landmark
from arcid.compat.insightface.model_zoo.network import Network, opened
from arcid.compat.insightface.model_zoo.recognition import ArcFaceONNX
from arcid.errors import ModelUnsupported

DEFAULT_ROOT = "~/.insightface"


def get_model(
    name: str,
    *,
    root: str = DEFAULT_ROOT,
    download: bool = False,
    download_zip: bool = False,
    providers: Sequence[Any] | None = None,
    provider_options: Any = None,
    sess_options: Any = None,
) -> Network | None:
    """The network of an ``.onnx`` file, or of a pack's last file by name.

    None for a file that is none of detection, recognition, landmarks and attributes, and for a pack
    that is not there; ``AssertionError`` for a file that is not. Nothing is downloaded; the
    runtime is chosen by arcid (OpenVINO where it is installed), on a GPU where ``providers``
    names one. ``provider_options`` and ``sess_options`` are for ONNX Runtime and change nothing.
    """
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise AssertionError(f"the model file {name} does not exist")
        return route(path, providers)
    files = pack_files(name, root)
    return route(files[-1], providers) if files else None


def pack_files(name: str, root: str = DEFAULT_ROOT) -> list[Path]:
    """The ONNX files of a pack, or of a folder, by name; none where there is no such folder."""
    folder = Path(name).expanduser()
    if not (folder.is_dir() and folder.is_absolute()):
        folder = Path(root).expanduser() / "models" / name
    return sorted(folder.glob("*.onnx"))


def route(path: Path, providers: Sequence[Any] | None = None) -> Network | None:
    """The network of a file; None where it is none that faces are analysed with."""
    try:
        session, widths = opened(path, providers)
    except ModelUnsupported:
        return None  # takes two pictures, or something else than a picture
    height, width = session.input_shape[2:4]
    if len(session.output_names) >= 5:
        return SCRFD(path, session)
    if height == width == 192:
        return Landmark(path, session, widths[0])
    if height == width == 96:
        return Attribute(path, session, widths[0])
    if height is not None and height == width and height >= 112 and height % 16 == 0:
        return ArcFaceONNX(path, session)
    return None


__all__ = ["SCRFD", "ArcFaceONNX", "Attribute", "Landmark", "Network", "get_model"]

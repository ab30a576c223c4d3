"""One network of a pack: ``get_model`` tells by an ONNX file's inputs and outputs what it is, or is
told by the pack's manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arcid.compat.insightface.model_zoo.detection import SCRFD
from arcid.compat.insightface.model_zoo.inside import Attribute, Landmark
from arcid.compat.insightface.model_zoo.manifest import Part, parts_of
from arcid.compat.insightface.model_zoo.network import Network, opened
from arcid.compat.insightface.model_zoo.recognition import ArcFaceONNX
from arcid.errors import ModelUnsupported

DEFAULT_ROOT = "~/.insightface"


def get_model(
    name: str,
    *,
    root: str = DEFAULT_ROOT,
    model_task: str | None = None,
    download: bool = False,
    download_zip: bool = False,
    providers: Sequence[Any] | None = None,
    provider_options: Any = None,
    sess_options: Any = None,
) -> Network | None:
    """The network of an ``.onnx`` file, or of a pack's last file by name; of a pack with a manifest
    of version 2 that of ``model_task``.

    None for a file that is none of detection, recognition, landmarks and attributes, and for a pack
    that is not there; ``AssertionError`` for a file that is not. Nothing is downloaded; the
    runtime is chosen by arcid (OpenVINO where it is installed), on a GPU where ``providers``
    names one. ``provider_options`` and ``sess_options`` are for ONNX Runtime and change nothing.
    ``ValueError`` for a pack with a manifest where the task is left out or not there.
    """
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise AssertionError(f"the model file {name} does not exist")
        return route(path, providers)
    parts = parts_of(pack_folder(name, root))
    if parts is not None:
        tasks = {part.task: part for part in parts}
        if model_task not in tasks:
            raise ValueError(f"model_task should be one of {', '.join(tasks)}, got {model_task!r}")
        return described(tasks[model_task], providers)
    files = pack_files(name, root)
    return route(files[-1], providers) if files else None


def pack_files(name: str, root: str = DEFAULT_ROOT) -> list[Path]:
    """The ONNX files of a pack, or of a folder, by name; none where there is no such folder."""
    return sorted(pack_folder(name, root).glob("*.onnx"))


def pack_folder(name: str, root: str = DEFAULT_ROOT) -> Path:
    """Where a pack lies, or would."""
    folder = Path(name).expanduser()
    if folder.is_dir() and folder.is_absolute():
        return folder
    return Path(root).expanduser() / "models" / name


def described(part: Part, providers: Sequence[Any] | None = None) -> Network:
    """The network of a file that its pack's manifest describes."""
    session, _ = opened(part.path, providers)
    if part.task == "detection":
        return SCRFD(part.path, session, (part.mean, part.std))
    made = ArcFaceONNX(part.path, session)
    made.input_mean, made.input_std = part.mean, part.std
    made.input_size = (part.size or made.input_size[0],) * 2
    return made


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

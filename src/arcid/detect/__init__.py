"""Detectors: (H,W,3) uint8 RGB pictures in, one ``Detections`` each out.

One file per family behind the ``Detector`` protocol; ``create`` builds one from a manifest and the
sessions of its files. Nothing here opens model files or downloads: sessions are handed in.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcid.detect._common import Detector, name_of
from arcid.detect.arcid_detect import ArcidDetect
from arcid.detect.dlib import Dlib, DlibNetwork
from arcid.detect.mediapipe import MediaPipe
from arcid.detect.mtcnn import MTCNN
from arcid.detect.retinaface import RetinaFace
from arcid.detect.rotated import RotationSearch
from arcid.detect.scrfd import SCRFD
from arcid.detect.second_try import once
from arcid.detect.tiled import TiledDetector
from arcid.detect.ultralight import UltraLight
from arcid.detect.voting import VotingDetector
from arcid.detect.yunet import YuNet
from arcid.errors import ManifestInvalid, UsageError
from arcid.models.manifest import Manifest

#: Every family by the name that manifests use. ``files`` on each class names the model files it
#: needs: none (dlib opens its own), one ("model"), or MTCNN's three; ``optional_files`` those it
#: uses where a manifest names them.
FAMILIES: dict[str, Any] = {
    "arcid": ArcidDetect,
    "scrfd": SCRFD,
    "yunet": YuNet,
    "retinaface": RetinaFace,
    "mtcnn": MTCNN,
    "ultralight": UltraLight,
    "mediapipe": MediaPipe,
    "dlib": Dlib,
    "dlib_cnn": DlibNetwork,
}


def family(name: str) -> Any:
    """The class of a family, or ``UsageError`` listing the known ones."""
    if name not in FAMILIES:
        raise UsageError(f"detector family {name!r} is unknown; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]


def model_files(manifest: Manifest) -> dict[str, tuple[str, str]]:
    """{part: (file name, sha256)} of every model file the manifest's family needs.

    The first part is ``Manifest.file``; further ones stand in ``options[part]`` as
    ``{"file": ..., "sha256": ...}``. Raises ``ManifestInvalid`` where one is missing.
    """
    kind = family(manifest.family)
    files = dict.fromkeys(kind.files[:1], (manifest.file, manifest.sha256))
    named = [part for part in _optional(kind) if part in manifest.options]
    for part in (*kind.files[1:], *named):
        entry = manifest.options.get(part)
        if not isinstance(entry, Mapping) or not {"file", "sha256"} <= set(entry):
            raise ManifestInvalid(
                f"{manifest.name}: options.{part} must be an object with file and sha256"
            )
        filename, sha256 = str(entry["file"]), str(entry["sha256"])
        if Path(filename).name != filename or filename in ("", ".."):
            raise ManifestInvalid(f"{manifest.name}: options.{part}.file must be a plain name")
        files[part] = (filename, sha256)
    return files


def create(manifest: Manifest | str, sessions: Any = None, **options: Any) -> Detector:
    """Build the detector a manifest describes.

    ``sessions``: one ``Session``, or for families of several files a mapping by the names of
    ``model_files``. MediaPipe takes its engine (``mediapipe.open_engine``) in that place; dlib's
    take nothing or a landmark predictor, and their family names will do for a manifest.
    ``options`` override the manifest's own: ``threshold``, ``nms_iou``, ``size`` and what else the
    family's class documents.

    Raises ``UsageError`` (unknown family or option), ``ManifestInvalid``, ``MissingExtra``.
    """
    kind = family(manifest if isinstance(manifest, str) else manifest.family)
    stored = {} if isinstance(manifest, str) else dict(manifest.options)
    for part in (*kind.files[1:], *_optional(kind)):
        stored.pop(part, None)
    known = _option_names(kind)
    if unknown := sorted(set(stored) - known):
        raise ManifestInvalid(
            f"options {unknown} mean nothing to {kind.family}; known: {sorted(known)}"
        )
    if unknown := sorted(set(options) - known):
        raise UsageError(f"options {unknown} mean nothing to {kind.family}; known: {sorted(known)}")
    settings = {**stored, **options}
    if not isinstance(manifest, str):
        settings.setdefault("name", manifest.name)
    if not kind.files or kind is MediaPipe:
        built: Detector = kind(sessions, **settings)
        return built
    if isinstance(manifest, str):
        raise UsageError(f"{manifest} needs a manifest: its networks differ from file to file")
    built = kind(_handed(kind, manifest.name, sessions), manifest.input, **settings)
    return built


def _option_names(kind: Any) -> set[str]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _optional(kind: Any) -> tuple[str, ...]:
    return getattr(kind, "optional_files", ())


def _handed(kind: Any, name: str, sessions: Any) -> Any:
    """The one session, or the mapping of all, that the family's class takes."""
    given = sessions if isinstance(sessions, Mapping) else {kind.files[0]: sessions}
    if missing := [part for part in kind.files if given.get(part) is None]:
        raise UsageError(f"{name} needs a session for each of {', '.join(missing)}")
    parts = (*kind.files, *(part for part in _optional(kind) if given.get(part) is not None))
    return {part: given[part] for part in parts} if len(parts) > 1 else given[parts[0]]


__all__ = [
    "FAMILIES",
    "MTCNN",
    "SCRFD",
    "ArcidDetect",
    "Detector",
    "Dlib",
    "DlibNetwork",
    "MediaPipe",
    "RetinaFace",
    "RotationSearch",
    "TiledDetector",
    "UltraLight",
    "VotingDetector",
    "YuNet",
    "create",
    "family",
    "model_files",
    "name_of",
    "once",
]

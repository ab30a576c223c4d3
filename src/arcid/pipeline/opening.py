"""Stages opened from model bundles."""

from __future__ import annotations

import functools
from os import PathLike
from typing import Any

from arcid import detect
from arcid.detect import Detector
from arcid.embed import DlibEmbedder, Embedder, Ensemble, OnnxEmbedder
from arcid.errors import ModelUnsupported
from arcid.landmarks import DlibLandmarks, LandmarkFinder, LandmarkModel
from arcid.models import goldens, weights
from arcid.models.weights import Bundle
from arcid.runtime import RuntimeName, open_session
from arcid.types import Crops, Embeddings


def load_embedder(
    bundle: Bundle, *, runtime: RuntimeName | None = None, device: str | None = None
) -> OnnxEmbedder | DlibEmbedder | Ensemble:
    """Open a recogniser's session and wrap it; of an ensemble, its members'."""
    if bundle.members:
        opened = [load_embedder(one, runtime=runtime, device=device) for one in bundle.members]
        return Ensemble(opened, bundle.weights)
    manifest = bundle.manifest
    if manifest.family == "dlib":
        return DlibEmbedder(bundle.path, manifest)
    session = open_session(
        bundle.path,
        runtime=runtime,
        device=device,
        input_name=manifest.input.name,
        sha256=manifest.sha256,
        weights_sha256=manifest.weights_sha256,
    )
    return OnnxEmbedder(session, manifest)


def embed_by(name: str | None, crops: Crops) -> Embeddings:
    """``embed`` of the recogniser of that name, None the default, which a worker process opens
    once."""
    return _opened(name).embed(crops)


@functools.lru_cache(maxsize=1)
def _opened(name: str | None) -> Embedder:
    return load_embedder(weights.resolve(name) if name else weights.resolve_default("recognition"))


def check_recogniser(bundle: Bundle, embedder: Embedder) -> float | None:
    """Run it on the crops of its bundle's goldens, or each member of an ensemble on its own; the
    lowest cosine to them, None without any. Raises as ``goldens.check``."""
    if not isinstance(embedder, Ensemble):
        return goldens.check(bundle.manifest, embedder.embed, bundle.folder)
    of = {one.manifest.contract_id: one for one in bundle.members}
    found = [check_recogniser(of[one.contract_id], one) for one in embedder.members]
    return min((cosine for cosine in found if cosine is not None), default=None)


def load_landmarks(
    name: str | PathLike[str] | None = None,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
) -> LandmarkFinder:
    """Open a landmark model by name or path; None: the default. Raises ``ModelError`` kinds."""
    bundle = weights.resolve(name) if name else weights.resolve_default("landmarks")
    manifest = bundle.manifest
    if manifest.family == "dlib":
        return DlibLandmarks(bundle.path, manifest)
    session = open_session(
        bundle.path,
        runtime=runtime,
        device=device,
        input_name=manifest.input.name,
        sha256=manifest.sha256,
        weights_sha256=manifest.weights_sha256,
    )
    return LandmarkModel(session, manifest)


def load_detector(
    name: str | PathLike[str] | None = None,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    **options: Any,
) -> Detector:
    """Open a detector by name or path; None takes the default."""
    return open_detector(name, runtime=runtime, device=device, **options)[0]


def open_detector(
    name: str | PathLike[str] | None,
    *,
    runtime: RuntimeName | None,
    device: str | None,
    streams: int = 1,
    **options: Any,
) -> tuple[Detector, Bundle | None]:
    """``load_detector``, with the bundle it came from; None where there is no model file.

    ``streams`` as in ``open_session``. Detectors that vote each get the options."""
    if (
        isinstance(name, str) and name in detect.FAMILIES and not detect.FAMILIES[name].files
    ):  # no model file needed
        return detect.create(name, None, **options), None
    bundle = weights.resolve(name) if name else weights.resolve_default("detection")
    return _detector(bundle, runtime=runtime, device=device, streams=streams, **options), bundle


def _detector(
    bundle: Bundle, *, runtime: RuntimeName | None, device: str | None, streams: int, **options: Any
) -> Detector:
    manifest = bundle.manifest
    if manifest.task != "detection":
        raise ModelUnsupported(f"{bundle.name} is a {manifest.task} model, not a detector")
    if bundle.members:
        members = [
            _detector(one, runtime=runtime, device=device, streams=streams, **options)
            for one in bundle.members
        ]
        return detect.VotingDetector(members, name=bundle.name, **manifest.options)
    sessions = {
        part: open_session(
            bundle.path.with_name(filename),
            runtime=runtime,
            device=device,
            sha256=sha256,
            weights_sha256=manifest.weights_sha256 if filename == manifest.file else None,
            streams=streams,
        )
        for part, (filename, sha256) in detect.model_files(manifest).items()
    }
    return detect.create(manifest, sessions, **options)

"""Stages opened from model bundles."""

from __future__ import annotations

from typing import Any

from arcid import detect
from arcid.detect import Detector
from arcid.embed import OnnxEmbedder
from arcid.errors import ModelUnsupported
from arcid.models import weights
from arcid.models.weights import Bundle
from arcid.runtime import RuntimeName, open_session


def load_embedder(
    bundle: Bundle, *, runtime: RuntimeName | None = None, device: str | None = None
) -> OnnxEmbedder:
    """Open a recogniser's session and wrap it."""
    manifest = bundle.manifest
    session = open_session(
        bundle.path,
        runtime=runtime,
        device=device,
        input_name=manifest.input.name,
        sha256=manifest.sha256,
        weights_sha256=manifest.weights_sha256,
    )
    return OnnxEmbedder(session, manifest)


def load_detector(
    name: str | None = None,
    *,
    runtime: RuntimeName | None = None,
    device: str | None = None,
    **options: Any,
) -> Detector:
    """Open a detector by name; None takes the default."""
    return open_detector(name, runtime=runtime, device=device, **options)[0]


def open_detector(
    name: str | None,
    *,
    runtime: RuntimeName | None,
    device: str | None,
    **options: Any,
) -> tuple[Detector, Bundle | None]:
    """``load_detector``, with the bundle it came from; None where there is no model file."""
    if name in detect.FAMILIES and not detect.FAMILIES[name].files:  # no model file needed
        return detect.create(name, None, **options), None
    bundle = weights.resolve(name) if name else weights.resolve_default("detection")
    manifest = bundle.manifest
    if manifest.task != "detection":
        raise ModelUnsupported(f"{bundle.name} is a {manifest.task} model, not a detector")
    sessions = {
        part: open_session(
            bundle.path.with_name(filename),
            runtime=runtime,
            device=device,
            sha256=sha256,
            weights_sha256=manifest.weights_sha256 if filename == manifest.file else None,
        )
        for part, (filename, sha256) in detect.model_files(manifest).items()
    }
    return detect.create(manifest, sessions, **options), bundle

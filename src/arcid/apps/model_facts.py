"""What is known of an installed model: for lists, for its page, and whether it is sound."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from arcid import detect, pipeline
from arcid.errors import ArcidError, CalibrationMissing, ModelHashMismatch
from arcid.models import goldens, measured, trust, weights
from arcid.models.manifest import Task
from arcid.models.pull import Offer
from arcid.models.weights import Bundle
from arcid.runtime import open_session

TASKS: tuple[Task, ...] = ("detection", "recognition")  # that have a default


def summary(bundle: Bundle, default: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One row of a list; ``default``: what ``defaults`` answered, for many rows."""
    default = defaults() if default is None else default
    manifest = bundle.manifest
    recognises = manifest.output is not None
    known = measured.of(manifest)
    return {
        "name": bundle.name,
        "task": manifest.task,
        "description": manifest.description,
        "family": manifest.family,
        "precision": manifest.precision,
        "dim": manifest.output.dim if manifest.output else None,
        "contract_id": manifest.contract_id if recognises else None,
        "calibration": _calibrated(bundle) if recognises else None,
        "origin": bundle.origin,
        "trust": bundle.trust,
        "default": bundle.name == default.get(manifest.task),
        "licence": manifest.licence.name,
        "commercial_use": manifest.licence.commercial_use,
        "measured": known.to_dict() if known else None,
    }


def signed(bundle: Bundle) -> bool:
    """Whether a bundle carries arcid's signature.

    Raises ``ModelHashMismatch`` where it has one that is not over what is there, or ships and has
    none.
    """
    if bundle.folder is None:
        return False
    good = trust.signature(bundle.manifest, bundle.folder)
    if good is False or (bundle.origin == "packaged" and not good):
        raise ModelHashMismatch(
            f"{bundle.name} does not carry arcid's signature on its manifest, calibration and "
            "goldens as they are: something was changed. Install or download it again",
            model=bundle.name,
        )
    return bool(good)


def offer(wanted: Offer) -> dict[str, Any]:
    """One row of what can be pulled."""
    models = [entry.manifest for entry in wanted.models]
    only = models[0] if len(models) == 1 else None
    known = measured.of(only) if only else None
    return {
        "name": wanted.name,
        "models": [entry.name for entry in wanted.models],
        "task": only.task if only else None,
        "description": only.description if only else "",
        "dim": only.output.dim if only and only.output else None,
        "files": [
            {"file": f.filename, "bytes": f.size_bytes, "url": f.url, "sha256": f.sha256}
            for f in wanted.files
        ],
        "size_bytes": wanted.size_bytes,
        "url": wanted.url,
        "sha256": wanted.file.sha256,
        "licence": wanted.licence.name,
        "commercial_use": wanted.licence.commercial_use,
        "measured": known.to_dict() if known else None,
    }


def defaults() -> dict[str, str]:
    """Task → name of the model that is used when none is named."""
    found: dict[str, str] = {}
    for task in TASKS:
        with suppress(ArcidError):
            found[task] = weights.resolve_default(task).name
    return found


def _calibrated(bundle: Bundle) -> str:
    try:
        return "provisional" if weights.find_calibration(bundle).provisional else "measured"
    except CalibrationMissing:
        return "no"
    except ArcidError:
        return "unusable"


def calibration(bundle: Bundle) -> dict[str, Any]:
    """On what its scores were measured. Raises ``CalibrationError`` kinds."""
    found = weights.find_calibration(bundle)
    keys = ("status", "detector", "people", "photos", "impostor_pairs", "date", "notes")
    return {
        "calibration_id": found.calibration_id,
        "smallest_supported_fmr": found.smallest_supported_fmr,
        "smallest_measured_fmr": found.smallest_measured_fmr,
        "combined_with": found.data["combined_with"]["dataset"] if found.combined else None,
        **{key: found.data[key] for key in keys if key in found.data},
        "dataset": found.data["dataset"]["name"],
    }


def files(bundle: Bundle) -> list[dict[str, Any]]:
    """Its files, of an ensemble its members', each ``ok``, ``missing`` or of the ``wrong
    sha256``."""
    if bundle.members:
        return [row for member in bundle.members for row in files(member)]
    wanted = dict(bundle.manifest.files)
    if bundle.manifest.task == "detection":
        wanted |= dict(detect.model_files(bundle.manifest).values())
    found = []
    for filename, sha256 in wanted.items():
        path = bundle.path.with_name(filename)
        state = "missing"
        if path.is_file():
            state = "ok" if weights.sha256_file(path) == sha256 else "wrong sha256"
        size = path.stat().st_size if path.is_file() else None
        found.append({"file": filename, "sha256": sha256, "bytes": size, "state": state})
    return found


def check(bundle: Bundle) -> str:
    """Load and run one resolved model; what was checked, in words. Raises ``ModelError`` kinds."""
    manifest = bundle.manifest
    where = str(bundle.path) if bundle.origin == "path" else bundle.name
    if manifest.task == "detection":
        detector = pipeline.load_detector(where)
        overlap = goldens.check_finds(manifest, detect.once(detector), bundle.folder)
        found = "" if overlap is None else f", goldens met, IoU {overlap:.3f}"
        return f"verified, loaded and run{found}"
    if manifest.task == "landmarks":
        pipeline.load_landmarks(where)
        return "verified and loaded"
    if manifest.task != "recognition":
        open_session(
            bundle.path,
            input_name=manifest.input.name,
            sha256=manifest.sha256,
            weights_sha256=manifest.weights_sha256,
        )
        return "verified and loaded"
    embedder = pipeline.load_embedder(bundle)
    cosine = pipeline.check_recogniser(bundle, embedder)
    stored = "no goldens" if cosine is None else f"goldens met, cosine {cosine:.5f}"
    return f"verified, loaded and run on {embedder.session.runtime}: {embedder.dim}-d, {stored}"


__all__ = ["calibration", "check", "defaults", "files", "offer", "summary"]

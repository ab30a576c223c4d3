"""Sources of a service's imports, opened anew by what their jobs keep of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from arcid.apps.importing import Source, archive, folder
from arcid.apps.jobs.uploads import Uploads
from arcid.errors import InputError, UsageError
from arcid.gallery import NewConsent
from arcid.types import instant


def consent_spec(given: NewConsent | None) -> dict[str, Any] | None:
    """A consent as JSON."""
    if given is None:
        return None
    at = None if given.at is None else instant(given.at)
    return {"text": given.text, "evidence": given.evidence, "by": given.by, "at": at}


def open_source(spec: Mapping[str, Any], uploads: Uploads, allowed: Path | None) -> Source:
    """``allowed``: the folder on this machine whose folders may be imported; None: none may be.

    Raises ``InputError`` kinds, ``UsageError``, ``NotFound``.
    """
    said = spec.get("consent")
    consent = None
    if said is not None:
        at = None if said["at"] is None else datetime.fromisoformat(said["at"])
        consent = NewConsent(said["text"], said["evidence"], said["by"], "", at)
    names = spec.get("list_upload")
    list_ = uploads.path(names).read_bytes() if names else None
    options = {"consent": consent, "list_": list_, "aligned": bool(spec.get("aligned"))}
    if spec["kind"] == "zip":
        return archive(uploads.path(spec["upload"]), dict(spec), **options)
    place = _allowed(spec["folder"], allowed)
    return folder(place, dict(spec), within=allowed, **options)


def _allowed(name: str, allowed: Path | None) -> Path:
    if allowed is None:
        raise UsageError(
            "this service imports no folders of its machine: upload a zip, or let whoever runs it "
            "set ARCID_IMPORTS to the folder that may be imported from"
        )
    parts = PurePosixPath(name).parts
    place = allowed / name
    inside = place.resolve().is_relative_to(allowed.resolve())
    if not name or PurePosixPath(name).is_absolute() or ".." in parts or not inside:
        raise UsageError("name a folder inside the one that may be imported from, such as 2026/may")
    if not place.is_dir():
        raise InputError("there is no such folder where folders may be imported from")
    return place

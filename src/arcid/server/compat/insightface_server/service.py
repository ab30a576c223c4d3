"""What runs, and how it is doing: ``/models`` and ``/system``."""

from __future__ import annotations

import platform
import time

from fastapi import APIRouter, Request
from starlette.responses import Response

import arcid
from arcid.models.manifest import Manifest
from arcid.runtime import default_threads, hardware
from arcid.server.compat.insightface_server.photos import PREFIX
from arcid.server.compat.insightface_server.telling import Told, model_told, told
from arcid.server.deps import Running, Services
from arcid.server.lanes import Route

router = APIRouter(prefix=f"{PREFIX}/v1", include_in_schema=False, route_class=Route)


@router.get("/models", name="insightface_models")
def models(request: Request, running: Running) -> Response:
    """The detector and the recogniser, with the sha256 of each."""
    return told(
        request,
        {
            "execution_provider": running.pipeline.provenance["runtime"],
            "license": _licence(running.pipeline.manifest),
            "models": _components(running),
        },
    )


@router.get("/system", name="insightface_system")
def system(request: Request, running: Running) -> Response:
    """The machine and the service; no secret, no path."""
    made_with, stats = running.pipeline.provenance, running.gallery.stats()
    rows, settings = stats["rows"], running.settings
    model = model_told(made_with["model"], running.contract_id) | {
        "embedding_dimension": running.pipeline.embedder.dim,
        "provider": made_with["runtime"],
        "license": _licence(running.pipeline.manifest),
        "models": _components(running),
    }
    return told(
        request,
        {
            "server_version": arcid.__version__,
            "os": platform.platform(terse=True),
            "architecture": platform.machine(),
            "cpu": {
                "name": hardware.cpu_name(),
                "threads": default_threads(),
                "instruction_sets": list(hardware.instruction_sets()),
            },
            "execution_provider": made_with["runtime"],
            "model": model,
            "models": {part: made_with[part] for part in ("detector", "model", "precision")},
            "runtime": {
                "device": made_with["device"],
                "uptime_seconds": round(time.monotonic() - running.started, 3),
                "queue": running.batcher.pending,
                "queue_size": settings.queue_size,
            },
            "database": {
                "backend": stats["backend"],
                "schema_version": stats["schema_version"],
            },
            "data": {"stores_crops": "as each collection says"},
            "search": {"profile": "fp32_v1"},
            "stats": {name: rows[name] for name in ("collections", "people", "faces")},
            "safe_config": {
                "max_image_bytes": settings.max_upload_bytes,
                "max_image_pixels": settings.max_image_pixels,
                "max_images": settings.max_images,
            },
            "api_key": {"configured": bool(settings.api_keys or running.keys)},
            "recent_errors": [],
        },
    )


def _components(running: Services) -> list[Told]:
    pipeline = running.pipeline
    found = [
        _component("recognition", pipeline.provenance["model"], pipeline.manifest)
        | {"embedding_dimension": pipeline.embedder.dim}
    ]
    bundle = pipeline.detector_bundle
    detector = bundle.manifest if bundle else None
    return [_component("detection", pipeline.provenance["detector"], detector), *found]


def _component(task: str, name: str, manifest: Manifest | None) -> Told:
    version = manifest.sha256[:12] if manifest else ""
    return {
        "task": task,
        "model_id": name,
        "model_version": version,
        "sha256": manifest.sha256 if manifest else "",
        "file": manifest.file if manifest else None,
    }


def _licence(manifest: Manifest | None) -> Told | None:
    if manifest is None:
        return None
    licence = manifest.licence
    return {"name": licence.name, "url": licence.url, "commercial_use": licence.commercial_use}

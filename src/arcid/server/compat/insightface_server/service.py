"""What runs, and how it is doing: ``/models`` and ``/system``."""

from __future__ import annotations

import platform
import time

from fastapi import APIRouter, Request
from starlette.responses import Response

import arcid
from arcid.runtime import default_threads, hardware
from arcid.server.compat.insightface_server.photos import PREFIX
from arcid.server.compat.insightface_server.telling import (
    PROFILE,
    components,
    licence,
    summary,
    told,
)
from arcid.server.deps import Running
from arcid.server.lanes import Route

router = APIRouter(prefix=f"{PREFIX}/v1", include_in_schema=False, route_class=Route)


@router.get("/models", name="insightface_models")
def models(request: Request, running: Running) -> Response:
    """The detector and the recogniser, with the sha256 of each."""
    return told(
        request,
        {
            "execution_provider": running.pipeline.provenance["runtime"],
            "license": licence(running.pipeline.manifest),
            "models": components(running),
        },
    )


@router.get("/system", name="insightface_system")
def system(request: Request, running: Running) -> Response:
    """The machine and the service; no secret, no path."""
    made_with, stats = running.pipeline.provenance, running.gallery.stats()
    rows, settings = stats["rows"], running.settings
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
            "model": summary(running),
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
            "search": {"profile": PROFILE},
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

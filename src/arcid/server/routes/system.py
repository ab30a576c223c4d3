"""Is it up, what runs here, and how is it doing?"""

from __future__ import annotations

import platform
import time
from typing import Any

from fastapi import APIRouter, Response

import arcid
from arcid.events import Outbox
from arcid.events.duties import holders
from arcid.models.manifest import Manifest
from arcid.runtime import default_threads, hardware
from arcid.server import schemas
from arcid.server.deps import Running, Within
from arcid.server.lanes import Route
from arcid.server.routes._common import errors
from arcid.server.schemas import (
    CalibrationOut,
    Health,
    LatencyOut,
    LicenceOut,
    ModelOut,
    Models,
    OutboxOut,
    System,
    TaskOut,
    UnansweredOut,
)

router = APIRouter(tags=["system"], route_class=Route)


@router.get("/v1/health", responses=errors(503), openapi_extra={"security": [{}]})
async def health(running: Running) -> Health:
    """Answers at once; the gallery is asked every second, by nobody's request."""
    seen_s = running.pulse.check()
    return Health(status="ready", version=arcid.__version__, gallery_seen_s=round(seen_s, 1))


@router.get("/v1/system", responses=errors(503))
def system(running: Running) -> System:
    """Version, hardware, runtime and database."""
    made_with = running.pipeline.provenance
    return System(
        version=arcid.__version__,
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        cpu=hardware.cpu_name(),
        instruction_sets=hardware.instruction_sets(),
        threads=default_threads(),
        workers=running.batcher.workers,
        recogniser=schemas.ModelRun(
            **{part: made_with[part] for part in schemas.ModelRun.model_fields}
        ),
        uptime_s=round(time.monotonic() - running.started, 3),
        queue_images=running.batcher.pending,
        queue_size=running.settings.queue_size,
        database=running.gallery.url,
        gallery=running.gallery.stats(),
        alerts=(
            None
            if (taken := running.pulse.alerts) is None
            else LatencyOut.model_validate(taken.to_dict())
        ),
        outbox=_outbox(running),
        tasks=[
            TaskOut(
                name=state.task.name,
                every_s=state.task.every_s,
                last=state.last,
                took_s=round(state.took_s, 3),
                problem=state.problem,
                elsewhere=state.elsewhere,
            )
            for state in running.housekeeping.states
        ],
    )


@router.get("/v1/models", responses=errors(503))
def models(running: Running, within: Within) -> Models:
    """The detector and the recogniser: facts, licences, and what their scores mean."""
    pipeline = running.pipeline
    return Models(
        models=[
            _detector(running),
            ModelOut(
                **_facts(pipeline.manifest, pipeline.provenance["model"]),
                role="recognition",
                contract_id=running.contract_id,
                dim=pipeline.embedder.dim,
                trust=bundle.trust if (bundle := pipeline.bundle) else None,
                calibration=_calibration(running, within),
            ),
        ]
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(running: Running) -> Response:
    """Prometheus text format. Answers at once, as health does."""
    return Response(running.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _outbox(running: Running) -> list[OutboxOut]:
    by = holders(running.gallery)
    return [
        OutboxOut(target=name, holder=by.get(f"telling:{name}", (None, None))[0], **counts)
        for name, counts in sorted(Outbox(running.gallery).counts().items())
    ]


def _detector(running: Running) -> ModelOut:
    found, name = running.pipeline.detector_bundle, running.pipeline.provenance["detector"]
    return ModelOut(
        **_facts(found.manifest if found else None, name),
        role="detection",
        trust=found.trust if found else None,
    )


def _facts(manifest: Manifest | None, name: str) -> dict[str, Any]:
    if manifest is None:
        return {
            "name": name, "family": name, "description": "", "training_data": "", "source": "",
            "precision": "fp32", "sha256": None, "licence": None,
        }  # fmt: skip
    return {
        "name": manifest.name,
        "family": manifest.family,
        "description": manifest.description,
        "training_data": manifest.training_data,
        "source": manifest.source,
        "precision": manifest.precision,
        "sha256": manifest.sha256,
        "licence": LicenceOut.model_validate(manifest.licence),
        "accuracy": dict(manifest.accuracy),
    }


def _calibration(running: Running, within: frozenset[str] | None) -> CalibrationOut | None:
    found = running.calibration()
    if found is None:
        return None
    return CalibrationOut(
        calibration_id=found.calibration_id,
        status=str(found.data["status"]),
        provisional=found.provisional,
        person_pairs=found.data.get("person_pairs"),
        smallest_supported_fmr=found.smallest_supported_fmr,
        smallest_measured_fmr=found.smallest_measured_fmr,
        combined_with=found.data["combined_with"]["dataset"] if found.combined else None,
        unanswered=[UnansweredOut.model_validate(one) for one in running.unanswered(within)],
        restart_needed=running.pipeline.calibration_replaced,
        **{
            key: found.data[key]
            for key in ("dataset", "people", "photos", "impostor_pairs", "date")
        },
    )

"""Why somebody was named, in the words every camera writes beside its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from arcid.pipeline import Pipeline
from arcid.types import Decision, Match

CANDIDATES = 3


def decided_on(
    pipeline: Pipeline,
    decision: Decision | None,
    candidates: Sequence[Match],
    *,
    source: str,
    cooldown_s: float,
    liveness: object = None,
) -> dict[str, Any]:
    """The decision, the models it was made with and the people nearest to the face."""
    embedder = pipeline.embedder
    return {
        **({} if decision is None else dataclasses.asdict(decision)),
        "contract_id": embedder.contract_id,
        "model": embedder.manifest.name,
        "detector": pipeline.detector.name,
        "runtime": embedder.session.runtime,
        "precision": embedder.session.precision,
        "candidates": [
            {"person_id": m.person_id, "face_id": m.face_id, "cosine": round(m.cosine, 6)}
            for m in candidates[:CANDIDATES]
        ],
        "liveness": liveness,
        "source": source,
        "cooldown_s": cooldown_s,
    }

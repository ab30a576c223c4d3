"""Why somebody was named, in the words every camera writes beside its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arcid.events import Question
from arcid.pipeline import Pipeline
from arcid.types import Decision, Match

CANDIDATES = 3


def question(decision: Decision | None, candidates: Sequence[Match]) -> Question | None:
    """What a human is asked where the decision is ``review``: is it one of those as near?"""
    if decision is None or decision.outcome != "review" or decision.cosine is None:
        return None
    lowest = min(decision.cosine_threshold, decision.cosine)
    asked = [match for match in candidates if match.cosine >= lowest]
    if not asked:
        return None
    return Question(asked, decision.target_fmr, decision.target_fpir)


def decided_on(
    pipeline: Pipeline,
    decision: Decision | None,
    candidates: Sequence[Match],
    *,
    source: str,
    liveness: object = None,
) -> dict[str, Any]:
    """The decision, the models it was made with and the people nearest to the face."""
    made_with = pipeline.provenance
    return {
        **({} if decision is None else decision.to_dict()),
        "contract_id": pipeline.embedder.contract_id,
        **{part: made_with[part] for part in ("model", "detector", "runtime", "precision")},
        "candidates": [
            {"person_id": m.person_id, "face_id": m.face_id, "cosine": round(m.cosine, 6)}
            for m in candidates[:CANDIDATES]
        ],
        "liveness": liveness,
        "source": source,
    }

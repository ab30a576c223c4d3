"""A decision as people read it: words first, then score, probability and error rate."""

from __future__ import annotations

from arcid.server.console import strings as S
from arcid.server.console.ui.widgets import Tone, chip, facts
from arcid.types import Decision

TONES: dict[str, Tone] = {"match": "good", "no_match": "bad", "review": "warn"}


def grounds(decision: Decision) -> None:
    """What a decision stands on."""
    rows: list[tuple[str, str]] = []
    if decision.cosine is not None:
        score = S.SCORE_TEXT.format(cosine=decision.cosine, threshold=decision.cosine_threshold)
        rows.append((S.SCORE, score))
    if decision.probability is not None:
        rows.append((S.PROBABILITY, S.percent(decision.probability)))
    rows.append((S.ERROR_RATE, _judged_at(decision)))
    if decision.fmr is not None:
        rows.append((S.STRANGERS, S.STRANGERS_TEXT.format(rate=S.rate(decision.fmr))))
    facts(rows)
    if decision.extrapolated:
        chip(S.EXTRAPOLATED, "warn")


def _judged_at(decision: Decision) -> str:
    if decision.target_fpir is None:
        return S.ERROR_RATE_FMR.format(rate=S.rate(decision.target_fmr or 0.0))
    templates = S.count(decision.gallery_size, S.ONE_TEMPLATE, S.MANY_TEMPLATES)
    return S.ERROR_RATE_FPIR.format(n=1 / decision.target_fpir, templates=templates)

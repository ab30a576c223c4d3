"""Who is in this picture?"""

from __future__ import annotations

import time
from functools import partial

from nicegui import ui

from arcid.decide import DEFAULT_FPIR
from arcid.gallery import Collection
from arcid.pipeline import Identification
from arcid.server.console import strings as S
from arcid.server.console.layout import frame
from arcid.server.console.pages import page
from arcid.server.console.pages._answers import TONES, grounds
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages.people import crop_url
from arcid.server.console.visit import Visit
from arcid.server.console.widgets import (
    PhotoDrop,
    action,
    avatar,
    card,
    chip,
    data_url,
    element,
    face,
    note,
    text,
)
from arcid.types import Match

RATES = (0.1, DEFAULT_FPIR, 0.001)
CANDIDATES = 5


@page("/search", "search")
async def search(visit: Visit, collection: str | None = None) -> None:
    """Drop a picture; every face in it gets an answer."""
    current, known = await chosen(visit, collection)
    with frame(visit, S.SEARCH, "/search", lead=S.SEARCH_LEAD):
        if current is None:
            first_collection(visit)
            return
        if visit.services.calibration() is None:
            note(S.NO_CALIBRATION, "warn")
            return
        with card():
            with element("div", "toolbar tight"):
                selector("/search", current, known)
                rate = ui.select(
                    {value: S.SEARCH_RATE_OPTION.format(n=1 / value) for value in RATES},
                    value=DEFAULT_FPIR,
                    label=S.SEARCH_RATE,
                ).props("outlined dense options-dense")
                rate.classes("rate-choice")
            answers = element("div", "answers", aria_live="polite")

            async def arrived(photo_id: str, file: str) -> None:
                @action(visit, "search")
                async def look() -> None:
                    photo = visit.console.photos.take(photo_id, visit.token)
                    faces = await visit.faces(photo)
                    started = time.perf_counter()
                    found = await visit.run(
                        partial(
                            visit.services.pipeline.identify_faces,
                            faces,
                            visit.gallery,
                            current.name,
                            fpir=float(rate.value),
                            k=CANDIDATES,
                        )
                    )
                    seconds = time.perf_counter() - started
                    visit.services.metrics.stage_seconds.labels("search").observe(seconds)
                    answers.clear()
                    with answers:
                        if not found:
                            note(S.SEARCH_NO_FACE, "warn")
                        for number, one in enumerate(found, 1):
                            _answer(visit, current, one, number, len(found))

                await look()

            drop = PhotoDrop(
                S.SEARCH_DROP, arrived, max_bytes=visit.services.settings.max_upload_bytes
            )
            drop.move(target_index=0)
            answers.move(target_index=-1)


def _answer(
    visit: Visit, collection: Collection, found: Identification, number: int, total: int
) -> None:
    decision, best = found.decision, next(iter(found.candidates), None)
    tone = "plain" if decision.outcome == "no_match" else TONES[decision.outcome]
    with element("article", f"answer {tone}"):
        with element("div", "answer-faces"):
            face(data_url(found.face.crop), S.PROBE)
            if best is not None and decision.outcome != "no_match":
                _enrolled(collection, best)
        with element("div", "answer-lines"):
            if total > 1:
                text(S.SEARCH_FACE.format(n=number), "soft small")
            text(_words(found), "answer-words", tag="h2")
            if decision.outcome == "no_match" and best is not None:
                text(S.SEARCH_NEAREST.format(name=best.name), "soft", tag="p")
            if decision.outcome == "review":
                text(decision.reason, "soft small", tag="p")
            grounds(decision)
            if len(found.candidates) > 1:
                _others(visit, found.candidates)


def _words(found: Identification) -> str:
    if not found.candidates:
        return S.SEARCH_EMPTY
    name = found.candidates[0].name
    if found.decision.outcome == "match":
        return S.SEARCH_MATCH.format(name=name)
    if found.decision.outcome == "review":
        return S.SEARCH_REVIEW.format(name=name)
    return S.SEARCH_NO_MATCH


def _enrolled(collection: Collection, match: Match) -> None:
    if collection.keep_crops:
        url = crop_url(collection.name, match.face_id)
        face(url, S.ENROLLED.format(name=match.name))
    else:
        avatar(match.name)


def _others(visit: Visit, candidates: list[Match]) -> None:
    calibration = visit.services.calibration()
    with element("details", "candidates"):
        text(S.SEARCH_CANDIDATES, tag="summary")
        with element("ol"):
            for match in candidates:
                with element("li"):
                    text(match.name)
                    if calibration is not None:
                        chip(S.percent(calibration.probability(match.cosine)))
                    text(f"{match.cosine:.3f}", "soft number")

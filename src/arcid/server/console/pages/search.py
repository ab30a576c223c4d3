"""Who is in this picture?"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from functools import partial

from nicegui import ui

from arcid.decide import DEFAULT_FPIR
from arcid.gallery import Collection
from arcid.gallery.rules import where_of
from arcid.results import Identification
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.live.feeds import jpeg
from arcid.server.console.pages._answers import TONES, grounds
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages.people import crop_url
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    PhotoDrop,
    action,
    avatar,
    button,
    card,
    chip,
    data_url,
    element,
    face,
    note,
    small_url,
    text,
)
from arcid.types import Detections, Image, Match

RATES = (0.1, DEFAULT_FPIR, 0.001)
CANDIDATES = 5
WIDEST = 1600  # pixels of the photo on the page
FEW = 8  # answers that a phone shows without a scrolling list
ORDER = {"match": 0, "review": 1, "no_match": 2}


async def search(context: ConsoleContext, collection: str | None = None) -> None:
    """Drop a picture; every face in it gets an answer."""
    current, known = await chosen(context, collection)
    with frame(context, S.SEARCH, "/search", lead=S.SEARCH_LEAD):
        if current is None:
            first_collection(context)
            return
        if context.services.calibration() is None:
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
                narrow = ui.input(S.PEOPLE_WHERE, placeholder=S.PEOPLE_WHERE_LIKE)
                narrow.props("outlined dense clearable")
            answers = element("div", "answers", aria_live="polite")

            async def arrived(photo_id: str, file: str) -> None:
                @action(context, "search")
                async def look() -> None:
                    photo = context.photo(photo_id)
                    parts = (narrow.value or "").split(",")
                    only = where_of([part for part in parts if part.strip()])
                    faces = await context.faces(photo)
                    started = time.perf_counter()
                    found = await context.run(
                        partial(
                            context.services.pipeline.identify_faces,
                            faces,
                            context.gallery,
                            current.name,
                            fpir=float(rate.value),
                            k=CANDIDATES,
                            where=only,
                        )
                    )
                    seconds = time.perf_counter() - started
                    context.searched(current.name, found, float(rate.value))
                    context.services.metrics.stage_seconds.labels("search").observe(seconds)
                    picture = await context.run(shown_as, context.services.batcher.load, photo)
                    answers.clear()
                    with answers:
                        _found(context, current, picture, faces.detections, found)

                await look()

            drop = PhotoDrop(
                S.SEARCH_DROP, arrived, max_bytes=context.services.settings.max_upload_bytes
            )
            drop.move(target_index=0)
            answers.move(target_index=-1)


def shown_as(load: Callable[[bytes], Image], photo: bytes) -> str:
    """A photo, upright and small enough for a page, as a URL."""
    return "data:image/jpeg;base64," + b64encode(jpeg(load(photo), WIDEST)).decode()


def _found(
    context: ConsoleContext,
    collection: Collection,
    picture: str,
    detections: Detections | None,
    found: list[Identification],
) -> None:
    """The photo with a numbered box a face, and the answers beside it; see ``console.js``."""
    if detections is None or not found:
        note(S.SEARCH_NO_FACE, "warn")
        return
    if found[0].decision.gallery_size == 0:
        note(S.SEARCH_EMPTY.format(collection=collection.name), "warn")
    height, width = detections.image_size
    with element("div", "found"):
        with element("figure", "photo-map"):
            with element("div", "photo-scroll"), element("div", "photo-sheet") as sheet:
                sheet.style(f"--ratio: {width / height:.4f}")
                element(
                    "img", src=picture, alt=S.SEARCH_PHOTO, width=str(width), height=str(height)
                )
                with element("div", role="group", aria_label=S.SEARCH_BOXES):
                    for number, one in enumerate(found, 1):
                        _box(one, number, width, height)
            with element("figcaption", "row"):
                text(_summary(found), "grow")
                zoom = button(S.SEARCH_ZOOM, icon="expand", kind="quiet")
                zoom.props["data-zoom"] = "off"
                zoom.props["aria-pressed"] = "false"
        listed = sorted(enumerate(found, 1), key=lambda one: ORDER[one[1].decision.outcome])
        many = "many" if len(found) > FEW else ""
        with element("div", f"found-list {many}", role="group", aria_label=S.SEARCH_ANSWERS):
            for number, one in listed:
                _answer(context, collection, found, one, number)


def _summary(found: list[Identification]) -> str:
    known = sum(one.decision.matched for one in found)
    faces = S.count(len(found), S.ONE_FACE, S.MANY_FACES)
    return S.SEARCH_SUMMARY.format(faces=faces, known=known)


def _box(found: Identification, number: int, width: int, height: int) -> None:
    if found.face.box is None:
        return
    x1, x2 = (min(max(x / width, 0.0), 1.0) for x in found.face.box[::2])
    y1, y2 = (min(max(y / height, 0.0), 1.0) for y in found.face.box[1::2])
    inside = "at-top" if y1 < 0.05 else ""  # where its number stands
    made = element("button", f"face-box {TONES[found.decision.outcome]} {inside}", type="button")
    made.props["data-face"] = str(number)
    made.props["tabindex"] = "0" if number == 1 else "-1"  # the arrow keys reach the others
    made.props["aria-label"] = S.SEARCH_BOX.format(n=number, words=_words(found))
    made.style(f"--x: {x1:.4f}; --y: {y1:.4f}; --w: {x2 - x1:.4f}; --h: {y2 - y1:.4f}")
    with made:
        text(str(number), aria_hidden="true")


def _answer(
    context: ConsoleContext,
    collection: Collection,
    every: list[Identification],
    found: Identification,
    number: int,
) -> None:
    """A line a face; what it stands on is filled in when it is opened."""
    decision = found.decision
    with element("details", f"answer {TONES[decision.outcome]}") as made:
        made.props["data-face"] = str(number)
        with element("summary"):
            text(str(number), "face-number")
            face(small_url(found.face.crop), "", "small-face")
            with element("span", "person-lines"):
                text(_words(found), "answer-words")
                if decision.outcome == "no_match" and found.candidates:
                    text(_nearest(every, found.candidates), "soft small")
                elif decision.probability is not None:
                    text(S.LIKELY.format(probability=S.percent(decision.probability)), "soft small")
        body = element("div", "answer-body")

    def explain() -> None:
        if not body.default_slot.children:
            with body:
                _explained(context, collection, found)

    @action(context, "search")
    async def opened() -> None:
        explain()

    made.on("toggle", opened, args=[])
    if len(every) == 1:
        made.props["open"] = True
        explain()


def _explained(context: ConsoleContext, collection: Collection, found: Identification) -> None:
    decision = found.decision
    with element("div", "answer-faces"):
        face(data_url(found.face.crop), S.PROBE)
        if found.candidates and decision.outcome != "no_match":
            _enrolled(collection, found.candidates[0])
    if decision.outcome == "review" or any(c.given_to is not None for c in found.candidates[:1]):
        text(decision.reason, "soft small", tag="p")
    grounds(decision)
    if len(found.candidates) > 1:
        _others(context, found.candidates)


def _words(found: Identification) -> str:
    if found.decision.outcome == "no_match":
        return S.SEARCH_NO_MATCH
    words = S.SEARCH_MATCH if found.decision.matched else S.SEARCH_REVIEW
    return words.format(name=found.candidates[0].name)


def _nearest(every: list[Identification], candidates: list[Match]) -> str:
    nearest = max(candidates, key=lambda match: match.cosine)
    if nearest.given_to is not None and every[nearest.given_to].decision.matched:
        return S.SEARCH_NEAREST_HERE.format(name=nearest.name, n=nearest.given_to + 1)
    return S.SEARCH_NEAREST.format(name=nearest.name)


def _enrolled(collection: Collection, match: Match) -> None:
    if collection.keep_crops:
        url = crop_url(collection.name, match.face_id)
        face(url, S.ENROLLED.format(name=match.name))
    else:
        avatar(match.name)


def _others(context: ConsoleContext, candidates: list[Match]) -> None:
    calibration = context.services.calibration()
    with element("details", "candidates"):
        text(S.SEARCH_CANDIDATES, tag="summary")
        with element("ol"):
            for match in candidates:
                with element("li"):
                    text(match.name)
                    if match.given_to is not None:
                        chip(S.SEARCH_GIVEN.format(n=match.given_to + 1))
                    if calibration is not None:
                        chip(S.percent(calibration.probability(match.cosine)))
                    text(f"{match.cosine:.3f}", "soft number")

"""Everybody who is enrolled; who may be enrolled twice."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request
from starlette.responses import Response

from arcid.calibration import Calibration
from arcid.decide import DEFAULT_FMR
from arcid.errors import ArcidError
from arcid.gallery import Collection, Gallery, Page, Person
from arcid.gallery.rules import where_of
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    avatar,
    button,
    card,
    element,
    empty,
    face,
    link_button,
    text,
)

PAGE = 60


class Shown(NamedTuple):
    """A person with a face to show, where the collection keeps pictures."""

    person: Person
    face_id: str | None


async def people(context: ConsoleContext, collection: str | None = None) -> None:
    """Cards of people, found by name and by what is stored about them."""
    current, known = await chosen(context, collection)
    with frame(context, S.PEOPLE, "/people", lead=S.PEOPLE_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            search = ui.input(S.PEOPLE_SEARCH).props("outlined dense clearable debounce=250")
            search.classes("grow")
            narrow = ui.input(S.PEOPLE_WHERE, placeholder=S.PEOPLE_WHERE_LIKE)
            narrow.props("outlined dense clearable debounce=400").classes("grow")
            selector("/people", current, known)
            where = f"?collection={quote(current.name)}"
            if context.may("duplicates"):
                link_button(S.PEOPLE_DUPLICATES, f"{ROOT}/duplicates{where}", icon="duplicates")
            if context.may("enrol"):
                link_button(S.IMPORT, f"{ROOT}/people/import{where}", icon="collections")
                link_button(S.PEOPLE_ADD, f"{ROOT}/people/new{where}", icon="add", kind="primary")
        total = S.PEOPLE_COUNT.format(
            people=S.count(current.people, S.ONE_PERSON, S.MANY_PEOPLE),
            faces=S.count(current.faces, S.ONE_FACE, S.MANY_FACES),
        )
        text(total, "soft", tag="p")
        board = element("div", "people-grid", role="list")
        below = element("div", "row centre-row")

        asked: list[object] = []

        async def show(after: str | None = None) -> None:
            asked[:] = [mine := object()]
            name = (search.value or "").strip() or None
            only = where_of([part for part in (narrow.value or "").split(",") if part.strip()])
            found = await context.run(_page, context.gallery, current, name, only, after)
            if asked != [mine]:
                return  # something else was asked for meanwhile
            if after is None:
                board.clear()
            below.clear()
            with board:
                for one in found:
                    person_card(current, one)
                if not found and after is None:
                    _nobody(context, current, bool(name or only))
            if found.next is not None:
                with below:
                    button(S.PEOPLE_MORE, action(context, "people")(lambda: show(found.next)))

        for field in (search, narrow):
            field.on_value_change(action(context, "people")(show))
        await show()


def person_card(collection: Collection, shown: Shown) -> None:
    """A link to somebody's page."""
    person = shown.person
    href = f"{ROOT}/people/{person.id}?collection={quote(collection.name)}"
    with element("div", role="listitem"), element("a", "person-card", href=href):
        portrait(collection, person.name, shown.face_id)
        with element("span", "person-lines"):
            text(person.name, "person-name")
            text(S.count(person.faces, S.ONE_FACE, S.MANY_FACES), "soft small")


def portrait(collection: Collection, name: str, face_id: str | None, alt: str = "") -> None:
    """The kept picture, or initials."""
    if face_id is None:
        avatar(name)
    else:
        face(crop_url(collection.name, face_id), alt)


def crop_url(collection: str, face_id: str) -> str:
    """Where a kept picture is fetched from."""
    return f"{ROOT}/crop?collection={quote(collection)}&face={quote(face_id)}"


def thumbnail(gallery: Gallery, collection: Collection, person: Person) -> str | None:
    """The sharpest kept face of somebody; None where no pictures are kept."""
    if not collection.keep_crops:
        return None
    kept = [f for f in gallery.faces(collection.name, person.id) if f.has_crop]
    best = max(kept, key=lambda f: f.quality.get("sharpness", 0.0), default=None)
    return None if best is None else best.id


async def crop(request: Request, context: ConsoleContext) -> Response:
    """A kept aligned face as PNG."""
    import io

    from PIL import Image as Pil

    collection = request.query_params.get("collection", "")
    face_id = request.query_params.get("face", "")
    try:
        pixels = await context.run(context.gallery.face_crop, collection, face_id)
    except ArcidError:
        pixels = None
    if pixels is None:
        return Response(status_code=404)
    context.looked("face.view", f"face:{face_id}", collection)
    buffer = io.BytesIO()
    Pil.fromarray(pixels).save(buffer, "PNG")
    headers = {"Cache-Control": "private, max-age=300"}
    return Response(buffer.getvalue(), media_type="image/png", headers=headers)


def alike_from(calibration: Calibration) -> float:
    """The cosine from which two people are shown to a human as possibly one: that of the default
    false match rate, or of the smallest that the calibration supports."""
    rate = max(DEFAULT_FMR, calibration.smallest_supported_fmr)
    return calibration.threshold_at_fmr(rate).cosine


def _page(
    gallery: Gallery,
    collection: Collection,
    name: str | None,
    only: dict[str, Any] | None,
    after: str | None,
) -> Page[Shown]:
    found = gallery.people(collection.name, search=name, where=only, limit=PAGE, after=after)
    return Page([Shown(one, thumbnail(gallery, collection, one)) for one in found], found.next)


def _nobody(context: ConsoleContext, current: Collection, asked: bool) -> None:
    with card(cls="narrow centre span"):
        if asked:
            empty("search", S.PEOPLE_NOT_FOUND, S.PEOPLE_NOT_FOUND_TEXT)
            return
        with empty("people", S.PEOPLE_NONE, S.PEOPLE_NONE_TEXT):
            if context.may("enrol"):
                href = f"{ROOT}/people/new?collection={quote(current.name)}"
                link_button(S.PEOPLE_ADD, href, icon="add", kind="primary")

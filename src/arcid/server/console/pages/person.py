"""One person: look at, rename, add photos, find who looks alike, delete for good."""

from __future__ import annotations

import json
from functools import partial
from urllib.parse import quote

from nicegui import ui

from arcid.gallery import Collection, Person, StoredFace
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen_person
from arcid.server.console.pages._consent import consent_card
from arcid.server.console.pages._tray import Tray
from arcid.server.console.pages._unmerge import merged_card
from arcid.server.console.pages.enrolling import enrol_faces
from arcid.server.console.pages.people import alike_from, crop_url, portrait, thumbnail
from arcid.server.console.ui.dialogs import ask, confirm
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    element,
    enable,
    face,
    facts,
    link_button,
    say,
    text,
)
from arcid.types import Match


async def person_page(
    context: ConsoleContext, person_id: str, collection: str | None = None
) -> None:
    """Faces and doings of one person."""
    known = await chosen_person(context, collection, person_id)
    if known is None:
        with frame(context, S.PEOPLE_NOT_FOUND, "/people"):
            link_button(S.PEOPLE, f"{ROOT}/people", icon="back")
        return
    current, found = known
    faces = await context.run(context.gallery.faces, current.name, found.id)
    shown = await context.run(thumbnail, context.gallery, current, found)
    lead = S.PERSON_SINCE.format(
        day=S.day(found.created_at), faces=S.count(found.faces, S.ONE_FACE, S.MANY_FACES)
    )
    with frame(context, found.name, "/people", lead=lead):
        with element("div", "toolbar"):
            link_button(S.PEOPLE, f"{ROOT}/people", icon="back", kind="quiet")
            element("span", "grow")
            _doings(context, current, found)
        if found.external_id is not None or found.metadata:
            _known(found)
        with element("div", "columns"):
            with card(S.PERSON_FACES):
                if not faces:
                    text(S.PERSON_NO_FACES, "soft", tag="p")
                with element("div", "face-grid"):
                    for stored in faces:
                        _stored_face(context, current, found, stored)
            with element("div", "column"):
                if context.may("enrol"):
                    _add_photos(context, current, found)
                await consent_card(context, current, found)
                await merged_card(context, current, found)
                with card(S.PERSON_ALIKE):
                    await _alike(context, current, found, shown)


def _known(person: Person) -> None:
    """What another system calls them, and what is stored about them."""
    rows = [] if person.external_id is None else [(S.PERSON_EXTERNAL_ID, person.external_id)]
    told = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in person.metadata.items()}  # fmt: skip
    with card():
        facts([*rows, *told.items()])


def _doings(context: ConsoleContext, current: Collection, person: Person) -> None:
    if context.may("enrol"):

        @action(context, "enrol")
        async def rename() -> None:
            name = await ask(S.PERSON_RENAME, S.PERSON_NEW_NAME, person.name)
            if not name or name == person.name:
                return
            await context.allow("enrol")
            await context.run(context.gallery.update_person, current.name, person.id, name=name)
            ui.navigate.reload()

        @action(context, "enrol")
        async def called() -> None:
            value = await ask(
                S.PERSON_EXTERNAL_ID, S.PERSON_EXTERNAL_ID, person.external_id or "",
                hint=S.PERSON_EXTERNAL_ID_TEXT,
            )  # fmt: skip
            if value is None or value.strip() == (person.external_id or ""):
                return
            await context.allow("enrol")
            change = partial(context.gallery.update_person, external_id=value.strip())
            await context.run(change, current.name, person.id)
            ui.navigate.reload()

        button(S.PERSON_RENAME, rename, icon="edit")
        button(S.PERSON_EXTERNAL_ID, called)
    if context.may("delete"):

        @action(context, "delete")
        async def delete() -> None:
            title = S.PERSON_DELETE_TITLE.format(name=person.name)
            if not await confirm(title, S.PERSON_DELETE_TEXT, S.PERSON_DELETE, typed=person.name):
                return
            await context.allow("delete")
            await context.run(context.gallery.delete_person, current.name, person.id)
            say(S.PERSON_DELETED.format(name=person.name))
            for line in await context.run(context.gallery.unscrubbed):
                say(line)
            ui.navigate.to(f"/people?collection={quote(current.name)}")

        button(S.PERSON_DELETE, delete, icon="trash", kind="danger")


def _stored_face(
    context: ConsoleContext, current: Collection, person: Person, stored: StoredFace
) -> None:
    with element("figure", "stored-face") as made:
        if stored.has_crop and current.keep_crops:
            face(crop_url(current.name, stored.id), S.FACE_OF.format(name=person.name))
        else:
            portrait(current, person.name, None)
        with element("figcaption"):
            text(S.day(stored.created_at), "small")
            eyes = stored.quality.get("inter_eye_px")
            if eyes is not None:
                words = f"{S.FACE_EYES} {S.FACE_PIXELS.format(n=eyes)}"
                text(words, "soft small")
            if context.may("delete"):

                @action(context, "delete")
                async def delete() -> None:
                    if not await confirm(S.FACE_DELETE_TITLE, S.FACE_DELETE_TEXT, S.FACE_DELETE):
                        return
                    await context.allow("delete")
                    await context.run(context.gallery.delete_face, current.name, stored.id)
                    say(S.FACE_DELETED)
                    for line in await context.run(context.gallery.unscrubbed):
                        say(line)
                    made.delete()

                button(S.ADD_REMOVE, delete, kind="quiet", icon="trash", name=S.FACE_DELETE)


def _add_photos(context: ConsoleContext, current: Collection, person: Person) -> None:
    with card(S.ADD_PHOTOS):
        tray = Tray(context, current)
        tray.build()

        @action(context, "enrol")
        async def add() -> None:
            if await enrol_faces(context, current, tray.chosen, person_id=person.id) is None:
                return
            say(S.FACE_ADDED.format(name=person.name))
            ui.navigate.reload()

        with element("div", "row end"):
            go = button(S.ADD_BUTTON, add, kind="primary")
        enable(go, False)
        tray.on_change = lambda: enable(go, bool(tray.chosen))


async def _alike(
    context: ConsoleContext, current: Collection, person: Person, shown: str | None
) -> None:
    calibration = context.services.calibration()
    matches: list[Match] = []
    if calibration is not None and person.faces:
        lowest = alike_from(calibration)
        (found,) = await context.run(
            context.gallery.search_person,
            current.name,
            person.id,
            context.services.contract_id,
            k=3,
        )
        matches = [match for match in found if match.cosine >= lowest]
    if not matches or calibration is None:
        text(S.PERSON_ALIKE_NONE, "soft", tag="p")
        return
    for match in matches:
        href = f"{ROOT}/people/{match.person_id}?collection={quote(current.name)}"
        with element("a", "person-card", href=href):
            portrait(current, match.name, match.face_id if current.keep_crops else None)
            with element("span", "person-lines"):
                text(match.name, "person-name")
                likely = S.percent(calibration.probability(match.cosine))
                text(S.LIKELY.format(probability=likely), "soft small")
    if context.may("duplicates"):
        where = f"{ROOT}/duplicates?collection={quote(current.name)}"
        link_button(S.PEOPLE_DUPLICATES, where, icon="duplicates")

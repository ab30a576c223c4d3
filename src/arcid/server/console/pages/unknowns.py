"""Visitors nobody knows: alike ones together, enrolled with a name and a click."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from arcid.apps.attendance import Attendance, Visitor
from arcid.errors import UsageError
from arcid.gallery import Collection, Decide, Person
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.pages._consent import consent_fields
from arcid.server.console.pages._duplicate import enrol_asking
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    avatar,
    button,
    card,
    data_url,
    element,
    empty,
    face,
    note,
    say,
    text,
)

LOOKED_AT = 500  # sightings, the newest
ENROLLED_AT_MOST = 8  # faces, of the newest sightings


async def unknowns(context: ConsoleContext, collection: str | None = None) -> None:
    """A card a visitor."""
    current, known = await chosen(context, collection)
    with frame(context, S.UNKNOWNS, "/unknowns", lead=S.UNKNOWNS_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            selector("/unknowns", current, known)
        calibration = context.services.calibration()
        if calibration is None:
            note(S.NO_CALIBRATION, "warn")
            return
        book = Attendance(context.gallery, current.name)
        found = await context.run(partial(book.unknowns, limit=LOOKED_AT), calibration)
        newest = await context.run(partial(book.events, kinds=["unknown"], limit=LOOKED_AT))
        if not found:
            with card(cls="narrow centre"):
                empty("unknowns", S.UNKNOWNS_NONE, S.UNKNOWNS_NONE_TEXT)
        else:
            sightings = sum(len(visitor.events) for visitor in found)
            told = S.UNKNOWNS_COUNT.format(
                visitors=S.count(len(found), S.ONE_VISITOR, S.MANY_VISITORS),
                times=S.count(sightings, S.ONE_TIME, S.MANY_TIMES),
            )
            text(f"{told}. {S.UNKNOWNS_COUNT_TEXT}", "soft visitor-count", tag="p")
        kept = {event.id for visitor in found for event in visitor.events}
        if newest.next is not None and newest[-1].id in kept:
            note(S.UNKNOWNS_MORE.format(n=LOOKED_AT), "info")
        with element("div", "visitor-grid"):
            for visitor in found:
                await _visitor(context, current, book, visitor)


async def _visitor(
    context: ConsoleContext, current: Collection, book: Attendance, visitor: Visitor
) -> None:
    picture = await context.run(book.picture, visitor.id)
    with card(cls="visitor") as made:
        with element("div", "visitor-head"):
            if picture is None:
                avatar("?")
            else:
                context.looked("event.view", f"event:{visitor.id}", book.collection)
                face(data_url(picture), S.UNKNOWN_FACE)
            with element("div", "person-lines"):
                times = S.count(len(visitor.events), S.ONE_TIME, S.MANY_TIMES)
                text(S.UNKNOWN_SEEN.format(times=times), "person-name")
                text(S.UNKNOWN_LAST.format(when=S.moment(visitor.last_seen)), "soft small")
                text(", ".join(sorted({e.camera for e in visitor.events})), "soft small")
        agreed = await consent_fields(context, current)
        name = ui.input(S.UNKNOWN_NAME).props("outlined dense maxlength=200").classes("wide")

        @action(context, "unknowns")
        async def enrol() -> None:
            wanted = " ".join((name.value or "").split())
            if not wanted:
                raise UsageError(S.ADD_NAME_MISSING)
            events = [event.id for event in visitor.events]
            consent = agreed()

            def write(decide: Decide | None) -> Person:
                return book.enrol_unknown(
                    events, wanted, actor=context.account.name, at_most=ENROLLED_AT_MOST,
                    decide=decide, consent=consent,
                )  # fmt: skip

            person = await enrol_asking(context, "unknowns", current, [picture], write)
            if person is None:
                return
            say(S.UNKNOWN_ENROLLED.format(name=person.name))
            made.delete()

        @action(context, "delete")
        async def forget() -> None:
            if not await confirm(S.UNKNOWN_FORGET_TITLE, S.UNKNOWN_FORGET_TEXT, S.UNKNOWN_FORGET):
                return
            await context.allow("delete")
            for event in visitor.events:
                await context.run(book.forget_face, event.id)
            say(S.UNKNOWN_FORGOTTEN)
            made.delete()

        with element("div", "row end"):
            if context.may("delete"):
                button(S.UNKNOWN_FORGET, forget, icon="trash", kind="danger")
            button(S.UNKNOWN_ENROL, enrol, icon="add", kind="primary")

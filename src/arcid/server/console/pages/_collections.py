"""Which collection a page shows: chosen in the address, remembered for the account."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from nicegui import ui

from arcid.errors import CollectionNotFound, PersonNotFound
from arcid.gallery import Collection, Person
from arcid.protection import Policies
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.widgets import action, button, card, element, empty, text


async def chosen(
    context: ConsoleContext, name: str | None
) -> tuple[Collection | None, list[Collection]]:
    """The collection to show and all there are; None where there is none. Somebody who has looked
    at none yet is shown the one with most people. One whose pictures are not for them seems to keep
    none. Raises ``CollectionNotFound`` where the named one is gone."""
    known = await context.run(context.gallery.collections)
    remembered = context.last_collection.get(context.account.id)
    wanted = (c for c in known if (c.name == name if name else c.id == remembered))
    found = next(wanted, None)
    if found is None and name:
        raise CollectionNotFound(f"there is no collection {name!r}")
    found = found or max(known, key=lambda c: c.people, default=None)
    if found is None:
        return None, known
    context.last_collection[context.account.id] = found.id
    shown = await context.run(
        Policies(context.gallery).shows_crops, found.name, context.account.role
    )
    return replace(found, keep_crops=found.keep_crops and shown), known


async def chosen_person(
    context: ConsoleContext, name: str | None, person_id: str
) -> tuple[Collection, Person] | None:
    """A person of the collection to show, which comes along; None where there is no such."""
    current, _ = await chosen(context, name)
    if current is None:
        return None
    try:
        return current, await context.run(context.gallery.person, current.name, person_id)
    except PersonNotFound:
        return None


def selector(path: str, current: Collection, known: list[Collection]) -> None:
    """A choice of collections, where there is more than one."""
    if len(known) < 2:
        return
    ui.select(
        [c.name for c in known],
        value=current.name,
        label=S.COLLECTION,
        on_change=lambda event: ui.navigate.to(f"{path}?collection={quote(event.value)}"),
    ).props("outlined dense options-dense").classes("collection-choice")


def first_collection(context: ConsoleContext) -> None:
    """What stands on a page while there is no collection at all."""
    with card(cls="narrow centre"):
        if not context.may("enrol"):
            empty("people", S.NO_COLLECTION, S.NO_COLLECTION_VIEWER)
            return
        empty("people", S.NO_COLLECTION, S.NO_COLLECTION_TEXT)
        collection_form(context, S.COLLECTION_FIRST)


def collection_form(context: ConsoleContext, suggested: str = "") -> None:
    """What a new collection needs."""
    name = ui.input(S.COLLECTION_NAME, value=suggested).props("outlined").classes("wide")
    keep = ui.checkbox(S.COLLECTION_KEEP, value=True)
    text(S.COLLECTION_KEEP_TEXT, "soft small", tag="p")

    @action(context, "enrol")
    async def make() -> None:
        await context.run(
            context.gallery.create_collection, name.value or "", keep_crops=bool(keep.value)
        )
        ui.navigate.reload()

    with element("div", "row end"):
        button(S.COLLECTION_MAKE, make, kind="primary")

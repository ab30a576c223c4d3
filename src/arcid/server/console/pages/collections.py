"""Collections of people that are searched as one: made, renamed, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from arcid.gallery import Collection
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import collection_form, first_collection
from arcid.server.console.ui.dialogs import ask, confirm
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    say,
    text,
)

Show = Callable[[], Awaitable[None]]


async def collections(context: ConsoleContext) -> None:
    """All collections, and a form for a new one."""
    with frame(context, S.COLLECTIONS, "/collections", lead=S.COLLECTIONS_LEAD):
        if not await context.run(context.gallery.collections):
            first_collection(context)
            return
        with element("div", "columns"):
            with card(S.COLLECTIONS):
                board = element("div", "account-list")

            async def show() -> None:
                found = await context.run(context.gallery.collections)
                board.clear()
                with board:
                    for one in found:
                        _collection(context, one, show)

            with card(S.COLLECTION_MAKE):
                collection_form(context)
        await show()


def _collection(context: ConsoleContext, one: Collection, show: Show) -> None:
    total = S.PEOPLE_COUNT.format(
        people=S.count(one.people, S.ONE_PERSON, S.MANY_PEOPLE),
        faces=S.count(one.faces, S.ONE_FACE, S.MANY_FACES),
    )
    with element("div", "account"):
        with element("div", "person-lines grow"):
            with element("a", "person-name", href=f"{ROOT}/people?collection={quote(one.name)}"):
                text(one.name)
            with element("span", "row tight"):
                text(total, "soft small")
                chip(S.COLLECTION_PICTURES if one.keep_crops else S.COLLECTION_NUMBERS)

        @action(context, "enrol")
        async def rename() -> None:
            title = S.COLLECTION_RENAME.format(name=one.name)
            name = await ask(title, S.COLLECTION_NAME, one.name, hint=S.COLLECTION_RENAME_TEXT)
            if name is None:
                return
            await context.allow("enrol")
            changed = await context.run(context.gallery.update_collection, one.name, new_name=name)
            say(S.COLLECTION_RENAMED.format(name=changed.name))
            await show()

        @action(context, "delete")
        async def delete() -> None:
            title = S.COLLECTION_DELETE_TITLE.format(name=one.name)
            words = S.COLLECTION_DELETE_TEXT.format(total=total)
            if not await confirm(title, words, S.COLLECTION_DELETE, typed=one.name):
                return
            await context.allow("delete")
            await context.run(context.gallery.delete_collection, one.name)
            say(S.COLLECTION_DELETED.format(name=one.name))
            await show()

        with element("div", "row"):
            button(
                S.PERSON_RENAME, rename, icon="edit", name=S.COLLECTION_RENAME.format(name=one.name)
            )
            if context.may("delete"):
                button(S.COLLECTION_DELETE, delete, icon="trash", kind="danger")

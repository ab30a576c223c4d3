"""Taking back what was said about two people; who were merged by it are two again."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from arcid.apps.duplicates import Answer, Duplicates
from arcid.errors import AlreadyExists, NotFound, ReviewAnswered, SamePhotoConflict
from arcid.gallery import Collection, Person
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.cases import answered_row
from arcid.server.console.ui.dialogs import ask, confirm
from arcid.server.console.ui.widgets import action, card, say


async def take_back(context: ConsoleContext, collection: str, answer_id: str) -> None:
    """Undo an answer, asking for another name where the old one is taken; says what came of it."""
    queue = Duplicates(context.gallery)
    call = partial(queue.undo, collection, answer_id, actor=context.account.name)
    try:
        try:
            done = await context.run(call)
        except AlreadyExists:
            name = await ask(S.DUPLICATES_TAKEN, S.DUPLICATES_OTHER_NAME)
            if not name:
                return
            await context.allow("duplicates")
            done = await context.run(call, name=name)
        missing = done.missing_faces
        say(S.DUPLICATES_UNDONE_LESS.format(n=missing) if missing else S.DUPLICATES_UNDONE)
    except (ReviewAnswered, NotFound, SamePhotoConflict) as error:
        say(error.message, "warn")


async def merged_card(context: ConsoleContext, current: Collection, person: Person) -> None:
    """Who was merged into a person on the page Duplicates, and a button that makes them two."""
    if not context.may("duplicates"):
        return
    answers = await context.run(
        Duplicates(context.gallery).answers, current.name, person_id=person.id
    )
    merged = [answer for answer in answers if answer.merge_id is not None]
    if merged:
        with card(S.PERSON_MERGED):
            for answer in merged:
                _row(context, current, person, answer)


def _row(context: ConsoleContext, current: Collection, person: Person, answer: Answer) -> None:
    other = answer.b_name if answer.a_id == person.id else answer.a_name
    name = other or S.DUPLICATES_GONE

    @action(context, "duplicates")
    async def undo() -> None:
        title = S.PERSON_UNMERGE_TITLE.format(a=person.name, b=name)
        if not await confirm(title, S.PERSON_UNMERGE_TEXT, S.PERSON_UNMERGE):
            return
        await context.allow("duplicates")
        await take_back(context, current.name, answer.id)
        ui.navigate.reload()

    words = S.PERSON_MERGED_BY.format(day=S.day(answer.at), name=answer.actor)
    answered_row(name, words, undo, name)

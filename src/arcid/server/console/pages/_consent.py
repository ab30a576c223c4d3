"""What a person agreed to: fields where they are enrolled, and a card on their page."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from nicegui import ui

from arcid.errors import UsageError
from arcid.gallery import Collection, NewConsent, Person
from arcid.protection import Consents, Policies
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    chip,
    element,
    link_button,
    say,
    text,
)


async def consent_fields(
    context: ConsoleContext, collection: Collection
) -> Callable[[], NewConsent | None]:
    """Fields where the collection demands consent; what they say, when it is asked for."""
    policy = await context.run(Policies(context.gallery).of, collection.name)
    if not policy.consent:
        return lambda: None
    text(S.CONSENT_DEMANDED, "soft small", tag="p")
    return _fields()


async def demanded(
    context: ConsoleContext, collection: Collection, title: str
) -> Callable[[], NewConsent | None]:
    """Fields of a consent of many, where the collection demands one; empty ones say nothing."""
    policy = await context.run(Policies(context.gallery).of, collection.name)
    if not policy.consent:
        return lambda: None
    text(title, "soft small", tag="p")
    version = ui.input(S.CONSENT_TEXT).props("outlined dense maxlength=200").classes("wide")
    evidence = ui.input(S.CONSENT_EVIDENCE).props("outlined dense maxlength=1000").classes("wide")

    def said() -> NewConsent | None:
        agreed = (version.value or "").strip()
        return NewConsent(agreed, evidence.value or "") if agreed else None

    return said


def _fields() -> Callable[[], NewConsent]:
    version = ui.input(S.CONSENT_TEXT).props("outlined dense maxlength=200").classes("wide")
    evidence = ui.input(S.CONSENT_EVIDENCE).props("outlined dense maxlength=1000").classes("wide")
    by = ui.input(S.CONSENT_BY, value=S.CONSENT_THEMSELVES).props("outlined dense maxlength=200")
    by.classes("wide")
    text(S.CONSENT_EVIDENCE_TEXT, "soft small", tag="p")

    def said() -> NewConsent:
        if not (version.value or "").strip():
            raise UsageError(S.CONSENT_MISSING)
        return NewConsent(version.value, evidence.value or "", by.value or S.CONSENT_THEMSELVES)

    return said


async def consent_card(context: ConsoleContext, current: Collection, person: Person) -> None:
    """What somebody agreed to, recorded and taken back."""
    book = Consents(context.gallery)
    kept = await context.run(book.of, current.name, person.id)
    with card(S.CONSENT):
        if not kept:
            text(S.CONSENT_NONE, "soft", tag="p")
        for one in kept:
            with element("div", "row tight"):
                line = S.CONSENT_LINE.format(text=one.text, when=S.day(one.given_at), by=one.by)
                text(line, "small")
                if one.withdrawn_at is None:
                    chip(S.CONSENT_STANDS, "good")
                else:
                    chip(S.CONSENT_ENDED.format(when=S.day(one.withdrawn_at)), "warn")
            if one.evidence:
                text(one.evidence, "soft small", tag="p")
        if context.may("enrol"):
            with element("details", "by-camera"):
                text(S.CONSENT_RECORD, tag="summary")
                said = _fields()

                @action(context, "enrol")
                async def record() -> None:
                    await context.run(book.record, current.name, person.id, said())
                    say(S.CONSENT_RECORDED)
                    ui.navigate.reload()

                with element("div", "row end"):
                    button(S.CONSENT_RECORD, record, kind="primary")
        if context.may("privacy"):
            where = f"{ROOT}/person.zip?collection={quote(current.name)}&person={person.id}"
            save = link_button(S.SUBJECT_EXPORT, where, icon="download")
            save.props["download"] = ""
        if context.may("privacy") and any(one.withdrawn_at is None for one in kept):
            _withdraw(context, book, current, person)


def _withdraw(context: ConsoleContext, book: Consents, current: Collection, person: Person) -> None:
    @action(context, "privacy")
    async def withdraw() -> None:
        policy = await context.run(Policies(context.gallery).of, current.name)
        title = S.CONSENT_WITHDRAW_TITLE.format(name=person.name)
        words = S.CONSENT_WITHDRAW_TEXTS[policy.on_withdrawal]
        if not await confirm(title, words, S.CONSENT_WITHDRAW, typed=person.name):
            return
        await context.allow("privacy")
        led = await context.run(book.withdraw, current.name, person.id)
        if led.outcome == "erased":
            say(S.CONSENT_ERASED.format(name=person.name))
            ui.navigate.to(f"/people?collection={quote(current.name)}")
        else:
            say(S.CONSENT_REVIEW.format(name=person.name))
            ui.navigate.reload()

    with element("div", "row end"):
        button(S.CONSENT_WITHDRAW, withdraw, kind="danger")

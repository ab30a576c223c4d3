"""What a collection is for, how long what is kept, and who agreed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from nicegui import ui

from arcid import paths
from arcid.gallery import Collection, Policy
from arcid.protection import VIEWERS, Counts, Disclosures, Policies, Receipts, Retention
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.pages._collections import chosen, first_collection, selector
from arcid.server.console.ui.dialogs import confirm
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    element,
    link_button,
    say,
    text,
)

SHOWN = 20  # receipts, disclosures
Show = Callable[[], Awaitable[None]]
SPANS = ("unseen_days", "keep_days", "strangers_hours", "event_faces_days", "refused_days")


async def privacy(context: ConsoleContext, collection: str | None = None) -> None:
    """The policy of a collection, and how its people stand to it."""
    current, known = await chosen(context, collection)
    with frame(context, S.PRIVACY, "/privacy", lead=S.PRIVACY_LEAD):
        if current is None:
            first_collection(context)
            return
        with element("div", "toolbar"):
            selector("/privacy", current, known)
        policy = await context.run(Policies(context.gallery).of, current.name)
        with element("div", "columns"):
            form = card(S.POLICY)
            with element("div", "column"):
                with card(S.AGREED):
                    board = element("div")
                with card(S.RETENTION):
                    await _retention(context, current)
                with card(S.RECEIPTS):
                    await _receipts(context)
                with card(S.DISCLOSURES):
                    await _disclosures(context)

        async def show() -> None:
            board.clear()
            with board:
                await _standing(context, current)

        with form:
            _form(context, current, policy, show)
        await show()


def _form(context: ConsoleContext, current: Collection, policy: Policy, show: Show) -> None:
    purpose = _line(S.POLICY_PURPOSE, policy.purpose)
    basis = _line(S.POLICY_BASIS, policy.legal_basis)
    consent = ui.checkbox(S.POLICY_CONSENT, value=policy.consent)
    led = ui.select(S.POLICY_LEDS, value=policy.on_withdrawal, label=S.POLICY_LED)
    led.props("outlined dense options-dense").classes("wide")
    unseen = _number(S.POLICY_UNSEEN, policy.unseen_days, S.POLICY_UNSEEN_TEXT)
    keep = _number(S.POLICY_KEEP, policy.keep_days, S.POLICY_KEEP_TEXT)
    strangers = _number(S.POLICY_STRANGERS, policy.strangers_hours, S.POLICY_STRANGERS_TEXT)
    seen = _number(S.POLICY_EVENTS, policy.event_faces_days, S.POLICY_EVENTS_TEXT)
    refused = _number(S.POLICY_REFUSED, policy.refused_days, S.POLICY_REFUSED_TEXT)
    everybody = ui.checkbox(S.POLICY_CROPS_ALL, value=policy.crops_for is None)
    names = {role: S.ROLE_NAMES.get(role, S.ROLE_KEY) for role in VIEWERS}
    roles = ui.select(
        names, value=list(policy.crops_for or ()), multiple=True, label=S.POLICY_CROPS
    )
    roles.props("outlined dense options-dense").classes("wide")
    published = ui.checkbox(S.POLICY_PUBLISHED, value=policy.published)

    @action(context, "privacy")
    async def save() -> None:
        changes: dict[str, Any] = {
            "purpose": purpose.value or "",
            "legal_basis": basis.value or "",
            "consent": bool(consent.value),
            "on_withdrawal": led.value,
            "unseen_days": unseen.value or None,
            "keep_days": keep.value or None,
            "strangers_hours": strangers.value or 0.0,
            "event_faces_days": seen.value or 0.0,
            "refused_days": refused.value or None,
            "crops_for": None if everybody.value else tuple(roles.value or ()),
            "published": bool(published.value),
        }
        nonlocal policy  # as this form knows it: what is left as it was may be another by now
        changes = {key: new for key, new in changes.items() if new != getattr(policy, key)}
        now = await context.run(Policies(context.gallery).of, current.name)
        sooner = any(_sooner(getattr(now, key), changes[key]) for key in SPANS if key in changes)
        if sooner and not await confirm(S.POLICY_TITLE, S.POLICY_TEXT, S.POLICY_GO):
            return
        await context.allow("privacy")
        await context.run(Policies(context.gallery).change, current.name, **changes)
        policy = replace(policy, **changes)
        say(S.POLICY_SAVED)
        await show()

    with element("div", "row end"):
        if policy.published:
            link_button(S.POLICY_PUBLIC, "/privacy", kind="quiet")
        button(S.POLICY_SAVE, save, kind="primary")


async def _standing(context: ConsoleContext, current: Collection) -> None:
    policy = await context.run(Policies(context.gallery).of, current.name)
    found = await context.run(Policies(context.gallery).standing, current.name)
    if not policy.consent:
        text(S.AGREED_NOT_ASKED, "soft", tag="p")
    text(S.AGREED_COUNT.format(agreed=found.agreed, people=found.people), tag="p")
    if found.withdrawn:
        text(S.AGREED_WAITING, tag="p")
    for one in found.withdrawn:
        person = await context.run(context.gallery.person, current.name, one)
        href = f"{ROOT}/people/{one}?collection={quote(current.name)}"
        text(person.name, "person-name", tag="a", href=href)


async def _retention(context: ConsoleContext, current: Collection) -> None:
    """What is due and what was erased, of this collection."""
    book = Retention(context.gallery)
    due = (await context.run(book.due)).get(current.name, Counts())
    text(S.RETENTION_TEXT, "soft small", tag="p")
    text(S.RETENTION_DUE.format(what=_counted(due)), tag="p")
    runs = await context.run(book.runs)
    if runs:
        text(S.RETENTION_LAST.format(when=S.moment(runs[0].began_at)), "soft small", tag="p")
    else:
        text(S.RETENTION_NEVER, "soft small", tag="p")
    for run in runs:
        if current.id in run.erased:
            line = S.RETENTION_RUN.format(
                when=S.moment(run.began_at), what=_counted(run.erased[current.id])
            )
            text(line, "small", tag="p")


async def _receipts(context: ConsoleContext) -> None:
    """The newest of the whole gallery."""
    book = Receipts(context.gallery, paths.home_dir())
    found = await context.run(book.find, limit=SHOWN)
    if not found:
        text(S.RECEIPTS_NONE, "soft", tag="p")
    for one in found:
        kind, _, uid = one.subject.partition(":")
        what, when = S.RECEIPT_OF[kind].format(id=uid[:8]), S.moment(one.at)
        with element("div", "row"):
            text(S.RECEIPT_LINE.format(when=when, what=what), "small grow")
            save = link_button(S.RECEIPT_SAVE, f"{ROOT}/receipt/{one.id}", icon="download")
            save.props["download"] = ""
            save.props["aria-label"] = S.RECEIPT_NAME.format(when=when)


async def _disclosures(context: ConsoleContext) -> None:
    """The newest of the whole gallery."""
    found = await context.run(Disclosures(context.gallery).find, limit=SHOWN)
    text(S.DISCLOSURES_TEXT if found else S.DISCLOSURES_NONE, "soft small", tag="p")
    for one in found:
        whom = S.DISCLOSURE_NOBODY
        if one.person_id is not None:
            whom = S.RECEIPT_OF["person"].format(id=one.person_id[:8])
        to = S.DISCLOSED[one.kind].format(to=one.recipient)
        line = S.DISCLOSURE_LINE.format(when=S.moment(one.at), to=to, what=f"{one.what}, {whom}")
        text(line, "small", tag="p")


def _counted(counts: Counts) -> str:
    told = [S.count(n, *S.RETENTION_KINDS[kind]) for kind, n in counts.to_dict().items() if n]
    return ", ".join(told) or S.RETENTION_NOTHING


def _sooner(before: float | None, after: float | None) -> bool:
    return after is not None and (before is None or after < before)


def _line(label: str, value: str) -> ui.input:
    return ui.input(label, value=value).props("outlined maxlength=1000").classes("wide")


def _number(label: str, value: float | None, hint: str) -> ui.number:
    made = ui.number(label, value=value, min=0.01, max=36_500).props("outlined dense")
    made.classes("wide")
    text(hint, "soft small", tag="p")
    return made

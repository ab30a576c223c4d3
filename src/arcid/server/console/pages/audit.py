"""Who looked at or decided about people: filters, names as they are now, and a CSV."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from arcid import files, paths
from arcid.apps.attendance.sheets import bounds
from arcid.errors import ArcidError
from arcid.events import Audit
from arcid.events.audit import Entry
from arcid.events.seals import own_keys
from arcid.gallery import Gallery
from arcid.protection import Keys
from arcid.server.console import ROOT
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.layout import frame
from arcid.server.console.ui.widgets import (
    action,
    button,
    card,
    element,
    empty,
    link_button,
    note,
    text,
)
from arcid.server.errors import HttpError

ROWS = 100
COLUMNS = (
    "seq", "at", "actor", "address", "verb", "subject", "collection_id", "reason", "details",
    "digest",
)  # fmt: skip


async def audit(
    context: ConsoleContext,
    actor: str = "",
    verb: str = "",
    subject: str = "",
    collection: str = "",
    since: str = "",
    until: str = "",
    after: str = "",
) -> None:
    """A page of rows, newest first."""
    asked = {
        "actor": actor, "verb": verb, "subject": subject, "collection": collection,
        "since": since, "until": until,
    }  # fmt: skip
    known = {one.id: one.name for one in await context.run(context.gallery.collections)}
    accounts = {f"account:{one.id}": one.name for one in await context.run(context.accounts.all)}
    cameras = await context.run(context.cameras.book.all)
    accounts |= {f"camera:{one.id}": S.AUDIT_CAMERA.format(name=one.name) for one in cameras}
    keys = await context.run(Keys(context.gallery).all)
    accounts |= {f"key:{one.id}": S.AUDIT_KEY.format(name=one.name) for one in keys}
    searches = context.services.looks.searches
    lead = S.AUDIT_SEARCHES_ON if searches else S.AUDIT_LEAD
    with frame(context, S.AUDIT, "/audit", lead=lead):
        if not searches:
            note(S.AUDIT_SEARCHES_OFF, "warn")
        _filters(asked, accounts, known)
        book = Audit(context.gallery)
        try:
            page = await context.run(book.find, **_wanted(asked), limit=ROWS, after=after or None)
        except ArcidError as error:
            note(error.message, "bad", role="alert")
            return
        names = accounts | await context.run(names_of, context.gallery, page)
        with card():
            with element("div", "account-list"):
                _list(page, names)
            if not page:
                empty("audit", S.AUDIT_NONE, S.AUDIT_NONE_TEXT)
            with element("div", "row"):
                if page.next is not None:
                    query = urlencode({**asked, "after": page.next})
                    link_button(S.AUDIT_MORE, f"{ROOT}/audit?{query}", icon="next")
                save = link_button(
                    S.AUDIT_CSV, f"{ROOT}/audit.csv?{urlencode(asked)}", icon="download"
                )
                save.props["download"] = ""

                @action(context, "audit")
                async def check() -> None:
                    done = await context.run(book.verify, own_keys(paths.home_dir()))
                    sound = done.problem is None
                    words = (S.AUDIT_SOUND if sound else S.AUDIT_BROKEN).format(
                        n=done.rows, digest=done.digest[:16], problem=done.problem
                    )
                    found.clear()
                    with found:
                        note(words, "good" if sound else "bad")
                        if sound and done.seals:
                            days = S.count(done.seals, S.AUDIT_ONE_DAY, S.AUDIT_DAYS)
                            note(S.AUDIT_SEALED.format(days=days, row=done.sealed), "good")
                        elif sound:
                            note(S.AUDIT_NOT_SEALED, "warn")
                        if done.unsealed_days:
                            days = ", ".join(day.isoformat() for day in done.unsealed_days)
                            note(S.AUDIT_UNSEALED.format(days=days), "warn")

                button(S.AUDIT_CHECK, check, icon="check")
            found = element("div", aria_live="polite")


async def as_csv(request: Request, context: ConsoleContext) -> Response:
    """All rows that the filters leave, as a CSV without formulas."""
    asked = dict(request.query_params)
    book = Audit(context.gallery)
    try:
        found = await context.run(book.find, **_wanted(asked), limit=None)
        await context.run(
            book.record, verb="audit.export", subject="audit:rows", details={"rows": len(found)}
        )
    except ArcidError as error:
        raise HttpError.of(error) from None
    rows = [_row(entry) for entry in found]
    headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
    body = files.csv_text(COLUMNS, rows)
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)


def names_of(gallery: Gallery, page: list[Entry]) -> dict[str, str]:
    """Names of people and collections as they are now, by subject; of those that are left."""
    known = {one.id: one.name for one in gallery.collections()}
    found = {f"collection:{key}": name for key, name in known.items()}
    for entry in page:
        kind, _, key = entry.subject.partition(":")
        collection = known.get(entry.collection_id or "")
        if kind == "person" and collection is not None and entry.subject not in found:
            try:
                found[entry.subject] = gallery.person(collection, key).name
            except ArcidError:  # deleted since
                continue
    return found


def _wanted(asked: Mapping[str, str]) -> dict[str, Any]:
    """What ``Audit.find`` is asked; days that are none count as not given."""
    since, until = (_day(asked.get(key, "")) for key in ("since", "until"))
    return {
        "actor": asked.get("actor") or None,
        "verb": asked.get("verb") or None,
        "subject": asked.get("subject") or None,
        "collection": asked.get("collection") or None,
        "since": None if since is None else bounds(since, None)[0],
        "until": None if until is None else bounds(until, None)[1],
    }


def _day(value: str) -> date | None:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return None
    return found if date(1970, 1, 2) <= found <= date.today() + timedelta(days=366) else None


def _filters(
    asked: Mapping[str, str], accounts: Mapping[str, str], collections: Mapping[str, str]
) -> None:
    form = element("form", "toolbar audit-filters", method="get", action=f"{ROOT}/audit")
    with form:
        _choice(
            "actor", S.AUDIT_WHO, S.AUDIT_ANYBODY, {**accounts, **S.AUDIT_ACTORS}, asked["actor"]
        )
        _choice("verb", S.AUDIT_WHAT, S.AUDIT_ANYTHING, S.AUDIT_KINDS, asked["verb"])
        _field(
            "subject",
            S.AUDIT_ABOUT,
            asked["subject"],
            type="search",
            placeholder=S.AUDIT_ABOUT_LIKE,
        )
        _choice("collection", S.COLLECTION, S.AUDIT_ANYWHERE, collections, asked["collection"])
        _field("since", S.AUDIT_SINCE, asked["since"], type="date")
        _field("until", S.AUDIT_UNTIL, asked["until"], type="date")
        with element("button", "button", type="submit"):
            text(S.AUDIT_SHOW)


def _choice(name: str, label: str, none: str, choices: Mapping[str, str], chosen: str) -> None:
    with element("label", "field"):
        text(label, "soft small")
        with element("select", "date-field", name=name):
            known = {"": none, **choices}
            for value, words in (known if chosen in known else {**known, chosen: chosen}).items():
                more = {"selected": ""} if value == chosen else {}
                text(words, tag="option", value=value, **more)


def _field(name: str, label: str, value: str, **attributes: str) -> None:
    with element("label", "field"):
        text(label, "soft small")
        element("input", "date-field", name=name, value=value, **attributes)


def _list(page: list[Entry], names: Mapping[str, str]) -> None:
    for entry in page:
        what = S.AUDIT_VERBS.get(entry.verb, entry.verb)
        told = (
            S.moment(entry.at), _who(entry.actor, names), entry.address, _searched(entry),
            entry.reason,
        )  # fmt: skip
        with element("div", "account"), element("div", "person-lines grow"):
            text(f"{what}: {_about(entry.subject, names)}", "person-name")
            text(" · ".join(filter(None, told)), "soft small")


def _who(actor: str, names: Mapping[str, str]) -> str:
    kind, _, key = actor.partition(":")
    named = names.get(actor) or S.AUDIT_ACTORS.get(actor)
    return named or f"{S.AUDIT_ACTOR_KINDS.get(kind, kind)} {key[:8]}".strip()


def _searched(entry: Entry) -> str:
    """What a search or comparison asked and found, in numbers; empty for other rows."""
    asked = entry.details
    if "fmr" in asked and "matched" in asked:
        return S.AUDIT_MATCHED.format(
            faces=asked["faces"], matched=asked["matched"], n=1 / asked["fmr"]
        )
    if not entry.verb.startswith("search."):
        return ""
    return S.AUDIT_SEARCHED.format(
        faces=asked["faces"], found=len(asked["found"]), n=1 / asked["fpir"]
    )


def _about(subject: str, names: Mapping[str, str]) -> str:
    kind, _, key = subject.partition(":")
    if subject in names:
        return names[subject]
    words = f"{S.AUDIT_SUBJECTS.get(kind, kind)} {key[:8]}"
    return f"{words}, {S.AUDIT_GONE}" if kind in ("person", "collection") else words


def _row(entry: Entry) -> list[object]:
    values = entry.to_dict() | {"details": json.dumps(dict(entry.details), sort_keys=True)}
    return [values[column] for column in COLUMNS]

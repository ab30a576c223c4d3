"""What a page does by itself to stay up to date, and what it says where it cannot."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from nicegui import Client, ui

from arcid.errors import ArcidError
from arcid.server.console import strings as S
from arcid.server.console.auth.errors import NotAllowed, SignedOut
from arcid.server.console.auth.roles import Permission
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.widgets import element, note

log = logging.getLogger(__name__)
OLD_AFTER = timedelta(seconds=3)  # how long a page may fail to be read anew before it says so


class Old:
    """Says that a page is not kept up to date, for as long as that lasts; a moment is let pass."""

    def __init__(self) -> None:
        self._since: dict[object, datetime] = {}  # what fails, by what it would do
        self._box = element("div")
        _OLD[ui.context.client] = self

    def tell(self, work: object, why: str) -> None:
        """How ``work`` went; ``why`` it failed, empty: it did not."""
        if why:
            self._since.setdefault(work, datetime.now(UTC))
        elif self._since.pop(work, None) is None:
            return
        first = min(self._since.values(), default=None)
        if first is None:
            self._box.clear()
        elif not self._box.default_slot.children and datetime.now(UTC) - first >= OLD_AFTER:
            with self._box:
                note(S.OLD.format(when=S.moment(first), why=why), "bad", role="alert")


_OLD: WeakKeyDictionary[Client, Old] = WeakKeyDictionary()


def quietly(
    context: ConsoleContext, permission: Permission
) -> Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]:
    """Around what a page does by itself every so often: trouble is logged and said on the page for
    as long as it lasts, an ended session ends the page."""

    def around(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            why = ""
            try:
                await context.allow(permission)
                await work()
            except (SignedOut, NotAllowed):
                ui.navigate.reload()
                return
            except ArcidError as error:
                log.warning("a page could not be refreshed", extra={"code": error.code})
                why = error.message
            except Exception:
                log.exception("a page could not be refreshed")
                why = S.FAILED
            if (old := _OLD.get(ui.context.client)) is not None:
                old.tell(work, why)

        return run

    return around

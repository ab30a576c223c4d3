"""Models of the catalogue that are not installed, fetched where that is allowed. Admins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from arcid.events import acting
from arcid.models.pull import Offer
from arcid.server.console import strings as S
from arcid.server.console.context import ConsoleContext
from arcid.server.console.ui.dialogs import confirm, dialog, open_dialog
from arcid.server.console.ui.widgets import action, button, element, say, set_text, text

PROGRESS_S = 0.5


class Catalogue:
    """``changed`` is called after something was installed."""

    def __init__(self, context: ConsoleContext, changed: Callable[[], Awaitable[None]]) -> None:
        self._context, self._changed = context, changed

    def build(self, offered: list[Offer]) -> None:
        allowed = self._context.services.settings.model_downloads
        text(S.MODELS_PULL_ON if allowed else S.MODELS_PULL_OFF, "soft small", tag="p")
        with element("details"):
            text(S.MODELS_CATALOGUE_OPEN.format(n=len(offered)), tag="summary")
            with element("div", "account-list"):
                for offer in offered:
                    self._offer(offer, allowed)

    def _offer(self, offer: Offer, allowed: bool) -> None:
        size = S.bytes_(offer.size_bytes) if offer.size_bytes else S.MODEL_SIZE_UNKNOWN
        told = [", ".join(e.name for e in offer.models), size, offer.licence.name]
        with element("div", "account"):
            with element("div", "person-lines grow"):
                text(offer.name, "person-name")
                text(" · ".join(told), "soft small")
            if allowed:
                fetch = self._pulling(offer)
                button(S.MODEL_PULL, fetch, name=f"{S.MODEL_PULL}: {offer.name}")

    def _pulling(self, offer: Offer) -> Any:
        context = self._context

        @action(context, "system")
        async def pull() -> None:
            asked = S.MODEL_PULL_TEXT.format(
                licence=offer.licence.name, url=offer.licence.url or S.UNKNOWN_VALUE,
                address=offer.url, sha256=offer.file.sha256,
            )  # fmt: skip
            if not await confirm(S.MODEL_PULL_TITLE.format(name=offer.name), asked, S.MODEL_PULL):
                return
            await context.allow("system")
            done: list[tuple[int, int | None]] = [(0, offer.size_bytes)]
            with dialog(S.MODEL_PULLING.format(name=offer.name)) as shown:
                state = text("", "soft", tag="p", role="status")
                ui.timer(PROGRESS_S, lambda: set_text(state, _share(*done[-1])))
            open_dialog(shown)
            try:
                await asyncio.to_thread(self._pull, offer.name, done)
            finally:
                if not shown.is_deleted:
                    shown.close()
            say(S.MODEL_PULLED.format(name=offer.name))
            await self._changed()

        return pull

    def _pull(self, name: str, done: list[tuple[int, int | None]]) -> None:
        """In a thread of its own, since it takes minutes."""
        context = self._context
        with acting(f"account:{context.account.id}", context.address):
            context.services.choices.pull(
                name, accept_licence=True, progress=lambda *now: done.append(now)
            )


def _share(done: int, total: int | None) -> str:
    return S.bytes_(done) if total is None else f"{S.bytes_(done)} / {S.bytes_(total)}"
